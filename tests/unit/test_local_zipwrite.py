"""The zip writer: what it writes can be read by others, whatever the sizes, and what hardly deflates isn't deflated."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import struct
import subprocess
import time
import zipfile
import zlib
from pathlib import Path

import pytest
from ansible_collections.dataminer.web.plugins.module_utils import local_zipwrite
from ansible_collections.dataminer.web.plugins.module_utils.local_zip import ZipReader
from ansible_collections.dataminer.web.plugins.module_utils.local_zipwrite import DEFLATED, STORED, Packed, Unsteady, ZipWriter, pack

TEXT = b'{"__type":"Skyline.DataMiner.Web.Common.v1.DMADashboard","ID":%d}'


def text(size: int) -> bytes:
    rng = random.Random(size)
    return b"".join(TEXT % rng.randrange(10**9) for _ in range(size // 60 + 1))[:size]


def source(folder: Path, data: bytes) -> str:
    (folder / "source").write_bytes(data)
    return str(folder / "source")


def written(folder: Path, files: dict[str, bytes], *, large: bool = False, level: int = 1) -> Path:
    writer = ZipWriter(folder / "one.zip", level)
    for name, data in files.items():
        path = source(folder, data)
        if large:
            assert writer.add_large(name, path, len(data)) == hashlib.sha256(data).hexdigest()
        else:
            writer.add_packed(name, pack(path, len(data), level))
    writer.close()
    return folder / "one.zip"


def contents(path: Path) -> dict[str, bytes]:
    """Read by the standard library, which checks names, sums and sizes."""
    with zipfile.ZipFile(path) as read:
        assert read.testzip() is None
        return {info.filename: read.read(info) for info in read.infolist()}


FILES = {
    "Dashboards/Überwachung/東京 😀.dmadb.json": text(5000),
    "Dashboards/empty": b"",
    "Dashboards/one byte": b"x",
    "Web/picture.png": random.Random(1).randbytes(50_000),
    "Web/blank.json": b" " * 300_000,
}


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("level", [1, 6, 9])
def test_what_is_written_is_read_back(tmp_path: Path, large: bool, level: int) -> None:
    assert contents(written(tmp_path, FILES, large=large, level=level)) == FILES


@pytest.mark.skipif(not shutil.which("unzip"), reason="no unzip on PATH")
@pytest.mark.parametrize("large", [False, True])
def test_unzip_reads_it(tmp_path: Path, large: bool) -> None:
    path = written(tmp_path, FILES, large=large)
    subprocess.run(["unzip", "-tq", path], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    ("data", "method"),
    [(text(5000), DEFLATED), (os.urandom(50_000), STORED), (b"", STORED), (b"x", STORED), (b" " * 300_000, STORED), (os.urandom(100), STORED)],
    ids=["text", "noise", "empty", "one byte", "blanks", "little noise"],
)
def test_only_what_shrinks_and_not_too_much_is_deflated(tmp_path: Path, data: bytes, method: int, large: bool) -> None:
    with zipfile.ZipFile(written(tmp_path, {"Web/x": data}, large=large)) as read:
        info = read.infolist()[0]
    assert info.compress_type == method
    assert info.compress_size <= info.file_size


def test_a_file_whose_start_alone_hardly_shrinks_is_deflated(tmp_path: Path) -> None:
    data = os.urandom(2048) + text(100_000)
    assert pack(source(tmp_path, data), len(data), 1).method == DEFLATED


def test_without_the_fast_library_the_bytes_inflate_to_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_zipwrite, "fast_zlib", None)
    data = text(100_000)
    packed = pack(source(tmp_path, data), len(data), 1)
    assert zlib.decompress(packed.data, -15) == data
    assert (packed.crc, packed.sha256) == (zlib.crc32(data), hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("size", [0, 99, 101, 10**6])
def test_a_file_of_another_size_is_refused(tmp_path: Path, size: int) -> None:
    path = source(tmp_path, b"x" * 100)
    with pytest.raises(Unsteady, match="size"):
        pack(path, size, 1)
    writer = ZipWriter(tmp_path / "one.zip", 1)
    with pytest.raises(Unsteady, match="size"):
        writer.add_large("Web/x", path, size)
    writer.abandon()


def test_a_file_that_grows_for_ever_is_not_read_for_ever(tmp_path: Path) -> None:
    writer = ZipWriter(tmp_path / "one.zip", 1)
    with pytest.raises(Unsteady, match="size"):
        pack("/dev/zero", 100, 1)
    with pytest.raises(Unsteady, match="size"):
        writer.add_large("Web/x", "/dev/zero", 100)
    writer.abandon()


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsteady, match="No such file"):
        pack(str(tmp_path / "missing"), 1, 1)
    writer = ZipWriter(tmp_path / "one.zip", 1)
    with pytest.raises(Unsteady, match="No such file"):
        writer.add_large("Web/x", str(tmp_path / "missing"), 1)
    writer.abandon()


def test_a_zip_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "one.zip").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        ZipWriter(tmp_path / "one.zip", 1)
    assert (tmp_path / "one.zip").read_bytes() == b"mine"


def test_an_abandoned_zip_is_no_zip(tmp_path: Path) -> None:
    writer = ZipWriter(tmp_path / "one.zip", 1)
    writer.add_packed("Web/x", Packed(STORED, 1, zlib.crc32(b"x"), "", b"x"))
    writer.abandon()
    writer.abandon()
    assert not zipfile.is_zipfile(tmp_path / "one.zip")


def test_more_entries_than_16_bits_count(tmp_path: Path) -> None:
    writer = ZipWriter(tmp_path / "one.zip", 1)
    packed = Packed(STORED, 1, zlib.crc32(b"x"), "", b"x")
    for number in range(65_536 + 1):
        writer.add_packed(f"Web/{number}", packed)
    writer.close()
    with zipfile.ZipFile(tmp_path / "one.zip") as read:
        assert len(read.infolist()) == 65_537
        assert read.read("Web/65536") == b"x"
    with ZipReader(tmp_path / "one.zip") as reader:
        assert b"".join(reader.chunks(reader.members[-1])) == b"x"


@pytest.mark.parametrize("count", [65_534, 65_535])
def test_the_long_directory_begins_where_16_bits_end(tmp_path: Path, count: int) -> None:
    writer = ZipWriter(tmp_path / "one.zip", 1)
    packed = Packed(STORED, 1, zlib.crc32(b"x"), "", b"x")
    for number in range(count):
        writer.add_packed(f"Web/{number}", packed)
    writer.close()
    assert (b"PK\6\6" in (tmp_path / "one.zip").read_bytes()[-200:]) is (count == 65_535)
    with zipfile.ZipFile(tmp_path / "one.zip") as read:
        assert len(read.infolist()) == count


def test_an_entry_beyond_4_gigabytes(tmp_path: Path) -> None:
    writer = ZipWriter(tmp_path / "one.zip", 1)
    writer.stream.seek(5 * 1024**3)  # a hole: the disk holds nothing of it
    data = text(5000)
    writer.add_packed("Web/far", pack(source(tmp_path, data), len(data), 1))
    writer.add_large("Web/farther", source(tmp_path, data), len(data))
    writer.close()
    with zipfile.ZipFile(tmp_path / "one.zip") as read:
        assert (read.read("Web/far"), read.read("Web/farther")) == (data, data)
        assert read.infolist()[0].header_offset == 5 * 1024**3
    with ZipReader(tmp_path / "one.zip") as reader:
        assert [b"".join(reader.chunks(info)) for info in reader.members] == [data, data]


@pytest.mark.parametrize("large", [False, True])
def test_sizes_of_64_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool) -> None:
    monkeypatch.setattr(local_zipwrite, "ZIP64_SIZE", 1000)
    files = {"Web/short": text(999), "Web/long": text(50_000)}
    path = written(tmp_path, files, large=large)
    assert contents(path) == files
    assert path.read_bytes().count(struct.pack("<HH", 1, 16)) == 2  # in the header and in the directory
    if shutil.which("unzip"):
        subprocess.run(["unzip", "-tq", path], check=True, stdout=subprocess.DEVNULL)
    with ZipReader(path) as reader:
        assert [b"".join(reader.chunks(info)) for info in reader.members] == list(files.values())


def test_a_clock_before_1980_still_makes_a_zip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_zipwrite.time, "localtime", lambda: time.gmtime(0))
    assert contents(written(tmp_path, FILES)) == FILES
