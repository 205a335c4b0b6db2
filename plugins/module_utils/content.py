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


def combined(rows: list[Row], items: list[Row], *, apps: Collection[str]) -> list[Row]:
    """The rows of a plan's `items`: one an app, made of its parts that go in, all others as they are.

    `apps` are the paths of the app folders. The digest of an app is the SHA-256 of its parts' lines `<sha256> <files> <bytes> <path>\\n`, in the
    scan's order; a version folder that was only counted has `-` for its digest.
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
    kept = [part for part in parts if item["versions"] is None or _number(item["path"], part["path"]) in (None, *item["versions"])]
    lines = "".join(f"{part['sha256'] or COUNTED} {part['files']} {part['bytes']} {part['path']}\n" for part in kept)
    digest = hashlib.sha256(lines.encode("utf-8", "surrogatepass")).hexdigest()
    return {"path": item["path"], "files": sum(part["files"] for part in kept), "bytes": sum(part["bytes"] for part in kept), "sha256": digest}


def _number(app: str, path: str) -> int | None:
    """The version whose folder the part is; None for what is outside of them."""
    match = VERSION_FOLDER.fullmatch(path[len(app) + 1 :])
    return int(match[1]) if match else None
