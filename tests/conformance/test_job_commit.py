"""The job `commit`: the web server stands still, files are swapped and read back, and whatever fails puts everything back."""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from datetime import UTC, datetime

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.jobs import still_open
from conftest import Lane
from harness import until
from restores import ALARMS, BACKUP, DEEP, HELD, LATER, MIGRATED, NEW, OVERVIEW, Restore

RESTORED = {**MIGRATED, **BACKUP}


@pytest.fixture
def restore(host: Lane) -> Restore:
    return Restore(host)


def test_a_commit_swaps_reads_back_and_starts_the_web_server(restore: Restore) -> None:
    status = restore.lane.run(restore.commit_spec(about={"backup": "one.zip"}), "c1")
    assert status.state == "done", status.error
    assert status.result == {"swapped": 4, "quarantined": [], "verified": 4, "released_by": "deadline", "about": {"backup": "one.zip"}}
    assert restore.content() == RESTORED
    assert restore.calls() == ["stop W3SVC", "start W3SVC"]
    journal = restore.journal()
    assert {key: journal[key] for key in journal if key != "at"} == {
        "state": "released",
        "prepared": "p1",
        "backup": "one.zip",
        "zip_sha256": "0" * 64,
        "zip_mark": None,
        "partial": False,
        "restored_before": None,
        "by": "deadline",
    }


def test_what_was_replaced_is_kept(restore: Restore) -> None:
    restore.lane.run(restore.commit_spec(), "c1")
    base = restore.work / "replaced" / "p1"
    kept = {path.relative_to(base).as_posix(): path.read_text("utf-8") for path in base.rglob("*") if path.is_file()}
    assert kept == {OVERVIEW: "migrated", ALARMS: "migrated too"}


def test_the_time_of_files_is_now(restore: Restore) -> None:
    before = time.time() - 2
    for path in BACKUP:
        os.utime(restore.work / "staging" / "p1" / path, (1, 1))
    restore.lane.run(restore.commit_spec(), "c1")
    assert all((restore.root / path).stat().st_mtime >= before for path in BACKUP)


def test_a_commit_waits_for_its_release(restore: Restore) -> None:
    """It ends well, too, where another program holds its spec when it comes."""
    host = restore.lane
    waiting = host.run(restore.commit_spec(deadline=60, retry_seconds=60), "c1")
    assert waiting.state == "waiting"
    assert (restore.calls(), restore.state()) == (["stop W3SVC"], "swapped")
    until(lambda: host.agent.poll("c1").progress["text"] == "swapped, waiting for the other agents")
    progress = host.agent.poll("c1").progress
    assert (progress["files"], progress["total_files"], progress["bytes"]) == (4, 4, sum(len(text.encode()) for text in BACKUP.values()))
    latest = datetime.strptime(progress["until"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert 0 < latest.timestamp() - time.time() <= 61
    host.hold_briefly(restore.work / "jobs" / "c1" / "spec.json", 2.5)
    host.agent.signal("c1", "release")
    until(lambda: host.agent.poll("c1").state == "done")
    assert (restore.state(), restore.content()) == ("released", RESTORED)
    assert (host.agent.poll("c1").result or {})["released_by"] == "release"


def test_a_commit_told_to_undo(restore: Restore) -> None:
    host = restore.lane
    host.run(restore.commit_spec(deadline=60), "c1")
    host.agent.signal("c1", "undo")
    until(lambda: host.agent.poll("c1").state == "done")
    assert host.agent.poll("c1").result == {
        "swapped": 4,
        "quarantined": [],
        "verified": 4,
        "put_back": 2,
        "removed": 2,
        "kept": [],
        "conflicts": [],
        "released_by": "undo",
        "about": None,
    }
    assert (restore.state(), restore.content(), restore.calls()) == ("undone", MIGRATED, ["stop W3SVC", "start W3SVC"])
    assert not (restore.root / "Applications").exists()


def test_files_that_somebody_edited_meanwhile_are_kept(restore: Restore) -> None:
    host = restore.lane
    host.run(restore.commit_spec(deadline=60), "c1")
    restore.write(OVERVIEW, "edited")
    host.agent.signal("c1", "undo")
    until(lambda: host.agent.poll("c1").state == "done")
    assert (host.agent.poll("c1").result or {})["kept"] == [OVERVIEW]
    assert restore.content() == {**MIGRATED, OVERVIEW: "edited"}


def test_left_overs_go_to_quarantine_and_come_back(restore: Restore) -> None:
    host, old = restore.lane, "Applications/old/version_3"
    restore.write(f"{old}/App.config.json", "left over")
    status = host.run(restore.commit_spec(leftovers=[old, "Applications/old/version_9"]), "c1")
    assert (status.result or {})["quarantined"] == [old]
    assert restore.content() == RESTORED
    assert (restore.work / "quarantine" / "p1" / old / "App.config.json").read_text("utf-8") == "left over"
    assert host.run(restore.undo_spec()).state == "done"
    assert restore.content() == {**MIGRATED, f"{old}/App.config.json": "left over"}


def test_a_web_server_that_does_not_stop(restore: Restore) -> None:
    restore.break_service("stop")
    status = restore.lane.run(restore.commit_spec(), "c1")
    assert status.error == {
        "type": "ServiceFailed",
        "message": "W3SVC didn't stop",
        "found": "cannot stop W3SVC",
        "needed": "the service to stop",
        "remedy": "stop W3SVC by hand",
        "details": "",
    }
    assert (restore.content(), restore.state(), restore.calls()) == (MIGRATED, "undone", ["stop W3SVC", "start W3SVC"])


def test_a_web_server_that_does_not_start(restore: Restore) -> None:
    """The journal stays open, so that the next run undoes it or starts the server."""
    restore.break_service("start")
    status = restore.lane.run(restore.commit_spec(), "c1")
    assert (status.error or {})["message"] == "W3SVC didn't start"
    assert restore.state() == "swapped"
    restore.break_service("start", broken=False)
    assert restore.lane.run(restore.undo_spec()).state == "done"
    assert (restore.content(), restore.state()) == (MIGRATED, "undone")


def test_a_folder_where_a_file_should_go(restore: Restore) -> None:
    (restore.root / OVERVIEW).unlink()
    (restore.root / OVERVIEW).mkdir()
    status = restore.lane.run(restore.commit_spec(), "c1")
    error = status.error or {}
    assert (error["type"], error["message"]) == ("Refused", f"{OVERVIEW} is in the way")
    assert (error["found"], error["needed"]) == ("a folder", "an ordinary file or nothing")
    assert (restore.state(), restore.calls()) == ("undone", ["stop W3SVC", "start W3SVC"])


def test_a_staged_file_that_is_gone(restore: Restore) -> None:
    (restore.work / "staging" / "p1" / NEW).unlink()
    status = restore.lane.run(restore.commit_spec(), "c1")
    assert (status.error or {})["message"] == "The restore prepared as p1 isn't complete any more"
    assert (status.error or {})["found"] == f"1 files are gone: {NEW}"
    shutil.rmtree(restore.work / "staging" / "p1")
    status = restore.lane.run(restore.commit_spec(), "c2")
    assert (status.error or {})["found"].startswith("4 files are gone: ")
    assert (restore.content(), restore.calls()) == (MIGRATED, [])


def test_a_staged_file_that_was_damaged(restore: Restore) -> None:
    """It is read in its place, and everything is put back."""
    (restore.work / "staging" / "p1" / ALARMS).write_text("damaged", "utf-8")
    status = restore.lane.run(restore.commit_spec(), "c1")
    error = status.error or {}
    assert error["message"] == "1 files read back differently from their places; all was put back"
    assert error["found"] == (
        f"{ALARMS} (2 files put back, 2 removed, 1 that were neither the backup's nor those of before moved to "
        f"{restore.lane.native(restore.work / 'conflicts' / 'p1')})"
    )
    assert (restore.work / "conflicts" / "p1" / ALARMS).read_text("utf-8") == "damaged"
    assert (restore.content(), restore.state(), restore.calls()) == (MIGRATED, "undone", ["stop W3SVC", "start W3SVC"])


def test_nothing_stands_prepared(restore: Restore) -> None:
    status = restore.lane.run(restore.commit_spec(prepared="p2"), "c1")
    assert (status.error or {})["message"] == "No restore stands prepared as p2"
    assert restore.calls() == []


def test_what_came_and_went_since_it_was_prepared(restore: Restore) -> None:
    """A file to replace is gone, and one to create is there by now: both go their way, and come back."""
    (restore.root / OVERVIEW).unlink()
    restore.write(NEW, "somebody's")
    before = restore.content()
    assert restore.lane.run(restore.commit_spec(), "c1").state == "done"
    assert restore.content() == {**RESTORED, LATER: "stays"}
    assert restore.lane.run(restore.undo_spec()).state == "done"
    assert restore.content() == before


def test_names_that_differ_in_case(restore: Restore) -> None:
    """The disk's spelling stays."""
    (restore.root / "Dashboards").rename(restore.root / "DASHBOARDS")
    assert restore.lane.run(restore.commit_spec(), "c1").state == "done"
    names = {path.name for path in restore.root.iterdir()}
    assert names == {"DASHBOARDS", "Applications"}
    assert (restore.root / "DASHBOARDS" / "Overview.dmadb.json").read_text("utf-8") == BACKUP[OVERVIEW]
    assert restore.lane.run(restore.undo_spec()).state == "done"
    assert (restore.root / "DASHBOARDS" / "Overview.dmadb.json").read_text("utf-8") == "migrated"


def test_read_only_files(restore: Restore) -> None:
    """They are replaced, the new one is read-only as the old one was, and the way back is the same."""
    (restore.root / OVERVIEW).chmod(0o444)
    assert restore.lane.run(restore.commit_spec(), "c1").state == "done"
    assert restore.content() == RESTORED
    assert not (restore.root / OVERVIEW).stat().st_mode & stat.S_IWUSR
    assert restore.lane.run(restore.undo_spec()).state == "done"
    assert restore.content() == MIGRATED
    assert not (restore.root / OVERVIEW).stat().st_mode & stat.S_IWUSR


def test_a_file_that_another_program_holds(windows: Lane) -> None:
    """Windows lets nobody replace it: it is named, and everything is put back."""
    restore = Restore(windows)
    with windows.holding(restore.root / OVERVIEW):
        status = windows.run(restore.commit_spec(), "c1")
    error = status.error or {}
    assert error["message"] == "The files couldn't be swapped in; all was put back"
    assert re.search(HELD, error["found"])
    assert "Overview.dmadb.json" in error["found"]
    assert (restore.content(), restore.state(), restore.calls()) == (MIGRATED, "undone", ["stop W3SVC", "start W3SVC"])


def test_a_very_long_path(restore: Restore) -> None:
    long = "/".join(["Applications", *["a folder with a long name " * 2] * 6, "x.json"])
    assert len(long) > 300
    place = restore.work / "staging" / "p1" / long
    place.parent.mkdir(parents=True)
    place.write_text("", "utf-8")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    with (restore.work / "jobs" / "p1" / "rows.txt").open("a", encoding="utf-8", newline="\n") as rows:
        rows.write(f"create\t0\t{empty}\t{long}\t{long}\n")
    assert restore.lane.run(restore.commit_spec(), "c1").state == "done"
    assert (restore.root / long).exists()
    assert restore.lane.run(restore.undo_spec()).state == "done"
    assert restore.content() == MIGRATED
    assert DEEP not in restore.content()


@pytest.mark.parametrize("end", ["released", "undone"])
def test_a_restore_that_has_ended_is_not_carried_out_again(restore: Restore, end: str) -> None:
    restore.lane.run(restore.commit_spec(), "c1")
    if end == "undone":
        restore.lane.run(restore.undo_spec())
    restore.write(OVERVIEW, "edited")
    before = restore.content()
    status = restore.lane.run(restore.commit_spec(), "c2")
    error = status.error or {}
    assert (error["type"], error["message"]) == ("Refused", "The restore prepared as p1 was carried out before")
    assert error["found"] == f"commit c1 is {end}"
    assert restore.content() == before
    assert [row["run_id"] for row in restore.lane.scan()["journals"]] == ["c1"]


@pytest.mark.parametrize("touched", [False, True])
def test_none_begins_while_another_restore_is_open(restore: Restore, touched: bool) -> None:
    """To undo that one later would take back this one, too."""
    if touched:
        restore.lane.run(restore.commit_spec(), "c1")
        restore.reopen("swapped")
    else:
        restore.break_off()
    restore.prepare("p2")
    before, calls = restore.content(), restore.calls()
    status = restore.lane.run(restore.commit_spec(prepared="p2"), "c2")
    assert status.error == still_open("c1").to_dict()
    assert (restore.content(), restore.calls()) == (before, calls)
    assert restore.lane.run(restore.undo_spec()).state == "done"
    assert (restore.content(), restore.state()) == (MIGRATED, "undone")
    assert restore.lane.run(restore.commit_spec(prepared="p2"), "c3").state == "done"


def test_finishing_one_that_broke_off_does_not_overwrite_edits(restore: Restore) -> None:
    """It had swapped, so that users could write. It fails, since they aren't the backup's files, and puts back the rest."""
    restore.lane.run(restore.commit_spec(), "c1")
    restore.reopen("swapped")
    restore.write(OVERVIEW, "edited")
    status = restore.lane.run(restore.commit_spec(), "c2")
    assert (status.error or {})["message"] == "1 files read back differently from their places; all was put back"
    assert restore.content() == {**MIGRATED, OVERVIEW: "edited"}
    assert (restore.state("c1"), restore.state("c2")) == ("undone", "undone")


@pytest.mark.parametrize("change", ["stays", "migrated", "gone"])
def test_a_file_that_was_the_backups_when_it_was_prepared(restore: Restore, change: str) -> None:
    """It is looked at once more: an app is migrated when somebody opens it."""
    restore.write(OVERVIEW, BACKUP[OVERVIEW])
    restore.prepare("p2")
    if change != "stays":
        restore.write(OVERVIEW, "migrated when opened") if change == "migrated" else (restore.root / OVERVIEW).unlink()
    before = restore.content()
    status = restore.lane.run(restore.commit_spec(prepared="p2"), "c1")
    result = status.result or {}
    assert (result["swapped"], result["verified"]) == (3 if change == "stays" else 4, 4)
    assert restore.content() == RESTORED
    assert restore.lane.run(restore.undo_spec()).state == "done"
    assert restore.content() == before


def test_a_file_that_cannot_be_looked_at_once_more(windows: Lane) -> None:
    """Nothing is moved."""
    restore = Restore(windows)
    restore.write(OVERVIEW, BACKUP[OVERVIEW])
    restore.prepare("p2")
    before = restore.content()
    with windows.holding(restore.root / OVERVIEW):
        status = windows.run(restore.commit_spec(prepared="p2"), "c1")
    assert ((status.error or {})["type"], (status.error or {})["message"]) == ("ChangedMeanwhile", f"{OVERVIEW} can't be read")
    assert (restore.content(), restore.state(), restore.calls()) == (before, "undone", ["stop W3SVC", "start W3SVC"])
