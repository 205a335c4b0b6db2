# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which names may stand in a backup: safe to extract, and possible on Windows.

A zip is untrusted whoever made it: its entries must stay beneath the three known folders, must be plain files and must mean the same
file on every agent. Nothing here opens a zip; adapters hand over what its central directory says.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from .errors import BackupInvalid, UnsafeEntry

ROOTS = ("Applications", "Dashboards", "Web")
"""The folders a backup may hold, below `C:\\Skyline DataMiner`."""

MAX_PART_UNITS = 255
"""UTF-16 units in one name: the limit of NTFS."""
MAX_PATH_UNITS = 32_000
"""UTF-16 units in a path: Windows ends at 32,767 for long paths, and the folder it is extracted to comes on top."""

MAX_ENTRIES = 2_000_000
"""A large system has 600,000 files; three times that leaves room."""
MAX_TOTAL = 64 * 1024**3
"""Bytes after extraction: 600,000 files of real apps are about 8 GB; eight times that leaves room."""
MAX_RATIO = 200.0
"""Uncompressed to compressed: JSON reaches 10 to 50, deflate ends at 1032, which only made-up data comes near."""
RATIO_FROM = 1024**2
"""Bytes below which one entry's own ratio isn't judged: a small file of blanks may compress extremely well."""

_BAD_CHARS = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"|?*\\\ud800-\udfff]')
_PLAIN_PART = r"(?!(?i:con|prn|aux|nul|com|lpt))[A-Za-z0-9_-]{1,60}(?:\.[A-Za-z0-9_-]{1,60}){0,3}"
_PLAIN_PATH = re.compile(rf"(?:{_PLAIN_PART}/){{0,40}}{_PLAIN_PART}")  # nearly every path there is, judged in one go
_DEVICES = frozenset(
    ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"] + [port + digit for port in ("COM", "LPT") for digit in "0123456789¹²³"]
)
_SHOWN_OFFENDERS = 10
_SHOWN_CHARS = 160

_FLAGS_REFUSED = {0x0001: "it is encrypted", 0x0020: "it is patched data", 0x0040: "it is encrypted", 0x2000: "its header is encrypted"}
_METHODS = frozenset({0, 8})
_TYPE_MASK, _TYPE_FILE, _TYPE_FOLDER = 0o170000, 0o100000, 0o040000
_DOS_FOLDER, _DOS_DEVICE, _DOS_REPARSE = 0x10, 0x40, 0x400
_DOS_SYSTEMS = frozenset({0, 10, 11, 14})


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """An entry as the central directory tells it. `name` is the whole name: zipfile's `orig_filename`, not `filename`, which ends at a NUL."""

    name: str
    size: int
    compressed: int
    flags: int = 0
    external_attr: int = 0
    create_system: int = 0
    method: int = 8
    crc: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class SafeEntry:
    """A file that may be extracted. `name` is what the zip calls it, `path` where it goes: `/` between the parts, the root spelt as in `ROOTS`."""

    name: str
    path: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a zip may grow to. `ratio` holds for the whole zip and for each entry of at least `RATIO_FROM` bytes."""

    entries: int = MAX_ENTRIES
    total: int = MAX_TOTAL
    ratio: float = MAX_RATIO


DEFAULT_LIMITS = Limits()


def fold(text: str) -> str:
    """The text as Windows compares names: each UTF-16 unit in upper case, where that is one unit ("ß" stays, characters beyond U+FFFF stay).

    It may fold a few letters more than NTFS's own table (the dotless i), which refuses a pair too many, never lets a duplicate pass.
    """
    if text.isascii():
        return text.upper()
    return "".join(_upper(char) for char in text)


def _upper(char: str) -> str:
    """Some Greek letters become two in upper case ("ᾀ"), but NTFS takes them for the single one of their title case ("ᾈ")."""
    single = next((form for form in (char.upper(), char.title()) if len(form) == 1), char)
    return single if char <= "\uffff" else char


def shown(name: str) -> str:
    """The name fit for a message: what doesn't print is escaped, and a long one is cut."""
    text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in name[: _SHOWN_CHARS + 1])
    return text if len(name) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…"


def problem_of_path(path: str) -> str | None:
    """Why Windows can't hold a file or folder of this relative path with `/` separators; None when it can.

    Also the check before a backup is made on another system: what Windows couldn't take back is refused before anything is written.
    """
    if _PLAIN_PATH.fullmatch(path):
        return None
    if not path:
        return "it is empty"
    if path.startswith(("/", "\\")):
        return "it is an absolute path"
    if re.match(r"[A-Za-z]:", path):
        return "it names a drive"
    if _units(path) > MAX_PATH_UNITS:
        return f"it is longer than {MAX_PATH_UNITS} characters"
    return next((problem for part in path.split("/") if (problem := _problem_of_part(part))), None)


def _problem_of_part(part: str) -> str | None:
    if part in ("", ".", ".."):
        return f'it has a part "{part}"'
    if bad := _BAD_CHARS.search(part):
        return f"it has the character {bad.group()!a}, which Windows doesn't allow in a name"
    if part[-1] in ". ":
        return "a part ends in a dot or a space, which Windows drops"
    if fold(part.split(".", 1)[0].rstrip(" ")) in _DEVICES:
        return f'"{shown(part)}" is a device to Windows'
    if _units(part) > MAX_PART_UNITS:
        return f"a part is longer than {MAX_PART_UNITS} characters"
    return None


def _units(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def names_digest(names: Iterable[str]) -> str:
    """SHA-256 (hex) of the lines `<name>\\n` in UTF-8, names as in the zip, sorted by UTF-16 code units: every script language can do the same."""
    digest = hashlib.sha256()
    for name in sorted(names, key=lambda name: name.encode("utf-16-be", "surrogatepass")):
        digest.update(name.encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()


def check_entries(entries: Sequence[Entry], limits: Limits = DEFAULT_LIMITS) -> list[SafeEntry]:
    """The files of a zip, in its order, when every entry is safe; folder entries are checked and dropped.

    A backslash counts as a separator: zips made on .NET Framework before 4.6.1 have them. Raises UnsafeEntry, which names up to ten offenders
    and why, and BackupInvalid for a zip that is harmless but holds none of the known roots.
    """
    if problem := _problem_of_totals(entries, limits):
        raise UnsafeEntry(f"The zip is refused: {problem}.", remedy="Choose another backup, or raise the limit if the zip is known to be good.")
    problems: dict[int, str] = {}
    stray: dict[int, str] = {}
    files: list[tuple[int, SafeEntry]] = []
    folders: list[str] = []
    for number, entry in enumerate(entries):
        path = _normalised(entry.name)
        if problem := problem_of_path(path) or _problem_of_kind(entry, limits):
            problems[number] = problem
        elif path.split("/", 1)[0] not in ROOTS:
            stray[number] = f"it isn't beneath {', '.join(ROOTS)}"
        elif _is_folder(entry):
            folders.append(path)
        else:
            files.append((number, SafeEntry(name=entry.name, path=path, size=entry.size)))
    if not problems and not files and not folders:
        raise _no_roots(entries)
    problems |= stray | dict(_clashes(files, folders))
    if problems:
        raise _unsafe(entries, problems)
    return [file for _number, file in files]


def _normalised(name: str) -> str:
    """The name with `/` only, without the final one of a folder, its root spelt as we spell it."""
    path = name.replace("\\", "/")
    first, slash, rest = path.removesuffix("/").partition("/")
    path = next((root for root in ROOTS if fold(root) == fold(first)), first) + slash + rest
    return name if path == name else path  # one text for both: there may be very many


def _is_folder(entry: Entry) -> bool:
    return entry.name.endswith(("/", "\\"))


def _problem_of_totals(entries: Sequence[Entry], limits: Limits) -> str | None:
    if len(entries) > limits.entries:
        return f"it has {len(entries)} entries, and {limits.entries} is the limit"
    if any(entry.size < 0 or entry.compressed < 0 for entry in entries):
        return "it has an entry of negative size"
    total, compressed = sum(entry.size for entry in entries), sum(entry.compressed for entry in entries)
    if total > limits.total:
        return f"it would take {total} bytes extracted, and {limits.total} is the limit"
    if total >= RATIO_FROM and total > compressed * limits.ratio:
        return f"it would grow from {compressed} to {total} bytes, more than {limits.ratio:g} times"
    return None


def _problem_of_kind(entry: Entry, limits: Limits) -> str | None:
    """What speaks against the entry beside its name."""
    for flag, problem in _FLAGS_REFUSED.items():
        if entry.flags & flag:
            return problem
    if entry.method not in _METHODS:
        return f"its compression method is {entry.method}; stored (0) and deflated (8) are supported"
    if entry.method == 0 and entry.compressed != entry.size:
        return "it is stored, but its two sizes differ"
    if entry.size >= RATIO_FROM and entry.size > entry.compressed * limits.ratio:
        return f"it would grow from {entry.compressed} to {entry.size} bytes, more than {limits.ratio:g} times"
    return _problem_of_attributes(entry)


def _problem_of_attributes(entry: Entry) -> str | None:
    """A link, a device, or a contradiction between name and attributes.

    The upper half is a Unix mode when it isn't zero, whatever system the entry claims to be from; the lower one holds DOS attributes.
    """
    kind = entry.external_attr >> 16 & _TYPE_MASK
    if kind not in (0, _TYPE_FILE, _TYPE_FOLDER):
        return "it is a symbolic link or another special file"
    if entry.create_system in _DOS_SYSTEMS and entry.external_attr & (_DOS_REPARSE | _DOS_DEVICE):
        return "it is a link or a device"
    if _is_folder(entry):
        return "it is a folder by name, but holds data" if entry.size or kind == _TYPE_FILE else None
    if kind == _TYPE_FOLDER or entry.external_attr & _DOS_FOLDER:
        return "it is a file by name, but marked as a folder"
    return None


def _clashes(files: Sequence[tuple[int, SafeEntry]], folders: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Files that would land on one another: the same path to Windows, or a path that another entry uses as a folder."""
    parents = {fold(path) for path in folders} | {fold(root) for root in ROOTS}
    parents |= {fold(parent) for parent in {parent for _number, file in files for parent in _parents(file.path)}}
    seen: dict[str, str] = {}
    for number, file in files:
        key = fold(file.path)
        if key in parents:
            yield number, "it is a file, but other entries or the backup need a folder of this name"
        elif key in seen:
            yield number, f'Windows takes it for the same file as "{shown(seen[key])}"'
        seen.setdefault(key, file.name)


def _parents(path: str) -> Iterator[str]:
    end = path.rfind("/")
    while end > 0:
        yield path[:end]
        end = path.rfind("/", 0, end)


def _unsafe(entries: Sequence[Entry], problems: dict[int, str]) -> UnsafeEntry:
    listed = [f'"{shown(entries[number].name)}": {problems[number]}' for number in sorted(problems)[:_SHOWN_OFFENDERS]]
    more = [f"and {len(problems) - len(listed)} more"] if len(problems) > len(listed) else []
    return UnsafeEntry(
        f"The zip has {len(problems)} entries that must not be extracted.",
        found="; ".join(listed + more),
        needed=f"plain files beneath {', '.join(ROOTS)} with names that Windows can hold",
        remedy="Nothing was extracted. Choose another backup, and find out who made this one.",
    )


def _no_roots(entries: Sequence[Entry]) -> BackupInvalid:
    tops = sorted({shown(re.split(r"[/\\]", entry.name, maxsplit=1)[0]) for entry in entries})
    return BackupInvalid(
        "The zip is no backup of web content.",
        found=", ".join(tops[:_SHOWN_OFFENDERS]) or "no entry at all",
        needed=f"at least one of the folders {', '.join(ROOTS)} at its top",
        remedy="Choose another backup.",
    )
