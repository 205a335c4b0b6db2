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
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..module_utils.agent_files import unknown_cluster
from ..module_utils.errors import DataMinerError, InvalidInput, InvalidScan, ScriptFailed, from_dict
from ..module_utils.jobs import Basis, JobStatus, work_of
from .windows_verify import judged

SCRIPTS = Path(__file__).parent / "powershell"
DEPTH = 2
STATUS_DEPTH = 3  # a scan that came along is one level down
LONGEST_WAIT = 20.0  # seconds: WinRM clients give up on an operation after 20 to 30
KINDS = ("backup", "verify", "install", "prepare", "commit", "undo")
FULL_LANGUAGE = "FullLanguage"
SCAN_PARAMETERS = (
    "root",
    "work_dir",
    "backup_dir",
    "vendor_backup_dir",
    "content",
    "likely",
    "package",
    "installer",
    "service",
    "max_text",
    "log_tail",
)

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
    """`host.Host` for a Windows agent. `execute` runs a script there: `_execute_module` of an action, or an engine of the tests.

    `ahead` is the scan that will be asked for once a job has ended: it is made in the call that sees the end, and kept for that one question. So is
    the scan that told why a job wasn't started.
    `begun` is the job that was started, as its start told it, or that may have been: then it is `unknown`.
    `launcher` takes the place of Windows PowerShell started by WMI, on machines that have neither.
    """

    def __init__(self, execute: Execute, work_dir: str, *, ahead: dict[str, Any] | None = None, launcher: Sequence[str] = ()) -> None:
        self._execute = execute
        self._work_dir = work_dir
        self._ahead = ahead
        self._launcher = list(launcher)
        self._kept: tuple[dict[str, Any] | None, Any] | None = None
        self.begun: JobStatus | None = None

    def scan(self, request: dict[str, Any]) -> dict[str, Any]:
        """The scan document; raises ScriptFailed or InvalidScan. `host_command` isn't for Windows and is left out of the request."""
        kept, self._kept = self._kept, None
        result = kept[1] if kept is not None and request == kept[0] else self._run("scan", _scan_parameters(request))
        document = _document(result)
        return document if isinstance(document, dict) else _unread(document, request)

    def inspect(self, spec: dict[str, Any]) -> dict[str, Any]:
        return judged(_object(self._run("inspect", {"spec": _pack_json(spec), "script": _packed_script("job_verify")})))

    def start(self, spec: dict[str, Any], run_id: str, basis: Basis | None = None) -> JobStatus:
        kind = str(spec["kind"])
        if kind not in KINDS:
            raise InvalidInput("No such job", found=repr(kind), needed=", ".join(KINDS), remedy="use a newer version of the collection")
        job = {"kind": kind, "work": work_of(spec), "owner": spec.get("owner") or "", "spec": _pack_json(spec)}
        more = {"script": _packed_script(f"job_{kind}"), **({"launcher": self._launcher} if self._launcher else {})}
        rests = {**_scan_along(basis.request), "basis": basis.parts} if basis else {}
        try:
            status = self._status("start", run_id, {**job, **more, **rests}, scanned=basis.request if basis else None)
        except (ScriptFailed, InvalidScan):  # before the launch or after it: the job's name tells
            self.begun = JobStatus(run_id=run_id, kind=kind, state="unknown")
            status = self.poll(run_id)
            if status.state == "absent":
                self.begun = None
                raise
        self.begun = status if status.active else None
        return status

    def poll(self, run_id: str, wait: float = 0) -> JobStatus:
        ahead = _scan_along(self._ahead) if self._ahead else {}  # none where nobody will ask
        return self._status("poll", run_id, {"wait": min(wait, LONGEST_WAIT), **ahead}, scanned=self._ahead)

    def signal(self, run_id: str, word: str) -> JobStatus:
        return self._status("signal", run_id, {"word": word})

    def _status(self, name: str, run_id: str, parameters: dict[str, Any], *, scanned: dict[str, Any] | None = None) -> JobStatus:
        """`scanned`: the request of the scan that may come along."""
        result = self._run(name, {"work_dir": self._work_dir, "run_id": run_id, **parameters}, depth=STATUS_DEPTH)
        along = result.get("scan") if isinstance(result, dict) else None
        self._kept = (scanned, along) if along else None
        document = _object(result)
        status = _job_status(document)
        if status.error:
            self._discard(_json_object(document.get("end")).get("result") or {}, status.error)
        return status

    def _discard(self, read: dict[str, Any], error: dict[str, str]) -> None:
        """Take away the copy that a `verify` job put aside and the core refused. Where a connection is lost, the next look at the job does it."""
        if not read.get("copied"):
            return
        try:
            self._run("discard", {"path": read["copied"], "sha256": read["zip_sha256"]})
        except DataMinerError as why:
            error["remedy"] = f"{error['remedy'].rstrip('.')}; delete its copy {read['copied']} by hand ({why.message}: {why.found})"

    def _run(self, name: str, parameters: dict[str, Any], *, depth: int = DEPTH) -> Any:
        """The script's `$Ansible.Result`, or its error as an exception."""
        answer = self._execute(script_text(name), parameters, depth)
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


def _object(result: Any) -> dict[str, Any]:
    """The document of a script that needs no leave to be one."""
    document = _document(result)
    if isinstance(document, str):
        raise ScriptFailed(
            "PowerShell on the agent is locked down", found=document, needed=FULL_LANGUAGE, remedy="see docs/windows.md, Constrained Language Mode"
        )
    return document


def _job_status(document: dict[str, Any]) -> JobStatus:
    """The texts of the job's files, which the agent hands over as they are, made values."""
    end, progress = _json_object(document.get("end")), _json_object(document.get("progress"))
    state = str(document.get("state"))
    if state == "ended":
        state = "failed" if end.get("error") else "done"
    if state == "done" and document.get("kind") == "verify":
        state, end = _judged_end(end)
    values = {key: document.get(key) for key in ("run_id", "kind", "started", "owner", "work", "attached")}
    return JobStatus.from_dict({**values, "state": state, "progress": progress, "result": end.get("result"), "error": end.get("error")})


def _judged_end(end: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    try:
        return "done", {"result": judged(end["result"])}
    except DataMinerError as error:
        return "failed", {"error": error.to_dict()}


def _json_object(text: Any) -> dict[str, Any]:
    """{} for a file that isn't there; half a file isn't possible, since they are replaced whole."""
    try:
        value = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return {"error": {"type": "JobFailed", "message": "The job's record can't be read", "found": f"{len(text)} characters that aren't JSON"}}
    return value if isinstance(value, dict) else {}


def _scan_parameters(request: dict[str, Any]) -> dict[str, Any]:
    """Where a host command acts in place of Windows, Windows isn't asked for the service."""
    asked = {**request, "service": None} if request.get("host_command") else request
    return {key: asked[key] for key in SCAN_PARAMETERS if asked.get(key) is not None}


def _scan_along(request: dict[str, Any]) -> dict[str, Any]:
    """A scan within the call of another script."""
    return {"scan": {"script": _packed_script("scan"), "parameters": _scan_parameters(request)}}


def _pack(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode("utf-8", "surrogatepass"), mtime=0)).decode()


def _pack_json(value: dict[str, Any]) -> str:
    return _pack(json.dumps(value, separators=(",", ":")))


@functools.cache
def _packed_script(name: str) -> str:
    return _pack(script_text(name))


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
        "cluster": unknown_cluster(why),
        **{key: [] for key in ("apps", "loose", "dashboards", "packages", "backups", "partials", "jobs", "journals")},
        **dict.fromkeys(("web_api", "host", "job", "last_restore", "content", "package", "installer", "service")),
        "basis": {},
        "dashboards_folder": False,
        "vendor_folder": None,
        "web": False,
        "disk": {key: {"path": request[key], "free": 0, "volume": ""} for key in ("backup_dir", "work_dir", "root")},
        "errors": [{"path": request["root"], "message": why}],
    }
