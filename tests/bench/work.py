# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups and restores as jobs of the POSIX adapter, and what others do with the same files.

python tests/bench/work.py WORK RUN_ID SPEC     carries out one job and prints the most memory it had, in bytes
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import conftest  # noqa: F401 (lets the collection be imported from this checkout)
from ansible_collections.dataminer.web.plugins.module_utils import local_host, local_zipwrite
from ansible_collections.dataminer.web.plugins.module_utils.local_jobs import Job

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
FAST_LIBRARY = local_zipwrite.fast_zlib


class JobError(Exception):
    """A job that failed; the message is its error."""


class Jobs:
    """Jobs in a working folder of their own, started and followed as the collection does it."""

    def __init__(self, work: Path) -> None:
        work.mkdir(parents=True)
        self.host = local_host.LocalHost(str(work))

    def run(self, spec: dict[str, Any], run_id: str) -> dict[str, Any]:
        status = self.host.start(spec, run_id)
        while status.state == "running":
            status = self.host.poll(run_id, 60)
        if status.state != "done":
            raise JobError(str(status.failure()))
        return dict(status.result or {})


def peak_memory(work: Path, spec: dict[str, Any], run_id: str) -> int:
    """The most memory of a job, in bytes. It is started by a process of its own: a job begins with the memory of whoever starts it."""
    argv = [sys.executable, __file__, work, run_id, json.dumps(spec)]
    return int(subprocess.run(argv, capture_output=True, check=True).stdout)


def main(work: str, run_id: str, spec: dict[str, Any]) -> int:
    local_zipwrite.fast_zlib = None
    kind = spec["kind"]
    local_host.RUNNERS[kind] = _measured(local_host.RUNNERS[kind])
    host = local_host.LocalHost(work)
    status = host.start(spec, run_id)
    while status.active:  # a commit without a deadline waits for a moment all the same
        status = host.poll(run_id, 60)
    if status.state != "done":
        raise JobError(str(status.failure()))
    return int((status.result or {})["peak"])


def _measured(runner: Callable[[Job], dict[str, Any]]) -> Callable[[Job], dict[str, Any]]:
    def run(job: Job) -> dict[str, Any]:
        result = runner(job)
        return {**result, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}

    return run


def timed(action: Callable[[], Any]) -> float:
    """Seconds, after the disk has taken what was written before."""
    os.sync()
    begun = time.monotonic()
    action()
    return time.monotonic() - begun


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


def backup(root: Path, folder: Path, *, fast: bool) -> dict[str, Any]:
    """A backup with its verification; without `fast` by the standard library alone."""
    local_zipwrite.fast_zlib = FAST_LIBRARY if fast else None
    return Jobs(folder / "work").run(backup_spec(root, folder), "backup")


def restore(jobs: Jobs, path: Path, sums: dict[str, Any], root: Path) -> None:
    """Prepare, commit, release."""
    jobs.run(prepare_spec(path, sums, root), "prepare")
    status = jobs.host.start(commit_spec(root, deadline=60), "commit")
    while status.state == "running":
        status = jobs.host.poll("commit", 60)
    jobs.host.signal("commit", "release")
    while status.active:
        time.sleep(0.02)
        status = jobs.host.poll("commit")
    if status.state != "done":
        raise JobError(str(status.failure()))


# what others do


def zip_command(root: Path, folder: Path) -> Path:
    subprocess.run(["zip", "-r", "-q", str(folder / "peer.zip"), "."], cwd=root, check=True)
    return folder / "peer.zip"


def make_archive(root: Path, folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder / "archive"), "zip", root))


def unzip_command(path: Path, root: Path) -> None:
    subprocess.run(["unzip", "-q", "-o", str(path), "-d", str(root)], check=True)


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
