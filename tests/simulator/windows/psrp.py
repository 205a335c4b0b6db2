# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PowerShell Remoting over WS-Man. The protocol itself comes from the library psrpcore."""

from __future__ import annotations

import base64
import threading
import uuid
from typing import Any

import psrpcore
from psrpcore.types import NETException

from . import wsman
from .shells import Process, Run
from .wsman import TIMED_OUT, UNSUPPORTED, Request, WsmanFault


class _Pipeline:
    """A script with its input, and once that is complete its run."""

    def __init__(self, pool: psrpcore.ServerRunspacePool, number: uuid.UUID) -> None:
        self.server = psrpcore.ServerPipeline(pool, number)
        self.input: list[str] = []
        self.process: Process | None = None
        self.told = False


class PsrpShell:
    """A runspace pool. What it has to say waits in `out`, by pipeline (None for the pool's own)."""

    def __init__(self, run: Run, request: Request, piece: int) -> None:
        self.run, self.piece, self.pool = run, piece, psrpcore.ServerRunspacePool()
        self.pipelines: dict[uuid.UUID, _Pipeline] = {}
        self.out: dict[uuid.UUID | None, list[bytes]] = {}
        self.lock = threading.RLock()
        creation = next((node.text for node in request.root.iter() if node.tag.endswith("creationXml")), None)
        if not creation:
            raise WsmanFault(UNSUPPORTED, "A runspace pool without creationXml")
        self._feed(creation, None)

    def command(self, request: Request) -> str:
        """A pipeline brings its own id."""
        if not request.command:
            raise WsmanFault(UNSUPPORTED, "A pipeline without an id")
        number = uuid.UUID(request.command)
        self.pipelines[number] = _Pipeline(self.pool, number)
        self._feed(request.text(".//rsp:Arguments"), number)
        return wsman.command_created(request.command)

    def send(self, request: Request) -> str:
        self._feed(request.text(".//rsp:Stream"), self._number(request))
        return "<rsp:SendResponse/>"

    def receive(self, request: Request) -> str:
        number = self._number(request)
        if number is not None:
            self._finish(self.pipelines[number], request.seconds)
        with self.lock:
            waiting = self.out.get(number)
            if not waiting:
                raise WsmanFault(TIMED_OUT, "Nothing to receive within OperationTimeout")
            data = waiting.pop(0)
        part = wsman.stream("stdout", request.command, base64.b64encode(data).decode())
        return wsman.received(part, *([wsman.done(str(request.command))] if number is not None and not waiting else []))

    def signal(self, request: Request) -> str:
        return "<rsp:SignalResponse/>"

    def _number(self, request: Request) -> uuid.UUID | None:
        number = uuid.UUID(request.command) if request.command else None
        if number is not None and number not in self.pipelines:
            raise WsmanFault(UNSUPPORTED, f"The shell has no pipeline {number}")
        return number

    def _feed(self, data: str | None, number: uuid.UUID | None) -> None:
        """Takes in one message, does what it asks, and keeps what there is to say."""
        payload = psrpcore.PSRPPayload(base64.b64decode(data or ""), psrpcore.StreamType.default, number)
        with self.lock:
            self.pool.receive_data(payload)
            while (event := self.pool.next_event()) is not None:
                self._event(event)
            self._collect()

    def _event(self, event: Any) -> None:
        number = getattr(event, "pipeline_id", None)
        if number is None:
            return
        pipeline = self.pipelines[number]
        if isinstance(event, psrpcore.CreatePipelineEvent):
            pipeline.process = Process(str(event.pipeline.commands[0].command_text), self.run)
            if event.pipeline.no_input:
                pipeline.process.begin()
        elif isinstance(event, psrpcore.PipelineInputEvent):
            pipeline.input.append(str(event.data))
        elif isinstance(event, psrpcore.EndOfPipelineInputEvent) and pipeline.process:
            pipeline.process.stdin += "\n".join(pipeline.input).encode()
            pipeline.process.begin()

    def _finish(self, pipeline: _Pipeline, seconds: float) -> None:
        """Waits for the end of the run, and says it once."""
        if pipeline.process is None or pipeline.told:
            return
        end = pipeline.process.outcome(seconds)
        with self.lock:
            pipeline.told = True
            pipeline.server.start()
            for line in end.stdout.splitlines():
                pipeline.server.write_output(line)
            if end.stderr:
                pipeline.server.write_error(NETException(Message=end.stderr))
            if end.code:
                psrpcore.ServerHostRequestor(pipeline.server).set_should_exit(end.code)
            pipeline.server.complete()
            self._collect()

    def _collect(self) -> None:
        while payload := self.pool.data_to_send(self.piece):
            self.out.setdefault(payload.pipeline_id, []).append(payload.data)
