"""What the gate and the modules refuse: nothing is touched anywhere, the exit status says so, and so does a text with what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import MakeSite
from playbook import Run, Site, installs, target


def refused(site: Site, *options: str, **variables: object) -> Run:
    """The upgrade, which must fail and leave every agent exactly as it was."""
    before = site.trees()
    run = site.play("upgrade_web", *options, variables={**target(site.cluster), **variables})
    assert run.rc != 0, run.text
    assert site.trees() == before
    return run


@pytest.mark.each_core
def test_agent_that_is_too_old(make_site: MakeSite) -> None:
    """One agent in three; all stay as they are, their working folders included."""
    site = make_site(agents=3, per_agent={"DMA2": {"server": "10.3.0 [CU21]", "web": "10.3.0 [CU21]"}})

    run = refused(site)

    assert "DENIED, nothing was changed" in run.gate
    for agent in site.agents:
        assert not agent.work_dir.exists()
        (said,) = run.messages(agent.name)
        for part in ("DMA2: baseline-10.5: found server 10.3.0 [CU21]", "needed server 10.4.0 / 10.4.1 or later for web 10.5.9 (CU0)", "full"):
            assert part in said
    assert set(run.verdicts().values()) == {"denied by the gate, unchanged"}
    assert "Start the backup" not in run.tasks


def test_foreign_upgrade_running(site: Site) -> None:
    """An upgrade that somebody else started is neither joined nor disturbed."""
    with site.cluster.upgrade_running("DMA2"):
        run = refused(site)

    assert "DMA2: upgrade-running: found a DataMiner upgrade is at work" in run.messages("DMA1")[0]
    assert "never abort it" in run.messages("DMA1")[0]


def test_reboot_pending_and_installer_at_work(site: Site) -> None:
    site.cluster.set_state("DMA1", pending_reboot=["Component Based Servicing"])
    site.cluster.set_state("DMA2", busy=True)

    said = refused(site).messages("DMA1")[0]

    assert "DMA1: pending-reboot: found pending: Component Based Servicing" in said
    assert "DMA2: installer-busy: found a Windows Installer is at work" in said


def test_package_of_the_kind_full(site: Site) -> None:
    """The installer would take it, and restart DataMiner."""
    run = refused(site, dataminer_package=str(site.cluster.package("10.5.9", "Full")))

    assert "Full" in run.messages("DMA1")[0]
    assert "Web" in run.messages("DMA1")[0]


def test_package_of_another_version(site: Site) -> None:
    run = refused(site, dataminer_package=str(site.cluster.package("10.5.8")))

    said = run.messages("DMA1")[0]
    assert "10.5.8" in said
    assert "10.5.9" in said


@pytest.mark.each_core
def test_target_version_that_yaml_made_a_number(site: Site) -> None:
    """10.10 would be read as 10.1: the message quotes what was read and says how to write it."""
    said = refused(site, dataminer_target_version=10.1).messages("DMA1")[0]

    for part in ("dataminer_target_version", "10.1, a float", "in quotes"):
        assert part in said


def test_server_version_that_yaml_made_a_number(site: Site) -> None:
    said = refused(site, dataminer_server_version=10.5).messages("DMA1")[0]

    assert "dataminer_server_version" in said
    assert "in quotes" in said


def test_target_version_that_is_none(site: Site) -> None:
    said = refused(site, dataminer_target_version="latest").messages("DMA1")[0]

    assert "latest" in said


def test_no_package(site: Site) -> None:
    """Nothing says what to install; an empty text, as a survey sends it, is nothing."""
    said = refused(site, dataminer_package="", dataminer_target_version="").messages("DMA1")[0]

    assert "dataminer_package" in said


def test_package_that_is_not_there(site: Site, tmp_path: Path) -> None:
    """Known before anything is touched: not even a backup is made."""
    variables = {**target(site.cluster), "dataminer_package": str(tmp_path / "DataMiner 10.5.9.0-16238 Web Upgrade.dmupgrade")}

    said = refused(site, **variables).messages("DMA1")[0]

    assert f"package-there: found no file {tmp_path}" in said
    assert "set dataminer_package to its path on the agents" in said


def test_package_that_is_not_the_one_meant(site: Site) -> None:
    """Backups are made, but the installer is started nowhere."""
    run = site.play("upgrade_web", variables={**target(site.cluster), "dataminer_package_sha256": "0" * 64})

    assert run.rc != 0
    assert site.webs() == {"DMA1": "10.5.6", "DMA2": "10.5.6"}
    assert [installs(agent) for agent in site.agents] == [[], []]
    said = run.messages("DMA1")[0]
    assert "isn't the package that was meant" in said
    assert "download it again" in said
    assert set(run.verdicts().values()) == {"FAILED: install"}


def test_agents_of_one_cluster_that_name_different_packages(site: Site, tmp_path: Path) -> None:
    """Each agent would get another web version, or another build."""
    package = Path(str(target(site.cluster)["dataminer_package"]))
    other = tmp_path / package.name.replace("-", "-1", 1)
    shutil.copy(package, other)
    by_agent = {"DMA1": str(package), "DMA2": str(other)}

    said = refused(site, dataminer_package=f"{{{{ {by_agent}[inventory_hostname] }}}}").messages("DMA1")[0]

    assert f"one-package: found DMA1: {package.name}; DMA2: {other.name}" in said


def test_daas(site: Site) -> None:
    assert "DaaS" in refused(site, dataminer_daas=True).messages("DMA1")[0]


def test_agent_that_the_inventory_lacks(make_site: MakeSite) -> None:
    """DMS.xml knows a third agent: nobody looks after it."""
    site = make_site(agents=3)
    lines = site.inventory.read_text("utf-8").split('    "DMA3":\n')
    site.inventory.write_text(lines[0], "utf-8")

    said = refused(site).messages("DMA1")[0]

    assert "missing: found id 113 10.11.12.3" in said
    assert "add the agent to the inventory" in said


def test_agent_under_two_names(make_site: MakeSite) -> None:
    site = make_site()
    text = site.inventory.read_text("utf-8")
    block = text[text.index('    "DMA2":\n') :]
    site.inventory.write_text(text + block.replace('"DMA2":', '"also-DMA2":'), "utf-8")

    said = refused(site).messages("DMA1")[0]

    assert "DMA2 and also-DMA2 are both id 112" in said


def test_dms_xml_that_cannot_be_read(site: Site) -> None:
    (site.cluster.agent("DMA2").root / "DMS.xml").write_text("<DMS", "utf-8")

    said = refused(site).messages("DMA1")[0]

    assert "DMA2: dms:" in said
