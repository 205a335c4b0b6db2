# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory of a zip, read into as little memory as it takes: a large backup has hundreds of thousands of entries.

Layout: APPNOTE.TXT of PKWARE, sections 4.3 and 4.5. Whatever doesn't fit it raises `BadDirectory`.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

UTF8_NAME = 0x800
_CENTRAL = struct.Struct("<4s4B4HL2L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_LONGEST_COMMENT = 0xFFFF
_LARGEST = 1024**3  # bytes of a directory: five million entries
_LARGEST_FILE = 1024**6  # no file system holds more
_LEFT_OPEN = 0xFFFFFFFF
_ZIP64 = 1


class BadDirectory(Exception):
    """A file that is no zip, or a damaged one; says why."""


@dataclass(frozen=True, slots=True)
class Member:
    """An entry as the directory tells it.

    `name` is the whole name; `flags`, `method`, `system` (that made it), `attributes` and `moment` (DOS date and time) are as they stand.
    """

    name: str
    size: int
    packed: int
    offset: int
    crc: int
    flags: int
    method: int
    system: int
    attributes: int
    moment: int

    @property
    def raw_name(self) -> bytes:
        return self.name.encode("utf-8" if self.flags & UTF8_NAME else "cp437")

    @property
    def date_time(self) -> tuple[int, int, int, int, int, int]:
        """Year, month, day, hour, minute, second in the maker's local time; may be a date that never was."""
        date, time = self.moment >> 16, self.moment & 0xFFFF
        return (date >> 9) + 1980, date >> 5 & 15, date & 31, time >> 11, time >> 5 & 63, (time & 31) * 2


def read_directory(handle: int) -> list[Member]:
    """The entries of the open zip `handle`, in the directory's order."""
    try:
        start, length, count, shift = _where(handle)
        data = os.pread(handle, length, start)
        if len(data) != length:
            raise BadDirectory("its directory is cut off")
        members = list(_members(data, shift))
    except struct.error as error:
        raise BadDirectory("its directory is cut off") from error
    except UnicodeDecodeError as error:
        raise BadDirectory("a name in its directory isn't UTF-8") from error
    except (OverflowError, OSError) as error:
        raise BadDirectory(str(error)) from error
    if len(members) != count:
        raise BadDirectory(f"its directory has {len(members)} entries where its end says {count}")
    return members


def _where(handle: int) -> tuple[int, int, int, int]:
    """Start and length of the directory, the number of entries, and how far everything is shifted by something in front of the zip."""
    size = os.fstat(handle).st_size
    tail_start = max(0, size - _LONGEST_COMMENT - _END.size)
    tail = os.pread(handle, size - tail_start, tail_start)
    place = tail.rfind(b"PK\5\6", 0, max(0, len(tail) - _END.size + 4))
    if place < 0:
        raise BadDirectory("it doesn't end as a zip does")
    end = tail_start + place
    _mark, disk, first_disk, here, count, length, offset, comment = _END.unpack_from(tail, place)
    if place + _END.size + comment > len(tail):
        raise BadDirectory("its comment is cut off")
    if _LEFT_OPEN in (length, offset) or 0xFFFF in (here, count):
        end, disk, first_disk, here, count, length, offset = _where_64(handle, end, (disk, first_disk, here, count, length, offset))
    if disk or first_disk or here != count:
        raise BadDirectory("it is one part of several")
    shift = end - length - offset
    if length > _LARGEST:
        raise BadDirectory(f"its directory has {length} bytes")
    if shift < 0:
        raise BadDirectory("its directory isn't where its end says")
    return offset + shift, length, count, shift


def _where_64(handle: int, end: int, short: tuple[int, int, int, int, int, int]) -> tuple[int, int, int, int, int, int, int]:
    """The same from the long record, where there is one: a plain zip may have exactly 65,535 entries."""
    locator = os.pread(handle, _LOCATOR.size, max(0, end - _LOCATOR.size))
    if locator[:4] != b"PK\6\7":
        return (end, *short)
    place = end - _LOCATOR.size - _END64.size
    record = os.pread(handle, _END64.size, max(0, place))
    if len(record) < _END64.size or record[:4] != b"PK\6\6":
        raise BadDirectory("the long record of its end is missing")
    _mark, _size, _by, _needed, disk, first_disk, here, count, length, offset = _END64.unpack(record)
    return place, disk, first_disk, here, count, length, offset


def _members(data: bytes, shift: int) -> Iterator[Member]:
    position, known = 0, dict[int, int]()
    while position < len(data):
        fields = _CENTRAL.unpack_from(data, position)
        (
            mark,
            _by,
            system,
            _needed,
            _needed_on,
            flags,
            method,
            time,
            date,
            crc,
            packed,
            size,
            name,
            extra,
            comment,
            _disk,
            _kind,
            attributes,
            offset,
        ) = fields
        if mark != b"PK\1\2":
            raise BadDirectory("its directory has something else than entries")
        position += _CENTRAL.size
        raw, more = data[position : position + name], data[position + name : position + name + extra]
        position += name + extra + comment
        if position > len(data):
            raise BadDirectory("its directory is cut off")
        if _LEFT_OPEN in (size, packed, offset):
            size, packed, offset = _long_sizes(more, size, packed, offset)
        text = raw.decode("utf-8" if flags & UTF8_NAME else "cp437")
        moment = date << 16 | time
        attributes, moment = known.setdefault(attributes, attributes), known.setdefault(moment, moment)  # mostly the same numbers
        yield Member(text, size, packed, offset + shift, crc, flags, method, system, attributes, moment)


def _long_sizes(extra: bytes, *short: int) -> tuple[int, int, int]:
    """Those of the three that the plain record leaves open, from the field that holds them in this order."""
    values = list(short)
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == _ZIP64:
            place = 4
            for number, value in enumerate(values):
                if value == _LEFT_OPEN:
                    if place + 8 > min(4 + length, len(extra)):
                        raise BadDirectory("an entry lacks its long sizes")
                    (values[number],) = struct.unpack_from("<Q", extra, place)
                    if values[number] > _LARGEST_FILE:
                        raise BadDirectory("an entry's long sizes are beyond all files")
                    place += 8
            break
        extra = extra[4 + length :]
    return values[0], values[1], values[2]
