# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The loopback port of a played host: it can go away with all its connections, and come back where it was."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any, Protocol

from .host import PlayedHost


class Accepting(ThreadingTCPServer):
    """Takes connections until it is closed; each handler finds in `played` whom it works for."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, played: Listener, port: int) -> None:
        super().__init__(("127.0.0.1", port), played.handler)
        self.played: Any = played
        self.connections: set[socket.socket] = set()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.connections.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; anything else is a mistake in here, and is to be seen."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError):
            self.played.host.refused.append(f"{type(error).__name__}: {error}")
            super().handle_error(request, client_address)


class Line(Protocol):
    """What leads to a played host."""

    port: int

    def come_back(self) -> None: ...
    def leave(self) -> None: ...


class Listener:
    """A played host on a port of its own, for as long as it isn't closed."""

    handler: type[BaseRequestHandler]

    def __init__(self, host: PlayedHost) -> None:
        self.host = host
        self.port = 0
        self._server: Accepting | None = None
        self.come_back()

    def come_back(self) -> None:
        """Listens again, on the port it had."""
        if self._server is None:
            self._server = Accepting(self, self.port)
            self.port = self._server.server_address[1]
            threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def leave(self) -> None:
        """Closes the port and every connection; what the host runs goes on."""
        server, self._server = self._server, None
        if server is None:
            return
        self.host.faults.ever = True
        server.shutdown()
        server.server_close()
        for connection in tuple(server.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
