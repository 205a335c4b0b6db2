"""Jobs on a POSIX host: one at a time, detached from whoever started them, told alive from dead by the lock they hold."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ansible_collections
import pytest
from ansible_collections.dataminer.web.plugins.module_utils import local_host, local_jobs
from ansible_collections.dataminer.web.plugins.module_utils.errors import Busy, InvalidInput, JobFailed, NoSuchJob
from ansible_collections.dataminer.web.plugins.module_utils.jobs import was_called_off, work_of
from ansible_collections.dataminer.web.plugins.module_utils.local_files import read_json
from ansible_collections.dataminer.web.plugins.module_utils.local_host import LocalHost
from ansible_collections.dataminer.web.plugins.module_utils.local_jobs import Job
from ansible_collections.dataminer.web.plugins.module_utils.local_store import JobStore
from local_kit import Agent, wait_for


def linger(job: Job) -> dict[str, Any]:
    """A job that says who it is, and lasts until a file `end` appears in its folder, or the time is up."""
    (job.folder / "pid").write_text(str(os.getpid()))
    with (job.store.work / "carried-out").open("a") as log:
        log.write(f"{job.run_id}\n")
    end = time.monotonic() + float(job.spec.get("seconds", 60))
    while time.monotonic() < end and not (job.folder / "end").exists():
        time.sleep(0.01)
    return {"answer": 42}


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Agent:
    """Jobs of the kinds `backup` and `verify` linger here."""
    for kind in ("backup", "verify"):
        monkeypatch.setitem(local_host.RUNNERS, kind, linger)
    return Agent(tmp_path)


def pid(agent: Agent, run_id: str) -> int:
    return int(wait_for(lambda: (path := agent.store.folder(run_id) / "pid").exists() and path.read_text()))


def end(agent: Agent, run_id: str) -> Any:
    (agent.store.folder(run_id) / "end").touch()
    return agent.host.poll(run_id, 60)


def carried_out(agent: Agent) -> list[str]:
    path = agent.work / "carried-out"
    return path.read_text().split() if path.exists() else []


def dead(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"


def kill(number: int) -> None:
    os.kill(number, signal.SIGKILL)
    wait_for(lambda: dead(number))


def test_a_job_runs_and_ends_with_its_result(agent: Agent) -> None:
    started = agent.start({"kind": "backup", "owner": "anna", "about": {"x": 1}}, "b1")
    assert (started.state, started.attached, started.kind, started.owner) == ("running", False, "backup", "anna")
    ended = end(agent, "b1")
    assert (ended.state, ended.result) == ("done", {"answer": 42, "about": {"x": 1}})
    assert agent.store.unended_job() is None  # once it had the time to let the lock go
    assert [row["state"] for row in agent.store.job_rows()] == ["done"]


def test_a_start_with_the_same_run_id_attaches(agent: Agent) -> None:
    agent.start({"kind": "backup", "seconds": 20}, "b1")
    again = agent.start({"kind": "backup", "seconds": 20}, "b1")
    assert (again.run_id, again.state, again.attached) == ("b1", "running", True)
    assert end(agent, "b1").state == "done"
    after = agent.start({"kind": "backup", "seconds": 20}, "b1")
    assert (after.state, after.attached) == ("done", True)
    assert carried_out(agent) == ["b1"]


def test_a_start_of_the_same_work_attaches_under_the_first_run_id(agent: Agent) -> None:
    agent.start({"kind": "backup", "dest_dir": "/x"}, "b1")
    other = agent.start({"kind": "backup", "dest_dir": "/x"}, "b2")
    assert (other.run_id, other.attached) == ("b1", True)
    assert agent.host.poll("b2").state == "absent"
    end(agent, "b1")


@pytest.mark.parametrize("spec", [{"kind": "verify", "dest_dir": "/x"}, {"kind": "backup", "dest_dir": "/y"}, {"kind": "backup"}])
def test_another_job_is_busy_and_says_with_what(agent: Agent, spec: dict[str, Any]) -> None:
    agent.start({"kind": "backup", "dest_dir": "/x", "owner": "anna"}, "b1")
    with pytest.raises(Busy) as raised:
        agent.start(spec, "b2")
    assert "backup job b1 of anna, started 20" in raised.value.found
    assert ("with other work to do" in raised.value.message) is (spec["kind"] == "backup")
    end(agent, "b1")
    agent.start({**spec, "seconds": 0}, "b3")
    assert agent.host.poll("b3", 60).state == "done"


BACKUP = {
    "kind": "backup",
    "owner": "ann",
    "items": [{"path": "Dashboards", "versions": None}],
    "dest_dir": "/x",
    "name": "10.zip",
    "header": {"created": "10"},
    "rotate": ["1.zip"],
    "about": {"created": "10"},
}
PREPARE = {"kind": "prepare", "zip_sha256": "ab", "include": ["Dashboards"], "safety": BACKUP, "free_needed": 10}


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (BACKUP, {**BACKUP, "owner": "bob", "name": "11.zip", "header": {"created": "11"}, "rotate": [], "about": None}, True),
        (BACKUP, {**BACKUP, "items": [{"path": "Web", "versions": None}]}, False),
        (BACKUP, {**BACKUP, "dest_dir": "/y"}, False),
        (PREPARE, {**PREPARE, "owner": "bob", "free_needed": 11, "safety": {**BACKUP, "name": "11.zip"}}, True),
        (PREPARE, {**PREPARE, "include": None}, False),
        (PREPARE, {**PREPARE, "safety": None}, False),
        ({"kind": "install", "package": "C:/A.dmupgrade", "argv": ["a"]}, {"kind": "install", "package": "c:/a.dmupgrade", "argv": ["b"]}, True),
        ({"kind": "install", "package": "C:/A.dmupgrade", "argv": ["a"]}, {"kind": "install", "package": "C:/B.dmupgrade", "argv": ["a"]}, False),
        ({"kind": "undo", "commit": "c1"}, {"kind": "undo", "commit": "c2"}, False),
    ],
)
def test_the_work_of_a_job_is_its_spec_without_what_is_volatile(first: dict[str, Any], second: dict[str, Any], same: bool) -> None:
    assert (work_of(first) == work_of(second)) is same


def test_an_older_job_of_the_same_work_is_not_attached_to(agent: Agent) -> None:
    agent.start({"kind": "backup", "dest_dir": "/x", "seconds": 0}, "b1")
    agent.host.poll("b1", 60)
    second = agent.start({"kind": "backup", "dest_dir": "/x"}, "b2")
    assert (second.run_id, second.attached) == ("b2", False)
    end(agent, "b2")


def test_a_kind_that_nobody_knows(agent: Agent) -> None:
    with pytest.raises(InvalidInput, match="No such job"):
        agent.start({"kind": "brew"}, "b1")


@pytest.mark.parametrize("run_id", ["", ".", "..", "../x", "a/b", "-x", "a b", "x" * 101, "a\n"])
def test_a_run_id_that_is_no_folder_name(agent: Agent, run_id: str) -> None:
    with pytest.raises(InvalidInput, match="run id"):
        agent.start({"kind": "backup"}, run_id)
    assert carried_out(agent) == []


def race(work: str, spec: dict[str, Any], run_id: str, gate: Any, answers: Any) -> None:
    host = LocalHost(work)
    gate.wait()
    try:
        status = host.start(spec, run_id)
        answers.put((status.run_id, status.attached))
    except Busy:
        answers.put(("busy", False))


@pytest.mark.parametrize("same_run_id", [True, False])
@pytest.mark.parametrize("stale", [True, False])
def test_starts_that_race_start_one_job(agent: Agent, same_run_id: bool, stale: bool) -> None:
    spec = {"kind": "backup", "dest_dir": "/x", "seconds": 20}
    if stale:  # a job of the same work was killed before
        agent.start(spec, "old")
        wait_for(lambda: carried_out(agent))
        kill(pid(agent, "old"))
    context = multiprocessing.get_context("fork")
    gate, answers = context.Barrier(4), context.Queue()
    run_ids = ["b0" if same_run_id else f"b{number}" for number in range(4)]
    racers = [context.Process(target=race, args=(str(agent.work), spec, run_id, gate, answers)) for run_id in run_ids]
    for racer in racers:
        racer.start()
    told = [answers.get(timeout=60) for _racer in racers]
    for racer in racers:
        racer.join()
    winner = wait_for(lambda: carried_out(agent)[stale:])
    assert carried_out(agent)[stale:] == winner
    assert {run_id for run_id, _attached in told} == {winner[0]}
    assert sorted(attached for _run_id, attached in told) == [False, True, True, True]
    end(agent, winner[0])


def test_a_start_that_was_overtaken_does_not_run_the_job_again(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between its first look and its turn another start carried out the whole job."""
    spec = {"kind": "backup", "seconds": 0}
    real = JobStore.take_lock

    def take_lock(store: JobStore) -> int | None:
        monkeypatch.setattr(JobStore, "take_lock", real)
        agent.follow(spec, "b1")
        return real(store)

    monkeypatch.setattr(JobStore, "take_lock", take_lock)
    status = agent.start(spec, "b1")
    assert (status.state, status.attached) == ("done", True)
    assert carried_out(agent) == ["b1"]


def test_a_start_that_has_only_just_begun_is_not_taken_for_a_dead_job(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_jobs, "ATTEMPTS", 2)
    spec = {"kind": "backup", "dest_dir": "/x"}
    agent.start(spec, "old")
    kill(pid(agent, "old"))
    lock = agent.store.take_lock()  # as a start does before it writes anything
    assert lock is not None
    assert agent.host.poll("old").state == "dead"
    with pytest.raises(Busy, match="unknown"):
        agent.start(spec, "b1")
    os.close(lock)


def test_a_job_that_has_ended_but_holds_the_lock_is_not_attached_to(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an installer leaves running may hold it for a while."""
    monkeypatch.setattr(local_jobs, "ATTEMPTS", 2)
    spec = {"kind": "backup", "dest_dir": "/x", "seconds": 0}
    agent.follow(spec, "b1")
    lock = agent.store.await_lock()
    assert lock is not None
    agent.store.record("b1", {"run_id": "b1", "kind": "backup", "owner": "anna", "started": "then", "work": work_of(spec)})
    with pytest.raises(Busy, match="backup job b1 of anna, started then"):
        agent.start(spec, "b2")
    os.close(lock)


def test_a_commit_is_called_off_once_the_job_that_ended_lets_the_lock_go(agent: Agent) -> None:
    spec = {"kind": "backup", "seconds": 0}
    agent.follow(spec, "b1")
    lock = agent.store.await_lock()
    assert lock is not None
    agent.store.record("b1", {"run_id": "b1", "kind": "backup", "owner": "anna", "started": "then", "work": work_of(spec)})
    threading.Timer(0.4, os.close, [lock]).start()
    assert was_called_off(local_jobs.call_off(agent.store, "c1"))


def test_a_killed_job_is_dead_and_the_next_may_start(agent: Agent) -> None:
    agent.start({"kind": "backup"}, "b1")
    kill(pid(agent, "b1"))
    status = agent.host.poll("b1", 60)
    assert status.state == "dead"
    assert isinstance(status.failure(), JobFailed)
    assert "jobs/b1/log.txt" in str(status.failure())
    assert agent.start({"kind": "backup"}, "b1").state == "dead"  # the same run id tells what is known of it
    agent.start({"kind": "backup", "seconds": 0}, "b2")
    assert agent.host.poll("b2", 60).state == "done"


def test_a_job_told_to_end_says_so(agent: Agent) -> None:
    agent.start({"kind": "backup"}, "b1")
    os.kill(pid(agent, "b1"), signal.SIGTERM)
    status = agent.host.poll("b1", 60)
    assert status.state == "failed"
    assert "SIGTERM" in str(status.failure())


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_connection_that_closes_does_not_end_a_job(agent: Agent, number: signal.Signals) -> None:
    agent.start({"kind": "backup"}, "b1")
    os.kill(pid(agent, "b1"), number)
    time.sleep(0.1)
    assert end(agent, "b1").state == "done"


STARTER = """
import os, signal, sys, time
sys.path.insert(0, {link!r}); import ansible_collections; ansible_collections.__path__ = [{link!r}]
from ansible_collections.dataminer.web.plugins.module_utils import local_host
def linger(job):
    (job.folder / "pid").write_text(str(os.getpid()))
    while not (job.folder / "end").exists():
        time.sleep(0.01)
    return {{"answer": 42}}
local_host.RUNNERS["backup"] = linger
print(local_host.LocalHost({work!r}).start({{"kind": "backup"}}, "b1").state, flush=True)
if {killed}:
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("killed", [False, True])
def test_a_job_outlives_the_process_that_started_it(agent: Agent, killed: bool) -> None:
    link = next(path for path in ansible_collections.__path__ if (Path(path) / "dataminer").exists())
    script = STARTER.format(link=link, work=str(agent.work), killed=killed)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "running\n", done.stderr
    assert done.returncode == (-signal.SIGKILL if killed else 0)
    assert os.getsid(pid(agent, "b1")) not in (os.getsid(0), 0)
    assert agent.host.poll("b1").state == "running"
    assert end(agent, "b1").result == {"answer": 42, "about": None}


def test_a_job_holds_nothing_open_but_its_log_and_the_lock(agent: Agent, tmp_path: Path) -> None:
    with (tmp_path / "mine").open("w"):
        agent.start({"kind": "backup"}, "b1")
        folder = Path(f"/proc/{pid(agent, 'b1')}/fd")
        held = {str(handle.readlink()) for handle in folder.iterdir()}
    assert held == {"/dev/null", str(agent.store.folder("b1") / "log.txt"), str(agent.work / "lock")}
    end(agent, "b1")


def test_a_start_without_standard_streams_keeps_the_lock(agent: Agent) -> None:
    """A process without input and output gets low numbers for what it opens, which a job gives another meaning."""
    child = os.fork()
    if not child:
        for number in (0, 1, 2):
            os.close(number)
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
        agent.start({"kind": "backup"}, "b1")
        os._exit(0)
    os.waitpid(child, 0)
    pid(agent, "b1")
    assert agent.host.poll("b1").state == "running"
    end(agent, "b1")


def fail(error: BaseException) -> Callable[[Job], dict[str, Any]]:
    def runner(job: Job) -> dict[str, Any]:
        raise error

    return runner


def test_an_error_of_ours_comes_back_as_it_was(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(local_host.RUNNERS, "backup", fail(Busy("Not now", found="caf\udce9", needed="time", remedy="wait")))
    status = agent.follow({"kind": "backup"}, "b1")
    assert status.state == "failed"
    error = status.failure()
    assert (type(error), error.found, error.remedy) == (Busy, "caf\udce9", "wait")


@pytest.mark.parametrize(
    ("error", "said"), [(PermissionError(13, "Permission denied", "/x"), "Permission denied (/x)"), (KeyError("a"), "KeyError: 'a'")]
)
def test_an_unforeseen_error_names_its_kind_and_the_log(agent: Agent, monkeypatch: pytest.MonkeyPatch, error: BaseException, said: str) -> None:
    monkeypatch.setitem(local_host.RUNNERS, "backup", fail(error))
    failure = agent.follow({"kind": "backup"}, "b1").failure()
    assert said in failure.found
    assert "jobs/b1/log.txt" in failure.remedy
    assert "Traceback" in (agent.store.folder("b1") / "log.txt").read_text()


def test_records_are_durable_before_a_job_begins_and_its_result_before_it_ends(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed = agent.home / "flushed"
    real = os.fsync

    def fsync(handle: int) -> None:
        real(handle)
        with flushed.open("a") as log:
            log.write(f"{Path(f'/proc/self/fd/{handle}').readlink()}\n")

    monkeypatch.setattr(os, "fsync", fsync)
    agent.follow({"kind": "backup", "seconds": 0}, "b1")
    names = [Path(line).name.split(".json")[0] for line in flushed.read_text().splitlines()]
    assert names[:2] == ["jobs", "work"]
    assert [name for name in names if name in ("spec", "lock", "state", "result")] == ["spec", "lock", "state", "result"]


def test_progress_that_cannot_be_written_does_not_end_a_job(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    def runner(job: Job) -> dict[str, Any]:
        (job.folder / f"progress.json.{os.getpid()}.partial").mkdir()
        job.progress(text="working")
        job.advance(1, 10)
        return {}

    monkeypatch.setitem(local_host.RUNNERS, "backup", runner)
    assert agent.follow({"kind": "backup"}, "b1").state == "done"


def test_progress_is_told(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    def runner(job: Job) -> dict[str, Any]:
        job.progress(text="counting", total_files=3)
        for _number in range(3):
            job.advance(1, 10)
        return {}

    monkeypatch.setitem(local_host.RUNNERS, "backup", runner)
    assert agent.follow({"kind": "backup"}, "b1").progress == {"text": "counting", "total_files": 3, "files": 3, "bytes": 30}


@pytest.mark.parametrize("name", ["result.json", "progress.json"])
@pytest.mark.parametrize("text", ["", "{", "[1]", "null"])
def test_half_a_record_of_a_dead_job_is_no_result(agent: Agent, name: str, text: str) -> None:
    agent.start({"kind": "backup"}, "b1")
    kill(pid(agent, "b1"))
    (agent.store.folder("b1") / name).write_text(text)
    status = agent.host.poll("b1")
    assert (status.state, status.result, status.progress) == ("dead", None, {})


def test_half_a_state_is_a_job_that_never_began(agent: Agent) -> None:
    folder = agent.store.create("b1")
    (folder / "state.json").write_text('{"kind": "ba')
    assert agent.host.poll("b1").state == "absent"
    assert agent.store.job_rows() == []
    assert agent.follow({"kind": "backup", "seconds": 0}, "b1").state == "done"


def test_one_that_is_started_in_this_moment_is_not_dead(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its record stands only once the lock is held: who looked for its holder first would find none."""

    def before_the_start() -> None:
        agent.store.create("b1")
        agent.store.record("b1", {"run_id": "b1", "kind": "backup"})

    monkeypatch.setattr(agent.store, "running_job", before_the_start)
    assert agent.store.status("b1").state == "absent"


def test_a_lock_that_nobody_explains(agent: Agent) -> None:
    lock = agent.store.take_lock()
    assert lock is not None
    assert agent.store.running_job() == {"run_id": "unknown", "kind": "unknown", "owner": "unknown", "started": "", "work": ""}
    (agent.work / "lock.json").write_text("{")
    assert agent.store.running_job() is not None
    os.close(lock)
    assert agent.store.running_job() is None


def test_a_lock_without_a_job_is_busy_in_the_end(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_jobs, "ATTEMPTS", 2)
    lock = agent.store.take_lock()
    assert lock is not None
    with pytest.raises(Busy, match="unknown job"):
        agent.start({"kind": "backup"}, "b1")
    os.close(lock)


LOOK = """
import fcntl, sys, time
with open(sys.argv[1], "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_SH)
    print(flush=True)
    time.sleep(0.05)
"""


def test_looking_at_the_lock_does_not_keep_a_job_from_starting(agent: Agent) -> None:
    """Whoever polls takes a share of the lock for a moment."""
    with subprocess.Popen([sys.executable, "-c", LOOK, agent.work / "lock"], stdout=subprocess.PIPE) as looks:
        assert looks.stdout is not None
        looks.stdout.readline()
        assert agent.follow({"kind": "backup", "seconds": 0}, "b1").state == "done"


def test_a_word_for_a_job_that_does_not_wait(agent: Agent) -> None:
    with pytest.raises(NoSuchJob):
        agent.host.signal("none", "release")
    with pytest.raises(InvalidInput):
        agent.host.signal("none", "stop")
    agent.follow({"kind": "backup", "seconds": 0}, "b1")
    assert agent.host.signal("b1", "undo").state == "done"
    assert not (agent.store.folder("b1") / "undo").exists()


def test_the_status_survives_its_way_through_json(agent: Agent) -> None:
    status = agent.follow({"kind": "backup", "seconds": 0}, "b1")
    assert type(status).from_dict(json.loads(json.dumps(status.to_dict()))) == status
    assert read_json(agent.store.folder("b1") / "spec.json") == {"kind": "backup", "seconds": 0}
