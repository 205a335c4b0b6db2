# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PowerShell engines for played hosts: as many as are asked at once, kept for the next call."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[2] / "conformance"))

from harness import Engine, EngineFailed, EngineMissing, posix_engine, windows_engine, wine_prefix
from inside import INSIDE

__all__ = ["EngineFailed", "EngineMissing", "Engines", "wine_prefix"]

_PROGRAM = "[CmdletBinding(SupportsShouldProcess)] param() $Ansible.Result = [Diagnostics.Process]::GetCurrentProcess().MainModule.FileName"


class Engines:
    """Engines of one kind. Safe for several threads; each of their calls has an engine of its own.

    With `inside`, jobs run inside the engines, which is quicker, in place of processes of their own.
    """

    def __init__(self, command: list[str], environment: dict[str, str] | None = None, *, windows: bool = False, inside: bool = False) -> None:
        self.command, self.environment, self.windows = command, environment, windows
        self._idle: list[Engine] = []
        self._lock = threading.Lock()
        self._launcher: list[str] | None = [INSIDE] if inside else None

    @classmethod
    def posix(cls, *, inside: bool = False) -> Engines:
        """Engines of this machine. Raises EngineMissing."""
        return cls(posix_engine(), inside=inside)

    @classmethod
    def wine(cls) -> Engines:
        """Engines of the Windows that Wine plays. Raises EngineMissing."""
        return cls(windows_engine(), {"WINEPREFIX": str(wine_prefix())}, windows=True)

    def call(self, request: dict[str, Any]) -> dict[str, Any]:
        """One call of the stand-in for win_powershell. Raises EngineFailed; such an engine isn't used again."""
        with self._lock:
            engine = self._idle.pop() if self._idle else Engine(self.command, self.environment)
        answer = engine.call(request)
        with self._lock:
            self._idle.append(engine)
        return answer

    @property
    def launcher(self) -> list[str]:
        """The program that runs a script in a process of its own, as the scripts themselves would name it; or what stands for none."""
        if self._launcher is None:
            self._launcher = [str(self.call({"script": _PROGRAM})["result"])] if self.windows else list(self.command)
        return self._launcher

    def close(self) -> None:
        with self._lock:
            for engine in self._idle:
                engine.close()
            self._idle.clear()
