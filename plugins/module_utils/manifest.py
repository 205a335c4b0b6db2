# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest beside a backup: a text that names every file with size and digest, and ends in its own checksum.

docs/architecture.md has the format. It streams: rows are written while the zip is, so a backup of any size needs no memory for it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from .agent import ManifestHead
from .entry_names import fold, problem_of_path, shown
from .errors import BackupInvalid, InvalidManifest

SCHEMA = 1
MAGIC = "dataminer.web backup manifest"
SUFFIX = ".manifest"
MODES = ("all", "latest")
PURPOSES = ("backup", "safety")

_TIME = "%Y-%m-%dT%H:%M:%SZ"
_HEX = re.compile(r"[0-9a-f]{64}")
_ROW = re.compile(r"([0-9a-f]{64}) (0|[1-9][0-9]{0,17}) (.+)", re.DOTALL)
_NOT_INTACT = "its checksum doesn't match: it was changed, damaged or cut off"
_SHOWN_PATHS = 10
_REMEDY = "Choose another backup; this one can't be trusted."


@dataclass(frozen=True, kw_only=True, slots=True)
class FileRow:
    """A file of a backup: `path` relative to the root with `/`, `size` in bytes, `sha256` in lower-case hex."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A whole manifest whose checksum and totals are right."""

    header: dict[str, object]
    rows: tuple[FileRow, ...]
    trailer: dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Paths, sorted: found but not in the manifest, in the manifest but not found, found with another size or digest."""

    extra: tuple[str, ...]
    missing: tuple[str, ...]
    changed: tuple[str, ...]

    @property
    def same(self) -> bool:
        return not (self.extra or self.missing or self.changed)


def magic_line() -> str:
    return f"{MAGIC} {SCHEMA}\n"


def header_line(header: dict[str, object]) -> str:
    """The header as one line of compact JSON."""
    return _json_line(header)


def row_line(row: FileRow) -> str:
    """`<sha256> <size> <path>`. Raises InvalidManifest for a row that couldn't be read back, a path with a line break for one."""
    if problem := _problem_of_row(row):
        raise InvalidManifest(
            f'"{shown(row.path)}" can\'t go into a manifest: {problem}.', remedy="Rename or remove the file, and make the backup again."
        )
    return f"{row.sha256} {row.size} {row.path}\n"


def trailer_line(*, files: int, total: int, zip_size: int, zip_sha256: str) -> str:
    """The trailer; `total` is the sum of the files' sizes, written as `bytes`."""
    return _json_line({"files": files, "bytes": total, "zip_size": zip_size, "zip_sha256": zip_sha256})


def checksum_line(hexdigest: str) -> str:
    return f"sha256 {hexdigest}\n"


def _json_line(value: dict[str, object]) -> str:
    """ASCII only, so that no character in it can be taken for a line break."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False) + "\n"


def _problem_of_row(row: FileRow) -> str | None:
    if not _HEX.fullmatch(row.sha256):
        return "its digest isn't 64 hex digits in lower case"
    if row.size < 0:
        return f"its size is {row.size}"
    return problem_of_path(row.path)


class ManifestBuilder:
    """Writes a manifest through `write(bytes)` while it keeps its checksum and totals: `add` for each file, then `finish`."""

    def __init__(self, write: Callable[[bytes], object], header: dict[str, object]) -> None:
        self._write = write
        self._digest = hashlib.sha256()
        self._seen: set[str] = set()
        self.files = 0
        self.bytes = 0
        self._put(magic_line() + header_line(header))

    def add(self, row: FileRow) -> None:
        """Raises InvalidManifest for a row that can't be written, or the second one of a path."""
        line = row_line(row)
        key = fold(row.path)
        if key in self._seen:
            raise InvalidManifest(f'"{shown(row.path)}" is in the backup twice, as Windows compares names.', remedy="Rename one of the two files.")
        self._seen.add(key)
        self.files += 1
        self.bytes += row.size
        self._put(line)

    def finish(self, *, zip_size: int, zip_sha256: str) -> str:
        """Writes trailer and checksum; returns the checksum in hex."""
        self._put(trailer_line(files=self.files, total=self.bytes, zip_size=zip_size, zip_sha256=zip_sha256))
        checksum = self._digest.hexdigest()
        self._write(checksum_line(checksum).encode("ascii"))
        return checksum

    def _put(self, text: str) -> None:
        data = text.encode("utf-8")
        self._digest.update(data)
        self._write(data)


def parse_manifest(data: bytes | Iterable[bytes]) -> Manifest:
    """The manifest in `data`: its bytes, or its lines (each with its line feed, as a file opened for bytes yields them).

    Raises InvalidManifest saying what is wrong: another kind of file, a schema we don't know, cut off, a wrong checksum, a bad row.
    """
    lines = _verified(_lines(data) if isinstance(data, bytes) else data)
    header = _json_object(next(lines, ""), "header")
    if problem := _problem_of_schema(header):
        raise _invalid(problem)
    rows: list[FileRow] = []
    trailer: dict[str, object] | None = None
    for line in lines:
        if trailer is not None:
            raise _invalid("lines follow its trailer")
        if line.startswith("{"):
            trailer = _json_object(line, "trailer")
        else:
            rows.append(_row(line))
    if trailer is None:
        raise _invalid("it has no trailer")
    if problem := problem_of_trailer(trailer) or _problem_of_rows(rows, trailer):
        raise _invalid(problem)
    return Manifest(header=header, rows=tuple(rows), trailer=trailer)


def _lines(data: bytes) -> Iterator[bytes]:
    """Split at line feeds only: a path may hold what other functions take for a line break."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        yield data[start:end]
        start = end


def _verified(lines: Iterable[bytes]) -> Iterator[str]:
    """The lines between the first and the last, decoded, without line feed; the checksum is judged when they are used up.

    A flaw in a line is thereby told before a wrong checksum, which it also causes.
    """
    source = iter(lines)
    first = next(source, b"")
    _check_magic(first)
    digest = hashlib.sha256(first)
    last = next(source, b"")
    for following in source:
        digest.update(last)
        if not last.endswith(b"\n"):
            raise _invalid("a line in its middle isn't ended")
        yield _decoded(last)
        last = following
    _check_checksum(last, digest.hexdigest())


def _check_magic(line: bytes) -> None:
    text = line.decode("ascii", "replace").removesuffix("\n")
    if not text.startswith(MAGIC + " "):
        raise _invalid(f'it begins with "{shown(text)}", not with "{MAGIC}"')
    if text != f"{MAGIC} {SCHEMA}":
        raise _invalid(
            f'its schema version is "{shown(text.removeprefix(MAGIC + " "))}"; {SCHEMA} is supported',
            remedy="Read it with the collection that made it.",
        )


def _check_checksum(line: bytes, digest: str) -> None:
    match = re.fullmatch(rb"sha256 ([0-9a-f]{64})\n", line)
    if not match:
        raise _invalid("it is cut off: it doesn't end in the line with its checksum")
    if match.group(1).decode("ascii") != digest:
        raise _invalid(f"its checksum is {match.group(1).decode('ascii')}, but its bytes give {digest}: it was changed or damaged")


def _decoded(line: bytes) -> str:
    try:
        return line.removesuffix(b"\n").decode("utf-8")
    except UnicodeDecodeError:
        raise _invalid(f'the line "{shown(line.decode("utf-8", "replace"))}" isn\'t UTF-8') from None


def _json_object(text: str, what: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise _invalid(f'its {what} isn\'t JSON: "{shown(text)}"') from None
    if not isinstance(value, dict):
        raise _invalid(f'its {what} isn\'t a JSON object: "{shown(text)}"')
    return value


def _row(line: str) -> FileRow:
    match = _ROW.fullmatch(line)
    if not match:
        raise _invalid(f'the row "{shown(line)}" isn\'t "<sha256> <size> <path>"')
    row = FileRow(path=match.group(3), size=int(match.group(2)), sha256=match.group(1))
    if problem := problem_of_path(row.path):
        raise _invalid(f'its row of "{shown(row.path)}" can\'t be a file: {problem}')
    return row


def _problem_of_rows(rows: Iterable[FileRow], trailer: dict[str, object]) -> str | None:
    seen: set[str] = set()
    files, total = 0, 0
    for row in rows:
        key = fold(row.path)
        if key in seen:
            return f'the path "{shown(row.path)}" is in it twice, as Windows compares names'
        seen.add(key)
        files, total = files + 1, total + row.size
    if (files, total) != (trailer["files"], trailer["bytes"]):
        return f"its trailer counts {trailer['files']} files of {trailer['bytes']} bytes, but its rows are {files} files of {total} bytes"
    return None


def _invalid(problem: str, *, remedy: str = _REMEDY) -> InvalidManifest:
    return InvalidManifest(f"The manifest is no use: {problem}.", needed=f"a whole, unchanged manifest of schema version {SCHEMA}", remedy=remedy)


def read_head(header_text: str, trailer_text: str, intact: bool) -> ManifestHead:
    """The head of a manifest as a scan hands it over. Never raises: one damaged backup must not hide the agent; `problem` says what is wrong."""
    header, header_problem = _parsed(header_text, "header")
    trailer, trailer_problem = _parsed(trailer_text, "trailer")
    problem = None if intact else _NOT_INTACT
    problem = problem or header_problem or trailer_problem or problem_of_header(header) or problem_of_trailer(trailer)
    return ManifestHead(header=header, trailer=trailer, intact=problem is None, problem=problem)


def problem_of_head(head: ManifestHead) -> str | None:
    """Why the backup it belongs to can't be trusted; None when it can."""
    if not head.intact:
        return head.problem or _NOT_INTACT
    return problem_of_header(head.header) or problem_of_trailer(head.trailer)


def _parsed(text: str, what: str) -> tuple[dict[str, object], str | None]:
    try:
        return _json_object(text, what), None
    except InvalidManifest:
        return {}, f"its {what} isn't a JSON object"


_HEADER_TYPES: dict[str, tuple[type | None, ...]] = {
    "name": (str,),
    "created": (str,),
    "agent": (str,),
    "cluster": (str, None),
    "server_version": (str, None),
    "web_version": (str, None),
    "web_version_source": (str, None),
    "mode": (str,),
    "purpose": (str,),
    "left_out": (list,),
    "warnings": (list,),
}


def problem_of_header(header: dict[str, object]) -> str | None:
    """What is wrong with a header: a schema we don't know, a field that is missing or of another type; None when it serves."""
    if problem := _problem_of_schema(header):
        return problem
    for key, types in _HEADER_TYPES.items():
        if not _is_one_of(header.get(key), types):
            return f"its header's {key} is {shown(repr(header.get(key)))}"
    if header["mode"] not in MODES or header["purpose"] not in PURPOSES:
        return f"its mode is {header['mode']!r} and its purpose {header['purpose']!r}"
    if parse_time(header["created"]) is None:
        return f"its header's created is {shown(repr(header['created']))}, not a time like 2026-11-24T04:15:00Z"
    return None


def _problem_of_schema(header: dict[str, object]) -> str | None:
    schema = header.get("schema")
    supported = isinstance(schema, int) and not isinstance(schema, bool) and schema == SCHEMA
    return None if supported else f"its schema version is {shown(repr(schema))}; {SCHEMA} is supported"


def problem_of_trailer(trailer: dict[str, object]) -> str | None:
    """What is wrong with a trailer; None when it serves."""
    for key in ("files", "bytes", "zip_size"):
        value = trailer.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            return f"its trailer's {key} is {shown(repr(value))}"
    digest = trailer.get("zip_sha256")
    if not isinstance(digest, str) or not _HEX.fullmatch(digest):
        return f"its trailer's zip_sha256 is {shown(repr(digest))}"
    return None


def _is_one_of(value: object, types: tuple[type | None, ...]) -> bool:
    return any(value is None if kind is None else isinstance(value, kind) for kind in types)


def parse_time(text: object) -> datetime | None:
    """A time as manifests write it, UTC to the second; None when it isn't one."""
    try:
        return datetime.strptime(str(text), _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


def format_time(when: datetime) -> str:
    """The time as manifests write it; `when` must know its offset."""
    return when.astimezone(UTC).strftime(_TIME)


def compare(rows: Iterable[FileRow], found: Iterable[FileRow]) -> Comparison:
    """What was found against what the manifest says. Paths compare exactly; one found a second time is extra."""
    wanted = {row.path: row for row in rows}
    extra, changed, met = set[str](), set[str](), set[str]()
    for row in found:
        if row.path not in wanted or row.path in met:
            extra.add(row.path)
        elif (row.size, row.sha256) != (wanted[row.path].size, wanted[row.path].sha256):
            changed.add(row.path)
        met.add(row.path)
    return Comparison(extra=tuple(sorted(extra)), missing=tuple(sorted(wanted.keys() - met)), changed=tuple(sorted(changed)))


def check_head(head: ManifestHead) -> None:
    """Raises InvalidManifest where the head of a manifest says that it can't be trusted."""
    if problem := problem_of_head(head):
        raise _invalid(problem)


def check_same(name: str, found: Comparison, trailer: dict[str, object], zip_sha256: str) -> None:
    """Raises BackupInvalid where a zip isn't what its manifest says, telling extra, missing and changed files apart."""
    told = {"extra": found.extra, "missing": found.missing, "changed": found.changed}
    problems = [f"{len(paths)} {kind} ({', '.join(paths[:_SHOWN_PATHS])})" for kind, paths in told.items() if paths]
    if trailer.get("zip_sha256") != zip_sha256:
        problems.append("another SHA-256 of the whole zip")
    if problems:
        raise BackupInvalid(
            f"{name} doesn't hold what its manifest says",
            found="; ".join(problems),
            needed="the same files",
            remedy="choose another backup, or copy this one again",
        )
