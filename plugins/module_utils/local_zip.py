# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zips on a POSIX host, on all cores: packed, read back and unpacked file by file, with memory that doesn't grow with the content."""

from __future__ import annotations

import collections
import hashlib
import os
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from .errors import BackupInvalid
from .local_files import CHUNK

try:  # several times faster at the same ratio, where somebody installed it
    from isal import isal_zlib as fast_zlib
except ImportError:
    fast_zlib = zlib

SMALL = 4 * 1024 * 1024  # a file up to this size is packed in memory by one thread
BATCH_BYTES = 1024 * 1024
BATCH_FILES = 64
LOCAL_HEADER = struct.Struct("<4s5H3I2H")

Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Packed:
    """A file made ready for the zip: raw deflate data, or None where it was too large to hold."""

    size: int
    crc: int
    sha256: str
    data: bytes


def workers() -> int:
    return max(1, os.cpu_count() or 1)


def in_order(function: Callable[[Given], Made], given: Iterable[Given]) -> Iterator[Made]:
    """`map` on all cores, in order, with a bounded number of results waiting."""
    waiting: collections.deque[Future[Made]] = collections.deque()
    with ThreadPoolExecutor(workers()) as pool:
        try:
            for value in given:
                waiting.append(pool.submit(function, value))
                if len(waiting) > 2 * workers():
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def batches(given: Iterable[Given], size: Callable[[Given], int]) -> Iterator[list[Given]]:
    """Groups of a few files or about a megabyte, so that small files don't cost a task each."""
    batch: list[Given] = []
    total = 0
    for value in given:
        if batch and (total + size(value) > BATCH_BYTES or len(batch) >= BATCH_FILES):
            yield batch
            batch, total = [], 0
        batch.append(value)
        total += size(value)
    if batch:
        yield batch


def pack(path: Path, level: int) -> Packed:
    """Read and deflate a small file."""
    data = path.read_bytes()
    machine = fast_zlib.compressobj(level, zlib.DEFLATED, -15)
    packed = machine.compress(data) + machine.flush()
    return Packed(len(data), zlib.crc32(data), hashlib.sha256(data).hexdigest(), packed)


class ZipWriter:
    """A zip that takes data deflated elsewhere. Names are UTF-8, times are now: a zip's own times say nothing that the manifest doesn't."""

    def __init__(self, path: Path, level: int) -> None:
        self.level = level
        self.zip = zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED, allowZip64=True)
        self.moment = time.localtime()[:6]

    def _info(self, name: str) -> zipfile.ZipInfo:
        info = zipfile.ZipInfo(name, self.moment)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = 0o644 << 16
        info.flag_bits |= 0x800
        return info

    def add_packed(self, name: str, packed: Packed) -> None:
        info = self._info(name)
        info.CRC, info.file_size, info.compress_size = packed.crc, packed.size, len(packed.data)
        stream = self.zip.fp
        assert stream is not None
        info.header_offset = self.zip.start_dir
        stream.seek(self.zip.start_dir)
        stream.write(info.FileHeader(zip64=False))
        stream.write(packed.data)
        self.zip.start_dir = stream.tell()
        self.zip.filelist.append(info)
        self.zip.NameToInfo[name] = info
        self.zip._didModify = True

    def add_large(self, name: str, path: Path) -> tuple[int, str]:
        """Stream a file into the zip; gives size and SHA-256."""
        digest, size = hashlib.sha256(), 0
        info = self._info(name)
        info.file_size = path.stat().st_size
        with path.open("rb") as source, self.zip.open(info, "w", force_zip64=info.file_size > 0x7FFFFFFF) as target:
            while chunk := source.read(CHUNK):
                digest.update(chunk)
                size += len(chunk)
                target.write(chunk)
        return size, digest.hexdigest()

    def close(self) -> None:
        self.zip.close()


class ZipReader:
    """Reads entries from many threads at once, by position, checking each against its CRC."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise BackupInvalid(
                f"{path} can't be read as a zip", found=str(error), needed="a complete zip file", remedy="choose another backup, or copy the file again"
            ) from error
        self.handle = os.open(path, os.O_RDONLY)

    def close(self) -> None:
        self.zip.close()
        os.close(self.handle)

    def __enter__(self) -> ZipReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def entries(self) -> list[zipfile.ZipInfo]:
        return self.zip.infolist()

    def chunks(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        """The entry's content. Raises `BackupInvalid` where it isn't what the zip's directory says."""
        crc = size = 0
        try:
            for chunk in self._inflated(info):
                crc = zlib.crc32(chunk, crc)
                size += len(chunk)
                if size > info.file_size:
                    break
                yield chunk
        except (zlib.error, OSError, struct.error) as error:
            raise self._damaged(info, str(error)) from error
        if size != info.file_size or crc != info.CRC:
            raise self._damaged(info, f"{size} bytes with CRC {crc:08x} where the zip's directory says {info.file_size} bytes with CRC {info.CRC:08x}")

    def _damaged(self, info: zipfile.ZipInfo, what: str) -> BackupInvalid:
        return BackupInvalid(f"{self.path.name} is damaged at {info.filename}", found=what, needed="every entry readable", remedy="choose another backup")

    def _inflated(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        head = os.pread(self.handle, LOCAL_HEADER.size, info.header_offset)
        fields = LOCAL_HEADER.unpack(head)
        if fields[0] != b"PK\x03\x04":
            raise self._damaged(info, "no local header where the directory says")
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise self._damaged(info, "an encrypted entry or an unknown compression")
        position, left = info.header_offset + LOCAL_HEADER.size + fields[9] + fields[10], info.compress_size
        machine = zlib.decompressobj(-15) if info.compress_type == zipfile.ZIP_DEFLATED else None
        while left:
            data = os.pread(self.handle, min(CHUNK, left), position)
            if not data:
                raise self._damaged(info, "the file ends within the entry")
            position, left = position + len(data), left - len(data)
            yield from self._step(machine, data)

    @staticmethod
    def _step(machine: Any, data: bytes) -> Iterator[bytes]:
        if machine is None:
            yield data
            return
        while data:
            yield machine.decompress(data, CHUNK)
            data = machine.unconsumed_tail
