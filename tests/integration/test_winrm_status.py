"""cluster_status.yml over WinRM and PSRP: the safe first command, and what refuses it."""

from __future__ import annotations

import pytest
from conftest import MakeWindowsSite
from playbook import jobs, own_backups
from played import needs
from simulator import edits
from simulator.windows.faults import Fault

pytestmark = pytest.mark.powershell


@pytest.mark.parametrize("connection", [pytest.param("winrm", marks=pytest.mark.each_core), "psrp"])
def test_in_step(make_windows_site: MakeWindowsSite, connection: str) -> None:
    """Read-only, by the one script. This is also the canary for the form in which this ansible-core sends module calls."""
    needs(connection)
    site = make_windows_site(connection=connection)
    before = site.trees()

    run = site.play("cluster_status")

    assert run.rc == 0, run.text
    assert run.changed == 0
    assert site.trees() == before
    assert run.verdicts() == {"DMA1": "in step", "DMA2": "in step"}
    assert "10.5.6 (CU0)" in run.summary
    assert "10.5.4 (CU0)" in run.summary
    assert [site.scripts(agent.name) for agent in site.agents] == [["scan"], ["scan"]]


@pytest.mark.windows
def test_in_step_under_wine(make_wine_site: MakeWindowsSite) -> None:
    """Trees at C:\\… of a Windows."""
    site = make_wine_site()
    before = site.trees()

    run = site.play("cluster_status")

    assert run.rc == 0, run.text
    assert site.trees() == before
    assert run.verdicts() == {"DMA1": "in step", "DMA2": "in step"}
    assert "10.5.6 (CU0)" in run.summary


def test_out_of_step(make_windows_site: MakeWindowsSite) -> None:
    site = make_windows_site(per_agent={"DMA2": {"web": "10.5.9"}})

    run = site.play("cluster_status")

    assert run.rc != 0
    said = run.messages("DMA1")[0]
    for part in ("NOT in step", "DMA1: 10.5.6 (CU0)", "DMA2: 10.5.9 (CU0)"):
        assert part in said


def test_content_that_differs_is_named(make_windows_site: MakeWindowsSite) -> None:
    site = make_windows_site()
    edits.drift(site.cluster, "DMA2")

    run = site.play("cluster_status")

    assert run.rc == 0, run.text
    assert 'dashboard "Overview"' in run.said.replace('\\"', '"')


def test_wrong_password(make_windows_site: MakeWindowsSite) -> None:
    """401: the host counts as unreachable, the other is told about, and nothing hangs."""
    site = make_windows_site()
    site.host("DMA2").password = "changed-since"

    run = site.play("cluster_status")

    assert run.rc != 0
    assert run.recap["DMA2"]["failed"] == 1
    assert "the specified credentials were rejected by the server" in run.text
    assert "Correct user or password" in run.said
    assert run.verdicts()["DMA2"] == "UNREACHABLE"
    assert "10.5.6 (CU0)" in run.summary
    assert not site.host("DMA2").calls


def test_closed_port(make_windows_site: MakeWindowsSite) -> None:
    site = make_windows_site()
    site.server("DMA2").leave()

    run = site.play("cluster_status")

    assert run.rc != 0
    assert run.recap["DMA2"]["failed"] == 1
    assert run.verdicts()["DMA2"] == "UNREACHABLE"


@pytest.mark.parametrize("verb", ["Create", "Command", "Send", "Receive"])
def test_operation_timeouts(make_windows_site: MakeWindowsSite, verb: str) -> None:
    """WS-Man's own fault: it means "not yet", or costs a second connection; either way all goes well, without a hang."""
    site = make_windows_site(agents=1)
    site.host("DMA1").faults.plan(Fault(kind="timeout", call=1, verb=verb, late=verb == "Send"))

    run = site.play("cluster_status")

    assert not site.host("DMA1").faults.pending
    assert run.rc == 0, run.text
    assert run.recap["DMA1"]["unreachable"] == 0


def test_inherited_become(make_windows_site: MakeWindowsSite) -> None:
    """ansible.cfg or AWX may ask for sudo on all hosts; Windows has none. Told clearly, with nothing sent; what it says to do is enough."""
    site = make_windows_site(agents=1)
    inherited = {"ANSIBLE_BECOME": "true"}

    run = site.play("cluster_status", env=inherited)

    assert run.rc != 0
    for part in ("Windows can't become another user by sudo", "Needed: no become", "ansible_become: false"):
        assert part.lower() in run.said.lower()
    assert not site.host("DMA1").calls

    site.tell(ansible_become=False)
    again = site.play("cluster_status", env=inherited)

    assert again.rc == 0, again.text
    assert again.verdicts() == {"DMA1": "in step"}


def test_read_timeout(make_windows_site: MakeWindowsSite) -> None:
    """The host does what it is asked and says nothing, until the client gives up: sent again, the call finds the job that it began."""
    site = make_windows_site(agents=1, patience=2)
    site.tell(ansible_winrm_read_timeout_sec=4)
    host, (agent,) = site.host("DMA1"), site.agents
    host.faults.plan(Fault(kind="silent", verb="Receive", late=True, ran=lambda call: (call.args.get("parameters") or {}).get("kind") == "backup"))

    run = site.play("backup_web")

    assert not host.faults.pending
    assert run.rc == 0, run.text
    assert len(jobs(agent, "backup")) == len(own_backups(agent)) == 1
    assert site.rounds("DMA1")["start"] == 2


@pytest.mark.parametrize(
    ("module", "argument"), [("ansible.builtin.raw", "dir"), ("ansible.builtin.command", "ls"), ("ansible.windows.win_ping", None)]
)
def test_what_is_no_part_of_the_collection_is_refused(make_windows_site: MakeWindowsSite, module: str, argument: str | None) -> None:
    """The played host itself: Python modules, other commands and modules that it doesn't model fail loudly."""
    site = make_windows_site(agents=1)
    site.tolerant = True

    run = site.adhoc(module, argument)

    assert run.rc != 0
    assert site.played.refused
    assert "played host DMA1" in run.text or "interpreter" in run.text
