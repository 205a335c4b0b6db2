"""Calls over PSRP that are never answered: what came of them is unknown, so the agent is reached anew and asked."""

from __future__ import annotations

import pytest
from conftest import MakeWindowsSite
from faulty import begin, closed, clusters, play, reach_again, told
from playbook import installs, until
from played import content_of, needs
from simulator.windows.faults import Fault
from simulator.windows.host import PlayedHost

pytestmark = pytest.mark.powershell

OLD, NEW = "10.5.6", "10.5.9"
SILENT = ("a_while", "for_good")  # agents, by how long nothing comes from them once the commit has begun


def given_up(host: PlayedHost) -> bool:
    """Whether the client takes leave of a shell that has fallen silent; it asks several times before."""
    return any(where.verb == "Delete" for where in host.faults.happened)


@pytest.mark.long
def test_a_restore_with_calls_that_are_not_answered(make_windows_site: MakeWindowsSite) -> None:
    """An agent that answers again goes on with the job that it has; one that doesn't is told of, ends by itself, and running again finishes it."""
    needs("psrp")
    site = clusters(make_windows_site, SILENT, connection="psrp", patience=1, web=NEW, five_from=OLD)
    site.tell_all(ansible_psrp_read_timeout=3, ansible_psrp_reconnection_backoff=0)
    wanted = {agent.name: content_of(min(agent.vendor_backup_dir.glob("*.zip"), key=lambda path: path.stat().st_mtime)) for agent in site.agents}
    for name in SILENT:
        site.host(name).faults.plan(Fault(kind="silent", verb="Receive", late=True, ran=told("kind", "commit"), lasting=True))

    playing = begin(site, "downgrade_restore", OLD, dataminer_restore_deadline=2)
    until(lambda: given_up(site.host("a_while")) or playing.process.poll() is not None, what="a client that gives up", seconds=300)
    site.host("a_while").faults.clear()
    run = playing.finish()

    assert run.rc != 0
    assert {name for name, row in run.recap.items() if row["failed"] or row["unreachable"]} == {"for_good"}, run.text
    assert "The agent doesn't answer, asked 2 times; jobs that run there go on by themselves" in " ".join(run.messages("for_good"))
    reach_again(site)

    again = play(site, "downgrade_restore", OLD)

    assert again.rc == 0, run.text + again.text
    assert site.webs() == dict.fromkeys(SILENT, OLD)
    for cluster in site.clusters:
        (agent,) = cluster.agents
        assert len(installs(agent, OLD)) == 2, "one that the simulator made up, one that was run"
        assert closed(agent)
        assert cluster.state(agent.name)["services"]["W3SVC"] == "Running"
        now = cluster.digest(agent.name)
        assert {path for path, digest in wanted[agent.name].items() if now.get(path) != digest} == set(), agent.name
