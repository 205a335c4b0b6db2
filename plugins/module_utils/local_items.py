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

from .apps import VERSION_FOLDER
from .errors import Refused
from .local_files import entries
from .local_places import Places

LINK = "is a link: not followed"
SPECIAL = "is no ordinary file"
NOTES = (LINK, SPECIAL)  # what is left out with a note; anything else that is noted is a file that couldn't be had

NAMED = re.compile(r'"(?:PublicVersion|DraftVersion)"\s*:\s*"?([0-9]{1,9})\b')

Note = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class ItemFile:
    """A file of an item: its `name` in the folder `parent` of the root (with `/`), which is `folder` on the disk.

    The two folders are shared by all files in them; a large agent has hundreds of thousands.
    """

    folder: str
    parent: str
    name: str
    size: int
    modified_ns: int
    inode: int

    @property
    def full(self) -> str:
        return f"{self.folder}/{self.name}"

    @property
    def path(self) -> str:
        """Relative to the root."""
        return f"{self.parent}/{self.name}" if self.parent else self.name

    @property
    def stamp(self) -> tuple[int, int, int]:
        """Changes when the file does."""
        return self.size, self.modified_ns, self.inode


def likely_items(document: dict[str, Any], likely: dict[str, Any]) -> list[dict[str, Any]]:
    """What a backup would probably hold, guessed from a scan document alone: the plan itself is made by `backup.plan_backup`, later and elsewhere.

    It decides only on which version folders are hashed. Those that App.info.json names have a row each; `others`: whether the rest is hashed, too.

    `likely`: versions (`named` for those that App.info.json names, or `all`) and web (bool).
    """
    whole = likely["versions"] != "named"
    items: list[dict[str, Any]] = [
        {"path": f"Applications/{app['folder']}", "versions": _named_versions(app), "others": whole or app["info"]["text"] is None}
        for app in document["apps"]
    ]
    items += [{"path": f"Applications/{name}", "versions": None} for name in document["loose"]]
    items += [{"path": "Dashboards", "versions": None}] if document["dashboards_folder"] else []
    return items + ([{"path": "Web", "versions": None}] if document["web"] and likely["web"] else [])


def _named_versions(app: dict[str, Any]) -> list[int]:
    present = {int(match[1]) for name in app["dirs"] if (match := VERSION_FOLDER.fullmatch(name))}
    return sorted({int(number) for number in NAMED.findall(app["info"]["text"] or "")} & present - {0})


def part_of(app: str, file: ItemFile) -> tuple[str, int | None]:
    """The part of an app's folder that a file is in: a version folder with its number, or the rest, which goes by the app's own path."""
    name = file.parent[len(app) + 1 :].partition("/")[0]
    match = VERSION_FOLDER.fullmatch(name)
    return (f"{app}/{name}", int(match[1])) if match else (app, None)


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
        folder, _slash, name = place.path.rpartition("/")
        yield from _file(folder, path.rpartition("/")[0], name, place.about, note)


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
            yield from _file(folder, path, entry.name, about, note)
        elif not _skipped(entry, versions):
            yield from _below(entry.path, inner, None, note)


def _skipped(entry: os.DirEntry[str], versions: frozenset[int] | None) -> bool:
    match = VERSION_FOLDER.fullmatch(entry.name) if versions is not None else None
    return bool(versions is not None and match and int(match[1]) not in versions)


def _file(folder: str, parent: str, name: str, about: os.stat_result, note: Note) -> Iterator[ItemFile]:
    file = ItemFile(folder, parent, name, about.st_size, about.st_mtime_ns, about.st_ino)
    if stat.S_ISREG(about.st_mode):
        yield file
    else:
        note(file.path, LINK if stat.S_ISLNK(about.st_mode) else SPECIAL)
