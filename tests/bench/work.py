# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups and restores as jobs, the same for every adapter of the port."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import conftest  # noqa: F401 (lets the collection be imported from this checkout)
from ansible_collections.dataminer.web.plugins.module_utils.host import Host
from ansible_collections.dataminer.web.plugins.module_utils.jobs import JobStatus

LEVEL = 1  # the default of the collection
HEADER: dict[str, Any] = {
    "schema": 1,
    "name": "bench",
    "created": "2026-01-01T00:00:00Z",
    "agent": "bench",
    "cluster": None,
    "server_version": None,
    "web_version": None,
    "web_version_source": None,
    "mode": "all",
    "purpose": "backup",
    "left_out": [],
    "warnings": [],
}


class JobError(Exception):
    """A job that failed; the message is its error."""


class Jobs:
    """Jobs of one host, started and followed as the collection does it."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def run(self, spec: dict[str, Any], run_id: str) -> dict[str, Any]:
        """The result. A commit without a deadline waits for a moment all the same."""
        status = self.host.start(spec, run_id)
        while status.active:
            status = self.host.poll(run_id, 60)
        return self._result(status)

    def run_and_release(self, spec: dict[str, Any], run_id: str) -> dict[str, Any]:
        """The result of a commit that is told to go on as soon as it waits."""
        status = self.host.start(spec, run_id)
        while status.state == "running":
            status = self.host.poll(run_id, 60)
        self.host.signal(run_id, "release")
        while status.active:
            time.sleep(0.02)
            status = self.host.poll(run_id)
        return self._result(status)

    @staticmethod
    def _result(status: JobStatus) -> dict[str, Any]:
        if status.state != "done":
            raise JobError(str(status.failure()))
        return dict(status.result or {})


def items(root: Path) -> list[dict[str, Any]]:
    apps = sorted((root / "Applications").iterdir()) if (root / "Applications").exists() else []
    return [*({"path": f"Applications/{app.name}", "versions": None} for app in apps), {"path": "Dashboards", "versions": None}]


def backup_spec(root: Path, folder: Path) -> dict[str, Any]:
    spec = {"kind": "backup", "root": str(root), "items": items(root), "dest_dir": str(folder), "name": "bench.zip", "header": HEADER}
    return {**spec, "level": LEVEL, "retries": 0, "rotate": []}


def verify_spec(path: Path) -> dict[str, Any]:
    return {"kind": "verify", "path": str(path), "manifest": str(path.with_suffix(".manifest")), "copy_to": None}


def prepare_spec(path: Path, sums: dict[str, Any], root: Path) -> dict[str, Any]:
    """Without a safety copy."""
    spec = {"kind": "prepare", "zip": str(path), "zip_sha256": sums["zip_sha256"], "names_sha256": sums["names_sha256"], "include": None}
    return {**spec, "root": str(root), "safety": None, "mtime": "now"}


def commit_spec(root: Path, *, deadline: int) -> dict[str, Any]:
    spec = {"kind": "commit", "prepared": "prepare", "root": str(root), "service": None, "host_command": None}
    return {**spec, "deadline": deadline, "leftovers": []}


def backup(jobs: Jobs, root: Path, folder: Path) -> dict[str, Any]:
    """A backup with its verification."""
    return jobs.run(backup_spec(root, folder), "backup")


def restore(jobs: Jobs, path: Path, sums: dict[str, Any], root: Path) -> float:
    """Prepare, commit, release; the seconds of the commit, for which the web server stands still."""
    jobs.run(prepare_spec(path, sums, root), "prepare")
    begun = time.monotonic()
    jobs.run_and_release(commit_spec(root, deadline=60), "commit")
    return time.monotonic() - begun
