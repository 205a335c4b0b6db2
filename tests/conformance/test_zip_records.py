"""Zips with the records that 4 GB or 65,535 entries need, on small ones; and damage in an entry too large for the memory."""

from __future__ import annotations

import hashlib
import struct
import time
import zipfile
from pathlib import Path

import pytest
from conftest import Lane
from harness import Engine
from test_job_prepare import spec, staged
from test_job_verify import FILES, TEXT, both, make
from test_services import library

OPEN16, OPEN32 = 0xFFFF, 0xFFFFFFFF
FAR = f"""
[CmdletBinding(SupportsShouldProcess)] param($a)
{library("files", "zipwrite")}
$writer = New-ZipWriter "$a/far.zip"
$shared = @{{ level = [IO.Compression.CompressionLevel]::Fastest; head = $writer.head; moment = $writer.moment; held = @(); patience = 0 }}
foreach ($name in 'near', 'far') {{
    if ($name -eq 'far') {{ [void]$writer.stream.Seek({OPEN32}, 'Begin') }}
    $file = @{{ path = "Web/$name"; full = "$a/$name"; size = [IO.FileInfo]::new("$a/$name").Length }}
    Add-Packed $writer (Get-PackedBatch $shared @{{}} @($file))[0]
}}
Close-Zip $writer
"""
OTHER_FIELD = struct.pack("<2H2s", 0x7777, 2, b"xx")


def long_zip(path: Path, *, field: int = 24, record: bytes = b"PK\6\6", lie: dict[str, int] | None = None) -> Path:
    """The usual zip, whose plain records leave everything open.

    `field`: bytes of each entry's field for long sizes; `record`: how the long end begins; `lie`: long numbers of the first entry and of the end.
    """
    lies = dict(lie or {})
    data = make(path).read_bytes()
    end = data.rindex(b"PK\5\6")
    count, _length, start = struct.unpack_from("<HLL", data, end + 10)
    directory, at = b"", start
    while at < end:
        packed, size, name, extra = struct.unpack_from("<LLHH", data, at + 20)
        numbers = {"size": size, "packed": packed, "offset": struct.unpack_from("<L", data, at + 42)[0]}
        long = struct.pack("<3Q", *(lies.pop(key, number) for key, number in numbers.items()))[:field]
        added = OTHER_FIELD + struct.pack("<2H", 1, len(long)) + long
        directory += data[at : at + 20] + struct.pack("<LLHH", OPEN32, OPEN32, name, len(added)) + data[at + 32 : at + 42]
        directory += struct.pack("<L", OPEN32) + data[at + 46 : at + 46 + name] + added
        at += 46 + name + extra
    told = lies.get("count", count), lies.get("length", len(directory)), lies.get("start", start)
    ends = struct.pack("<4sQ2H2L4Q", record, 44, 45, 45, 0, 0, told[0], *told)
    ends += struct.pack("<4sLQL", b"PK\6\7", 0, start + len(directory), 1)
    ends += struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, OPEN16, OPEN16, OPEN32, OPEN32, 0)
    path.write_bytes(data[:start] + directory + ends)
    return path


def test_long_sizes_and_a_long_end(host: Lane) -> None:
    read = both(host, long_zip(host.home / "a.zip"))
    assert {row[1]: row[2] for row in read["entries"]} == {name: len(data) for name, data in FILES.items()}


def test_an_entry_that_lacks_its_long_sizes(host: Lane) -> None:
    assert both(host, long_zip(host.home / "a.zip", field=8))["error"] == "BackupInvalid"


@pytest.mark.parametrize("lie", [2**61, 2**63 - 1, 2**64 - 5])
@pytest.mark.parametrize("number", ["size", "packed", "offset", "count", "length", "start"])
def test_a_long_number_beyond_all_files(host: Lane, number: str, lie: int) -> None:
    assert both(host, long_zip(host.home / "a.zip", lie={number: lie}))["error"] == "BackupInvalid"


def test_a_long_end_that_is_missing(host: Lane) -> None:
    assert both(host, long_zip(host.home / "a.zip", record=b"XX\6\6"))["error"] == "BackupInvalid"


def test_a_plain_zip_that_looks_as_if_it_had_a_long_end(host: Lane) -> None:
    """All there is of it is the number of entries that a plain record can't hold."""
    path = make(host.home / "a.zip", {"Web/a": b"x"})
    data = path.read_bytes()
    end = data.rindex(b"PK\5\6")
    path.write_bytes(data[: end + 8] + struct.pack("<2H", OPEN16, OPEN16) + data[end + 12 :])
    assert both(host, path)["error"] == "BackupInvalid"


@pytest.mark.parametrize("damage", ["sum", "stream"])
def test_damage_in_a_large_entry(host: Lane, damage: str) -> None:
    path = make(host.home / "a.zip", {"Web/a": TEXT * 40})
    data = bytearray(path.read_bytes())
    if damage == "sum":
        data[data.rindex(b"PK\1\2") + 16] ^= 1
    else:
        data[1000:1100] = b"\xff" * 100
    path.write_bytes(data)
    assert both(host, path)["error"] == "BackupInvalid"


def damaged(path: Path, place: int, byte: int) -> Path:
    data = bytearray(path.read_bytes())
    data[place] ^= byte
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("size", [1, 40])
def test_damage_in_a_stored_entry(host: Lane, size: int) -> None:
    path = make(host.home / "a.zip", {"Web/a": TEXT * size}, zipfile.ZIP_STORED)
    assert both(host, damaged(path, 1000, 1))["error"] == "BackupInvalid"


def test_a_name_in_the_old_code_page(host: Lane) -> None:
    path = make(host.home / "a.zip", {"Web/K_ln.json": b"x"})
    path.write_bytes(path.read_bytes().replace(b"K_ln", "Köln".encode("cp437")))
    assert [row[1] for row in both(host, path)["entries"]] == ["Web/Köln.json"]


def test_an_encrypted_entry(host: Lane) -> None:
    path = make(host.home / "a.zip", {"Web/a": TEXT})
    for place in (6, path.read_bytes().rindex(b"PK\1\2") + 8):
        damaged(path, place, 1)
    found = both(host, path)
    assert (found["error"], "encrypted" in found["found"]) == ("UnsafeEntry", True)


@pytest.mark.parametrize(
    ("place", "found"),
    [
        pytest.param(0, "no local header where the directory says", id="mark"),
        pytest.param(8, "another name or method in its header than in the directory", id="method"),
        pytest.param(30, "another name or method in its header than in the directory", id="name"),
        *(pytest.param(place, "other sums in its header than in the directory", id=f"sum at {place}") for place in (14, 18, 22)),
    ],
)
def test_an_entry_whose_own_header_says_otherwise(host: Lane, place: int, found: str) -> None:
    assert both(host, damaged(make(host.home / "a.zip", {"Web/a": TEXT}), place, 1))["found"] == found


@pytest.mark.parametrize("place", [4, 6, 8, 10], ids=["number", "first", "entries here", "entries"])
def test_one_part_of_several(host: Lane, place: int) -> None:
    path = make(host.home / "a.zip", {"Web/a": TEXT})
    assert both(host, damaged(path, path.read_bytes().rindex(b"PK\5\6") + place, 7))["found"] == "it is one part of several"


def test_a_name_that_is_not_what_it_says(host: Lane) -> None:
    """Said to be UTF-8."""
    path = make(host.home / "a.zip", {"Web/é": b"x"})
    assert both(host, damaged(path, path.read_bytes().rindex("é".encode()) + 1, 0x80))["error"] == "BackupInvalid"


def test_a_long_answer(host: Lane) -> None:
    """It travels packed."""
    assert len(both(host, make(host.home / "a.zip", {f"Dashboards/{number}.dmadb.json": b"x" for number in range(100)}))["entries"]) == 100


def test_a_large_entry_and_a_date_that_never_was(host: Lane) -> None:
    """All are extracted, a large one too that the content hasn't; the file without a date has that of now."""
    (host.home / "agent" / "Web").mkdir(parents=True)
    (host.home / "agent" / "Web" / "large").write_bytes(TEXT * 40)
    path = make(host.home / "a.zip", {"Web/large": TEXT * 40, "Web/larger": TEXT * 41, "Web/small": b"x"})
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\1\2")
    data[at + 14 : at + 16] = b"\0\0"
    path.write_bytes(data)
    status = host.run(spec(host, path, mtime="keep"), "p1")
    assert status.state == "done", status.error
    assert (status.result or {})["same"] == 1
    assert staged(host, "p1") == {"Web/large": TEXT * 40, "Web/larger": TEXT * 41, "Web/small": b"x"}
    assert time.time() - (host.home / "work" / "staging" / "p1" / "Web" / "small").stat().st_mtime < 86400


def test_fields_between_the_header_and_the_content(host: Lane) -> None:
    """Of more bytes than are read with a header, and of fewer."""
    path = host.home / "a.zip"
    with zipfile.ZipFile(path, "w") as made:
        for number, (name, data) in enumerate(FILES.items()):
            info = zipfile.ZipInfo(name)
            info.extra = struct.pack("<2H", 0x7777, 60 * number) + bytes(60 * number)
            info.compress_type = zipfile.ZIP_STORED if number % 2 else zipfile.ZIP_DEFLATED
            made.writestr(info, data)
    read = both(host, path)
    assert {row[1]: row[3] for row in read["entries"]} == {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}


def test_an_entry_behind_4_gb(powershell: Engine, tmp_path: Path) -> None:
    """The file is mostly a hole."""
    files = {"Web/near": b"near " * 1000, "Web/far": b"far " * 1000}
    for name, data in files.items():
        (tmp_path / Path(name).name).write_bytes(data)
    answer = powershell.execute(FAR, {"a": str(tmp_path)}, 2)
    assert not answer["failed"], answer["error"]
    with zipfile.ZipFile(tmp_path / "far.zip") as read:
        assert [(entry.filename, entry.header_offset) for entry in read.infolist()] == [("Web/near", 0), ("Web/far", OPEN32)]
        assert {name: read.read(name) for name in read.namelist()} == files
