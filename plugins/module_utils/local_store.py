# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The working folder of a POSIX agent: the lock, job folders, journals."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import Busy, InvalidInput
from .jobs import CLOSED_JOURNAL_STATES, OPEN_JOURNAL_STATES, JobStatus, State
from .local_files import read_json, remove_tree, sync_folder, utc_text, write_json

KEEP_JOBS = 30
LOWEST_LOCK = 10
ATTEMPTS = 30  # to find the lock free after a job that is just ending
PATIENCE = 0.1  # seconds between two of them
JOURNAL = "journal.json"
MADE = "made.json"  # in the folder of a preparation: the folders that a commit has to make; there once one has begun
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class JobStore:
    """Reads and writes the job records below one working folder.

    Whether a job lives is told by the lock it holds open, not by a process id, which another process may have by now. An installer inherits the
    lock, so that it still counts as running when the job that started it was killed.
    """

    def __init__(self, work: Path) -> None:
        self.work = work
        self.jobs = work / "jobs"

    def folder(self, run_id: str) -> Path:
        if not RUN_ID.fullmatch(run_id):
            raise InvalidInput(
                "A run id can't be used as a folder name", found=repr(run_id), needed="letters, digits, dots, dashes", remedy="choose another run_id"
            )
        return self.jobs / run_id

    def take_lock(self) -> int | None:
        """The open lock, or None while another process holds it."""
        self.work.mkdir(parents=True, exist_ok=True)
        opened = os.open(self.work / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        handle = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, LOWEST_LOCK)  # a job gives 0, 1 and 2 another meaning
        os.close(opened)
        for _attempt in range(5):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                (self.work / "lock.json").unlink(missing_ok=True)  # it names a job that is gone
                return handle
            time.sleep(0.02)  # somebody may only be looking
        os.close(handle)
        return None

    def locked(self) -> bool:
        try:
            handle = os.open(self.work / "lock", os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    def running_job(self) -> dict[str, Any] | None:
        """Who holds the lock: run_id, kind, owner, started, work."""
        if not self.locked():
            return None
        record = read_json(self.work / "lock.json")
        unknown = {"run_id": "unknown", "kind": "unknown", "owner": "unknown", "started": "", "work": ""}
        return {**unknown, **record} if isinstance(record, dict) else unknown

    def unended_job(self) -> dict[str, Any] | None:
        """`running_job`, once one that has told its end had the time to let the lock go."""
        for _attempt in range(ATTEMPTS):
            holder = self.running_job()
            if holder is None or not self.ended(str(holder["run_id"])):
                return holder
            time.sleep(PATIENCE)
        return holder

    def until(self, run_id: str) -> str | None:
        """When a commit that waits starts its web server by itself at the latest, None where no job has told it."""
        told = read_json(self.folder(run_id) / "progress.json") if RUN_ID.fullmatch(run_id) else None
        until = told.get("until") if isinstance(told, dict) else None
        return until if isinstance(until, str) else None

    def await_lock(self) -> int | None:
        """`take_lock`, once a job that has told its end had the time to let it go."""
        self.unended_job()
        return self.take_lock()

    def create(self, run_id: str) -> Path:
        """The job's folder, made so that it survives a power cut."""
        folder = self.folder(run_id)
        self.jobs.mkdir(exist_ok=True)
        folder.mkdir(exist_ok=True)
        sync_folder(self.jobs)
        sync_folder(self.work)
        return folder

    def record(self, run_id: str, record: dict[str, Any]) -> None:
        """Note who holds the lock, then that the job exists: in this order, for a job that nobody seems to hold counts as dead."""
        write_json(self.work / "lock.json", record)
        write_json(self.folder(run_id) / "state.json", record)

    def ended(self, run_id: str) -> bool:
        """Whether a job has told its end; none has a name that no folder can have."""
        return RUN_ID.fullmatch(run_id) is not None and isinstance(read_json(self.folder(run_id) / "result.json"), dict)

    def status(self, run_id: str, *, attached: bool = False) -> JobStatus:
        folder = self.folder(run_id)
        record = read_json(folder / "state.json")
        if not isinstance(record, dict):
            return JobStatus(run_id=run_id, kind="", state="absent")
        holder = self.running_job()  # a job takes the lock before its record stands, and lets it go once its result does
        ended = read_json(folder / "result.json")
        known: dict[str, Any] = {key: record.get(key, "") for key in ("kind", "started", "owner", "work")}
        told = read_json(folder / "progress.json")
        progress: dict[str, Any] = told if isinstance(told, dict) else {}
        if isinstance(ended, dict):
            state: State = "failed" if ended.get("error") else "done"
            return JobStatus(
                run_id=run_id, state=state, attached=attached, progress=progress, result=ended.get("result"), error=ended.get("error"), **known
            )
        state = "dead"
        if holder and holder["run_id"] == run_id:
            state = "waiting" if self.journal(run_id) == "swapped" else "running"
        return JobStatus(run_id=run_id, state=state, attached=attached, progress=progress, **known)

    def journal(self, run_id: str) -> str | None:
        found = read_json(self.folder(run_id) / JOURNAL)
        return str(found["state"]) if isinstance(found, dict) and "state" in found else None

    def restore_state(self, run_id: str) -> str | None:
        """The state of a commit. One that has begun and whose journal can't be read is `committing`: somebody has to undo it."""
        return self.journal(run_id) or ("committing" if self._begun(run_id) else None)

    def _begun(self, run_id: str) -> bool:
        """Whether the commit `run_id` may have moved files, although no journal tells of that."""
        prepared = self.prepared_by(run_id)
        return self.touched(prepared) and not any(self.journal(commit) for commit in self.commits_of(prepared))

    def touched(self, prepared: str) -> bool:
        """Whether a commit has begun to carry out that preparation."""
        return RUN_ID.fullmatch(prepared) is not None and (self.folder(prepared) / MADE).exists()

    def commits_of(self, prepared: str) -> list[str]:
        """The commits of one preparation, newest first."""
        return [name for name in self._commits() if self.prepared_by(name) == prepared]

    def _commits(self) -> list[str]:
        return [folder.name for record, folder in self._folders() if record.get("kind") == "commit" or (folder / JOURNAL).exists()]

    def open_commits(self) -> dict[str, str]:
        """Commits that have left their restore open, newest first, and what they were prepared by."""
        return {row["run_id"]: self.prepared_by(row["run_id"]) for row in self.journal_rows() if row["state"] in OPEN_JOURNAL_STATES}

    def closed(self, prepared: str) -> tuple[str, str] | None:
        """The commit that ended the restore of that preparation, and how; None while it is open, or where no journal can be read."""
        states = [(commit, self.journal(commit)) for commit in self.commits_of(prepared)]
        return next(((commit, state) for commit, state in states if state in CLOSED_JOURNAL_STATES), None)

    def was(self, run_id: str) -> str:
        """The state of a commit before somebody began to undo it. One that doesn't say counts as `swapped`: users may have written since."""
        found = read_json(self.folder(run_id) / JOURNAL)
        facts = found if isinstance(found, dict) else {"state": "committing"}
        return str(facts.get("was") or ("swapped" if facts.get("state") == "undoing" else facts.get("state")))

    def undone(self, run_id: str) -> dict[str, Any]:
        """What the undoing of that commit `kept`, and its `conflicts`; `before`: who undid it, "" where that isn't known."""
        found = read_json(self.folder(run_id) / JOURNAL)
        facts = found if isinstance(found, dict) else {}
        return {"kept": facts.get("kept") or [], "conflicts": facts.get("conflicts") or [], "before": str(facts.get("by") or "")}

    def write_journal(self, run_id: str, state: str, **facts: Any) -> None:
        write_json(self.folder(run_id) / JOURNAL, {"state": state, **facts})

    def _folders(self) -> Iterator[tuple[dict[str, Any], Path]]:
        """Job folders, newest first."""
        found = []
        for folder in self.jobs.iterdir() if self.jobs.is_dir() else []:
            record = read_json(folder / "state.json")
            if isinstance(record, dict):
                found.append((record, folder))
        yield from sorted(found, key=lambda pair: (str(pair[0].get("started")), pair[1].name), reverse=True)

    def job_rows(self) -> list[dict[str, Any]]:
        rows = []
        for record, folder in list(self._folders())[:20]:
            rows.append(
                {"run_id": folder.name, "kind": record.get("kind"), "state": self.status(folder.name).state, "started": record.get("started")}
            )
        return rows

    def journal_rows(self) -> list[dict[str, str]]:
        rows = [(name, self.restore_state(name)) for name in self._commits()]
        return [{"run_id": name, "state": state} for name, state in rows if state]

    def last_restore(self) -> dict[str, Any] | None:
        """The journal of the restore that reached its end last: run_id, state, at, backup, zip_sha256, zip_mark, partial, restored_before."""
        found = [(folder.name, read_json(folder / JOURNAL)) for _record, folder in self._folders()]
        ended = [
            {"run_id": name, **journal} for name, journal in found if isinstance(journal, dict) and journal.get("state") in CLOSED_JOURNAL_STATES
        ]
        now = utc_text(time.time())  # a time that is yet to come is older than a clock that was put right
        newest = max(ended, key=lambda row: at if (at := str(row.get("at"))) <= now else "", default=None)
        told = ("run_id", "state", "at", "backup", "zip_sha256", "zip_mark", "partial", "restored_before")
        return newest and {key: newest.get(key) for key in told}

    def prune(self, run_id: str = "") -> None:
        """Forget old jobs, but not this one, by a clock that was set back, and none that an undo or the next restore may still ask for."""
        needed = self._needed() | {run_id}
        for _record, folder in list(self._folders())[KEEP_JOBS:]:
            if folder.name not in needed:
                remove_tree(folder)

    def _needed(self) -> set[str]:
        """Restores that are open, the one that ended last, those that kept files are of, and whatever these were prepared by."""
        last = self.last_restore()
        kept = {folder.name for name in ("staging", "replaced") for folder in self.subfolders(name)}
        commits = set(self.open_commits()) | ({last["run_id"]} if last else set())
        commits |= {name for name in self._commits() if self.prepared_by(name) in kept}
        return commits | kept | {self.prepared_by(run_id) for run_id in commits}

    def subfolders(self, name: str) -> list[Path]:
        base = self.work / name
        return list(base.iterdir()) if base.is_dir() else []

    def prepared_by(self, run_id: str) -> str:
        """The run that prepared what the commit `run_id` swaps in; empty where that isn't known."""
        spec = read_json(self.folder(run_id) / "spec.json")
        return str(spec.get("prepared") or "") if isinstance(spec, dict) else ""

    def busy(self, kind: str) -> Busy:
        """Why a job of that kind can't be started now."""
        unknown = dict.fromkeys(("kind", "run_id", "owner", "started"), "unknown")
        holder = {**unknown, **(self.running_job() or {})}
        other = f"Another {kind} job runs on this agent, with other work to do" if holder["kind"] == kind else "Another job runs on this agent"
        return Busy(
            other,
            found="{kind} job {run_id} of {owner}, started {started}".format(**holder),
            needed="an agent without a running job",
            remedy="wait until it has ended, then run again; a running upgrade is never aborted",
        )
