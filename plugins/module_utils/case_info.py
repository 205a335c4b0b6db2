# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Use case `agent_info`: an agent's state, for people and for the gate."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from .agent import AgentState, to_result
from .backup import TWO_VERSIONS, plan_backup
from .case_common import Args, Result, optional_version, pack, scan_request, state_of
from .errors import DataMinerError
from .host import Host

TAIL = 1024  # characters of a progress.log, enough for the words that say how it ended
DIGEST = 16  # characters of a digest, enough to tell contents apart
ROWS = 800
APPS = 400  # whose titles are known to the comparison; beyond, folders are named


def agent_info(host: Host, args: Args, *, check: bool = False, wait: float = 0) -> Result:  # noqa: ARG001
    """`agent`: what a person reads; `scan`: the document for the gate and the cluster's comparison, packed (`case_common.unpack`)."""
    scan = host.scan(scan_request(args, likely=likely(args)))
    state = state_of(scan, args)
    if args.get("content"):
        items = content_items(state, args)
        scan = only(scan, items) or host.scan(scan_request(args, items))
        state = state_of(scan, args)
    return {"changed": False, "agent": to_result(state), "scan": pack(compact(scan)), "overrides": overrides(args)}


def likely(args: Args) -> dict[str, Any] | None:
    """A guess at what `content_items` will say, which needs what the scan reads. A right one saves a second scan, a wrong one does no harm."""
    if not args.get("content"):
        return None
    versions = args.get("versions", "auto")
    every = versions == "all" or (versions == "auto" and _is_old(args.get("web_version") or args.get("likely_version")))
    return {"versions": "all" if every else "named", "web": bool(args.get("include_web", True))}


def _is_old(version: object) -> bool:
    """A version whose own backups hold everything. What is no version is told by those who need one."""
    try:
        found = optional_version(version, "the version")
    except DataMinerError:
        return False
    return found is not None and TWO_VERSIONS.reached(found) is False


def only(scan: dict[str, Any], items: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The scan with the rows of `items`; None where one of them wasn't read."""
    if any(item not in (scan.get("asked") or []) for item in items):
        return None
    whole = {item["path"] for item in items}
    kept = [row for row in scan["content"] or [] if row["path"] in whole or row["path"].partition("/")[0] in whole]
    return {**scan, "asked": items, "content": kept}


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


def compact(scan: dict[str, Any]) -> dict[str, Any]:
    """The scan without what only a backup or restore needs: version histories, folder listings, long logs."""
    apps = [{**app, "info": _short_info(app["info"]), "dirs": [], "files": []} for app in scan["apps"][:APPS]]
    packages = [{**row, "log_tail": row["log_tail"] and row["log_tail"][-TAIL:]} for row in scan["packages"]]
    texts = {**scan["texts"], "web_config": {"text": None, "error": "missing"}}
    content = None if scan["content"] is None else [{**row, "sha256": row["sha256"][:DIGEST]} for row in grouped(scan["content"])]
    return {**scan, "apps": apps, "packages": packages, "texts": texts, "dashboards": [], "loose": [], "content": content, "asked": None}


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
    """One row for all those that begin with the same parts of a path."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(_top(row, parts), []).append(row)
    return [_group(path, group) for path, group in groups.items()]


def _group(path: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    digest = hashlib.sha256("".join(f"{row['sha256']} {row['path']}\n" for row in rows).encode("utf-8", "surrogatepass")).hexdigest()
    return {"path": path, "files": sum(row["files"] for row in rows), "bytes": sum(row["bytes"] for row in rows), "sha256": digest}


def _short_info(info: dict[str, Any]) -> dict[str, Any]:
    try:
        data = json.loads(info["text"] or "")
        kept = {key: data.get(key) for key in ("ID", "Name", "PublicVersion", "DraftVersion")}
    except (ValueError, AttributeError, RecursionError):
        return {"text": None, "error": info["error"] or "invalid"}
    return {"text": json.dumps(kept), "error": None}
