# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One played host: who may log on, what it was asked, and what it answers."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from .faults import Faults, Where
from .payload import Command, ModuleCall, UnknownShape, decode

CREATE = 'Exception calling "CreateProcessAsUser" with "9" argument(s): "'
NOT_RECOGNIZED = "'{}' is not recognized as an internal or external command,\r\noperable program or batch file.\r\n"


class Refused(Exception):
    """What a played host doesn't do; the message says what it was asked."""


Modules = Callable[[ModuleCall], dict[str, Any]]
Commands = Callable[[Command], "Output | None"]


@dataclass(frozen=True)
class Output:
    """How a command ended."""

    code: int
    stdout: str = ""
    stderr: str = ""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A request that arrived: where in the order of things, and how many bytes it had."""

    where: Where
    size: int


@dataclass
class PlayedHost:
    """`modules` carries out module calls, `commands` what else Ansible asks a host for.

    `others` are accounts, by name with their passwords, as which runas may work there. `piece` is how many bytes of what a program says come at once:
    in base64, and with their envelope, they are less than the 500 kB that Windows lets an answer have.
    `refused` tells what the host didn't do, in words; a test of good behaviour finds it empty. `requests` and `calls` count what arrived,
    a call whose answer was lost included; `sent` has the bytes of all answers over WS-Man.
    """

    name: str
    modules: Modules
    commands: Commands = lambda _command: None
    user: str = "admin"
    password: str = "correct-Horse-9"
    others: dict[str, str] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    requests: list[Seen] = field(default_factory=list)
    calls: list[ModuleCall] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    begun: int = 0
    sent: int = 0
    piece: int = 300_000
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def knows(self, authorization: str | None) -> bool:
        """Whether a header logs on; like a host without a domain over http, it takes Basic only."""
        return authorization == "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    def admits(self, user: str, secret: str) -> bool:
        """Whether a password, or what a key is played by, logs on."""
        return (user, secret) == (self.user, self.password)

    def arrived(self, verb: str, size: int) -> Where:
        """Counts a request."""
        with self._lock:
            self.begun += verb == "Command"
            where = Where(request=len(self.requests) + 1, call=self.begun + (verb == "Create"), verb=verb)
            self.requests.append(Seen(where=where, size=size))
        return where

    def answered(self, size: int) -> None:
        with self._lock:
            self.sent += size

    def by_now(self, where: Where) -> Where:
        """The same request once it was carried out: with the module call that the host ran last."""
        return replace(where, ran=self.calls[-1] if self.calls else None)

    def execute(self, line: str, stdin: bytes) -> Output:
        """Runs a command line with its input, to its end."""
        try:
            asked = decode(line, stdin)
        except UnknownShape as error:
            return self._refuse(f"can't decode a call: {error}")
        if isinstance(asked, Command):
            return self._command(asked)
        self.calls.append(asked)
        return self._module(asked)

    def _command(self, command: Command) -> Output:
        played = self.commands(command)
        if played is not None:
            return played
        if command.powershell:
            return self._refuse(f"runs modules only, not this script: {command.text.strip()[:200]}")
        program = command.text.split(" ", 1)[0]
        self.refused.append(f"no program {program}")
        return Output(1, stderr=NOT_RECOGNIZED.format(program))

    def _module(self, call: ModuleCall) -> Output:
        if call.wrappers:
            return self._refuse(f"plays no {', '.join(call.wrappers)} (async, coverage)")
        if call.become is not None and (problem := self._becomes(call.become)):
            return problem
        try:
            result = self.modules(call)
        except Refused as error:
            result = {"failed": True, "changed": False, "msg": self._refuse(str(error)).stderr}
        return Output(1 if result.get("failed") else 0, json.dumps(result))

    def _becomes(self, told: dict[str, Any]) -> Output | None:
        """What runas comes to where it fails, as its wrapper says it."""
        if set(told) - {"BecomeUser", "BecomePassword"}:
            return self._refuse(f"plays runas without flags only, not with {', '.join(sorted(told))}")
        user, known = str(told["BecomeUser"]), {self.user: self.password, **self.others}
        if user in known and told.get("BecomePassword") == known[user]:
            return None
        why = f"Failed to logon {user} (The user name or password is incorrect, Win32ErrorCode 1326 - 0x0000052E)"
        return Output(1, json.dumps({"failed": True, "msg": f'failure during exec_wrapper: {CREATE}{why}"'}))

    def _refuse(self, why: str) -> Output:
        """As PowerShell ends when something throws: a text on standard error, nothing else."""
        text = f"played host {self.name}: {why}"
        self.refused.append(text)
        return Output(1, stderr=text)
