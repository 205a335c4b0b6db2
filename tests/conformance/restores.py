"""A restore that stands prepared on a lane, made by hand, and a web server that is told what to do."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from conftest import Lane
from harness import until

OVERVIEW = "Dashboards/Overview.dmadb.json"
ALARMS = "Dashboards/Operations/Alarms é.dmadb.json"
NEW = "Applications/new-app/version_1/App.config.json"
DEEP = "Applications/new-app/version_1/pages/long/deep/x.dmadb.json"
LATER = "Dashboards/Made later.dmadb.json"
BACKUP = {OVERVIEW: "overview" * 100, ALARMS: "alarms" * 100, NEW: "the new app", DEEP: ""}
HELD = r"(another program holds the file|held by [\w.]+ \(process \d+\))"  # Wine doesn't tell who
MIGRATED = {OVERVIEW: "migrated", ALARMS: "migrated too", LATER: "stays"}
SH = """#!/bin/sh
echo "$*" >> "$0.calls"
if [ -e "$0.$1.fails" ]; then echo "cannot $1 $2" >&2; exit 3; fi
"""
CMD = """@echo off
echo %1 %2>> "%~f0.calls"
if not exist "%~f0.%1.fails" exit 0
echo cannot %1 %2 1>&2
exit 3
"""


class Restore:
    """A restore prepared as p1 on a lane: what it holds differs from the disk in every file."""

    def __init__(self, lane: Lane) -> None:
        self.lane, self.root, self.work = lane, lane.home / "agent", lane.home / "work"
        for path, text in MIGRATED.items():
            self.write(path, text)
        self.service = lane.home / ("service.cmd" if lane.windows else "service")
        self.service.write_text(CMD if lane.windows else SH, "utf-8", newline="\r\n" if lane.windows else "\n")
        self.service.chmod(0o755)
        self.prepare()

    def write(self, path: str, text: str) -> Path:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, "utf-8")
        return place

    def prepare(self, run: str = "p1", mtime: str = "now") -> None:
        folder, rows = self.work / "jobs" / run, []
        folder.mkdir(parents=True)
        for path, text in sorted(BACKUP.items()):
            staged = self.work / "staging" / run / path
            staged.parent.mkdir(parents=True, exist_ok=True)
            staged.write_text(text, "utf-8")
            place = self.root / path
            action = "create" if not place.exists() else "same" if place.read_text("utf-8") == text else "replace"
            rows.append(f"{action}\t{len(text.encode())}\t{hashlib.sha256(text.encode()).hexdigest()}\t{path}\t{path}\n")
        (folder / "rows.txt").write_text("".join(rows), "utf-8", newline="\n")
        record = {"run_id": run, "kind": "prepare", "owner": "test", "started": "2026-11-24T04:15:00Z", "work": ""}
        (folder / "state.json").write_text(json.dumps(record), "utf-8")
        (folder / "spec.json").write_text(json.dumps({"kind": "prepare", "mtime": mtime}), "utf-8")
        (folder / "result.json").write_text('{"result": {}}', "utf-8")

    @property
    def served(self) -> dict[str, Any]:
        lane = self.lane
        command = ["cmd.exe", "/d", "/c", lane.native(self.service)] if lane.windows else [str(self.service)]
        return {"service": "W3SVC", "host_command": command}

    def commit_spec(self, **more: Any) -> dict[str, Any]:
        spec = {"kind": "commit", "prepared": "p1", "root": self.root, "deadline": 0, "leftovers": [], "partial": False}
        return {**spec, **self.served, "backup": "one.zip", "zip_sha256": "0" * 64, "retry_seconds": 0.5, **more}

    def break_off(self) -> None:
        """As if the process of the commit c1 had been gone before it touched anything: while the web server stopped."""
        folder, record = self.work / "jobs" / "c1", {"run_id": "c1", "kind": "commit", "owner": "test", "started": "2026-11-24T04:16:00Z", "work": ""}
        folder.mkdir()
        journal = {"state": "committing", "was": "committing"}
        for name, value in {"spec": self.lane.told(self.commit_spec()), "journal": journal, "state": record}.items():
            (folder / f"{name}.json").write_text(json.dumps(value), "utf-8")

    def undo_spec(self, commit: str = "c1", **more: Any) -> dict[str, Any]:
        return {"kind": "undo", "commit": commit, "root": self.root, "retry_seconds": 0.5, **self.served, **more}

    def calls(self) -> list[str]:
        """What the web server was told."""
        log = Path(f"{self.service}.calls")
        return [line.rstrip() for line in log.read_text("utf-8").splitlines()] if log.exists() else []

    def break_service(self, verb: str, *, broken: bool = True) -> None:
        mark = Path(f"{self.service}.{verb}.fails")
        mark.touch() if broken else mark.unlink()

    def content(self) -> dict[str, str]:
        return {path.relative_to(self.root).as_posix(): path.read_text("utf-8") for path in self.root.rglob("*") if path.is_file()}

    def journal(self, run: str = "c1") -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.work / "jobs" / run / "journal.json").read_text("utf-8"))
        return found

    def state(self, run: str = "c1") -> str:
        return str(self.journal(run)["state"])

    def reopen(self, state: str, run: str = "c1", **more: Any) -> None:
        """As if the commit's process had been gone at that state of its journal. It has told its end, but may hold the lock for a moment yet."""
        until(lambda: self.lane.scan()["job"] is None)
        folder = self.work / "jobs" / run
        (folder / "journal.json").write_text(json.dumps({**self.journal(run), "state": state, **more}), "utf-8")
        (folder / "result.json").unlink(missing_ok=True)
