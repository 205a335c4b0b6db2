# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a simulated machine knows beside its files: processes, services, modules, runtimes. One `state.json` per agent, changed under a lock."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

STATE = "state.json"
UPGRADE_LOCK = "upgrade.lock"
STATE_LOCK = "state.lock"
DATAMINER_PROCESSES = ("SLDataMiner", "SLDMS", "SLNet", "SLElement", "SLProtocol", "SLASPConnection", "SLWatchdog2")
WEB_SERVER = "W3SVC"


def utc_text(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def load(home: Path) -> dict[str, Any]:
    """The state of the agent whose folder this is."""
    value = json.loads((home / STATE).read_text("utf-8"))
    if not isinstance(value, dict):
        raise TypeError(f"{home / STATE} holds no object")
    return value


def save(home: Path, state: dict[str, Any]) -> None:
    """Replaces the state at one stroke: a reader sees the old one or the new one."""
    partial = home / f"{STATE}.{os.getpid()}"
    partial.write_text(json.dumps(state, ensure_ascii=False, indent=1), "utf-8")
    partial.replace(home / STATE)


@contextmanager
def changing(home: Path) -> Iterator[dict[str, Any]]:
    """The state to change; saved at the end unless an exception leaves the block. Others who change it wait."""
    with (home / STATE_LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = load(home)
        yield state
        save(home, state)


@contextmanager
def upgrade_lock(home: Path, *, patience: float = 0.3) -> Iterator[None]:
    """Held for the whole of an upgrade. Raises BlockingIOError when another one holds it.

    `patience` (seconds) outlasts those who only look whether it is held.
    """
    deadline = time.monotonic() + patience
    with (home / UPGRADE_LOCK).open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        yield


def upgrade_running(home: Path) -> bool:
    try:
        with (home / UPGRADE_LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def clock(state: dict[str, Any]) -> float:
    """The agent's time in seconds since the epoch, wrong by its `clock_offset_seconds`."""
    return time.time() + float(state.get("clock_offset_seconds", 0))


def start_process(state: dict[str, Any], name: str, *, now: float | None = None) -> None:
    """Starts a process anew: another pid, another start time. One that ran is gone."""
    stop_process(state, name)
    state["next_pid"] += 4
    started = utc_text(clock(state) if now is None else now)
    state["processes"].append({"name": name, "pid": state["next_pid"], "started": started})


def stop_process(state: dict[str, Any], name: str) -> None:
    state["processes"] = [process for process in state["processes"] if process["name"] != name]


def start_service(state: dict[str, Any], name: str) -> None:
    """Starts a service that isn't running; a running one keeps its process."""
    if state["services"][name] != "Running":
        state["services"][name] = "Running"
        start_process(state, name)


def stop_service(state: dict[str, Any], name: str) -> None:
    state["services"][name] = "Stopped"
    stop_process(state, name)


def facts(home: Path) -> dict[str, Any]:
    """The host object of a scan, and the state of every service."""
    state = load(home)
    kept = {name: state[name] for name in ("processes", "modules", "runtimes", "pending_reboot", "services")}
    return {**kept, "installer_busy": bool(state["busy"]), "upgrade_running": upgrade_running(home)}
