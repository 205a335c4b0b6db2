"""Runs the scripts of the Windows adapter in a real PowerShell engine, under the contract of `ansible.windows.win_powershell`.

`PWSH` names an engine, else `pwsh` on PATH is taken; `PWSH_WINDOWS` names a Windows build of one, run by Wine. On Windows itself `PWSH` may
name powershell.exe. Every call has a time limit: an engine that doesn't answer in time is killed, and the test fails.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import inside

SERVER = Path(__file__).parent / "win_powershell.ps1"
ON_WINDOWS = os.name == "nt"
FIRST_ANSWER = 300.0  # seconds: Wine may have to make a Windows first
ANSWER = 180.0
ENDING = 30.0
# most code of an engine runs a few times only: compiled once and with little effort, calls and jobs take half the time; and a twentieth less where
# memory is mapped once, for code to be written to and run from
ONCE = {"DOTNET_TieredCompilation": "0", "DOTNET_JITMinOpts": "1", "DOTNET_EnableWriteXorExecute": "0"}
MARK = b"\x1e"  # before an answer
NO_PROGRAM = (126, 127)  # exit statuses of a wrapper that doesn't find what it wraps


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
    """An engine that stays, for many calls. One thread at a time. `calls`, and `received` (bytes of all answers), tell of the wire.

    `told` makes of a request what the engine is asked: see lines.py. A launcher `inside.INSIDE` has a job run in the engine itself.
    """

    def __init__(self, command: list[str], environment: dict[str, str] | None = None) -> None:
        self.command = command
        self.told: Callable[[dict[str, Any]], dict[str, Any]] = lambda request: request
        self.environment = {**os.environ, "LC_ALL": "C.UTF-8", **ONCE, **(environment or {})}
        self.process: subprocess.Popen[bytes] | None = None
        self.answers: queue.Queue[bytes] = queue.Queue()
        self.calls = self.received = 0

    def execute(self, script: str, parameters: dict[str, Any], depth: int) -> dict[str, Any]:
        """As `plugin_utils.windows_host.Execute`."""
        return self.call({"script": script, "parameters": parameters, "depth": depth, "error_action": "stop"})

    def call(self, request: dict[str, Any]) -> dict[str, Any]:
        """One request of win_powershell.ps1 and its answer."""
        answer: dict[str, Any] = json.loads(self._exchange(inside.told(self.told(request))))
        return answer

    def _exchange(self, request: dict[str, Any]) -> bytes:
        first = self.process is None
        process = self.process or self._start()
        assert process.stdin is not None
        try:
            # in Base64: to read a text with thousands of escaped line ends takes longer than to run it
            packed = base64.b64encode(request["script"].encode("utf-8", "surrogatepass")).decode()
            process.stdin.write(json.dumps({**request, "script": packed}).encode() + b"\n")
            process.stdin.flush()
            line = self.answers.get(timeout=FIRST_ANSWER if first else ANSWER)
        except (queue.Empty, OSError) as error:
            if isinstance(error, queue.Empty):
                process.kill()
            raise self._failure(process, f"gave no answer: {type(error).__name__}", first=first) from error
        if not line:
            raise self._failure(process, "ended; see what it said above", first=first)
        self.calls, self.received = self.calls + 1, self.received + len(line)
        return line

    def _failure(self, process: subprocess.Popen[bytes], what: str, *, first: bool) -> Exception:
        """What to raise of a process that is of no more use; a wrapper that finds no engine to start isn't one that broke."""
        self.close()
        if first and process.returncode in NO_PROGRAM:
            return EngineMissing(f"{self.command[0]} starts no engine, it ended with {process.returncode}; see what it said above")
        return EngineFailed(f"{self.command[0]} {what}")

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
            _, mark, answer = line.rpartition(MARK)
            if mark:  # what else comes is of programs that scripts start
                answers.put(answer)
        answers.put(b"")

    def close(self) -> None:
        process, self.process = self.process, None
        if process is None or process.stdin is None:
            return
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(ENDING)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(ENDING)


def until(found: Callable[[], Any], seconds: float = 300) -> Any:
    """What `found` gives once it gives something."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)
    return value
