# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the use cases share: arguments made safe, a scan made a state, a job followed to its end."""

from __future__ import annotations

import base64
import gzip
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .agent import AgentState, BackupFile
from .agent_versions import DEFAULT_SUCCESS_PATTERN
from .entry_names import DEFAULT_LIMITS
from .errors import Busy, DataMinerError, InvalidInput, InvalidVersion, described
from .host import Host
from .jobs import Basis, JobStatus, progress_text
from .read_agent import read_agent
from .version import Version

Args = dict[str, Any]
Result = dict[str, Any]
MAX_TEXT = 1024 * 1024
PLANS = 3  # from scans made anew, before an agent counts as one that doesn't come to rest
LIMITS = {"entries": DEFAULT_LIMITS.entries, "total": DEFAULT_LIMITS.total, "ratio": DEFAULT_LIMITS.ratio}


def now() -> datetime:
    return datetime.now(tz=UTC).replace(microsecond=0)


def utc_text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def optional_version(value: object, what: str) -> Version | None:
    """A version from the inventory. None and the empty string (an AWX survey's) mean unset; a float is refused, for YAML has already lost a zero."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        return _not_text(value, what)
    try:
        return Version.parse(value)
    except InvalidVersion as error:  # which doesn't know what it was the value of
        raise InvalidVersion(f"{what} isn't a version", found=error.message, needed=error.needed, remedy=f"correct {what}") from error


def _not_text(value: object, what: str) -> Version:
    raise InvalidVersion(
        f"{what} isn't a text",
        found=f"{described(value)}: YAML reads an unquoted 10.10 as the number 10.1",
        needed='a quoted version such as "10.5.4" or "10.4.0 [CU13]"',
        remedy=f"put {what} in quotes",
    )


def override(value: object, what: str) -> str | None:
    """The text as it was given, once it is known to be a version: its canonical form has no place for a build beside a CU."""
    return None if optional_version(value, what) is None else str(value)


def separator(root: str) -> str:
    """`\\` for a Windows path, else `/`."""
    return "\\" if re.match(r"[A-Za-z]:|\\\\", root) else "/"


def join(folder: str, *parts: str) -> str:
    mark = separator(folder)
    return mark.join([folder.rstrip("\\/"), *parts])


def scan_request(args: Args, content: list[dict[str, Any]] | None = None, likely: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "root": args["root"],
        "work_dir": args["work_dir"],
        "backup_dir": args["backup_dir"],
        "vendor_backup_dir": args.get("vendor_backup_dir") or join(args["root"], "System Cache", "Web", "Backups"),
        "host_command": args.get("host_command") or None,
        "content": content,
        "likely": likely,
        "package": args.get("package") or None,
        "installer": args.get("installer") or None,
        "max_text": MAX_TEXT,
        "log_tail": 4096,
    }


def state_of(scan: dict[str, Any], args: Args) -> AgentState:
    """The state a scan tells of, with what the inventory overrides."""
    return read_agent(
        scan,
        server_version=override(args.get("server_version"), "dataminer_server_version"),
        web_version=override(args.get("web_version"), "dataminer_web_version"),
        success_pattern=args.get("progress_success_pattern") or DEFAULT_SUCCESS_PATTERN,
    )


def read_state(host: Host, args: Args, content: list[dict[str, Any]] | None = None) -> AgentState:
    return state_of(host.scan(scan_request(args, content)), args)


@dataclass(frozen=True, kw_only=True)
class Start:
    """A job to start, whose plan rests on `parts` of the scan."""

    spec: dict[str, Any]
    parts: tuple[str, ...]


Plan = Callable[[AgentState], Start | JobStatus | Result]  # pylint: disable=unsupported-binary-operation


def begin(host: Host, args: Args, plan: Plan) -> JobStatus | Result:
    """Start the job that `plan` makes of the agent's state, or give the result, or the running job, that makes it needless.

    It is planned from `seen`, the scan that the gate was made from, or from a new one; the agent itself makes sure, before the job begins, that what
    the plan rests on is still so. Where it isn't, the agent has been scanned anew. That there is nothing to start, or that it can't be, is said of
    a new scan only.
    """
    seen = seen_scan(args)
    if seen is not None:
        status = _begin_from(host, args, plan, seen)
        if status is not None:
            return status
    for _plan in range(PLANS):
        scan = host.scan(scan_request(args))
        planned = plan(state_of(scan, args))
        if not isinstance(planned, Start):
            return planned
        status = _begin(host, args, planned, scan)
        if status.state != "stale":
            return status
    raise Busy(
        "The agent changes all the time", found="something else at each look", needed="a moment of rest", remedy="see who works there, then run again"
    )


def _begin_from(host: Host, args: Args, plan: Plan, seen: dict[str, Any]) -> JobStatus | None:
    """The job, started by what was seen earlier; None where that doesn't do."""
    try:
        planned = plan(state_of(seen, args))
    except DataMinerError:
        return None
    if not isinstance(planned, Start) or any(name not in seen["basis"] for name in planned.parts):
        return None
    status = _begin(host, args, planned, seen)
    return None if status.state == "stale" else status


def _begin(host: Host, args: Args, planned: Start, scan: dict[str, Any]) -> JobStatus:
    basis = Basis(request=scan_request(args), parts={name: scan["basis"].get(name, "") for name in planned.parts})
    return host.start(planned.spec, run_id_of(args, planned.spec["kind"]), basis)


def seen_scan(args: Args) -> dict[str, Any] | None:
    """The scan that an earlier `agent_info` of this run handed over."""
    if not args.get("seen"):
        return None
    try:
        scan: dict[str, Any] = unpack(args["seen"])
    except (ValueError, OSError, EOFError) as error:
        raise InvalidInput(
            "seen can't be read",
            found=str(error),
            needed="scan of a result of dataminer.web.agent_info",
            remedy="hand it over as it is, or leave it out",
        ) from error
    return scan


def agent_name(args: Args, state: AgentState) -> str:
    return args.get("agent") or state.cluster.self_address or "agent"


def verify_spec(args: Args, backup: BackupFile, *, copy_to: str | None = None, compare: bool = False) -> dict[str, Any]:
    """Read all of a backup; put a copy aside in `copy_to`; `compare` tells what of it differs from what is there."""
    return {
        "kind": "verify",
        "owner": args.get("owner"),
        "path": backup.path,
        "manifest": backup.path[: -len(".zip")] + ".manifest" if backup.manifest else None,
        "copy_to": copy_to,
        "compare_root": args["root"] if compare else None,
        "limits": LIMITS,
    }


def run_id_of(args: Args, kind: str) -> str:
    """The given run id, else a new one: kind, time, chance."""
    return args.get("run_id") or f"{kind}-{now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def follow(host: Host, status: JobStatus, seconds: float) -> JobStatus:
    """The job, after its end or `seconds`."""
    return host.poll(status.run_id, seconds) if status.state == "running" else status


def job_result(status: JobStatus) -> Result:
    """What a module returns of a job: never its bulky result."""
    return {
        "run_id": status.run_id,
        "kind": status.kind,
        "state": status.state,
        "attached": status.attached,
        "started": status.started,
        "owner": status.owner,
        "progress": progress_text(status.progress),
    }


def pack(document: Any) -> str:
    """JSON, compressed, as text: what one task hands to a later one without filling the screen."""
    return base64.b64encode(
        gzip.compress(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"), mtime=0)
    ).decode()


def unpack(text: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(text)).decode("utf-8", "surrogatepass"))
