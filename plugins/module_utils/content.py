# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the rows of a scan's `content` to those of a plan: which version folders go in is known only once the scan has been read."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Any

from .apps import VERSION_FOLDER

Row = dict[str, Any]
COUNTED = "-"  # in the place of a digest
OTHERS = "version_*"  # stands for the version folders that have no row of their own; Windows allows no such name


def combined(rows: list[Row], items: list[Row], *, apps: Collection[str]) -> list[Row]:
    """The rows of a plan's `items`: one an app, made of its parts that go in, all others as they are.

    `apps` are the paths of the app folders. The digest of an app is the SHA-256 of its parts' lines `<sha256> <files> <bytes> <path>\\n`, in the
    scan's order; so is that of its other version folders, where one that was only counted has `-` for its digest.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(_item_of(row["path"]), []).append(row)
    found: list[Row] = []
    for item in items:
        given = groups.get(item["path"], [])
        found += [_app(item, given)] if item["path"] in apps and given else given
    return found


def _item_of(path: str) -> str:
    root, *rest = path.split("/")
    return "/".join([root, *rest[:1]]) if root == "Applications" else root


def _app(item: Row, parts: list[Row]) -> Row:
    """Where a version that goes in has no row, it is empty or the guess missed it: lest a change be missed, the digest covers the others then."""
    numbers = [_number(item["path"], part["path"]) for part in parts]
    wanted = item["versions"]
    kept = [part for part, number in zip(parts, numbers, strict=True) if wanted is None or number in (None, *wanted)]
    unsure = wanted is not None and not set(wanted) <= set(numbers)
    seen = [*kept, *(part for part, number in zip(parts, numbers, strict=True) if unsure and number == OTHERS)]
    return {**together(item["path"], kept), "sha256": _digest(seen)}


def together(path: str, rows: list[Row]) -> Row:
    """One row for several; its digest is the SHA-256 of their lines."""
    return {"path": path, "files": sum(row["files"] for row in rows), "bytes": sum(row["bytes"] for row in rows), "sha256": _digest(rows)}


def _digest(rows: list[Row]) -> str:
    lines = "".join(f"{row['sha256'] or COUNTED} {row['files']} {row['bytes']} {row['path']}\n" for row in rows)
    return hashlib.sha256(lines.encode("utf-8", "surrogatepass")).hexdigest()


def _number(app: str, path: str) -> int | str | None:
    """The version whose folder the part is, or OTHERS; None for what is outside of them."""
    name = path[len(app) + 1 :]
    match = VERSION_FOLDER.fullmatch(name)
    return int(match[1]) if match else OTHERS if name == OTHERS else None
