"""The played Windows host behind ssh by itself: OpenSSH's programs as Ansible starts them, logging on, faults on demand. No engine is needed."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from played_calls import NAME, REFUSED, encoded, line, stdin

if not shutil.which("ssh"):
    pytest.skip("lane openssh: no program ssh on PATH", allow_module_level=True)
pytest.importorskip("asyncssh", reason="lane ssh: the library asyncssh is missing")

from simulator.windows.cluster import slashed
from simulator.windows.faults import Fault
from simulator.windows.host import PlayedHost, Refused
from simulator.windows.machine import PlayedMachine
from simulator.windows.payload import ModuleCall
from simulator.windows.ssh import LONGEST, Keys, PlayedSsh, client, clixml

SHARED = ("-C", "-o", "ControlMaster=auto", "-o", "ControlPersist=60s")
ONE = "one"  # socket of the connection that calls share
PATIENCE = 30  # seconds after which ssh asks for a sign of life
BRIEF = ("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=2")  # gives up after three


class Reached:
    """A host whose modules echo, slowly if told to, and the programs that lead to it."""

    def __init__(self, folder: Path, variables: Callable[..., dict[str, str]], keys: Keys) -> None:
        self.delay = 0.0
        machine = PlayedMachine(folder, str, slashed)
        self.host = PlayedHost("WIN1", self.echo, machine)
        self.server = PlayedSsh(self.host, slashed, keys)
        self.folder = folder
        self.variables = variables([self.server.port], by_key=True, patience=PATIENCE)

    def echo(self, call: ModuleCall) -> dict[str, Any]:
        if call.name != NAME:
            raise Refused(f"has no module {call.name}")
        time.sleep(self.delay)
        return {"changed": False, "seen": call.args["parameters"]}

    def run(self, program: str, *words: str, given: bytes | int = b"", options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[bytes]:
        """As Ansible starts it."""
        told = shlex.split(self.variables["ansible_ssh_common_args"])
        key, sockets = self.variables["ansible_ssh_private_key_file"], self.variables["ansible_control_path_dir"]
        own = [f"Port={self.server.port}", f'IdentityFile="{key}"', f'User="{self.host.user}"', "ConnectTimeout=10", f"ControlPath={sockets}/{ONE}"]
        argv = [program, *options, *SHARED, *told, *(word for option in own for word in ("-o", option)), *words]
        source = {"input": given} if isinstance(given, bytes) else {"stdin": given}
        # a connection that is shared goes on in the background, and would hold pipes open: errors go to a file
        with (self.folder / "errors").open("w+b") as errors:
            done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=errors, timeout=60, check=False, **source)  # type: ignore[call-overload]
            errors.seek(0)
            done.stderr = errors.read()
        return done

    def call(self, text: str | None = None, given: bytes | int | None = None, **more: Any) -> subprocess.CompletedProcess[bytes]:
        return self.run("ssh", "127.0.0.1", text or line(), given=stdin() if given is None else given, **more)

    @property
    def verbs(self) -> list[str]:
        return [seen.where.verb for seen in self.host.requests]


@pytest.fixture
def reached(tmp_path: Path) -> Iterator[Reached]:
    keys = Keys()
    with client(tmp_path / "ssh", keys) as variables:
        found = Reached(tmp_path, variables, keys)
        yield found
        found.server.leave()


def test_a_call_and_what_is_counted(reached: Reached) -> None:
    done = reached.call()

    assert (json.loads(done.stdout)["seen"], done.returncode) == ({"a": "Grüße"}, 0)
    assert done.stdout.endswith(b"\r\n")
    assert done.stderr.startswith(b"#< CLIXML\r\n")
    assert b'S="Error"' not in done.stderr
    assert reached.verbs == ["Logon", "Command"]
    assert [call.name for call in reached.host.calls] == [NAME]
    assert not reached.host.refused


def test_words_in_quotes(reached: Reached) -> None:
    """As ansible-core 2.21 sends what isn't plain, for the PowerShell that is the shell."""
    assert line("$input, padded").endswith("=")

    assert reached.call(re.sub(r" (\S+)$", r" '\1'", line("$input, padded"))).returncode == 0


@pytest.mark.parametrize("form", ["Remove-Item '{}' -Force -Recurse;", "Remove-Item {}\\. -Force -Recurse"], ids=["quoted", "plain"])
def test_a_command_without_input(reached: Reached, form: str) -> None:
    """Ansible keeps the input open then; nobody types, and nothing waits."""
    folder = reached.folder / "Temp"
    folder.mkdir()
    ours, theirs = os.openpty()

    done = reached.call(f"PowerShell -NoProfile -EncodedCommand {encoded(form.format(folder))}", theirs)

    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0, done.stderr
    assert not folder.exists()


def test_calls_share_a_connection_until_it_is_stopped(reached: Reached) -> None:
    """As Ansible has it; to reset a connection stops what is shared."""
    assert [reached.call().returncode for _ in range(2)] == [0, 0]
    assert reached.verbs == ["Logon", "Command", "Command"]

    assert reached.run("ssh", "-O", "check", "127.0.0.1").returncode == 0
    assert reached.run("ssh", "-O", "stop", "127.0.0.1").returncode == 0

    assert reached.call().returncode == 0
    assert reached.verbs == ["Logon", "Command", "Command", "Logon", "Command"]


@pytest.mark.parametrize(
    ("text", "given", "said", "refused"),
    [
        *REFUSED,
        ("x" * (LONGEST + 1), b"", "extension is too long", "32767 characters"),
    ],
    ids=["program", "script", "input", "async", "long"],
)
def test_refusals(reached: Reached, text: str, given: bytes, said: str, refused: str) -> None:
    """By the host: a failure, not a lost connection."""
    done = reached.call(text, given)

    assert (done.stdout, done.returncode) == (b"", 1)
    assert said in done.stderr.decode()
    assert refused in reached.host.refused[0]


@pytest.mark.parametrize(("words", "said"), [(("-tt", "127.0.0.1", "x"), "a terminal"), (("127.0.0.1",), "a shell")])
def test_sessions_that_are_not_played(reached: Reached, words: tuple[str, ...], said: str) -> None:
    done = reached.run("ssh", *words)

    assert done.returncode == 1
    assert reached.host.refused == [f"plays no session with {said}"]


def put(reached: Reached, source: Path, target: str) -> subprocess.CompletedProcess[bytes]:
    return reached.run("sftp", "[127.0.0.1]", given=f"put '{source}' '{target}'\n".encode(), options=("-b", "-"))


def test_a_file(reached: Reached) -> None:
    content = bytes(range(256)) * 300
    source, target = reached.folder / "a file", reached.folder / "that one"
    source.write_bytes(content)

    done = put(reached, source, str(target))

    assert done.returncode == 0, done.stderr
    assert target.read_bytes() == content
    assert [(seen.where.verb, seen.size) for seen in reached.host.requests] == [("Logon", 0), ("Put", len(content))]
    assert not reached.host.refused


def test_a_file_onto_a_drive(reached: Reached) -> None:
    """sftp writes such a path with a slash before it."""
    source = reached.folder / "a file"
    source.write_bytes(b"x")
    reached.server.local = lambda path: reached.folder / path.replace("C:/", "drive/")
    (reached.folder / "drive").mkdir()

    assert put(reached, source, "/C:/there").returncode == 0
    assert (reached.folder / "drive" / "there").read_bytes() == b"x"


def test_a_file_into_no_folder(reached: Reached) -> None:
    source = reached.folder / "a file"
    source.touch()

    done = put(reached, source, "/nowhere/x")

    assert done.returncode == 1
    assert b"No such file or directory" in done.stderr


def test_a_key_that_is_not_known(reached: Reached) -> None:
    Path(reached.variables["ansible_ssh_private_key_file"]).write_bytes(Keys().client.export_private_key())

    done = reached.call()

    assert (done.returncode, done.stdout) == (255, b"")
    assert b"admin@127.0.0.1: Permission denied (publickey" in done.stderr
    assert reached.verbs == ["Logon"]


def test_a_host_with_another_key(reached: Reached) -> None:
    known = reached.folder / "ssh" / "known_hosts"
    known.write_text(f"[127.0.0.1]:{reached.server.port} {Keys().host.export_public_key().decode()}", "utf-8")

    done = reached.call(options=("-o", "StrictHostKeyChecking=yes"))

    assert done.returncode == 255
    assert b"Host key verification failed" in done.stderr


@pytest.mark.parametrize(("kind", "late", "calls"), [("drop", False, 0), ("drop", True, 1), ("gone", False, 0), ("silent", True, 1)])
def test_fault_on_demand(reached: Reached, kind: Any, late: bool, calls: int) -> None:
    """It happens once; `late`: the work is done, nobody hears of it."""
    reached.host.faults.plan(Fault(kind=kind, verb="Command", late=late))

    done = reached.call(options=BRIEF)

    assert (done.returncode, done.stdout) == (255, b"")
    assert len(reached.host.calls) == calls
    reached.server.come_back()
    assert reached.call().returncode == 0
    assert not reached.host.refused


@pytest.mark.parametrize(
    ("kind", "said"), [("drop", "Connection to 127.0.0.1 closed by remote host"), ("silent", "Timeout, server 127.0.0.1 not responding.")]
)
def test_words_of_a_connection_that_is_not_shared(reached: Reached, kind: Any, said: str) -> None:
    """Of one that is shared, ssh says nothing at all."""
    reached.host.faults.plan(Fault(kind=kind, verb="Command"))

    assert said in reached.call(options=("-o", "ControlPath=none", *BRIEF)).stderr.decode()


def test_an_account_that_is_locked_meanwhile(reached: Reached) -> None:
    reached.host.faults.plan(Fault(kind="401", verb="Command", late=True, lasting=True))

    first, second = reached.call(), reached.call()

    assert (first.returncode, second.returncode) == (255, 255)
    assert b"Permission denied (publickey" in second.stderr
    assert len(reached.host.calls) == 1


def test_a_busy_host_is_alive(reached: Reached) -> None:
    reached.delay = 3.5

    assert reached.call(options=BRIEF).returncode == 0


def test_closed_port(reached: Reached) -> None:
    reached.server.leave()

    done = reached.call()

    assert f"ssh: connect to host 127.0.0.1 port {reached.server.port}: Connection refused" in done.stderr.decode()


def test_a_fault_of_another_protocol_is_seen(reached: Reached) -> None:
    reached.host.faults.plan(Fault(kind="503", verb="Command"))

    assert reached.call().returncode == 255
    assert "the fault 503 is of another protocol" in reached.host.refused[0]


def test_errors_as_xml() -> None:
    """One record a line, with what XML can't hold escaped."""
    text = clixml("a < b\nthen &")

    assert '<S S="Error">a &lt; b_x000D__x000A_</S><S S="Error">then &amp;_x000D__x000A_</S></Objs>' in text
