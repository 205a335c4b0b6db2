"""The played Windows host behind ssh by itself: the programs that Ansible starts, logging on, faults on demand. No engine is needed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from played_calls import NAME, REFUSED, encoded, line, stdin
from simulator.windows.faults import Fault
from simulator.windows.host import PlayedHost, Refused
from simulator.windows.machine import PlayedMachine
from simulator.windows.payload import ModuleCall
from simulator.windows.ssh import LONGEST, PlayedSsh, clixml, install

SHARED = ("-C", "-o", "ControlMaster=auto", "-o", "ControlPersist=60s")


class Reached:
    """A host whose modules echo, slowly if told to, and the programs that lead to it."""

    def __init__(self, folder: Path) -> None:
        self.delay = 0.0
        machine = PlayedMachine(folder, str, lambda path: Path(path.replace("\\", "/")))
        self.host = PlayedHost("WIN1", self.echo, machine)
        self.server = PlayedSsh(self.host)
        self.folder, self.key = folder, folder / "WIN1.key"
        self.key.write_text(self.host.password, "utf-8")
        self.programs = install(folder / "programs")

    def echo(self, call: ModuleCall) -> dict[str, Any]:
        if call.name != NAME:
            raise Refused(f"has no module {call.name}")
        time.sleep(self.delay)
        return {"changed": False, "seen": call.args["parameters"]}

    def run(self, program: str, *words: str, given: bytes = b"", options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[bytes]:
        """As Ansible starts it."""
        own = ("-o", f"Port={self.server.port}", "-o", f'IdentityFile="{self.key}"', "-o", f'User="{self.host.user}"', "-o", "ConnectTimeout=10")
        argv = [self.programs[f"ansible_{program}_executable"], *options, *SHARED, *own, *words]
        return subprocess.run(argv, input=given, capture_output=True, timeout=60, check=False)

    def call(self, text: str | None = None, given: bytes | None = None, **more: Any) -> subprocess.CompletedProcess[bytes]:
        return self.run("ssh", "127.0.0.1", text or line(), given=stdin() if given is None else given, **more)


@pytest.fixture
def reached(tmp_path: Path) -> Iterator[Reached]:
    found = Reached(tmp_path)
    yield found
    found.server.leave()


def test_a_call_and_what_is_counted(reached: Reached) -> None:
    done = reached.call()

    assert (json.loads(done.stdout)["seen"], done.returncode) == ({"a": "Grüße"}, 0)
    assert done.stdout.endswith(b"\r\n")
    assert done.stderr.startswith(b"#< CLIXML\r\n")
    assert b'S="Error"' not in done.stderr
    assert [seen.where.verb for seen in reached.host.requests] == ["Command"]
    assert [call.name for call in reached.host.calls] == [NAME]
    assert not reached.host.refused


def test_words_in_quotes(reached: Reached) -> None:
    """As ansible-core 2.21 sends what isn't plain, for the PowerShell that is the shell."""
    assert line("padding").endswith("=")

    assert reached.call(re.sub(r" (\S+)$", r" '\1'", line("padding"))).returncode == 0


@pytest.mark.parametrize("form", ["Remove-Item '{}' -Force -Recurse;", "Remove-Item {}\\. -Force -Recurse"], ids=["quoted", "plain"])
def test_a_command_without_input(reached: Reached, form: str) -> None:
    """Ansible gives a terminal then; nobody types, and nothing waits."""
    folder = reached.folder / "Temp"
    folder.mkdir()
    ours, theirs = os.openpty()
    text = f"PowerShell -NoProfile -EncodedCommand {encoded(form.format(folder))}"
    own = ["-o", f"Port={reached.server.port}", "-o", f"IdentityFile={reached.key}", "-o", f"User={reached.host.user}", "-o", "ConnectTimeout=10"]

    done = subprocess.run([reached.programs["ansible_ssh_executable"], *own, "127.0.0.1", text], stdin=theirs, timeout=60, check=False)

    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0
    assert not folder.exists()


@pytest.mark.parametrize(
    ("text", "given", "said", "refused"),
    [
        *REFUSED,
        ("x" * (LONGEST + 1), b"", "extension is too long", "32767 characters"),
    ],
    ids=["program", "script", "input", "become", "long"],
)
def test_refusals(reached: Reached, text: str, given: bytes, said: str, refused: str) -> None:
    """By the host: a failure, not a lost connection."""
    done = reached.call(text, given)

    assert (done.stdout, done.returncode) == (b"", 1)
    assert said in done.stderr.decode()
    assert refused in reached.host.refused[0]


@pytest.mark.parametrize(
    ("program", "words", "said"),
    [
        ("ssh", ("-tt", "127.0.0.1", "x"), "unknown option -tt"),
        ("ssh", ("-o", "ProxyJump=x", "127.0.0.1", "x"), "Bad configuration option: proxyjump"),
        ("ssh", ("127.0.0.1",), "needed: a host and a command"),
        ("ssh", ("-O", "check", "127.0.0.1"), "Control socket connect"),
        ("scp", ("a", "[127.0.0.1]:b"), "scp isn't played"),
    ],
)
def test_what_the_programs_do_not_do(reached: Reached, program: str, words: tuple[str, ...], said: str) -> None:
    done = reached.run(program, *words)

    assert done.returncode == 255
    assert said in done.stderr.decode()
    assert not reached.host.requests


def test_a_file(reached: Reached) -> None:
    content = bytes(range(256)) * 300
    source, target = reached.folder / "a file", reached.folder / "that one"
    source.write_bytes(content)

    done = reached.run("sftp", "[127.0.0.1]", given=f"put '{source}' '{target}'\n".encode(), options=("-b", "-"))

    assert (done.returncode, done.stderr) == (0, b"")
    assert target.read_bytes() == content


def test_a_file_into_no_folder(reached: Reached) -> None:
    done = reached.run("sftp", "[127.0.0.1]", given=f"put {reached.key} /nowhere/x\n".encode(), options=("-b", "-"))

    assert done.returncode == 1
    assert b"No such file or directory" in done.stderr


def test_another_transfer_is_refused(reached: Reached) -> None:
    done = reached.run("sftp", "[127.0.0.1]", given=b"get /x /y\n", options=("-b", "-"))

    assert done.returncode == 1
    assert b"a batch of one put" in done.stderr


def test_wrong_key(reached: Reached) -> None:
    reached.host.password = "changed-since"

    done = reached.call()

    assert (done.returncode, done.stdout) == (255, b"")
    assert b"admin@127.0.0.1: Permission denied (publickey" in done.stderr
    assert not reached.host.calls


@pytest.mark.parametrize(
    ("kind", "late", "said", "calls"),
    [
        ("drop", False, "Connection to 127.0.0.1 closed by remote host", 0),
        ("drop", True, "Connection to 127.0.0.1 closed by remote host", 1),
        ("gone", False, "Connection to 127.0.0.1 closed by remote host", 0),
        ("401", False, "Permission denied (publickey", 0),
        ("silent", True, "Timeout, server 127.0.0.1 not responding.", 1),
    ],
)
def test_fault_on_demand(reached: Reached, kind: Any, late: bool, said: str, calls: int) -> None:
    """It happens once; `late`: the work is done, nobody hears of it."""
    reached.host.faults.plan(Fault(kind=kind, verb="Command", late=late))
    alive = ("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1")

    done = reached.call(options=alive)

    assert (done.returncode, done.stdout) == (255, b"")
    assert said in done.stderr.decode()
    assert len(reached.host.calls) == calls
    reached.server.come_back()
    assert reached.call(options=alive).returncode == 0
    assert not reached.host.refused


def test_a_busy_host_is_alive(reached: Reached) -> None:
    reached.delay = 1.5

    assert reached.call(options=("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1")).returncode == 0


def test_closed_port(reached: Reached) -> None:
    reached.server.leave()

    done = reached.call()

    assert done.returncode == 255
    assert f"ssh: connect to host 127.0.0.1 port {reached.server.port}: Connection refused" in done.stderr.decode()


def test_a_fault_of_another_protocol_is_seen(reached: Reached) -> None:
    reached.host.faults.plan(Fault(kind="503", verb="Command"))

    assert reached.call().returncode == 255
    assert "the fault 503 is of another protocol" in reached.host.refused[0]


def test_errors_as_xml() -> None:
    """One record a line, with what XML can't hold escaped."""
    text = clixml("a < b\nthen &")

    assert '<S S="Error">a &lt; b_x000D__x000A_</S><S S="Error">then &amp;_x000D__x000A_</S></Objs>' in text
