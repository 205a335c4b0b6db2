# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Windows adapter of the port: fixed scripts, run on the agent through `ansible.windows.win_powershell`.

Only parameters vary, so nothing is ever spliced into code. A script must not return deep structures: win_powershell cuts them at `depth`, so they
hand over their document as one text.
"""

from __future__ import annotations

import base64
import binascii
import functools
import gzip
import json
import re
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..module_utils.errors import DataMinerError, InvalidScan, ScriptFailed, from_dict

SCRIPTS = Path(__file__).parent / "powershell"
DEPTH = 2
FULL_LANGUAGE = "FullLanguage"
SCAN_PARAMETERS = ("root", "work_dir", "backup_dir", "vendor_backup_dir", "content", "max_text", "log_tail")

_LIBRARY = re.compile(r'^\. "\$PSScriptRoot/(lib/[a-z_]+\.ps1)"$', re.MULTILINE)
_REMEDY = "run again with -vvv; if it stays, check that PowerShell on the agent is 5.1 or later and that nothing changes what scripts return"

# (script, parameters, depth) -> what win_powershell returns. It raises where the connection fails: the outcome is unknown then.
Execute = Callable[[str, dict[str, Any], int], dict[str, Any]]


@functools.cache
def script_text(name: str) -> str:
    """The whole text of a script: it arrives on the agent alone, so the libraries that it names are put in their place."""
    text = (SCRIPTS / f"{name}.ps1").read_text(encoding="utf-8")
    return _LIBRARY.sub(lambda match: (SCRIPTS / match[1]).read_text(encoding="utf-8"), text)


class WindowsHost:
    """A Windows agent. `execute` runs a script there: `_execute_module` of an action, or an engine of the tests."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    def scan(self, request: dict[str, Any]) -> dict[str, Any]:
        """The scan document; raises ScriptFailed or InvalidScan. `host_command` isn't for Windows and is left out of the request."""
        result = self._run("scan", {key: request[key] for key in SCAN_PARAMETERS if request.get(key) is not None})
        document = _document(result)
        return document if isinstance(document, dict) else _unread(document, request)

    def _run(self, name: str, parameters: dict[str, Any]) -> Any:
        """The script's `$Ansible.Result`, or its error as an exception."""
        answer = self._execute(script_text(name), parameters, DEPTH)
        if answer.get("failed"):
            raise _failure(name, answer)
        return answer.get("result")


def _failure(name: str, answer: dict[str, Any]) -> DataMinerError:
    """A script throws an error of ours as its `to_dict` in JSON; whatever else it throws is told as it is. A failed script has no `msg`."""
    records = answer.get("error") or []
    message = str(((records[0].get("exception") or {}).get("message") if records else "") or answer.get("msg") or "nothing was said")
    try:
        told = json.loads(message)
    except ValueError:
        told = None
    if isinstance(told, dict) and "type" in told:
        return from_dict({key: str(value) for key, value in told.items()})
    place = str(records[0].get("script_stack_trace") or "").partition("\n")[0].strip() if records else ""
    return ScriptFailed(f"The script {name}.ps1 failed on the agent", found=f"{message} ({place})" if place else message, remedy=_REMEDY)


def _document(result: Any) -> dict[str, Any] | str:
    """The document that a script handed over, or the language mode that kept it from making one."""
    parts = result if isinstance(result, dict) else {}
    encoding, text = parts.get("encoding"), parts.get("document")
    if not isinstance(text, str) or encoding not in ("plain", "gzip+base64", "refused"):
        raise _invalid(f"{type(result).__name__} with the encoding {encoding!r}")
    if encoding == "refused":
        return text
    try:
        document = json.loads(gzip.decompress(base64.b64decode(text, validate=True)) if encoding == "gzip+base64" else text)
    except (ValueError, binascii.Error, OSError, EOFError, zlib.error) as error:
        raise _invalid(f"a text of {len(text)} characters that can't be decoded: {type(error).__name__}") from error
    if not isinstance(document, dict):
        raise _invalid(f"JSON that is a {type(document).__name__}")
    return document


def _invalid(found: str) -> InvalidScan:
    return InvalidScan("The agent's answer can't be read", found=found, needed="a JSON object, plain or packed", remedy=_REMEDY)


def _unread(mode: str, request: dict[str, Any]) -> dict[str, Any]:
    """A document without facts but one: PowerShell is locked down, so that nothing could be read. The clock is the controller's."""
    unread = {"text": None, "error": "unreadable"}
    why = f"PowerShell on the agent runs in {mode}, which refuses .NET calls in scripts; needed: {FULL_LANGUAGE}"
    return {
        "schema": 1,
        "clock": {"utc": datetime.now(tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "offset_minutes": 0},
        "language_mode": mode,
        "root": {"path": request["root"], "exists": False},
        "texts": {"version_history": unread, "web_config": unread},
        "cluster": {"name": None, "self_id": None, "self_address": None, "agents": [], "failover": False, "error": why},
        **{key: [] for key in ("apps", "loose", "dashboards", "packages", "backups", "partials", "jobs", "journals")},
        **dict.fromkeys(("web_api", "host", "job", "last_restore", "content")),
        "dashboards_folder": False,
        "web": False,
        "disk": {key: {"path": request[key], "free": 0, "volume": ""} for key in ("backup_dir", "work_dir", "root")},
        "errors": [{"path": request["root"], "message": why}],
    }
