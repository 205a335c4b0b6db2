"""A commit in trouble twice: what is told then, and what stays open."""

from __future__ import annotations

import stat
import sys
from typing import Any

import pytest
from conftest import LANES, Lane, in_an_engine, replace_in_job
from restores import BACKUP, LATER, MIGRATED, NEW, OVERVIEW, Restore


@pytest.fixture
def restore(host: Lane) -> Restore:
    return Restore(host)


def failure(restore: Restore, **more: Any) -> dict[str, Any]:
    status = restore.lane.run(restore.commit_spec(**more), "c1")
    assert status.state == "failed"
    return dict(status.error or {})


def test_neither_swapped_nor_started(restore: Restore) -> None:
    """A folder is in the way, and the web server doesn't start again: the first is the error, the second part of what to do."""
    restore.break_service("start")
    (restore.root / OVERVIEW).unlink()
    (restore.root / OVERVIEW).mkdir()
    error = failure(restore)
    assert "is in the way" in error["message"]
    assert "start W3SVC by hand" in error["remedy"]
    assert "cannot start W3SVC" in error["remedy"]


def test_a_file_where_a_folder_should_be(restore: Restore) -> None:
    """Whoever has put it there wants it there: all is as it was."""
    place = restore.root / NEW.split("/", 1)[0]
    place.write_text("a file", "utf-8")
    assert "is in the way" in failure(restore)["message"]
    assert restore.content() == {**MIGRATED, place.name: "a file"}


def test_what_cannot_be_put_back_is_named_with_what_went_wrong_first(restore: Restore) -> None:
    """There is no place for what is neither the backup's nor of before."""
    (restore.work / "staging" / "p1" / OVERVIEW).write_text("another", "utf-8")
    (restore.work / "conflicts").write_text("in the way", "utf-8")
    error = failure(restore)
    assert (error["type"], error["message"]) == ("JobFailed", "1 files couldn't be put back")
    second, _, first = error["found"].partition("; before that: ")
    assert (second.startswith(f"{OVERVIEW} ("), first) == (True, f"1 files read back differently from their places ({OVERVIEW})")
    assert error["needed"] == "the files as they were before the restore"
    assert error["remedy"].endswith(f"undo again; they are kept in {restore.lane.native(restore.work / 'replaced' / 'p1')}")
    assert (restore.state(), restore.journal()["was"], restore.calls()[-1]) == ("undoing", "swapped", "start W3SVC")
    (restore.work / "conflicts").unlink()
    assert restore.lane.run(restore.undo_spec()).state == "done"
    assert restore.content() == {**MIGRATED, OVERVIEW: "another"}


@pytest.mark.parametrize("place", ["Dashboards", OVERVIEW])
def test_a_link_that_came_since_the_preparation_is_not_written_through(host_here: Lane, place: str) -> None:
    restore = Restore(host_here)
    elsewhere = host_here.home / "elsewhere"
    (restore.root / place).rename(elsewhere)
    (restore.root / place).symlink_to(elsewhere)
    error = failure(restore)
    assert (error["type"], error["message"].endswith(f"{place} is in the way"), error["found"]) == ("Refused", True, "a link")
    assert (restore.root / place).readlink() == elsewhere
    assert restore.content().get(OVERVIEW, MIGRATED[OVERVIEW]) == MIGRATED[OVERVIEW] == (elsewhere / OVERVIEW[len(place) + 1 :]).read_text("utf-8")
    assert (restore.calls(), restore.state()) == (["stop W3SVC", "start W3SVC"], "undone")


def test_a_left_over_that_came_back_before_it_is_committed_again(restore: Restore) -> None:
    """Both are moved away, and the first goes back when the restore is undone."""
    restore.lane.run(restore.commit_spec(leftovers=[LATER]), "c1")
    restore.reopen("committing")
    restore.write(LATER, "synchronised again")
    status = restore.lane.run(restore.commit_spec(leftovers=[LATER]), "c2")
    assert status.state == "done", status.error
    assert ((status.result or {})["quarantined"], (restore.root / LATER).exists()) == ([LATER], False)
    assert (restore.work / "quarantine" / "p1" / f"{LATER}.1").read_text("utf-8") == "synchronised again"
    assert restore.lane.run(restore.undo_spec("c2")).state == "done"
    assert restore.content() == MIGRATED


@pytest.mark.parametrize("host", LANES[1:2], indirect=True)
def test_a_file_that_appears_before_its_place_is_looked_at_stays(restore: Restore, monkeypatch: pytest.MonkeyPatch) -> None:
    look = "    $there = [IO.FileInfo]::new($target)\n"
    replace_in_job(monkeypatch, look, f"    [IO.File]::WriteAllText($target, 'meanwhile')\n{look}", "job_commit")
    error = failure(restore)
    assert error["message"] == "The files couldn't be swapped in; all was put back"
    assert "appeared while the files were swapped in" in error["found"]
    appeared = restore.content().items() - MIGRATED.items()
    assert (len(appeared), {text for _path, text in appeared}) == (1, {"meanwhile"})
    assert restore.content().items() >= MIGRATED.items()


@pytest.mark.parametrize("host", LANES[1:2], indirect=True)  # which heeds locks where it reads a file, not where it moves one
def test_a_file_that_cannot_be_read_in_its_place_is_put_back_later(restore: Restore) -> None:
    """Nobody knows what it holds: both failures are told, and the restore stays open until the file can be read."""
    staged = restore.work / "staging" / "p1"
    with restore.lane.holding(staged / OVERVIEW), restore.lane.holding(staged / NEW):
        error = failure(restore, retry_seconds=0.2)
        assert (restore.content()[OVERVIEW], restore.content()[NEW]) == (BACKUP[OVERVIEW], BACKUP[NEW])
    assert error["message"] == "2 files couldn't be put back"
    why = "another program keeps it from being read"
    assert error["found"].startswith(f"{NEW} ({why}); {OVERVIEW} ({why}); before that: 2 files read back differently")
    assert restore.state() == "undoing"
    assert restore.lane.run(restore.undo_spec()).state == "done"
    assert restore.content() == MIGRATED


def test_a_file_that_cannot_be_replaced_stays_read_only(windows: Lane) -> None:
    restore = Restore(windows)
    (restore.root / OVERVIEW).chmod(stat.S_IREAD)
    with windows.holding(restore.root / OVERVIEW):
        assert "Overview.dmadb.json" in failure(restore, retry_seconds=0.2)["found"]
    assert restore.content() == MIGRATED
    assert not (restore.root / OVERVIEW).stat().st_mode & stat.S_IWRITE


@in_an_engine
def test_a_file_that_appears_once_its_place_was_looked_at_is_moved_away(restore: Restore, monkeypatch: pytest.MonkeyPatch) -> None:
    hold = "if (-not [IO.File]::Exists($target)) { [IO.File]::Create($target).Dispose() }"
    replace_in_job(monkeypatch, hold, "[IO.File]::WriteAllText($target, 'meanwhile')", "job_commit")
    error = failure(restore)
    assert error["message"] == "The files couldn't be swapped in; all was put back"
    assert "appeared while the files were swapped in" in error["found"]
    assert restore.content() == MIGRATED
    aside = restore.work / "conflicts" / "p1"
    assert "meanwhile" in {path.read_text("utf-8") for path in aside.rglob("*") if path.is_file()}


def test_all_is_put_back_though_the_journal_is_held(windows: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the commit itself, which knows what it wrote there."""
    restore = Restore(windows)
    start = "function Undo-All($swap, $record) {"
    hold = "$held = [IO.File]::Open([IO.Path]::Combine($job.folder, 'journal.json'), 'Open', 'Read', 'None')"
    let_go = "finally { $held.Dispose() }"
    replace_in_job(
        monkeypatch,
        start,
        f"function Undo-All($swap, $record) {{ {hold}; try {{ Undo-Now $swap $record }} {let_go} }}\nfunction Undo-Now($swap, $record) {{",
        "job_commit",
    )
    (restore.work / "staging" / "p1" / OVERVIEW).write_text("another", "utf-8")
    assert "; all was put back" in failure(restore)["message"]
    assert restore.content() == MIGRATED


def test_nothing_stops_a_service_here(host_here: Lane) -> None:
    """Neither Windows nor a host command."""
    restore = Restore(host_here)
    error = failure(restore, host_command=None)
    assert (error["type"], error["found"]) == ("ServiceFailed", "")
    assert restore.content() == MIGRATED


def test_arguments_arrive_as_they_are(host: Lane) -> None:
    """With blanks, quotes and backslashes at their ends."""
    restore = Restore(host)
    words = ["a b", 'say "x"', "back\\", "two words\\", ""]
    told = restore.lane.home / ("echo.ps1" if host.windows else "echo.py")
    log = restore.lane.home / "words"
    if host.windows:
        told.write_text(f"[IO.File]::AppendAllLines('{host.native(log)}', [string[]]$args)", "utf-8")
        program = [*host.program, "-NoProfile", "-File"]
    else:
        told.write_text(f"import sys\nopen({str(log)!r}, 'a').writelines(word + '\\n' for word in sys.argv[1:])\n", "utf-8")
        program = [sys.executable]
    status = host.run(restore.commit_spec(host_command=[*program, told, *words]), "c1")
    assert status.state == "done", status.error
    assert log.read_text("utf-8").splitlines() == [*words, "stop", "W3SVC", *words, "start", "W3SVC"]
