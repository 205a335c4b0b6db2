"""The largest agent that is reckoned with, 300 apps of 50 versions: one call, and not much to send for it."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.case_info import agent_info
from ansible_collections.dataminer.web.plugins.plugin_utils.windows_host import WindowsHost
from conftest import Lane
from harness import Engine
from trees import both, write

ARGS: dict[str, Any] = {"content": True, "versions": "auto", "include_web": True}


def _large_agent(home: Path, *, apps: int, filled: int) -> None:
    """Apps of 50 versions with names, sizes and times by chance, which are hard to pack; the last `filled` versions hold a file."""
    chance = random.Random(7)
    for number in range(apps):
        identity = str(uuid.UUID(int=chance.getrandbits(128)))
        versions = [
            {
                "Version": n,
                "CreatedAt": 1768383193493 - chance.randrange(10**11),
                "CreatedBy": f"DOMAIN\\user{chance.randrange(40)}",
                "Type": "Published",
            }
            for n in range(1, 51)
        ]
        info = {"Versions": versions, "PublicVersion": 50, "DraftVersion": 49, "ID": identity, "Name": f"App {number}"}
        folder = write(home / "agent" / "Applications" / identity / "App.info.json", json.dumps(info)).parent
        for version in range(1, 51):
            (folder / f"version_{version}").mkdir()
            if version > 50 - filled:
                (folder / f"version_{version}" / "x").write_bytes(b"x" * chance.randrange(3000))


class Kept:
    """An agent that is asked once; from then on it says the same."""

    def __init__(self, agent: Any) -> None:
        self.agent, self.document = agent, None

    def scan(self, request: dict[str, Any]) -> Any:
        self.document = self.document or self.agent.scan(request)
        return self.document


@contextmanager
def _over_winrm(engine: Engine) -> Iterator[tuple[WindowsHost, Any]]:
    """The engine behind a played host, asked by pywinrm; an answer brings back what was asked, as that of any module does."""
    from simulator.windows.host import Output, PlayedHost  # noqa: PLC0415 - not needed on Windows itself
    from simulator.windows.server import PlayedServer  # noqa: PLC0415
    from winrm.protocol import Protocol  # noqa: PLC0415

    class Behind(PlayedHost):
        def execute(self, line: str, stdin: bytes) -> Output:
            request = json.loads(stdin)
            return Output(0, json.dumps({**engine.call(request), "invocation": {"module_args": request}}))

    host = Behind("WIN1", lambda _call: {})
    server = PlayedServer(host)
    client = Protocol(f"http://127.0.0.1:{server.port}/wsman", transport="basic", username=host.user, password=host.password, read_timeout_sec=300)

    def execute(script: str, parameters: dict[str, Any], depth: int) -> dict[str, Any]:
        shell = client.open_shell()
        command = client.run_command(shell, "x", console_mode_stdin=False)
        client.send_command_input(
            shell, command, json.dumps({"script": script, "parameters": parameters, "depth": depth, "error_action": "stop"}), end=True
        )
        answer: dict[str, Any] = json.loads(client.get_command_output(shell, command)[0])
        client.close_shell(shell)
        return answer

    try:
        yield WindowsHost(execute, "/work"), host
    finally:
        server.leave()


def test_300_apps_of_50_versions(host: Lane) -> None:
    """Little over half a megabyte over the wire though all versions are hashed, and of it a result of less than 100 kB: a WinRM answer of many
    megabytes takes minutes.
    """
    engine = host.engine if host.name == "powershell" else None
    _large_agent(host.home, apps=300, filled=50 if engine else 3)
    calls = host.engine.calls if host.engine else 0
    with _over_winrm(engine) if engine else nullcontext((host.agent, None)) as (agent, played):
        kept = Kept(agent)
        document, reference = both(replace(host, agent=kept), likely={"versions": "all", "web": True})
    assert document == reference
    assert sum(len(app["dirs"]) for app in document["apps"]) == 15000
    assert not host.engine or host.engine.calls == calls + 1
    assert played is None or 100_000 < played.sent < 600_000
    assert len(json.dumps(agent_info(kept, {**host.request(), **ARGS}))) < 100_000


@pytest.mark.parametrize("guess", ["named", "all"])
def test_the_content_of_30_apps_of_50_versions(host: Lane, guess: str) -> None:
    """A tenth of the largest agent. How many versions an app has, and how many are hashed, makes no difference to what is sent."""
    _large_agent(host.home, apps=30, filled=50)
    received = host.engine.received if host.engine else 0
    document, reference = both(host, likely={"versions": guess, "web": True})
    assert document == reference
    assert len(document["content"]) == 30 * 4
    assert not host.engine or host.engine.received - received < 40_000
