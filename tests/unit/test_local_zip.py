"""The zip reader: zips of every maker, and damage wherever it is."""

from __future__ import annotations

import io
import random
import struct
import threading
import zipfile
import zlib
from pathlib import Path

import pytest
from ansible_collections.dataminer.web.plugins.module_utils import local_zip
from ansible_collections.dataminer.web.plugins.module_utils.errors import BackupInvalid
from ansible_collections.dataminer.web.plugins.module_utils.local_zip import ZipReader, batches, in_order

TEXT = b"".join(b'{"id":%d}' % (number * 7919 % 10007) for number in range(20_000))


class Pipe(io.RawIOBase):
    """Takes what is written and can't go back: so a zip's writer leaves the sums to data descriptors."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.data += data
        return len(data)


def read_all(path: Path) -> dict[str, bytes]:
    with ZipReader(path) as reader:
        return {member.name: b"".join(reader.chunks(member)) for member in reader.members}


def streamed(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", method) as made:  # type: ignore[arg-type]
        for name, data in files.items():
            made.writestr(name, data)
    path.write_bytes(pipe.data)
    return path


def test_stored_and_deflated_entries(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr("Web/deflated", TEXT, zipfile.ZIP_DEFLATED)
        made.writestr("Web/stored", TEXT, zipfile.ZIP_STORED)
        made.writestr("Web/empty", b"", zipfile.ZIP_DEFLATED)
    assert read_all(tmp_path / "a.zip") == {"Web/deflated": TEXT, "Web/stored": TEXT, "Web/empty": b""}


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_entries_whose_sums_follow_them(tmp_path: Path, method: int) -> None:
    path = streamed(tmp_path / "a.zip", {"Web/a": TEXT, "Web/b": b"x"}, method)
    header = struct.unpack("<4s5H3I2H", path.read_bytes()[:30])
    assert header[2] & 8
    assert header[6:9] == (0, 0, 0)
    assert read_all(path) == {"Web/a": TEXT, "Web/b": b"x"}


def test_entries_with_sizes_of_64_bits(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as made, made.open("Web/a", "w", force_zip64=True) as entry:
        entry.write(TEXT)
    assert read_all(tmp_path / "a.zip") == {"Web/a": TEXT}


@pytest.mark.parametrize("name", ["Web/Köln.json", "Web/東京.json", "Web\\back\\slash.json"])
def test_names_of_all_kinds(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        info = zipfile.ZipInfo("x")
        info.filename = name
        made.writestr(info, TEXT)
    assert list(read_all(tmp_path / "a.zip").values()) == [TEXT]


def test_a_zip_behind_something_else(tmp_path: Path) -> None:
    plain = streamed(tmp_path / "a.zip", {"Web/a": TEXT})
    (tmp_path / "b.zip").write_bytes(b"#!/bin/sh\n" * 50 + plain.read_bytes())
    assert read_all(tmp_path / "b.zip") == {"Web/a": TEXT}


@pytest.mark.parametrize("size", [*range(local_zip.CHUNK - 300, local_zip.CHUNK + 301, 50), 2 * local_zip.CHUNK, 10_000_000])
def test_blanks_inflate_to_the_last_byte(tmp_path: Path, size: int) -> None:
    """The last bytes of deflate's input may stand for thousands of bytes that come out later."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as made:
        made.writestr("Web/blank", b" " * size)
    assert read_all(tmp_path / "a.zip") == {"Web/blank": b" " * size}


@pytest.mark.parametrize("size", [local_zip.CHUNK - 1, local_zip.CHUNK, local_zip.CHUNK + 1, 3 * local_zip.CHUNK])
def test_noise_in_pieces(tmp_path: Path, size: int) -> None:
    data = random.Random(size).randbytes(size)
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
        with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as made:
            made.writestr("Web/noise", data)
        assert read_all(tmp_path / "a.zip") == {"Web/noise": data}


def test_no_piece_is_large(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("Web/blank", b" " * 20_000_000)
    with ZipReader(tmp_path / "a.zip") as reader:
        assert max(map(len, reader.chunks(reader.members[0]))) <= local_zip.CHUNK


def test_an_entry_larger_than_it_says_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = streamed(tmp_path / "a.zip", {"Web/a": b" " * 50_000_000})
    data = path.read_bytes()
    start = data.rindex(b"PK\1\2")
    path.write_bytes(data[: start + 24] + struct.pack("<I", 1000) + data[start + 28 :])
    taken = 0
    with ZipReader(path) as reader, pytest.raises(BackupInvalid, match="damaged at Web/a"):
        for piece in reader.chunks(reader.members[0]):
            taken += len(piece)
    assert taken == 0


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    data = streamed(tmp_path / "a.zip", {"Web/a": TEXT[:300], "Web/b": b"x"}).read_bytes()
    for length in range(len(data)):
        (tmp_path / "a.zip").write_bytes(data[:length])
        with pytest.raises(BackupInvalid):
            read_all(tmp_path / "a.zip")


def test_no_damage_ends_in_another_error_or_other_bytes(tmp_path: Path) -> None:
    """Each byte of a zip in turn, three times: what still reads, reads the same."""
    files = {"Web/a": TEXT[:200], "Dashboards/ü": b"stored" * 3, "Web/long": b"long"}
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("Web/a", files["Web/a"])
        made.writestr("Dashboards/ü", files["Dashboards/ü"], zipfile.ZIP_STORED)
        with made.open("Web/long", "w", force_zip64=True) as entry:
            entry.write(files["Web/long"])
    data, rng = (tmp_path / "a.zip").read_bytes(), random.Random(1)
    for position in range(len(data)):
        for bad in {data[position] ^ 1, data[position] ^ 0x80, rng.randrange(256)} - {data[position]}:
            (tmp_path / "b.zip").write_bytes(data[:position] + bytes([bad]) + data[position + 1 :])
            try:
                found = read_all(tmp_path / "b.zip")
            except BackupInvalid:
                continue
            assert all(value in files.values() for value in found.values()), position


def test_entries_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """A directory may name the same data a thousand times, each time below every limit."""
    path = streamed(tmp_path / "a.zip", {"Web/a": TEXT})
    data = path.read_bytes()
    start = data.index(b"PK\1\2")
    end = data.index(b"PK\5\6")
    directory = data[start:end] * 1000
    tail = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1000, 1000, len(directory), start, 0)
    path.write_bytes(data[:start] + directory + tail)
    with pytest.raises(BackupInvalid, match="can't be read as a zip"):
        ZipReader(path)


def long_end(tmp_path: Path) -> bytearray:
    """A zip of one entry with the long record at its end, as one of more than 65,535 has it."""
    data = streamed(tmp_path / "a.zip", {"Web/a": TEXT[:500]}).read_bytes()
    start, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    long = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, end - start, start)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    return bytearray(data[:end] + long + locator + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, end - start, 0xFFFFFFFF, 0))


def test_a_long_record_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_bytes(long_end(tmp_path))
    assert read_all(tmp_path / "b.zip") == {"Web/a": TEXT[:500]}


def test_no_damage_of_a_long_record_ends_in_another_error_or_other_bytes(tmp_path: Path) -> None:
    good = long_end(tmp_path)
    for position in range(good.index(b"PK\6\6"), len(good)):
        for flipped in (1, 0x80, 0xFF):
            bad = bytearray(good)
            bad[position] ^= flipped
            (tmp_path / "b.zip").write_bytes(bad)
            try:
                assert read_all(tmp_path / "b.zip") == {"Web/a": TEXT[:500]}
            except BackupInvalid:
                continue


def test_a_zip_with_a_comment(tmp_path: Path) -> None:
    path = streamed(tmp_path / "a.zip", {"Web/a": TEXT})
    with zipfile.ZipFile(path, "a") as made:
        made.comment = b"made by hand PK and more" * 1000
    assert read_all(path) == {"Web/a": TEXT}


@pytest.mark.parametrize("data", [b"", b"PK", b"no zip at all" * 100, zlib.compress(TEXT)])
def test_what_is_no_zip(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(BackupInvalid, match="can't be read as a zip"):
        ZipReader(tmp_path / "a.zip")


def test_a_zip_that_is_not_there_or_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.zip", tmp_path):
        with pytest.raises(BackupInvalid, match="can't be read as a zip"):
            ZipReader(path)


def test_many_threads_read_one_zip(tmp_path: Path) -> None:
    files = {f"Web/{number}": TEXT[number * 100 :][: 1000 * number] for number in range(100)}
    path = streamed(tmp_path / "a.zip", files)
    with ZipReader(path) as reader:
        assert list(in_order(lambda info: b"".join(reader.chunks(info)), reader.members)) == list(files.values())


def test_results_come_in_order_and_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_zip, "workers", lambda: 3)
    taken: list[int] = []

    def numbers() -> object:
        for number in range(100):
            taken.append(number)
            yield number

    for place, made in enumerate(in_order(lambda number: number * 2, numbers())):  # type: ignore[arg-type, operator]
        assert made == place * 2
        assert len(taken) <= place + 2 * 3 + 1
    assert len(taken) == 100


def test_an_error_in_one_task_ends_all(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []

    def task(number: int) -> int:
        if number == 5:
            raise BackupInvalid("five")
        done.append(number)
        return number

    with pytest.raises(BackupInvalid, match="five"):
        list(in_order(task, range(1000)))
    assert len(done) < 100
    assert threading.active_count() < 10


def test_batches_are_bounded_in_bytes_and_number() -> None:
    sizes = [10] * 200 + [local_zip.BATCH_BYTES * 3] + [local_zip.BATCH_BYTES // 3] * 5
    made = list(batches(sizes, lambda size: size))
    assert [size for batch in made for size in batch] == sizes
    assert all(len(batch) <= local_zip.BATCH_FILES for batch in made)
    assert all(len(batch) == 1 or sum(batch) <= local_zip.BATCH_BYTES for batch in made)
    assert list(batches([], len)) == []


def test_a_machine_with_many_cores_does_not_take_all_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_zip.os, "sched_getaffinity", lambda _pid: range(256), raising=False)
    assert local_zip.workers() == local_zip.MOST_WORKERS
    monkeypatch.setattr(local_zip.os, "sched_getaffinity", lambda _pid: {3}, raising=False)
    assert local_zip.workers() == 1
