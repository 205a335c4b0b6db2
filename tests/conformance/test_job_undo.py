"""The job `undo`: a restore is undone after its end, or after its process was gone at any of its steps; twice is once."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from conftest import LANES, Lane, in_an_engine, replace_in_job
from harness import until
from restores import BACKUP, DEEP, LATER, MIGRATED, NEW, OVERVIEW, Restore

RESTORED = {**MIGRATED, **BACKUP}


@pytest.fixture
def restore(host: Lane) -> Restore:
    return Restore(host)


def undone(restore: Restore, commit: str = "c1", run: str = "") -> dict[str, Any]:
    status = restore.lane.run(restore.undo_spec(commit), run)
    assert status.state == "done", status.error
    assert restore.state(commit) == "undone"
    assert restore.calls()[-1] == "start W3SVC"
    return {key: value for key, value in (status.result or {}).items() if key != "about"}


def break_off_within(restore: Restore) -> None:
    """As if the commit had been killed within one file: the old one was moved away, the new one isn't there yet."""
    restore.lane.run(restore.commit_spec(), "c1")
    staged = restore.work / "staging" / "p1" / OVERVIEW
    staged.parent.mkdir(parents=True, exist_ok=True)
    (restore.root / OVERVIEW).rename(staged)
    restore.reopen("committing")


def test_after_a_release_and_once_more(restore: Restore) -> None:
    restore.lane.run(restore.commit_spec(), "c1")
    assert undone(restore, run="u1") == {"put_back": 2, "removed": 2, "kept": [], "conflicts": []}
    assert restore.content() == MIGRATED
    assert undone(restore) == {"put_back": 0, "removed": 0, "kept": [], "conflicts": [], "before": "u1"}
    assert restore.content() == MIGRATED


def test_an_edit_after_the_release_stays(restore: Restore) -> None:
    """And is named by each undo that comes after."""
    restore.lane.run(restore.commit_spec(), "c1")
    restore.write(OVERVIEW, "edited")
    assert undone(restore, run="u1")["kept"] == [OVERVIEW]
    assert restore.content() == {**MIGRATED, OVERVIEW: "edited"}
    (restore.work / "jobs" / "u1" / "result.json").unlink()
    for _attempt in range(2):
        assert undone(restore) == {"put_back": 0, "removed": 0, "kept": [OVERVIEW], "conflicts": [], "before": "u1"}


def test_no_such_commit(restore: Restore) -> None:
    status = restore.lane.run(restore.undo_spec("c9"))
    assert (status.error or {})["message"] == "No commit c9 on this agent"


def test_a_commit_that_never_began(restore: Restore) -> None:
    restore.lane.run(restore.commit_spec(prepared="p9"), "c1")
    status = restore.lane.run(restore.undo_spec())
    assert (status.state, (status.result or {})["put_back"]) == ("done", 0)
    assert restore.calls() == []


@pytest.mark.apart
def test_killed_while_it_waited(restore: Restore) -> None:
    """The commit's process is gone, its web server is down: the undo ends both."""
    restore.lane.run(restore.commit_spec(deadline=60), "c1")
    restore.lane.kill("c1")
    assert restore.lane.agent.poll("c1").state == "dead"
    assert [row["state"] for row in restore.lane.scan()["journals"]] == ["swapped"]
    assert undone(restore) == {"put_back": 2, "removed": 2, "kept": [], "conflicts": []}
    assert restore.content() == MIGRATED


@pytest.mark.apart
def test_killed_before_anything_was_touched(restore: Restore) -> None:
    restore.lane.run(restore.commit_spec(deadline=60, prepared="p1"), "c0")
    restore.lane.kill("c0")
    assert undone(restore, "c0")["put_back"] == 2
    restore.reopen("committing", "c0")
    assert undone(restore, "c0") == {"put_back": 0, "removed": 0, "kept": [], "conflicts": []}


def test_what_touched_nothing_needs_no_rows(restore: Restore) -> None:
    """The web server may stand still all the same."""
    restore.break_off()
    (restore.work / "jobs" / "p1" / "rows.txt").unlink()
    assert undone(restore) == {"put_back": 0, "removed": 0, "kept": [], "conflicts": []}
    assert (restore.calls(), restore.state()) == (["start W3SVC"], "undone")


def test_killed_within_one_file(restore: Restore) -> None:
    break_off_within(restore)
    undone(restore)
    assert restore.content() == MIGRATED


@in_an_engine
def test_killed_while_it_held_the_place_of_a_new_file(restore: Restore) -> None:
    """On POSIX it holds none."""
    restore.lane.run(restore.commit_spec(), "c1")
    staged = restore.work / "staging" / "p1" / NEW
    staged.parent.mkdir(parents=True, exist_ok=True)
    (restore.root / NEW).rename(staged)
    (restore.root / NEW).touch()
    restore.reopen("committing")
    assert undone(restore) == {"put_back": 2, "removed": 1, "kept": [], "conflicts": []}
    assert restore.content() == MIGRATED


def test_a_left_over_that_came_back_stays(restore: Restore) -> None:
    """And what was moved away stays where it is."""
    restore.lane.run(restore.commit_spec(leftovers=[LATER]), "c1")
    restore.write(LATER, "synchronised again")
    assert undone(restore)["kept"] == [LATER]
    assert restore.content() == {**MIGRATED, LATER: "synchronised again"}
    assert (restore.work / "quarantine" / "p1" / LATER).read_text("utf-8") == MIGRATED[LATER]


def test_folders_that_the_restore_made_go(restore: Restore) -> None:
    """One within the other, and several: by the job that undoes, which only reads what the commit noted. Nothing is left of what nobody wants."""
    assert restore.lane.run(restore.commit_spec(), "c1").state == "done"
    assert (restore.root / DEEP).exists()

    assert restore.lane.run(restore.undo_spec(), "u1").state == "done"

    assert restore.content() == MIGRATED
    assert [path.name for path in restore.root.iterdir()] == ["Dashboards"]
    assert not list((restore.work / "jobs" / "p1").glob("discarded*"))


def test_folders_of_others_stay(restore: Restore) -> None:
    """A folder that the restore made, in which somebody put something."""
    restore.lane.run(restore.commit_spec(), "c1")
    restore.write("Applications/new-app/version_1/mine.txt", "mine")
    undone(restore)
    assert restore.content() == {**MIGRATED, "Applications/new-app/version_1/mine.txt": "mine"}
    assert not (restore.root / NEW).exists()


def test_a_folder_in_place_of_a_file_stays(restore: Restore) -> None:
    restore.lane.run(restore.commit_spec(), "c1")
    (restore.root / OVERVIEW).unlink()
    restore.write(f"{OVERVIEW}/inside", "x")
    assert undone(restore)["kept"] == [OVERVIEW]
    assert restore.content()[f"{OVERVIEW}/inside"] == "x"


def test_files_that_cannot_be_put_back_are_named(restore: Restore) -> None:
    """All others are; mended, it is undone once more."""
    restore.lane.run(restore.commit_spec(), "c1")
    folder = restore.root / "Dashboards"
    folder.rename(restore.root / "Moved away")
    folder.write_text("in the way", "utf-8")
    status = restore.lane.run(restore.undo_spec())
    error = status.error or {}
    assert (error["type"], error["message"]) == ("JobFailed", "2 files couldn't be put back")
    assert f"{OVERVIEW} (" in error["found"]
    assert restore.state() == "undoing"
    assert not (restore.root / NEW).exists()
    folder.unlink()
    (restore.root / "Moved away").rename(folder)
    undone(restore)
    assert restore.content() == MIGRATED


def test_repeated_it_keeps_edits(restore: Restore) -> None:
    """The first time the web server doesn't stop. The journal goes on saying that users could write."""
    restore.lane.run(restore.commit_spec(), "c1")
    restore.write(OVERVIEW, "edited")
    restore.write(NEW, "edited too")
    restore.break_service("stop")
    for _attempt in range(2):
        assert restore.lane.run(restore.undo_spec()).state == "failed"
        assert (restore.state(), restore.journal()["was"]) == ("undoing", "released")
    restore.break_service("stop", broken=False)
    assert sorted(undone(restore)["kept"]) == sorted([OVERVIEW, NEW])
    assert restore.content() == {**MIGRATED, OVERVIEW: "edited", NEW: "edited too"}


def test_after_one_that_put_back_a_part_edits_stay(restore: Restore) -> None:
    """Of a swap that broke off, too: the web server runs in between."""
    restore.lane.run(restore.commit_spec(), "c1")
    restore.reopen("committing")
    folder = restore.root / "Dashboards"
    folder.rename(restore.root / "Moved away")
    folder.write_text("in the way", "utf-8")
    assert restore.lane.run(restore.undo_spec()).state == "failed"
    assert (restore.state(), restore.journal()["was"]) == ("undoing", "swapped")
    folder.unlink()
    (restore.root / "Moved away").rename(folder)
    restore.write(OVERVIEW, "edited")
    result = undone(restore)
    assert (result["kept"], result["conflicts"]) == ([OVERVIEW], [])
    assert restore.content() == {**MIGRATED, OVERVIEW: "edited"}


def test_edits_after_a_swap_that_broke_off_are_moved_away(restore: Restore) -> None:
    """The web server started with the machine. What was moved away before is not overwritten."""
    restore.lane.run(restore.commit_spec(), "c1")
    restore.reopen("committing")
    restore.write(OVERVIEW, "edited")
    restore.write(NEW, "edited too")
    aside = restore.work / "conflicts" / "p1"
    (aside / OVERVIEW).parent.mkdir(parents=True)
    (aside / OVERVIEW).write_text("of before", "utf-8")
    result = undone(restore)
    assert result["kept"] == []
    assert sorted(result["conflicts"]) == sorted(restore.lane.native(aside / path) for path in (NEW, OVERVIEW, f"{OVERVIEW}.1"))
    assert undone(restore)["conflicts"] == result["conflicts"]
    assert ((aside / NEW).read_text("utf-8"), (aside / f"{OVERVIEW}.1").read_text("utf-8")) == ("edited too", "edited")
    assert restore.content() == MIGRATED


def test_a_file_that_was_put_back_by_hand_is_no_edit(restore: Restore) -> None:
    restore.lane.run(restore.commit_spec(), "c1")
    restore.write(OVERVIEW, MIGRATED[OVERVIEW])
    assert undone(restore)["kept"] == []
    assert restore.content() == MIGRATED


def test_a_file_that_was_made_anew_before_its_turn_came_stays(restore: Restore) -> None:
    """Its old one had been moved away, the new one waits: what is in its place is somebody's."""
    break_off_within(restore)
    restore.write(OVERVIEW, "made anew")
    assert undone(restore)["kept"] == [OVERVIEW]
    assert restore.content() == {**MIGRATED, OVERVIEW: "made anew"}


def test_a_file_that_was_made_anew_is_in_nobodys_way_when_it_is_committed_again(restore: Restore) -> None:
    """It is moved away, for the one before it is the only one of its kind."""
    break_off_within(restore)
    restore.write(OVERVIEW, "made anew")
    assert restore.lane.run(restore.commit_spec(), "c2").state == "done"
    assert restore.content() == RESTORED
    assert (restore.work / "conflicts" / "p1" / OVERVIEW).read_text("utf-8") == "made anew"
    assert undone(restore, "c2")["put_back"] == 2
    assert restore.content() == MIGRATED


@in_an_engine
def test_a_file_that_is_written_once_it_was_looked_at_is_moved_away(restore: Restore, monkeypatch: pytest.MonkeyPatch) -> None:
    restore.lane.run(restore.commit_spec(), "c1")
    head = "function Undo-Row($swap, $row, [string]$found, [bool]$edited) {"
    write = f"if ('{OVERVIEW}', '{NEW}' -ccontains $row.path) {{ [IO.File]::WriteAllText((Join-Below $swap.root $row.target), 'meanwhile') }}"
    replace_in_job(monkeypatch, head, f"{head}\n    {write}", "job_undo")
    result = undone(restore)
    assert (result["put_back"], result["removed"], len(result["conflicts"])) == (2, 2, 2)
    assert restore.content() == MIGRATED
    for path in (OVERVIEW, NEW):
        assert (restore.work / "conflicts" / "p1" / path).read_text("utf-8") == "meanwhile"
    assert not list((restore.work / "jobs" / "p1").glob("discarded*"))


def test_a_file_whose_earlier_one_is_gone_is_named(restore: Restore) -> None:
    """Somebody cleared out what the restore had replaced: the backup's file stays, and that isn't told as put back."""
    restore.lane.run(restore.commit_spec(), "c1")
    (restore.work / "replaced" / "p1" / OVERVIEW).unlink()
    result = undone(restore)
    assert (result["put_back"], result["removed"]) == (1, 2)
    assert result["kept"] == [f"{OVERVIEW} (what was there before is gone)"]
    assert restore.content() == {**MIGRATED, OVERVIEW: BACKUP[OVERVIEW]}


@pytest.mark.parametrize("damage", ["missing", "half"])
def test_a_commit_that_began_and_whose_journal_is_lost(restore: Restore, damage: str) -> None:
    """It is open, for the scan too."""
    restore.lane.run(restore.commit_spec(), "c1")
    journal = restore.work / "jobs" / "c1" / "journal.json"
    journal.unlink() if damage == "missing" else journal.write_text('{"sta')
    assert restore.lane.scan()["journals"] == [{"run_id": "c1", "state": "committing"}]
    assert undone(restore)["put_back"] == 2
    assert restore.content() == MIGRATED
    assert restore.lane.scan()["journals"] == [{"run_id": "c1", "state": "undone"}]


def test_a_file_that_another_program_keeps_from_being_read(windows: Lane) -> None:
    """It isn't taken for an edited one: the undo has failed, and is repeated."""
    restore = Restore(windows)
    windows.run(restore.commit_spec(), "c1")
    with windows.holding(restore.root / OVERVIEW):
        status = windows.run(restore.undo_spec())
    assert (status.error or {}).get("message") == "1 files couldn't be put back", status
    assert (status.error or {})["found"] == f"{OVERVIEW} (another program keeps it from being read)"
    assert restore.state() == "undoing"
    assert undone(restore) == {"put_back": 1, "removed": 0, "kept": [], "conflicts": []}
    assert restore.content() == MIGRATED


HELD_FOR = {"c1/journal.json": 3, "c1/spec.json": 0.5, "p1/spec.json": 0.5, "p1/made.json": 0.5, "p1/begun.txt": 0.5}  # seconds


@pytest.mark.parametrize("record", HELD_FOR)
def test_a_record_that_another_program_holds_for_a_moment_is_not_lost(windows: Lane, record: str) -> None:
    """What users wrote since the release stays in its place, and folders that the restore made go."""
    restore = Restore(windows)
    windows.run(restore.commit_spec(), "c1")
    restore.write(OVERVIEW, "edited")
    with windows.holding(restore.work / "jobs" / record):
        windows.agent.start(windows.told(restore.undo_spec(retry_seconds=60)), "u1")
        until((restore.work / "jobs" / "u1" / "process.json").exists)
        time.sleep(HELD_FOR[record])
    status = windows.follow("u1")
    assert status.state == "done", status.error
    assert (status.result or {})["kept"] == [OVERVIEW]
    assert restore.content() == {**MIGRATED, OVERVIEW: "edited"}
    assert [path.name for path in restore.root.iterdir()] == ["Dashboards"]


@pytest.mark.parametrize("host", LANES[:2], indirect=True)
def test_the_last_restore_is_remembered_however_many_jobs_came_since(restore: Restore) -> None:
    """It can still be undone: what it replaced, and by what it was prepared, is kept with it."""
    restore.lane.run(restore.commit_spec(), "c1")
    for number in range(32):
        folder = restore.work / "jobs" / f"later-{number}"
        folder.mkdir()
        record = {"run_id": folder.name, "kind": "verify", "owner": "test", "started": f"2100-01-01T00:00:{number:02}Z", "work": ""}
        (folder / "state.json").write_text(json.dumps(record), "utf-8")
        (folder / "result.json").write_text('{"result": {}}', "utf-8")
    restore.lane.run(restore.undo_spec("c9"), "u9")  # whatever runs next clears up
    left = {path.name for path in (restore.work / "jobs").iterdir()}
    assert left >= {"c1", "p1", "u9", "later-31", "later-2"}
    assert "later-1" not in left
    assert undone(restore)["put_back"] == 2
    assert restore.content() == MIGRATED
