# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files on a POSIX host: durable writes, texts, walks that never follow a link."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from .agent_files import decode_text

CHUNK = 1024 * 1024


def utc_text(timestamp: float) -> str:
    """Seconds since the epoch as the scan document writes times."""
    return datetime.fromtimestamp(timestamp, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def reason(error: OSError) -> str:
    """Why a file can't be read; of one that isn't there in the words of every adapter."""
    return "no such file" if isinstance(error, FileNotFoundError) else error.strerror or str(error)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomic(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace `path` by rename, so that a reader sees the old bytes or the new ones."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as stream:
            stream.write(data)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """In ASCII: a name that is no valid text must not keep an error that quotes it from being written."""
    write_atomic(path, json.dumps(value).encode("ascii"), durable=durable)


def read_json(path: Path) -> Any:
    """The value, or None where the file is missing or half a file."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def open_unlinked(path: Path) -> BinaryIO:
    """Open for reading. Raises OSError for a link, though it was none when it was found."""
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW))


def read_text(path: Path | None, limit: int) -> dict[str, str | None]:
    """A `Text` of the scan document."""
    if path is None:
        return {"text": None, "error": "missing"}
    try:
        with open_unlinked(path) as stream:
            data = stream.read(limit + 1)
    except FileNotFoundError:
        return {"text": None, "error": "missing"}
    except OSError:
        return {"text": None, "error": "unreadable"}
    if len(data) > limit:
        return {"text": None, "error": "too large"}
    return {"text": decode_text(data), "error": None}


def read_tail(path: Path, count: int) -> str | None:
    """The last `count` bytes as text, or None where there is no such file."""
    try:
        with open_unlinked(path) as stream:
            start = stream.read(4)
            size = stream.seek(0, os.SEEK_END)
            offset = max(0, size - count) & ~1
            stream.seek(offset)
            data = stream.read(count + 1)
    except OSError:
        return None
    mark = next((m for m in (b"\xff\xfe", b"\xfe\xff") if start.startswith(m)), b"") if offset else b""
    return decode_text(mark + data)


def find(root: Path, *parts: str) -> Path | None:
    """The entry with that name, without regard to case where the exact one is missing, as Windows would. Never raises."""
    current = root
    for part in parts:
        exact = current / part
        if not os.path.lexists(exact):
            match = [name for name in _names(current) if name.lower() == part.lower()]
            if not match:
                return None
            exact = current / match[0]
        current = exact
    return current


def _names(folder: Path) -> list[str]:
    try:
        return sorted((path.name for path in folder.iterdir()), key=utf16_key)
    except OSError:
        return []


def utf16_key(name: str) -> bytes:
    """Sorts by UTF-16 code units, the one order that every adapter can produce."""
    return name.encode("utf-16-be", "surrogatepass")


def entries(folder: Path | str) -> list[os.DirEntry[str]]:
    """The entries of a folder in the common order."""
    with os.scandir(folder) as found:
        return sorted(found, key=lambda entry: utf16_key(entry.name))


def walk(folder: Path | str, failed: Callable[[str, OSError], None]) -> Iterator[os.DirEntry[str]]:
    """All files and links below `folder`; links aren't followed. A folder that can't be read is told to `failed` and passed over."""
    try:
        found = entries(folder)
    except OSError as error:
        failed(str(folder), error)
        return
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from walk(entry.path, failed)
        else:
            yield entry


def write_all(write: Callable[[memoryview], int | None], data: bytes) -> None:
    """Write to an unbuffered file, which may take less than it is given."""
    rest = memoryview(data)
    while rest:
        rest = rest[write(rest) or 0 :]


def sha256_file(path: Path | str) -> str:
    with open(path, "rb", buffering=0) as stream:  # noqa: PTH123 (called for every file of a backup: a Path is slow)
        return hashlib.file_digest(stream, "sha256").hexdigest()


def remove_tree(folder: Path) -> None:
    """Delete a folder of our own, read-only files and folders included."""
    if not folder.is_dir() or folder.is_symlink():
        return
    with contextlib.suppress(OSError):
        folder.chmod(0o700)
    for entry in entries(folder):
        if entry.is_dir(follow_symlinks=False):
            remove_tree(Path(entry.path))
        else:
            os.unlink(entry.path)  # noqa: PTH108
    folder.rmdir()
