# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays the programs `ssh` and `sftp` for Ansible's connection, as far as it uses them for Windows hosts. Its text becomes a program (`ssh.install`).

One connection carries one command with its input, or one file; `ssh.PlayedSsh` answers. Connections aren't shared: there is never one to check or to
stop. Whatever goes wrong on the way ends with 255 and OpenSSH's own words. The standard library only, and nothing of this package: it starts often.
"""

from __future__ import annotations

import json
import shlex
import socket
import sys
from pathlib import Path
from typing import Any

LOST = 255
# what Ansible sets, unless told otherwise: connections are shared by `ControlMaster` and its kin, authentication goes by key alone
KNOWN = {
    *("batchmode", "compression", "connecttimeout", "controlmaster", "controlpath", "controlpersist", "gssapiauthentication", "identityfile"),
    *("kbdinteractiveauthentication", "numberofpasswordprompts", "passwordauthentication", "port", "preferredauthentications"),
    *("serveralivecountmax", "serveraliveinterval", "stricthostkeychecking", "user", "userknownhostsfile"),
}


class Ended(Exception):
    """The program ends with this status; the message goes to standard error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def main(program: str, argv: list[str]) -> int:
    """Runs `ssh` or `sftp` with the command line that Ansible made."""
    try:
        options, words = _parsed(argv)
        return {"ssh": _ssh, "sftp": _sftp}.get(program, _unplayed)(options, words)
    except Ended as end:
        sys.stderr.write(f"{end}\r\n")
        return end.code


def _parsed(argv: list[str]) -> tuple[dict[str, str], list[str]]:
    """The options by their names in lower case, the first of each as OpenSSH has it, and the words after them."""
    options: dict[str, str] = {}
    words = list(argv)
    while words and words[0].startswith("-"):
        flag = words.pop(0)
        if flag == "-C" or set(flag[1:]) == {"v"}:
            continue
        if flag not in ("-o", "-O", "-b"):
            raise Ended(LOST, f"unknown option {flag}, of {shlex.join(argv)[:300]}")
        value = words.pop(0)
        name, _, setting = value.partition("=") if flag == "-o" else (flag, "", value)
        if flag == "-o" and name.lower() not in KNOWN:
            raise Ended(LOST, f"command-line line 0: Bad configuration option: {name.lower()}")
        options.setdefault(name.lower() if flag == "-o" else name, setting.strip('"'))
    return options, words


def _ssh(options: dict[str, str], words: list[str]) -> int:
    if "-O" in options:
        raise Ended(LOST, f"Control socket connect({options.get('controlpath', '')}): No such file or directory")
    if len(words) != 2:
        raise Ended(LOST, f"needed: a host and a command in one word, no terminal; found {words}")
    # nobody types: without input Ansible gives a terminal instead of a pipe
    given = b"" if sys.stdin.isatty() else sys.stdin.buffer.read()
    answer = _asked(options, words[0], {"command": words[1]}, given)
    sys.stdout.buffer.write(answer["stdout"].encode())
    sys.stdout.buffer.flush()
    sys.stderr.buffer.write(answer["stderr"].encode())
    return int(answer["code"])


def _sftp(options: dict[str, str], words: list[str]) -> int:
    """One line of a batch: a file to send."""
    batch = [shlex.split(line) for line in sys.stdin.read().splitlines()]
    if options.get("-b") != "-" or len(words) != 1 or len(batch) != 1 or len(batch[0]) != 3 or batch[0][0] != "put":
        raise Ended(1, f"needed: a batch of one put; found {words} and {batch}")
    _, here, there = batch[0]
    answer = _asked(options, words[0].strip("[]"), {"path": there}, Path(here).read_bytes())
    sys.stderr.write(answer["stderr"])
    return int(answer["code"])


def _unplayed(options: dict[str, str], words: list[str]) -> int:
    raise Ended(LOST, f"scp isn't played; Ansible sends files by sftp. Found {words}")


def _asked(options: dict[str, str], host: str, what: dict[str, Any], data: bytes) -> dict[str, Any]:
    """The host's answer. Waiting for it ends only where ServerAliveInterval is set, or with the connection: nothing else limits it."""
    port, user = int(options["port"]), options["user"]
    try:
        line = socket.create_connection((host, port), float(options["connecttimeout"]))
    except OSError as error:
        raise Ended(LOST, f"ssh: connect to host {host} port {port}: {error.strerror or error}") from error
    patience = float(options.get("serveraliveinterval", 0)) * float(options.get("serveralivecountmax", 3))
    line.settimeout(patience or None)
    request = {"user": user, "key": _key(options), "size": len(data), **what}
    try:
        with line, line.makefile("rwb") as stream:
            stream.write(json.dumps(request).encode() + b"\n" + data)
            stream.flush()
            text = next((text for text in stream if text.strip()), b"")  # an empty line says that the host is there
    except TimeoutError:
        raise Ended(LOST, f"Timeout, server {host} not responding.") from None
    except OSError as error:
        raise Ended(LOST, f"client_loop: send disconnect: {error.strerror}") from error
    if not text:
        raise Ended(LOST, f"Connection to {host} closed by remote host.")
    answer: dict[str, Any] = json.loads(text)
    if answer.get("refused"):
        raise Ended(LOST, f"{user}@{host}: Permission denied (publickey,password,keyboard-interactive).")
    return answer


def _key(options: dict[str, str]) -> str:
    try:
        return Path(options["identityfile"]).read_text("utf-8")
    except (KeyError, OSError):
        return ""


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[0]).name, sys.argv[1:]))
