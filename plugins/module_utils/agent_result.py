# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scan says about one agent, as the result of a module."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TypeVar

from .agent import AgentState, BackupFile, Cluster, ContentRow, HostFacts, InstalledPackage, LastRestore, VersionFact
from .apps import App
from .errors import cut

_T = TypeVar("_T")
# Characters of JSON that a list may take in a result, below 100 kB together; `counts` tells of the rest.
_ROOM = 2_000
_ROOM_APPS = 22_000  # about 150 apps
_ROOM_BACKUPS = 6_000
_ROOM_PACKAGES = 5_000
_MOST_PREREQUISITES = 10
_LONGEST_TITLE = 80  # characters
_HEADER_KEYS = ("created", "agent", "cluster", "server_version", "web_version", "mode", "purpose")


def to_result(state: AgentState) -> dict[str, object]:
    """The state as plain JSON types: versions in the vendor's notation, times as YYYY-MM-DDTHH:MM:SSZ, sizes in bytes.

    Stays below 50 kB, so that a result with it stays below 100 kB (AWX cuts larger events): lists are cut, `counts` has
    their true lengths; long texts end in an ellipsis.
    """
    return {
        "utc": time_text(state.utc),
        "offset_minutes": state.offset_minutes,
        "language_mode": state.language_mode,
        "root": {"path": state.root, "exists": state.root_exists},
        "server": version_result(state.server),
        "web": version_result(state.web),
        "web_api": state.web_api,
        "web_config": state.web_config,
        "cluster": _cluster_result(state.cluster),
        "host": None if state.host is None else _host_result(state.host),
        "disks": {name: {"path": disk.path, "free": disk.free, "volume": disk.volume} for name, disk in state.disks.items()},
        "package_file": None if state.package_file is None else {"path": cut(state.package_file.path), "size": state.package_file.size},
        "job": None if state.job is None else {"run_id": state.job.run_id, "kind": state.job.kind, "started": state.job.started},
        "last_restore": None if state.last_restore is None else _restore_result(state.last_restore),
        "has_web_folder": state.has_web_folder,
        **_list_results(state),
        "counts": _counts(state),
    }


def version_result(fact: VersionFact) -> dict[str, object]:
    """`version` in the vendor's notation or null, `build` and `source`."""
    return {"version": str(fact.version) if fact.version else None, "build": fact.version.build if fact.version else None, "source": fact.source}


def time_text(moment: datetime | None) -> str | None:
    """A moment in UTC as YYYY-MM-DDTHH:MM:SSZ."""
    return None if moment is None else f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _list_results(state: AgentState) -> dict[str, object]:
    newest_first = sorted(state.backups, key=lambda backup: backup.modified, reverse=True)
    return {
        "packages": fitting(sorted(state.packages, key=lambda package: package.started, reverse=True), _package_result, room=_ROOM_PACKAGES),
        "apps": fitting(state.apps, _app_result, room=_ROOM_APPS),
        "dashboards": fitting(state.dashboards, lambda d: {"path": cut(d.path), "size": d.size, "modified": time_text(d.modified)}),
        "loose": fitting(state.loose, cut),
        "backups": fitting(newest_first, _backup_result, room=_ROOM_BACKUPS),
        "partials": fitting(state.partials, cut),
        "journals": fitting(state.journals, lambda row: {"run_id": row[0], "state": row[1]}),
        "content": None if state.content is None else fitting(state.content, _content_result),
        "errors": fitting(state.errors, cut),
    }


def _counts(state: AgentState) -> dict[str, int]:
    return {
        "packages": len(state.packages),
        "apps": len(state.apps),
        "app_versions": sum(len(app.version_folders) for app in state.apps),
        "dashboards": len(state.dashboards),
        "loose": len(state.loose),
        "backups": len(state.backups),
        "partials": len(state.partials),
        "journals": len(state.journals),
        "content": len(state.content or ()),
        "members": len(state.cluster.members),
        "errors": len(state.errors),
    }


def fitting(values: Iterable[_T], convert: Callable[[_T], object], room: int = _ROOM) -> list[object]:
    """The first rows, as many as fit into `room` characters of JSON."""
    rows: list[object] = []
    for value in values:
        row = convert(value)
        room -= len(json.dumps(row)) + 2
        if room < 0:
            break
        rows.append(row)
    return rows


def _package_result(package: InstalledPackage) -> dict[str, object]:
    return {
        "file_name": cut(package.package.file_name),
        "kind": package.package.kind,
        "version": str(package.package.version),
        "started": time_text(package.started),
        "ended": time_text(package.ended),
        "completed": package.completed,
        "failed_prerequisites": [cut(name) for name in package.failed_prerequisites[:_MOST_PREREQUISITES]],
    }


def _app_result(app: App) -> dict[str, object]:
    return {
        "name": cut(app.title, _LONGEST_TITLE),
        "folder": cut(app.folder),
        "published": app.info.published if app.info else None,
        "draft": app.info.draft if app.info else None,
        "versions": len(app.version_folders),
        "problem": None if app.info_problem is None else cut(app.info_problem),
    }


def _backup_result(backup: BackupFile) -> dict[str, object]:
    """What identifies a backup and tells what it is of; `manifest` is null for the vendor's."""
    head = backup.manifest
    known = {key: _plain(head.header.get(key)) for key in _HEADER_KEYS} if head else None
    return {
        "origin": backup.origin,
        "name": cut(backup.name),
        "path": cut(backup.path),
        "size": backup.size,
        "modified": time_text(backup.modified),
        "manifest": None if head is None or known is None else {"intact": head.intact, **known},
    }


def _plain(value: object) -> object:
    return cut(value) if isinstance(value, str) else None


def _content_result(row: ContentRow) -> dict[str, object]:
    return {"path": cut(row.path), "files": row.files, "bytes": row.bytes, "sha256": row.sha256}


def _restore_result(record: LastRestore) -> dict[str, object]:
    return {"run_id": record.run_id, "state": record.state, "at": time_text(record.at), "backup": cut(record.backup)}


def _cluster_result(cluster: Cluster) -> dict[str, object]:
    return {
        "name": cluster.name,
        "self_id": cluster.self_id,
        "self_address": cluster.self_address,
        "members": fitting(cluster.members, lambda member: {"id": member.id, "address": member.address}),
        "failover": cluster.failover,
        "twin": cluster.twin,
        "error": cluster.error,
    }


def _host_result(host: HostFacts) -> dict[str, object]:
    return {
        "processes": fitting(host.processes, lambda p: {"name": cut(p.name), "pid": p.pid, "started": time_text(p.started)}),
        "modules": fitting(host.modules, lambda m: {"name": cut(m.name), "version": m.version, "code": m.code}),
        "runtimes": fitting(host.runtimes, cut),
        "pending_reboot": fitting(host.pending_reboot, cut),
        "installer_busy": host.installer_busy,
        "upgrade_running": host.upgrade_running,
    }
