"""An agent's tree to work on, and jobs run on it: in the test's own process, or detached as in real life."""

from __future__ import annotations

import itertools
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.dataminer.web.plugins.module_utils import local_host, local_jobs, local_verify
from ansible_collections.dataminer.web.plugins.module_utils.local_files import write_json
from ansible_collections.dataminer.web.plugins.module_utils.local_host import LocalHost

HEADER: dict[str, Any] = {
    "schema": 1,
    "name": "backup",
    "created": "2026-11-24T04:15:00Z",
    "agent": "dma1",
    "cluster": None,
    "server_version": None,
    "web_version": "10.5.4",
    "web_version_source": "test",
    "mode": "all",
    "purpose": "backup",
    "left_out": [],
    "warnings": [],
}
APP = "Applications/6b0c5ac3-9c0f-4ea7-8a50-0f4f6f1f6c11"
SERVICE_SCRIPT = """#!/bin/sh
echo "$*" >> "$0.calls"
if [ -e "$0.$1.fails" ]; then echo "cannot $1 $2" >&2; exit 3; fi
"""


def wait_for(found: Callable[[], Any], seconds: float = 60) -> Any:
    """What `found` gives once it gives something."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
    return value


def snapshot(root: Path) -> dict[str, Any]:
    """Every folder, link and file below `root`: bytes, mode and owner."""
    found: dict[str, Any] = {}
    for path in sorted(root.rglob("*")):
        about = path.lstat()
        if path.is_symlink():
            what: Any = str(path.readlink())
        else:
            what = path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(root))] = (stat.S_IFMT(about.st_mode), stat.S_IMODE(about.st_mode), about.st_uid, about.st_gid, what)
    return found


class Agent:
    """An agent below `home`: its `root`, the working folder `work`, the backups in `backups`."""

    def __init__(self, home: Path) -> None:
        self.home, self.root, self.work, self.backups = home, home / "root", home / "work", home / "backups"
        for folder in (self.root, self.work):
            folder.mkdir(parents=True)
        self.host = LocalHost(str(self.work))
        self.store = self.host.store
        self.numbers = itertools.count(1)
        self.command = home / "service"

    def write(self, path: str, data: bytes | str = b"{}", mode: int = 0o644) -> Path:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data.encode() if isinstance(data, str) else data)
        place.chmod(mode)
        return place

    def fill(self) -> None:
        """An app with two versions, and two dashboards."""
        self.write(f"{APP}/App.info.json", '{"PublicVersion": 2, "DraftVersion": 1}')
        for number in (1, 2):
            self.write(f"{APP}/version_{number}/App.config.json", f'{{"Version": {number}}}' * 50)
            self.write(f"{APP}/version_{number}/pages/1f.dmadb.json", f"page {number}" * 200)
        self.write("Dashboards/Overview.dmadb.json", "overview" * 100)
        self.write("Dashboards/Operations/Alarms.dmadb.json", "alarms" * 100)

    # specs

    def backup_spec(self, *items: str, **more: Any) -> dict[str, Any]:
        listed = [{"path": path, "versions": None} for path in items or (APP, "Dashboards")]
        spec = {"kind": "backup", "root": str(self.root), "items": listed, "dest_dir": str(self.backups), "name": "one.zip"}
        return {**spec, "header": HEADER, "level": 1, "retries": 0, "rotate": [], **more}

    def prepare_spec(self, zip_path: Path, **more: Any) -> dict[str, Any]:
        """Of a zip as it is, sums and all."""
        read = local_verify.read_zip(zip_path)
        spec = {"kind": "prepare", "zip": str(zip_path), "zip_sha256": read.sha256, "names_sha256": read.names_sha256, "include": None}
        return {**spec, "root": str(self.root), "safety": None, "mtime": "now", **more}

    def commit_spec(self, prepared: str, **more: Any) -> dict[str, Any]:
        spec = {"kind": "commit", "prepared": prepared, "root": str(self.root), "deadline": 0, "leftovers": []}
        return {**spec, **self.served(), "backup": "one.zip", "zip_sha256": "0" * 64, **more}

    def undo_spec(self, commit: str, **more: Any) -> dict[str, Any]:
        return {"kind": "undo", "commit": commit, "root": str(self.root), **self.served(), **more}

    def served(self) -> dict[str, Any]:
        """A web server to stop and start, once `serve` was called."""
        return {"service": "W3SVC", "host_command": [str(self.command)]} if self.command.exists() else {"service": None, "host_command": None}

    def serve(self) -> None:
        self.command.write_text(SERVICE_SCRIPT)
        self.command.chmod(0o755)

    def calls(self) -> list[str]:
        """What the web server was told."""
        log = Path(f"{self.command}.calls")
        return log.read_text().splitlines() if log.exists() else []

    def break_service(self, verb: str, *, broken: bool = True) -> None:
        mark = Path(f"{self.command}.{verb}.fails")
        mark.touch() if broken else mark.unlink()

    # jobs

    def run(self, spec: dict[str, Any], run_id: str = "") -> dict[str, Any]:
        """The result of a job carried out in this process; raises what it raises."""
        run_id = run_id or f"{spec['kind']}-{next(self.numbers)}"
        folder = self.store.create(run_id)
        write_json(folder / "spec.json", spec)
        record = {"run_id": run_id, "kind": spec["kind"], "owner": "test", "started": f"2026-11-24T04:15:{next(self.numbers):02}Z", "work": ""}
        write_json(folder / "state.json", record)
        lock = self.store.await_lock()
        assert lock is not None
        try:
            return local_host.RUNNERS[spec["kind"]](local_jobs.Job(self.store, run_id, spec, lock))
        finally:
            os.close(lock)

    def start(self, spec: dict[str, Any], run_id: str) -> Any:
        return self.host.start(spec, run_id)

    def follow(self, spec: dict[str, Any], run_id: str, seconds: float = 120) -> Any:
        """The status of a detached job at its end, or once it waits; one without a deadline waits for a moment only."""
        self.start(spec, run_id)
        status, end = self.host.poll(run_id, seconds), time.monotonic() + seconds
        while status.state == "waiting" and spec.get("deadline") == 0 and time.monotonic() < end:
            time.sleep(0.01)
            status = self.host.poll(run_id, seconds)
        return status

    def prepared(self, zip_path: Path, run_id: str = "p1", **more: Any) -> str:
        self.run(self.prepare_spec(zip_path, **more), run_id)
        return run_id
