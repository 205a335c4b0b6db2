"""downgrade_restore.yml on played Windows hosts: back to the version and the content of before an upgrade."""

from __future__ import annotations

import random
import re

import pytest
import shortcut
from conftest import MakeWindowsSite
from playbook import changed_paths, installs, own_backups
from played import WindowsSite, content_of
from simulator import edits

pytestmark = pytest.mark.powershell

OLD, NEW = "10.5.6", "10.5.9"
CONTENT = 8 * 1024 * 1024  # bytes that nothing packs


def upgraded(site: WindowsSite) -> dict[str, dict[str, str]]:
    """The content that a site had before an upgrade."""
    contents = {agent.name: site.cluster.digest(agent.name) for agent in site.agents}
    run = site.play("upgrade_web", variables=site.target(NEW))
    assert run.rc == 0, run.text
    assert run.verdicts() == dict.fromkeys(contents, "done")
    assert site.webs() == dict.fromkeys(contents, NEW)
    for agent in site.agents:
        assert contents[agent.name] != site.cluster.digest(agent.name)
        assert len(installs(agent)) == 1
        (name,) = own_backups(agent)
        assert content_of(agent.backup_dir / name) == contents[agent.name]
    return contents


def back(site: WindowsSite, contents: dict[str, dict[str, str]]) -> None:
    """Every agent has the old version and, by bytes, the old content; its web server runs."""
    for name, content in contents.items():
        after = site.cluster.digest(name)
        assert [path for path in changed_paths(content, after) if path in content] == []
        assert site.cluster.state(name)["services"]["W3SVC"] == "Running"
    assert site.webs() == dict.fromkeys(contents, OLD)


@pytest.mark.long
@pytest.mark.each_core
def test_dry_run_downgrade_and_a_second_run(make_nearest_site: MakeWindowsSite) -> None:
    """The dry run touches nothing; the downgrade brings all back; the second run finds nothing to do. The content stays on the agent."""
    site = make_nearest_site(agents=1)
    (site.agents[0].root / "Dashboards" / "plan.bin").write_bytes(random.Random(7).randbytes(CONTENT))
    contents = upgraded(site)
    assert site.rounds("DMA1") == {"scan": 2, "start": 2}, "one call to read the agent, one a phase, one to read it again"
    trees = site.trees()
    dry = site.play("downgrade_restore", "--check", "--diff", variables=site.target(OLD))
    assert dry.rc == 0, dry.text
    assert site.trees() == trees
    sent = [site.host("DMA1").sent]
    site.forget()
    before = {name: len(site.cluster.host_calls(name)) for name in contents}

    run = site.play("downgrade_restore", variables=site.target(OLD))

    assert run.rc == 0, run.text
    assert run.verdicts() == dict.fromkeys(contents, "done")
    for name, count in before.items():
        assert [call["argv"] for call in site.cluster.host_calls(name)[count:]] == [["stop", "W3SVC"], ["start", "W3SVC"]]
    back(site, contents)
    for agent in site.agents:
        (journal,) = (agent.work_dir / "jobs").glob("*/journal.json")
        assert '"released"' in journal.read_text("utf-8")
    # read, chosen, installed, prepared (planned anew after the install), committed, released, read
    assert site.rounds("DMA1") == {"scan": 3, "start": 4, "signal": 1}
    again = site.play("downgrade_restore", variables=site.target(OLD))
    assert again.rc == 0, again.text
    assert again.changed == 0
    back(site, contents)
    assert sum([*sent, site.host("DMA1").sent]) < CONTENT / 2, (
        "no content travels: an answer is some 100 kB, most of it the script that was asked for"
    )


@pytest.mark.long
def test_round_trips_of_a_restore(make_windows_site: MakeWindowsSite) -> None:
    """Of the same version: read, chosen, prepared, committed, released, read."""
    site = make_windows_site(agents=1)
    run = site.play("backup_web")
    assert run.rc == 0, run.text
    assert site.rounds("DMA1") == {"scan": 1, "start": 1}
    content = site.cluster.digest("DMA1")
    edits.drift(site.cluster, "DMA1")
    wanted = {"dataminer_target_version": OLD}
    refused = site.play("downgrade_restore", variables=wanted)
    code = re.search(r"dataminer_accept_loss=([A-Z]+)", refused.text)
    assert code, refused.text
    site.forget()

    run = site.play("downgrade_restore", variables={**wanted, "dataminer_accept_loss": code[1]})

    assert run.rc == 0, run.text
    assert site.cluster.digest("DMA1") == content
    assert site.rounds("DMA1") == {"scan": 2, "start": 3, "signal": 1}


@pytest.mark.long
def test_one_agent_fails_to_stop_its_web_server(make_windows_site: MakeWindowsSite) -> None:
    """The other one is put back as it was, so that nobody sees a half-restored cluster; running again finishes."""
    site = make_windows_site()
    contents = shortcut.upgraded(site, NEW)
    migrated = site.cluster.digest("DMA1")
    site.cluster.set_state("DMA2", service_fails=["stop"])

    run = site.play("downgrade_restore", variables=site.target(OLD))

    assert run.rc != 0
    assert site.cluster.state("DMA1")["services"]["W3SVC"] == "Running"
    assert site.cluster.digest("DMA1") == migrated
    site.cluster.set_state("DMA2", service_fails=[])
    again = site.play("downgrade_restore", variables=site.target(OLD))
    assert again.rc == 0, again.text
    back(site, contents)
