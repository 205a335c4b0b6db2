"""An upgrade over WinRM in which one call goes wrong, each in turn: nothing is lost, and running again finishes."""

from __future__ import annotations

import pytest
from conftest import MakeWindowsSite
from playbook import Run, installs, own_backups, until
from played import WindowsSite, content_of, settled
from simulator.content import APPS
from simulator.windows.faults import Fault

pytestmark = pytest.mark.powershell

OLD, NEW = "10.5.6", "10.5.9"
CALLS = 8  # of an upgrade of one agent; test_every_call_is_in_the_matrix counts them
# what goes wrong, at which request of the call, and whether the host has done its work by then
WAYS = {
    "dropped before the call": {"kind": "drop", "verb": "Command"},
    "dropped while it runs": {"kind": "drop", "verb": "Receive"},
    "answer lost": {"kind": "drop", "verb": "Receive", "late": True},
    "503 before the call": {"kind": "503", "verb": "Command"},
    "503 instead of the answer": {"kind": "503", "verb": "Receive", "late": True},
    "401 instead of the answer": {"kind": "401", "verb": "Receive", "late": True},
    "no shell": {"kind": "503", "verb": "Create"},
    "half of the script": {"kind": "drop", "verb": "Send"},
}
# the loss of an answer at every call, the other ways in turn
MATRIX = [(number, way) for number in range(1, CALLS + 1) for way in ("answer lost", list(WAYS)[number % len(WAYS)])]


def small(make: MakeWindowsSite) -> WindowsSite:
    """One agent with little on it."""
    return make(agents=1, apps=APPS[2:4], vendor_backups=0, patience=2)


def upgrade(site: WindowsSite) -> Run:
    """Polls that wait long: then the number of calls doesn't hang on how quick the machine is."""
    return site.play("upgrade_web", variables=site.target(dataminer_poll_interval=15))


def test_every_call_is_in_the_matrix(make_windows_site: MakeWindowsSite) -> None:
    site = small(make_windows_site)

    run = upgrade(site)

    assert run.rc == 0, run.text
    calls = site.scripts("DMA1")
    assert CALLS - 2 <= len(calls) <= CALLS, f"CALLS should be {len(calls)}: {calls}"


@pytest.mark.parametrize(("number", "way"), sorted(set(MATRIX)))
def test_fault(make_windows_site: MakeWindowsSite, number: int, way: str) -> None:
    site = small(make_windows_site)
    (agent,) = site.agents
    host, content = site.host("DMA1"), site.cluster.digest("DMA1")
    host.faults.plan(Fault(call=number, **WAYS[way]))  # type: ignore[arg-type]

    run = upgrade(site)

    assert run.rc == 0 or not host.faults.pending, run.text
    until(lambda: settled(agent), what="the end of all jobs")
    assert len(installs(agent)) <= 1
    assert site.webs()["DMA1"] == (NEW if installs(agent) else OLD)
    assert content in [site.cluster.digest("DMA1"), *(content_of(agent.backup_dir / name) for name in own_backups(agent))]
    host.faults.clear()

    again = upgrade(site)

    assert again.rc == 0, run.text + again.text
    assert site.webs() == {"DMA1": NEW}
    assert len(installs(agent)) == 1
    assert content in [content_of(agent.backup_dir / name) for name in own_backups(agent)]
    assert not list(agent.backup_dir.glob("*.partial"))
