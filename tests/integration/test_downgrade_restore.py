"""downgrade_restore.yml on a cluster: back to the version and the content of before, all agents or none."""

from __future__ import annotations

import hashlib
import re
import zipfile
from pathlib import Path

import pytest
import shortcut
from conftest import MakeSite
from playbook import Run, Site, changed_paths, installs, target, until
from shortcut import Contents
from simulator import edits
from simulator.cluster import Agent

OLD, NEW = "10.5.6", "10.5.9"


def zip_digests(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        rows = ((info.filename.replace("\\", "/"), archive.read(info)) for info in archive.infolist() if not info.is_dir())
        return {name: hashlib.sha256(data).hexdigest() for name, data in rows}


def five(make_site: MakeSite, **more: object) -> tuple[Site, dict[str, Path]]:
    """Agents on the new version with five zips of the vendor, the oldest of which is the only one of the old version; and that one of each."""
    site = make_site(server="10.5.4", web=NEW, five=True, five_from=OLD, **more)
    oldest = {agent.name: min(zips(agent), key=lambda path: path.stat().st_mtime) for agent in site.agents}
    assert all(len(zips(agent)) == 5 for agent in site.agents)
    return site, oldest


def zips(agent: Agent) -> list[Path]:
    return list(agent.vendor_backup_dir.glob("*.zip"))


def upgraded(make_site: MakeSite, **more: object) -> tuple[Site, Contents]:
    """A site after an upgrade by the collection, and the content it had before."""
    site = make_site(**more)
    return site, shortcut.upgraded(site, NEW)


def back(site: Site, contents: Contents) -> None:
    """Every agent has the old version and, by bytes, the old content; its web server runs and nothing of the collection does."""
    for name, content in contents.items():
        assert changed_paths(content, site.cluster.digest(name)) == []
        assert site.cluster.state(name)["services"]["W3SVC"] == "Running"
    assert site.webs() == dict.fromkeys(contents, OLD)


def code_of(run: Run) -> str:
    found = re.search(r"dataminer_accept_loss=([A-Z]+)", run.text)
    assert found, run.text
    return found[1]


@pytest.mark.each_core
def test_the_oldest_of_five_is_wanted(make_site: MakeSite) -> None:
    """The older package makes a sixth zip, so the vendor deletes the wanted one; what it held is there again, byte for byte, on every agent."""
    site, oldest = five(make_site, agents=3)
    draft = edits.add_draft(site.cluster, "Satellite Booking")
    later = edits.add_dashboard(site.cluster, "Operations/Later")
    wanted = {name: zip_digests(path) for name, path in oldest.items()}
    before: Contents = {name: site.cluster.digest(name) for name in wanted}

    refused = site.play("downgrade_restore", variables=target(site.cluster, OLD))

    assert refused.rc != 0
    assert site.webs() == dict.fromkeys(wanted, NEW)
    assert {name: site.cluster.digest(name) for name in wanted} == before
    assert "LOST if this is restored" in refused.text
    assert f"version {draft} isn't known to the backup" in refused.text
    assert "NOT reinstalled" not in refused.summary, "nothing was installed, so there is nothing to reinstall"

    run = site.play("downgrade_restore", "--diff", variables=target(site.cluster, OLD, dataminer_accept_loss=code_of(refused)))

    assert run.rc == 0, run.text
    assert run.verdicts() == dict.fromkeys(wanted, "done")
    for agent in site.agents:
        content, after = wanted[agent.name], site.cluster.digest(agent.name)
        assert not oldest[agent.name].exists(), "the simulated installer keeps five, as the vendor's does"
        assert {path: after[path] for path in content} == content
        rest = before[agent.name].keys() - content.keys()
        assert later in rest
        assert f"Applications/{site.cluster.app_folder('Satellite Booking')}/version_{draft}/App.config.json" in rest
        assert {path for path in rest if after.get(path) != before[agent.name][path]} == set(), "what the zip doesn't hold stays as it is"
        assert after.keys() == before[agent.name].keys() | content.keys()
        assert site.cluster.state(agent.name)["services"]["W3SVC"] == "Running"
    assert "NOT IN THE BACKUP, so none of it is restored" in refused.text
    assert "dashboard Operations/Later" in refused.text
    assert "The GQI DxM and the Web DcM were NOT reinstalled" in run.summary
    assert "DMA1: GQI DxM " in run.summary

    trees = site.trees()
    again = site.play("downgrade_restore", variables=target(site.cluster, OLD, dataminer_accept_loss=code_of(refused)))

    assert again.rc == 0, again.text
    assert again.changed == 0
    assert again.verdicts() == dict.fromkeys(wanted, "unchanged")
    assert site.trees() == trees


def test_killed_after_the_vendor_deleted_the_wanted_zip(make_site: MakeSite) -> None:
    """The only copy left is the one put aside: the next run finds it, and finishes."""
    site, oldest = five(make_site, install_seconds=1)
    wanted = {name: zip_digests(path) for name, path in oldest.items()}
    variables = target(site.cluster, OLD)
    playing = site.begin("downgrade_restore", variables=variables)
    until(lambda: not any(path.exists() for path in oldest.values()), what="the deletion of the oldest zips")
    playing.kill()

    again = site.play("downgrade_restore", variables=variables)

    assert again.rc == 0, again.text
    for name, content in wanted.items():
        after = site.cluster.digest(name)
        assert {path: after[path] for path in content} == content
    assert [len(installs(agent, OLD)) for agent in site.agents] == [2, 2], "the one of the past, and one now"


def test_dry_run_then_downgrade_from_our_own_backup_then_again(make_site: MakeSite) -> None:
    """Without the older package, too: then somebody installed it by hand, or will."""
    site, contents = upgraded(make_site)
    trees = site.trees()

    dry = site.play("downgrade_restore", "--check", "--diff", variables=target(site.cluster, OLD))

    assert dry.rc == 0, dry.text
    assert site.trees() == trees
    assert dry.verdicts() == dict.fromkeys(contents, "would change")
    assert "+files: " in dry.text

    run = site.play("downgrade_restore", variables=target(site.cluster, OLD))

    assert run.rc == 0, run.text
    back(site, contents)
    for agent in site.agents:
        (copy,) = (agent.work_dir / "safety").glob("*.zip")
        assert copy.with_suffix(".manifest").exists()
    again = site.play("downgrade_restore", variables=target(site.cluster, OLD))
    assert (again.rc, again.changed) == (0, 0), again.text
    back(site, contents)


@pytest.mark.each_core
def test_one_agent_fails_to_stop_its_web_server(make_site: MakeSite) -> None:
    """The others are put back as they were, so that nobody sees a half-restored cluster; running again finishes."""
    site, contents = upgraded(make_site, agents=3)
    site.cluster.set_state("DMA2", service_fails=["stop"])

    run = site.play("downgrade_restore", variables=target(site.cluster, OLD))

    assert run.rc != 0
    assert run.verdicts()["DMA2"].startswith("FAILED")
    assert "DMA1: put back as it was before; its web server runs" in run.messages("DMA1")[-1]
    assert "DMA2: failed: " in run.messages("DMA1")[-1]
    for name, content in contents.items():
        assert changed_paths(content, site.cluster.digest(name)) != [], "restored on none"
        assert site.cluster.state(name)["services"]["W3SVC"] == "Running"
    site.cluster.set_state("DMA2", service_fails=[])
    again = site.play("downgrade_restore", variables=target(site.cluster, OLD))
    assert again.rc == 0, again.text
    back(site, contents)


def test_controller_killed_while_the_agents_wait_for_a_word(make_site: MakeSite) -> None:
    """After the deadline each agent starts its web server by itself; the next run undoes nothing that is good, and ends well."""
    site, contents = upgraded(make_site)
    variables = target(site.cluster, OLD, dataminer_restore_deadline=3)
    playing = site.begin("downgrade_restore", variables=variables)
    until(lambda: all(_waits(agent) for agent in site.agents), what="a commit that waits on every agent", every=0.01)
    playing.kill()
    until(lambda: all(site.cluster.state(name)["services"]["W3SVC"] == "Running" for name in contents), what="the web servers, after the deadline")

    again = site.play("downgrade_restore", variables=variables)

    assert again.rc == 0, again.text
    back(site, contents)


def _waits(agent: Agent) -> bool:
    """Whether an agent has swapped its files, or more."""
    return any(
        '"swapped"' in path.read_text("utf-8") or '"released"' in path.read_text("utf-8") for path in agent.work_dir.glob("jobs/*/journal.json")
    )


@pytest.mark.parametrize(("job", "phase"), [("verify", ""), ("prepare", "preparation"), ("commit", "restore")])
def test_agent_that_falls_silent_during_the_restore(make_site: MakeSite, job: str, phase: str) -> None:
    """While a job of the restore is at work there: the other agent keeps what it had, its web server runs, and running again finishes."""
    site, contents = upgraded(make_site)
    migrated = site.cluster.digest("DMA1")
    variables = target(site.cluster, OLD, dataminer_restore_deadline=3, dataminer_poll_interval=0)
    site.switch_off("DMA2", module="restore", once=str(site.agents[1].work_dir / "jobs" / f"{job}-*"))

    run = site.play("downgrade_restore", variables=variables)

    assert run.rc != 0
    assert run.verdicts()["DMA2"] == "UNREACHABLE"
    said = run.messages("DMA1")[-1]
    assert (f"Stopped after the phase {phase}, for the cluster" if phase else "No backup was chosen on every agent of the cluster") in said
    assert "DMA2: unreachable" in said
    assert changed_paths(migrated, site.cluster.digest("DMA1")) == []
    assert site.webs()["DMA1"] == (OLD if phase else NEW)
    assert site.cluster.state("DMA1")["services"]["W3SVC"] == "Running"
    site.switch_on("DMA2")
    until(lambda: all(site.cluster.state(name)["services"]["W3SVC"] == "Running" for name in contents), what="the web servers, after the deadline")
    again = site.play("downgrade_restore", variables=variables)
    assert again.rc == 0, again.text
    back(site, contents)


def test_back_from_a_half_upgraded_cluster(make_site: MakeSite) -> None:
    """The agent that had failed keeps its older module, the others their newer ones: that is told, and is no failure of the way back."""
    site = make_site()
    contents = {agent.name: site.cluster.digest(agent.name) for agent in site.agents}
    site.cluster.set_state("DMA2", fail_at="prerequisites")
    assert site.play("upgrade_web", variables=target(site.cluster, NEW)).rc != 0
    assert site.webs() == {"DMA1": NEW, "DMA2": OLD}

    run = site.play("downgrade_restore", variables=target(site.cluster, OLD))

    assert run.rc == 0, run.text
    back(site, contents)
    assert "versions of GQI DxM differ" in run.summary
    assert "The GQI DxM and the Web DcM were NOT reinstalled" in run.summary


def test_some_apps_and_dashboards_only(make_site: MakeSite) -> None:
    """What isn't named stays as it is, migrated."""
    site, contents = upgraded(make_site, agents=1)
    before = site.cluster.digest("DMA1")
    booking = f"Applications/{site.cluster.app_folder('Satellite Booking')}/"
    chosen = {"dataminer_restore_apps": ["Satellite Booking"], "dataminer_restore_dashboards": ["Overview.dmadb.json"]}

    run = site.play("downgrade_restore", variables={**target(site.cluster, OLD), **chosen})

    assert run.rc == 0, run.text
    after = site.cluster.digest("DMA1")
    named = {path for path in contents["DMA1"] if path.startswith(booking) or path == "Dashboards/Overview.dmadb.json"}
    assert {path: after[path] for path in named} == {path: contents["DMA1"][path] for path in named}
    others = before.keys() - named
    assert {path: after[path] for path in others if "App.info" not in path} == {path: before[path] for path in others if "App.info" not in path}


def test_no_backup_of_the_target(make_site: MakeSite) -> None:
    """What there is gets listed, and nothing is touched."""
    site = make_site(web=NEW, vendor_backups=0)
    contents = {agent.name: site.cluster.digest(agent.name) for agent in site.agents}

    run = site.play("downgrade_restore", variables=target(site.cluster, "10.5.5"))

    assert run.rc != 0
    assert {agent.name: site.cluster.digest(agent.name) for agent in site.agents} == contents
    assert site.webs() == dict.fromkeys(contents, NEW)
    assert "No backup" in run.messages("DMA1")[0]
    assert "dataminer_backup" in run.messages("DMA1")[0]


def test_damaged_zip_on_one_agent(make_site: MakeSite) -> None:
    """It is found before anything is installed or restored anywhere."""
    site, contents = upgraded(make_site)
    (zip_path,) = site.cluster.agent("DMA2").backup_dir.glob("*.zip")
    data = bytearray(zip_path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    zip_path.write_bytes(data)
    migrated = {name: site.cluster.digest(name) for name in contents}

    run = site.play("downgrade_restore", variables=target(site.cluster, OLD))

    assert run.rc != 0
    assert {name: site.cluster.digest(name) for name in contents} == migrated
    assert site.webs() == dict.fromkeys(contents, NEW)
    assert zip_path.name in run.messages("DMA2")[0]


def test_only_the_install_by_tags(make_site: MakeSite) -> None:
    """Without a backup put aside nothing is installed: the installer could delete the one that is wanted."""
    site, contents = upgraded(make_site)

    run = site.play("downgrade_restore", "--tags", "upgrade", variables=target(site.cluster, OLD))

    assert run.rc != 0
    assert site.webs() == dict.fromkeys(contents, NEW)
    assert "without --tags and --skip-tags" in run.messages("DMA1")[0]
