"""Module calls as Ansible sends them to a Windows host."""

from __future__ import annotations

import base64
import json
from typing import Any

from simulator.windows.payload import SEPARATOR

NAME = "ansible.windows.win_powershell"
ARGS = {"script": "param($a)", "parameters": {"a": "Grüße"}, "_ansible_module_name": NAME, "_ansible_check_mode": True, "_ansible_verbosity": 2}


def encoded(script: str) -> str:
    return base64.b64encode(script.encode("utf-16-le")).decode()


def line(script: str = "bootstrap\nof Ansible") -> str:
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
