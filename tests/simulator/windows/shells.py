# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shells over WS-Man: what the verbs do. Here the cmd shell of WinRM; `psrp` has the other."""

from __future__ import annotations

import base64
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as StillRunning
from typing import Protocol

from . import wsman
from .host import Output
from .wsman import NS, TIMED_OUT, UNSUPPORTED, Request, WsmanFault

Run = Callable[[str, bytes], Output]
_LONGEST = 20.0  # seconds a Receive waits, whatever the client would allow


class Shell(Protocol):
    """A shell; each method carries out one verb and gives the body of the answer, or raises WsmanFault."""

    def command(self, request: Request) -> str: ...
    def send(self, request: Request) -> str: ...
    def receive(self, request: Request) -> str: ...
    def signal(self, request: Request) -> str: ...


class Process:
    """A command that goes on whatever becomes of the connection, as it does on Windows. It begins when its input is complete.

    `told` counts the bytes of its output that were fetched.
    """

    def __init__(self, line: str, run: Run) -> None:
        self.line, self.run, self.stdin, self.told = line, run, bytearray(), 0
        self.end: Future[Output] = Future()
        self._lock = threading.Lock()
        self._begun = False

    def begin(self) -> None:
        """Runs it in the background, once."""
        with self._lock:
            if self._begun:
                return
            self._begun = True
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        try:
            self.end.set_result(self.run(self.line, bytes(self.stdin)))
        except BaseException as error:  # whoever waits for the command is to see it
            self.end.set_exception(error)

    def outcome(self, seconds: float) -> Output:
        """Its end. Raises the fault that tells a client to ask again when that doesn't come in time."""
        try:
            return self.end.result(min(seconds, _LONGEST))
        except StillRunning:
            raise WsmanFault(
                TIMED_OUT, "The WS-Management service cannot complete the operation within the time specified in OperationTimeout."
            ) from None


class CmdShell:
    """`…/windows/shell/cmd`: programs with standard input, output and error."""

    def __init__(self, run: Run, piece: int) -> None:
        self.run, self.piece = run, piece
        self.commands: dict[str, Process] = {}

    def command(self, request: Request) -> str:
        """ansible-core up to 2.20 sends program and arguments apart, 2.21 all in one. A program on a console has no input to wait for."""
        parts = (request.text(".//rsp:Command"), *(node.text for node in request.root.iterfind(".//rsp:Arguments", NS)))
        command = str(uuid.uuid4()).upper()
        self.commands[command] = Process(" ".join(part for part in parts if part), self.run)
        if request.text(".//w:Option[@Name='WINRS_CONSOLEMODE_STDIN']") == "TRUE":
            self.commands[command].begin()
        return wsman.command_created(command)

    def send(self, request: Request) -> str:
        process, part = self._process(request), request.find(".//rsp:Stream")
        if part is None:
            raise WsmanFault(UNSUPPORTED, "A Send without a stream")
        process.stdin += base64.b64decode(part.text or "")
        if part.get("End") == "true":
            process.begin()
        return "<rsp:SendResponse/>"

    def receive(self, request: Request) -> str:
        """The next piece of the output; with the last one comes that it is over."""
        process = self._process(request)
        end = process.outcome(request.seconds)
        data = end.stdout.encode()
        begin, process.told = process.told, process.told + self.piece
        over = process.told >= len(data)
        streams = [("stdout", data[begin : process.told]), *([("stderr", end.stderr.encode())] if over else [])]
        parts = [wsman.stream(name, request.command, base64.b64encode(part).decode(), end=over) for name, part in streams]
        return wsman.received(*parts, *([wsman.done(str(request.command), end.code)] if over else []))

    def signal(self, request: Request) -> str:
        self.commands.pop(str(request.command), None)
        return "<rsp:SignalResponse/>"

    def _process(self, request: Request) -> Process:
        found = self.commands.get(str(request.command))
        if found is None:
            raise WsmanFault(UNSUPPORTED, f"The shell has no command {request.command}")
        return found
