"""cluster_status.yml over WinRM and PSRP: the safe first command, and what refuses it."""

from __future__ import annotations

import pytest
from conftest import MakeWindowsSite
from playbook import jobs, own_backups, scenarios
from played import needs
from simulator import edits
from simulator.windows.faults import Fault

pytestmark = pytest.mark.powershell


@pytest.mark.parametrize("connection", ["winrm", "psrp"])
def test_in_step(make_windows_site: MakeWindowsSite, connection: str) -> None:
    """Read-only, by the one script, whose answer may come in pieces. Content that differs is news."""
    needs(connection)
    site = make_windows_site(connection=connection)
    site.host("DMA1").piece = 1_000
    edits.drift(site.cluster, "DMA2")
    before = site.trees()

    run = site.play("cluster_status")

    assert run.rc == 0, run.text
    assert run.changed == 0
    assert site.trees() == before
    assert run.verdicts() == {"DMA1": "in step", "DMA2": "in step"}
    assert "10.5.6 (CU0)" in run.summary
    assert "10.5.4 (CU0)" in run.summary
    assert [site.scripts(agent.name) for agent in site.agents] == [["scan"], ["scan"]]
    fetched = [[seen.where.verb for seen in site.host(agent.name).requests].count("Receive") for agent in site.agents]
    assert fetched[0] > fetched[1] + 3
    assert 'dashboard "Overview"' in run.said.replace('\\"', '"')


def test_what_cannot_be_read_and_what_is_out_of_step(make_windows_site: MakeWindowsSite) -> None:
    """A wrong password (401) and a closed port make a host unreachable: the others are told about, and nothing hangs."""
    site = make_windows_site(*scenarios(unread={"agents": 3}, out_of_step={"per_agent": {"out_of_step-2": {"web": "10.5.9"}}}))
    site.host("unread-2").password = "changed-since"
    site.server("unread-3").leave()

    run = site.play("cluster_status", "--forks", "5")

    assert run.rc != 0
    assert [run.recap[f"unread-{number}"]["failed"] for number in (2, 3)] == [1, 1]
    assert "the specified credentials were rejected by the server" in run.text
    assert "Correct user or password" in run.said
    assert run.verdicts("unread") | {"unread-1": ""} == {"unread-1": "", "unread-2": "UNREACHABLE", "unread-3": "UNREACHABLE"}
    assert "10.5.6 (CU0)" in run.summary
    assert not site.host("unread-2").calls
    said = run.messages("out_of_step-1")[0]
    for part in ("NOT in step", "out_of_step-1: 10.5.6 (CU0)", "out_of_step-2: 10.5.9 (CU0)"):
        assert part in said


def test_operation_timeouts(make_windows_site: MakeWindowsSite) -> None:
    """WS-Man's own fault: it means "not yet", or costs a second connection; either way all goes well, without a hang. One agent for each verb."""
    verbs = ("Create", "Command", "Send", "Receive")
    site = make_windows_site(*scenarios(**{verb: {"agents": 1} for verb in verbs}))
    for verb in verbs:
        site.host(f"{verb}-1").faults.plan(Fault(kind="timeout", call=1, verb=verb, late=verb == "Send"))

    run = site.play("cluster_status")

    assert [verb for verb in verbs if site.host(f"{verb}-1").faults.pending] == []
    assert run.rc == 0, run.text
    assert [run.recap[f"{verb}-1"]["unreachable"] for verb in verbs] == [0] * 4


def test_inherited_become(make_windows_site: MakeWindowsSite) -> None:
    """ansible.cfg or AWX may ask for sudo on all hosts; Windows has none. Told clearly, with nothing sent; what it says to do is enough."""
    site = make_windows_site(agents=1)
    inherited = {"ANSIBLE_BECOME": "true"}

    run = site.play("cluster_status", env=inherited)

    assert run.rc != 0
    for part in ("Windows can't become another user by sudo", "Needed: no become", "ansible_become: false"):
        assert part.lower() in run.said.lower()
    assert not site.host("DMA1").calls

    site.tell_all(ansible_become=False)
    again = site.play("cluster_status", env=inherited)

    assert again.rc == 0, again.text
    assert again.verdicts() == {"DMA1": "in step"}


def test_read_timeout(make_windows_site: MakeWindowsSite) -> None:
    """The host does what it is asked and says nothing, until the client gives up: sent again, the call finds the job that it began."""
    site = make_windows_site(agents=1, patience=2)
    site.tell_all(ansible_winrm_read_timeout_sec=4)
    host, (agent,) = site.host("DMA1"), site.agents
    host.faults.plan(Fault(kind="silent", verb="Receive", late=True, ran=lambda call: (call.args.get("parameters") or {}).get("kind") == "backup"))

    run = site.play("backup_web")

    assert not host.faults.pending
    assert run.rc == 0, run.text
    assert len(jobs(agent, "backup")) == len(own_backups(agent)) == 1
    assert site.rounds("DMA1")["start"] == 2


def test_what_is_no_part_of_the_collection_is_refused(make_windows_site: MakeWindowsSite) -> None:
    """The played host itself: Python modules, other commands and modules that it doesn't model fail loudly."""
    site = make_windows_site(agents=1)
    site.tolerant = True

    for module, argument in (("ansible.builtin.raw", "dir"), ("ansible.builtin.command", "ls"), ("ansible.windows.win_ping", None)):
        site.host("DMA1").refused.clear()
        run = site.adhoc(module, argument)

        assert run.rc != 0
        assert site.played.refused
        assert "played host DMA1" in run.text or "interpreter" in run.text
