# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values of a restore's plan."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from .apps import AppInfo
from .entry_names import fold

Kind = Literal["app", "dashboard", "file"]


@dataclass(frozen=True, kw_only=True)
class Lost:
    """A change that a restore would undo. `path` is relative to the root; `when` (UTC) and `author` are None where nothing tells.

    `restored`: it was written while the last restore was carried out, so perhaps by that alone.
    """

    kind: Kind
    title: str
    path: str
    when: datetime | None
    author: str | None
    why: str
    restored: bool = False


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file of the zip, compared with the disk: `state` is create, replace or same; `modified` is the last write of the file on disk."""

    path: str
    size: int
    sha256: str
    state: str
    modified: datetime | None


@dataclass(frozen=True, kw_only=True)
class AppPair:
    """One app in the zip and on disk.

    `texts` are both App.info.json, `held` the version numbers that the zip holds. `info` is App.info.json's entry, None where the zip has none: then
    the one on disk stays.
    """

    folder: str
    title: str
    zipped: AppInfo | None
    on_disk: AppInfo | None
    texts: tuple[str | None, str | None]
    held: frozenset[int]
    info: Entry | None


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One app, one dashboard, or all other files of a root, with its numbers of files. `was` and `becomes` tell an app's versions; None otherwise."""

    kind: Literal["app", "dashboard", "file"]
    title: str
    path: str
    creates: int
    replaces: int
    same: int
    was: str | None = None
    becomes: str | None = None


@dataclass(frozen=True, kw_only=True)
class Behind:
    """Something on disk that the zip doesn't hold: it stays as it is, perhaps migrated to the newer version.

    `unlisted`: a version folder that App.info.json won't name after the restore, and that a later publish could land in.
    """

    kind: Literal["version", "app", "dashboard"]
    title: str
    path: str
    why: str
    unlisted: bool = False


@dataclass(frozen=True, kw_only=True)
class RestorePlan:
    """What a restore would do to one agent.

    `create`, `replace`, `same` count files; `bytes` are those of the first two. `include` are the paths that are restored, None for all. `digests`
    has the SHA-256 of what the zip would put in place under `all`, and its first 16 characters for each app and root, to compare agents by.
    """

    create: int
    replace: int
    same: int
    bytes: int
    apps: tuple[Summary, ...]
    dashboards: tuple[Summary, ...]
    files: tuple[Summary, ...]
    lost: tuple[Lost, ...]
    stays_behind: tuple[Behind, ...]
    warnings: tuple[str, ...]
    include: tuple[str, ...] | None
    digests: dict[str, str]


def kind_of(path: str) -> Kind:
    """What a file outside of apps is."""
    return "dashboard" if fold(path).startswith("DASHBOARDS/") and path.lower().endswith(".dmadb.json") else "file"


def title_of(path: str) -> str:
    """A dashboard's path without root and suffix; any other file's path."""
    return path.partition("/")[2][: -len(".dmadb.json")] if kind_of(path) == "dashboard" else path


def version_text(number: int | None) -> str:
    """0 or less means none, as null does."""
    return str(number) if number is not None and number > 0 else "none"
