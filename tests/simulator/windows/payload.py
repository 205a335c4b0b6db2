# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What arrives at a Windows host for each task: a command line, and on its standard input a module with its arguments."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from typing import Any

SEPARATOR = b"\n\0\0\0\0\n"  # between the bootstrap's own parameters, the manifest and further input
MODULE_WRAPPER, BECOME_WRAPPER = "module_wrapper.ps1", "become_wrapper.ps1"
_ENCODED = re.compile(r"-EncodedCommand (\S+)$")


class UnknownShape(ValueError):
    """A call in a form that none of the supported versions of ansible-core sends. The message says what was found."""


@dataclass(frozen=True, kw_only=True)
class ModuleCall:
    """A module to run: its full name, its arguments without Ansible's own, and those (`_ansible_check_mode`…) without their prefix.

    `become`: as whom, where that isn't who logged on: what runas is told.
    """

    name: str
    args: dict[str, Any]
    internal: dict[str, Any]
    wrappers: tuple[str, ...] = ()
    become: dict[str, Any] | None = None

    @property
    def check(self) -> bool:
        return bool(self.internal.get("check_mode"))


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command that is no module call: a program's name, or a script's text.

    Of ansible-core's own scripts `action` is the name; they come with parameters and perhaps data.
    """

    text: str
    powershell: bool
    action: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    data: bytes = b""


def decode(line: str, stdin: bytes) -> ModuleCall | Command:
    """What a command line and its input ask for; `line` is the whole line, or for PSRP the script itself.

    ansible-core 2.19 to 2.21 send a bootstrap script in the line and, as input, JSON of its parameters, the separator, and the manifest of what to
    run: scripts by name, and actions, the last of which is the module's wrapper. Raises UnknownShape.
    """
    script = _script(line)
    if script is None:
        return Command(text=line, powershell=False)
    if SEPARATOR not in stdin.replace(b"\r\n", b"\n"):
        if stdin.strip():
            raise UnknownShape(f"input without a manifest, of {len(stdin)} bytes: {stdin[:80]!r}")
        return Command(text=script, powershell=True)
    parts = stdin.replace(b"\r\n", b"\n").split(SEPARATOR)
    actions, scripts = _manifest(parts[1])
    if actions[-1]["name"] != MODULE_WRAPPER:
        name, data = str(actions[-1]["name"]), SEPARATOR.join(parts[2:])
        return Command(text=f"{name} of ansible-core", powershell=True, action=name, params=dict(actions[-1].get("params") or {}), data=data)
    return _module(actions, scripts)


def reads_input(line: str) -> bool:
    """Whether a command line starts something that waits for its input: of what Ansible sends, scripts that ask for it."""
    return "$input" in (_script(line) or "")


def _script(line: str) -> str | None:
    """The PowerShell script of a command line; None for another program."""
    if "\n" in line:  # over PSRP no program is started
        return line
    found = _ENCODED.search(line.strip())
    if not line.lower().startswith("powershell") or not found:
        return None
    try:
        return base64.b64decode(found[1], validate=True).decode("utf-16-le")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise UnknownShape(f"an -EncodedCommand that isn't base64 of UTF-16: {error}") from error


def _manifest(text: bytes) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    try:
        manifest = json.loads(text)
        actions, scripts = manifest["actions"], manifest["scripts"]
        found = [str(action["name"]) for action in actions]
    except (ValueError, KeyError, TypeError) as error:
        raise UnknownShape(f"a manifest without actions and scripts ({type(error).__name__}: {error})") from error
    if not found:
        raise UnknownShape("a manifest with no action")
    return actions, scripts


def _module(actions: list[dict[str, Any]], scripts: dict[str, Any]) -> ModuleCall:
    try:
        params = actions[-1]["params"]
        (given,) = [variable["Value"] for variable in params["Variables"] if variable["Name"] == "complex_args"]
        name = given["_ansible_module_name"]
        text = base64.b64decode(scripts[params["Script"]]["script"], validate=True).decode("utf-8-sig")
    except (KeyError, TypeError, ValueError) as error:
        raise UnknownShape(f"a module's wrapper without its arguments or its script ({type(error).__name__}: {error})") from error
    if not text.startswith("#!powershell"):
        raise UnknownShape(f"{name} is no PowerShell module: {text[:40]!r}")
    prefix = "_ansible_"
    return ModuleCall(
        name=name,
        args={key: value for key, value in given.items() if not key.startswith(prefix)},
        internal={key.removeprefix(prefix): value for key, value in given.items() if key.startswith(prefix)},
        wrappers=tuple(str(action["name"]) for action in actions[:-1] if action["name"] != BECOME_WRAPPER),
        become=next((_told(action) for action in actions[:-1] if action["name"] == BECOME_WRAPPER), None),
    )


def _told(action: dict[str, Any]) -> dict[str, Any]:
    return {**(action.get("params") or {}), **(action.get("secure_params") or {})}
