# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the items of a backup to the files on a POSIX host."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .errors import Refused
from .local_files import entries
from .local_places import Place, Places

VERSION_FOLDER = re.compile(r"version_0*(\d+)", re.IGNORECASE)
LINK = "is a link: not followed"
SPECIAL = "is no ordinary file"
NOTES = (LINK, SPECIAL)  # what is left out with a note; anything else that is noted is a file that couldn't be had

Note = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class ItemFile:
    """A file of an item. `path` is relative to the root with `/`; `full` is where it is; `stamp` changes when the file does."""

    path: str
    full: str
    size: int
    stamp: tuple[int, int, int]

    @property
    def modified_ns(self) -> int:
        return self.stamp[1]


def is_app(places: Places, item: dict[str, Any]) -> bool:
    """A folder directly below Applications."""
    parts = item["path"].split("/")
    if len(parts) != 2 or parts[0].lower() != "applications":
        return False
    try:
        place = places.find(item["path"])
    except Refused:
        return False
    return place is not None and place.is_folder


def expand(places: Places, item: dict[str, Any], *, note: Note) -> Iterator[ItemFile]:
    """The files that `item` stands for, in the common order. Links and special files are noted and left out; what can't be read is noted too."""
    path, versions = item["path"], item.get("versions")
    try:
        place = places.find(path)
    except Refused as error:  # a link on the way there, or by now a file
        note(path, LINK if error.found == "a link" else error.message)
        return
    except OSError as error:
        note(path, error.strerror or str(error))
        return
    if place is None:
        note(path, "vanished")
    elif place.is_folder:
        yield from _below(place.path, path, None if versions is None else frozenset(versions), note)
    else:
        yield from _file(place, path, note)


def _below(folder: str, path: str, versions: frozenset[int] | None, note: Note) -> Iterator[ItemFile]:
    try:
        found = entries(folder)
    except OSError as error:
        note(path, error.strerror or str(error))
        return
    for entry in found:
        inner = f"{path}/{entry.name}"
        try:
            about = entry.stat(follow_symlinks=False)
        except OSError as error:
            note(inner, error.strerror or str(error))
            continue
        if not stat.S_ISDIR(about.st_mode):
            yield from _file(Place(entry.path, about), inner, note)
        elif not _skipped(entry, versions):
            yield from _below(entry.path, inner, None, note)


def _skipped(entry: os.DirEntry[str], versions: frozenset[int] | None) -> bool:
    match = VERSION_FOLDER.fullmatch(entry.name) if versions is not None else None
    return bool(versions is not None and match and int(match[1]) not in versions)


def _file(place: Place, path: str, note: Note) -> Iterator[ItemFile]:
    about = place.about
    if place.is_file:
        yield ItemFile(path, place.path, about.st_size, (about.st_size, about.st_mtime_ns, about.st_ino))
    else:
        note(path, LINK if place.is_link else SPECIAL)
