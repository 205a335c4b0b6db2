"""The played Windows host by itself: WS-Man, logging on, faults on demand. No engine is needed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import winrm.exceptions
from local_kit import wait_for
from played_calls import ARGS, NAME, REFUSED, asked, line, manifest, stdin
from simulator.windows.faults import Fault, Faults, Where
from simulator.windows.host import PlayedHost, Refused
from simulator.windows.payload import ModuleCall
from simulator.windows.server import PlayedServer
from simulator.windows.wsman import Request, parse
from winrm.protocol import Protocol


class Served:
    """A host whose modules echo, as soon as they may, and a client."""

    def __init__(self) -> None:
        self.may_end: Callable[[], bool] = lambda: True
        self.ended = threading.Event()
        self.host = PlayedHost("WIN1", self.echo)
        self.server = PlayedServer(self.host)

    def echo(self, call: ModuleCall) -> dict[str, Any]:
        if call.name != NAME:
            raise Refused(f"has no module {call.name}")
        wait_for(self.may_end)
        self.ended.set()
        return {"changed": False, "seen": call.args["parameters"]}

    def client(self, *, seconds: int = 5, password: str | None = None) -> Protocol:
        return Protocol(
            f"http://127.0.0.1:{self.server.port}/wsman",
            transport="basic",
            username=self.host.user,
            password=password or self.host.password,
            operation_timeout_sec=seconds,
            read_timeout_sec=seconds + 5,
        )

    def call(self, client: Protocol, text: str | None = None, given: bytes | None = None) -> tuple[bytes, bytes, int]:
        """A whole call in a shell of its own."""
        shell = client.open_shell()
        command = client.run_command(shell, text or line(), console_mode_stdin=given == b"")
        if given != b"":
            client.send_command_input(shell, command, given or stdin(), end=True)
        found = client.get_command_output(shell, command)
        client.cleanup_command(shell, command)
        client.close_shell(shell)
        return found


@pytest.fixture
def served() -> Iterator[Served]:
    found = Served()
    yield found
    found.server.leave()


def test_a_call_and_what_is_counted(served: Served) -> None:
    out, err, code = served.call(served.client())

    assert (json.loads(out)["seen"], err, code) == ({"a": "Grüße"}, b"", 0)
    assert [seen.where.verb for seen in served.host.requests] == ["Create", "Command", "Send", "Receive", "Signal", "Delete"]
    assert {seen.where.call for seen in served.host.requests} == {1}
    assert [call.name for call in served.host.calls] == [NAME]
    assert served.host.sent > len(out) * 4 / 3, "in Base64, beside the XML of six answers"
    assert not served.host.refused
    assert not served.server.shells


def test_command_and_arguments_apart(served: Served) -> None:
    """As ansible-core up to 2.20 sends them."""
    client = served.client()
    shell = client.open_shell()
    program, *arguments = line().split(" ")
    command = client.run_command(shell, program, arguments, console_mode_stdin=False)
    client.send_command_input(shell, command, stdin(), end=True)

    assert client.get_command_output(shell, command)[2] == 0


@pytest.mark.parametrize(("text", "given", "said", "refused"), REFUSED)
def test_refusals(served: Served, text: str, given: bytes, said: str, refused: str) -> None:
    out, err, code = served.call(served.client(), text, given)

    assert (out, code) == (b"", 1)
    assert said in err.decode()
    assert refused in served.host.refused[0]


def test_unknown_module_is_refused_as_a_module_fails(served: Served) -> None:
    out, _, code = served.call(served.client(), given=stdin(manifest({**ARGS, "_ansible_module_name": "ansible.windows.win_reboot"})))

    assert code == 1
    assert json.loads(out) == {"failed": True, "changed": False, "msg": "played host WIN1: has no module ansible.windows.win_reboot"}
    assert served.host.refused


def test_wrong_password(served: Served) -> None:
    with pytest.raises(winrm.exceptions.InvalidCredentialsError):
        served.client(password="wrong").open_shell()
    assert not served.server.shells


def test_long_call_is_asked_for_again(served: Served) -> None:
    served.may_end = lambda: asked(served.host) >= 2

    out, _, code = served.call(served.client(seconds=1))

    assert (code, json.loads(out)["changed"]) == (0, False)
    assert asked(served.host) == 2


def test_no_such_shell(served: Served) -> None:
    with pytest.raises(winrm.exceptions.WSManFaultError, match="shell was not found"):
        served.client().run_command("B7F5B6B0-0000-0000-0000-000000000000", "x")


def test_request_beyond_the_envelope(served: Served) -> None:
    client = served.client()
    shell = client.open_shell()
    command = client.run_command(shell, line(), console_mode_stdin=False)

    with pytest.raises(winrm.exceptions.WSManFaultError, match="larger than MaxEnvelopeSize"):
        client.send_command_input(shell, command, b"x" * 400_000)


def test_no_wsman(served: Served) -> None:
    found = requests.post(f"http://127.0.0.1:{served.server.port}/wsman", data="<x/>", timeout=60)

    assert found.status_code == 400
    assert "is missing" in served.host.refused[0]


# faults on demand


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("drop", requests.exceptions.ConnectionError),
        ("503", winrm.exceptions.WinRMTransportError),
        ("401", winrm.exceptions.InvalidCredentialsError),
        ("timeout", winrm.exceptions.WinRMOperationTimeoutError),
        ("gone", requests.exceptions.ConnectionError),
    ],
)
def test_fault_at_a_verb(served: Served, kind: Any, error: type[Exception]) -> None:
    """It happens once, there and nowhere else."""
    served.host.faults.plan(Fault(kind=kind, call=2, verb="Command"))
    served.call(served.client())

    with pytest.raises(error):
        served.call(served.client())

    assert not served.host.faults.pending
    assert len(served.host.calls) == 1
    served.server.come_back()
    assert served.call(served.client())[2] == 0


def test_lost_answer(served: Served) -> None:
    """`late`: the work is done, nobody hears of it."""
    served.host.faults.plan(Fault(kind="drop", verb="Receive", late=True))

    with pytest.raises(requests.exceptions.ConnectionError):
        served.call(served.client())
    assert served.ended.is_set()


def test_work_goes_on_without_a_connection(served: Served) -> None:
    told = threading.Event()
    served.may_end = told.is_set
    served.host.faults.plan(Fault(kind="drop", verb="Receive"))

    with pytest.raises(requests.exceptions.ConnectionError):
        served.call(served.client())
    assert not served.ended.is_set()
    told.set()
    assert served.ended.wait(60)


def test_gone_and_back(served: Served) -> None:
    """Nobody listens; later everything is as it was, the shells included."""
    client = served.client()
    shell = client.open_shell()
    port = served.server.port
    served.server.leave()
    with pytest.raises(requests.exceptions.ConnectionError):
        served.client().open_shell()

    served.server.come_back()

    assert served.server.port == port
    assert client.run_command(shell, line())


@pytest.mark.parametrize(
    ("fault", "hits"),
    [
        (Fault(kind="drop"), [1]),
        (Fault(kind="drop", times=2), [1, 2]),
        (Fault(kind="drop", request=3), [3]),
        (Fault(kind="drop", call=2), [3]),
        (Fault(kind="drop", verb="Send"), [2]),
        (Fault(kind="drop", verb="Send", call=2), []),
        (Fault(kind="drop", late=True), []),
        (Fault(kind="drop", turns=(("Create", False), ("Receive", False))), [1, 4]),
        (Fault(kind="drop", turns=(("Send", False), ("Receive", False))), [2, 4]),
        (Fault(kind="drop", verb="Send", lasting=True), [2, 3, 4]),
        (Fault(kind="drop", ran=lambda call: call.name == "win_stat"), [3]),
    ],
)
def test_where_a_fault_hits(fault: Fault, hits: list[int]) -> None:
    faults = Faults()
    faults.plan(fault)
    path = [
        Where(request=1, call=1, verb="Create"),
        Where(request=2, call=1, verb="Send"),
        Where(request=3, call=2, verb="Create", ran=ModuleCall(name="win_stat", args={}, internal={})),
        Where(request=4, call=3, verb="Receive"),
    ]

    assert [where.request for where in path if faults.take(where, late=False)] == hits


def test_parse_of_a_request() -> None:
    found = parse(
        b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
        b'xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"><s:Header>'
        b"<a:MessageID>m</a:MessageID><a:Action>x/y/Receive</a:Action>"
        b"<w:ResourceURI>r</w:ResourceURI><w:OperationTimeout>PT7.500S</w:OperationTimeout></s:Header>"
        b'<s:Body><b CommandId="ab"/></s:Body></s:Envelope>'
    )

    assert isinstance(found, Request)
    assert (found.verb, found.command, found.seconds, found.shell) == ("Receive", "AB", 7.5, None)
