# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for Windows where a host command is asked: `facts`, `stop NAME`, `start NAME`."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from . import state as machine

CALLS = "host-calls.log"


def main(argv: list[str], *, home: str) -> int:
    """Carries out one call and logs it. Returns 0, 1 when it failed, or 2 when it wasn't understood."""
    try:
        code = _run(argv, Path(home))
    except (OSError, ValueError, KeyError) as error:
        print(f"host-command: {error}", file=sys.stderr)
        code = 1
    _log(Path(home), argv, code)
    return code


def _run(argv: list[str], home: Path) -> int:
    if argv == ["facts"]:
        print(json.dumps(machine.facts(home), ensure_ascii=False))
        return 0
    if len(argv) == 2 and argv[0] in ("start", "stop"):
        return _service(home, argv[0], argv[1])
    print(f"host-command: {argv} isn't understood; needed: facts, stop NAME or start NAME", file=sys.stderr)
    return 2


def _service(home: Path, verb: str, name: str) -> int:
    with machine.changing(home) as state:
        if name not in state["services"]:
            print(f"host-command: there is no service {name}; there are {', '.join(sorted(state['services']))}", file=sys.stderr)
            return 1
        if verb in state["service_fails"]:
            print(f"host-command: the service {name} did not {verb}", file=sys.stderr)
            return 1
        (machine.start_service if verb == "start" else machine.stop_service)(state, name)
    return 0


def _log(home: Path, argv: list[str], code: int) -> None:
    line = json.dumps({"time": machine.utc_text(time.time()), "argv": argv, "rc": code}) + "\n"
    descriptor = os.open(home / CALLS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)
