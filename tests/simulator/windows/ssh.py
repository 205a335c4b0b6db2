# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A played host behind OpenSSH with Windows PowerShell as its shell: the other end of `ssh_client`."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import sys
from concurrent.futures import TimeoutError as StillRunning
from pathlib import Path
from socketserver import StreamRequestHandler
from typing import Any
from xml.sax.saxutils import escape

from .faults import Kind, Where
from .host import Output
from .listener import Accepting, Listener
from .payload import SFTP_PUT, Command
from .shells import Process

PROGRAMS = ("ssh", "sftp", "scp")
LONGEST = 32_766  # characters of a command line that Windows starts
_CLIENT = Path(__file__).with_name("ssh_client.py")
_ALIVE = 0.2  # seconds between two signs of life while a command runs
_QUOTED = re.compile(r"(?<= )'((?:[^']|'')*)'(?= |$)")
_ROOTED = re.compile(r"^/(?=[A-Za-z]:)")
# what every PowerShell says that is started with -EncodedCommand and has no terminal
_PROGRESS = (
    '<Obj S="progress" RefId="0"><TN RefId="0"><T>System.Management.Automation.PSCustomObject</T><T>System.Object</T></TN><MS>'
    '<I64 N="SourceId">1</I64><PR N="Record"><AV>Preparing modules for first use.</AV><AI>0</AI><Nil /><PI>-1</PI><PC>-1</PC><T>Completed</T>'
    "<SR>-1</SR><SD> </SD></PR></MS></Obj>"
)


def install(folder: Path) -> dict[str, str]:
    """Puts the programs into a folder; the inventory's variables that name them."""
    folder.mkdir(exist_ok=True)
    for name in PROGRAMS:
        program = folder / name
        program.write_text(f"#!{sys.executable} -ISB\n{_CLIENT.read_text('utf-8')}", "utf-8")
        program.chmod(0o755)
    return {f"ansible_{name}_executable": str(folder / name) for name in PROGRAMS}


def clixml(text: str) -> str:
    """What PowerShell writes to standard error: its records as XML."""
    lines = "".join(f'<S S="Error">{escape(line)}_x000D__x000A_</S>' for line in text.splitlines())
    return f'#< CLIXML\r\n<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">{_PROGRESS}{lines}</Objs>'


class _Handler(StreamRequestHandler):
    """One connection: one command, or one file. What was begun goes on to its end, whatever becomes of the connection."""

    server: Accepting

    def handle(self) -> None:
        asked = json.loads(self.rfile.readline() or "null")
        if asked is None:
            return
        data = self.rfile.read(asked["size"])
        if len(data) < asked["size"]:
            return
        host = self.server.played.host
        where = host.arrived("Command" if "command" in asked else "Put", len(data))
        if self._trouble(host.faults.take(where, late=False)):
            return
        if not host.admits(asked["user"], asked["key"]):
            self._say({"refused": True})
            return
        done = self._carried_out(asked, data)
        if not self._troubled_late(where):
            self._say(done)

    def _troubled_late(self, where: Where) -> bool:
        host = self.server.played.host
        return self._trouble(host.faults.take(host.by_now(where), late=True))

    def _trouble(self, kind: Kind | None) -> bool:
        """A fault on demand; the connection ends without an answer then."""
        if kind is None:
            return False
        if kind == "401":
            self._say({"refused": True})
        elif kind == "gone":
            self.server.played.leave()
        elif kind == "silent":
            self.connection.recv(1)  # nothing comes until the client closes
        elif kind != "drop":
            self.server.played.host.refused.append(f"the fault {kind} is of another protocol")
        return True

    def _carried_out(self, asked: dict[str, Any], data: bytes) -> dict[str, Any]:
        host, line = self.server.played.host, asked.get("command")
        if line is None:
            done = host.commands(Command(text=SFTP_PUT, powershell=False, action=SFTP_PUT, params={"Path": _local(asked["path"])}, data=data))
            return vars(done or Output(1, stderr="sftp isn't played\n"))
        if len(line) > LONGEST:
            host.refused.append(f"a command line of {len(line)} characters")
            return vars(Output(1, stderr="The filename or extension is too long\r\n"))
        return _as_powershell(line, self._waited_for(Process(_unquoted(line), host.execute), data))

    def _waited_for(self, process: Process, data: bytes) -> Output:
        process.stdin += data
        process.begin()
        while True:
            try:
                return process.end.result(_ALIVE)
            except StillRunning:
                with contextlib.suppress(OSError):
                    self.wfile.write(b"\n")

    def _say(self, answer: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            self.wfile.write(json.dumps(answer).encode() + b"\n")
            self.connection.shutdown(socket.SHUT_WR)


class PlayedSsh(Listener):
    """A played host that is reached by the programs of `install`; a key's file holds the password."""

    handler = _Handler


def _local(path: str) -> str:
    """sftp writes `/C:/…` for a path of drive C:."""
    return _ROOTED.sub("", path)


def _unquoted(line: str) -> str:
    """The words as the shell, a PowerShell, takes them: ansible-core 2.21 quotes what isn't plain."""
    return _QUOTED.sub(lambda match: match[1].replace("''", "'"), line)


def _as_powershell(line: str, done: Output) -> dict[str, Any]:
    """As the shell hands on the end of a program: any failure is 1, lines end as on Windows, and another PowerShell's errors are XML."""
    powershell = line.lower().startswith("powershell")
    out = done.stdout and done.stdout + "\r\n"
    return {"code": int(done.code != 0), "stdout": out, "stderr": clixml(done.stderr) if powershell else done.stderr}
