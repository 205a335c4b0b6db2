# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a prepared restore, kept as lines of a text and read one by one: nothing grows with their number."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .local_files import sync_folder

ROWS = "rows.txt"  # what was prepared
CREATE, REPLACE, SAME = "create", "replace", "same"


@dataclass(frozen=True, slots=True)
class Row:
    """A file of a restore: `path` as in the backup, `target` as the disk spells it (both relative to the root).

    `action` is `create`, `replace`, or `same` where the disk holds these bytes already.
    """

    action: str
    size: int
    sha256: str
    path: str
    target: str


def write_rows(path: Path, rows: Iterable[Row]) -> int:
    """Write rows as they come, durably, under the name when all are there; gives how many files they swap. No path holds a control character."""
    partial = path.with_name(path.name + ".partial")
    count = 0
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as stream:
            for row in rows:
                stream.write(f"{row.action}\t{row.size}\t{row.sha256}\t{row.path}\t{row.target}\n")
                count += row.action != SAME
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)
    return count


def read_rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8", newline="\n") as stream:
        for line in stream:
            action, size, sha256, name, target = line[:-1].split("\t")
            yield Row(action, int(size), sha256, name, target)
