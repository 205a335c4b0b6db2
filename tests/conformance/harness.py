"""Runs the scripts of the Windows adapter in a real PowerShell engine, under the contract of `ansible.windows.win_powershell`.

`PWSH` names an engine, else `pwsh` on PATH is taken; `PWSH_WINDOWS` names a Windows build of one, run by Wine. On Windows itself `PWSH` may
name powershell.exe. Every call has a time limit: an engine that doesn't answer in time is killed, and the test fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

SERVER = Path(__file__).parent / "win_powershell.ps1"
ON_WINDOWS = os.name == "nt"
FIRST_ANSWER = 180.0  # seconds: Wine may have to make a Windows first
ANSWER = 60.0


class EngineMissing(Exception):
    """There is no such engine here; the message says what was looked for."""


class EngineFailed(Exception):
    """The engine ended, or didn't answer in time."""


def posix_engine() -> list[str]:
    """The command line of the engine for this machine."""
    found = os.environ.get("PWSH") or shutil.which("pwsh")
    if not found:
        raise EngineMissing("no PowerShell engine: PWSH names none and there is no pwsh on PATH")
    if not shutil.which(found):
        raise EngineMissing(f"PWSH names {found}, which can't be run")
    return [found]


def windows_engine() -> list[str]:
    """The command line of the Windows engine under Wine."""
    found = os.environ.get("PWSH_WINDOWS")
    if not found:
        raise EngineMissing("PWSH_WINDOWS names no Windows build of a PowerShell engine")
    if not shutil.which(found):
        raise EngineMissing(f"PWSH_WINDOWS names {found}, which can't be run")
    return [found]


def wine_prefix() -> Path:
    """The Windows that Wine plays: its drive C: is `drive_c` in it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("WINEPREFIX") or cache / "dataminer-web-wine")


class Engine:
    """An engine that stays, for many calls. One thread at a time. `calls`, and `received` (bytes of the last answer), tell of the wire."""

    def __init__(self, command: list[str], environment: dict[str, str] | None = None) -> None:
        self.command = command
        self.environment = {**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})}
        self.process: subprocess.Popen[bytes] | None = None
        self.answers: queue.Queue[bytes] = queue.Queue()
        self.calls = self.received = 0

    def execute(self, script: str, parameters: dict[str, Any], depth: int) -> dict[str, Any]:
        """As `plugin_utils.windows_host.Execute`."""
        return self.call({"script": script, "parameters": parameters, "depth": depth, "error_action": "stop"})

    def call(self, request: dict[str, Any]) -> dict[str, Any]:
        """One request of win_powershell.ps1 and its answer."""
        answer: dict[str, Any] = json.loads(self._exchange(request))
        return answer

    def _exchange(self, request: dict[str, Any]) -> bytes:
        first = self.process is None
        process = self.process or self._start()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            line = self.answers.get(timeout=FIRST_ANSWER if first else ANSWER)
        except (queue.Empty, OSError) as error:
            self.close()
            raise EngineFailed(f"{self.command[0]} gave no answer: {type(error).__name__}") from error
        if not line:
            self.close()
            raise EngineFailed(f"{self.command[0]} ended; see what it said above")
        self.calls, self.received = self.calls + 1, len(line)
        return line

    def _start(self) -> subprocess.Popen[bytes]:
        command = [*self.command, "-NoProfile", "-NonInteractive", "-File", str(SERVER)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.environment)
        self.process, self.answers = process, queue.Queue()
        threading.Thread(target=self._read, args=(process, self.answers), daemon=True).start()
        return process

    @staticmethod
    def _read(process: subprocess.Popen[bytes], answers: queue.Queue[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            answers.put(line)
        answers.put(b"")

    def close(self) -> None:
        process, self.process = self.process, None
        if process is None or process.stdin is None:
            return
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
