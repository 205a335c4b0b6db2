# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules a played host carries out: `ansible.windows.win_powershell` in an engine, and those that handle files. All others are refused."""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import re
from collections.abc import Callable
from typing import Any

from .engines import Engines
from .files import FileModules
from .host import Refused
from .payload import ModuleCall

WIN_POWERSHELL = "ansible.windows.win_powershell"
OPTIONS = {"script", "parameters", "error_action", "depth"}
ERROR_ACTIONS = ("silently_continue", "continue", "stop")
_LAUNCHER = re.compile(r"^\s*\[string\[\]\]\$launcher\b", re.MULTILINE)

Facts = Callable[[], dict[str, Any]]


class PlayedModules:
    """Carries out the module calls of one host.

    What neither an engine nor Wine has of Windows is played here. Processes are started by WMI on Windows: a script that has a parameter
    `launcher` for machines without it gets one. Services, processes, modules and runtimes are the simulator's: `facts` answers for them in scans.
    """

    def __init__(self, engines: Engines, facts: Facts, files: FileModules) -> None:
        self.engines, self.facts, self.files = engines, facts, files

    def __call__(self, call: ModuleCall) -> dict[str, Any]:
        """The module's result. Raises Refused."""
        if call.name in self.files.known:
            return self.files(call)
        if call.name != WIN_POWERSHELL:
            raise Refused(f"has no module {call.name}, only {', '.join([WIN_POWERSHELL, *self.files.known])}")
        problem = _problem(call.args)
        if problem:
            return _failed(problem)
        answer = self._told(self.engines.call(self._request(call)))
        return {**answer, "invocation": {"module_args": call.args}}  # as Ansible.Basic has it: what was asked comes back, the script included

    def _request(self, call: ModuleCall) -> dict[str, Any]:
        args, internal = call.args, call.internal
        parameters = dict(args.get("parameters") or {})
        if _LAUNCHER.search(args["script"]):
            parameters.setdefault("launcher", self.engines.launcher)
        return {
            "script": args["script"],
            "parameters": parameters,
            "error_action": args.get("error_action", "continue"),
            "depth": int(args.get("depth", 2)),
            "check": call.check,
            "verbosity": int(internal.get("verbosity") or 0),
            "tmpdir": internal.get("remote_tmp"),
        }

    def _told(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The answer, its scans with the simulated machine's facts; a script's result may hold one, or be one."""
        result = answer.get("result")
        for place in (result, result.get("scan") if isinstance(result, dict) else None):
            if isinstance(place, dict) and isinstance(place.get("document"), str):
                _replace_facts(place, self.facts)
        return answer


def _failed(why: str) -> dict[str, Any]:
    return {"failed": True, "changed": False, "msg": why}


def _problem(args: dict[str, Any]) -> str:
    """What the module itself, or a played host, wouldn't take."""
    unknown = sorted(set(args) - OPTIONS)
    if unknown:
        return f"Unsupported parameters for ({WIN_POWERSHELL}) module: {', '.join(unknown)}. A played host takes {', '.join(sorted(OPTIONS))}"
    if not isinstance(args.get("script"), str):
        return "one of the following is required: path, script"
    if args.get("error_action", "continue") not in ERROR_ACTIONS:
        return f"value of error_action must be one of: {', '.join(ERROR_ACTIONS)}. Got no match for: {args['error_action']}"
    if not isinstance(args.get("parameters") or {}, dict):
        return "argument for parameters is of type System.String and we were unable to convert to dict"
    return ""


def _replace_facts(place: dict[str, Any], facts: Facts) -> None:
    packed = place.get("encoding") == "gzip+base64"
    try:
        document = json.loads(gzip.decompress(base64.b64decode(place["document"])) if packed else place["document"])
    except (ValueError, binascii.Error, OSError):
        return
    if not isinstance(document, dict) or "language_mode" not in document:
        return
    text = json.dumps({**document, "host": facts()})
    place["document"] = base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode() if packed else text
