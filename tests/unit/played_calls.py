"""Module calls as Ansible sends them to a Windows host."""

from __future__ import annotations

import base64
import json
from typing import Any

from simulator.windows.host import PlayedHost
from simulator.windows.payload import SEPARATOR

NAME = "ansible.windows.win_powershell"
ARGS = {"script": "param($a)", "parameters": {"a": "Grüße"}, "_ansible_module_name": NAME, "_ansible_check_mode": True, "_ansible_verbosity": 2}


def encoded(script: str) -> str:
    return base64.b64encode(script.encode("utf-16-le")).decode()


def line(script: str = "$input | bootstrap of Ansible\n") -> str:
    return f"PowerShell -NoProfile -NonInteractive -EncodedCommand {encoded(script)}"


def manifest(args: dict[str, Any] | None = None, *, script: str = "#!powershell\n", before: tuple[str, ...] = ()) -> dict[str, Any]:
    wrapper = {
        "name": "module_wrapper.ps1",
        "params": {"Script": "x.ps1", "Variables": [{"Name": "complex_args", "Value": args or ARGS}]},
        "secure_params": {},
    }
    return {
        "scripts": {"x.ps1": {"path": "x", "script": base64.b64encode(script.encode()).decode()}},
        "actions": [*({"name": name, "params": {}} for name in before), wrapper],
        "signed_hashlist": [],
    }


def stdin(value: Any = None) -> bytes:
    return b'{"name": "exec_wrapper"}' + SEPARATOR + json.dumps(value or manifest()).encode()


def asked(host: PlayedHost) -> int:
    """How often a host was asked for an answer."""
    return [seen.where.verb for seen in host.requests].count("Receive")


# commands with their input that a host refuses, part of what it says, and of what it notes
REFUSED = [
    ("sudo -n whoami", b"", "'sudo' is not recognized as an internal or external command", "no program sudo"),
    (line("Get-Date"), b"", "runs modules only, not this script: Get-Date", "Get-Date"),
    (line(), b"#!/usr/bin/python", "can't decode a call: input without a manifest", "can't decode"),
    (line(), stdin(manifest(before=("async_wrapper.ps1",))), "plays no async_wrapper.ps1", "async_wrapper"),
]
