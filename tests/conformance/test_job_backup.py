"""The job `backup`: the same files, notes and errors on every lane, read back before it counts, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import random
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.manifest import parse_manifest
from conftest import Lane, in_an_engine
from restores import HELD

APP = "Applications/6b0c5ac3-9c0f-4ea7-8a50-0f4f6f1f6c11"
NOISE = random.Random(7).randbytes(3_000_000)
FILES: dict[str, bytes] = {
    f"{APP}/App.info.json": '{"Name": "Überwachung"}'.encode("utf-8-sig"),
    f"{APP}/version_1/App.config.json": b'{"Version": 1}' * 50,
    f"{APP}/version_2/App.config.json": b"".join(b'{"Version": %d}' % (number * 31 % 997) for number in range(5000)),
    f"{APP}/version_2/pages/é 😀.dmadb.json": b"page",
    f"{APP}/version_02x/not a version.json": b"x",
    "Dashboards/Overview.dmadb.json": b"overview" * 100,
    "Dashboards/Images/noise.png": NOISE[:300_000],
    "Dashboards/Images/large.png": NOISE,
    "Dashboards/Images/large.json": b"".join(b'{"n": %d}' % (number * 7919 % 100_003) for number in range(250_000)),
    "Dashboards/blanks.json": b" " * 500_000,
    "Web/empty": b"",
}
HEADER: dict[str, Any] = {
    "schema": 1,
    "name": "one.zip",
    "created": "2026-11-24T04:15:00Z",
    "agent": "dma1",
    "cluster": None,
    "server_version": None,
    "web_version": "10.5.4 (CU0)",
    "web_version_source": "test é",
    "mode": "all",
    "purpose": "backup",
    "left_out": [],
    "warnings": [],
}


def fill(lane: Lane, files: dict[str, bytes] | None = None) -> None:
    for name, data in (FILES if files is None else files).items():
        place = lane.home / "agent" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        os.utime(place, (1_700_000_000, 1_700_000_000))


def spec(lane: Lane, *items: str, **more: Any) -> dict[str, Any]:
    listed = [{"path": path, "versions": None} for path in items or (APP, "Dashboards", "Web")]
    base = {"kind": "backup", "root": lane.home / "agent", "items": listed, "dest_dir": lane.home / "backups", "name": "one.zip"}
    return {**base, "header": HEADER, "level": 1, "retries": 0, "rotate": [], "retry_seconds": 0.3, **more}


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {info.filename: archive.read(info) for info in archive.infolist()}


def left(lane: Lane) -> list[str]:
    folder = lane.home / "backups"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_what_is_in_it_and_what_is_told(host: Lane) -> None:
    fill(host)
    status = host.run(spec(host, about={"mode": "all"}))
    assert status.state == "done", status.error
    path, result = host.home / "backups" / "one.zip", status.result or {}
    assert contents(path) == FILES
    data = path.read_bytes()
    assert result == {
        "path": host.native(path),
        "files": len(FILES),
        "bytes": sum(map(len, FILES.values())),
        "zip_size": len(data),
        "zip_sha256": hashlib.sha256(data).hexdigest(),
        "rotated": [],
        "not_rotated": [],
        "notes": [],
        "about": {"mode": "all"},
    }
    assert left(host) == ["one.manifest", "one.zip"]


def test_the_manifest_names_every_file_in_the_order_of_the_zip(host: Lane) -> None:
    fill(host)
    host.run(spec(host))
    manifest = parse_manifest((host.home / "backups" / "one.manifest").read_bytes())
    assert manifest.header == HEADER
    with zipfile.ZipFile(host.home / "backups" / "one.zip") as archive:
        assert [row.path for row in manifest.rows] == archive.namelist()
    assert {row.path: row.sha256 for row in manifest.rows} == {path: hashlib.sha256(data).hexdigest() for path, data in FILES.items()}


def test_what_does_not_shrink_or_shrinks_beyond_belief_is_stored(host: Lane) -> None:
    """A restore refuses what grows more than two hundred times."""
    fill(host)
    host.run(spec(host))
    with zipfile.ZipFile(host.home / "backups" / "one.zip") as archive:
        stored = {info.filename for info in archive.infolist() if info.compress_type == zipfile.ZIP_STORED}
        assert {"Dashboards/Images/noise.png", "Dashboards/Images/large.png", "Dashboards/blanks.json", "Web/empty"} <= stored
        assert archive.getinfo(f"{APP}/version_2/App.config.json").compress_size < 30_000


def test_the_other_lanes_verify_it(host: Lane) -> None:
    fill(host)
    host.run(spec(host))
    path = host.home / "backups" / "one.zip"
    verify = {"kind": "verify", "path": path, "manifest": path.with_suffix(".manifest"), "compare_root": host.home / "agent", "limits": None}
    read = host.agent.inspect(host.told(verify))
    assert {row[4] for row in read["entries"]} == {"same"}


def test_versions_of_an_app(host: Lane) -> None:
    """By their numbers, which no type need hold; what has other digits is no version."""
    fill(host, {**FILES, f"{APP}/version_{'9' * 30}/App.config.json": b"x", f"{APP}/version_\u0663/App.config.json": b"x"})
    items = [{"path": APP, "versions": [2]}, {"path": "Dashboards/Overview.dmadb.json", "versions": None}]
    status = host.run(spec(host, items=items))
    assert status.state == "done", status.error
    assert set(contents(host.home / "backups" / "one.zip")) == {
        f"{APP}/App.info.json",
        f"{APP}/version_2/App.config.json",
        f"{APP}/version_2/pages/é 😀.dmadb.json",
        f"{APP}/version_02x/not a version.json",
        f"{APP}/version_\u0663/App.config.json",
        "Dashboards/Overview.dmadb.json",
    }


def test_an_empty_tree(host: Lane) -> None:
    """A backup that holds nothing could bring nothing back."""
    (host.home / "agent" / "Dashboards").mkdir(parents=True)
    status = host.run(spec(host, "Dashboards"))
    assert (status.error or {})["message"] == "The zip is no backup of web content."
    assert left(host) == []


def test_many_files(host: Lane) -> None:
    files = {f"Dashboards/{number % 20}/{number}.dmadb.json": f'{{"number": {number}}}'.encode() for number in range(10_000)}
    fill(host, files)
    status = host.run(spec(host, "Dashboards"))
    assert status.state == "done", status.error
    with zipfile.ZipFile(host.home / "backups" / "one.zip") as archive:
        assert {info.filename: info.CRC for info in archive.infolist()} == {name: zlib.crc32(data) for name, data in files.items()}
    assert status.progress["files"] == 10_000


def test_long_paths_and_read_only_files(host: Lane) -> None:
    long = "/".join(["Dashboards", *["a folder with a long name " * 2 + "x"] * 6, "x.json"])
    fill(host, {long: b"far down", "Dashboards/fixed.json": b"read-only"})
    (host.home / "agent" / "Dashboards" / "fixed.json").chmod(0o444)
    status = host.run(spec(host, "Dashboards", "Dashboards/fixed.json", level=6))  # named twice, and packed well
    assert status.state == "done", status.error
    assert contents(host.home / "backups" / "one.zip") == {long: b"far down", "Dashboards/fixed.json": b"read-only"}


def test_links_are_noted_and_not_followed(host_here: Lane) -> None:
    fill(host_here, {"Dashboards/a.json": b"a", "Elsewhere/secret.json": b"secret"})
    root = host_here.home / "agent"
    (root / "Dashboards" / "link.json").symlink_to(root / "Elsewhere" / "secret.json")
    (root / "Dashboards" / "folder").symlink_to(root / "Elsewhere")
    status = host_here.run(spec(host_here, "Dashboards"))
    assert (status.result or {})["notes"] == ["Dashboards/folder is a link: not followed", "Dashboards/link.json is a link: not followed"]
    assert contents(host_here.home / "backups" / "one.zip") == {"Dashboards/a.json": b"a"}


def test_what_is_gone_makes_no_backup(host: Lane) -> None:
    fill(host)
    status = host.run(spec(host, "Dashboards", "Dashboards/gone.json", "Applications/gone"))
    assert status.error == {
        "type": "ChangedMeanwhile",
        "message": "Files changed while they were backed up",
        "found": "Dashboards/gone.json (vanished), Applications/gone (vanished)",
        "needed": "content that can be read and stays the same for the length of a backup (1 attempts were made)",
        "remedy": "run again at a quieter moment, or close the programs that write these files",
        "details": "",
    }
    assert left(host) == []


def test_the_first_ten_that_are_gone_are_named(host: Lane) -> None:
    fill(host, {"Web/a": b"a"})
    error = host.run(spec(host, *(f"gone {number}" for number in range(12)))).error or {}
    assert error["found"].endswith(", gone 9 (vanished) and 2 more")


@in_an_engine
def test_a_file_that_another_program_holds(host: Lane) -> None:
    fill(host)
    with host.holding(host.home / "agent" / "Dashboards" / "Overview.dmadb.json"):
        status = host.run(spec(host, retries=1, retry_seconds=0.2))
    assert (status.error or {})["type"] == "ChangedMeanwhile"
    assert re.fullmatch(rf"Dashboards/Overview\.dmadb\.json \({HELD}\)", (status.error or {})["found"])
    assert left(host) == []


@pytest.mark.parametrize("name", ["a.", "con.json", "a:b", "nul", "a\\b"])
def test_names_that_windows_cannot_hold(host_here: Lane, name: str) -> None:
    fill(host_here, {f"Dashboards/{name}": b"x", "Dashboards/fine.json": b"y"})
    status = host_here.run(spec(host_here, "Dashboards"))
    assert (status.error or {})["message"] == "Some names can't be restored on Windows"
    assert f"Dashboards/{name} (" in (status.error or {})["found"]
    assert left(host_here) == []


def test_every_name_that_windows_cannot_hold_is_found(host_here: Lane) -> None:
    bad = ["LPT9.x.json", "Com1/a.json", "folder./a.json", "folder /a.json", "CONIN$", "clock$.json", "aux .json", "a\x01b", "ends "]
    fine = ["console.json", "Nullable/a.json", "com.json", "company 1/a b.json", ".hidden", "my nul/a.json"]
    fill(host_here, {f"Dashboards/{name}": b"x" for name in bad + fine})
    status = host_here.run(spec(host_here, "Dashboards"))
    found = (status.error or {})["found"].split("; ")
    assert sorted(row.rpartition(" (")[0] for row in found) == sorted(f"Dashboards/{name}" for name in bad)


def test_names_that_differ_in_case_only(host_here: Lane) -> None:
    fill(host_here, {"Dashboards/a.json": b"x", "Dashboards/A.json": b"y"})
    status = host_here.run(spec(host_here, "Dashboards"))
    assert (status.error or {})["found"] == "Dashboards/a.json (Windows takes it for Dashboards/A.json)"


def test_no_backup_is_overwritten(host: Lane) -> None:
    fill(host)
    assert host.run(spec(host)).state == "done"
    before = (host.home / "backups" / "one.zip").read_bytes()
    status = host.run(spec(host))
    assert (status.error or {})["type"] == "Refused"
    assert (status.error or {})["message"].endswith("one.zip exists")
    assert (host.home / "backups" / "one.zip").read_bytes() == before


def test_rotation_comes_last(host: Lane) -> None:
    fill(host)
    folder = host.home / "backups"
    folder.mkdir()
    for name in ("old.zip", "old.manifest", "other.zip"):
        (folder / name).write_bytes(b"x")
    (folder / "old.zip").chmod(0o444)
    status = host.run(spec(host, rotate=["old.zip", "gone.zip"]))
    assert (status.result or {})["rotated"] == ["old.zip", "gone.zip"]
    assert left(host) == ["one.manifest", "one.zip", "other.zip"]


def test_what_cannot_be_rotated_out_is_told(host: Lane) -> None:
    """Nobody makes a folder of that name; a file that stays is told in the same way."""
    fill(host, {"Dashboards/a.json": b"a"})
    (host.home / "backups" / "old.zip").mkdir(parents=True)
    result = host.run(spec(host, "Dashboards", rotate=["old.zip", "gone.zip"])).result or {}
    assert (result["rotated"], [told[:9] for told in result["not_rotated"]]) == (["gone.zip"], ["old.zip ("])
    assert left(host) == ["old.zip", "one.manifest", "one.zip"]


def test_no_rotation_without_a_backup(host: Lane) -> None:
    folder = host.home / "backups"
    folder.mkdir()
    (folder / "old.zip").write_bytes(b"x")
    assert host.run(spec(host, "gone", rotate=["old.zip"])).state == "failed"
    assert left(host) == ["old.zip"]


def test_not_enough_space(host: Lane) -> None:
    fill(host)
    status = host.run(spec(host, free_needed=10**18))
    error = status.error or {}
    assert (error["type"], error["needed"], error["remedy"]) == ("NotEnoughSpace", f"{10**18} bytes", "free some space or move the folder")
    assert left(host) == []


def test_a_partial_file_of_a_dead_job_is_no_obstacle(host: Lane) -> None:
    fill(host)
    (host.home / "backups").mkdir()
    (host.home / "backups" / "one.zip.partial").write_bytes(b"PK half of")
    assert host.run(spec(host)).state == "done"
    assert left(host) == ["one.manifest", "one.zip"]
