# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a relative path is on a POSIX disk: names compare as Windows compares them, and no link is followed on the way."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from .entry_names import fold
from .errors import Refused
from .local_files import utf16_key

FOLDERS_KEPT = 256  # listings held for names that differ in case


@dataclass(frozen=True)
class Place:
    """An entry of the disk: its full path as the disk spells it, and its `lstat`."""

    path: str
    about: os.stat_result

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.about.st_mode)

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.about.st_mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.about.st_mode)


def check_file(path: str, place: Place) -> None:
    """Raises `Refused` for what isn't an ordinary file at `path`."""
    if place.is_file:
        return
    found = "a link" if place.is_link else "a folder" if place.is_folder else "a special file"
    raise Refused(f"{path} is in the way", found=found, needed="an ordinary file or nothing", remedy="move it away and run again")


class Places:
    """Finds many paths below one root. Each folder is looked up once, so an object serves for one pass over the content and no longer."""

    def __init__(self, root: Path | str) -> None:
        self.root = str(root).rstrip("/") or "/"
        self._folders: dict[str, str | None] = {}
        self._listings: dict[str, dict[str, str]] = {}

    def find(self, path: str) -> Place | None:
        """The entry at `path` (with `/`, relative to the root), or None. Raises `Refused` where a link or a file stands for one of its folders."""
        parent, _slash, name = path.rpartition("/")
        folder = self.folder(parent)
        return None if folder is None else self._entry(folder, name)

    def folder(self, path: str) -> str | None:
        """The full path of a folder, or None where there is none. Raises as `find` does."""
        if not path:
            return self.root
        if path not in self._folders:
            place = self.find(path)
            if place is not None and not place.is_folder:
                raise Refused(
                    f"{place.path} is in the way",
                    found="a link" if place.is_link else "a file",
                    needed="a folder: links are never followed",
                    remedy="move it away",
                )
            self._folders[path] = place.path if place else None
        return self._folders[path]

    def target(self, path: str) -> str:
        """`path` relative to the root with those folders that exist spelt as the disk spells them."""
        known, rest = path, ""
        while known:
            known, _slash, name = known.rpartition("/")
            rest = f"{name}/{rest}" if rest else name
            folder = self.folder(known)
            if folder is not None:
                return f"{folder}/{rest}"[len(self.root) + 1 :]
        return path

    def relative(self, place: Place) -> str:
        """The path of a place relative to the root."""
        return place.path[len(self.root) + 1 :]

    def _entry(self, folder: str, name: str) -> Place | None:
        place = _place(f"{folder}/{name}")
        other = None if place else self._names(folder).get(fold(name))
        return place if other is None else _place(f"{folder}/{other}")

    def _names(self, folder: str) -> dict[str, str]:
        """Names by what Windows takes them for; of several the first in the common order."""
        listing = self._listings.get(folder)
        if listing is None:
            if len(self._listings) >= FOLDERS_KEPT:
                self._listings.clear()
            try:
                names = sorted((path.name for path in Path(folder).iterdir()), key=utf16_key, reverse=True)
            except OSError:
                names = []
            listing = {fold(name): name for name in names}
            self._listings[folder] = listing
        return listing


def _place(path: str) -> Place | None:
    try:
        return Place(path, os.lstat(path))
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        return None
