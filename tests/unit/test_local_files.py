"""Files on a POSIX host: durable writes, texts, walks that never follow a link."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest
from ansible_collections.dataminer.web.plugins.module_utils import local_files
from ansible_collections.dataminer.web.plugins.module_utils.local_files import (
    find,
    read_json,
    read_tail,
    read_text,
    remove_tree,
    sha256_file,
    walk,
    write_all,
    write_atomic,
    write_json,
)


def test_a_write_replaces_the_whole_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_json(path, {"a": 1})
    write_json(path, {"ä": "東京"})
    assert read_json(path) == {"ä": "東京"}
    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]


def test_a_durable_write_flushes_the_file_and_then_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{handle}").resolve().name)
        real(handle)

    monkeypatch.setattr(local_files.os, "fsync", fsync)
    write_atomic(tmp_path / "state.json", b"{}")
    assert flushed == [f"state.json.{os.getpid()}.partial", tmp_path.name]


def test_a_write_that_fails_keeps_the_old_file_and_no_partial_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.json"
    write_atomic(path, b"old")

    def fsync(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(local_files.os, "fsync", fsync)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("text", ["", "{", '{"a": [1, ', "\0\0\0", "nonsense"])
def test_half_a_file_of_json_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    assert read_json(tmp_path / "state.json") is None


def test_json_that_is_missing_or_a_folder_is_none(tmp_path: Path) -> None:
    assert read_json(tmp_path / "missing") is None
    assert read_json(tmp_path) is None


@pytest.mark.parametrize(
    ("data", "limit", "expected"),
    [
        (b"plain", 5, {"text": "plain", "error": None}),
        (b"plain", 4, {"text": None, "error": "too large"}),
        (b"\xef\xbb\xbfmark", 10, {"text": "mark", "error": None}),
        ("größe".encode("utf-16"), 20, {"text": "größe", "error": None}),
    ],
)
def test_texts(tmp_path: Path, data: bytes, limit: int, expected: dict[str, str | None]) -> None:
    (tmp_path / "text").write_bytes(data)
    assert read_text(tmp_path / "text", limit) == expected


def test_texts_that_are_not_there(tmp_path: Path) -> None:
    assert read_text(None, 10)["error"] == "missing"
    assert read_text(tmp_path / "missing", 10)["error"] == "missing"
    assert read_text(tmp_path, 10)["error"] == "unreadable"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be"])
def test_the_tail_of_a_log_is_whole_characters(tmp_path: Path, encoding: str) -> None:
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    (tmp_path / "log").write_bytes((mark + "x" * 999 + "the end").encode(encoding))
    tail = read_tail(tmp_path / "log", 30)
    assert tail is not None
    assert tail.endswith("the end")
    assert set(tail) <= set("xthe nd")


def test_the_tail_of_no_log_is_none(tmp_path: Path) -> None:
    assert read_tail(tmp_path / "missing", 30) is None


def test_names_are_found_whatever_their_case(tmp_path: Path) -> None:
    (tmp_path / "upgrades" / "PACKAGES").mkdir(parents=True)
    assert find(tmp_path, "Upgrades", "Packages") == tmp_path / "upgrades" / "PACKAGES"
    assert find(tmp_path, "Upgrades", "missing") is None


def test_the_exact_name_goes_before_one_of_another_case(tmp_path: Path) -> None:
    for name in ("DMS.XML", "DMS.xml", "dms.xml"):
        (tmp_path / name).touch()
    assert find(tmp_path, "DMS.xml") == tmp_path / "DMS.xml"
    assert find(tmp_path, "Dms.xml") == tmp_path / "DMS.XML"


def test_a_walk_passes_over_links_and_sorts_by_utf16(tmp_path: Path) -> None:
    for name in ("b", "a", "\U0001f600", "\uffee", "folder/inner"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    names = [entry.name for entry in walk(tmp_path, lambda path, error: pytest.fail(path))]
    assert names == ["a", "b", "inner", "loop", "\U0001f600", "\uffee"]


def test_a_folder_that_cannot_be_read_does_not_end_a_walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/one", "b/two", "c/three"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    real = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("/b"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(local_files.os, "scandir", scandir)
    told: list[str] = []
    assert [entry.name for entry in walk(tmp_path, lambda path, error: told.append(path))] == ["one", "three"]
    assert told == [str(tmp_path / "b")]


def test_removing_a_tree_takes_what_is_read_only_and_never_what_a_link_points_to(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    tree = tmp_path / "tree"
    (tree / "inner").mkdir(parents=True)
    (tree / "inner" / "file").touch()
    (tree / "inner" / "file").chmod(0o400)
    (tree / "link").symlink_to(kept)
    (tree / "inner").chmod(0o500)
    remove_tree(tree)
    assert not tree.exists()
    assert (kept / "file").exists()


def test_removing_a_link_to_a_tree_removes_nothing(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    remove_tree(tmp_path / "link")
    assert (tmp_path / "kept").exists()
    remove_tree(tmp_path / "missing")


def test_the_digest_of_a_file(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "file").write_bytes(data)
    assert sha256_file(tmp_path / "file") == hashlib.sha256(data).hexdigest()


def test_a_short_write_is_continued() -> None:
    taken: list[bytes] = []

    def write(data: memoryview) -> int:
        taken.append(bytes(data[:3]))
        return len(taken[-1])

    write_all(write, b"0123456789")
    assert b"".join(taken) == b"0123456789"


def test_names_that_are_no_valid_text_can_be_written(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \xe6\x9d\xb1")
    write_json(tmp_path / "a.json", {"name": name})
    assert read_json(tmp_path / "a.json") == {"name": name}
