"""The step `undone`: the commit that was meant is undone, whatever its job does at that moment, and nobody else's."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.case_restore import restore
from ansible_collections.dataminer.web.plugins.module_utils.errors import Busy, JobFailed
from local_kit import SERVICE_SCRIPT, Agent, snapshot, wait_for

OVERVIEW = "Dashboards/Overview.dmadb.json"


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """A restore stands prepared as p1."""
    agent = Agent(tmp_path)
    agent.fill()
    agent.run(agent.backup_spec())
    agent.write(OVERVIEW, "migrated")
    agent.serve()
    agent.prepared(agent.backups / "one.zip")
    return agent


def arguments(agent: Agent, **more: Any) -> dict[str, Any]:
    folders = {"root": str(agent.root), "work_dir": str(agent.work), "backup_dir": str(agent.backups)}
    return {"state": "undone", "owner": "bob@two", "web_service": "W3SVC", "host_command": [str(agent.command)], **folders, **more}


def step(agent: Agent, **more: Any) -> dict[str, Any]:
    """The step, followed to its end as an action does it."""
    args = arguments(agent, **more)
    result, end = restore(agent.host, args, check=False, wait=5), time.monotonic() + 30
    while result["finished"] is False:
        assert time.monotonic() < end
        result = restore(agent.host, {**args, "run_id": result["job"]["run_id"]}, check=False, wait=5)
    return result


def waiting(agent: Agent, deadline: float = 60, **more: Any) -> None:
    agent.start(agent.commit_spec("p1", deadline=deadline, owner="ann@one", **more), "c1")
    assert agent.host.poll("c1", 10).state == "waiting"


def test_a_waiting_commit_is_told(agent: Agent) -> None:
    before = snapshot(agent.root)
    waiting(agent)
    result = step(agent, committed="c1")
    assert (result["job"]["run_id"], result["put_back"], result["notes"]) == ("c1", 1, [])
    assert (snapshot(agent.root), agent.store.journal("c1")) == (before, "undone")


def test_a_commit_that_is_told_while_it_starts_its_web_server_is_undone_all_the_same(agent: Agent) -> None:
    """Its deadline had passed: it doesn't listen any more."""
    before = snapshot(agent.root)
    agent.command.write_text(SERVICE_SCRIPT + f"while [ $1 = start ] && [ ! -e {agent.home / 'go-on'} ]; do sleep 0.05; done\n")
    agent.start(agent.commit_spec("p1", deadline=0), "c1")
    wait_for(lambda: agent.calls()[-1:] == ["start W3SVC"])
    args = arguments(agent, committed="c1")
    told = restore(agent.host, args, check=False, wait=0)
    assert (told["finished"], (agent.store.folder("c1") / "undo").exists()) == (False, True)
    (agent.home / "go-on").touch()
    assert wait_for(lambda: agent.host.poll("c1").result)["released_by"] == "deadline"
    result = step(agent, committed="c1", run_id="c1")
    assert (result["job"]["kind"], result["put_back"]) == ("undo", 1)
    assert (snapshot(agent.root), agent.store.journal("c1")) == (before, "undone")


def test_a_commit_that_had_ended_is_undone_by_a_job(agent: Agent) -> None:
    before = snapshot(agent.root)
    agent.run(agent.commit_spec("p1"), "c1")
    assert step(agent, committed="c1")["job"]["kind"] == "undo"
    assert (snapshot(agent.root), agent.store.journal("c1")) == (before, "undone")


def test_an_undo_that_is_repeated_changes_nothing_and_tells_what_stayed(agent: Agent) -> None:
    agent.run(agent.commit_spec("p1"), "c1")
    agent.write(OVERVIEW, "edited")
    first = step(agent, committed="c1")
    stays = f"1 file left in place, changed since or without one to put back: {OVERVIEW}"
    assert (first["changed"], first["notes"]) == (True, [stays])
    dry, again = restore(agent.host, arguments(agent, committed="c1"), check=True), step(agent, committed="c1")
    assert (dry["changed"], dry["msg"]) == (False, "Undone already: c1")
    assert (again["changed"], again["kept"], again["notes"]) == (False, [OVERVIEW], [stays])
    assert again["msg"] == f"Undone already by {first['job']['run_id']}, so nothing is put back now; the web server runs"


def test_a_commit_that_has_put_everything_back_is_not_undone_again(agent: Agent) -> None:
    waiting(agent)
    agent.write(OVERVIEW, "edited")
    first, again = step(agent, committed="c1"), step(agent, committed="c1")
    assert [(told["changed"], told["kept"]) for told in (first, again)] == [(True, [OVERVIEW]), (False, [OVERVIEW])]
    assert again["msg"] == "Undone already, so nothing is put back now; the web server runs"


def test_names_that_are_too_many_for_a_note_are_in_the_record_of_the_job(agent: Agent) -> None:
    paths = [f"Dashboards/{number}.dmadb.json" for number in range(25)]
    for path in paths:
        agent.write(path, "old")
    agent.run(agent.backup_spec(name="two.zip"))
    for path in paths:
        agent.write(path, "migrated")
    agent.prepared(agent.backups / "two.zip", "p2")
    agent.run(agent.commit_spec("p2"), "c2")
    for path in paths:
        agent.write(path, "edited")
    result = step(agent, committed="c2")
    record = agent.store.folder(result["job"]["run_id"]) / "result.json"
    (note,) = result["notes"]
    assert note.endswith(f" and 5 more, see {record}")
    assert all(path in record.read_text("utf-8") for path in paths)


def test_what_a_run_that_is_gone_has_left_is_undone(agent: Agent) -> None:
    before = snapshot(agent.root)
    agent.run(agent.commit_spec("p1"), "c1")
    agent.store.write_journal("c1", "committing")
    agent.write(OVERVIEW, "edited")
    result = step(agent)
    (note,) = result["notes"]
    assert str(agent.work / "conflicts/p1" / OVERVIEW) in note
    assert (snapshot(agent.root), agent.store.journal("c1")) == (before, "undone")
    assert step(agent) == {"changed": False, "finished": True, "msg": "No restore is open on this agent"}


def test_an_undo_that_broke_off_is_taken_up_although_its_commit_had_ended_well(agent: Agent) -> None:
    before = snapshot(agent.root)
    agent.start(agent.commit_spec("p1", deadline=0), "c1")
    wait_for(lambda: agent.host.poll("c1").state == "done")
    agent.store.write_journal("c1", "undoing")
    result = step(agent)
    assert (result["changed"], result["put_back"], snapshot(agent.root), agent.store.journal("c1")) == (True, 1, before, "undone")


def test_check_mode_tells_what_it_would_undo(agent: Agent) -> None:
    agent.run(agent.commit_spec("p1"), "c1")
    agent.store.write_journal("c1", "swapped")
    assert restore(agent.host, arguments(agent), check=True)["msg"] == "Would undo c1"
    assert agent.store.journal("c1") == "swapped"


def test_the_commit_of_another_run_that_lives_is_left_alone(agent: Agent) -> None:
    """Its own controller releases it, or the deadline does."""
    waiting(agent)
    until = wait_for(lambda: agent.host.poll("c1").progress.get("until"))
    with pytest.raises(Busy, match="A restore of another run is at work") as busy:
        step(agent)
    assert busy.value.found.startswith("commit job c1 of ann@one, started 20")
    assert f"starts its web server by itself at {until} at the latest" in busy.value.remedy
    assert (agent.store.journal("c1"), "start W3SVC" in agent.calls()) == ("swapped", False)
    agent.host.signal("c1", "release")
    assert wait_for(lambda: agent.host.poll("c1").result)["released_by"] == "release"
    assert step(agent)["changed"] is False
    assert agent.store.journal("c1") == "released"


def test_a_release_that_comes_after_somebody_undid_the_restore_says_so(agent: Agent) -> None:
    """The commit's own result still says that it started its web server by itself."""
    agent.run(agent.commit_spec("p1"), "c1")
    agent.store.record("c1", {"run_id": "c1", "kind": "commit", "owner": "ann", "started": "2026-11-24T04:15:00Z", "work": ""})
    (agent.store.folder("c1") / "result.json").write_text('{"result": {"swapped": 1, "quarantined": [], "released_by": "deadline"}}')
    released = step(agent, state="released", committed="c1")
    assert released["notes"] == ["nobody released this agent within the deadline: it started its web server by itself"]
    agent.run(agent.undo_spec("c1"), "u1")
    with pytest.raises(JobFailed, match="was undone, not released"):
        step(agent, state="released", committed="c1")


def test_an_undo_that_failed_says_why(agent: Agent) -> None:
    agent.run(agent.commit_spec("p1"), "c1")
    agent.break_service("stop")
    with pytest.raises(Exception, match="W3SVC didn't stop"):
        step(agent, committed="c1")
    agent.break_service("stop", broken=False)
    assert step(agent)["put_back"] == 1
