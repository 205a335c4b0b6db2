"""downgrade_restore.yml on a cluster: back to the version and the content of before, all agents or none."""

from __future__ import annotations

import hashlib
import re
import zipfile
from pathlib import Path

import pytest
import shortcut
from conftest import MakeSite
from playbook import ROOT, Run, Site, changed_paths, installs, scenarios, target, until
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
    webs = site.webs()
    for name, content in contents.items():
        cluster = site.cluster_of(name)
        assert changed_paths(content, cluster.digest(name)) == [], name
        assert cluster.state(name)["services"]["W3SVC"] == "Running", name
        assert webs[name] == OLD, name


def code_of(run: Run) -> str:
    found = re.search(r"dataminer_accept_loss=([A-Z]+)", run.text)
    assert found, run.text
    return found[1]


def test_dry_run_then_there_and_back_twice_with_edits_between(make_site: MakeSite) -> None:
    """From our own backup. The second time the backup of the second upgrade comes back, with what was edited before it; the same command once more
    changes nothing.
    """
    site, contents = upgraded(make_site, agents=1)
    (agent,), variables = site.agents, target(site.cluster, OLD)
    trees = site.trees()

    dry = site.play("downgrade_restore", "--check", "--diff", variables=variables)

    assert dry.rc == 0, dry.text
    assert site.trees() == trees
    assert dry.verdicts() == {"DMA1": "would change"}
    assert "+files: " in dry.text

    first = site.play("downgrade_restore", variables=variables)

    assert first.rc == 0, first.text
    back(site, contents)
    (copy,) = (agent.work_dir / "safety").glob("*.zip")
    assert copy.with_suffix(".manifest").exists()
    again = site.play("downgrade_restore", variables=variables)
    assert (again.rc, again.changed) == (0, 0), again.text
    back(site, contents)

    edits.drift(site.cluster, "DMA1")
    edited = site.cluster.digest("DMA1")
    shortcut.upgraded(site, NEW)
    second = site.play("downgrade_restore", variables=variables)

    assert second.rc == 0, second.text
    back(site, {"DMA1": edited})
    edits.add_dashboard(site.cluster, "Operations/Later")
    edited = site.cluster.digest("DMA1")
    again = site.play("downgrade_restore", variables=variables)
    assert (again.rc, again.changed) == (0, 0), again.text
    assert site.cluster.digest("DMA1") == edited


@pytest.mark.each_core
def test_the_oldest_of_five_is_wanted(make_site: MakeSite) -> None:
    """The older package makes a sixth zip, so the vendor deletes the wanted one; what it held is there again, byte for byte, on every agent."""
    site, oldest = five(make_site)
    draft = edits.add_draft(site.cluster, "Satellite Booking")
    later = edits.add_dashboard(site.cluster, "Operations/Later")
    wanted = {name: zip_digests(path) for name, path in oldest.items()}
    before: Contents = {name: site.cluster.digest(name) for name in wanted}

    dry = site.play("downgrade_restore", "--check", variables=target(site.cluster, OLD))
    refused = site.play("downgrade_restore", variables=target(site.cluster, OLD))

    assert dry.rc == 0, dry.text
    assert "would end well" not in dry.summary
    assert re.search(rf"The downgrade would STOP: \d+ changes? would be lost on {', '.join(wanted)}; to accept", dry.summary), dry.summary
    assert set(dry.verdicts().values()) == {"would STOP: the loss isn't accepted"}
    assert code_of(dry) == code_of(refused)
    assert refused.rc != 0
    assert site.webs() == dict.fromkeys(wanted, NEW)
    assert {name: site.cluster.digest(name) for name in wanted} == before
    assert "STOPPED, with nothing installed or restored by this run: " in refused.summary, refused.summary
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


def test_the_playbook_in_the_docs_puts_back_what_the_last_restore_replaced(make_site: MakeSite, tmp_path: Path) -> None:
    """But what was edited since: that is named, by the first run and by a second one, which changes nothing. It is also what comes first among what
    the safety copy would overwrite.
    """
    site, _contents = upgraded(make_site, agents=1)
    migrated = site.cluster.digest("DMA1")
    assert site.play("downgrade_restore", variables=target(site.cluster, OLD)).rc == 0
    edited = edits.drift(site.cluster, "DMA1")
    named = f"DMA1: 1 file left in place, changed since or without one to put back: {edited}"

    (copy,) = (site.agent("DMA1").work_dir / "safety").glob("*.zip")
    dry = site.play("downgrade_restore", "--check", variables=target(site.cluster, OLD, dataminer_backup=copy.name))

    first, second, *_others = re.findall(r"^DMA1 +(.*: .*)$", dry.text.partition("LOST if this is restored")[2].partition("\n\n")[0], re.MULTILINE)
    assert first.startswith('dashboard "Overview": changed, or migrated when opened'), dry.text
    assert "written while the last restore was carried out" in second
    (example,) = re.findall(r"^```yaml\n(- name: Put back .*?)^```$", (ROOT / "docs/troubleshooting.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (tmp_path / "undo.yml").write_text(example, "utf-8")

    paths = {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / "playbooks" / "collections")}
    run = site.play(str(tmp_path / "undo"), variables={"dataminer_target_version": OLD}, env=paths)

    assert run.rc == 0, run.text
    assert changed_paths(migrated, site.cluster.digest("DMA1")) == [edited]
    assert named in run.text

    again = site.play(str(tmp_path / "undo"), variables={"dataminer_target_version": OLD}, env=paths)

    assert (again.rc, again.changed) == (0, 0), again.text
    assert named in again.text


def test_killed_after_the_vendor_deleted_the_wanted_zip(make_site: MakeSite) -> None:
    """The only copy left is the one put aside: the next run finds it, and finishes."""
    site, oldest = five(make_site, agents=1, install_seconds=1)
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
    assert [len(installs(agent, OLD)) for agent in site.agents] == [2], "the one of the past, and one now"


def test_controller_killed_while_the_agents_wait_for_a_word(make_site: MakeSite) -> None:
    """After the deadline each agent starts its web server by itself; the next run undoes nothing that is good, and ends well."""
    site, contents = upgraded(make_site, agents=1)
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


def test_no_backup_of_the_target_and_a_damaged_one(make_site: MakeSite) -> None:
    """Found before anything is installed or restored anywhere; what there is gets listed."""
    site = make_site(*scenarios(none={"agents": 1, "web": NEW, "vendor_backups": 0}, damaged={}))
    shortcut.upgraded(site, NEW, "damaged")
    (zip_path,) = site.agent("damaged-2").backup_dir.glob("*.zip")
    data = bytearray(zip_path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    zip_path.write_bytes(data)
    for name, version in (("none", "10.5.5"), ("damaged", OLD)):
        site.tell_agents_of(name, **target(site.named(name), version))
    contents = {agent.name: site.cluster_of(agent.name).digest(agent.name) for agent in site.agents}

    run = site.play("downgrade_restore")

    assert run.rc != 0
    assert {name: site.cluster_of(name).digest(name) for name in contents} == contents
    assert site.webs() == dict.fromkeys(contents, NEW)
    assert "No backup" in run.messages("none-1")[0]
    assert "dataminer_backup" in run.messages("none-1")[0]
    assert zip_path.name in run.messages("damaged-2")[0]


def test_only_the_install_by_tags(make_site: MakeSite) -> None:
    """Without a backup put aside nothing is installed: the installer could delete the one that is wanted."""
    site, contents = upgraded(make_site, agents=1)

    run = site.play("downgrade_restore", "--tags", "upgrade", variables=target(site.cluster, OLD))

    assert run.rc != 0
    assert site.webs() == dict.fromkeys(contents, NEW)
    assert "without --tags and --skip-tags" in run.messages("DMA1")[0]
