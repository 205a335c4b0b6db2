"""The job `verify`: a zip is read to its end, judged by its names, its manifest and its sums, and compared with the disk."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import random
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.errors import DataMinerError
from conftest import Lane, LocalHost, in_an_engine, replace_in_job
from restores import HELD
from trees import REFERENCES, neutral, recorded

APP = "Applications/6b0c5ac3-9c0f-4ea7-8a50-0f4f6f1f6c11"
INFO = '{"Name": "Überwachung", "PublicVersion": 2}'
TEXT = b"".join(b'{"id":%d}' % (number * 7919 % 10007) for number in range(20_000))
NOISE = random.Random(7).randbytes(300_000)
FILES: dict[str, bytes] = {
    f"{APP}/App.info.json": INFO.encode("utf-8-sig"),
    f"{APP}/version_1/App.config.json": TEXT,
    f"{APP}/version_1/pages/é 😀.dmadb.json": b"page",
    "Dashboards/Overview.dmadb.json": b"overview",
    "Dashboards/Images/noise.png": NOISE,
    "Web/empty": b"",
}


def make(path: Path, files: dict[str, bytes] | None = None, method: int = zipfile.ZIP_DEFLATED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", method) as made:
        for name, data in (FILES if files is None else files).items():
            made.writestr(name, data)
    return path


def spec(lane: Lane, path: Path, **more: Any) -> dict[str, Any]:
    return {"kind": "verify", "work": "", "path": path, "manifest": None, "copy_to": None, "compare_root": None, "limits": None, **more}


def outcome(lane: Lane, call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A result without the path it was read from, or the whole error, its paths made comparable."""
    try:
        result = call()
    except DataMinerError as error:
        told: dict[str, Any] = json.loads(neutral(lane, json.dumps(error.to_dict())))
        return {"error": told.pop("type"), **told}
    return {key: value for key, value in result.items() if key not in ("path", "copied")}


def compare_recorded(lane: Lane, path: Path, found: dict[str, Any]) -> None:
    """The POSIX lane records what it made of each zip of a test, and Windows compares. Another packer makes other bytes of the same zip."""
    told: dict[str, Any] = json.loads(json.dumps(found))
    if "zip_sha256" in told:
        data = path.read_bytes()
        assert (told.pop("zip_sha256"), told.pop("size")) == (hashlib.sha256(data).hexdigest(), len(data))
        told["entries"] = [[*row[:5], row[5] is not None, *row[6:]] for row in told["entries"]]
    recorded(told, write=lane.name == "posix")


def both(lane: Lane, path: Path, **more: Any) -> dict[str, Any]:
    """What the lane makes of a zip, which must be what the POSIX adapter makes of it."""
    asked = spec(lane, path, **more)
    found = outcome(lane, lambda: lane.agent.inspect(lane.told(asked)))
    if LocalHost is None or (REFERENCES and lane.name == "posix"):
        compare_recorded(lane, path, found)
    if LocalHost is None:
        return found
    native = {key: str(value) if isinstance(value, Path) else value for key, value in asked.items()}
    assert found == outcome(lane, lambda: LocalHost(str(lane.home / "reference")).inspect(native))
    return found


def test_a_zip_of_the_vendor_compared_with_the_disk(host: Lane) -> None:
    path = make(host.home / "a.zip")
    root = host.home / "agent"
    for name, data in FILES.items():
        if "pages" not in name:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(data if "Overview" not in name else b"migrated")
    read = both(host, path, compare_root=root)
    states = {row[1]: row[4] for row in read["entries"]}
    assert states[f"{APP}/version_1/pages/é 😀.dmadb.json"] == "create"
    assert states["Dashboards/Overview.dmadb.json"] == "replace"
    assert states["Web/empty"] == "same"
    assert read["infos"] == {APP.partition("/")[2]: [INFO, INFO]}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_stored_and_deflated(host: Lane, method: int) -> None:
    assert len(both(host, make(host.home / "a.zip", method=method))["entries"]) == len(FILES)


def test_a_large_entry(host: Lane) -> None:
    """More than is read in memory at once."""
    big = TEXT * 40
    assert both(host, make(host.home / "a.zip", {"Web/a": big, "Web/b": big[::-1]}))["entries"][0][2] == len(big)
    both(host, make(host.home / "b.zip", {"Web/a": big}, zipfile.ZIP_STORED))


def test_entries_whose_sums_follow_them(host: Lane) -> None:
    class Pipe(io.RawIOBase):
        data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.data += data
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as made:  # type: ignore[arg-type]
        for name, data in FILES.items():
            made.writestr(name, data)
    path = host.home / "a.zip"
    path.write_bytes(pipe.data)
    assert len(both(host, path)["entries"]) == len(FILES)


def test_backslashes_folders_and_something_in_front(host: Lane) -> None:
    path = host.home / "a.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("dashboards/", b"")
        info = zipfile.ZipInfo("x")
        info.filename = "Applications\\a\\App.info.json"
        made.writestr(info, INFO)
    path.write_bytes(b"something in front" + path.read_bytes() + b"")
    read = both(host, path)
    assert [row[1] for row in read["entries"]] == ["Applications/a/App.info.json"]


def test_a_zip_with_a_comment(host: Lane) -> None:
    path = make(host.home / "a.zip")
    with zipfile.ZipFile(path, "a") as made:
        made.comment = b"PK\5\6 isn't the end" * 20
    both(host, path)


HOSTILE: dict[str, dict[str, Any]] = {
    "up": {"name": "Web/../../etc/passwd"},
    "absolute": {"name": "/Web/a"},
    "drive": {"name": "C:/Web/a"},
    "device": {"name": "Web/con.json"},
    "colon": {"name": "Web/a:b"},
    "dot": {"name": "Web/a."},
    "elsewhere": {"name": "Windows/System32/a"},
    "long": {"name": "Web/" + "a" * 256},
    "link": {"name": "Web/a", "external_attr": 0o120777 << 16},
    "DOS link": {"name": "Web/a", "external_attr": 0x400, "create_system": 0},
    "folder with data": {"name": "Web/a/"},
    "method": {"name": "Web/a", "compress_type": zipfile.ZIP_BZIP2},
    "method of an app's file": {"name": f"{APP}/App.info.json", "compress_type": zipfile.ZIP_BZIP2},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_entries(host: Lane, name: str) -> None:
    path = host.home / "a.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("Dashboards/fine.json", b"fine")
        info = zipfile.ZipInfo("x")
        for key, value in HOSTILE[name].items():
            setattr(info, "filename" if key == "name" else key, value)
        made.writestr(info, b"data")
    assert "error" in both(host, path)


@pytest.mark.parametrize("second", ["Web/a", "Web/A", "Web/a/b"])
def test_entries_that_land_on_one_another(host: Lane, second: str) -> None:
    path = host.home / "a.zip"
    with zipfile.ZipFile(path, "w") as made, pytest.warns(UserWarning) if second == "Web/a" else contextlib.nullcontext():
        made.writestr("Web/a", b"one")
        made.writestr(second, b"two")
    assert both(host, path)["error"] == "UnsafeEntry"


@pytest.mark.parametrize("limits", [{"entries": 1, "total": 10**9, "ratio": 200.0}, {"entries": 100, "total": 100, "ratio": 200.0}])
def test_limits(host: Lane, limits: dict[str, float]) -> None:
    assert both(host, make(host.home / "a.zip"), limits=limits)["error"] == "UnsafeEntry"


def test_a_bomb(host: Lane) -> None:
    assert both(host, make(host.home / "a.zip", {"Web/a": b"\0" * 5_000_000}))["error"] == "UnsafeEntry"


@pytest.mark.parametrize("data", [b"", b"PK\5\6", b"not a zip" * 100, b"PK\5\6" + b"\0" * 18], ids=["empty", "half an end", "text", "no entries"])
def test_what_is_no_backup(host: Lane, data: bytes) -> None:
    path = host.home / "a.zip"
    path.write_bytes(data)
    assert "error" in both(host, path)


def test_a_zip_that_is_not_there(host: Lane) -> None:
    assert both(host, host.home / "missing.zip")["error"] == "BackupInvalid"


def test_damage_is_noticed(host: Lane) -> None:
    """Wherever it is: the outcome is the POSIX adapter's, to the word."""
    path = make(host.home / "a.zip", {"Web/a": TEXT[:5000], "Web/b": b"stored by its size"})
    whole = path.read_bytes()
    noise = random.Random(11)
    for _number in range(60):
        data = bytearray(whole)
        data[noise.randrange(len(data))] ^= 1 << noise.randrange(8)
        path.write_bytes(data)
        asked = spec(host, path)
        wanted = outcome(host, lambda: LocalHost(str(host.home / "reference")).inspect({**spec(host, path), "path": str(path)}))
        assert outcome(host, lambda asked=asked: host.agent.inspect(host.told(asked))) == wanted


def test_cuts_are_noticed(host: Lane) -> None:
    path = make(host.home / "a.zip", {"Web/a": TEXT[:5000], "Web/b": b"b"})
    whole = path.read_bytes()
    for count in (1, 20, 22, 60, 200, len(whole) - 4):
        path.write_bytes(whole[:-count])
        assert both(host, path)["error"] == "BackupInvalid"


def test_entries_that_share_their_bytes(host: Lane) -> None:
    path = make(host.home / "a.zip", {f"Web/{number}": TEXT[:3000] for number in range(3)})
    data = bytearray(path.read_bytes())
    start = struct.unpack_from("<L", data, len(data) - 6)[0]
    position = start
    while position < len(data) - 22:  # every entry claims the first one's place and twice its bytes
        struct.pack_into("<L", data, position + 20, 40_000)
        position += 46 + struct.unpack_from("<H", data, position + 28)[0]
    path.write_bytes(data)
    assert both(host, path)["error"] == "BackupInvalid"


@pytest.fixture
def backed_up(host: Lane) -> dict[str, Any]:
    """A backup of ours, with its manifest."""
    root = host.home / "agent"
    for name, data in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    reference = LocalHost(str(host.home / "reference"))
    header = {
        "schema": 1,
        "name": "one.zip",
        "created": "2026-11-24T04:15:00Z",
        "agent": "dma1",
        "cluster": None,
        "server_version": None,
        "web_version": "10.5.4",
        "web_version_source": "test",
        "mode": "all",
        "purpose": "backup",
        "left_out": [],
        "warnings": [],
    }
    items = [{"path": path, "versions": None} for path in (APP, "Dashboards", "Web")]
    backup = {"kind": "backup", "work": "", "root": str(root), "items": items, "dest_dir": str(host.home / "backups"), "name": "one.zip"}
    status = reference.start({**backup, "header": header, "level": 1, "retries": 0, "rotate": []}, "b1")
    assert reference.poll(status.run_id, 120).state == "done"
    path = host.home / "backups" / "one.zip"
    return {"path": path, "manifest": path.with_suffix(".manifest")}


def test_a_backup_of_ours_is_what_its_manifest_says(host: Lane, backed_up: dict[str, Any]) -> None:
    read = both(host, **{**backed_up, "compare_root": host.home / "agent"})
    assert read["header"]["agent"] == "dma1"
    assert {row[4] for row in read["entries"]} == {"same"}


def test_extra_missing_and_changed_files_are_told_apart(host: Lane, backed_up: dict[str, Any]) -> None:
    make(
        backed_up["path"],
        {**{name: data for name, data in FILES.items() if name != "Web/empty"}, "Web/more": b"x", "Dashboards/Overview.dmadb.json": b"y"},
    )
    with pytest.raises(DataMinerError) as raised:
        host.agent.inspect(host.told(spec(host, **backed_up)))
    assert raised.value.found == (
        "1 extra (Web/more); 1 missing (Web/empty); 1 changed (Dashboards/Overview.dmadb.json); another SHA-256 of the whole zip"
    )
    both(host, **backed_up)


@pytest.mark.parametrize("damage", ["gone", "cut", "changed"])
def test_a_manifest_that_is_no_use(host: Lane, backed_up: dict[str, Any], damage: str) -> None:
    manifest: Path = backed_up["manifest"]
    data = manifest.read_bytes()
    if damage == "gone":
        manifest.unlink()
    else:
        manifest.write_bytes(data[:-20] if damage == "cut" else data.replace(b'"agent"', b'"agenT"', 1))
    with pytest.raises(DataMinerError) as raised:
        host.agent.inspect(host.told(spec(host, **backed_up)))
    assert type(raised.value).__name__ == "InvalidManifest"


def test_a_copy_put_aside(host: Lane, backed_up: dict[str, Any]) -> None:
    """With its manifest and its time, whole or not at all, and again."""
    aside = host.home / "work" / "aside"
    for _again in range(2):
        status = host.run(spec(host, **backed_up, copy_to=aside, about={"name": "one.zip"}))
        assert status.state == "done", status.error
        assert (status.result or {})["copied"] == host.native(aside / "one.zip")
        assert (status.result or {})["about"] == {"name": "one.zip"}
    assert sorted(path.name for path in aside.iterdir()) == ["one.manifest", "one.zip"]
    assert (aside / "one.zip").read_bytes() == backed_up["path"].read_bytes()
    assert abs((aside / "one.zip").stat().st_mtime - backed_up["path"].stat().st_mtime) < 0.001


def test_a_copy_of_a_zip_that_has_no_manifest(host: Lane) -> None:
    """As those of the vendor have none."""
    aside = host.home / "work" / "aside"
    status = host.run(spec(host, make(host.home / "a.zip"), copy_to=aside))
    assert (status.result or {})["copied"] == host.native(aside / "a.zip"), status.error
    assert {path.name: path.read_bytes() for path in aside.iterdir()} == {"a.zip": (host.home / "a.zip").read_bytes()}


def test_another_copy_of_that_name_stays(host: Lane, backed_up: dict[str, Any]) -> None:
    """It may be the only good one of its backup: the new one gets another name, and the same once more."""
    aside = host.home / "work" / "aside"
    aside.mkdir(parents=True)
    (aside / "one.zip").write_bytes(b"another backup")
    (aside / "one.manifest").write_bytes(b"of another backup")
    digest = hashlib.sha256(backed_up["path"].read_bytes()).hexdigest()
    for _again in range(2):
        status = host.run(spec(host, **backed_up, copy_to=aside))
        assert (status.result or {})["copied"] == host.native(aside / f"one-{digest[:8]}.zip"), status.error
    names = ["one.manifest", "one.zip", f"one-{digest[:8]}.manifest", f"one-{digest[:8]}.zip"]
    assert sorted(path.name for path in aside.iterdir()) == sorted(names)
    assert (aside / "one.zip").read_bytes() == b"another backup"
    assert (aside / "one.manifest").read_bytes() == b"of another backup"


@pytest.mark.parametrize("damage", ["zip", "manifest", "another"])
def test_a_damaged_backup_gets_no_name_among_the_copies(host: Lane, backed_up: dict[str, Any], damage: str) -> None:
    """And takes no good one's place."""
    aside = host.home / "work" / "aside"
    assert host.run(spec(host, **backed_up, copy_to=aside)).state == "done"
    good = {path.name: path.read_bytes() for path in aside.iterdir()}
    if damage == "another":
        make(backed_up["path"], {"Web/a": b"a"})
    else:
        place: Path = backed_up["path" if damage == "zip" else "manifest"]
        data = bytearray(place.read_bytes())
        data[len(data) // 2] ^= 1
        place.write_bytes(data)
    assert host.run(spec(host, **backed_up, copy_to=aside)).state == "failed"
    assert {path.name: path.read_bytes() for path in aside.iterdir()} == good


@pytest.mark.parametrize(("name", "limits"), [("Web/../../a", None), ("Web/a", {"entries": 1, "total": 10**9, "ratio": 200.0})])
def test_a_zip_that_the_core_refuses_stays_no_copy(host: Lane, name: str, limits: dict[str, float] | None) -> None:
    """Nobody would rotate it, and it would count as a backup once the vendor's own is gone."""
    path = make(host.home / "a.zip", {"Dashboards/a.json": b"a", name: b"x"})
    aside = host.home / "work" / "aside"
    assert (host.run(spec(host, path, copy_to=aside, limits=limits), "v1").error or {})["type"] == "UnsafeEntry"
    assert list(aside.iterdir()) == []
    make(aside / "a.zip")
    assert host.agent.poll("v1").state == "failed"  # once more, as after a lost connection: by now another backup has the name
    assert [path.name for path in aside.iterdir()] == ["a.zip"]


def test_a_copy_that_was_broken_off_is_made_anew(host: Lane, backed_up: dict[str, Any]) -> None:
    aside = host.home / "work" / "aside"
    (aside / "one.zip.partial").mkdir(parents=True)
    (aside / "one.zip.partial" / "one.zip").write_bytes(b"PK half of")
    assert host.run(spec(host, **backed_up, copy_to=aside)).state == "done"
    assert sorted(path.name for path in aside.iterdir()) == ["one.manifest", "one.zip"]


def test_a_chosen_backup_that_is_gone(host: Lane) -> None:
    status = host.run(spec(host, host.home / "missing.zip", copy_to=host.home / "work" / "aside"))
    assert (status.error or {})["message"].endswith("missing.zip is gone")
    assert (status.error or {})["needed"] == "the chosen backup"


def test_a_zip_that_is_gone_once_it_was_copied(host: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    """The vendor keeps five: the copy is the only one, and has the time of the original."""
    path = make(host.home / "a.zip")
    data = path.read_bytes()
    os.utime(path, (1_700_000_000, 1_700_000_000))
    if host.engine:
        flush = "            $taken.Flush($true)\n"
        replace_in_job(monkeypatch, flush, f"{flush}            [IO.File]::Delete($source)\n", "job_verify")
    else:
        flushed = os.fsync

        def flush_and_delete(handle: int) -> None:
            flushed(handle)
            if Path(f"/proc/self/fd/{handle}").readlink().name == path.name:
                path.unlink()

        monkeypatch.setattr(os, "fsync", flush_and_delete)
    aside = host.home / "work" / "aside"
    status = host.run(spec(host, path, copy_to=aside))
    assert (status.state, path.exists()) == ("done", False), status.error
    assert (aside / "a.zip").read_bytes() == data
    assert (aside / "a.zip").stat().st_mtime == 1_700_000_000


@in_an_engine
def test_a_copy_that_another_program_holds_is_no_fault_of_the_disk(host: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a virus scanner does that looks at what was just written."""
    copied = "    finally { $given.Dispose() }\n"
    replace_in_job(monkeypatch, copied, f"{copied}    $job.holder = [IO.File]::Open($target, 'Open', 'Read', 'None')\n", "job_verify")
    status = host.run(spec(host, make(host.home / "a.zip"), copy_to=host.home / "work" / "aside", retry_seconds=0.3))
    assert (status.error or {})["message"].endswith("a.zip can't be read")
    assert re.fullmatch(HELD, (status.error or {})["found"])
