"""Committing a restore: the web server stands still, files are swapped and read back, and whatever fails puts everything back."""

from __future__ import annotations

import errno
import os
import signal
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils import local_backup, local_restore, local_store, local_swap
from ansible_collections.dataminer.web.plugins.module_utils.errors import ChangedMeanwhile, DataMinerError, JobFailed, NoSuchJob, ServiceFailed
from local_kit import APP, Agent, snapshot, wait_for

OVERVIEW = "Dashboards/Overview.dmadb.json"
ALARMS = "Dashboards/Operations/Alarms.dmadb.json"
NEW = "Applications/new-app/version_1/App.config.json"


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """A backup was made, then content was migrated, an app was deleted, and a restore stands prepared as p1."""
    agent = Agent(tmp_path)
    agent.fill()
    agent.write(NEW, "the new app")
    agent.write("Applications/new-app/version_1/pages/long/deep/x.dmadb.json", "deep")
    agent.run(agent.backup_spec(APP, "Dashboards", "Applications/new-app"))
    agent.write(OVERVIEW, "migrated", mode=0o640)
    agent.write(ALARMS, "migrated too", mode=0o600)
    agent.write("Dashboards/Made later.dmadb.json", "stays")
    for path in sorted((agent.root / "Applications/new-app").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (agent.root / "Applications/new-app").rmdir()
    agent.serve()
    agent.prepared(agent.backups / "one.zip")
    return agent


def restored(agent: Agent) -> bool:
    return (
        (agent.root / OVERVIEW).read_text() == "overview" * 100
        and (agent.root / NEW).exists()
        and (agent.root / ALARMS).read_text() == "alarms" * 100
    )


def journal(agent: Agent, run_id: str = "c1") -> str | None:
    return agent.store.journal(run_id)


def test_a_commit_swaps_reads_back_and_starts_the_web_server(agent: Agent) -> None:
    result = agent.run(agent.commit_spec("p1"), "c1")
    assert result == {"swapped": 4, "quarantined": [], "verified": 9, "released_by": "deadline"}
    assert restored(agent)
    assert (agent.root / "Dashboards/Made later.dmadb.json").read_text() == "stays"
    assert agent.calls() == ["stop W3SVC", "start W3SVC"]
    assert journal(agent) == "released"


def test_what_was_replaced_is_kept(agent: Agent) -> None:
    agent.run(agent.commit_spec("p1"), "c1")
    base = agent.work / "replaced" / "p1"
    assert {path.relative_to(base).as_posix(): path.read_text() for path in base.rglob("*") if path.is_file()} == {
        OVERVIEW: "migrated",
        ALARMS: "migrated too",
    }


def test_modes_and_owners_stay(agent: Agent) -> None:
    """Of a file as it was before; of a new one as its folder has it, without the right to be run."""
    if os.geteuid() == 0:
        os.chown(agent.root / OVERVIEW, 1234, 2345)
        os.chown(agent.root / "Applications", 3456, 4567)
    (agent.root / "Applications").chmod(0o750)
    agent.run(agent.commit_spec("p1"), "c1")
    assert stat.S_IMODE((agent.root / OVERVIEW).stat().st_mode) == 0o640
    assert stat.S_IMODE((agent.root / ALARMS).stat().st_mode) == 0o600
    new = (agent.root / NEW).stat()
    assert stat.S_IMODE(new.st_mode) == 0o640
    assert stat.S_IMODE((agent.root / NEW).parent.stat().st_mode) == 0o750
    if os.geteuid() == 0:
        old = (agent.root / OVERVIEW).stat()
        assert (old.st_uid, old.st_gid, new.st_uid, new.st_gid) == (1234, 2345, 3456, 4567)
        assert (agent.root / NEW).parent.stat().st_gid == 4567


def test_access_lists_stay(agent: Agent) -> None:
    try:
        os.setxattr(agent.root / OVERVIEW, "user.rights", b"as they were")
    except OSError:
        pytest.skip("this disk has no extended attributes")
    agent.run(agent.commit_spec("p1"), "c1")
    assert os.getxattr(agent.root / OVERVIEW, "user.rights") == b"as they were"


@pytest.mark.parametrize("mtime", ["now", "keep"])
def test_times_are_of_the_swap_unless_they_are_kept(agent: Agent, mtime: str) -> None:
    agent.prepared(agent.backups / "one.zip", "p2", mtime=mtime)
    for path in (agent.work / "staging/p2").rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    agent.run(agent.commit_spec("p2"), "c1")
    found = (agent.root / OVERVIEW).stat().st_mtime
    assert abs(found - (time.time() if mtime == "now" else 1_700_000_000)) < 60


def test_nothing_to_swap_is_no_failure(agent: Agent) -> None:
    agent.run(agent.commit_spec("p1"), "c1")
    agent.prepared(agent.backups / "one.zip", "p2")
    result = agent.run(agent.commit_spec("p2"), "c2")
    assert (result["swapped"], result["verified"]) == (0, 9)


def test_without_a_service_nothing_is_stopped(agent: Agent) -> None:
    agent.run(agent.commit_spec("p1", service=None, host_command=None), "c1")
    assert restored(agent)
    assert agent.calls() == []


def test_a_service_that_nothing_can_stop_is_refused(agent: Agent) -> None:
    before = snapshot(agent.root)
    with pytest.raises(ServiceFailed, match="Nothing can stop"):
        agent.run(agent.commit_spec("p1", host_command=None), "c1")
    assert snapshot(agent.root) == before
    assert journal(agent) is None


# words


@pytest.mark.parametrize("word", ["release", "undo"])
def test_a_commit_waits_for_a_word(agent: Agent, word: str) -> None:
    before = snapshot(agent.root)
    agent.start(agent.commit_spec("p1", deadline=120), "c1")
    waiting = agent.host.poll("c1", 60)
    assert (waiting.state, journal(agent)) == ("waiting", "swapped")
    assert restored(agent)
    assert agent.calls() == ["stop W3SVC"]
    agent.host.signal("c1", word)
    ended = wait_for(lambda: (status := agent.host.poll("c1")).state == "done" and status)
    assert ended.result["released_by"] == word
    assert agent.calls() == ["stop W3SVC", "start W3SVC"]
    assert journal(agent) == ("released" if word == "release" else "undone")
    assert restored(agent) is (word == "release")
    assert (snapshot(agent.root) == before) is (word == "undo")


def test_undo_goes_before_release(agent: Agent) -> None:
    folder = agent.store.create("c1")
    (folder / "release").touch()
    (folder / "undo").touch()
    assert agent.run(agent.commit_spec("p1", deadline=120), "c1")["released_by"] == "undo"


def test_a_word_given_early_is_heard(agent: Agent) -> None:
    (agent.store.create("c1") / "release").touch()
    assert agent.run(agent.commit_spec("p1", deadline=120), "c1")["released_by"] == "release"


def test_past_the_deadline_the_web_server_starts_by_itself(agent: Agent) -> None:
    begun = time.monotonic()
    result = agent.run(agent.commit_spec("p1", deadline=0.3), "c1")
    assert result["released_by"] == "deadline"
    assert 0.3 <= time.monotonic() - begun < 60
    assert agent.calls()[-1] == "start W3SVC"
    assert agent.store.last_restore()["run_id"] == "c1"  # type: ignore[index]


def test_an_undo_by_word_keeps_what_somebody_wrote_meanwhile(agent: Agent) -> None:
    agent.start(agent.commit_spec("p1", deadline=120), "c1")
    agent.host.poll("c1", 60)
    agent.write(OVERVIEW, "written by a synchronisation")
    agent.host.signal("c1", "undo")
    ended = wait_for(lambda: (status := agent.host.poll("c1")).state == "done" and status)
    assert ended.result["kept"] == [OVERVIEW]
    assert (agent.root / OVERVIEW).read_text() == "written by a synchronisation"
    assert (agent.root / ALARMS).read_text() == "migrated too"


def test_told_to_end_a_waiting_commit_starts_the_web_server_and_stays_open(agent: Agent) -> None:
    agent.start(agent.commit_spec("p1", deadline=120), "c1")
    # its journal says so a moment before it stops to count as one that swaps
    wait_for(lambda: "waiting" in str((agent.host.poll("c1", 60).progress or {}).get("text")))
    os.kill(_pid(agent), signal.SIGTERM)
    assert wait_for(lambda: (status := agent.host.poll("c1")).state == "failed" and status)
    assert agent.calls() == ["stop W3SVC", "start W3SVC"]
    assert journal(agent) == "swapped"
    assert restored(agent)


@pytest.mark.parametrize(("verb", "state"), [("stop", "undone"), ("start", "swapped")])
def test_told_to_end_while_the_web_server_stops_or_starts_it_is_started(agent: Agent, verb: str, state: str) -> None:
    """The command may have been cut off half way."""
    reached = Path(f"{agent.command}.reached")
    agent.command.write_text(
        f'#!/bin/sh\necho "$*" >> "$0.calls"\nif [ "$1" = {verb} ] && [ ! -e {reached} ]; then touch {reached}; exec sleep 30; fi\n'
    )
    before = snapshot(agent.root)
    agent.start(agent.commit_spec("p1"), "c1")
    wait_for(reached.exists)
    os.kill(_pid(agent), signal.SIGTERM)
    assert wait_for(lambda: (status := agent.host.poll("c1")).state == "failed" and status)
    assert agent.calls() == (["stop W3SVC", "start W3SVC"] if verb == "stop" else ["stop W3SVC", "start W3SVC", "start W3SVC"])
    assert journal(agent) == state
    assert (snapshot(agent.root) == before) is (verb == "stop")


def _pid(agent: Agent) -> int:
    """The process of the job: it holds the lock."""
    held = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _holds(entry, agent.work / "lock"))
    return next(number for number in held if number != os.getpid())


def _holds(process: Path, path: Path) -> bool:
    try:
        return any(handle.readlink() == path for handle in (process / "fd").iterdir())
    except OSError:
        return False


# failures


def test_a_service_that_does_not_stop_leaves_everything_and_is_started(agent: Agent) -> None:
    before = snapshot(agent.root)
    agent.break_service("stop")
    with pytest.raises(ServiceFailed, match="W3SVC didn't stop") as raised:
        agent.run(agent.commit_spec("p1"), "c1")
    assert "cannot stop W3SVC" in raised.value.found
    assert snapshot(agent.root) == before
    assert agent.calls() == ["stop W3SVC", "start W3SVC"]
    assert journal(agent) == "undone"


def test_a_service_that_does_not_start_leaves_the_journal_open_until_somebody_undoes(agent: Agent) -> None:
    before = snapshot(agent.root)
    agent.break_service("start")
    with pytest.raises(ServiceFailed, match="W3SVC didn't start") as raised:
        agent.run(agent.commit_spec("p1"), "c1")
    assert "by hand" in raised.value.remedy
    assert journal(agent) == "swapped"
    agent.break_service("start", broken=False)
    agent.run(agent.undo_spec("c1"), "u1")
    assert snapshot(agent.root) == before
    assert (agent.calls()[-1], journal(agent)) == ("start W3SVC", "undone")


def test_a_failure_and_a_service_that_does_not_start_are_both_told(agent: Agent) -> None:
    agent.break_service("start")
    (agent.root / OVERVIEW).unlink()
    (agent.root / OVERVIEW).mkdir()
    with pytest.raises(DataMinerError, match="is in the way") as raised:
        agent.run(agent.commit_spec("p1"), "c1")
    assert "start W3SVC by hand" in raised.value.remedy
    assert journal(agent) == "committing"


def test_a_service_that_hangs_is_given_up(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    agent.command.write_text('#!/bin/sh\nif [ "$1" = stop ]; then exec sleep 120; fi\n')
    monkeypatch.setattr(local_restore, "SERVICE_TIMEOUT", 1.5)
    begun = time.monotonic()
    with pytest.raises(ServiceFailed, match="didn't stop"):
        agent.run(agent.commit_spec("p1"), "c1")
    assert time.monotonic() - begun < 60


def test_a_service_that_leaves_a_process_behind_is_not_waited_for(agent: Agent) -> None:
    agent.command.write_text('#!/bin/sh\nif [ "$1" = start ]; then sleep 60 & fi\n')
    begun = time.monotonic()
    agent.run(agent.commit_spec("p1"), "c1")
    assert time.monotonic() - begun < 50


def test_a_host_command_that_is_missing(agent: Agent) -> None:
    with pytest.raises(ServiceFailed, match="didn't stop"):
        agent.run(agent.commit_spec("p1", host_command=[str(agent.home / "missing")]), "c1")


@pytest.mark.parametrize("place", [OVERVIEW, ALARMS])
def test_a_target_that_became_a_folder_is_refused_before_anything_moves(agent: Agent, place: str) -> None:
    (agent.root / place).unlink()
    (agent.root / place).mkdir()
    before = snapshot(agent.root)
    with pytest.raises(DataMinerError, match="is in the way"):
        agent.run(agent.commit_spec("p1"), "c1")
    assert snapshot(agent.root) == before
    assert (agent.calls(), journal(agent)) == (["stop W3SVC", "start W3SVC"], "undone")


@pytest.mark.parametrize(("call", "at"), [("link", 1), ("link", 2), *((call, at) for call in ("replace", "utime", "mkdir") for at in (1, 2, 4))])
def test_a_swap_that_fails_midway_puts_everything_back(agent: Agent, monkeypatch: pytest.MonkeyPatch, call: str, at: int) -> None:
    before = snapshot(agent.root)
    real, made = getattr(os, call), []

    def breaks(*args: Any, **more: Any) -> Any:
        if str(args[0]).startswith((str(agent.root), str(agent.work / "staging"))):
            made.append(args)
            if len(made) == at:
                raise OSError(errno.EIO, "Input/output error", str(args[0]))
        return real(*args, **more)

    monkeypatch.setattr(local_swap.os, call, breaks)
    with pytest.raises(JobFailed, match="couldn't be swapped in; all was put back") as raised:
        agent.run(agent.commit_spec("p1"), "c1")
    assert "Input/output error" in raised.value.found
    assert snapshot(agent.root) == before
    assert (agent.calls(), journal(agent)) == (["stop W3SVC", "start W3SVC"], "undone")


def test_files_that_read_back_differently_are_put_back(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshot(agent.root)
    real = local_swap.Swap.forward
    seen: list[str | None] = []

    def forward(self: local_swap.Swap) -> int:
        moved = real(self)
        (agent.root / OVERVIEW).write_text("a disk that lies")
        seen.append(journal(agent))
        return moved

    monkeypatch.setattr(local_swap.Swap, "forward", forward)
    with pytest.raises(JobFailed, match="1 files read back differently") as raised:
        agent.run(agent.commit_spec("p1"), "c1")
    assert OVERVIEW in raised.value.found
    assert "all was put back" in raised.value.message
    assert f"moved to {agent.work / 'conflicts/p1'}" in raised.value.found
    assert (agent.work / "conflicts/p1" / OVERVIEW).read_text() == "a disk that lies"
    assert seen == ["committing"]
    assert snapshot(agent.root) == before
    assert journal(agent) == "undone"


def test_files_are_read_back_before_the_journal_says_swapped(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    real_wrong, real_journal = local_swap.Swap.wrong, local_restore._journal
    monkeypatch.setattr(local_swap.Swap, "wrong", lambda self: (told.append("read"), real_wrong(self))[1])
    monkeypatch.setattr(
        local_restore, "_journal", lambda job, run_id, state, **facts: (told.append(state), real_journal(job, run_id, state, **facts))[1]
    )
    agent.run(agent.commit_spec("p1"), "c1")
    assert told == ["committing", "read", "swapped", "released"]


@pytest.mark.parametrize("full", ["made.json", "journal.json"])
def test_a_disk_that_fills_up_puts_everything_back(agent: Agent, monkeypatch: pytest.MonkeyPatch, full: str) -> None:
    before = snapshot(agent.root)
    real = local_swap.write_json

    def write_json(path: Path, value: Any, **more: Any) -> None:
        if path.name == full and (full != "journal.json" or value["state"] in ("swapped", "undoing")):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        real(path, value, **more)

    with monkeypatch.context() as patched:
        patched.setattr(local_swap, "write_json", write_json)
        patched.setattr(local_store, "write_json", write_json)
        with pytest.raises((DataMinerError, OSError), match="No space left"):
            agent.run(agent.commit_spec("p1"), "c1")
    assert agent.calls() == ["stop W3SVC", "start W3SVC"]
    assert snapshot(agent.root) == before
    agent.run(agent.undo_spec("c1"), "u1")
    assert snapshot(agent.root) == before


def test_a_preparation_with_a_file_gone_is_refused_before_the_web_server_stops(agent: Agent) -> None:
    (agent.work / "staging/p1" / OVERVIEW).unlink()
    with pytest.raises(NoSuchJob, match="isn't complete any more"):
        agent.run(agent.commit_spec("p1"), "c1")
    assert (agent.calls(), journal(agent)) == ([], None)


def test_a_commit_of_nothing_prepared(agent: Agent) -> None:
    with pytest.raises(NoSuchJob, match="No restore stands prepared as p9"):
        agent.run(agent.commit_spec("p9"), "c1")
    assert agent.calls() == []


# what changed since the preparation


def test_files_that_came_or_went_since_the_preparation_are_kept_and_brought_back(agent: Agent) -> None:
    agent.write(NEW, "somebody was faster")
    (agent.root / ALARMS).unlink()
    before = snapshot(agent.root)
    agent.run(agent.commit_spec("p1"), "c1")
    assert restored(agent)
    assert (agent.work / "replaced/p1" / NEW).read_text() == "somebody was faster"
    agent.run(agent.undo_spec("c1"), "u1")
    assert snapshot(agent.root) == before


SAME = f"{APP}/version_2/App.config.json"


@pytest.mark.parametrize("change", ["migrated", "gone"])
def test_a_file_that_was_the_backups_when_it_was_prepared_and_is_not_any_more_is_restored(agent: Agent, change: str) -> None:
    """An app is migrated when somebody opens it."""
    held = (agent.root / SAME).read_bytes()
    agent.write(SAME, "migrated when opened") if change == "migrated" else (agent.root / SAME).unlink()
    before = snapshot(agent.root)
    result = agent.run(agent.commit_spec("p1"), "c1")
    assert (result["swapped"], result["verified"]) == (5, 9)
    assert (agent.root / SAME).read_bytes() == held
    agent.run(agent.undo_spec("c1"), "u1")
    assert snapshot(agent.root) == before


def test_a_file_that_is_the_backups_is_not_touched(agent: Agent) -> None:
    (agent.root / SAME).chmod(0o600)
    os.utime(agent.root / SAME, (1_700_000_000, 1_700_000_000))
    number = (agent.root / SAME).stat().st_ino
    agent.run(agent.commit_spec("p1"), "c1")
    about = (agent.root / SAME).stat()
    assert (about.st_ino, about.st_mtime) == (number, 1_700_000_000)


def test_a_file_that_cannot_be_compared_once_more_ends_the_commit_before_anything_moves(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    before, real = snapshot(agent.root), local_swap.sha256_file

    def sha256_file(path: Any) -> str:
        if str(path) == str(agent.root / SAME):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(local_swap, "sha256_file", sha256_file)
    with pytest.raises(ChangedMeanwhile, match="can't be read"):
        agent.run(agent.commit_spec("p1", retry_seconds=0.01), "c1")
    assert snapshot(agent.root) == before
    assert (agent.calls(), journal(agent)) == (["stop W3SVC", "start W3SVC"], "undone")


# left-overs


def test_leftovers_are_moved_away(agent: Agent) -> None:
    agent.write(f"{APP}/version_9/App.config.json", "later")
    agent.prepared(agent.backups / "one.zip", "p2")
    result = agent.run(agent.commit_spec("p2", leftovers=[f"{APP}/version_9", f"{APP}/version_gone"]), "c1")
    assert result["quarantined"] == [f"{APP}/version_9"]
    assert not (agent.root / APP / "version_9").exists()
    assert (agent.work / "quarantine/p2" / APP / "version_9/App.config.json").read_text() == "later"


# a disk that can't link


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
def test_a_disk_without_links_will_do(agent: Agent, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def link(*args: Any, **more: Any) -> None:
        raise OSError(number, "no links here", str(args[0]))

    before = snapshot(agent.root)
    monkeypatch.setattr(local_swap.os, "link", link)
    agent.run(agent.commit_spec("p1"), "c1")
    assert restored(agent)
    assert stat.S_IMODE((agent.root / OVERVIEW).stat().st_mode) == 0o640
    agent.run(agent.undo_spec("c1"), "u1")
    assert snapshot(agent.root) == before


def test_a_large_restore_is_read_back_in_pieces(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_backup, "SMALL", 1000)
    agent.write("Web/picture.png", os.urandom(3_000_000))
    agent.run(agent.backup_spec("Web", name="two.zip"))
    agent.write("Web/picture.png", b"gone")
    agent.prepared(agent.backups / "two.zip", "p2")
    assert agent.run(agent.commit_spec("p2"), "c2")["verified"] == 1
    assert (agent.root / "Web/picture.png").stat().st_size == 3_000_000
