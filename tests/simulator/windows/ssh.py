# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A played host behind sshd with Windows PowerShell as its shell. What leads to it are OpenSSH's own programs."""

from __future__ import annotations

import asyncio
import re
import select
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import asyncssh

from .faults import Kind, Where
from .files import Local
from .host import Output, PlayedHost
from .payload import reads_input
from .shells import Process

LONGEST = 32_766  # characters of a command line that Windows starts
_QUOTED = re.compile(r"(?<= )'((?:[^']|'')*)'(?= |$)")
_ROOTED = re.compile(r"^/(?=[A-Za-z]:)")
# what every PowerShell says that is started with -EncodedCommand and has no terminal
_PROGRESS = (
    '<Obj S="progress" RefId="0"><TN RefId="0"><T>System.Management.Automation.PSCustomObject</T><T>System.Object</T></TN><MS>'
    '<I64 N="SourceId">1</I64><PR N="Record"><AV>Preparing modules for first use.</AV><AI>0</AI><Nil /><PI>-1</PI><PC>-1</PC><T>Completed</T>'
    "<SR>-1</SR><SD> </SD></PR></MS></Obj>"
)


@dataclass(frozen=True)
class Keys:
    """The key of all hosts, and that of whoever logs on."""

    host: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))
    client: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))


class PlayedSsh:
    """A played host on a port of its own, until it is left. A command that was begun goes on to its end, whatever becomes of the connection.

    `local` turns a path of the host into one of this machine. Each host has a thread of its own, so that one can fall silent.
    """

    def __init__(self, host: PlayedHost, local: Local, keys: Keys) -> None:
        self.host, self.local, self.keys = host, local, keys
        self.port = 0
        self.connections: set[asyncssh.SSHServerConnection] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.come_back()

    def come_back(self) -> None:
        """Listens again, on the port it had."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
            self._thread.start()
            asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(30)

    def leave(self) -> None:
        """Closes the port and every connection; what the host runs goes on."""
        loop, self._loop = self._loop, None
        if loop is not None:
            closed = asyncio.run_coroutine_threadsafe(self._close(loop), loop)
            if threading.current_thread() is not self._thread:
                closed.result(30)

    async def _listen(self) -> None:
        self._acceptor = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_host_keys=[self.keys.host],
            server_factory=lambda: _Door(self),
            process_factory=_Commands(self).carry_out,
            sftp_factory=lambda channel: _Files(channel, self),
            allow_scp=False,
            encoding=None,
        )
        self.port = self._acceptor.get_port()

    async def _close(self, loop: asyncio.AbstractEventLoop) -> None:
        self._acceptor.close()
        for connection in tuple(self.connections):
            connection.abort()
        loop.call_later(0.1, loop.stop)

    def noticed(self, error: Exception | None) -> None:
        """A client that went away is no news; anything else is a mistake in here, and is to be seen."""
        if error is not None and not isinstance(error, (asyncssh.Error, OSError)):
            self.host.refused.append(f"{type(error).__name__}: {error}")

    def struck(self, where: Where, connection: asyncssh.SSHServerConnection, *, late: bool = False, spared: Kind | None = None) -> bool:
        """A fault on demand; the connection ends without an answer then, but at one that is spared."""
        kind = self.host.faults.take(self.host.by_now(where) if late else where, late=late)
        if kind is None:
            return False
        if kind == "silent":
            _wait_for_the_end(connection)
        elif kind == "gone":
            self.leave()
        elif kind not in ("drop", "401"):
            self.host.refused.append(f"the fault {kind} is of another protocol")
        if kind != spared:
            connection.abort()
        return True


def _wait_for_the_end(connection: asyncssh.SSHServerConnection) -> None:
    """Blocks all that the host does, so that signs of life aren't answered either, until the client closes."""
    poll = select.poll()
    poll.register(connection.get_extra_info("socket").fileno(), select.POLLRDHUP)
    poll.poll(120_000)


class _Door(asyncssh.SSHServer):
    """One connection: who may come in. The fault 401 is an account that is locked from then on."""

    def __init__(self, played: PlayedSsh) -> None:
        self.played = played

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connection = conn
        self.played.connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self.played.connections.discard(self.connection)
        self.played.noticed(exc)

    def begin_auth(self, username: str) -> bool:
        """At the fault 401 nobody comes in, whatever they show; at others the connection ends."""
        self.locked = self.played.struck(self.played.host.arrived("Logon", 0), self.connection, spared="401")
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        known = self.played.keys.client.convert_to_public()
        return not self.locked and username == self.played.host.user and key == known

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return not self.locked and self.played.host.admits(username, password)


class _Commands:
    """Command lines for the shell, a PowerShell."""

    def __init__(self, played: PlayedSsh) -> None:
        self.played = played

    async def carry_out(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        try:
            await self._carry_out(process)
        except Exception as error:
            self.played.noticed(error)
            raise

    async def _carry_out(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        played, line = self.played, process.command
        connection = process.get_extra_info("connection")
        if line is None or process.term_type is not None:
            self._end(process, _not_played(played.host, "a shell" if line is None else "a terminal"), line)
            return
        work = Process(_unquoted(line), played.host.execute)
        work.stdin += await process.stdin.read() if reads_input(work.line) else b""
        where = played.host.arrived("Command", len(work.stdin))
        if played.struck(where, connection):
            return
        done = await self._outcome(work)
        if not played.struck(where, connection, late=True):
            self._end(process, done, line)

    async def _outcome(self, work: Process) -> Output:
        host = self.played.host
        if len(work.line) > LONGEST:
            host.refused.append(f"a command line of {len(work.line)} characters")
            return Output(1, stderr="The filename or extension is too long\r\n")
        work.begin()
        return await asyncio.wrap_future(work.end)

    def _end(self, process: asyncssh.SSHServerProcess[bytes], done: Output, line: str | None) -> None:
        """As the shell hands on the end of a program: any failure is 1, lines end as on Windows, and another PowerShell's errors are XML."""
        powershell = (line or "").lower().startswith("powershell")
        process.stdout.write(f"{done.stdout}\r\n".encode() if done.stdout else b"")
        process.stderr.write((clixml(done.stderr) if powershell else done.stderr).encode())
        process.exit(int(done.code != 0))


class _Files(asyncssh.SFTPServer):
    """Files by sftp, as this machine holds them."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], played: PlayedSsh) -> None:
        super().__init__(channel)
        self.played = played

    def map_path(self, path: bytes) -> bytes:
        """sftp writes `/C:/…` for a path of drive C:, and asks where it is."""
        text = path.decode()
        return str(self.played.local(_ROOTED.sub("", text))).encode() if text.startswith("/") else path

    def close(self, file_obj: Any) -> None:
        """A file that was sent counts once it is whole."""
        size = file_obj.tell() if file_obj.writable() else 0
        super().close(file_obj)
        self.played.struck(self.played.host.arrived("Put", size), self.connection, late=True)


def _not_played(host: PlayedHost, what: str) -> Output:
    host.refused.append(f"plays no session with {what}")
    return Output(1, stderr=f"plays no session with {what}\r\n")


def _unquoted(line: str) -> str:
    """The words as the shell, a PowerShell, takes them: ansible-core 2.21 quotes what isn't plain."""
    return _QUOTED.sub(lambda match: match[1].replace("''", "'"), line)


def clixml(text: str) -> str:
    """What PowerShell writes to standard error: its records as XML."""
    lines = "".join(f'<S S="Error">{escape(line)}_x000D__x000A_</S>' for line in text.splitlines())
    return f'#< CLIXML\r\n<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">{_PROGRESS}{lines}</Objs>'


@contextmanager
def client(folder: Path, keys: Keys) -> Iterator[Callable[..., dict[str, str]]]:
    """Gives the inventory's variables for hosts at these ports, which are known by their key: nothing of the user's own ssh gets in.

    `folder` gets the files that they name. Connections that are shared have their sockets elsewhere: their paths have to be short.
    """
    with tempfile.TemporaryDirectory(prefix="ssh-", ignore_cleanup_errors=True) as sockets:

        def variables(ports: Sequence[int], *, by_key: bool, patience: int) -> dict[str, str]:
            folder.mkdir(exist_ok=True)
            key, known = folder / "key", folder / "known_hosts"
            public = keys.host.export_public_key().decode().strip()
            known.write_text("".join(f"[127.0.0.1]:{port} {public}\n" for port in ports), "utf-8")
            keys.client.write_private_key(str(key))
            key.chmod(0o600)
            alone = f"-F none -o IdentitiesOnly=yes -o IdentityAgent=none -o UserKnownHostsFile={known} -o GlobalKnownHostsFile=none"
            common = f"{alone} -o ServerAliveInterval={patience} -o ServerAliveCountMax=1"
            found = {"ansible_ssh_common_args": common, "ansible_control_path_dir": sockets}
            return {**found, "ansible_ssh_private_key_file": str(key)} if by_key else found

        yield variables
