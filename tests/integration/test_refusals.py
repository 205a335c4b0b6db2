"""What the gate and the modules refuse: nothing is touched anywhere, the exit status says so, and so does a text with what to do.

Each refusal has a cluster of its own, named after it; one run meets them all.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import MakeSite
from playbook import Run, Site, scenarios, target
from simulator.cluster import Cluster

NEW = "10.5.9"


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A cluster that is refused for something. `variables`: what the inventory has for it beside the version and the package, or instead.

    `facts`: what is wrong with the machine of its last agent. `said`: parts of what its first agent is told.
    """

    said: tuple[str, ...]
    options: Mapping[str, object] = field(default_factory=lambda: {"agents": 1})
    variables: Mapping[str, object] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)


BY_THE_GATE = {
    "too_old": Refusal(
        options={"agents": 2, "per_agent": {"too_old-2": {"server": "10.3.0 [CU21]", "web": "10.3.0 [CU21]"}}},
        said=("too_old-2: baseline-10.5: found server 10.3.0 [CU21]", "needed server 10.4.0 / 10.4.1 or later for web 10.5.9 (CU0)", "full"),
    ),
    "reboot": Refusal(
        facts={"pending_reboot": ["Component Based Servicing"]}, said=("reboot-1: pending-reboot: found pending: Component Based Servicing",)
    ),
    "installer_busy": Refusal(facts={"busy": True}, said=("installer_busy-1: installer-busy: found a Windows Installer is at work",)),
    # an upgrade that somebody else started is neither joined nor disturbed
    "upgrade_running": Refusal(said=("upgrade_running-1: upgrade-running: found a DataMiner upgrade is at work", "never abort it")),
    # known before anything is touched: not even a backup is made
    "no_package_file": Refusal(
        variables={"dataminer_package": "/nowhere/DataMiner 10.5.9.0-16238 Web Upgrade.dmupgrade"},
        said=("package-there: found no file /nowhere/DataMiner 10.5.9.0-16238", "set dataminer_package to its path on the agents"),
    ),
    "no_installer": Refusal(
        variables={"dataminer_installer": "/nowhere/SLTaskbarUtility.exe"},
        said=("no_installer-1: installer-there: found no file /nowhere/SLTaskbarUtility.exe", "set dataminer_installer"),
    ),
    # each agent would get another web version, or another build
    "two_packages": Refusal(options={"agents": 2}, said=("one-package: found two_packages-1: DataMiner", "; two_packages-2: DataMiner")),
    "daas": Refusal(variables={"dataminer_daas": True}, said=("DaaS",)),
    # DMS.xml knows a third agent: nobody looks after it
    "not_listed": Refusal(options={"agents": 3}, said=("missing: found id 913 10.99.9.3", "add the agent to the inventory")),
    "two_names": Refusal(said=("two_names-1 and two_names-2 are both id 1011",)),
    "no_dms": Refusal(options={"agents": 2}, said=("no_dms-2: dms:",)),
    # a cluster that would be left out of step
    "one_lacks_it": Refusal(options={"agents": 2}, said=("one_lacks_it-2: package-there: found no file /elsewhere/DataMiner 10.5.9",)),
}

BY_VALUES = {
    # the installer would take it, and restart DataMiner
    "full_package": Refusal(said=("Full", "Web")),
    "other_version": Refusal(said=("10.5.8", "10.5.9")),
    # 10.10 would be read as 10.1: the message quotes what was read and says how to write it
    "float_target": Refusal(variables={"dataminer_target_version": 10.1}, said=("dataminer_target_version", "10.1, a float", "in quotes")),
    "float_server": Refusal(variables={"dataminer_server_version": 10.5}, said=("dataminer_server_version", "in quotes")),
    "no_version": Refusal(
        variables={"dataminer_target_version": "latest"}, said=("dataminer_target_version isn't a version | Found: 'latest' is not",)
    ),
    # nothing says what to install; an empty text, as a survey sends it, is nothing
    "nothing_named": Refusal(variables={"dataminer_target_version": "", "dataminer_package": ""}, said=("dataminer_package",)),
    # left over from the last upgrade: the verification would fail, once all agents are changed
    "other_expected": Refusal(
        variables={"dataminer_verify_expected": "10.5.6"},
        said=("expected: found the verification expects 10.5.6 (CU0), the target is 10.5.9", "take dataminer_verify_expected out of the inventory"),
    ),
    # a misspelt variable names none, and every agent would be backed up first
    "no_package": Refusal(
        variables={"dataminer_package": "", "dataminer_pakage": "/x"},
        said=("kind: found no package; needed a Web package (.dmupgrade); set dataminer_package (check its spelling)",),
    ),
    # told before anything is touched, also where they would be needed at the end of the run only
    "wrong_values": Refusal(
        variables={"dataminer_verify_content_equal": "maybe", "dataminer_retries": "two", "dataminer_timeout": "soon"},
        said=(
            "dataminer_timeout can't be what it is | Found: 'soon', a str | Needed: a whole number",
            "dataminer_verify_content_equal can't be what it is | Found: 'maybe', a str | Needed: true or false",
            "dataminer_retries can't be what it is | Found: 'two', a str | Needed: a whole number",
        ),
    ),
}


def refusing(make_site: MakeSite, refusals: Mapping[str, Refusal]) -> Site:
    """A site with a cluster for each refusal."""
    site = make_site(*scenarios(**{name: dict(refusal.options) for name, refusal in refusals.items()}))
    for name, refusal in refusals.items():
        cluster = site.named(name)
        site.tell_agents_of(name, **{**target(cluster, NEW), **refusal.variables})
        if refusal.facts:
            cluster.set_state(cluster.agents[-1].name, **refusal.facts)
    return site


def are_refused(site: Site, refusals: Mapping[str, Refusal], *options: str) -> Run:
    """Each cluster is told why, and nothing is touched."""
    before = site.trees()
    run = site.play("upgrade_web", "--forks", "20", *options)
    assert run.rc != 0, run.text
    assert site.trees() == before
    assert "Start the backup" not in run.tasks
    for name, refusal in refusals.items():
        first = site.named(name).agents[0].name
        for part in refusal.said:
            assert part in run.messages(first)[0], name
    return run


def lies_elsewhere(cluster: Cluster, place: str) -> str:
    """A package that lies elsewhere for the second agent, as a variable of the inventory."""
    package = cluster.package(NEW)
    second = cluster.agents[1].name
    return f"{{{{ '{place}/{package.name}' if inventory_hostname == '{second}' else '{package}' }}}}"


def lacks_on_one(site: Site) -> None:
    cluster = site.named("one_lacks_it")
    site.tell_agents_of(cluster.name, **target(cluster, dataminer_package=lies_elsewhere(cluster, "/elsewhere")))


def test_by_the_gate(make_site: MakeSite, tmp_path: Path) -> None:
    site = refusing(make_site, BY_THE_GATE)
    lacks_on_one(site)
    (site.agent("no_dms-2").root / "DMS.xml").write_text("<DMS", "utf-8")
    two_packages = site.named("two_packages")
    package = two_packages.package(NEW)
    other = shutil.copy(package, tmp_path / package.name.replace("-", "-1", 1))
    by_agent = {"two_packages-1": str(package), "two_packages-2": str(other)}
    site.tell_agents_of("two_packages", **target(two_packages, dataminer_package=f"{{{{ {by_agent}[inventory_hostname] }}}}"))
    leave_out(site, "not_listed-3")
    add_name(site, "two_names-1", "two_names-2")

    with site.named("upgrade_running").upgrade_running("upgrade_running-1"):
        run = are_refused(site, BY_THE_GATE)

    assert run.text.count("DENIED, nothing was changed") == len(BY_THE_GATE)
    for agent in site.named("too_old").agents:
        assert not agent.work_dir.exists()
        assert BY_THE_GATE["too_old"].said[0] in run.messages(agent.name)[0], "each agent says it, the fit ones too"
    for name in BY_THE_GATE:
        assert set(run.verdicts(name).values()) == {"denied by the gate, unchanged"}, name


def leave_out(site: Site, name: str) -> None:
    """Takes an agent out of the inventory."""
    before, _, after = site.inventory.read_text("utf-8").partition(f'    "{name}":\n')
    site.inventory.write_text(before + after[after.index('\n    "') + 1 :], "utf-8")


def add_name(site: Site, name: str, another: str) -> None:
    """Lists an agent under another name, too."""
    text = site.inventory.read_text("utf-8")
    block = text[text.index(f'    "{name}":\n') :].split('\n    "')[0]
    site.inventory.write_text(text.rstrip("\n") + "\n" + block.replace(f'"{name}":', f'"{another}":').rstrip("\n") + "\n", "utf-8")
    folder = site.inventory.parent / "host_vars"
    shutil.copy(folder / f"{name}.json", folder / f"{another}.json")


@pytest.mark.each_core
def test_by_their_values(make_site: MakeSite) -> None:
    site = refusing(make_site, BY_VALUES)
    for name, package in (("full_package", (NEW, "Full")), ("other_version", ("10.5.8",))):
        cluster = site.named(name)
        site.tell_agents_of(name, **target(cluster, dataminer_package=str(cluster.package(*package))))

    run = are_refused(site, BY_VALUES)

    for name in ("no_version", "wrong_values"):
        assert set(run.verdicts(name).values()) == {"not judged, unchanged"}
    end = run.summary_of("no_version")
    assert "no_version-1 failed (gate): dataminer_target_version isn't a version | Found: 'latest' is not" in end
    assert "What to do: correct dataminer_target_version" in end
    assert "NOT STARTED: nothing was changed on this cluster." in end
    assert "gate's table" not in end


OF_ONE_AGENT = {
    "misspelt": Refusal(
        variables={"dataminer_restore_on_failure": "undone"},
        said=("dataminer_restore_on_failure can't be what it is | Found: 'undone', a str | Needed: one of undo, stop | What to do: correct",),
    ),
    "out_of_range": Refusal(
        variables={"dataminer_compression_level": 99},
        said=("dataminer_compression_level can't be what it is | Found: 99, an int | Needed: a whole number from 0 to 9 | What to do: correct",),
    ),
    "of_nothing": Refusal(
        variables={"dataminer_backup_keep": "{{ kept }}"},
        said=("dataminer_backup_keep can't be what it is | Found: an expression with kept, which is undefined | Needed: names of variables",),
    ),
    "another_version": Refusal(variables={"dataminer_target_version": "10.5.8"}, said=("The gate denies the upgrade", "10.5.8", "10.5.9")),
}
READING = Refusal(
    variables={"dataminer_backup_versions": "lastest"},
    said=("dataminer_backup_versions can't be what it is | Found: 'lastest', a str | Needed: one of auto, all, latest | What to do: correct",),
)


def test_value_of_one_agent_stops_its_whole_cluster_at_the_gate(make_site: MakeSite) -> None:
    """All of its agents are told which one it is, and why; other clusters go on."""
    refusals = {**OF_ONE_AGENT, "while_read": READING}
    site = make_site(*scenarios(**{name: {"agents": 2} for name in (*refusals, "well")}))
    for cluster in site.clusters:
        site.tell_agents_of(cluster.name, **target(cluster, NEW))
    for name, refusal in refusals.items():
        site.tell(f"{name}-2", **{**target(site.named(name), NEW), **refusal.variables})
    before = site.trees()

    for options in (("--check",), ()):
        run = site.play("upgrade_web", "--forks", "20", *options)

        assert run.rc != 0
        assert {name for name, tree in site.trees().items() if tree != before[name]} == (set() if options else {"well-1", "well-2"})
        assert set(run.verdicts("well").values()) == {"would change" if options else "done"}
        for name, refusal in refusals.items():
            (other,), (itself,) = run.messages(f"{name}-1"), run.messages(f"{name}-2")
            assert f"{name}-2: " in other
            for part in refusal.said:
                assert part in other, name
                assert part in itself, name
        for name in OF_ONE_AGENT:
            assert run.verdicts(name)[f"{name}-1"] == "stopped at the gate, unchanged"
            assert (f": ALLOWED by the values of the others, but those of {name}-2 are wrong" in run.text) == (name != "another_version")
            end = run.summary_of(name)
            assert f"{name}-2 failed (gate): " in end
            assert "NOT STARTED: nothing was changed on this cluster." in end
        assert run.verdicts("while_read")["while_read-1"] == "denied by the gate, unchanged"


def test_dry_run_is_as_strict(make_site: MakeSite) -> None:
    """What is refused in earnest is refused there."""
    strict = {name: BY_THE_GATE[name] for name in ("reboot", "one_lacks_it")}
    site = refusing(make_site, strict)
    lacks_on_one(site)

    are_refused(site, strict, "--check")


def test_package_that_is_another_one_on_one_agent(make_site: MakeSite, tmp_path: Path) -> None:
    """A cluster that would be left out of step: nothing is touched anywhere, and a dry run tells the same."""
    site = make_site()
    package = site.cluster.package(NEW)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / package.name).write_bytes(package.read_bytes() + b"x")
    wanted = target(site.cluster, dataminer_package=lies_elsewhere(site.cluster, str(tmp_path / "elsewhere")))
    wanted |= {"dataminer_package_sha256": hashlib.sha256(package.read_bytes()).hexdigest()}
    before = site.trees()

    for options in (("--check",), ()):
        run = site.play("upgrade_web", *options, variables=wanted)

        assert run.rc != 0
        assert site.trees() == before
        assert "Start the backup" not in run.tasks
        assert "Found a file with the SHA-256" in run.messages("DMA2")[0]
        assert "Stopped after the phase package, for the cluster to stay in step. DMA2: failed" in run.messages("DMA1")[0]
        assert run.verdicts() == {"DMA1": "stopped after package: another agent failed", "DMA2": "FAILED: package"}


def test_package_that_is_gone_after_the_upgrade(make_site: MakeSite) -> None:
    """An agent that runs the target needs none; the run says that nothing is to be done."""
    site = make_site(agents=1, web=NEW)
    variables = target(site.cluster, dataminer_package_sha256="0" * 64)
    Path(str(variables["dataminer_package"])).unlink()

    for named in ({}, {"dataminer_package": "", "dataminer_package_sha256": ""}):
        run = site.play("upgrade_web", variables={**variables, **named})

        assert (run.rc, run.changed, run.verdicts()) == (0, 0, {"DMA1": "unchanged"}), run.text
