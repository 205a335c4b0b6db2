# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The POSIX adapter of the port: the agent's files are on this machine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from . import local_jobs, local_scan, local_verify
from .errors import InvalidInput, NoSuchJob
from .jobs import Basis, JobStatus
from .local_aside import run_verify
from .local_backup import run_backup
from .local_files import write_atomic
from .local_install import run_install
from .local_prepare import run_prepare
from .local_restore import run_commit, run_undo
from .local_store import JobStore

RUNNERS: dict[str, local_jobs.Runner] = {
    "backup": run_backup,
    "verify": run_verify,
    "install": run_install,
    "prepare": run_prepare,
    "commit": run_commit,
    "undo": run_undo,
}
POLL_EVERY = 0.05


class LocalHost:
    """`host.Host` for files that are here."""

    def __init__(self, work_dir: str) -> None:
        self.store = JobStore(Path(work_dir))

    def scan(self, request: dict[str, Any]) -> dict[str, Any]:
        return local_scan.scan(request)

    def inspect(self, spec: dict[str, Any]) -> dict[str, Any]:
        return {**local_verify.verify(spec), "copied": None}

    def start(self, spec: dict[str, Any], run_id: str, basis: Basis | None = None) -> JobStatus:
        return local_jobs.start(self.store, spec, run_id, RUNNERS, holds=lambda: basis is None or basis.holds(local_scan.scan(basis.request)))

    def poll(self, run_id: str, wait: float = 0) -> JobStatus:
        end = time.monotonic() + wait
        status = self.store.status(run_id)
        while status.state == "running" and time.monotonic() < end:
            time.sleep(POLL_EVERY)
            status = self.store.status(run_id)
        return status

    def signal(self, run_id: str, word: str) -> JobStatus:
        if word not in ("release", "undo"):
            raise InvalidInput("No such word", found=repr(word), needed="release or undo", remedy="use one of them")
        status = self.store.status(run_id)
        if status.state == "absent" and word == "undo":
            return local_jobs.call_off(self.store, run_id)
        if status.state == "absent":
            raise NoSuchJob(f"No job {run_id} on this agent", needed="a commit that waits", remedy="commit first")
        if status.active:
            write_atomic(self.store.folder(run_id) / word, b"")
        return self.store.status(run_id)
