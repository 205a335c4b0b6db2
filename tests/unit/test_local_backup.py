"""A backup on a POSIX host: what it holds, how it is published, what is refused before anything is written."""

from __future__ import annotations

import collections
import errno
import itertools
import os
import random
import shutil
import subprocess
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils import local_backup, local_zip
from ansible_collections.dataminer.web.plugins.module_utils.errors import BackupInvalid, DataMinerError, NotEnoughSpace, Refused
from ansible_collections.dataminer.web.plugins.module_utils.local_files import sha256_file
from ansible_collections.dataminer.web.plugins.module_utils.local_verify import verify
from ansible_collections.dataminer.web.plugins.module_utils.local_zipwrite import Packed
from ansible_collections.dataminer.web.plugins.module_utils.manifest import parse_manifest
from local_kit import HEADER, Agent


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    agent = Agent(tmp_path)
    agent.fill()
    return agent


def names(agent: Agent) -> list[str]:
    return sorted(path.name for path in agent.backups.iterdir()) if agent.backups.exists() else []


def content(agent: Agent) -> dict[str, bytes]:
    return {path.relative_to(agent.root).as_posix(): path.read_bytes() for path in agent.root.rglob("*") if path.is_file()}


def test_a_backup_holds_exactly_what_was_planned(agent: Agent) -> None:
    agent.write("Upgrades/secret.txt", "not planned")
    result = agent.run(agent.backup_spec())
    with zipfile.ZipFile(result["path"]) as read:
        assert read.testzip() is None
        found = {info.filename: read.read(info) for info in read.infolist()}
    assert found == {path: data for path, data in content(agent).items() if not path.startswith("Upgrades")}
    assert names(agent) == ["one.manifest", "one.zip"]
    assert (result["files"], result["bytes"]) == (len(found), sum(map(len, found.values())))
    assert (result["zip_size"], result["zip_sha256"]) == (Path(result["path"]).stat().st_size, sha256_file(Path(result["path"])))


def test_files_are_compressed_on_all_cores(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first two meet: each is packed by a thread of its own, at the same time."""
    together, calls, real = threading.Barrier(2, timeout=30), itertools.count(), local_backup.pack

    def pack(path: str, size: int, level: int) -> Packed:
        if next(calls) < 2:
            together.wait()
        return real(path, size, level)

    monkeypatch.setattr(local_zip, "workers", lambda: 2)
    monkeypatch.setattr(local_zip, "BATCH_FILES", 1)
    monkeypatch.setattr(local_backup, "pack", pack)
    agent.run(agent.backup_spec())
    assert next(calls) > 2


def test_the_manifest_says_the_same(agent: Agent) -> None:
    result = agent.run(agent.backup_spec())
    manifest = parse_manifest((agent.backups / "one.manifest").read_bytes())
    assert manifest.header == HEADER
    assert manifest.trailer == {key: result[key] for key in ("files", "bytes", "zip_size", "zip_sha256")}
    with zipfile.ZipFile(result["path"]) as read:
        assert [row.path for row in manifest.rows] == read.namelist()
    assert {row.path: row.size for row in manifest.rows} == {path: len(data) for path, data in content(agent).items()}
    verify({"path": result["path"], "manifest": str(agent.backups / "one.manifest")})


@pytest.mark.skipif(not shutil.which("unzip"), reason="no unzip on PATH")
def test_unzip_reads_a_backup(agent: Agent) -> None:
    agent.write("Dashboards/Überwachung/東京.dmadb.json", "x" * 1000)
    result = agent.run(agent.backup_spec())
    subprocess.run(["unzip", "-tq", result["path"]], check=True, stdout=subprocess.DEVNULL)


def test_a_detached_backup_tells_its_progress_and_result(agent: Agent) -> None:
    status = agent.follow(agent.backup_spec(about={"mode": "all"}), "b1")
    assert status.state == "done"
    assert status.result["about"] == {"mode": "all"}
    assert status.progress["files"] == status.result["files"]


def test_two_items_with_a_file_in_common_hold_it_once(agent: Agent) -> None:
    result = agent.run(agent.backup_spec("Dashboards", "Dashboards/Overview.dmadb.json"))
    assert result["files"] == 2


def test_a_backup_of_nothing_is_refused_by_nobody_but_its_own_check(agent: Agent) -> None:
    (agent.root / "Web").mkdir()
    with pytest.raises(BackupInvalid, match="no backup of web content"):
        agent.run(agent.backup_spec("Web"))
    assert names(agent) == []


def test_empty_files_go_in_and_empty_folders_do_not(agent: Agent) -> None:
    agent.write("Dashboards/empty.dmadb.json", b"")
    (agent.root / "Dashboards" / "Empty folder").mkdir()
    result = agent.run(agent.backup_spec("Dashboards"))
    with zipfile.ZipFile(result["path"]) as read:
        assert "Dashboards/empty.dmadb.json" in read.namelist()
        assert not any("Empty folder" in name for name in read.namelist())


def test_large_files_stream(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_backup, "SMALL", 1000)
    rng = random.Random(1)
    agent.write("Web/large.json", "".join(f'{{"id":{rng.randrange(10**9)}}}' for _ in range(200_000)))
    agent.write("Web/picture.png", rng.randbytes(3_000_000))
    result = agent.run(agent.backup_spec("Web", "Dashboards"))
    with zipfile.ZipFile(result["path"]) as read:
        assert {name: read.read(name) for name in read.namelist()} == {p: d for p, d in content(agent).items() if not p.startswith("Applications")}


def test_links_and_special_files_are_left_out_with_a_note(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (agent.root / "Dashboards" / "link.dmadb.json").symlink_to(tmp_path / "secret")
    (agent.root / "Dashboards" / "loop").symlink_to("..")
    os.mkfifo(agent.root / "Dashboards" / "pipe")
    result = agent.run(agent.backup_spec())
    assert sorted(result["notes"]) == [
        "Dashboards/link.dmadb.json is a link: not followed",
        "Dashboards/loop is a link: not followed",
        "Dashboards/pipe is no ordinary file",
    ]
    assert result["files"] == 7


@pytest.mark.parametrize(
    "name",
    [
        "a:b.json",
        "NUL.json",
        "com1",
        "trailing dot.",
        "trailing space ",
        "tab\tname",
        "line\nbreak",
        'quote".json',
        "back\\slash",
        "x" * 256,
        os.fsdecode(b"caf\xe9"),
    ],
    ids=lambda name: ascii(name)[:20],
)
def test_a_name_that_windows_cannot_hold_is_refused_before_anything_is_written(agent: Agent, name: str) -> None:
    if len(os.fsencode(name)) > 255:
        name = "ä" * 127 + "x"  # as long as this disk takes it
        agent.write(f"Dashboards/{name}")
        assert agent.run(agent.backup_spec())["files"] == 8
        return
    agent.write(f"Dashboards/{name}")
    with pytest.raises(BackupInvalid, match="can't be restored on Windows"):
        agent.run(agent.backup_spec())
    assert names(agent) == []
    status = agent.follow(agent.backup_spec(), "b1")
    assert status.state == "failed"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Dashboards/A.json", "Dashboards/a.json"),
        ("Dashboards/Ä.json", "Dashboards/ä.json"),
        ("Dashboards/Folder/x.json", "Dashboards/FOLDER/y.json"),
        ("Dashboards/name", "Dashboards/NAME/y.json"),
    ],
)
def test_names_that_differ_only_in_case_are_refused_before_anything_is_written(agent: Agent, one: str, other: str) -> None:
    agent.write(one)
    agent.write(other)
    with pytest.raises(BackupInvalid, match="can't be restored on Windows") as raised:
        agent.run(agent.backup_spec())
    assert "Windows takes it for" in raised.value.found
    assert names(agent) == []


@pytest.mark.parametrize("limit", ["MAX_ENTRIES", "MAX_TOTAL"])
def test_more_than_a_restore_would_take_is_refused(agent: Agent, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(local_backup, limit, 6)
    with pytest.raises(BackupInvalid, match="more content than"):
        agent.run(agent.backup_spec())
    assert names(agent) == []


def test_content_that_shrinks_a_thousandfold_can_still_be_read_back(agent: Agent) -> None:
    """A restore takes such a zip for a bomb: so these files are stored."""
    agent.write("Web/blank.json", b" " * 3_000_000)
    agent.write("Web/blank too.json", b"\0" * 5_000_000)
    result = agent.run(agent.backup_spec("Web"))
    assert verify({"path": result["path"]})["size"] > 8_000_000


def test_too_little_space_is_told_before_anything_is_written(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(local_backup.shutil, "disk_usage", lambda path: usage(0, 0, 1000))
    with pytest.raises(NotEnoughSpace, match="free space"):
        agent.run(agent.backup_spec())
    assert names(agent) == []


def test_space_asked_for_beyond_the_content_counts(agent: Agent) -> None:
    with pytest.raises(NotEnoughSpace, match="free space"):
        agent.run(agent.backup_spec(free_needed=10**18))


@pytest.mark.parametrize("at", ["fsync", "write"])
def test_a_disk_that_fills_up_leaves_nothing(agent: Agent, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    real = os.fsync

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def fsync(handle: int) -> None:
        full() if Path(f"/proc/self/fd/{handle}").readlink().name == "one.zip.partial" else real(handle)

    if at == "fsync":
        monkeypatch.setattr(local_backup.os, "fsync", fsync)
    else:
        monkeypatch.setattr(local_backup.ZipWriter, "add_packed", full)
    with pytest.raises(NotEnoughSpace):
        agent.run(agent.backup_spec(rotate=["old.zip"]))
    assert names(agent) == []


def test_a_zip_that_reads_back_differently_is_not_published(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    real = local_backup.read_zip

    def bad(path: Path, **more: Any) -> Any:
        data = bytearray(path.read_bytes())
        data[200] ^= 1
        path.write_bytes(data)
        return real(path, **more)

    monkeypatch.setattr(local_backup, "read_zip", bad)
    agent.backups.mkdir()
    (agent.backups / "old.zip").touch()
    with pytest.raises(DataMinerError):
        agent.run(agent.backup_spec(rotate=["old.zip"]))
    assert names(agent) == ["old.zip"]


def test_a_backup_is_never_written_over(agent: Agent) -> None:
    agent.run(agent.backup_spec())
    before = {name: (agent.backups / name).read_bytes() for name in names(agent)}
    agent.write("Dashboards/new.dmadb.json")
    with pytest.raises(Refused, match="exists"):
        agent.run(agent.backup_spec())
    assert {name: (agent.backups / name).read_bytes() for name in names(agent)} == before


@pytest.mark.parametrize("after", range(3))
def test_a_publication_that_breaks_off_can_be_repeated(agent: Agent, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Killed before the manifest's rename, between the two renames, and after both."""
    real, done = Path.replace, []

    def replace(self: Path, target: Path) -> Path:
        if self.parent == agent.backups:
            if len(done) == after:
                os.kill(os.getpid(), 9)
            done.append(target)
        return real(self, target)

    def sync(folder: Path) -> None:
        if folder == agent.backups and len(done) == 2 and after == 2:
            os.kill(os.getpid(), 9)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", replace)
        patched.setattr(local_backup, "sync_folder", sync)
        assert agent.follow(agent.backup_spec(), "b1").state == "dead"
    assert names(agent) == [["one.manifest.partial", "one.zip.partial"], ["one.manifest", "one.zip.partial"], ["one.manifest", "one.zip"]][after]
    if after == 2:
        verify({"path": str(agent.backups / "one.zip"), "manifest": str(agent.backups / "one.manifest")})
        return
    assert agent.follow(agent.backup_spec(), "b2").state == "done"
    assert names(agent) == ["one.manifest", "one.zip"]


def test_the_manifest_is_durable_before_the_zip_and_both_before_the_rotation(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[list[str]] = []
    agent.backups.mkdir()
    (agent.backups / "old.zip").touch()
    monkeypatch.setattr(local_backup, "sync_folder", lambda folder: told.append(names(agent)))
    agent.run(agent.backup_spec(rotate=["old.zip"]))
    assert told == [["old.zip", "one.manifest", "one.zip.partial"], ["old.zip", "one.manifest", "one.zip"]]
    assert names(agent) == ["one.manifest", "one.zip"]


def test_rotation_takes_the_zip_and_its_manifest_after_the_new_one_is_there(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    agent.backups.mkdir()
    for name in ("old.zip", "old.manifest", "other.zip", "other.manifest"):
        (agent.backups / name).touch()
    real = Path.unlink

    def unlink(self: Path, missing_ok: bool = False) -> None:
        if self.name.startswith("old"):
            assert (agent.backups / "one.zip").exists()
        real(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    result = agent.run(agent.backup_spec(rotate=["old.zip", "gone.zip"]))
    assert (result["rotated"], result["not_rotated"]) == (["old.zip", "gone.zip"], [])
    assert names(agent) == ["one.manifest", "one.zip", "other.manifest", "other.zip"]


def test_the_zip_is_in_the_order_of_the_manifest_whatever_the_number_of_cores(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(300):
        agent.write(f"Web/{number:03}.json", str(number) * number)
    first = agent.run(agent.backup_spec("Web"))
    monkeypatch.setattr(local_zip, "workers", lambda: 7)
    second = agent.run(agent.backup_spec("Web", name="two.zip"))
    with zipfile.ZipFile(first["path"]) as one, zipfile.ZipFile(second["path"]) as two:
        assert one.namelist() == two.namelist() == sorted(one.namelist())
