# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the items of a backup to the files on a POSIX host."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .local_files import entries, find

VERSION_FOLDER = re.compile(r"version_0*(\d+)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class ItemFile:
    """A file of an item. `path` is relative to the root with `/`; `stamp` changes when the file does."""

    path: str
    full: Path
    size: int
    stamp: tuple[int, int, int]


def is_app(root: Path, item: dict[str, Any]) -> bool:
    """A folder directly below Applications."""
    parts = item["path"].split("/")
    place = find(root, *parts)
    return len(parts) == 2 and parts[0].lower() == "applications" and place is not None and place.is_dir()


def expand(root: Path, item: dict[str, Any], *, note: Callable[[str, str], None]) -> Iterator[ItemFile]:
    """The files that `item` stands for, in the common order. Links and special files are noted and left out; what can't be read is noted too."""
    path, versions = item["path"], item.get("versions")
    place = find(root, *path.split("/"))
    if place is None:
        note(path, "vanished")
    elif place.is_symlink():
        note(path, "is a link: not followed")
    elif place.is_dir():
        yield from _below(place, path, None if versions is None else frozenset(versions), note)
    else:
        yield from _file(place, path, note)


def _below(folder: Path, path: str, versions: frozenset[int] | None, note: Callable[[str, str], None]) -> Iterator[ItemFile]:
    try:
        found = entries(folder)
    except OSError as error:
        note(path, error.strerror or str(error))
        return
    for entry in found:
        inner = f"{path}/{entry.name}"
        if entry.is_symlink():
            note(inner, "is a link: not followed")
        elif not entry.is_dir(follow_symlinks=False):
            yield from _file(Path(entry.path), inner, note)
        elif not _skipped(entry, versions):
            yield from _below(Path(entry.path), inner, None, note)


def _skipped(entry: os.DirEntry[str], versions: frozenset[int] | None) -> bool:
    match = VERSION_FOLDER.fullmatch(entry.name)
    return bool(versions is not None and match and int(match[1]) not in versions)


def _file(full: Path, path: str, note: Callable[[str, str], None]) -> Iterator[ItemFile]:
    try:
        about = full.lstat()
    except OSError as error:
        note(path, error.strerror or str(error))
        return
    if not os.path.isfile(full):
        note(path, "is no ordinary file")
        return
    yield ItemFile(path=path, full=full, size=about.st_size, stamp=(about.st_size, about.st_mtime_ns, about.st_ino))
