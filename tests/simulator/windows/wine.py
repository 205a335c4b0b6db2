# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Agents in the Windows that Wine plays: their trees are on its drive C:, their installer and host command are reached through a relay."""

from __future__ import annotations

import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import Any

from ..cluster import Agent
from .engines import Engines, wine_prefix
from .relay import FOLDER

_TESTS = Path(__file__).resolve().parents[2]
_RELAY = Path(__file__).with_name("relay.ps1")
_CARRIER = """\
#!{python}
import sys

sys.path.insert(0, {tests!r})
from simulator.windows.relay import main

raise SystemExit(main(sys.argv[1:], home={home!r}, drive={drive!r}))
"""
ROOM = "dataminer-web-tests"


def drive_c() -> Path:
    return wine_prefix() / "drive_c"


@contextmanager
def room(engines: Engines) -> Iterator[Path]:
    """An empty folder on drive C:, gone at the end. The engines' first call makes the Windows where there is none."""
    _ = engines.launcher
    folder = drive_c() / ROOM / uuid.uuid4().hex[:8]
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def native(path: Path) -> str:
    """What Windows calls a path below drive C:."""
    return str(PureWindowsPath("C:/", path.relative_to(drive_c())))


def local(path: str) -> Path:
    """Where a path of drive C: is on this machine."""
    return drive_c() / PureWindowsPath(path).relative_to("C:/").as_posix()


def places(engines: Engines) -> dict[str, Any]:
    """What `cluster.play` needs to know of agents there."""
    return {"native": native, "local": local, "tools": tools(engines)}


def tools(engines: Engines) -> Callable[[Agent], dict[str, object]]:
    """The inventory's variables for an agent's installer and host command, both relayed."""

    def of(agent: Agent) -> dict[str, object]:
        carrier = agent.home / "relay-carrier"
        carrier.write_text(_CARRIER.format(python=sys.executable, tests=str(_TESTS), home=str(agent.home), drive=str(drive_c())), "utf-8")
        carrier.chmod(0o755)
        script = agent.home / _RELAY.name
        shutil.copy(_RELAY, script)
        relay = ["-NoProfile", "-NonInteractive", "-File", native(script), native(agent.home / FOLDER), native(carrier)]
        (program,) = engines.launcher
        return {
            "dataminer_installer": program,
            "dataminer_installer_arguments": [*relay, str(agent.installer), "-upgrade", "{package}"],
            "dataminer_host_command": [program, *relay, str(agent.host_command)],
        }

    return of
