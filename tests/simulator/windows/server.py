# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The loopback server of a played host: HTTP, logging on, faults on demand, and WS-Man verbs led to their shell."""

from __future__ import annotations

import contextlib
import socket
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from . import wsman
from .faults import Kind
from .host import PlayedHost
from .listener import Accepting, Listener
from .shells import CmdShell, Shell
from .wsman import CMD_SHELL, NO_SHELL, POWERSHELL, TIMED_OUT, TOO_LARGE, UNSUPPORTED, Request, WsmanFault

MAX_ENVELOPE = 500 * 1024  # bytes, as Windows has it unless told otherwise


class Dropped(Exception):
    """The connection ends here, without an answer."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # with delayed acknowledgements it costs 40 ms a request
    wbufsize = -1  # header and body in one segment
    server: Accepting

    def log_message(self, *args: Any) -> None:
        """Says nothing: the host counts by itself."""

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()

    def do_POST(self) -> None:
        try:
            code, text = self._answered(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            self._reply(code, text)
        except Dropped:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def _answered(self, raw: bytes) -> tuple[int, str]:
        host = self.server.played.host
        try:
            request = wsman.parse(raw)
        except ValueError as error:
            host.refused.append(f"no WS-Man request: {error}")
            return 400, ""
        where = host.arrived(request.verb, len(raw))
        if trouble := self._trouble(request, host.faults.take(where, late=False)):
            return trouble
        if not host.knows(self.headers.get("Authorization")):
            return 401, ""
        done = self._carried_out(request, len(raw))
        return self._trouble(request, host.faults.take(host.by_now(where), late=True)) or done

    def _trouble(self, request: Request, kind: Kind | None) -> tuple[int, str] | None:
        """A fault on demand as an answer; None for none."""
        if kind is None:
            return None
        if kind == "gone":
            self.server.played.leave()
        if kind == "silent":
            self.connection.recv(1)  # nothing comes until the client closes
        if kind in ("gone", "drop", "silent"):
            raise Dropped
        if kind == "timeout":
            return 500, wsman.fault(request, WsmanFault(TIMED_OUT, "The operation timed out, as it was told to."))
        return int(kind), ""

    def _carried_out(self, request: Request, size: int) -> tuple[int, str]:
        if size > MAX_ENVELOPE:
            return 500, wsman.fault(request, WsmanFault(TOO_LARGE, f"The request of {size} bytes is larger than MaxEnvelopeSize, {MAX_ENVELOPE}"))
        try:
            return 200, wsman.answer(request, self.server.played.carry_out(request))
        except WsmanFault as problem:
            return 500, wsman.fault(request, problem)

    def _reply(self, code: int, text: str) -> None:
        data = text.encode()
        self.server.played.host.answered(len(data))
        self.send_response(code)
        if code == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="WSMAN"')
        self.send_header("Content-Type", "application/soap+xml;charset=UTF-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()


class PlayedServer(Listener):
    """A played host that speaks WS-Man. Shells outlive connections, as on Windows."""

    handler = _Handler

    def __init__(self, host: PlayedHost) -> None:
        self.shells: dict[str, Shell] = {}
        super().__init__(host)

    def carry_out(self, request: Request) -> str:
        """The body of the answer; raises WsmanFault."""
        if request.verb == "Create":
            return self._create(request)
        shell = self.shells.get(str(request.shell))
        if shell is None:
            raise WsmanFault(NO_SHELL, "The shell was not found on the server.")
        if request.verb == "Delete":
            del self.shells[str(request.shell)]
            return ""
        verbs: dict[str, Callable[[Request], str]] = {
            "Command": shell.command,
            "Send": shell.send,
            "Receive": shell.receive,
            "Signal": shell.signal,
        }
        if request.verb not in verbs:
            raise WsmanFault(UNSUPPORTED, f"{request.verb} isn't played")
        return verbs[request.verb](request)

    def _create(self, request: Request) -> str:
        node = request.find(".//rsp:Shell")
        number = (node.get("ShellId") if node is not None else None) or str(uuid.uuid4()).upper()
        self.shells[number] = self._shell(request)
        return wsman.shell_created(number, request.resource)

    def _shell(self, request: Request) -> Shell:
        if request.resource == CMD_SHELL:
            return CmdShell(self.host.execute, self.host.piece)
        if request.resource.startswith(POWERSHELL):
            from .psrp import PsrpShell  # noqa: PLC0415 - its library is optional

            return PsrpShell(self.host.execute, request, self.host.piece)
        raise WsmanFault(UNSUPPORTED, f"no resource {request.resource}")
