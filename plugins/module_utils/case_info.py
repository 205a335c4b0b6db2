# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Use case `agent_info`: an agent's state, for people, for the gate, and for the steps that plan from it."""

from __future__ import annotations

import json
import re
from typing import Any

from .agent import AgentState
from .agent_result import to_result
from .agent_versions import DEFAULT_SUCCESS_PATTERN, success_test
from .apps import InvalidAppInfo, parse_app_info
from .backup import TWO_VERSIONS, plan_backup
from .case_common import Args, Result, optional_version, pack, scan_request, state_of
from .case_step import service_of
from .content import combined, together
from .errors import DataMinerError
from .gate_host import no_restart
from .host import Host
from .read_agent import digest_of

TAIL = 1024  # characters of a progress.log, enough for the words that say how it ended
DIGEST = 16  # characters of a digest, enough to tell contents apart
ROWS = 800
APPS = 400  # whose titles are known to the comparison, and which can be planned from; beyond, folders are named
LOOSE = 200  # names of files beside apps
ERRORS = 100
INFO = 1000  # characters of an App.info.json that isn't valid
CUT = "invalid"


def agent_info(host: Host, args: Args, *, check: bool = False, wait: float = 0) -> Result:  # noqa: ARG001
    """`agent`: what a person reads; `scan`: the document for the gate and the cluster's comparison, packed (`case_common.unpack`)."""
    scan = host.scan({**scan_request(args, likely=likely(args)), "service": service_of(args)})
    if scan["content"] is not None:
        items = content_items(state_of({**scan, "content": None}, args), args)
        scan = {**scan, "content": combined(scan["content"], items, apps={f"Applications/{app['folder']}" for app in scan["apps"]})}
    state = state_of(scan, args)
    return {
        "changed": False,
        "agent": to_result(state),
        "no_restart": list(no_restart(state)),
        "scan": pack(compact(scan, args)),
        "overrides": overrides(args),
    }


def likely(args: Args) -> dict[str, Any] | None:
    """A guess at what `content_items` will say, which needs what the scan reads. It decides which version folders are hashed and not only counted.

    So it must be one guess for all agents that are compared: not by `web_version`, which an inventory may name for one of them.
    """
    if not args.get("content"):
        return None
    versions = args.get("versions", "auto")
    every = versions == "all" or (versions == "auto" and _is_old(args.get("likely_version")))
    return {"versions": "all" if every else "named", "web": bool(args.get("include_web", True))}


def _is_old(version: object) -> bool:
    """A version whose own backups hold everything. What is no version is told by those who need one."""
    try:
        found = optional_version(version, "the version")
    except DataMinerError:
        return False
    return found is not None and TWO_VERSIONS.reached(found) is False


def overrides(args: Args) -> dict[str, Any]:
    """The arguments that change how the scan is read, for whoever reads it again."""
    return {key: args.get(key) for key in ("server_version", "web_version", "progress_success_pattern")}


def content_items(state: AgentState, args: Args) -> list[dict[str, Any]]:
    """What a backup made now would hold; nothing where nothing can be backed up."""
    try:
        plan = plan_backup(state, versions=args.get("versions", "auto"), include_web=bool(args.get("include_web", True)))
    except DataMinerError:
        return []
    return [item.to_dict() for item in plan.items]


def compact(scan: dict[str, Any], args: Args) -> dict[str, Any]:
    """The scan without what only a restore's losses need: version histories, folder listings, long logs.

    What is left can be planned from, or has no `basis`: nothing may rest on a list that was cut.
    """
    apps = [{**app, "info": _short_info(app["info"]), "files": []} for app in scan["apps"][:APPS]]
    success = success_test(args.get("progress_success_pattern") or DEFAULT_SUCCESS_PATTERN)
    packages = [{**row, "log_tail": row["log_tail"] and _short_log(row["log_tail"], success)} for row in scan["packages"]]
    config = scan["texts"]["web_config"]
    texts = {**scan["texts"], "web_config": {"text": None, "error": config["error"], "digest": digest_of(config)}}  # it may hold secrets
    content = None if scan["content"] is None else [{**row, "sha256": row["sha256"][:DIGEST]} for row in grouped(scan["content"])]
    cut = len(scan["apps"]) > APPS or len(scan["loose"]) > LOOSE or any(app["info"]["error"] == CUT for app in apps)
    basis = {name: digest for name, digest in scan["basis"].items() if not (cut and name == "content")}
    lists = {"apps": apps, "packages": packages, "dashboards": [], "loose": scan["loose"][:LOOSE], "content": content, "errors": _short_errors(scan)}
    return {**scan, **lists, "texts": texts, "basis": basis}


def _short_errors(scan: dict[str, Any]) -> list[dict[str, Any]]:
    """Where an account may read nothing there is one for every folder."""
    errors: list[dict[str, Any]] = scan["errors"]
    more = len(errors) - ERRORS
    return [*errors[:ERRORS], {"path": scan["root"]["path"], "message": f"{more} more couldn't be read"}] if more > 0 else errors


def _short_log(log: str, success: re.Pattern[str]) -> str:
    """The end of a log, as long as it tells of success or none as the whole does."""
    end = log[-TAIL:]
    return end if bool(success.search(end)) == bool(success.search(log)) else log


def grouped(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of content, few enough for a result; each one counts in a row. Where there are too many, files count by the folder they are in.

    Of apps beyond `ROWS`, and of folders beyond them, each of the folders a backup is made of has one row for all.
    """
    if len(rows) <= ROWS:
        return rows
    apps = [row for row in rows if _top(row, 1).lower() == "applications"]
    folders = _together([row for row in rows if _top(row, 1).lower() != "applications"], 2)
    rest = [*apps[ROWS:], *folders[ROWS:]]
    return [*apps[:ROWS], *folders[:ROWS], *_together(rest, 1)]


def _top(row: dict[str, Any], parts: int) -> str:
    return "/".join(row["path"].split("/")[:parts])


def _together(rows: list[dict[str, Any]], parts: int) -> list[dict[str, Any]]:
    """One row for all those that begin with the same parts of a path. A file in no folder of its own keeps its row: elsewhere it has that one too."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(_top(row, parts), []).append(row)
    return [group[0] if [row["path"] for row in group] == [path] else together(path, group) for path, group in groups.items()]


def _short_info(info: dict[str, Any]) -> dict[str, Any]:
    """What a plan makes of it stays the same: a text that isn't valid is kept as it is, where it isn't long."""
    if info["text"] is None:
        return info
    try:
        read = parse_app_info(info["text"])
    except InvalidAppInfo:
        return info if len(info["text"]) <= INFO else {"text": None, "error": CUT}
    return {"text": json.dumps({"ID": read.id, "Name": read.name, "PublicVersion": read.published, "DraftVersion": read.draft}), "error": None}
