# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a played host does besides running modules: it keeps temporary folders, takes files that are sent, and restarts."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from .. import state
from .host import Output
from .payload import Command

# ansible-core 2.21 quotes only what isn't plain
_REMOVE = re.compile(r"^(?:Set-StrictMode -Version Latest\s+)?Remove-Item (?:'((?:[^']|'')+)'|([^'\s]\S*)) -Force(?: -Recurse)?;?")
_DARK = 1.0  # seconds for which a host that restarts isn't there


class PlayedMachine:
    """`home` is the simulated agent's; `native` and `local` turn paths of this machine into the host's and back; `line` is cut while it restarts.

    A `stubborn` one asks for another reboot after each. `boots` tells when it started, `web_up` when its web API first answered after each restart:
    `web_slow` seconds later than the rest of it.
    """

    def __init__(self, home: Path, native: Callable[[Path], str], local: Callable[[str], Path]) -> None:
        self.home, self.native, self.local = home, native, local
        self.boots: list[float] = [time.time()]
        self.stubborn = False
        self.web_slow = 0.0
        self.web_up: list[float] = []
        self.line: tuple[Callable[[], None], Callable[[], None]] = (lambda: None, lambda: None)

    def __call__(self, command: Command) -> Output | None:
        """None for what isn't played."""
        if command.action == "powershell_mkdtemp.ps1":
            return self._temporary(command)
        if command.action == "winrm_put_file.ps1":
            return self._put(command)
        removed = _REMOVE.match(command.text)
        if removed:
            shutil.rmtree(self.local(removed[2] or removed[1].replace("''", "'")), ignore_errors=True)
            return Output(0)
        return self._power(command.text)

    def _power(self, text: str) -> Output | None:
        """The commands of win_reboot."""
        if "LastBootUpTime" in text:
            return Output(0, str(int(self.boots[-1] * 10_000_000)))
        if "shutdown.exe /r" in text:
            threading.Thread(target=self._restart, daemon=True).start()
            return Output(0, json.dumps({"stdout": "", "stderr": "", "rc": 0}))
        if "/API/v1/Json.asmx/GetDataMinerAPIVersion" in text:
            return self._web_api()
        return None

    def _web_api(self) -> Output:
        """The question of the role reboot."""
        if time.time() < self.boots[-1] + self.web_slow or state.load(self.home)["services"].get(state.WEB_SERVER) != "Running":
            return Output(1, stderr="The web API doesn't answer")
        if len(self.web_up) < len(self.boots) - 1:
            self.web_up.append(time.time())
        return Output(0)

    def _restart(self) -> None:
        time.sleep(0.3)  # the answer is on its way
        leave, come_back = self.line
        leave()
        with state.changing(self.home) as machine:
            machine["pending_reboot"] = machine["pending_reboot"] if self.stubborn else []
        time.sleep(_DARK)
        self.boots.append(time.time())
        come_back()

    def _temporary(self, command: Command) -> Output:
        folder = self.home / "Temp" / str(command.params.get("Name") or "ansible-tmp")
        folder.mkdir(parents=True)
        return Output(0, self.native(folder))

    def _put(self, command: Command) -> Output:
        data = b"".join(base64.b64decode(line) for line in command.data.split())
        path = self.local(str(command.params["Path"]))
        path.write_bytes(data)
        return Output(0, json.dumps({"sha1": hashlib.sha1(data).hexdigest()}))
