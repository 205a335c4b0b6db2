"""The played Windows host over PowerShell Remoting. Skips where the libraries for it are missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import connection_loader
from ansible_collections.dataminer.web.plugins.plugin_utils.lost import connect_anew, is_lost
from local_kit import wait_for
from played_calls import ARGS, NAME, asked, encoded, manifest, stdin
from simulator.windows.faults import Fault
from simulator.windows.host import PlayedHost
from simulator.windows.payload import ModuleCall
from simulator.windows.server import PlayedServer

pytest.importorskip("psrpcore", reason="lane psrp: the library psrpcore is missing")
pypsrp = pytest.importorskip("pypsrp", reason="lane psrp: the library pypsrp is missing")

from pypsrp.exceptions import AuthenticationError
from pypsrp.host import PSHost, PSHostUserInterface
from pypsrp.powershell import PowerShell, RunspacePool
from pypsrp.wsman import WSMan
from requests.exceptions import ConnectionError as NoConnection

BOOTSTRAP = "bootstrap\nof Ansible"


@pytest.fixture
def server() -> Iterator[PlayedServer]:
    """Its modules echo, after as many requests for an answer as they are told."""

    def echo(call: ModuleCall) -> dict[str, Any]:
        wait_for(lambda: asked(found.host) >= call.args["parameters"].get("asked", 0))
        return {"changed": False, "seen": call.args["parameters"]}

    found = PlayedServer(PlayedHost("WIN1", echo))
    yield found
    found.leave()


def client(server: PlayedServer, *, password: str | None = None, seconds: int = 5) -> WSMan:
    return WSMan(
        "127.0.0.1",
        port=server.port,
        username=server.host.user,
        password=password or server.host.password,
        ssl=False,
        auth="basic",
        encryption="never",
        operation_timeout=seconds,
        read_timeout=seconds + 5,
    )


def call(wsman: WSMan, script: str = BOOTSTRAP, given: bytes | None = None) -> PowerShell:
    with RunspacePool(wsman, host=PSHost(None, None, False, "Test", None, PSHostUserInterface(), None)) as pool:
        shell = PowerShell(pool)
        shell.add_script(script)
        shell.invoke(input=None if given == b"" else stdin().decode().split("\n"))
        return shell


def test_a_call(server: PlayedServer) -> None:
    shell = call(client(server))

    assert json.loads(shell.output[0])["seen"] == {"a": "Grüße"}
    assert [found.name for found in server.host.calls] == [NAME]
    assert not server.shells


def test_long_call_is_asked_for_again(server: PlayedServer) -> None:
    with RunspacePool(client(server, seconds=1)) as pool:
        shell = PowerShell(pool)
        shell.add_script(BOOTSTRAP)
        shell.invoke(input=stdin(manifest({**ARGS, "parameters": {"asked": asked(server.host) + 2}})).decode().split("\n"))

    assert json.loads(shell.output[0])["changed"] is False
    assert asked(server.host) >= 3


def test_other_scripts_are_refused(server: PlayedServer) -> None:
    shell = call(client(server), script="Get-Date\n", given=b"")

    assert shell.runspace_pool.host.rc == 1
    assert "runs modules only, not this script: Get-Date" in str(shell.streams.error[0])
    assert server.host.refused


def test_wrong_password(server: PlayedServer) -> None:
    with pytest.raises(AuthenticationError):
        call(client(server, password="wrong"))


def test_dropped_connection(server: PlayedServer) -> None:
    server.host.faults.plan(Fault(kind="drop", call=1, verb="Command"))

    with pytest.raises(NoConnection):
        call(client(server))
    assert not server.host.calls


# Ansible's own connection


@pytest.fixture
def connection(server: PlayedServer) -> Iterator[Any]:
    made = connection_loader.get("psrp", PlayContext(), None)
    own = {"remote_addr": "127.0.0.1", "port": server.port, "remote_user": server.host.user, "remote_password": server.host.password}
    made.set_options(direct={**own, "protocol": "http", "auth": "basic", "message_encryption": "never"})
    yield made
    made.close()


def test_a_connection_made_anew_where_nobody_answers(server: PlayedServer, connection: Any) -> None:
    """The plugin keeps what it couldn't open. The next call connects, or says that it can't."""
    command = f"PowerShell -NoProfile -NonInteractive -ExecutionPolicy Unrestricted -EncodedCommand {encoded(BOOTSTRAP)}"
    assert connection.exec_command(command, stdin())[0] == 0
    server.leave()

    connect_anew(connection)

    with pytest.raises(Exception, match="Failed to connect to the host via PSRP") as error:
        connection.exec_command(command, stdin())
    assert is_lost(error.value)
    connect_anew(connection)
    server.come_back()
    assert connection.exec_command(command, stdin())[0] == 0
