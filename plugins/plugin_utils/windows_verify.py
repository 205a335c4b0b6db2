# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a `verify` job read on a Windows agent, judged by the core: which names may be extracted, and whether the manifest is a good one.

So these rules exist once, and not a second time in PowerShell. A `prepare` job extracts a zip with the SHA-256 that was judged here, and no other.
"""

from __future__ import annotations

from typing import Any

from ..module_utils.entry_names import Entry, Limits, SafeEntry, check_entries, names_digest
from ..module_utils.errors import InvalidManifest
from ..module_utils.manifest import Comparison, check_head, check_same, read_head

# The columns of a row of the directory, as lib/verify.ps1 writes them.
NAME, SIZE, PACKED, FLAGS, ATTRIBUTES, SYSTEM, METHOD, SHA256, STATE, MODIFIED, DISK_SIZE = range(11)


def judged(read: dict[str, Any]) -> dict[str, Any]:
    """The result of a `verify` job as the port has it. Raises UnsafeEntry, BackupInvalid or InvalidManifest."""
    rows = {row[NAME]: row for row in read["directory"]}
    safe = check_entries([_entry(row) for row in read["directory"]], Limits(**(read.get("limits") or {})))
    told = {key: read.get(key) for key in ("path", "size", "zip_sha256", "copied")}
    return {
        **told,
        "names_sha256": names_digest(entry.name for entry in safe),
        "header": _header(read),
        "entries": [_row(entry, rows[entry.name]) for entry in safe],
        "infos": _infos(read["infos"], safe),
        **({"about": read["about"]} if "about" in read else {}),
    }


def _entry(row: list[Any]) -> Entry:
    return Entry(
        name=row[NAME],
        size=row[SIZE],
        compressed=row[PACKED],
        flags=row[FLAGS],
        external_attr=row[ATTRIBUTES],
        create_system=row[SYSTEM],
        method=row[METHOD],
    )


def _row(entry: SafeEntry, row: list[Any]) -> list[Any]:
    return [entry.name, entry.path, entry.size, row[SHA256], row[STATE], row[MODIFIED], row[DISK_SIZE]]


def _header(read: dict[str, Any]) -> dict[str, object] | None:
    """The manifest's header, once all that it says is so."""
    found = read.get("manifest")
    if not found:
        return None
    name = str(read["path"]).replace("\\", "/").rpartition("/")[2]
    if not found.get("head"):
        raise InvalidManifest(f"The manifest of {name} can't be read", found="no such file", needed=found["path"])
    head = read_head(found["head"]["header"], found["head"]["trailer"], found["head"]["intact"])
    check_head(head)
    paths = {kind: tuple(sorted(found[kind])) for kind in ("extra", "missing", "changed")}
    check_same(name, Comparison(**paths), head.trailer, read["zip_sha256"])
    return head.header


def _infos(found: list[list[Any]], safe: list[SafeEntry]) -> dict[str, list[Any]]:
    """By app folder: the text of App.info.json in the zip and on the disk."""
    folders = {entry.name: parts[1] for entry in safe if len(parts := entry.path.split("/")) == 3 and parts[0] == "Applications"}
    return {folders[name]: [text, there] for name, text, there in found if name in folders}
