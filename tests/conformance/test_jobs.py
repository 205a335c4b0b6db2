"""Jobs: started once, found again by run id or by what they do, alone on their agent, remembered."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.errors import Busy, DataMinerError, InvalidInput, NoSuchJob, ScriptFailed
from ansible_collections.dataminer.web.plugins.module_utils.jobs import Basis, not_begun, was_called_off, work_of
from ansible_collections.dataminer.web.plugins.plugin_utils import windows_host
from conftest import Lane, in_an_engine
from harness import until
from restores import Restore
from test_job_install import installs, spec
from trees import ordinary, write


@contextlib.contextmanager
def running(host: Lane, run_id: str) -> Iterator[None]:
    """An install that lasts as long as the block."""
    hold = host.home / "hold"
    hold.touch()
    try:
        host.agent.start(host.told(spec(host)), run_id)
        until(lambda: installs(host))
        yield
    finally:
        hold.unlink()
        host.follow(run_id)


def test_one_that_nobody_started(host: Lane) -> None:
    status = host.agent.poll("nobody")
    assert (status.run_id, status.state, status.active) == ("nobody", "absent", False)
    with pytest.raises(NoSuchJob, match="No job nobody on this agent"):
        host.agent.signal("nobody", "release")


def test_a_commit_that_nobody_knows_is_called_off(host: Lane) -> None:
    """The word to undo it came before its start, which begins nothing when it arrives."""
    host.run(spec(host), "i1")
    status = host.agent.signal("c1", "undo")
    assert (status.kind, status.state, was_called_off(status)) == ("commit", "failed", True)
    assert status.error == not_begun("c1").to_dict()
    assert host.agent.signal("c1", "undo").error == status.error
    late = host.agent.start(host.told(spec(host)), "c1")
    assert (late.state, late.attached, late.error) == ("failed", True, status.error)
    assert installs(host) == 1
    assert host.scan()["journals"] == []
    assert host.run(spec(host), "i2").state == "done"


def test_a_run_id_names_one_piece_of_work(host: Lane) -> None:
    """Whoever started other work under it would take the result of the first for that of his own."""
    host.run(spec(host), "i1")
    with pytest.raises(InvalidInput) as raised:
        host.agent.start(host.told(spec(host, package="another")), "i1")
    assert raised.value.message == "The run id i1 is that of another job"
    assert "install job" in raised.value.found
    assert installs(host) == 1


@pytest.mark.parametrize("path", ["lock.json", "jobs/i1/state.json", "jobs/i1/result.json"])
def test_a_record_that_is_held_makes_no_job_unknown(windows: Lane, path: str) -> None:
    windows.run(spec(windows), "i1")
    with windows.holding(windows.home / "work" / path), pytest.raises(ScriptFailed, match=f"{path.rpartition('/')[2]} can't be read"):
        windows.agent.poll("i1")
    assert windows.agent.poll("i1").state == "done"


def test_progress_and_a_journal_that_are_held_keep_nothing_back(windows: Lane) -> None:
    """A commit that lives can be told its word."""
    restore = Restore(windows)
    assert windows.run(restore.commit_spec(deadline=600), "c1").state == "waiting"
    folder = windows.home / "work" / "jobs" / "c1"
    with windows.holding(folder / "progress.json"), windows.holding(folder / "journal.json"):
        status = windows.agent.poll("c1")
    assert (status.state, status.progress) == ("running", {})
    with windows.holding(folder / "progress.json"):
        assert windows.scan()["job"]["until"] is None
    assert windows.scan()["job"]["until"] is not None
    windows.agent.signal("c1", "undo")
    assert windows.follow("c1", past=("running", "waiting")).state == "done"


RECORDED = "    Write-JsonFile ([IO.Path]::Combine($folder, 'state.json')) $record\n"


def starting_with(monkeypatch: pytest.MonkeyPatch, more: str) -> None:
    """A start does this as well, right after it has written down that there is such a job."""
    text = windows_host.script_text("start")
    assert text.count(RECORDED) == 1
    changed = {"start": text.replace(RECORDED, f"{RECORDED}    {more}\n")}
    monkeypatch.setattr(windows_host, "script_text", lambda name, real=windows_host.script_text: changed.get(name) or real(name))


@in_an_engine
def test_who_looks_while_a_job_is_started_sees_no_dead_one(host: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run(spec(host), "i1")
    starting_with(monkeypatch, "Write-JsonFile ([IO.Path]::Combine($folder, 'seen')) @{ state = (Get-Status $place $run_id).state }")
    host.run(spec(host), "i2")
    assert json.loads((host.home / "work" / "jobs" / "i2" / "seen").read_text("utf-8")) == {"state": "running"}


HOLD_SPEC = """$held = [IO.File]::Open([IO.Path]::Combine($folder, 'spec.json'), 'Open', 'Read', 'None')
    $clock = [Threading.CancellationTokenSource]::new(4000)
    [void]$clock.Token.Register([Action][Delegate]::CreateDelegate([Action], $held, 'Dispose'))
    [AppDomain]::CurrentDomain.SetData('spec', $clock)"""


@in_an_engine
def test_a_spec_that_is_held_for_a_moment_is_awaited(host: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the job itself. It was written just now: that is when a virus scanner looks at it."""
    starting_with(monkeypatch, HOLD_SPEC)
    assert host.run(spec(host), "i1").state == "done"


@in_an_engine
def test_records_that_are_held_for_a_moment_are_awaited(host: Lane) -> None:
    """Taken for dead, a commit that waits would miss its word, and go on by itself at its deadline."""
    restore = Restore(host)
    assert host.run(restore.commit_spec(deadline=600), "c1").state == "waiting"

    def hold() -> None:
        for name in ("lock.json", "jobs/c1/state.json", "jobs/c1/journal.json"):
            host.hold_briefly(host.home / "work" / name)

    hold()
    assert host.agent.poll("c1").state == "waiting"
    hold()
    assert host.scan()["journals"] == [{"run_id": "c1", "state": "swapped"}]
    hold()
    host.agent.signal("c1", "undo")
    assert (host.follow("c1", past=("running", "waiting")).result or {})["released_by"] == "undo"


@pytest.mark.apart
def test_delivered_twice_it_runs_once(host: Lane) -> None:
    """A connection that repeats a call, while the job runs and after it."""
    with running(host, "i1"):
        again = host.agent.start(host.told(spec(host)), "i1")
        assert (again.run_id, again.state, again.attached) == ("i1", "running", True)
    after = host.agent.start(host.told(spec(host)), "i1")
    assert (after.state, after.attached) == ("done", True)
    assert installs(host) == 1


@pytest.mark.apart
def test_the_same_work_attaches_and_another_is_refused(host: Lane) -> None:
    with running(host, "i1"):
        attached = host.agent.start(host.told(spec(host)), "i2")
        assert (attached.run_id, attached.attached, attached.kind) == ("i1", True, "install")
        with pytest.raises(Busy) as refused:
            host.agent.start(host.told(spec(host, package="another")), "i3")
        assert refused.value.message == "Another install job runs on this agent, with other work to do"
        assert "install job i1" in refused.value.found
        assert "never aborted" in refused.value.remedy
        assert host.agent.poll("i3").state == "absent"
        with pytest.raises(Busy) as refused:
            host.agent.start(host.told({"kind": "undo", "commit": "c1", "root": host.home / "agent"}), "u1")
        assert refused.value.message == "Another job runs on this agent"


@pytest.mark.parametrize("left", [("spec.json",), ("spec.json", "job.ps1"), ("spec.json", "job.ps1", "state.json")], ids=len)
def test_a_start_that_was_killed_half_way(host: Lane, left: tuple[str, ...]) -> None:
    """Until its record stands, a job is unknown, and sent again it starts. After that it may be starting for a while; then it is dead, and the next
    one may start.
    """
    host.run(spec(host), "i1")
    until(lambda: host.scan()["job"] is None)  # it tells its end before it lets go of the lock
    folder = host.home / "work" / "jobs" / "i1"
    for path in folder.iterdir():
        if path.name not in left:
            path.unlink()
    if "state.json" not in left:
        assert host.agent.poll("i1").state == "absent"
        assert host.run(spec(host), "i1").state == "done"
        return
    long_ago = time.time() - 200
    os.utime(folder / "state.json", (long_ago, long_ago))
    again = host.agent.start(host.told(spec(host)), "i1")
    assert (again.state, again.attached) == ("dead", True)
    assert "ended without a result" in str(again.failure())
    assert installs(host) == 1
    assert host.run(spec(host), "i2").state == "done"


def test_who_started_it_is_told(host: Lane) -> None:
    with running(host, "i1"):
        assert host.agent.poll("i1").owner
    status = host.run({**spec(host), "owner": "ansible@controller"}, "i2")
    assert status.owner == "ansible@controller"
    scanned = host.scan()
    assert [(row["run_id"], row["kind"], row["state"]) for row in scanned["jobs"]] == [("i2", "install", "done"), ("i1", "install", "done")]
    assert scanned["job"] is None


@pytest.mark.apart
def test_a_scan_sees_the_running_job(host: Lane) -> None:
    with running(host, "i1"):
        job = host.scan()["job"]
        assert (job["run_id"], job["kind"], job["work"]) == ("i1", "install", work_of(host.told(spec(host))))


def test_a_job_of_no_kind(host: Lane) -> None:
    with pytest.raises(InvalidInput, match="No such job") as refused:
        host.agent.start({"kind": "format"}, "f1")
    assert "backup" in refused.value.needed


@pytest.mark.parametrize("run_id", ["../elsewhere", "", "a/b", "x" * 101, "-"])
def test_a_run_id_that_is_no_name_of_a_folder(host: Lane, run_id: str) -> None:
    with pytest.raises(DataMinerError):
        host.agent.start(host.told(spec(host)), run_id)
    assert installs(host) == 0


def test_a_word_that_is_none(host: Lane) -> None:
    with pytest.raises(InvalidInput, match="No such word"):
        host.agent.signal("i1", "stop")


def test_the_newest_thirty_are_remembered(host: Lane) -> None:
    for number in range(32):
        folder = host.home / "work" / "jobs" / f"old-{number:02}"
        folder.mkdir(parents=True)
        (folder / "state.json").write_text(f'{{"run_id": "old-{number:02}", "kind": "backup", "started": "2026-01-01T00:00:{number:02}Z"}}', "utf-8")
    open_one = host.home / "work" / "jobs" / "old-00" / "journal.json"
    open_one.write_text('{"state": "committing"}', "utf-8")
    assert host.run(spec(host), "new").state == "done"
    left = {path.name for path in (host.home / "work" / "jobs").iterdir()}
    assert left == {"old-00", "new", *(f"old-{number:02}" for number in range(3, 32))}


def test_a_job_does_not_forget_itself_when_the_clock_was_set_back(host: Lane) -> None:
    """By their times all others are newer."""
    for number in range(31):
        folder = host.home / "work" / "jobs" / f"old-{number:02}"
        folder.mkdir(parents=True)
        (folder / "state.json").write_text(f'{{"run_id": "old-{number:02}", "kind": "backup", "started": "2099-01-01T00:00:{number:02}Z"}}', "utf-8")
    assert host.run(spec(host), "new").state == "done"


def _basis(host: Lane, *parts: str) -> Basis:
    """The agent as it is now, as far as these parts tell of it."""
    return Basis(request=host.request(), parts={name: digest for name, digest in host.scan()["basis"].items() if name in parts})


def test_one_is_started_where_its_plan_still_holds(host: Lane) -> None:
    """What the plan doesn't rest on may change."""
    ordinary(host.home)
    basis = _basis(host, "versions", "work")
    write(host.home / "agent" / "Applications" / "new" / "App.info.json", "{}")
    status = host.agent.start(host.told(spec(host)), "i1", basis)
    assert (status.state, status.attached) != ("stale", True)
    assert host.follow("i1").state == "done"
    assert installs(host) == 1


@pytest.mark.parametrize(
    ("part", "path"),
    [
        ("content", "agent/Applications/new/App.info.json"),
        ("content", "agent/Applications/0a1b/version_77/App.config.json"),
        ("content", "agent/Applications/loose too.txt"),
        ("versions", "agent/Upgrades/VersionHistory.txt"),
        ("versions", "agent/Upgrades/Packages/DataMiner 10.6.5.0-1 Web Upgrade.dmupgrade-x/progress.log"),
        ("backups", "backups/another.zip"),
        ("work", "work/jobs/c1/journal.json"),
    ],
)
def test_one_is_not_started_where_its_plan_holds_no_more(host: Lane, part: str, path: str) -> None:
    """Nothing of it is left; the same call with what is true by then starts it. One that is known by its run id is followed all the same."""
    ordinary(host.home)
    write(host.home / "work" / "jobs" / "c1" / "state.json", json.dumps({"run_id": "c1", "kind": "commit", "started": "2026-03-01T10:00:00Z"}))
    basis = _basis(host, part)
    write(host.home / path, '{"state": "committing"}')
    status = host.agent.start(host.told(spec(host)), "i1", basis)
    assert (status.state, status.attached, status.active) == ("stale", False, False)
    assert (host.agent.poll("i1").state, installs(host)) == ("absent", 0)
    calls = host.engine.calls if host.engine else 0
    host.agent.start(host.told(spec(host)), "i2", basis)
    fresh = Basis(request=basis.request, parts={part: host.scan()["basis"][part]})
    assert not host.engine or host.engine.calls == calls + 1  # the scan came along
    host.agent.start(host.told(spec(host)), "i1", fresh)
    assert host.follow("i1").state == "done"
    assert host.agent.start(host.told(spec(host)), "i1", basis).state == "done"
    assert installs(host) == 1


def test_another_job_is_told_of_before_the_plan_is_looked_at(host: Lane) -> None:
    ordinary(host.home)
    basis = Basis(request=host.request(), parts={"work": "of another time"})
    with running(host, "i1"):
        assert host.agent.start(host.told(spec(host)), "i2", basis).run_id == "i1"
        with pytest.raises(Busy):
            host.agent.start(host.told(spec(host, work="install another")), "i3", basis)
    assert host.agent.start(host.told(spec(host)), "i2", basis).state == "stale"
