"""Zips whose records lie about how long something is: told alike on every lane, and never read as if they were whole."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest
from conftest import Lane
from test_job_verify import TEXT, both, make, outcome, spec

START, END = b"PK\1\2", b"PK\5\6"


def changed(path: Path, numbers: dict[int, int]) -> Path:
    """The zip with other 32-bit numbers at these places of its directory's first entry, and of that entry's own header where it repeats them."""
    data = bytearray(path.read_bytes())
    at = data.index(START)
    for place, number in numbers.items():
        struct.pack_into("<L", data, at + place, number)
        struct.pack_into("<L", data, place - 2, number)
    path.write_bytes(data)
    return path


def with_junk(path: Path, junk: bytes) -> Path:
    """Behind the entries of the directory, which is as much longer."""
    data = path.read_bytes()
    end = data.rindex(END)
    length = struct.unpack_from("<L", data, end + 12)[0]
    path.write_bytes(data[:end] + junk + data[end : end + 12] + struct.pack("<L", length + len(junk)) + data[end + 16 :])
    return path


@pytest.mark.parametrize("junk", [b"x" * 10, b"x" * 50, START + b"\0" * 24 + b"\xff\xff" + b"\0" * 16], ids=["short", "no entry", "long name"])
def test_a_directory_that_ends_otherwise(host: Lane, junk: bytes) -> None:
    assert both(host, with_junk(make(host.home / "a.zip", {"Web/a": b"x"}), junk))["error"] == "BackupInvalid"


@pytest.mark.parametrize(
    ("method", "place", "more"),
    [(zipfile.ZIP_DEFLATED, 20, 80), (zipfile.ZIP_DEFLATED, 24, 1), (zipfile.ZIP_STORED, 24, 1)],
    ids=["behind the end", "deflated", "stored"],
)
def test_an_entry_of_another_length(host: Lane, method: int, place: int, more: int) -> None:
    """A stored one of two lengths is unsafe to the core, which scripts ask only once they have read everything."""
    path = make(host.home / "a.zip", {"Web/😀": TEXT[:5000]}, method)
    number = struct.unpack_from("<L", path.read_bytes(), path.read_bytes().index(START) + place)[0]
    path = changed(path, {place: number + more})
    found = both(host, path) if method else outcome(host, lambda: host.agent.inspect(host.told(spec(host, path))))
    assert found["error"] == ("BackupInvalid" if method or host.engine else "UnsafeEntry")


def test_a_large_entry_that_is_longer_than_it_says(host: Lane) -> None:
    path = make(host.home / "a.zip", {"Web/a": TEXT * 40})
    assert both(host, changed(path, {24: len(TEXT) * 40 - 1}))["error"] == "BackupInvalid"


def test_another_compression(host: Lane) -> None:
    path = make(host.home / "a.zip", {"Web/a": b"x"}, zipfile.ZIP_STORED)
    data = path.read_bytes()
    at = data.index(START)
    path.write_bytes(data[:8] + b"\x0c" + data[9 : at + 10] + b"\x0c" + data[at + 11 :])
    assert both(host, path)["error"] in ("BackupInvalid", "UnsafeEntry")


def test_one_long_number_beside_short_ones(host: Lane) -> None:
    data = make(host.home / "a.zip", {"Web/a": b"x"}).read_bytes()
    at, end = data.index(START), data.rindex(END)
    field = struct.pack("<2HQ", 1, 8, 1)
    entry = data[at : at + 24] + b"\xff" * 4 + data[at + 28 : at + 30] + struct.pack("<H", len(field)) + data[at + 32 : end] + field
    (host.home / "a.zip").write_bytes(data[:at] + entry + data[end : end + 12] + struct.pack("<L", len(entry)) + data[end + 16 :])
    assert both(host, host.home / "a.zip")["entries"][0][1:3] == ["Web/a", 1]
