# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs `commit` and `undo` of a restore on a POSIX host.

The journal's state is durable before what it announces begins, and closed only when the web server runs again: an open journal of a job that is
gone means that somebody has to undo it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

from .errors import DataMinerError, JobFailed, NoSuchJob, Refused, ServiceFailed
from .jobs import still_open
from .local_cleanup import forget_replaced, forget_undone
from .local_files import read_json, utc_text
from .local_jobs import Job
from .local_store import JobStore
from .local_swap import SHOWN, Swap
from .local_swapback import WayBack

SERVICE_TIMEOUT = 120  # seconds
LISTEN_EVERY = 0.1  # seconds
NOTHING = {"put_back": 0, "removed": 0, "kept": [], "conflicts": []}
SERVED = "swapped"  # what an undo finds once the web server may have run with restored files: users may have written since


def run_commit(job: Job) -> dict[str, Any]:
    """Stop the web server, swap, wait for a word, start it again whatever happens."""
    _check_open(job.store, str(job.spec.get("prepared")))
    swap, server = Swap(job, job.spec), WebServer(job)
    swap.check_staged()
    _journal(job, job.run_id, "committing", was=_left_by_others(job.store, swap))
    job.progress(text="stopping the web server", files=0, bytes=0, total_files=swap.count)
    try:
        with server:
            result = _swap(job, swap)
            word = _await_word(job)
            result |= _put_back(job, swap) if word == "undo" else {}
    except BaseException:
        if server.runs and not swap.touched:
            _close(job, job.run_id, "undone", by="failure", **swap.stays)
        raise
    _close(job, job.run_id, "undone" if word == "undo" else "released", by=word, **swap.stays)
    return {**result, "released_by": word}


def _check_open(store: JobStore, prepared: str) -> None:
    """A restore that has ended would be rolled back by half: what it staged is in its place, and so may be what users wrote since.

    And to undo another one that is open would take this one back.
    """
    ended = store.closed(prepared)
    if ended:
        raise Refused(
            f"The restore prepared as {prepared} was carried out before",
            found=f"commit {ended[0]} is {ended[1]}",
            needed="a preparation that no commit has ended with",
            remedy="run the playbook again: it chooses and prepares anew",
        )
    for commit, other in store.open_commits().items():
        if other != prepared:
            raise still_open(commit)


def _left_by_others(store: JobStore, swap: Swap) -> str:
    """The state in which an earlier commit of the same preparation broke off."""
    if not swap.resumed:
        return "committing"
    states = {store.was(commit) for commit in store.commits_of(swap.run) if commit != swap.job.run_id}
    return "committing" if states <= {"committing"} else SERVED


def _swap(job: Job, swap: Swap) -> dict[str, Any]:
    """Everything in its place and read there, or everything as it was."""
    job.progress(text="swapping files in")
    try:
        swap.begin()
        job.progress(total_files=swap.count)
        swapped, quarantined = swap.forward(), swap.move_leftovers()
        _check_swapped(job, swap)
        _journal(job, job.run_id, "swapped")
    except BaseException as error:
        if not swap.touched:
            raise
        raise _all_back(job, swap, error) from error
    return {"swapped": swapped, "quarantined": quarantined, "verified": swap.files}


def _all_back(job: Job, swap: Swap, error: BaseException) -> DataMinerError:
    """Put everything back; gives the failure, which says so. Raises when that fails too: the journal then stays open."""
    first = error if isinstance(error, DataMinerError) else _unswapped(error)
    try:
        back = _back(job, swap, job.run_id, job.store.was(job.run_id))
    except JobFailed as second:
        second.found += f"; before that: {first.message} ({first.found})"
        raise
    told = f"{back['put_back']} files put back, {back['removed']} removed"
    if back["kept"]:
        told += f", {len(back['kept'])} that stay: {', '.join(back['kept'][:SHOWN])}"
    if back["conflicts"]:
        told += f", {len(back['conflicts'])} that were neither the backup's nor those of before moved to {swap.conflicts}"
    return type(first)(f"{first.message}; all was put back", found=f"{first.found} ({told})", needed=first.needed, remedy=first.remedy)


def _unswapped(error: BaseException) -> JobFailed:
    what = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
    return JobFailed("The files couldn't be swapped in", found=what, needed="files that can be replaced", remedy="mend the cause and run again")


def _back(job: Job, swap: Swap, commit: str, was: str) -> dict[str, Any]:
    """The way back under the journal of `commit`. However it ends, the web server starts next: whoever undoes later finds what users wrote since."""
    with contextlib.suppress(OSError):  # the disk may be full; the journal is open already
        _journal(job, commit, "undoing", was=was)
    try:
        return WayBack(swap, edited=was != "committing").go()
    finally:
        os.sync()
        with contextlib.suppress(OSError):
            _journal(job, commit, "undoing", was=SERVED)


def _check_swapped(job: Job, swap: Swap) -> None:
    """Read every file in its place while the disk takes it."""
    job.progress(text="verifying what was swapped in")
    with ThreadPoolExecutor(1) as disk:
        flushed = disk.submit(os.sync)
        wrong = swap.wrong()
        flushed.result()
    if wrong:
        raise JobFailed(
            f"{len(wrong)} files read back differently from their places",
            found=", ".join(wrong[:SHOWN]),
            needed="the bytes of the backup",
            remedy="check the disk of this agent, and which program writes there",
        )


def _await_word(job: Job) -> str:
    """`release` or `undo` from the controller, or `deadline` when it stays silent: a web server that stays down helps nobody."""
    seconds = float(job.spec["deadline"])
    job.progress(text="swapped, waiting for the other agents", until=utc_text(time.time() + seconds))
    job.flush()
    end = time.monotonic() + seconds
    while True:
        for word in ("undo", "release"):
            if (job.folder / word).exists():
                return word
        if time.monotonic() >= end:
            return "deadline"
        time.sleep(LISTEN_EVERY)


def _put_back(job: Job, swap: Swap) -> dict[str, Any]:
    return _back(job, swap, job.run_id, "swapped")


def run_undo(job: Job) -> dict[str, Any]:
    """Undo a restore, finished or broken off: the web server stands still meanwhile and is started at the end.

    May be repeated: then it tells what stayed, and who has undone it (`before`).
    """
    commit, store = str(job.spec["commit"]), job.store
    spec, state = read_json(store.folder(commit) / "spec.json"), store.restore_state(commit)
    if not isinstance(spec, dict):
        raise NoSuchJob(f"No commit {commit} on this agent", needed="the run id of a commit", remedy="see the journals in agent_info")
    if state is None:
        return dict(NOTHING)
    if state == "undone":
        return {**_only_start(job), **store.undone(commit)}
    back, stays = _undo(job, commit, spec) if store.touched(store.prepared_by(commit)) else (_only_start(job), {})
    _close(job, commit, "undone", by=job.run_id, **stays)
    return back


def _undo(job: Job, commit: str, spec: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The result, and what of it a second undo tells again."""
    swap, server, was = Swap(job, spec), WebServer(job), job.store.was(commit)
    job.progress(text="putting back", files=0, bytes=0, total_files=swap.count)
    _journal(job, commit, "undoing", was=was)
    with server:
        back = _back(job, swap, commit, was)
    return back, swap.stays


def _only_start(job: Job) -> dict[str, Any]:
    """Where nothing was moved, or all of it was put back."""
    WebServer(job).start()
    return dict(NOTHING)


# the journal


def _journal(job: Job, commit: str, state: str, **facts: Any) -> None:
    """The journal of a commit, with what is told of a restore later."""
    spec = read_json(job.store.folder(commit) / "spec.json") or {}
    about = {key: spec.get(key) for key in ("prepared", "backup", "zip_sha256", "zip_mark", "partial", "restored_before")}
    job.store.write_journal(commit, state, at=utc_text(time.time()), **about, **facts)


def _close(job: Job, commit: str, state: str, *, by: str, **stays: Any) -> None:
    """The end of a restore, also for earlier commits of it that broke off. `stays`: what an undo left in its place, or moved away."""
    store = job.store
    prepared = store.prepared_by(commit)
    for other, of in store.open_commits().items():
        if other != commit and of == prepared:
            _journal(job, other, state, by=commit, **stays)
    _journal(job, commit, state, by=by, **stays)
    if prepared:
        (forget_replaced if state == "released" else forget_undone)(job, prepared)


# the web server


class WebServer:
    """Stands still inside a `with`, and is started at its end whatever happens. With no service named, nothing serves from this tree.

    Raises `ServiceFailed` at once where a service is named that nothing can stop.
    """

    def __init__(self, job: Job) -> None:
        self.job, self.name, self.command = job, job.spec.get("service"), job.spec.get("host_command")
        self.runs = True
        if self.name and not self.command:
            raise ServiceFailed(
                f"Nothing can stop and start {self.name} here",
                needed="a host command",
                remedy="set dataminer_host_command, or dataminer_web_service to none",
            )

    def __enter__(self) -> WebServer:
        self.runs = False
        try:
            self._call("stop")
        except BaseException as error:  # also one that was told to end
            self._start_after(error)
            raise
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None:
            self.start()
        else:
            self._start_after(error)

    def start(self) -> None:
        """A job that is told to end while the web server starts begins once more: it isn't told twice."""
        try:
            self._call("start")
        except ServiceFailed:
            raise
        except BaseException:
            self._call("start")
            self.runs = True
            raise
        self.runs = True

    def _start_after(self, error: BaseException) -> None:
        """The first failure is the one to tell; that the web server is down as well goes with it."""
        try:
            self.start()
        except ServiceFailed as second:
            self.job.log(str(second))
            if isinstance(error, DataMinerError):
                error.remedy = f"{second.remedy} ({second.message}: {second.found}); {error.remedy}"

    def _call(self, verb: str) -> None:
        if not self.name or not self.command:
            return
        with self._output() as output:  # no pipe: a server that is started may hold it open for ever
            try:
                subprocess.run(  # pylint: disable=ansible-bad-function  # a job has no module
                    [*self.command, verb, self.name], stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=SERVICE_TIMEOUT, check=True
                )
            except (OSError, subprocess.SubprocessError) as error:
                output.seek(0)
                said = output.read().decode("utf-8", "replace").strip() or str(error)
                raise ServiceFailed(
                    f"{self.name} didn't {verb}", found=said[-500:], needed=f"the service to {verb}", remedy=f"{verb} {self.name} by hand"
                ) from error

    def _output(self) -> BinaryIO:
        """What the command says; on a full disk nothing, for the web server has to start all the same."""
        try:
            return (self.job.folder / "service.log").open("w+b")
        except OSError:
            return Path(os.devnull).open("w+b")
