"""Jobs planned from what was seen earlier in the run: started in one call where that still holds, planned anew where it doesn't."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.agent import AgentState
from ansible_collections.dataminer.web.plugins.module_utils.case_backup import backup
from ansible_collections.dataminer.web.plugins.module_utils.case_common import Plan, Start, begin, unpack
from ansible_collections.dataminer.web.plugins.module_utils.case_info import agent_info
from ansible_collections.dataminer.web.plugins.module_utils.case_restore import restore
from ansible_collections.dataminer.web.plugins.module_utils.errors import Busy, InvalidInput, Refused
from ansible_collections.dataminer.web.plugins.module_utils.jobs import Basis, JobStatus
from ansible_collections.dataminer.web.plugins.module_utils.local_files import write_json
from ansible_collections.dataminer.web.plugins.module_utils.local_host import LocalHost
from local_kit import APP, Agent


class Watched:
    """A host that remembers what it was asked; nothing is started, but what a job's plan rests on is looked at."""

    def __init__(self, work_dir: Path) -> None:
        self.real, self.calls, self.specs = LocalHost(str(work_dir)), list[str](), list[dict[str, Any]]()
        self.restless = False

    def scan(self, request: dict[str, Any]) -> dict[str, Any]:
        self.calls.append("scan")
        return self.real.scan(request)

    def start(self, spec: dict[str, Any], run_id: str, basis: Basis | None = None) -> JobStatus:
        self.calls.append("start")
        self.specs.append(spec)
        holds = basis is None or (basis.holds(self.real.scan(basis.request)) and not self.restless)
        return JobStatus(run_id=run_id, kind=spec["kind"], state="waiting" if holds else "stale")

    def poll(self, run_id: str, wait: float = 0) -> JobStatus:
        self.calls.append("poll")
        return JobStatus(run_id=run_id, kind="", state="absent")


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    made = Agent(tmp_path)
    made.fill()
    made.write("Upgrades/VersionHistory.txt", "2025-03-27 11:16:35;10.5.6.0-15588-20250319-release\n")
    return made


def arguments(agent: Agent, *, seen: bool = True, **more: Any) -> dict[str, Any]:
    places = {"root": str(agent.root), "work_dir": str(agent.work), "backup_dir": str(agent.backups), "agent": "DMA1", "versions": "auto"}
    args: dict[str, Any] = {**places, "include_web": True}
    found = agent_info(agent.host, {**args, "content": True})["scan"] if seen else None
    return {**args, "seen": found, **more}


def test_a_job_planned_from_what_was_seen_takes_one_call(agent: Agent) -> None:
    host = Watched(agent.work)
    assert backup(host, arguments(agent), check=False)["job"]["kind"] == "backup"  # type: ignore[arg-type]
    assert host.calls == ["start"]


def test_what_changed_since_is_seen_before_the_job_begins(agent: Agent) -> None:
    """The job that is started holds what was made meanwhile."""
    host, args = Watched(agent.work), arguments(agent)
    agent.write("Applications/new/App.info.json", '{"PublicVersion": 1}')
    backup(host, args, check=False)  # type: ignore[arg-type]
    assert host.calls == ["start", "scan", "start"]
    assert [[item["path"] for item in spec["items"]] for spec in host.specs] == [
        [APP, "Dashboards"],
        [APP, "Applications/new", "Dashboards"],
    ]


def test_without_what_was_seen_the_agent_is_looked_at(agent: Agent) -> None:
    host = Watched(agent.work)
    backup(host, arguments(agent, seen=False), check=False)  # type: ignore[arg-type]
    assert host.calls == ["scan", "start"]


def test_in_check_mode_the_agent_is_looked_at(agent: Agent) -> None:
    host = Watched(agent.work)
    assert backup(host, arguments(agent), check=True)["backup"]["would"]  # type: ignore[arg-type]
    assert host.calls == ["scan"]


def test_that_nothing_is_needed_is_not_said_of_what_was_seen(agent: Agent) -> None:
    """Between two looks the agent may have gone back to the version of before."""
    host, args = Watched(agent.work), arguments(agent, before="10.5.6")
    assert backup(host, args, check=False)["msg"].startswith("No backup made")  # type: ignore[arg-type]
    assert host.calls == ["scan"]
    agent.write("Upgrades/VersionHistory.txt", "2025-03-27 11:16:35;10.5.4.0-15588-20250319-release\n")
    assert backup(host, args, check=False)["job"]  # type: ignore[arg-type]
    assert host.calls == ["scan", "scan", "start"]


def test_that_it_cannot_be_is_not_said_of_what_was_seen(agent: Agent) -> None:
    host, args = Watched(agent.work), arguments(agent)
    with pytest.raises(Busy, match="now"):
        begin(host, args, refusing(2))  # type: ignore[arg-type]
    assert host.calls == ["scan"]
    host.calls.clear()
    begin(host, args, refusing(1))  # type: ignore[arg-type]
    assert host.calls == ["scan", "start"]


def refusing(times: int) -> Plan:
    """A plan that can't be made so often."""
    left = [times]

    def plan(state: AgentState) -> Start:
        left[0] -= 1
        if left[0] >= 0:
            raise Busy("now")
        return Start(spec={"kind": "x"}, parts=("work",))

    return plan


def test_a_list_that_was_cut_is_not_planned_from(agent: Agent) -> None:
    for number in range(201):
        agent.write(f"Applications/{number}.txt")
    host, args = Watched(agent.work), arguments(agent)
    assert "content" not in unpack(args["seen"])["basis"]
    backup(host, args, check=False)  # type: ignore[arg-type]
    assert host.calls == ["scan", "start"]
    assert len(host.specs[0]["items"]) == 203


def test_an_agent_that_does_not_come_to_rest(agent: Agent) -> None:
    host = Watched(agent.work)
    host.restless = True
    with pytest.raises(Busy, match="changes all the time"):
        backup(host, arguments(agent), check=False)  # type: ignore[arg-type]
    assert host.calls == ["start", *["scan", "start"] * 3]


@pytest.mark.parametrize("seen", ["no scan", "AAAA"])
def test_what_cannot_be_read_is_told(agent: Agent, seen: str) -> None:
    with pytest.raises(InvalidInput, match="seen can't be read"):
        backup(Watched(agent.work), arguments(agent, seen=False) | {"seen": seen}, check=False)  # type: ignore[arg-type]


def open_restore(agent: Agent) -> None:
    """A commit that broke off."""
    folder = agent.store.create("c1")
    write_json(folder / "state.json", {"run_id": "c1", "kind": "commit", "owner": "me", "started": "2026-11-24T04:15:00Z", "work": "commit p1"})
    write_json(folder / "journal.json", {"state": "committing"})


def test_that_no_restore_is_open_was_seen_already(agent: Agent) -> None:
    host, args = Watched(agent.work), arguments(agent, state="undone")
    assert restore(host, args, check=False)["changed"] is False  # type: ignore[arg-type]
    assert host.calls == []


def test_that_one_was_open_is_looked_at_again(agent: Agent) -> None:
    """It may have been released meanwhile; an undo would take a finished restore back."""
    open_restore(agent)
    host, args = Watched(agent.work), arguments(agent, state="undone")
    write_json(agent.store.folder("c1") / "journal.json", {"state": "released"})
    assert restore(host, args, check=False)["changed"] is False  # type: ignore[arg-type]
    assert host.calls == ["scan"]


def test_no_backup_is_chosen_while_a_restore_is_open(agent: Agent) -> None:
    """One that broke off after it was seen that none is open."""
    spec = agent.backup_spec()
    agent.run({**spec, "header": {**spec["header"], "web_version": "10.5.6"}})
    host, args = Watched(agent.work), arguments(agent, state="chosen", version="10.5.6", backup="latest")
    open_restore(agent)
    with pytest.raises(Refused, match="A restore that broke off is open"):
        restore(host, args, check=False)  # type: ignore[arg-type]
    assert host.calls == ["start", "scan", "poll"]
    write_json(agent.store.folder("c1") / "journal.json", {"state": "undone"})
    restore(host, args, check=False)  # type: ignore[arg-type]
    assert host.calls == ["start", "scan", "poll", "start", "scan", "start"]


@pytest.mark.parametrize("safety", [True, False])
def test_none_is_prepared_while_a_restore_is_open(agent: Agent, safety: bool) -> None:
    """One that another run has left since the backup was chosen: to undo it later would take back this one, too."""
    chosen = {"name": "one.zip", "zip": "one.zip", "include": None, "bytes": 0, "leftovers": [], "web_version": None}
    more = {"chosen": {**chosen, "zip_sha256": "", "names_sha256": ""}, "safety_copy": safety}
    host, args = Watched(agent.work), arguments(agent, state="prepared", **more)
    open_restore(agent)
    with pytest.raises(Refused, match="A restore that broke off is open"):
        restore(host, args, check=False)  # type: ignore[arg-type]
    assert host.calls == ["start", "scan", "poll"]
    write_json(agent.store.folder("c1") / "journal.json", {"state": "undone"})
    restore(host, args, check=False)  # type: ignore[arg-type]
    assert host.specs[-1]["kind"] == "prepare"
