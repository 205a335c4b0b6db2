# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zips on a POSIX host, on all cores: read back and unpacked file by file, with memory that doesn't grow with the content."""

from __future__ import annotations

import collections
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from .errors import BackupInvalid
from .local_files import CHUNK

SMALL = 4 * 1024 * 1024  # a file up to this size is packed in memory by one thread
BATCH_BYTES = 1024 * 1024
BATCH_FILES = 64
MOST_WORKERS = 8  # what waits for its turn is held in memory
LOCAL_HEADER = struct.Struct("<4s5H3I2H")
CORRUPT = (zipfile.BadZipFile, OSError, ValueError, OverflowError, NotImplementedError, struct.error, zlib.error, IndexError)
"""What the standard library raises for files that are no zips, or damaged ones."""

Given = TypeVar("Given")
Made = TypeVar("Made")


def workers() -> int:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(usable, MOST_WORKERS))


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


class ZipReader:
    """Reads entries from many threads at once, by position, checking each against its CRC."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.zip = zipfile.ZipFile(path)
        except CORRUPT as error:
            raise BackupInvalid(
                f"{path} can't be read as a zip", found=str(error), needed="a complete zip file", remedy="choose another backup, or copy the file again"
            ) from error
        self.handle = os.open(path, os.O_RDONLY)
        self._check_overlap()

    def _check_overlap(self) -> None:
        """Entries that share their bytes grow to any size, each within the limits."""
        room, claimed = os.fstat(self.handle).st_size, sum(LOCAL_HEADER.size + info.compress_size for info in self.zip.infolist())
        if claimed > room:
            self.close()
            raise BackupInvalid(
                f"{self.path} can't be read as a zip",
                found=f"entries of {claimed} bytes in a file of {room}",
                needed="entries that don't overlap",
                remedy="choose another backup",
            )

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
        except CORRUPT as error:
            raise self._damaged(info, str(error)) from error
        if size != info.file_size or crc != info.CRC:
            raise self._damaged(info, f"{size} bytes with CRC {crc:08x} where the zip's directory says {info.file_size} bytes with CRC {info.CRC:08x}")

    def _damaged(self, info: zipfile.ZipInfo, what: str) -> BackupInvalid:
        return BackupInvalid(f"{self.path.name} is damaged at {info.filename}", found=what, needed="every entry readable", remedy="choose another backup")

    def _inflated(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        fields = LOCAL_HEADER.unpack(os.pread(self.handle, LOCAL_HEADER.size, info.header_offset))
        if fields[0] != b"PK\x03\x04":
            raise self._damaged(info, "no local header where the directory says")
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise self._damaged(info, "an encrypted entry or an unknown compression")
        start = info.header_offset + LOCAL_HEADER.size + fields[9] + fields[10]
        packed = self._packed(info, start)
        return packed if info.compress_type == zipfile.ZIP_STORED else self._inflate(packed)

    def _packed(self, info: zipfile.ZipInfo, position: int) -> Iterator[bytes]:
        left = info.compress_size
        while left:
            data = os.pread(self.handle, min(CHUNK, left), position)
            if not data:
                raise self._damaged(info, "the file ends within the entry")
            position, left = position + len(data), left - len(data)
            yield data

    @staticmethod
    def _inflate(packed: Iterator[bytes]) -> Iterator[bytes]:
        machine: Any = zlib.decompressobj(-zlib.MAX_WBITS)
        for data in packed:
            chunk = machine.decompress(data, CHUNK)
            while chunk:  # the machine may hold more than it gave, with nothing left to feed it
                yield chunk
                chunk = machine.decompress(machine.unconsumed_tail, CHUNK)
