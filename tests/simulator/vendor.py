# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vendor's automatic backups: what goes into the zip, its opaque name, and the five that are kept."""

from __future__ import annotations

import os
import re
import shutil
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .content import Tree
from .schema import CONTENT_FOLDERS, content_files, read_json

BACKUPS = "System Cache/Web/Backups"
TEMPORARY = "Temp"
KEPT = 5
_APP = re.compile(r"Applications/([^/]+)/(?:version_(\d+)/)?")


class Source(Protocol):
    """Where content is read from."""

    def paths(self) -> Iterable[str]: ...
    def read(self, path: str) -> bytes: ...
    def mtime(self, path: str) -> float: ...


class MemorySource:
    """Content that was made up."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree

    def paths(self) -> Iterable[str]:
        return sorted(self.tree)

    def read(self, path: str) -> bytes:
        return self.tree[path].data

    def mtime(self, path: str) -> float:
        return self.tree[path].mtime


class DiskSource:
    """Content below an agent's root."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def paths(self) -> Iterable[str]:
        return content_files(self.root)

    def read(self, path: str) -> bytes:
        return (self.root / path).read_bytes()

    def mtime(self, path: str) -> float:
        return (self.root / path).stat().st_mtime


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What a backup holds, which apps it leaves out, and the warnings about both."""

    paths: tuple[str, ...]
    excluded: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Choice:
    """For one app: whether it goes in, with which versions, and what to warn of."""

    included: bool
    versions: frozenset[int]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ZipStyle:
    """How the zip is written. The docs spell the root `applications` too, and older .NET wrote backslashes: neither is the usual."""

    lower_roots: bool = False
    backslashes: bool = False
    folders: bool = False


def select(source: Source, *, two_versions: bool, with_web: bool = False) -> Selection:
    """What the vendor's backup holds of some content.

    Two versions an app since RN 43906, the published one and the draft; then apps whose App.info.json is absent, invalid or names neither are left
    out. Before, everything goes in.
    """
    roots = CONTENT_FOLDERS if with_web else CONTENT_FOLDERS[:2]
    paths = [path for path in source.paths() if path.split("/", 1)[0] in roots]
    if not two_versions:
        return Selection(paths=tuple(paths), excluded=(), warnings=())
    choices = {folder: _choose(folder, source, numbers) for folder, numbers in _version_folders(paths).items()}
    kept = tuple(path for path in paths if _goes_in(path, choices))
    excluded = tuple(folder for folder, choice in choices.items() if not choice.included)
    return Selection(paths=kept, excluded=excluded, warnings=tuple(text for choice in choices.values() for text in choice.warnings))


def _version_folders(paths: list[str]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for match in filter(None, map(_APP.match, paths)):
        numbers = found.setdefault(match[1], set())
        if match[2]:
            numbers.add(int(match[2]))
    return found


def _choose(folder: str, source: Source, on_disk: set[int]) -> _Choice:
    try:
        info = read_json(source.read(f"Applications/{folder}/App.info.json"))
        named = (info.get("PublicVersion"), info.get("DraftVersion"))
    except (OSError, KeyError, ValueError, AttributeError):
        return _Choice(included=False, versions=frozenset(), warnings=(f"{folder} left out: App.info.json is absent or invalid",))
    if named == (None, None):
        return _Choice(included=False, versions=frozenset(), warnings=(f"{folder} left out: neither published nor draft",))
    wanted = frozenset(number for number in named if number and number > 0)
    gone = tuple(f"{folder}: version {number} is missing" for number in sorted(wanted - on_disk))
    return _Choice(included=True, versions=wanted, warnings=gone)


def _goes_in(path: str, choices: dict[str, _Choice]) -> bool:
    match = _APP.match(path)
    if match is None:
        return True
    choice = choices[match[1]]
    return choice.included and (match[2] is None or int(match[2]) in choice.versions)


def write_zip(path: Path, source: Source, paths: Iterable[str], *, offset_minutes: int = 0, style: ZipStyle | None = None) -> Path:
    """Writes a backup. Times inside are local, as zips have them."""
    style = style or ZipStyle()
    path.parent.mkdir(parents=True, exist_ok=True)
    seen: set[str] = set()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for inside in paths:
            moment = time.gmtime(source.mtime(inside) + 60 * offset_minutes)[:6]
            for folder in _new_folders(inside, seen) if style.folders else ():
                archive.writestr(zipfile.ZipInfo(_spelled(folder, style), moment), b"")
            archive.writestr(zipfile.ZipInfo(_spelled(inside, style), moment), source.read(inside), zipfile.ZIP_DEFLATED)
    return path


def _spelled(path: str, style: ZipStyle) -> str:
    root, rest = path.split("/", 1)
    whole = f"{root.lower() if style.lower_roots else root}/{rest}"
    return whole.replace("/", "\\") if style.backslashes else whole


def _new_folders(path: str, seen: set[str]) -> Iterator[str]:
    parts = path.split("/")[:-1]
    for count in range(1, len(parts) + 1):
        folder = "/".join(parts[:count]) + "/"
        if folder not in seen:
            seen.add(folder)
            yield folder


def automatic_backup(
    root: Path, *, name: str, two_versions: bool, with_web: bool, now: float, offset_minutes: int, say: Callable[[str], None]
) -> Path:
    """The backup an install makes: copied into a temporary folder, compressed, the folder deleted; a left-over one is deleted first (RN 38640)."""
    folder = root / BACKUPS
    temporary = folder / TEMPORARY
    if temporary.exists():
        shutil.rmtree(temporary)
    chosen = select(DiskSource(root), two_versions=two_versions, with_web=with_web)
    for line in chosen.warnings:
        say(f"Warning: {line}")
    for path in chosen.paths:
        (temporary / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / path, temporary / path)
    made = write_zip(folder / f"{name}.zip", DiskSource(temporary), chosen.paths, offset_minutes=offset_minutes)
    os.utime(made, (now, now))
    shutil.rmtree(temporary, ignore_errors=True)
    return made


def prune(folder: Path, kept: int = KEPT) -> list[str]:
    """Deletes all but the newest zips, and returns the names of those deleted."""
    newest_first = sorted(folder.glob("*.zip"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in newest_first[kept:]:
        path.unlink()
    return [path.name for path in newest_first[kept:]]
