"""What other programs do to files while a job works: it waits for one that the test holds, and meanwhile another vanishes or gets held.

On POSIX nobody can keep a file from being read, replaced or deleted: there the test stops a job where it opens the file, and sees what comes of one
that vanishes. On Linux .NET heeds the locks of others where it opens a file, but not where it replaces, moves or deletes one: what is about that is
for the lane `windows`.
"""

from __future__ import annotations

import contextlib
import random
import re
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Lane, in_an_engine
from harness import until
from restores import ALARMS, BACKUP, HELD, MIGRATED, NEW, OVERVIEW, Restore
from test_job_backup import contents, fill, left
from test_job_backup import spec as backup_spec
from test_job_prepare import rows, staged
from test_job_prepare import spec as prepare_spec
from test_job_verify import make
from test_job_verify import spec as verify_spec

PATIENCE = 60.0  # seconds: long enough for a test under load to let go of a file in time
IMPATIENCE = 15.0  # where a test waits for the end of it
GATES: dict[str, Path] = {}  # files that are shut while another one, the value, exists
TWO = {"Dashboards/a.json": b"aaaa", "Dashboards/b.json": b"bbbb"}
CHANGES: dict[str, Callable[[Path], Any]] = {"vanishes": Path.unlink, "is written": lambda path: path.write_bytes(b"changed")}


def wait_at_gate(event: str, details: tuple[Any, ...]) -> None:
    """A hook for all that this process, and a job of the posix lane, which is a fork of it, open."""
    shut = GATES.get(str(details[0])) if event == "open" and GATES else None
    while shut and shut.exists():
        time.sleep(0.01)


sys.addaudithook(wait_at_gate)


@contextlib.contextmanager
def shut(lane: Lane, gate: Path) -> Iterator[None]:
    if lane.engine:
        with lane.holding(gate):
            yield
        return
    GATES[str(gate)] = lane.home / "shut"
    GATES[str(gate)].touch()
    try:
        yield
    finally:
        GATES.pop(str(gate)).unlink()


@contextlib.contextmanager
def waiting(lane: Lane, gate: Path, asked: dict[str, Any], run: str, reached: Callable[[], bool], patience: float = PATIENCE) -> Iterator[None]:
    """A job that has come to the file `gate`, and goes on after the block."""
    with shut(lane, gate):
        lane.agent.start(lane.told({**asked, "retry_seconds": patience}), run)
        until(reached)
        assert lane.agent.poll(run).state == "running"
        yield


def tells(lane: Lane, run: str, text: str) -> Callable[[], bool]:
    return lambda: bool(lane.agent.poll(run).progress.get("text") == text)


def place(lane: Lane, path: str) -> Path:
    return lane.home / "agent" / path


@contextlib.contextmanager
def backing_up(lane: Lane, patience: float = PATIENCE, **more: Any) -> Iterator[None]:
    fill(lane, TWO)
    asked = backup_spec(lane, "Dashboards", **more)
    with waiting(lane, place(lane, "Dashboards/a.json"), asked, "b1", tells(lane, "b1", "backing up"), patience):
        yield


@in_an_engine
def test_a_backup_outwaits_a_lock(host: Lane) -> None:
    with backing_up(host):
        pass
    status = host.follow("b1")
    assert status.state == "done", status.error
    assert contents(host.home / "backups" / "one.zip") == TWO


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_vanishes_or_is_written_during_a_backup(host: Lane, change: str) -> None:
    with backing_up(host):
        CHANGES[change](place(host, "Dashboards/b.json"))
    error = host.follow("b1").error or {}
    assert error["type"] == "ChangedMeanwhile"
    assert re.fullmatch(r"Dashboards/b\.json( \(.+\))?", error["found"])
    assert left(host) == []


@pytest.mark.parametrize("change", CHANGES)
def test_the_next_attempt_backs_up_what_is_there_then(host: Lane, change: str) -> None:
    with backing_up(host, retries=1):
        CHANGES[change](place(host, "Dashboards/b.json"))
    status = host.follow("b1")
    assert status.state == "done", status.error
    there = {f"Dashboards/{path.name}": path.read_bytes() for path in place(host, "Dashboards").iterdir()}
    assert contents(host.home / "backups" / "one.zip") == there != TWO


@pytest.mark.long
def test_a_file_gets_held_during_a_backup(windows: Lane) -> None:
    with contextlib.ExitStack() as later:
        with backing_up(windows, IMPATIENCE):
            later.enter_context(windows.holding(place(windows, "Dashboards/b.json")))
        error = windows.follow("b1").error or {}
    assert re.fullmatch(rf"Dashboards/b\.json \({HELD}\)", error["found"])
    assert left(windows) == []


def test_a_verification_outwaits_a_lock_while_a_file_vanishes(host: Lane) -> None:
    fill(host, TWO)
    path = make(host.home / "a.zip", TWO)
    asked = verify_spec(host, path, compare_root=host.home / "agent")
    with waiting(host, path, asked, "v1", tells(host, "v1", "verifying")):
        place(host, "Dashboards/b.json").unlink()
    status = host.follow("v1")
    assert status.state == "done", status.error
    assert {row[1]: row[4] for row in (status.result or {})["entries"]} == {"Dashboards/a.json": "same", "Dashboards/b.json": "create"}


@contextlib.contextmanager
def preparing(lane: Lane, patience: float = PATIENCE) -> Iterator[None]:
    """Both files are there already, as the backup has them: it reads them to know that."""
    fill(lane, TWO)
    asked = prepare_spec(lane, make(lane.home / "a.zip", TWO))
    with waiting(lane, place(lane, "Dashboards/a.json"), asked, "p1", tells(lane, "p1", "extracting and verifying"), patience):
        yield


@in_an_engine
def test_a_preparation_outwaits_a_lock(host: Lane) -> None:
    with preparing(host):
        pass
    status = host.follow("p1")
    assert status.state == "done", status.error
    assert (status.result or {})["same"] == 2


def test_a_file_vanishes_during_a_preparation(host: Lane) -> None:
    """It is prepared: the commit looks once more."""
    with preparing(host):
        place(host, "Dashboards/b.json").unlink()
    status = host.follow("p1")
    assert status.state == "done", status.error
    assert (status.result or {})["same"] == 1
    assert staged(host, "p1")["Dashboards/b.json"] == b"bbbb"
    commit = {"kind": "commit", "work": "commit p1", "prepared": "p1", "root": host.home / "agent", "deadline": 0, "leftovers": []}
    status = host.run({**commit, "service": None, "backup": "a.zip", "zip_sha256": "0" * 64, "partial": False}, "c1")
    assert status.state == "done", status.error
    assert place(host, "Dashboards/b.json").read_bytes() == b"bbbb"


@pytest.mark.long
def test_a_file_gets_held_during_a_preparation(windows: Lane) -> None:
    """It is named, and nothing is left of what was prepared."""
    with contextlib.ExitStack() as later:
        with preparing(windows, IMPATIENCE):
            later.enter_context(windows.holding(place(windows, "Dashboards/b.json")))
        error = windows.follow("p1").error or {}
    assert error["type"] == "JobFailed"
    assert error["message"].endswith("b.json can't be read, so nothing was prepared")
    assert re.fullmatch(HELD, error["found"])
    assert not (windows.home / "work" / "staging" / "p1").exists()
    assert not (windows.home / "work" / "jobs" / "p1" / "rows.txt").exists()


@pytest.mark.parametrize("size", [3, 9_000_000])
@in_an_engine
def test_a_held_file_of_another_length_is_another(host: Lane, size: int) -> None:
    """Nobody waits for it: the commit will."""
    fill(host, {"Dashboards/a.json": b"longer"})
    asked = prepare_spec(host, make(host.home / "a.zip", {"Dashboards/a.json": random.Random(size).randbytes(size)}))
    with host.holding(place(host, "Dashboards/a.json")):
        status = host.run({**asked, "retry_seconds": 0}, "p1")
    assert status.state == "done", status.error
    assert rows(host, "p1")["Dashboards/a.json"][0] == "replace"


def test_read_only_files_are_prepared(host: Lane) -> None:
    """One is the same, one another: whether they may be written matters to the commit only."""
    fill(host, {"Dashboards/a.json": b"aaaa", "Dashboards/b.json": b"old!"})
    for name in TWO:
        place(host, name).chmod(stat.S_IREAD)
    status = host.run(prepare_spec(host, make(host.home / "a.zip", TWO)), "p1")
    assert status.state == "done", status.error
    assert rows(host, "p1")["Dashboards/b.json"] == ["replace", "4", "Dashboards/b.json"]
    assert (status.result or {})["same"] == 1
    assert not place(host, "Dashboards/b.json").stat().st_mode & stat.S_IWRITE


@contextlib.contextmanager
def committing(restore: Restore) -> Iterator[None]:
    """Its first file is in its place, its second is held, its last still waits: a read-only file isn't replaced as easily."""
    (restore.root / OVERVIEW).chmod(stat.S_IREAD)
    with waiting(restore.lane, restore.root / ALARMS, restore.commit_spec(), "c1", (restore.root / NEW).exists):
        yield


def test_a_commit_outwaits_a_lock(windows: Lane) -> None:
    restore = Restore(windows)
    with committing(restore):
        pass
    status = windows.follow("c1", past=("running", "waiting"))
    assert status.state == "done", status.error
    assert restore.content() == {**MIGRATED, **BACKUP}


def test_a_file_vanishes_during_a_commit(windows: Lane) -> None:
    """All else is put back."""
    restore = Restore(windows)
    with committing(restore):
        (restore.root / OVERVIEW).unlink()
    error = windows.follow("c1", past=("running", "waiting")).error or {}
    assert error["message"] == "The files couldn't be swapped in; all was put back"
    assert "Overview.dmadb.json" in error["found"]
    assert (restore.content(), restore.state()) == ({path: text for path, text in MIGRATED.items() if path != OVERVIEW}, "undone")
    assert restore.calls() == ["stop W3SVC", "start W3SVC"]


@in_an_engine
def test_a_commit_that_goes_on_reads_what_is_in_place_already(host: Lane) -> None:
    """And waits for it, where another program holds it."""
    restore = Restore(host)
    host.run(restore.commit_spec(), "c1")
    restore.reopen("committing")
    with waiting(host, restore.root / ALARMS, restore.commit_spec(), "c2", tells(host, "c2", "swapping files in")):
        pass
    status = host.follow("c2", past=("running", "waiting"))
    assert status.state == "done", status.error
    assert ((status.result or {})["swapped"], restore.content()) == (0, {**MIGRATED, **BACKUP})


@contextlib.contextmanager
def undoing(restore: Restore, patience: float = PATIENCE) -> Iterator[None]:
    """A commit that broke off is undone, and one of its files is held."""
    restore.lane.run(restore.commit_spec(), "c1")
    restore.reopen("committing")
    with waiting(restore.lane, restore.root / ALARMS, restore.undo_spec(), "u1", tells(restore.lane, "u1", "putting back"), patience):
        yield


@in_an_engine
def test_an_undo_outwaits_a_lock_while_a_file_vanishes(host: Lane) -> None:
    restore = Restore(host)
    with undoing(restore):
        (restore.root / OVERVIEW).unlink()
    status = host.follow("u1")
    assert status.state == "done", status.error
    assert (restore.content(), restore.state()) == (MIGRATED, "undone")


@pytest.mark.long
def test_a_file_gets_held_during_an_undo(windows: Lane) -> None:
    """It is named, all others are put back, and once it is free the undo is repeated. It is read-only still."""
    restore = Restore(windows)
    (restore.root / OVERVIEW).chmod(stat.S_IREAD)
    with contextlib.ExitStack() as later:
        with undoing(restore, IMPATIENCE):
            later.enter_context(windows.holding(restore.root / OVERVIEW))
        error = windows.follow("u1").error or {}
    assert error["message"] == "1 files couldn't be put back"
    assert error["found"].startswith(f"{OVERVIEW} (")
    assert windows.run(restore.undo_spec(), "u2").state == "done"
    assert (restore.content(), restore.state()) == (MIGRATED, "undone")
    assert not (restore.root / OVERVIEW).stat().st_mode & stat.S_IWRITE
