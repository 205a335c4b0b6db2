# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The format of web content: which release wrote a file, migration to a newer one, and what an older one can't read."""

from __future__ import annotations

import codecs
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .releases import Release

CONTENT_FOLDERS = ("Applications", "Dashboards", "Web")
_STAMPED = re.compile(r"(Dashboards/.*|Applications/[^/]+/version_\d+/pages/[^/]+)\.dmadb\.json|Applications/[^/]+/version_\d+/App\.config\.json")
_VERSION_FOLDER = re.compile(r"Applications/([^/]+)/version_(\d+)/")


def dump(value: object) -> str:
    """JSON as the web apps write it: on one line, characters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def encoding_of(data: bytes) -> str:
    if data.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    return "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"


def read_json(data: bytes) -> Any:
    """The value in a file, decoded by its byte order mark. Raises ValueError where there is none."""
    return json.loads(data.decode(encoding_of(data)))


def is_stamped(path: str) -> bool:
    """Whether a file, by its path relative to the root, carries the release that wrote it."""
    return _STAMPED.fullmatch(path) is not None


def stamp_of(data: bytes) -> Release:
    """The release whose format a file has. Raises ValueError for what is no such file."""
    value = read_json(data)
    return Release.parse(str(value.get("SchemaVersion")) if isinstance(value, dict) else "")


def restamp(data: bytes, release: Release) -> bytes:
    """The file as `release` would have it: migrated on, or as it was before later releases migrated it.

    `Migrations` lists the formats a file had before, oldest first, so that the way back gives the very bytes of then.
    """
    value = read_json(data)
    lineage = [*value["Migrations"], value["SchemaVersion"]]
    kept = [label for label in lineage if Release.parse(label).ordinal <= release.ordinal]
    if not kept or Release.parse(kept[-1]).ordinal < release.ordinal:
        kept.append(release.label)
    value["SchemaVersion"], value["Migrations"] = kept[-1], kept[:-1]
    return dump(value).encode(encoding_of(data))


def migrated(data: bytes, release: Release) -> bytes | None:
    """The file migrated to a newer release; None where there is nothing to do, or nothing that can be read."""
    try:
        return restamp(data, release) if stamp_of(data).ordinal < release.ordinal else None
    except ValueError:
        return None


def content_files(root: Path, folders: tuple[str, ...] = CONTENT_FOLDERS) -> Iterator[str]:
    """Paths of all files of the content, relative to the root, sorted within each of the folders."""
    for folder in folders:
        for place, dirs, names in os.walk(root / folder):
            dirs.sort()
            inside = Path(place).relative_to(root).as_posix()
            yield from (f"{inside}/{name}" for name in sorted(names))


def migrate_file(path: Path, release: Release, *, now: float | None = None) -> bool:
    """Migrates one file in place, its time then being now; False where it stays as it is."""
    data = migrated(path.read_bytes(), release)
    if data is None:
        return False
    path.write_bytes(data)
    moment = time.time() if now is None else now
    os.utime(path, (moment, moment))
    return True


def readable(root: Path, version: str, *, live_only: bool = False) -> list[str]:
    """What a web version can't read below an agent's root: one line per problem, none where all is well.

    A file in the format of a later release, one that is no JSON, and an app version that misses a page it lists. `live_only` looks at dashboards and
    at the published and draft versions of apps only: the others aren't shown to anyone.
    """
    release, live = Release.parse(version), _live_versions(root) if live_only else None
    problems = []
    for path in filter(is_stamped, content_files(root)):
        inside = _VERSION_FOLDER.match(path)
        if live is None or inside is None or (inside[1], int(inside[2])) in live:
            problems += [f"{path}: {problem}" for problem in _problems(root / path, release)]
    return problems


def _problems(path: Path, release: Release) -> list[str]:
    data = path.read_bytes()
    try:
        stamp = stamp_of(data)
    except ValueError as error:
        return [f"can't be read: {error}"]
    if stamp.ordinal > release.ordinal:
        return [f"in the format of {stamp.label}, which {release.label} can't read"]
    if path.name != "App.config.json":
        return []
    pages = (str(page["ID"]) for page in read_json(data).get("Pages", []))
    return [f"page {page} is missing" for page in pages if not (path.parent / "pages" / f"{page}.dmadb.json").is_file()]


def _live_versions(root: Path) -> set[tuple[str, int]]:
    live = set()
    for info in (root / "Applications").glob("*/App.info.json"):
        try:
            value = read_json(info.read_bytes())
            numbers = (value.get("PublicVersion"), value.get("DraftVersion"))
        except (ValueError, AttributeError):
            continue
        live |= {(info.parent.name, number) for number in numbers if isinstance(number, int) and number > 0}
    return live
