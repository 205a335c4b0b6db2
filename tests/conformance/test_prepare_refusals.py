"""What a preparation refuses by itself: it leaves no file, no row and no safety copy, and the content is as it was."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
from conftest import Lane
from test_job_backup import HEADER, fill
from test_job_prepare import spec
from test_job_verify import APP, FILES, make

LIMITS = {"entries": 1000, "total": 10**9, "ratio": 200.0}
OVERVIEW = "Dashboards/Overview.dmadb.json"


def tree(folder: Path) -> dict[str, Any]:
    """What stands there: links as they are, bytes of files."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    return {
        name: path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else path.lstat().st_mode for name, path in found.items()
    }


def refused(lane: Lane, asked: dict[str, Any]) -> dict[str, str]:
    """The error."""
    before = tree(lane.home / "agent")
    status = lane.run(asked, "p1")
    assert status.state == "failed", status.result
    assert tree(lane.home / "agent") == before
    assert not (lane.home / "work" / "staging" / "p1").exists()
    assert not (lane.home / "work" / "jobs" / "p1" / "rows.txt").exists()
    assert not list((lane.home / "work").glob("safety/*"))
    return dict(status.error or {})


def safety(lane: Lane, *items: str) -> dict[str, Any]:
    """A safety copy of these."""
    listed = [{"path": path, "versions": None} for path in items]
    asked = {"root": lane.home / "agent", "items": listed, "dest_dir": lane.home / "work" / "safety", "name": "s.zip", "level": 1}
    return {**asked, "retries": 0, "rotate": [], "header": {**HEADER, "purpose": "safety"}}


@pytest.mark.parametrize(("linked", "filled"), [("Dashboards", True), (f"{APP}/version_1", True), (APP, False)])
def test_a_linked_folder_is_never_written_through(host_here: Lane, linked: str, filled: bool) -> None:
    """Whether the file behind the link exists or not."""
    elsewhere = host_here.home / "elsewhere"
    fill(host_here, {f"../elsewhere/{name.removeprefix(linked + '/')}": b"mine" for name in FILES if filled and name.startswith(f"{linked}/")})
    elsewhere.mkdir(exist_ok=True)
    place = host_here.home / "agent" / linked
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(elsewhere)
    before = tree(elsewhere)
    error = refused(host_here, spec(host_here, make(host_here.home / "a.zip", FILES)))
    assert (error["type"], error["message"], error["found"]) == ("Refused", f"{place} is in the way", "a link")
    assert error["needed"] == "a folder: links are never followed"
    assert tree(elsewhere) == before


@pytest.mark.parametrize("broken", [False, True])
def test_a_link_in_place_of_a_file_is_never_replaced(host_here: Lane, broken: bool) -> None:
    place, target = host_here.home / "agent" / OVERVIEW, host_here.home / "target"
    place.parent.mkdir(parents=True)
    target.write_text("mine", "utf-8")
    place.symlink_to("nowhere" if broken else target)
    error = refused(host_here, spec(host_here, make(host_here.home / "a.zip", FILES)))
    assert (error["type"], error["message"], error["found"]) == ("Refused", f"{OVERVIEW} is in the way", "a link")
    assert error["needed"] == "an ordinary file or nothing"
    assert target.read_text("utf-8") == "mine"


def test_a_file_where_a_folder_should_be(host: Lane) -> None:
    fill(host, {APP: b"a file"})
    error = refused(host, spec(host, make(host.home / "a.zip", FILES)))
    assert (error["type"], error["message"]) == ("Refused", f"{host.native(host.home / 'agent' / APP)} is in the way")
    assert (error["found"], error["remedy"]) == ("a file", "move it away")


@pytest.mark.parametrize("name", ["Applications/../../x", "/etc/x", "Web/a:b", "Upgrades/x"])
def test_a_zip_with_other_names_than_were_judged(host: Lane, name: str) -> None:
    """Its SHA-256 was named all the same."""
    fill(host)
    path = host.home / "a.zip"
    judged = spec(host, make(path, {"Web/x": b"x"}), safety=safety(host, "Dashboards"))["names_sha256"]
    with zipfile.ZipFile(path, "a") as made:
        info = zipfile.ZipInfo("x")
        info.filename = name
        made.writestr(info, b"y")
    error = refused(host, {**spec(host, path, safety=safety(host, "Dashboards")), "names_sha256": judged})
    assert error["type"] == ("UnsafeEntry" if host.engine is None else "BackupInvalid")  # scripts judge no name
    assert not (host.home / "x").exists()


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        ({}, "it would grow from {packed} to 5000001 bytes, more than 200 times"),
        ({"ratio": 2000.0, "total": 5_000_000}, "it would take 5000001 bytes extracted, and 5000000 is the limit"),
        ({"entries": 1}, "it has 2 entries, and 1 is the limit"),
    ],
    ids=["ratio", "total", "entries"],
)
def test_a_bomb(host: Lane, limits: dict[str, float], why: str) -> None:
    fill(host)
    path = make(host.home / "a.zip", {"Web/a": b"\0" * 5_000_000, "Web/b": b"b"})
    with zipfile.ZipFile(path) as made:
        packed = sum(info.compress_size for info in made.infolist())
    error = refused(host, spec(host, path, limits={**LIMITS, **limits}, safety=safety(host, "Dashboards")))
    assert (error["type"], error["message"]) == ("UnsafeEntry", f"The zip is refused: {why.format(packed=packed)}.")


def test_a_damaged_entry(host: Lane) -> None:
    (host.home / "agent").mkdir()
    path = make(host.home / "a.zip", {"Web/a": b"a", "Web/b": b"b" * 5000})
    data = bytearray(path.read_bytes())
    data[data.index(b"Web/b") + 8] ^= 1
    path.write_bytes(data)
    error = refused(host, spec(host, path))
    assert (error["type"], error["message"]) == ("BackupInvalid", "a.zip is damaged at Web/b")


def test_a_safety_copy_that_fails(host: Lane) -> None:
    fill(host)
    error = refused(host, spec(host, make(host.home / "a.zip", FILES), safety=safety(host, "Applications/gone")))
    assert (error["type"], error["found"]) == ("ChangedMeanwhile", "Applications/gone (vanished)")
