# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs on a POSIX host: started detached, carried out by themselves, their end written down."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .account import account
from .errors import DataMinerError, InvalidInput, JobFailed
from .jobs import JobStatus, not_begun, work_of
from .local_files import utc_text, write_json
from .local_store import ATTEMPTS, PATIENCE, JobStore

PROGRESS_EVERY = 0.3  # seconds


class Job:
    """What a job knows of itself while it runs. `lock` is the open lock, to hand on to a process that must not be started twice."""

    def __init__(self, store: JobStore, run_id: str, spec: dict[str, Any], lock: int) -> None:
        self.store, self.run_id, self.spec, self.lock = store, run_id, spec, lock
        self.folder = store.folder(run_id)
        self._facts: dict[str, Any] = {}
        self._written = 0.0

    def progress(self, **facts: Any) -> None:
        """Tell how far it is; writes at most a few times a second."""
        self._facts.update(facts)
        if "text" in facts or time.monotonic() - self._written > PROGRESS_EVERY:
            self.flush()

    def advance(self, files: int, count: int) -> None:
        """`files` more files and `count` more bytes are done."""
        self.progress(files=self._facts.get("files", 0) + files, bytes=self._facts.get("bytes", 0) + count)

    def flush(self) -> None:
        """Write the progress now. A full disk must not end a job over it, least of all one that waits for an installer."""
        self._written = time.monotonic()
        with contextlib.suppress(OSError):
            write_json(self.folder / "progress.json", self._facts, durable=False)

    def log(self, text: str) -> None:
        with contextlib.suppress(OSError):
            sys.stdout.write(f"{utc_text(time.time())} {text}\n")
            sys.stdout.flush()


Runner = Callable[[Job], dict[str, Any]]


def start(store: JobStore, spec: dict[str, Any], run_id: str, runners: dict[str, Runner], *, holds: Callable[[], bool] = lambda: True) -> JobStatus:
    """Start `spec` detached, or attach; see `host.Host.start`. `holds` tells whether its basis does."""
    if spec["kind"] not in runners:
        raise InvalidInput("No such job", found=repr(spec["kind"]), needed=", ".join(sorted(runners)), remedy="use a newer version of the collection")
    for _attempt in range(ATTEMPTS):
        if known := _known(store, spec, run_id):
            return known
        free = not store.locked()
        if free and not holds():  # before the lock is taken: a scan would take its holder for a job
            return JobStatus(run_id=run_id, kind=spec["kind"], state="stale")
        lock = store.take_lock() if free else None
        if lock is not None:
            return _start_locked(store, spec, run_id, runners[spec["kind"]], lock)
        if attached := _attach(store, spec, run_id):
            return attached
        time.sleep(PATIENCE)
    raise store.busy(spec["kind"])


def _start_locked(store: JobStore, spec: dict[str, Any], run_id: str, runner: Runner, lock: int) -> JobStatus:
    try:
        if known := _known(store, spec, run_id):  # somebody else started it, and it ended, since we looked
            return known
        folder = store.create(run_id)
        write_json(folder / "spec.json", spec)
        store.record(run_id, _record(spec, run_id))
        _detach(lambda: _carry_out(Job(store, run_id, spec, lock), runner), folder / "log.txt", lock)
    finally:
        os.close(lock)
    return store.status(run_id)


def _known(store: JobStore, spec: dict[str, Any], run_id: str) -> JobStatus | None:
    """The job of that name, where it is the one that was meant; None where there is none. One that was called off has no work."""
    status = store.status(run_id, attached=True)
    if status.state == "absent":
        return None
    if status.work in ("", work_of(spec)):
        return status
    raise InvalidInput(
        f"The run id {run_id} is that of another job",
        found=f"a {status.kind} job of {status.owner}, started {status.started}, with other work to do",
        needed="a run id of its own for each job",
        remedy="choose another run_id or commit_id, or none",
    )


def call_off(store: JobStore, run_id: str) -> JobStatus:
    """See `host.Host.signal`. Raises `Busy` where another job runs: none can begin meanwhile, and that one may be about to end."""
    lock = store.await_lock()
    if lock is None:
        raise store.busy("commit")
    try:
        if store.status(run_id).state == "absent":
            folder = store.create(run_id)
            write_json(folder / "result.json", {"error": not_begun(run_id).to_dict()})
            write_json(folder / "state.json", {**_record({"kind": "commit"}, run_id), "work": ""})
    finally:
        os.close(lock)
    return store.status(run_id)


def _attach(store: JobStore, spec: dict[str, Any], run_id: str) -> JobStatus | None:
    """The running job, if it is the one that was meant; None while one just begins or ends; `Busy` for another."""
    holder = store.running_job()
    if holder is None or holder["run_id"] == "unknown" or store.ended(holder["run_id"]):
        return None
    if holder["run_id"] == run_id or (holder["kind"], holder["work"]) == (spec["kind"], work_of(spec)):
        status = store.status(holder["run_id"], attached=True)
        return None if status.state == "absent" else status
    raise store.busy(spec["kind"])


def _record(spec: dict[str, Any], run_id: str) -> dict[str, Any]:
    owner = spec.get("owner") or account()
    return {"run_id": run_id, "kind": spec["kind"], "owner": owner, "started": utc_text(time.time()), "work": work_of(spec)}


def _detach(work: Callable[[], None], log: Path, lock: int) -> None:
    """Run `work` in a process that outlives this one: a session of its own, no inherited handle but the lock."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        _mind_signals()
        if os.fork():
            os._exit(0)
        _redirect(log, lock)
        work()
    except BaseException:  # nobody is left to tell but the log
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _mind_signals() -> None:
    """A closed connection means nothing to a job. Told to end, it still does what must not stay undone: a commit starts the web server."""
    for ignored in (signal.SIGHUP, signal.SIGINT):
        signal.signal(ignored, signal.SIG_IGN)

    def told_to_end(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise JobFailed(
            "The job was told to end", found=signal.Signals(number).name, remedy="run again once the reason is over; it continues from what is there"
        )

    signal.signal(signal.SIGTERM, told_to_end)


def _redirect(log: Path, lock: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.closerange(3, lock)
    os.closerange(lock + 1, 4096)
    sys.stdin = os.fdopen(0)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", 1, encoding="utf-8", errors="backslashreplace") for number in (1, 2))


def _carry_out(job: Job, runner: Runner) -> None:
    """Run the job and write its end: a result, or an error that says what happened."""
    try:
        job.log(f"start {job.spec['kind']}")
        end: dict[str, Any] = {"result": {**runner(job), "about": job.spec.get("about")}}
    except DataMinerError as error:
        end = {"error": error.to_dict()}
    except BaseException as error:
        traceback.print_exc()
        end = {"error": _unexpected(job, error).to_dict()}
    job.flush()
    job.log(f"end {'with an error' if 'error' in end else 'well'}")
    _forget_old(job)
    write_json(job.folder / "result.json", end)


def _forget_old(job: Job) -> None:
    """Before the end is told: whoever sees it finds the working folder as it stays."""
    try:
        job.store.prune(job.run_id)
    except OSError as error:
        job.log(f"old jobs stay: {error}")


def _unexpected(job: Job, error: BaseException) -> DataMinerError:
    place = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
    return JobFailed(
        f"The {job.spec['kind']} job failed",
        found=f"{type(error).__name__}: {error.strerror if isinstance(error, OSError) else error}{place}",
        remedy=f"see {job.folder / 'log.txt'} on the agent",
    )
