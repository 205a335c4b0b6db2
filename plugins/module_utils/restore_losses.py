# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore would lose: changes made since the backup. When it isn't sure whether something is one, it counts."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from .agent import InstalledPackage, LastRestore
from .apps import INFO_NAME, VERSION_FOLDER, AppInfo, AppVersion
from .entry_names import fold
from .package import FULL, WEB
from .restore_values import AppPair, Entry, Lost, kind_of, title_of, version_text

_GRACE = timedelta(minutes=10)
_LONGEST_INSTALL = timedelta(hours=6)
_SKEW = timedelta(minutes=1)
_COMMIT = re.compile(r"commit-(\d{8}T\d{6}Z)-")  # its name tells when it began, by the controller's clock
_CHANGED = "changed, or migrated when opened"
_RESTORED = "written while the last restore was carried out"
_HISTORY_KEYS = ("Versions", "PublicVersion", "DraftVersion")
_CODE_LETTERS = "BCDFGHJKMNPQRSTVWXYZ"  # no vowels: no words; no digits: YAML can't take a code for a number
_CODE_LENGTH = 8


@dataclass(frozen=True, kw_only=True)
class Clock:
    """When the backup was made, and when installs, and the last `restore`, wrote to the content by themselves."""

    backup: datetime
    installs: tuple[tuple[datetime, datetime], ...]
    restore: tuple[datetime, datetime] | None = None

    def judge(self, modified: datetime | None) -> Literal["changed", "migrated", "older"]:
        """What a differing file is by its last write. The vendor's zip may carry the time of its end, so some minutes before count as after."""
        if modified is None:
            return "changed"
        if any(start <= modified <= end for start, end in self.installs):
            return "migrated"
        return "changed" if modified >= self.backup - _GRACE else "older"

    def restored(self, modified: datetime | None) -> bool:
        """Whether the last write was while the last restore was carried out. It counts all the same: another agent's synchronisation writes, too."""
        return modified is not None and self.restore is not None and self.restore[0] <= modified <= self.restore[1]


def clock_of(backup_created: datetime, installs: Iterable[InstalledPackage], last: LastRestore | None = None) -> Clock:
    """When installs migrated files: from the start until shortly after the end (RN 36435).

    An install whose end isn't known, or that seems to have taken longer than any does, explains nothing; nor does one what came after its end, where
    the content was restored since: that restore wrote it, and people did.
    """
    restored = last.at if last and last.state == "released" else None
    known = [(p.started, p.ended) for p in installs if p.ended is not None and p.package.kind in (FULL, WEB)]
    grace = [_GRACE if restored is None or restored <= end else timedelta() for _start, end in known]
    windows = tuple((start, end + more) for (start, end), more in zip(known, grace, strict=True) if start <= end <= start + _LONGEST_INSTALL)
    return Clock(backup=backup_created, installs=windows, restore=_restore_of(last))


def _restore_of(last: LastRestore | None) -> tuple[datetime, datetime] | None:
    """From the start of the last commit to its end; None where nothing tells, or where it was undone: people may have written before that."""
    found = _COMMIT.match(last.run_id) if last and last.state == "released" else None
    if last is None or found is None:
        return None
    return datetime.strptime(found[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) - _SKEW, last.at


def app_losses(app: AppPair, clock: Clock) -> list[Lost]:
    """What a replaced App.info.json loses: versions made since, published and draft moved. `file_losses` tells of its other settings."""
    if app.on_disk is None or app.info is None or app.info.state != "replace":
        return []
    if app.zipped is None:
        return [_app_loss(app, INFO_NAME, None, f"{INFO_NAME} would be replaced by one that can't be read")]
    lost = [*_later_versions(app, app.zipped, app.on_disk, clock), *_moved(app, app.zipped, app.on_disk)]
    if not clock.restored(app.info.modified):
        return lost
    return [replace(item, why=f"{item.why} ({INFO_NAME} was {_RESTORED})", restored=True) for item in lost]


def _later_versions(app: AppPair, zipped: AppInfo, disk: AppInfo, clock: Clock) -> Iterator[Lost]:
    """Versions that App.info.json on disk lists and the zip's doesn't.

    A zip's without a history (before 10.5.2) says nothing of what it doesn't hold: then those made before the backup aren't new.
    """
    listed = listed_versions(app)
    for version in disk.versions or ():
        old = zipped.versions is None and version.created is not None and version.created < clock.backup - _GRACE
        if version.number > 0 and version.number not in listed and not old:
            yield _app_loss(app, f"version_{version.number}", version, f"version {version.number} isn't known to the backup")


def listed_versions(app: AppPair) -> frozenset[int]:
    """Version numbers that the zip holds or its App.info.json names."""
    info = app.zipped
    named = {row.number for row in info.versions or ()} | {info.published or 0, info.draft or 0} if info else set()
    return app.held | {number for number in named if number > 0}


def _moved(app: AppPair, zipped: AppInfo, disk: AppInfo) -> Iterator[Lost]:
    for what, now, then in (("published version", disk.published, zipped.published), ("draft", disk.draft, zipped.draft)):
        if version_text(now) != version_text(then):
            about = next((row for row in disk.versions or () if row.number == now), None)
            yield _app_loss(app, INFO_NAME, about, f"{what} goes from {version_text(now)} to {version_text(then)}")


def _app_loss(app: AppPair, name: str, about: AppVersion | None, why: str) -> Lost:
    return Lost(
        kind="app",
        title=app.title,
        path=f"Applications/{app.folder}/{name}",
        when=about.created if about else None,
        author=about.author if about else None,
        why=why,
    )


def file_losses(entries: Iterable[Entry], apps: Mapping[str, AppPair], clock: Clock) -> list[Lost]:
    """Files whose content differs and that were written after the backup, an app's together for each version folder.

    `apps` is keyed by the folded folder name. App.info.json counts where more than its history differs, which `app_losses` tells.
    """
    groups: dict[tuple[str, str, bool], list[Entry]] = {}
    for entry in entries:
        if entry.state == "replace" and clock.judge(entry.modified) == "changed":
            groups.setdefault((*_group(entry.path), clock.restored(entry.modified)), []).append(entry)
    return [lost for (folder, path, restored), group in groups.items() if (lost := _files_loss(apps.get(fold(folder)), path, group, restored))]


def _group(path: str) -> tuple[str, str]:
    """The app's folder ("" outside of apps), and the path under which the file is told."""
    parts = path.split("/")
    if parts[0] != "Applications" or len(parts) < 3:
        return "", path
    return parts[1], "/".join(parts[:3])


def _files_loss(app: AppPair | None, path: str, group: Sequence[Entry], restored: bool) -> Lost | None:
    newest = max((entry.modified for entry in group if entry.modified), default=None)
    how = _RESTORED if restored else _CHANGED
    if app is None:
        return Lost(kind=kind_of(path), title=title_of(path), path=path, when=newest, author=None, why=how, restored=restored)
    why = _why(app, path.rpartition("/")[2], len(group), how)
    return Lost(kind="app", title=app.title, path=path, when=newest, author=None, why=why, restored=restored) if why else None


def _why(app: AppPair, name: str, count: int, how: str) -> str:
    """Of the files of an app that are told under that name; nothing where they lose nothing of their own."""
    if fold(name) == fold(INFO_NAME):
        settings = "its settings (name, access, sections…)"
        return "" if _history_alone(app.texts) else f"{settings} {'changed' if how == _CHANGED else how}"
    files = f"{'1 file' if count == 1 else f'{count} files'} {how}"
    match = VERSION_FOLDER.fullmatch(name)
    return f"version {int(match[1])}: {files}" if match else files


def _history_alone(texts: tuple[str | None, str | None]) -> bool:
    """Whether two App.info.json differ in nothing but their history; False where one can't be read."""
    try:
        documents = [json.loads(text.removeprefix("\ufeff"), strict=False) if text is not None else None for text in texts]
    except (ValueError, RecursionError):
        return False
    kept = [{key: value for key, value in document.items() if key not in _HISTORY_KEYS} for document in documents if isinstance(document, dict)]
    return len(kept) == len(texts) and kept[0] == kept[1]


def losses_digest(lost: Iterable[Lost]) -> str:
    """SHA-256 (hex) of an agent's losses whatever their order; empty where there are none."""
    lines = sorted(json.dumps([item.kind, item.title, item.path, str(item.when), item.author, item.why]) for item in lost)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest() if lines else ""


def loss_code(losses: Mapping[str, Iterable[Lost] | str]) -> str:
    """The short code by which people accept exactly these losses on exactly these agents; empty where nothing is lost.

    By agent: its losses, or their `losses_digest`. The order of agents and items doesn't matter; agents that lose nothing don't count.
    """
    digests = {agent: lost if isinstance(lost, str) else losses_digest(lost) for agent, lost in losses.items()}
    rows = sorted([agent, digest] for agent, digest in digests.items() if digest)
    if not rows:
        return ""
    number = int.from_bytes(hashlib.sha256(json.dumps(rows).encode()).digest(), "big")
    letters = []
    for _position in range(_CODE_LENGTH):
        number, letter = divmod(number, len(_CODE_LETTERS))
        letters.append(_CODE_LETTERS[letter])
    return "".join(letters)
