# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a zip whole on a POSIX host: every entry against its CRC, its manifest and the disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from .agent_files import decode_text
from .entry_names import DEFAULT_LIMITS, Entry, Limits, SafeEntry, check_entries, names_digest
from .errors import InvalidManifest, Refused
from .local_files import read_text, reason, sha256_file, utc_text
from .local_places import Place, Places
from .local_zip import ZipReader, batches, drained, in_order
from .local_zipdirectory import Member
from .manifest import FileRow, check_same, compare, parse_manifest

MAX_INFO = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadEntry:
    """An entry that was read to its end. `path` is where it goes, `name` what the zip calls it."""

    name: str
    path: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class ReadZip:
    """A zip of which every byte was read."""

    size: int
    sha256: str
    names_sha256: str
    entries: tuple[ReadEntry, ...]


Advance = Callable[[int, int], None]


def nothing(files: int, count: int) -> None:
    """Nobody wants to know the progress."""


class _Entries(Sequence[Entry]):
    """What the directory says, for the check of names: made when it is looked at, for it is looked at once and there may be very many."""

    def __init__(self, members: list[Member]) -> None:
        self.members = members

    def __len__(self) -> int:
        return len(self.members)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...

    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        return [_entry(member) for member in self.members[index]] if isinstance(index, slice) else _entry(self.members[index])


def _entry(member: Member) -> Entry:
    return Entry(
        name=member.name,
        size=member.size,
        compressed=member.packed,
        flags=member.flags,
        external_attr=member.attributes,
        create_system=member.system,
        method=member.method,
        crc=member.crc,
    )


Pair = tuple[Member, SafeEntry]


def safe_entries(reader: ZipReader, limits: Limits = DEFAULT_LIMITS) -> list[Pair]:
    """The files of the zip, in its order, after all its names were found safe. The reader lets go of all else it knew of them."""
    members, reader.members = reader.members, []
    safe = check_entries(_Entries(members), limits)
    listed = iter(members)
    return [(next(member for member in listed if member.name == entry.name), entry) for entry in safe]


def read_zip(path: Path, *, limits: Limits = DEFAULT_LIMITS, advance: Advance = nothing) -> ReadZip:
    """Read every entry of `path` on all cores, and the file itself."""
    with ZipReader(path) as reader:
        pairs = safe_entries(reader, limits)
        rows: list[ReadEntry] = []

        def read(batch: list[Pair]) -> list[ReadEntry]:
            return [_read(reader, member, entry) for member, entry in batch]

        for done in in_order(read, batches(drained(pairs), lambda pair: pair[0].size)):
            rows += done
            advance(len(done), sum(row.size for row in done))
    size, digest = path.stat().st_size, sha256_file(path)
    return ReadZip(size=size, sha256=digest, names_sha256=names_digest(row.name for row in rows), entries=tuple(rows))


def _read(reader: ZipReader, member: Member, entry: SafeEntry) -> ReadEntry:
    digest = hashlib.sha256()
    for chunk in reader.chunks(member):
        digest.update(chunk)
    return ReadEntry(name=entry.name, path=entry.path, size=member.size, sha256=digest.hexdigest())


def verify(spec: dict[str, Any], *, advance: Advance = nothing) -> dict[str, Any]:
    """The read-only part of a `verify` job: the result document without `copied`."""
    path = Path(spec["path"])
    read = read_zip(path, limits=Limits(**(spec.get("limits") or {})), advance=advance)
    head = check_manifest(path, Path(spec["manifest"]), read) if spec.get("manifest") else None
    places = Places(spec["compare_root"]) if spec.get("compare_root") else None
    return {
        "path": str(path),
        "size": read.size,
        "zip_sha256": read.sha256,
        "names_sha256": read.names_sha256,
        "header": head,
        "entries": _compared(read.entries, places),
        "infos": _infos(path, read.entries, places),
    }


def check_manifest(path: Path, manifest_path: Path, read: ReadZip) -> dict[str, object]:
    """The manifest's header, when everything it says is so; `BackupInvalid` tells extra, missing and changed apart."""
    try:
        with manifest_path.open("rb") as stream:
            manifest = parse_manifest(stream)
    except OSError as error:
        raise InvalidManifest(f"The manifest of {path.name} can't be read", found=reason(error), needed=str(manifest_path)) from error
    found = compare(manifest.rows, (FileRow(path=entry.path, size=entry.size, sha256=entry.sha256) for entry in read.entries))
    check_same(path.name, found, manifest.trailer, read.sha256)
    return manifest.header


def _compared(entries: Iterable[ReadEntry], places: Places | None) -> list[list[Any]]:
    """The rows of `entries`: name, path, size, sha256, state, modified, disk size."""
    rows: list[list[Any]] = []
    for done in in_order(lambda batch: [_row(entry, places) for entry in batch], batches(entries, lambda entry: entry.size)):
        rows += done
    return rows


def _row(entry: ReadEntry, places: Places | None) -> list[Any]:
    base = [entry.name, entry.path, entry.size, entry.sha256]
    place = _on_disk(places, entry.path)
    if place is None:
        return [*base, "create" if places else None, None, None]
    about = place.about
    same = about.st_size == entry.size and _same_bytes(place.path, entry.sha256)
    return [*base, "same" if same else "replace", utc_text(about.st_mtime), about.st_size]


def _on_disk(places: Places | None, path: str) -> Place | None:
    """The file that a restore would replace; None for what is no file, which the restore will refuse by itself."""
    try:
        place = places.find(path) if places else None
    except (Refused, OSError):
        return None
    return place if place and place.is_file else None


def _same_bytes(path: str, sha256: str) -> bool:
    try:
        return sha256_file(path) == sha256
    except OSError:  # vanished since, or unreadable: not known to be the same
        return False


def _infos(path: Path, entries: Iterable[ReadEntry], places: Places | None) -> dict[str, list[str | None]]:
    """App.info.json by app folder: its text in the zip and on the disk."""
    wanted = [entry for entry in entries if entry.size <= MAX_INFO and _is_info(entry.path)]
    found: dict[str, list[str | None]] = {}
    if not wanted:
        return found
    with ZipReader(path) as reader:
        names = {entry.name for entry in wanted}
        by_name = {member.name: member for member in reader.members if member.name in names}
        for entry in wanted:
            text = decode_text(b"".join(reader.chunks(by_name[entry.name])))
            found[entry.path.split("/")[1]] = [text, _disk_text(_on_disk(places, entry.path))]
    return found


def _is_info(path: str) -> bool:
    parts = path.split("/")
    return len(parts) == 3 and parts[0] == "Applications" and parts[2].lower() == "app.info.json"


def _disk_text(place: Place | None) -> str | None:
    if place is None or place.about.st_size > MAX_INFO:
        return None
    return read_text(Path(place.path), MAX_INFO)["text"]


def entry_bytes(reader: ZipReader, member: Member, write: Callable[[bytes], object]) -> str:
    """Stream an entry through `write`; gives its SHA-256."""
    digest = hashlib.sha256()
    for chunk in reader.chunks(member):
        digest.update(chunk)
        write(chunk)
    return digest.hexdigest()
