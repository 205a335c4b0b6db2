# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing a zip on a POSIX host: small files are deflated elsewhere, on all cores, and only put in; large ones stream through.

The standard library's writer deflates by itself, on one core. Layout: APPNOTE.TXT of PKWARE, sections 4.3 and 4.5.
"""

from __future__ import annotations

import contextlib
import hashlib
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from .local_files import CHUNK
from .local_zip import DEFLATED, STORED
from .local_zipdirectory import UTF8_NAME

fast_zlib: ModuleType | None = None
try:  # several times faster at the same ratio, where somebody installed it
    from isal import isal_zlib

    fast_zlib = isal_zlib
except ImportError:
    pass
FAST_LEVELS = (1, 2, 3)  # the levels of zlib that it has an equal to

SAMPLE = 4096  # bytes tried before a file is deflated
HARDLY = 0.97  # what doesn't shrink below this part of its size, pictures for one, is stored
STORE_BEYOND = 100  # what shrinks more than so many times is stored: whoever reads the zip back would have to take it for a bomb
ZIP64_SIZE = 0x7FFFFFFF  # a size from which the 32 bits of the plain format may not do, deflate's growth included
ZIP64_FIELD = 0xFFFFFFFF
ZIP64_COUNT = 0xFFFF
REGULAR_FILE = 0o100644 << 16
MADE_BY_UNIX = 3 << 8

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")


class Unsteady(Exception):
    """A file can't be read, or is longer or shorter than it was; says which."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A file made ready for the zip: raw deflate data, or the bytes themselves where deflating doesn't pay."""

    method: int
    size: int
    crc: int
    sha256: str
    data: bytes


@dataclass(frozen=True, slots=True)
class _Entry:
    name: bytes
    method: int
    crc: int
    packed: int
    size: int
    offset: int


def pack(path: str, size: int, level: int) -> Packed:
    """Read and deflate a small file. Raises `Unsteady` unless it has `size` bytes."""
    data = _read(path, size)
    packed = _deflated(data, level) if size and not _looks_packed(data) else data
    if not len(packed) < size <= STORE_BEYOND * len(packed):
        packed = data
    return Packed(STORED if packed is data else DEFLATED, size, zlib.crc32(data), hashlib.sha256(data).hexdigest(), packed)


def _read(path: str, size: int) -> bytes:
    try:
        with open(path, "rb", buffering=0) as stream:  # noqa: PTH123 (called for every file of a backup: a Path is slow)
            data = stream.read(size + 1)
            while len(data) < size and (more := stream.read(size + 1 - len(data))):  # a read may give less than was asked for
                data += more
    except OSError as error:
        raise Unsteady(error.strerror) from error
    if len(data) != size:
        raise Unsteady("its size changed")
    return data


def _chunks(path: str, size: int) -> Iterator[bytes]:
    try:
        with open(path, "rb", buffering=0) as stream:  # noqa: PTH123
            while chunk := stream.read(CHUNK):
                yield chunk
                size -= len(chunk)
                if size < 0:
                    break
    except OSError as error:
        raise Unsteady(error.strerror) from error
    if size:
        raise Unsteady("its size changed")


def _machine(level: int) -> Any:
    library = fast_zlib if fast_zlib and level in FAST_LEVELS else zlib
    return library.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)


def _deflated(data: bytes, level: int) -> bytes:
    machine = _machine(level)
    packed: bytes = machine.compress(data) + machine.flush()
    return packed


def _looks_packed(data: bytes) -> bool:
    """Whether a piece of the start and one of the middle hardly shrink: deflating pictures takes longest and gains nothing."""
    if len(data) < 2 * SAMPLE:
        return False
    middle = len(data) // 2
    return _hardly_shrinks(data[: SAMPLE // 2] + data[middle : middle + SAMPLE // 2])


def _hardly_shrinks(sample: bytes) -> bool:
    return len(_deflated(sample, 1)) > HARDLY * len(sample)


def _file_looks_packed(path: str, size: int) -> bool:
    try:
        with open(path, "rb", buffering=0) as stream:  # noqa: PTH123
            sample = stream.read(SAMPLE // 2)
            stream.seek(size // 2)
            return _hardly_shrinks(sample + stream.read(SAMPLE // 2))
    except OSError as error:
        raise Unsteady(error.strerror) from error


class ZipWriter:
    """A new zip. Names are UTF-8, times are now: a zip's own times say nothing that the manifest doesn't."""

    def __init__(self, path: Path, level: int) -> None:
        self.level = level
        self.stream = path.open("xb", buffering=CHUNK)
        self.directory = bytearray()  # written at the end; as bytes it takes a tenth of what objects would
        self.count = 0
        moment = time.localtime()
        self.date = (max(moment.tm_year, 1980) - 1980) << 9 | moment.tm_mon << 5 | moment.tm_mday
        self.time = moment.tm_hour << 11 | moment.tm_min << 5 | moment.tm_sec // 2

    def add_packed(self, name: str, packed: Packed) -> None:
        entry = _Entry(name.encode(), packed.method, packed.crc, len(packed.data), packed.size, self.stream.tell())
        self.stream.write(self._local(entry))
        self.stream.write(packed.data)
        self._enter(entry)

    def add_large(self, name: str, path: str, size: int) -> str:
        """Stream a file of `size` bytes into the zip; gives its SHA-256. Raises `Unsteady` where it has another size."""
        offset = self.stream.tell()
        method = STORED if _file_looks_packed(path, size) else DEFLATED
        entry, digest = self._stream(name.encode(), path, size, method)
        if method == DEFLATED and not entry.packed < size <= STORE_BEYOND * entry.packed:
            self.stream.seek(offset)
            entry, digest = self._stream(name.encode(), path, size, STORED)
            self.stream.truncate()
        self._enter(entry)
        return digest

    def _stream(self, name: bytes, path: str, size: int, method: int) -> tuple[_Entry, str]:
        """Write an entry whose header is filled in at the end."""
        entry = _Entry(name, method, 0, 0, size, self.stream.tell())
        self.stream.write(self._local(entry))
        machine = _machine(self.level) if method == DEFLATED else None
        digest, crc, packed = hashlib.sha256(), 0, 0
        for chunk in _chunks(path, size):
            digest.update(chunk)
            crc = zlib.crc32(chunk, crc)
            packed += self.stream.write(machine.compress(chunk) if machine else chunk)
        packed += self.stream.write(machine.flush()) if machine else 0
        entry, end = _Entry(name, method, crc, packed, size, entry.offset), self.stream.tell()
        self.stream.seek(entry.offset)
        self.stream.write(self._local(entry))
        self.stream.seek(end)
        return entry, digest.hexdigest()

    def _local(self, entry: _Entry) -> bytes:
        long = entry.size >= ZIP64_SIZE
        packed, size = (ZIP64_FIELD, ZIP64_FIELD) if long else (entry.packed, entry.size)
        extra = struct.pack("<HHQQ", 1, 16, entry.size, entry.packed) if long else b""
        needed = 45 if long else 20
        head = _LOCAL.pack(b"PK\3\4", needed, UTF8_NAME, entry.method, self.time, self.date, entry.crc, packed, size, len(entry.name), len(extra))
        return head + entry.name + extra

    def _enter(self, entry: _Entry) -> None:
        self.directory += self._central(entry)
        self.count += 1

    def _central(self, entry: _Entry) -> bytes:
        long, far = entry.size >= ZIP64_SIZE, entry.offset >= ZIP64_FIELD
        packed, size = (ZIP64_FIELD, ZIP64_FIELD) if long else (entry.packed, entry.size)
        more = ([entry.size, entry.packed] if long else []) + ([entry.offset] if far else [])
        extra = struct.pack(f"<HH{len(more)}Q", 1, 8 * len(more), *more) if more else b""
        needed = 45 if more else 20
        about = (b"PK\1\2", MADE_BY_UNIX | needed, needed, UTF8_NAME, entry.method, self.time, self.date, entry.crc, packed, size, len(entry.name))
        return _CENTRAL.pack(*about, len(extra), 0, 0, 0, REGULAR_FILE, ZIP64_FIELD if far else entry.offset) + entry.name + extra

    def close(self) -> None:
        """Write the directory and let go of the file."""
        with self.stream:
            start = self.stream.tell()
            self.stream.write(self.directory)
            self.stream.write(self._end(start, len(self.directory)))

    def _end(self, start: int, length: int) -> bytes:
        count = self.count
        tail = _END.pack(b"PK\5\6", 0, 0, min(count, ZIP64_COUNT), min(count, ZIP64_COUNT), min(length, ZIP64_FIELD), min(start, ZIP64_FIELD), 0)
        if count < ZIP64_COUNT and start + length < ZIP64_FIELD:
            return tail
        long = _END64.pack(b"PK\6\6", 44, MADE_BY_UNIX | 45, 45, 0, 0, count, count, length, start)
        return long + _LOCATOR.pack(b"PK\6\7", 0, start + length, 1) + tail

    def abandon(self) -> None:
        """Let go of a file that nobody will read."""
        with contextlib.suppress(OSError):
            self.stream.close()
