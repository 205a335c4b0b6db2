"""Reading a zip whole: against its sums, its manifest and the disk, whoever made it."""

from __future__ import annotations

import hashlib
import os
import random
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils import local_aside, local_backup
from ansible_collections.dataminer.web.plugins.module_utils.errors import BackupInvalid, DataMinerError, InvalidManifest, NotEnoughSpace, UnsafeEntry
from ansible_collections.dataminer.web.plugins.module_utils.local_verify import read_zip, verify
from local_kit import APP, Agent, snapshot

INFO = '{"PublicVersion": 7}'


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    agent = Agent(tmp_path)
    agent.fill()
    return agent


def vendor(path: Path, files: dict[str, bytes | str], method: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip with the names as they are; a name with a slash at its end is a folder."""
    with zipfile.ZipFile(path, "w", method) as made:
        for name, data in files.items():
            info = zipfile.ZipInfo("x", (2025, 3, 27, 11, 16, 34))
            info.filename, info.compress_type = name, method
            made.writestr(info, data)
    return path


def backed_up(agent: Agent) -> dict[str, Any]:
    result = agent.run(agent.backup_spec())
    return {"path": result["path"], "manifest": str(agent.backups / "one.manifest")}


def test_a_backup_is_what_its_manifest_says(agent: Agent) -> None:
    spec = backed_up(agent)
    result = verify({**spec, "compare_root": str(agent.root)})
    assert result["header"]["agent"] == "dma1"
    assert {row[4] for row in result["entries"]} == {"same"}
    assert result["zip_sha256"] == hashlib.sha256(Path(spec["path"]).read_bytes()).hexdigest()
    assert result["infos"] == {APP.split("/")[1]: ['{"PublicVersion": 2, "DraftVersion": 1}'] * 2}


def test_rows_tell_what_a_restore_would_do(agent: Agent) -> None:
    spec = backed_up(agent)
    agent.write("Dashboards/Overview.dmadb.json", "edited")
    (agent.root / "Dashboards/Operations/Alarms.dmadb.json").unlink()
    os.utime(agent.root / "Dashboards/Overview.dmadb.json", (1_700_000_000, 1_700_000_000))
    rows = {row[1]: row for row in verify({**spec, "compare_root": str(agent.root)})["entries"]}
    assert rows["Dashboards/Overview.dmadb.json"][4:] == ["replace", "2023-11-14T22:13:20Z", 6]
    assert rows["Dashboards/Operations/Alarms.dmadb.json"][4:] == ["create", None, None]
    assert rows[f"{APP}/App.info.json"][4] == "same"


def test_without_a_root_nothing_is_compared(agent: Agent) -> None:
    assert {tuple(row[4:]) for row in verify(backed_up(agent))["entries"]} == {(None, None, None)}


def test_a_file_of_the_same_size_is_compared_by_its_bytes(agent: Agent) -> None:
    spec = backed_up(agent)
    place = agent.root / "Dashboards/Overview.dmadb.json"
    place.write_bytes(place.read_bytes()[::-1])
    rows = {row[1]: row[4] for row in verify({**spec, "compare_root": str(agent.root)})["entries"]}
    assert rows["Dashboards/Overview.dmadb.json"] == "replace"


@pytest.mark.parametrize("kind", ["link", "folder", "linked folder"])
def test_what_is_no_file_on_the_disk_is_not_read(agent: Agent, tmp_path: Path, kind: str) -> None:
    spec = backed_up(agent)
    place = agent.root / "Dashboards/Overview.dmadb.json"
    moved = tmp_path / "moved"
    if kind == "linked folder":
        (agent.root / "Dashboards").rename(moved)
        (agent.root / "Dashboards").symlink_to(moved)
    else:
        place.rename(moved)
        place.symlink_to(moved) if kind == "link" else place.mkdir()
    rows = {row[1]: row[4] for row in verify({**spec, "compare_root": str(agent.root)})["entries"]}
    assert rows["Dashboards/Overview.dmadb.json"] == "create"


VENDOR = {
    "applications/": "",
    "applications/6b0c5ac3/": "",
    "applications\\6b0c5ac3\\App.info.json": INFO,
    "applications\\6b0c5ac3\\version_7\\App.config.json": "{}",
    "DASHBOARDS/Overview.dmadb.json": "x" * 5000,
    "web/Themes.json": "[]",
}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_of_the_vendor(agent: Agent, method: int) -> None:
    agent.write("Applications/6B0C5AC3/app.INFO.json", "on the disk")
    path = vendor(agent.home / "vendor.zip", VENDOR, method)
    result = verify({"path": str(path), "manifest": None, "compare_root": str(agent.root)})
    assert [row[:2] for row in result["entries"]] == [
        ["applications\\6b0c5ac3\\App.info.json", "Applications/6b0c5ac3/App.info.json"],
        ["applications\\6b0c5ac3\\version_7\\App.config.json", "Applications/6b0c5ac3/version_7/App.config.json"],
        ["DASHBOARDS/Overview.dmadb.json", "Dashboards/Overview.dmadb.json"],
        ["web/Themes.json", "Web/Themes.json"],
    ]
    assert result["infos"] == {"6b0c5ac3": [INFO, "on the disk"]}
    assert result["header"] is None


@pytest.mark.parametrize(("text", "shown"), [(INFO.encode("utf-8-sig"), INFO), (INFO.encode("utf-16"), INFO), (b"\xff{", "\ufffd{")])
def test_infos_are_decoded(agent: Agent, text: bytes, shown: str) -> None:
    path = vendor(agent.home / "vendor.zip", {"Applications/a/App.info.json": text})
    assert verify({"path": str(path)})["infos"] == {"a": [shown, None]}


def test_an_info_too_large_to_be_one_is_not_shown(agent: Agent) -> None:
    path = vendor(agent.home / "vendor.zip", {"Applications/a/App.info.json": random.Random(1).randbytes(1024**2 + 1)})
    assert verify({"path": str(path)})["infos"] == {}


def entry(name: str = "Web/a", **facts: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("x")
    info.filename = name
    for key, value in facts.items():
        setattr(info, key, value)
    return info


HOSTILE = {
    "climbing": entry("Applications/../../../etc/passwd"),
    "climbing with backslashes": entry("Applications\\..\\..\\x"),
    "absolute": entry("/etc/passwd"),
    "a drive": entry("C:\\Windows\\x"),
    "elsewhere": entry("Upgrades/x"),
    "a stream": entry("Web/a:b"),
    "a device": entry("Web/NUL"),
    "a link": entry(external_attr=(stat.S_IFLNK | 0o777) << 16),
    "a reparse point": entry(create_system=0, external_attr=0x400),
    "encrypted": entry(flag_bits=1),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_entry_is_refused_and_nothing_is_written(agent: Agent, name: str) -> None:
    path = agent.home / "hostile.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("Web/harmless", "x")
        info = HOSTILE[name]
        flags = info.flag_bits
        made.writestr(info, "y")
        info.flag_bits |= flags  # the writer clears it
    before = snapshot(agent.home)
    with pytest.raises((UnsafeEntry, BackupInvalid)):
        verify({"path": str(path), "compare_root": str(agent.root)})
    assert snapshot(agent.home) == before
    with pytest.raises((UnsafeEntry, BackupInvalid)):
        agent.run({"kind": "verify", "path": str(path), "manifest": None, "copy_to": None})


def test_a_bomb_is_refused(agent: Agent) -> None:
    path = vendor(agent.home / "bomb.zip", {"Web/bomb": b"\0" * 20_000_000})
    with pytest.raises(UnsafeEntry, match="grow"):
        read_zip(path)
    assert verify({"path": str(path), "limits": {"ratio": 2000.0}})["size"] < 100_000


@pytest.mark.parametrize("limits", [{"entries": 1}, {"total": 100}])
def test_limits(agent: Agent, limits: dict[str, int]) -> None:
    path = vendor(agent.home / "vendor.zip", {"Web/a": "x" * 60, "Web/b": "y" * 60})
    with pytest.raises(UnsafeEntry, match="limit"):
        verify({"path": str(path), "limits": limits})


def test_every_damaged_byte_is_noticed(agent: Agent) -> None:
    spec = backed_up(agent)
    for name in ("path", "manifest"):
        good, rng = Path(spec[name]).read_bytes(), random.Random(1)
        for position in sorted({0, 1, len(good) - 1, len(good) - 2, *(rng.randrange(len(good)) for _ in range(120))}):
            Path(spec[name]).write_bytes(good[:position] + bytes([good[position] ^ 1 << rng.randrange(8)]) + good[position + 1 :])
            with pytest.raises(DataMinerError):
                verify(spec)
        Path(spec[name]).write_bytes(good)
    verify(spec)


@pytest.mark.parametrize("name", ["path", "manifest"])
def test_every_cut_is_noticed(agent: Agent, name: str) -> None:
    spec = backed_up(agent)
    good, rng = Path(spec[name]).read_bytes(), random.Random(1)
    for length in sorted({0, 1, len(good) - 1, len(good) - 2, *(rng.randrange(len(good)) for _ in range(40))}):
        Path(spec[name]).write_bytes(good[:length])
        with pytest.raises(DataMinerError):
            verify(spec)


@pytest.mark.parametrize(
    ("change", "told"), [("extra", "1 extra (Web/new)"), ("missing", "1 missing (Dashboards"), ("changed", "1 changed (Dashboards")]
)
def test_extra_missing_and_changed_files_are_told_apart(agent: Agent, change: str, told: str) -> None:
    spec = backed_up(agent)
    with zipfile.ZipFile(spec["path"]) as read:
        files = {name: read.read(name) for name in read.namelist()}
    last = list(files)[-1]
    if change == "extra":
        files["Web/new"] = b"x"
    elif change == "missing":
        del files[last]
    else:
        files[last] = b"other"
    vendor(Path(spec["path"]), dict(files))
    with pytest.raises(BackupInvalid, match="doesn't hold what its manifest says") as raised:
        verify(spec)
    assert told in raised.value.found


def test_the_same_files_packed_anew_are_another_zip(agent: Agent) -> None:
    spec = backed_up(agent)
    with zipfile.ZipFile(spec["path"]) as read:
        files = {name: read.read(name) for name in read.namelist()}
    vendor(Path(spec["path"]), dict(files))
    with pytest.raises(BackupInvalid, match="doesn't hold") as raised:
        verify(spec)
    assert raised.value.found == "another SHA-256 of the whole zip"


def test_a_manifest_that_is_gone(agent: Agent) -> None:
    spec = backed_up(agent)
    Path(spec["manifest"]).unlink()
    with pytest.raises(InvalidManifest, match="can't be read"):
        verify(spec)


# the job: putting aside


def test_a_backup_is_put_aside_with_its_manifest(agent: Agent) -> None:
    spec = backed_up(agent)
    aside = agent.work / "aside"
    result = agent.run({**spec, "kind": "verify", "copy_to": str(aside), "compare_root": None})
    assert result["copied"] == str(aside / "one.zip")
    assert sorted(path.name for path in aside.iterdir()) == ["one.manifest", "one.zip"]
    assert (aside / "one.zip").read_bytes() == Path(spec["path"]).read_bytes()
    assert (aside / "one.zip").stat().st_mtime_ns == Path(spec["path"]).stat().st_mtime_ns, "it tells which version a zip was made on"
    again = agent.run({**spec, "kind": "verify", "copy_to": str(aside), "compare_root": None})
    assert again == result


def test_a_damaged_backup_is_not_put_aside_as_good(agent: Agent) -> None:
    spec = backed_up(agent)
    data = bytearray(Path(spec["path"]).read_bytes())
    data[len(data) // 2] ^= 1
    Path(spec["path"]).write_bytes(data)
    with pytest.raises(DataMinerError):
        agent.run({**spec, "kind": "verify", "copy_to": str(agent.work / "aside")})


def test_a_copy_that_differs_is_not_kept(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = backed_up(agent)
    monkeypatch.setattr(local_aside, "sha256_file", lambda path: "0" * 64)
    with pytest.raises(BackupInvalid, match="differs"):
        agent.run({**spec, "kind": "verify", "copy_to": str(agent.work / "aside")})
    assert list((agent.work / "aside").iterdir()) == []


def test_putting_aside_takes_space(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = backed_up(agent)
    monkeypatch.setattr(local_backup.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10}))
    with pytest.raises(NotEnoughSpace):
        agent.run({**spec, "kind": "verify", "copy_to": str(agent.work / "aside")})


def test_a_backup_that_is_gone(agent: Agent) -> None:
    with pytest.raises(BackupInvalid, match="is gone"):
        agent.run({"kind": "verify", "path": str(agent.home / "gone.zip"), "manifest": None, "copy_to": str(agent.work / "aside")})


def test_an_inspection_writes_nothing(agent: Agent) -> None:
    spec = backed_up(agent)
    before = snapshot(agent.home)
    result = agent.host.inspect({**spec, "compare_root": str(agent.root), "copy_to": str(agent.work / "aside")})
    assert result["copied"] is None
    assert snapshot(agent.home) == before
