# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a restore: what a zip would change on an agent, what that loses, and what stays behind.

A restore overlays: it replaces and creates, and never deletes. The vendor's zips hold at most two versions of an app (RN 43906), so mirroring one
would delete version history.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from .agent import AgentState, InstalledPackage
from .apps import INFO_NAME, VERSION_FOLDER, App, AppInfo, InvalidAppInfo, parse_app_info
from .entry_names import fold
from .errors import InvalidInput
from .restore_losses import Clock, app_losses, clock_of, file_losses, listed_versions, loss_code, losses_digest
from .restore_selection import Selection, select
from .restore_text import diff_text, plan_result
from .restore_values import AppPair, Behind, Entry, Lost, RestorePlan, Summary, kind_of, title_of, version_text

__all__ = ["Behind", "Lost", "RestorePlan", "Summary", "diff_text", "loss_code", "losses_digest", "plan_restore", "plan_result", "quarantine_paths"]

_STATES = ("create", "replace", "same")
_MOST_DIGESTS = 300
_OLDER = "a version that the backup doesn't hold: it may stay migrated"
_LATER = "made after the backup, and not listed once it is restored"
_ABSENT = "not in the backup: made after it, or left out of it"
_TIME = "%Y-%m-%dT%H:%M:%SZ"


def plan_restore(
    entries: Iterable[Sequence[Any]],
    infos: Mapping[str, Sequence[str | None]],
    state: AgentState,
    *,
    backup_created: datetime,
    only_apps: Iterable[str] = (),
    only_dashboards: Iterable[str] = (),
    installs: Iterable[InstalledPackage] = (),
) -> RestorePlan:
    """The plan from a `verify` job's result over the chosen zip and the agent's state.

    `entries` are rows [name, path, size, sha256, state, modified, disk size], `infos` {app folder: [App.info.json in the zip, on disk]}.
    `backup_created` is UTC. `only_apps` (names or folders) and `only_dashboards` (paths below Dashboards) limit the restore. Raises InvalidInput for
    a name that the zip doesn't hold, and for rows of another shape.
    """
    found = [_entry(row) for row in entries]
    pairs = _pairs(found, infos, state)
    chosen = select(found, pairs, tuple(only_apps), tuple(only_dashboards))
    clock = clock_of(backup_created, installs, state.last_restore)
    kept = {key: pair for key, pair in pairs.items() if chosen.app(pair.folder)}
    apps, dashboards, files = _summaries(chosen.entries, kept, state)
    lost = [loss for pair in kept.values() for loss in app_losses(pair, clock)] + file_losses(chosen.entries, kept, clock)
    counts = {name: sum(entry.state == name for entry in chosen.entries) for name in _STATES}
    return RestorePlan(
        **counts,
        bytes=sum(entry.size for entry in chosen.entries if entry.state != "same"),
        apps=apps,
        dashboards=dashboards,
        files=files,
        lost=tuple(sorted(lost, key=lambda item: (item.restored, item.kind, fold(item.title), item.path, item.why))),
        stays_behind=tuple(_behind(found, pairs, state, chosen)),
        warnings=tuple(_warnings(chosen.entries, kept, state, clock)),
        include=chosen.include,
        digests=_digests(chosen.entries),
    )


def quarantine_paths(plan: RestorePlan) -> tuple[str, ...]:
    """Version folders that App.info.json won't list after the restore: what `dataminer_restore_leftovers: quarantine` moves away."""
    return tuple(behind.path for behind in plan.stays_behind if behind.unlisted)


def _entry(row: Sequence[Any]) -> Entry:
    try:
        _name, path, size, sha256, state, modified, _disk_size = row
        return Entry(path=str(path), size=int(size), sha256=str(sha256), state=_STATES[_STATES.index(state)], modified=_moment(modified))
    except (TypeError, ValueError):
        raise InvalidInput(
            "The backup wasn't compared with the agent's disk in the way a plan needs",
            found=repr(row)[:200],
            needed=f"rows [name, path, size, sha256, {'|'.join(_STATES)}, modified, disk size]",
            remedy="verify the backup with compare_root set to the DataMiner folder",
        ) from None


def _moment(text: object) -> datetime | None:
    return None if text is None else datetime.strptime(str(text), _TIME).replace(tzinfo=UTC)


def _pairs(entries: Iterable[Entry], infos: Mapping[str, Sequence[str | None]], state: AgentState) -> dict[str, AppPair]:
    """The apps of the zip by their folded folder name."""
    on_disk = {fold(app.folder): app for app in state.apps}
    texts = {fold(folder): (pair[0], pair[1]) for folder, pair in infos.items()}
    groups: dict[str, list[tuple[list[str], Entry]]] = {}
    for entry in entries:
        parts = entry.path.split("/")
        if parts[0] == "Applications" and len(parts) > 2:
            groups.setdefault(fold(parts[1]), []).append((parts[1:], entry))
    return {key: _pair(group, texts.get(key, (None, None)), on_disk.get(key)) for key, group in groups.items()}


def _pair(files: Sequence[tuple[list[str], Entry]], texts: tuple[str | None, str | None], app: App | None) -> AppPair:
    """The app whose `files` in the zip are (parts of the path from the app's folder on, entry)."""
    folder = files[0][0][0]
    zipped, read = _info(texts[0]), _info(texts[1])
    on_disk = read or (app.info if app else None)
    names = [info.name for info in (zipped, on_disk) if info and info.name]
    held = (VERSION_FOLDER.fullmatch(parts[1]) for parts, _entry in files if len(parts) > 2)
    return AppPair(
        folder=folder,
        title=names[0] if names else folder,
        zipped=zipped,
        on_disk=on_disk,
        texts=texts,
        held=frozenset(int(match[1]) for match in held if match),
        info=next((entry for parts, entry in files if [fold(part) for part in parts[1:]] == [fold(INFO_NAME)]), None),
    )


def _info(text: str | None) -> AppInfo | None:
    try:
        return None if text is None else parse_app_info(text)
    except InvalidAppInfo:
        return None


def _summaries(
    entries: Iterable[Entry], pairs: Mapping[str, AppPair], state: AgentState
) -> tuple[tuple[Summary, ...], tuple[Summary, ...], tuple[Summary, ...]]:
    """Apps, dashboards, and other files by root, each sorted by title."""
    groups: dict[tuple[Literal["app", "dashboard", "file"], str, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault(_place(entry.path, pairs), []).append(entry)
    present = {fold(app.folder) for app in state.apps}
    made = [_summary(place, group, pairs, present) for place, group in groups.items()]
    made.sort(key=lambda item: (fold(item.title), item.path))
    apps, dashboards, files = (tuple(item for item in made if item.kind == kind) for kind in ("app", "dashboard", "file"))
    return apps, dashboards, files


def _place(path: str, pairs: Mapping[str, AppPair]) -> tuple[Literal["app", "dashboard", "file"], str, str]:
    root, _slash, rest = path.partition("/")
    folder = rest.partition("/")[0]
    if root == "Applications" and "/" in rest:
        return "app", pairs[fold(folder)].title, f"{root}/{folder}"
    return ("dashboard", title_of(path), path) if kind_of(path) == "dashboard" else ("file", root, root)


def _summary(
    place: tuple[Literal["app", "dashboard", "file"], str, str], group: Sequence[Entry], pairs: Mapping[str, AppPair], present: set[str]
) -> Summary:
    kind, title, path = place
    counts = {name: sum(entry.state == name for entry in group) for name in _STATES}
    pair = pairs[fold(path.partition("/")[2])] if kind == "app" else None
    there = pair is not None and fold(pair.folder) in present
    return Summary(
        kind=kind,
        title=title,
        path=path,
        creates=counts["create"],
        replaces=counts["replace"],
        same=counts["same"],
        was=_versions(pair.on_disk) if pair and there else None,
        becomes=_versions(pair.zipped or pair.on_disk) if pair else None,
    )


def _versions(info: AppInfo | None) -> str:
    return f"published {version_text(info.published)}, draft {version_text(info.draft)}" if info else "no App.info.json that can be read"


def _behind(entries: Sequence[Entry], pairs: Mapping[str, AppPair], state: AgentState, chosen: Selection) -> Iterator[Behind]:
    """Version folders, apps and dashboards that are on disk and not in the zip. A limited restore tells of the apps it is limited to."""
    for app in sorted(state.apps, key=lambda app: (fold(app.title), app.folder)):
        pair = pairs.get(fold(app.folder))
        if pair is not None and chosen.app(pair.folder):
            yield from _behind_versions(app, pair)
        elif pair is None and chosen.include is None:
            yield Behind(kind="app", title=app.title, path=f"Applications/{app.folder}", why=_ABSENT)
    zipped = {fold(entry.path) for entry in entries}
    for dashboard in state.dashboards if chosen.include is None else ():
        path = f"Dashboards/{dashboard.path}"
        if fold(path) not in zipped:
            yield Behind(kind="dashboard", title=title_of(path), path=path, why=_ABSENT)


def _behind_versions(app: App, pair: AppPair) -> Iterator[Behind]:
    """Of an older version the restored App.info.json still tells, though a two-version backup doesn't hold it; of a later-made one it doesn't.

    Without a history (before 10.5.2), a version below the newest that the zip knows is taken for an older one. Where the zip has no App.info.json
    that can be read, what it lists isn't known.
    """
    listed, info = listed_versions(pair), pair.zipped
    newest = max(listed, default=0)
    for number, name in sorted(app.version_folders.items()):
        if number not in pair.held:
            older = number in listed or info is None or (info.versions is None and number < newest)
            title, path = f"{pair.title}, version {number}", f"Applications/{app.folder}/{name}"
            yield Behind(kind="version", title=title, path=path, why=_OLDER if older else _LATER, unlisted=not older)


def _warnings(entries: Sequence[Entry], pairs: Mapping[str, AppPair], state: AgentState, clock: Clock) -> Iterator[str]:
    present = {fold(app.folder): app for app in state.apps}
    for key, pair in pairs.items():
        label = f'App "{pair.title}"' + (f" ({pair.folder})" if pair.title != pair.folder else "")
        if key not in present:
            yield f"{label} isn't on the agent any more and comes back."
        if pair.zipped is None:
            yield f"{label}: the backup holds no App.info.json of it that can be read."
        yield from (f"{label}: {problem}" for problem in _broken(pair, present.get(key)))
    judged = [clock.judge(entry.modified) for entry in entries if entry.state == "replace"]
    if migrated := judged.count("migrated"):
        when = "during an install or the ten minutes after it"
        yield f"{migrated} differing files were last written {when}: taken for migrated, not for changes of a person."
    if older := judged.count("older"):
        yield f"{older} differing files were last written before the backup was made: not counted as lost."


def _broken(pair: AppPair, app: App | None) -> Iterator[str]:
    """Versions in use that the zip names and doesn't hold."""
    info = pair.zipped
    for what, number in (("published version", info.published), ("draft", info.draft)) if info else ():
        if number is not None and number > 0 and number not in pair.held:
            there = app is not None and number in app.version_folders
            yield f"its {what} {number} isn't in the backup" + (", and what is on disk may stay migrated." if there else " and not on disk either.")


def _digests(entries: Sequence[Entry]) -> dict[str, str]:
    """By app and root, and of `all`; beyond a few hundred apps `all` alone."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        parts = entry.path.split("/")
        groups.setdefault("/".join(parts[:2]) if parts[0] == "Applications" and len(parts) > 2 else parts[0], []).append(entry)
    items = {path: _digest(group)[:16] for path, group in sorted(groups.items())} if len(groups) <= _MOST_DIGESTS else {}
    return {"all": _digest(entries), **items}


def _digest(entries: Iterable[Entry]) -> str:
    """As for a folder in the scan document: the SHA-256 of its lines, sorted by UTF-16 code units of the path."""
    ordered = sorted(entries, key=lambda entry: entry.path.encode("utf-16-be", "surrogatepass"))
    lines = (f"{entry.sha256} {entry.size} {entry.path}\n" for entry in ordered)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()
