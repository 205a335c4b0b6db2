# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zips on a POSIX host, on all cores: read back and unpacked file by file, with memory that doesn't grow with the content."""

from __future__ import annotations

import collections
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from .errors import BackupInvalid
from .local_files import CHUNK, reason
from .local_zipdirectory import BadDirectory, Member, read_directory

SMALL = 2 * 1024 * 1024  # a file up to this size is packed in memory by one thread
BATCH_BYTES = 1024 * 1024
BATCH_FILES = 64
MOST_WORKERS = 8  # what waits for its turn is held in memory
STORED, DEFLATED = 0, 8
ENCRYPTED = 1
LEFT_OPEN = 0xFFFFFFFF
CUT = "the file ends within the entry"
LOCAL_HEADER = struct.Struct("<4s5H3I2H")
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


def drained(values: list[Given]) -> Iterator[Given]:
    """The values in order, each let go of as it is given."""
    values.reverse()
    while values:
        yield values.pop()


class ZipReader:
    """Reads entries from many threads at once, by position, checking each against its CRC."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise self._unreadable(reason(error)) from error
        try:
            self.members = read_directory(self.handle)
            self._check_overlap()
        except BadDirectory as error:
            os.close(self.handle)
            raise self._unreadable(str(error)) from error

    def _unreadable(self, why: str) -> BackupInvalid:
        return BackupInvalid(
            f"{self.path} can't be read as a zip", found=why, needed="a complete zip file", remedy="choose another backup, or copy the file again"
        )

    def _check_overlap(self) -> None:
        """Entries that share their bytes grow to any size, each within the limits."""
        room, claimed = os.fstat(self.handle).st_size, sum(LOCAL_HEADER.size + member.packed for member in self.members)
        if claimed > room:
            raise BadDirectory(f"it has entries of {claimed} bytes in a file of {room}: they overlap")

    def close(self) -> None:
        os.close(self.handle)

    def __enter__(self) -> ZipReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def chunks(self, member: Member) -> Iterator[bytes]:
        """The entry's content. Raises `BackupInvalid` where it isn't what the zip's directory says."""
        crc = size = 0
        try:
            for chunk in self._inflated(member):
                crc = zlib.crc32(chunk, crc)
                size += len(chunk)
                if size > member.size:
                    break
                yield chunk
        except zlib.error as error:
            raise self._other(member) from error
        except (OSError, OverflowError) as error:
            raise self._damaged(member, str(error)) from error
        if size != member.size or crc != member.crc:
            raise self._other(member)

    def _other(self, member: Member) -> BackupInvalid:
        return self._damaged(member, f"other bytes than the zip's directory says: {member.size} bytes with CRC {member.crc:08x}")

    def _damaged(self, member: Member, what: str) -> BackupInvalid:
        return BackupInvalid(
            f"{self.path.name} is damaged at {member.name}", found=what, needed="every entry readable", remedy="choose another backup"
        )

    def _inflated(self, member: Member) -> Iterator[bytes]:
        name = member.raw_name
        head = os.pread(self.handle, LOCAL_HEADER.size + len(name), member.offset)
        if len(head) < LOCAL_HEADER.size + len(name):
            raise self._damaged(member, CUT)
        fields = LOCAL_HEADER.unpack_from(head)
        if problem := _problem_of_header(member, fields, (fields[9], head[LOCAL_HEADER.size :]) == (len(name), name)):
            raise self._damaged(member, problem)
        packed = self._packed(member, member.offset + LOCAL_HEADER.size + fields[9] + fields[10])
        return packed if member.method == STORED else self._inflate(packed)

    def _packed(self, member: Member, position: int) -> Iterator[bytes]:
        left = member.packed
        while left:
            data = os.pread(self.handle, min(CHUNK, left), position)
            if not data:
                raise self._damaged(member, CUT)
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


def _problem_of_header(member: Member, fields: tuple[Any, ...], same_name: bool) -> str | None:
    """What is wrong with an entry's own header. What it leaves open, the directory says."""
    signature, _version, _flags, method, _time, _date, crc, packed, size, _length, _extra = fields
    if signature != b"PK\x03\x04":
        return "no local header where the directory says"
    if member.flags & ENCRYPTED or member.method not in (STORED, DEFLATED):
        return "an encrypted entry or an unknown compression"
    if method != member.method or not same_name:
        return "another name or method in its header than in the directory"
    said = ((crc, member.crc), (packed, member.packed), (size, member.size))
    if any(here not in (0, LEFT_OPEN) and here != there for here, there in said):
        return "other sums in its header than in the directory"
    return None
