"""Calls over WinRM that go wrong: nothing is lost, no installer runs twice, and running again finishes.

Every agent is a cluster of its own with a fault of its own, so that one run of a playbook covers many.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from conftest import MakeWindowsSite
from faulty import closed, clusters, play, reach_again, told
from playbook import installs, own_backups
from played import WindowsSite, content_of
from simulator.windows.faults import Fault

pytestmark = pytest.mark.powershell

OLD, NEW = "10.5.6", "10.5.9"
WINRM: dict[str, Any] = {"connection": "winrm", "patience": 3}
# how calls are lost, each at the next of these requests, some once it was carried out. Where the answer alone is lost, the call is done already
LOST: dict[str, dict[str, Any]] = {
    "answers": {"kind": "drop", "turns": (("Receive", True),)},
    "dropped": {
        "kind": "drop",
        "turns": (("Receive", False), ("Send", False), ("Signal", False), ("Create", False), ("Command", True), ("Send", True)),
    },
    "503": {"kind": "503", "turns": (("Create", False), ("Command", False), ("Signal", False), ("Receive", True), ("Send", False))},
}

# the last call whose work is done before the agent is silent, to whatever is asked: each leaves it in another state
SILENT_AFTER: dict[str, dict[str, Any]] = {
    "verify": {"kind": "drop", "ran": told("kind", "verify")},
    "install": {"kind": "503", "ran": told("kind", "install")},
    "prepare": {"kind": "drop", "ran": told("kind", "prepare")},
    "commit": {"kind": "401", "ran": told("kind", "commit")},
    "release": {"kind": "drop", "ran": told("word", "release")},
}


def states(site: WindowsSite) -> dict[str, Any]:
    """Each agent's machine."""
    return {agent.name: cluster.state(agent.name) for cluster in site.clusters for agent in cluster.agents}


def lose_every_call(site: WindowsSite) -> None:
    for agent in site.agents:
        site.host(agent.name).faults.plan(Fault(**LOST[agent.name]))


def were_lost_by_turns(site: WindowsSite, scripts: set[str]) -> None:
    """Calls came twice, lost first and carried out then, and all these scripts were among them. One without a shell doesn't count as begun."""
    for agent in site.agents:
        host = site.host(agent.name)
        verbs, turns = [where.verb for where in host.faults.happened], [verb for verb, _ in LOST[agent.name]["turns"]]
        assert verbs == (turns * len(verbs))[: len(verbs)], agent.name
        assert set(turns) <= set(verbs), agent.name
        assert 2 * len(verbs) >= host.begun, agent.name
        assert scripts <= set(site.scripts(agent.name)), agent.name


def test_upgrade_that_loses_every_call_once(make_windows_site: MakeWindowsSite) -> None:
    """The loss costs nothing: what was lost is sent again, and what was done already isn't done twice."""
    site = clusters(make_windows_site, LOST, **WINRM, web=OLD, vendor_backups=0)
    contents = {agent.name: cluster.digest(agent.name) for cluster in site.clusters for agent in cluster.agents}
    lose_every_call(site)

    run = play(site, "upgrade_web", NEW)

    assert run.rc == 0, run.text
    were_lost_by_turns(site, {"scan", "start"})
    assert site.webs() == dict.fromkeys(LOST, NEW)
    for agent in site.agents:
        assert len(installs(agent)) == 1
        (backup,) = own_backups(agent)
        assert content_of(agent.backup_dir / backup) == contents[agent.name]
        assert not list(agent.backup_dir.glob("*.partial"))


def gone_back(site: WindowsSite) -> None:
    """The old version, by one install, with the old content, and a web server that runs."""
    assert site.webs() == {agent.name: OLD for agent in site.agents}
    for agent in site.agents:
        assert len(installs(agent, OLD)) == 2, "one that the simulator made up, one that was run"
        assert closed(agent), agent.name
        assert states(site)[agent.name]["services"]["W3SVC"] == "Running"


def restored(site: WindowsSite, wanted: Mapping[str, Mapping[str, str]]) -> None:
    for cluster in site.clusters:
        for agent in cluster.agents:
            now = cluster.digest(agent.name)
            assert {path for path, digest in wanted[agent.name].items() if now.get(path) != digest} == set(), agent.name


def before_the_upgrade(site: WindowsSite) -> dict[str, dict[str, str]]:
    """What each agent's oldest backup holds, which is of before the upgrade."""
    zips = {agent.name: min(agent.vendor_backup_dir.glob("*.zip"), key=lambda path: path.stat().st_mtime) for agent in site.agents}
    return {name: content_of(path) for name, path in zips.items()}


def test_downgrade_that_loses_every_call_once(make_windows_site: MakeWindowsSite) -> None:
    """From the choice of the backup to the release of the web server."""
    site = clusters(make_windows_site, ("dropped", "503"), **WINRM, web=NEW, five_from=OLD)
    wanted = before_the_upgrade(site)
    lose_every_call(site)

    run = play(site, "downgrade_restore", OLD)

    assert run.rc == 0, run.text
    were_lost_by_turns(site, {"scan", "start", "signal"})
    gone_back(site)
    restored(site, wanted)


@pytest.mark.long
def test_agents_that_fall_silent_during_a_downgrade(make_windows_site: MakeWindowsSite) -> None:
    """What was begun ends by itself, the web servers come back without anybody, and running again finishes all of them."""
    site = clusters(make_windows_site, SILENT_AFTER, **WINRM, web=NEW, five_from=OLD)
    wanted = before_the_upgrade(site)
    for name, fault in SILENT_AFTER.items():
        site.host(name).faults.plan(Fault(verb="Receive", late=True, lasting=True, **fault))

    run = play(site, "downgrade_restore", OLD, dataminer_restore_deadline=2)

    assert run.rc != 0
    assert [name for name in SILENT_AFTER if site.host(name).faults.pending] == []
    for name, fault in SILENT_AFTER.items():
        said = " ".join(run.messages(name))
        assert ("refuses the log-on" if fault["kind"] == "401" else "doesn't answer") in said
        assert "jobs that run there go on by themselves" in said
    reach_again(site)
    assert {name: state["services"]["W3SVC"] for name, state in states(site).items()} == dict.fromkeys(SILENT_AFTER, "Running")

    again = play(site, "downgrade_restore", OLD)

    assert again.rc == 0, run.text + again.text
    gone_back(site)
    restored(site, wanted)
