"""The job `undo`: a restore is undone after its end, or after its process was gone at any of its steps; twice is once."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Lane
from restores import BACKUP, MIGRATED, NEW, OVERVIEW, Restore

RESTORED = {**MIGRATED, **BACKUP}


@pytest.fixture
def restore(host: Lane) -> Restore:
    return Restore(host)


def undone(restore: Restore, commit: str = "c1") -> dict[str, Any]:
    status = restore.lane.run(restore.undo_spec(commit))
    assert status.state == "done", status.error
    assert restore.state(commit) == "undone"
    assert restore.calls()[-1] == "start W3SVC"
    return {key: value for key, value in (status.result or {}).items() if key != "about"}


def test_after_a_release_and_once_more(restore: Restore) -> None:
    restore.lane.run(restore.commit_spec(), "c1")
    assert undone(restore) == {"put_back": 2, "removed": 2, "kept": []}
    assert restore.content() == MIGRATED
    assert undone(restore) == {"put_back": 0, "removed": 0, "kept": []}
    assert restore.content() == MIGRATED


def test_an_edit_after_the_release_stays(restore: Restore) -> None:
    restore.lane.run(restore.commit_spec(), "c1")
    restore.write(OVERVIEW, "edited")
    assert undone(restore)["kept"] == [OVERVIEW]
    assert restore.content() == {**MIGRATED, OVERVIEW: "edited"}


def test_no_such_commit(restore: Restore) -> None:
    status = restore.lane.run(restore.undo_spec("c9"))
    assert (status.error or {})["message"] == "No commit c9 on this agent"


def test_a_commit_that_never_began(restore: Restore) -> None:
    restore.lane.run(restore.commit_spec(prepared="p9"), "c1")
    status = restore.lane.run(restore.undo_spec())
    assert (status.state, (status.result or {})["put_back"]) == ("done", 0)
    assert restore.calls() == []


def test_killed_while_it_waited(restore: Restore) -> None:
    """The commit's process is gone, its web server is down: the undo ends both."""
    restore.lane.run(restore.commit_spec(deadline=60), "c1")
    restore.lane.kill("c1")
    assert restore.lane.agent.poll("c1").state == "dead"
    assert [row["state"] for row in restore.lane.scan()["journals"]] == ["swapped"]
    assert undone(restore) == {"put_back": 2, "removed": 2, "kept": []}
    assert restore.content() == MIGRATED


def test_killed_before_anything_was_touched(restore: Restore) -> None:
    restore.lane.run(restore.commit_spec(deadline=60, prepared="p1"), "c0")
    restore.lane.kill("c0")
    assert undone(restore, "c0")["put_back"] == 2
    restore.reopen("committing", "c0")
    assert undone(restore, "c0") == {"put_back": 0, "removed": 0, "kept": []}


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_killed_between_two_files(restore: Restore, steps: int) -> None:
    """Some files are swapped, others still wait: all goes back, or, committed once more, all goes on."""
    work, root = restore.work, restore.root
    restore.lane.run(restore.commit_spec(), "c1")
    for path in sorted(BACKUP)[steps:]:  # as if these had not been reached
        staged = work / "staging" / "p1" / path
        staged.parent.mkdir(parents=True, exist_ok=True)
        (root / path).rename(staged)
        kept = work / "replaced" / "p1" / path
        if kept.exists():
            kept.rename(root / path)
    restore.reopen("committing")
    undone(restore)
    assert restore.content() == MIGRATED


def test_killed_between_two_files_and_committed_again(restore: Restore) -> None:
    restore.lane.run(restore.commit_spec(), "c1")
    for path in sorted(BACKUP)[1:]:
        staged = restore.work / "staging" / "p1" / path
        staged.parent.mkdir(parents=True, exist_ok=True)
        (restore.root / path).rename(staged)
        kept = restore.work / "replaced" / "p1" / path
        if kept.exists():
            kept.rename(restore.root / path)
    restore.reopen("committing")
    status = restore.lane.run(restore.commit_spec(), "c2")
    assert (status.state, (status.result or {})["swapped"]) == ("done", 3)
    assert restore.content() == RESTORED
    assert (restore.state("c1"), restore.state("c2")) == ("released", "released")


def test_killed_within_one_file(restore: Restore) -> None:
    """The old one was moved away, the new one wasn't there yet."""
    restore.lane.run(restore.commit_spec(), "c1")
    staged = restore.work / "staging" / "p1" / OVERVIEW
    staged.parent.mkdir(parents=True, exist_ok=True)
    (restore.root / OVERVIEW).rename(staged)
    restore.reopen("committing")
    undone(restore)
    assert restore.content() == MIGRATED


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
