"""Undoing a restore: after a commit killed at any point, repeatedly, and without overwriting what somebody wrote since."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils import local_restore, local_swap
from ansible_collections.dataminer.web.plugins.module_utils.errors import JobFailed, NoSuchJob, Refused, ServiceFailed
from ansible_collections.dataminer.web.plugins.module_utils.local_files import write_json
from ansible_collections.dataminer.web.plugins.module_utils.local_swap import Swap
from ansible_collections.dataminer.web.plugins.module_utils.local_swapback import WayBack
from local_kit import APP, Agent, snapshot, wait_for

OVERVIEW = "Dashboards/Overview.dmadb.json"
LATER = f"{APP}/version_9"
CREATED = "Applications/gone/version_1/pages/0.dmadb.json"
NOTHING = {"put_back": 0, "removed": 0, "kept": [], "conflicts": []}


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """Ten files to replace, four to create in folders that are there and that aren't, a left-over; prepared as p1."""
    agent = Agent(tmp_path)
    agent.fill()
    for number in range(3):
        agent.write(f"Dashboards/{number}.dmadb.json", f"dashboard {number}")
        agent.write(f"Applications/gone/version_1/pages/{number}.dmadb.json", f"gone {number}")
    agent.write("Dashboards/Empty now/x.dmadb.json", "x")
    agent.run(agent.backup_spec("Dashboards", APP, "Applications/gone"))
    for path in sorted(agent.root.rglob("*"), reverse=True):
        if "gone" in path.parts:
            path.unlink() if path.is_file() else path.rmdir()
        elif path.is_file():
            path.write_text("migrated " + path.name)
            path.chmod(0o640)
    (agent.root / "Dashboards/Empty now/x.dmadb.json").unlink()
    agent.write(f"{LATER}/App.config.json", "later")
    agent.serve()
    agent.prepared(agent.backups / "one.zip")
    return agent


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_at(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, call: int, *, before: bool = True, only: Callable[..., bool] | None = None
) -> None:
    """Let the process die at the given call of a function, before or right after it."""
    real, made = getattr(owner, name), []

    def dies(*args: Any, **more: Any) -> Any:
        if only and not only(*args):
            return real(*args, **more)
        made.append(1)
        if len(made) == call and before:
            die()
        value = real(*args, **more)
        if len(made) == call:
            die()
        return value

    monkeypatch.setattr(owner, name, dies)


def of_root(agent: Agent) -> Callable[..., bool]:
    """Calls that change the content; not the writing of records."""
    return lambda *args: any(str(arg).startswith((str(agent.root), str(agent.work / "replaced"))) for arg in args)


POINTS: dict[str, tuple[Any, str, int, bool]] = {
    "before the web server stops": (local_restore.WebServer, "_call", 1, True),
    "after the web server stopped": (local_restore.WebServer, "_call", 1, False),
    "before the plan is written down": (Swap, "begin", 1, True),
    "after the plan is written down": (Swap, "begin", 1, False),
    "before the first link": (os, "link", 1, True),
    "after the first link": (os, "link", 1, False),
    "after the first file": (os, "replace", 1, False),
    "before the fourth file": (os, "replace", 4, True),
    "after the fourth link": (os, "link", 4, False),
    "after the first new folder": (os, "mkdir", 1, False),
    "before the eighth file": (os, "replace", 8, True),
    "after the last file": (Swap, "forward", 1, False),
    "after the left-overs": (Swap, "move_leftovers", 1, False),
    "before the files are read back": (Swap, "wrong", 1, True),
    "after the files are read back": (Swap, "wrong", 1, False),
    "while it waits": (local_restore, "_await_word", 1, True),
    "before the web server starts": (local_restore.WebServer, "_call", 2, True),
    "after the web server started": (local_restore.WebServer, "_call", 2, False),
}


def commit_killed(agent: Agent, monkeypatch: pytest.MonkeyPatch, point: str, run_id: str = "c1") -> None:
    owner, name, call, before = POINTS[point]
    with monkeypatch.context() as patched:
        killed_at(patched, owner, name, call, before=before, only=of_root(agent) if owner is os else None)
        agent.start(agent.commit_spec("p1", leftovers=[LATER]), run_id)
        wait_for(lambda: agent.host.poll(run_id).state == "dead", 30)
    assert agent.store.journal(run_id) in ("committing", "swapped")


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_commit_is_undone_to_the_byte(agent: Agent, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    before = snapshot(agent.root)
    commit_killed(agent, monkeypatch, point)
    status = agent.follow(agent.undo_spec("c1"), "u1")
    assert status.state == "done", status.error
    assert status.result["kept"] == []
    assert snapshot(agent.root) == before
    assert [path for path in (agent.work / "replaced").rglob("*") if path.is_file()] == []
    stopped = [] if point == "before the web server stops" else ["stop W3SVC"]
    assert (agent.calls()[-2:], agent.store.journal("c1")) == ([*stopped, "start W3SVC"], "undone")


@pytest.mark.parametrize("point", ["before the first link", "before the fourth file", "after the left-overs", "while it waits"])
def test_undoing_again_changes_nothing(agent: Agent, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    before = snapshot(agent.root)
    commit_killed(agent, monkeypatch, point)
    agent.run(agent.undo_spec("c1"), "u1")
    agent.write(OVERVIEW, "edited since")
    agent.write(CREATED, "gone 0")
    edited = snapshot(agent.root)
    for run_id in ("u2", "u3"):
        assert agent.run(agent.undo_spec("c1"), run_id) == {**NOTHING, "before": "u1"}
    assert snapshot(agent.root) == edited != before
    assert agent.calls()[-1] == "start W3SVC"


UNDO_POINTS: dict[str, tuple[Any, str, int, bool]] = {
    "before the web server stops": (local_restore.WebServer, "_call", 1, True),
    "before the first file": (os, "replace", 1, True),
    "after the third file": (os, "replace", 3, False),
    "after the first removal": (os, "unlink", 1, False),
    "before the folders go": (WayBack, "_drop_folders", 1, True),
    "before the web server starts": (local_restore.WebServer, "_call", 2, True),
}


@pytest.mark.parametrize("point", UNDO_POINTS)
@pytest.mark.parametrize("after", ["after the fourth link", "while it waits"])
def test_a_killed_undo_is_taken_up_again(agent: Agent, monkeypatch: pytest.MonkeyPatch, point: str, after: str) -> None:
    before = snapshot(agent.root)
    commit_killed(agent, monkeypatch, after)
    owner, name, call, first = UNDO_POINTS[point]
    with monkeypatch.context() as patched:
        killed_at(patched, owner, name, call, before=first, only=of_root(agent) if owner is os else None)
        assert agent.follow(agent.undo_spec("c1"), "u1").state == "dead"
    assert agent.store.journal("c1") == "undoing"
    agent.run(agent.undo_spec("c1"), "u2")
    assert snapshot(agent.root) == before
    assert agent.calls()[-1] == "start W3SVC"


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_commit_can_be_finished_instead(agent: Agent, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    commit_killed(agent, monkeypatch, point)
    result = agent.run(agent.commit_spec("p1", leftovers=[LATER]), "c2")
    assert (result["verified"], result["quarantined"]) == (14, [LATER])
    assert (agent.root / OVERVIEW).read_text() == "overview" * 100
    assert (agent.root / "Applications/gone/version_1/pages/2.dmadb.json").read_text() == "gone 2"
    assert {row["state"] for row in agent.store.journal_rows()} == {"released"}


@pytest.mark.parametrize("point", ["after the fourth link", "after the left-overs", "while it waits"])
def test_a_commit_that_was_finished_is_undone_to_the_byte(agent: Agent, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    before = snapshot(agent.root)
    commit_killed(agent, monkeypatch, point)
    agent.run(agent.commit_spec("p1", leftovers=[LATER]), "c2")
    agent.run(agent.undo_spec("c2"), "u1")
    assert snapshot(agent.root) == before
    assert agent.store.journal("c2") == "undone"


def test_a_released_restore_is_undone_to_the_byte(agent: Agent) -> None:
    """The empty folder that was there before stays, those that the restore made go."""
    before = snapshot(agent.root)
    agent.run(agent.commit_spec("p1", leftovers=[LATER]), "c1")
    assert agent.run(agent.undo_spec("c1"), "u1") == {"put_back": 10, "removed": 4, "kept": [], "conflicts": []}
    assert snapshot(agent.root) == before


def test_what_is_put_back_has_a_time_of_now(agent: Agent) -> None:
    os.utime(agent.root / OVERVIEW, (1_700_000_000, 1_700_000_000))
    agent.run(agent.commit_spec("p1"), "c1")
    agent.run(agent.undo_spec("c1"), "u1")
    assert (agent.root / OVERVIEW).stat().st_mtime > 1_700_000_060


def test_what_somebody_wrote_since_stays_and_is_named(agent: Agent) -> None:
    agent.run(agent.commit_spec("p1", leftovers=[LATER]), "c1")
    agent.write(OVERVIEW, "edited")
    agent.write(CREATED, "edited too")
    agent.write(f"{LATER}/x", "published again")
    agent.write("Applications/gone/version_1/other.json", "somebody's own")
    result = agent.run(agent.undo_spec("c1"), "u1")
    assert sorted(result["kept"]) == sorted([OVERVIEW, CREATED, LATER])
    assert (result["put_back"], result["removed"]) == (9, 3)
    assert (agent.root / OVERVIEW).read_text() == "edited"
    assert (agent.root / CREATED).read_text() == "edited too"
    assert (agent.root / "Applications/gone/version_1/other.json").exists()
    assert (agent.work / "replaced/p1" / OVERVIEW).read_text() == "migrated Overview.dmadb.json"


def test_what_a_broken_off_swap_left_half_is_put_back_whatever_is_in_it(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power cut a file may hold anything. Nobody can tell it from one that was edited since, so it is moved away."""
    before = snapshot(agent.root)
    commit_killed(agent, monkeypatch, "after the last file")
    torn = "Applications/gone/version_1/pages/1.dmadb.json"
    (agent.root / OVERVIEW).write_bytes(b"\0" * 10)
    (agent.root / torn).write_bytes(b"")
    result = agent.run(agent.undo_spec("c1"), "u1")
    assert result["kept"] == []
    assert sorted(result["conflicts"]) == [str(agent.work / "conflicts/p1" / path) for path in (torn, OVERVIEW)]
    assert (agent.work / "conflicts/p1" / OVERVIEW).read_bytes() == b"\0" * 10
    assert snapshot(agent.root) == before


def test_a_restored_file_that_was_deleted_since_comes_back_as_it_was_before(agent: Agent) -> None:
    before = snapshot(agent.root)
    agent.run(agent.commit_spec("p1"), "c1")
    (agent.root / OVERVIEW).unlink()
    agent.run(agent.undo_spec("c1"), "u1")
    assert snapshot(agent.root) == before


def test_one_file_that_cannot_be_put_back_does_not_keep_the_others(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshot(agent.root)
    agent.run(agent.commit_spec("p1"), "c1")
    real = os.replace

    def replace(source: str, target: str) -> None:
        if str(target).endswith("Overview.dmadb.json"):
            raise PermissionError(errno.EPERM, "Operation not permitted", target)
        real(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(local_swap.os, "replace", replace)
        status = agent.follow(agent.undo_spec("c1"), "u1")
    assert status.state == "failed"
    assert f"{OVERVIEW} (Operation not permitted)" in status.error["found"]
    assert agent.store.journal("c1") == "undoing"
    changed = {path for path in before if before[path] != snapshot(agent.root).get(path)}
    assert changed == {OVERVIEW}
    agent.run(agent.undo_spec("c1"), "u2")
    assert snapshot(agent.root) == before


def test_an_undo_whose_web_server_does_not_stop_changes_nothing_and_stays_open(agent: Agent) -> None:
    agent.run(agent.commit_spec("p1"), "c1")
    done = snapshot(agent.root)
    agent.break_service("stop")
    with pytest.raises(ServiceFailed):
        agent.run(agent.undo_spec("c1"), "u1")
    assert snapshot(agent.root) == done
    assert (agent.calls()[-1], agent.store.journal("c1")) == ("start W3SVC", "undoing")


def test_a_commit_that_never_began_needs_no_undo(agent: Agent) -> None:
    folder = agent.store.create("c1")
    write_json(folder / "spec.json", agent.commit_spec("p1"))
    assert agent.run(agent.undo_spec("c1"), "u1") == NOTHING
    assert agent.calls() == []


def test_a_commit_that_nobody_started(agent: Agent) -> None:
    with pytest.raises(NoSuchJob, match="No commit c9"):
        agent.run(agent.undo_spec("c9"), "u1")


def test_a_restore_whose_old_files_are_gone_cannot_be_undone_by_half(agent: Agent) -> None:
    """They go once a later restore has ended well, not before."""
    agent.run(agent.commit_spec("p1"), "c1")
    agent.prepared(agent.backups / "one.zip", "p2")
    assert (agent.work / "replaced/p1" / OVERVIEW).exists()
    agent.run(agent.commit_spec("p2"), "c2")
    done = snapshot(agent.root)
    with pytest.raises(NoSuchJob, match="No restore stands prepared"):
        agent.run(agent.undo_spec("c1"), "u1")
    assert snapshot(agent.root) == done
    assert agent.store.journal("c1") == "released"
    assert [folder.name for name in ("replaced", "staging") for folder in agent.store.subfolders(name)] == []


def test_a_restore_is_undone_although_a_later_one_stands_prepared(agent: Agent) -> None:
    before = snapshot(agent.root)
    agent.run(agent.commit_spec("p1"), "c1")
    agent.prepared(agent.backups / "one.zip", "p2")
    agent.run(agent.undo_spec("c1"), "u1")
    assert snapshot(agent.root) == before


# what somebody wrote is never lost


def edit(agent: Agent) -> None:
    agent.write(OVERVIEW, "edited")
    agent.write(CREATED, "edited too")


def edits_stay(agent: Agent, result: dict[str, Any]) -> None:
    assert sorted(result["kept"]) == [CREATED, OVERVIEW]
    assert (agent.root / OVERVIEW).read_text() == "edited"
    assert (agent.root / CREATED).read_text() == "edited too"
    assert agent.store.journal("c1") == "undone"


def test_an_undo_that_could_not_stop_the_web_server_keeps_edits_when_it_is_repeated(agent: Agent) -> None:
    agent.run(agent.commit_spec("p1"), "c1")
    edit(agent)
    agent.break_service("stop")
    for run_id in ("u1", "u2"):
        with pytest.raises(ServiceFailed):
            agent.run(agent.undo_spec("c1"), run_id)
    agent.break_service("stop", broken=False)
    edits_stay(agent, agent.run(agent.undo_spec("c1"), "u3"))


def test_an_undo_that_was_killed_keeps_edits_when_it_is_repeated(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    agent.run(agent.commit_spec("p1"), "c1")
    edit(agent)
    with monkeypatch.context() as patched:
        killed_at(patched, os, "replace", 3, only=of_root(agent))
        assert agent.follow(agent.undo_spec("c1"), "u1").state == "dead"
    edits_stay(agent, agent.run(agent.undo_spec("c1"), "u2"))


def test_a_commit_that_put_back_only_a_part_keeps_what_is_edited_afterwards(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """The web server runs again, with restored files."""
    real = os.replace

    def replace(source: str, target: str) -> None:
        if str(source).startswith(str(agent.work / "replaced")):
            raise PermissionError(errno.EPERM, "Operation not permitted", source)
        real(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(Swap, "wrong", lambda self: [OVERVIEW])
        patched.setattr(local_swap.os, "replace", replace)
        with pytest.raises(JobFailed, match="couldn't be put back"):
            agent.run(agent.commit_spec("p1"), "c1")
    agent.write(OVERVIEW, "edited")
    assert agent.run(agent.undo_spec("c1"), "u1")["kept"] == [OVERVIEW]
    assert (agent.root / OVERVIEW).read_text() == "edited"


def test_what_was_made_after_an_undo_that_could_not_start_the_web_server_stays(agent: Agent) -> None:
    agent.break_service("start")
    with pytest.raises(ServiceFailed):
        agent.run(agent.commit_spec("p1"), "c1")
    with pytest.raises(ServiceFailed):
        agent.run(agent.undo_spec("c1"), "u1")
    agent.break_service("start", broken=False)
    agent.write(CREATED, "made since")
    result = agent.run(agent.undo_spec("c1"), "u2")
    assert (result["kept"], result["conflicts"]) == ([CREATED], [])
    assert (agent.root / CREATED).read_text() == "made since"


def test_edits_after_a_power_cut_are_moved_away_and_named(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """The web server starts with the machine, and half of the restore is in its place. A second undo still names them."""
    before = snapshot(agent.root)
    commit_killed(agent, monkeypatch, "after the last file")
    edit(agent)
    aside = agent.work / "conflicts/p1"
    aside.joinpath("Dashboards").mkdir(parents=True)
    aside.joinpath("Dashboards/Overview.dmadb.json").write_text("of an attempt before")
    result = agent.run(agent.undo_spec("c1"), "u1")
    assert result["kept"] == []
    assert sorted(result["conflicts"]) == [str(aside / path) for path in (CREATED, OVERVIEW, f"{OVERVIEW}.1")]
    assert (aside / f"{OVERVIEW}.1").read_text() == "edited"
    assert (aside / CREATED).read_text() == "edited too"
    assert snapshot(agent.root) == before


def test_a_file_that_was_saved_anew_before_its_turn_came_stays(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was linked, the power went, and an editor replaced it: nothing of the restore was ever in its place."""
    commit_killed(agent, monkeypatch, "after the first link")
    (kept,) = [path for path in (agent.work / "replaced/p1").rglob("*") if path.is_file()]
    path = kept.relative_to(agent.work / "replaced/p1")
    (agent.root / path).unlink()
    agent.write(str(path), "saved anew")
    result = agent.run(agent.undo_spec("c1"), "u1")
    assert (result["kept"], result["conflicts"]) == ([str(path)], [])
    assert (agent.root / path).read_text() == "saved anew"


def test_finishing_a_broken_off_restore_does_not_overwrite_edits(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails, since they aren't the backup's files, and puts back the rest."""
    commit_killed(agent, monkeypatch, "while it waits")
    edit(agent)
    with pytest.raises(JobFailed, match="2 files read back differently from their places; all was put back"):
        agent.run(agent.commit_spec("p1", leftovers=[LATER]), "c2")
    assert (agent.root / OVERVIEW).read_text() == "edited"
    assert (agent.root / CREATED).read_text() == "edited too"
    assert {row["state"] for row in agent.store.journal_rows()} == {"undone"}


@pytest.mark.parametrize("end", ["released", "undone"])
def test_a_restore_that_has_ended_is_not_carried_out_again(agent: Agent, end: str) -> None:
    agent.run(agent.commit_spec("p1"), "c1")
    if end == "undone":
        agent.run(agent.undo_spec("c1"), "u1")
    edit(agent)
    edited = snapshot(agent.root)
    with pytest.raises(Refused, match="The restore prepared as p1 was carried out before") as refused:
        agent.run(agent.commit_spec("p1"), "c2")
    assert refused.value.found == f"commit c1 is {end}"
    assert snapshot(agent.root) == edited
    assert [row["run_id"] for row in agent.store.journal_rows()] == ["c1"]


def held(agent: Agent, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """The overview can't be read the first times, as while a virus scan is at it."""
    real, left = local_swap.sha256_file, [times]

    def sha256_file(path: Any) -> str:
        if str(path) == str(agent.root / OVERVIEW) and left[0]:
            left[0] -= 1
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(local_swap, "sha256_file", sha256_file)
    monkeypatch.setattr(local_swap, "LOOK_EVERY", 0.001)


def test_a_file_that_cannot_be_read_for_a_moment_is_waited_for(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshot(agent.root)
    held(agent, monkeypatch, 3)
    agent.run(agent.commit_spec("p1"), "c1")
    held(agent, monkeypatch, 3)
    assert agent.run(agent.undo_spec("c1"), "u1")["kept"] == []
    assert snapshot(agent.root) == before


def test_a_file_that_cannot_be_read_is_not_taken_for_an_edited_one(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """The undo has failed, and is repeated."""
    before = snapshot(agent.root)
    agent.run(agent.commit_spec("p1"), "c1")
    with monkeypatch.context() as patched:
        held(agent, patched, 10**9)
        with pytest.raises(JobFailed, match="1 files couldn't be put back") as raised:
            agent.run(agent.undo_spec("c1", retry_seconds=0.01), "u1")
    assert raised.value.found == f"{OVERVIEW} (Permission denied)"
    assert agent.store.journal("c1") == "undoing"
    agent.run(agent.undo_spec("c1"), "u2")
    assert snapshot(agent.root) == before


@pytest.mark.parametrize("damage", ["missing", "half"])
def test_a_commit_whose_journal_is_lost_is_open(agent: Agent, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    """What it replaced is kept, the scan names it, and it is undone."""
    before = snapshot(agent.root)
    commit_killed(agent, monkeypatch, "before the fourth file")
    journal = agent.store.folder("c1") / "journal.json"
    journal.unlink() if damage == "missing" else journal.write_text('{"sta')
    assert agent.store.journal_rows() == [{"run_id": "c1", "state": "committing"}]
    agent.prepared(agent.backups / "one.zip", "p2")
    agent.run(agent.undo_spec("c1"), "u1")
    assert snapshot(agent.root) == before
    assert agent.store.journal("c1") == "undone"


def test_no_later_restore_begins_while_no_journal_closes_one(agent: Agent) -> None:
    """Once it had ended well, what this one replaced would go."""
    agent.run(agent.commit_spec("p1"), "c1")
    (agent.store.folder("c1") / "journal.json").unlink()
    agent.prepared(agent.backups / "one.zip", "p2")
    with pytest.raises(Refused, match="A restore that broke off is open"):
        agent.run(agent.commit_spec("p2"), "c2")
    assert (agent.work / "replaced/p1" / OVERVIEW).read_text() == "migrated Overview.dmadb.json"


def test_restores_do_not_pile_up(agent: Agent) -> None:
    """Only what the last one replaced is kept."""
    for number in (2, 3, 4):
        agent.write(OVERVIEW, f"migrated {number}")
        agent.prepared(agent.backups / "one.zip", f"p{number}")
        agent.run(agent.commit_spec(f"p{number}"), f"c{number}")
        if number == 3:
            agent.run(agent.undo_spec("c3"), "u3")
    found = {path.relative_to(agent.work).as_posix() for name in ("staging", "replaced") for path in (agent.work / name).glob("*")}
    assert found == {"replaced/p4"}
