"""The job `prepare` of a restore: all is extracted and verified beside the content; what is the same already is left out."""

from __future__ import annotations

import hashlib
import random
import stat
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.entry_names import names_digest
from conftest import Lane, in_an_engine, replace_in_job
from restores import BACKUP, Restore
from test_job_backup import APP, FILES, HEADER, fill, left
from test_job_verify import make


def spec(lane: Lane, path: Path, **more: Any) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        sums = {"zip_sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "names_sha256": names_digest(archive.namelist())}
    base = {"kind": "prepare", "zip": path, **sums, "include": None, "root": lane.home / "agent", "safety": None, "mtime": "now"}
    return {**base, "limits": None, **more}


def rows(lane: Lane, run: str) -> dict[str, list[str]]:
    """The rows by path: action, size, target."""
    lines = (lane.home / "work" / "jobs" / run / "rows.txt").read_text("utf-8").splitlines()
    parts = [line.split("\t") for line in lines]
    return {part[3]: [part[0], part[1], part[4]] for part in parts}


def staged(lane: Lane, run: str) -> dict[str, bytes]:
    base = lane.home / "work" / "staging" / run
    return {path.relative_to(base).as_posix(): path.read_bytes() for path in base.rglob("*") if path.is_file()}


def test_everything_stands_ready(host: Lane) -> None:
    fill(host, {"Web/empty": b"", "Dashboards/Overview.dmadb.json": b"migrated"})
    limits = {"entries": len(FILES), "total": sum(map(len, FILES.values())), "ratio": 200.0}
    status = host.run(spec(host, make(host.home / "a.zip", FILES), about={"backup": "a.zip"}, limits=limits), "p1")
    assert status.state == "done", status.error
    ready = {path: data for path, data in FILES.items() if path != "Web/empty"}
    assert status.result == {
        "rows": len(ready),
        "same": 1,
        "files": len(FILES),
        "bytes": sum(map(len, FILES.values())),
        "safety": None,
        "about": {"backup": "a.zip"},
    }
    assert staged(host, "p1") == FILES
    actions = {"Web/empty": "same", "Dashboards/Overview.dmadb.json": "replace"}
    assert rows(host, "p1") == {path: [actions.get(path, "create"), str(len(data)), path] for path, data in FILES.items()}


def test_the_disks_spelling_is_the_target(host: Lane) -> None:
    fill(host, {"DASHBOARDS/OVERVIEW.dmadb.json": b"migrated"})
    path = make(host.home / "a.zip", {"dashboards/Overview.dmadb.json": b"o", "Dashboards/New/n.json": b"n"})
    status = host.run(spec(host, path), "p1")
    assert status.state == "done", status.error
    assert rows(host, "p1") == {
        "Dashboards/Overview.dmadb.json": ["replace", "1", "DASHBOARDS/OVERVIEW.dmadb.json"],
        "Dashboards/New/n.json": ["create", "1", "DASHBOARDS/New/n.json"],
    }


def test_many_names_of_mixed_case_and_one_that_is_missing(host: Lane) -> None:
    """The missing one is looked for as Windows would find it, among all that are there."""
    names = [f"{letter if number % 3 else letter.upper()}{number:02}.js" for number in range(40) for letter in "ab"]
    fill(host, {f"Web/{name}": b"old" for name in names})
    path = make(host.home / "a.zip", {f"Web/{name}": b"new" for name in (*names, "a99.js")})
    status = host.run(spec(host, path), "p1")
    assert status.state == "done", status.error
    found = {name: action for name, (action, _size, _target) in rows(host, "p1").items()}
    assert found == {**{f"Web/{name}": "replace" for name in names}, "Web/a99.js": "create"}


def test_of_names_that_differ_in_case_the_first_in_the_common_order(host_here: Lane) -> None:
    """Among so many that their order on the disk is another one."""
    names = [*(f"{number:02}.JS" for number in range(40)), *(f"{number:02}.js" for number in range(40))]
    fill(host_here, {f"Web/{name}": b"old" for name in names})
    path = make(host_here.home / "a.zip", {f"Web/{number:02}.Js": b"new" for number in range(40)})
    status = host_here.run(spec(host_here, path), "p1")
    assert status.state == "done", status.error
    assert [target for _action, _size, target in rows(host_here, "p1").values()] == [f"Web/{number:02}.JS" for number in range(40)]


def test_a_part_only(host: Lane) -> None:
    (host.home / "agent").mkdir()
    path = make(host.home / "a.zip", FILES)
    assert host.run(spec(host, path, include=[APP, "Dashboards/Overview.dmadb.json"]), "p1").state == "done"
    assert set(rows(host, "p1")) == {name for name in FILES if name.startswith(f"{APP}/") or name == "Dashboards/Overview.dmadb.json"}


@pytest.mark.parametrize("mtime", ["now", "keep"])
def test_times(host: Lane, mtime: str) -> None:
    (host.home / "agent").mkdir()
    path = host.home / "a.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(zipfile.ZipInfo("Web/a", (2020, 5, 6, 7, 8, 10)), b"a")
        made.writestr(zipfile.ZipInfo("Web/never", (1980, 1, 1, 0, 0, 0)), b"b")
    assert host.run(spec(host, path, mtime=mtime), "p1").state == "done"
    moment = (host.home / "work" / "staging" / "p1" / "Web" / "a").stat().st_mtime
    told = time.localtime(moment)
    assert ((told.tm_year, told.tm_mon) == (2020, 5)) == (mtime == "keep")


def test_another_zip_than_the_one_that_was_chosen(host: Lane) -> None:
    (host.home / "agent").mkdir()
    path = make(host.home / "a.zip", FILES)
    asked = spec(host, path)
    make(path, {"Web/a": b"another"})
    status = host.run(asked, "p1")
    assert (status.error or {})["message"].endswith("a.zip isn't the backup that was chosen")
    status = host.run({**spec(host, path), "names_sha256": "0" * 64}, "p2")
    assert (status.error or {})["message"].endswith("holds other names than were checked")
    assert not (host.home / "work" / "staging" / "p1").exists()


@in_an_engine
def test_a_zip_that_was_held_for_a_moment_is_no_other_one(host: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its digest, which is taken beside other work, couldn't be: it is taken again."""
    replace_in_job(monkeypatch, "$digests[$i] = ''", "$digests[$i] = ''; continue")
    (host.home / "agent").mkdir()
    status = host.run(spec(host, make(host.home / "a.zip", FILES)), "p1")
    assert status.state == "done", status.error
    assert staged(host, "p1") == FILES


def test_a_folder_in_the_way(host: Lane) -> None:
    (host.home / "agent" / "Web" / "empty").mkdir(parents=True)
    status = host.run(spec(host, make(host.home / "a.zip", FILES)), "p1")
    error = status.error or {}
    assert (error["type"], error["message"], error["found"]) == ("Refused", "Web/empty is in the way", "a folder")
    assert not (host.home / "work" / "staging" / "p1").exists()
    assert not (host.home / "work" / "jobs" / "p1" / "rows.txt").exists()


def test_no_room(host: Lane) -> None:
    (host.home / "agent").mkdir()
    status = host.run(spec(host, make(host.home / "a.zip", FILES), free_needed=10**18), "p1")
    assert (status.error or {})["type"] == "NotEnoughSpace"


def test_no_root(host: Lane) -> None:
    status = host.run(spec(host, make(host.home / "a.zip", FILES)), "p1")
    assert (status.error or {})["message"].endswith("is no folder")
    assert (status.error or {})["remedy"] == "set dataminer_root"


def test_a_root_that_is_a_link_to_another_volume(windows: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its drive is that of the working folder; files can't be renamed there all the same."""
    told = "function Get-VolumeName([string]$folder) {"
    replace_in_job(monkeypatch, told, f"{told} return $(if ($folder.EndsWith('work')) {{ '{{1}}' }} else {{ '{{2}}' }})")
    (windows.home / "agent").mkdir()
    status = windows.run(spec(windows, make(windows.home / "a.zip", FILES)), "p1")
    assert "isn't on the volume of" in (status.error or {}).get("message", ""), status
    assert not (windows.home / "work" / "staging" / "p1").exists()


def test_a_safety_copy_comes_first(host: Lane) -> None:
    fill(host, {"Dashboards/Overview.dmadb.json": b"migrated"})
    folder = host.home / "work" / "safety"
    items = [{"path": "Dashboards", "versions": None}]
    safety = {"root": host.home / "agent", "items": items, "dest_dir": folder, "name": "safe.zip", "level": 1, "retries": 0, "rotate": []}
    safety["header"] = {**HEADER, "purpose": "safety"}
    status = host.run(spec(host, make(host.home / "a.zip", FILES), safety=safety), "p1")
    assert status.state == "done", status.error
    assert (status.result or {})["safety"]["path"] == host.native(folder / "safe.zip")
    assert sorted(path.name for path in folder.iterdir()) == ["safe.manifest", "safe.zip"]
    assert left(host) == []


def test_read_only_files_of_an_earlier_preparation_go(host: Lane) -> None:
    fill(host, {"Web/c": b"c"})
    path = make(host.home / "a.zip", {"Web/a/b": b"b"})
    assert host.run(spec(host, path), "p1").state == "done"
    old = host.home / "work" / "staging" / "p1" / "Web" / "a" / "b"
    old.chmod(stat.S_IREAD)
    assert host.run(spec(host, path), "p2").state == "done"
    assert [place.name for place in (host.home / "work" / "staging").iterdir()] == ["p2"]


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 100_000])
def test_files_that_differ_in_their_last_byte(host: Lane, size: int) -> None:
    there, wanted = b"x" * size + b"1", b"x" * size + b"2"
    fill(host, {"Web/a": there, "Web/same": wanted})
    status = host.run(spec(host, make(host.home / "a.zip", {"Web/a": wanted, "Web/same": wanted})), "p1")
    assert status.state == "done", status.error
    assert {path: row[0] for path, row in rows(host, "p1").items()} == {"Web/a": "replace", "Web/same": "same"}


@pytest.mark.parametrize("size", [0, 512, 100_000, 9_000_000])
def test_files_that_are_longer(host: Lane, size: int) -> None:
    """They begin with what the backup holds."""
    wanted = random.Random(size).randbytes(size)
    fill(host, {"Web/a": wanted + b"1"})
    status = host.run(spec(host, make(host.home / "a.zip", {"Web/a": wanted})), "p1")
    assert status.state == "done", status.error
    assert rows(host, "p1")["Web/a"][0] == "replace"


def test_what_earlier_restores_kept_stays(host: Lane) -> None:
    """Until a later one has ended well; what was extracted for another that nobody carried out goes at once."""
    restore = Restore(host)
    restore.prepare("p0")
    assert host.run(restore.commit_spec(), "c1").state == "done"
    path = make(host.home / "a.zip", FILES)
    restore.reopen("swapped")
    (restore.work / "staging" / "p1").mkdir(exist_ok=True)
    assert host.run(spec(host, path), "p2").state == "done"
    assert {place.name for place in (restore.work / "replaced").iterdir()} == {"p1"}
    assert {place.name for place in (restore.work / "staging").iterdir()} == {"p1", "p2"}
    assert not (restore.work / "jobs" / "p0" / "rows.txt").exists()
    (restore.work / "jobs" / "c1" / "journal.json").write_text("{")
    assert host.run(spec(host, path), "p3").state == "done"
    assert {place.name for place in (restore.work / "replaced").iterdir()} == {"p1"}
    assert host.run(restore.undo_spec()).state == "done"
    assert restore.state() == "undone"
    assert [place.name for place in (restore.work / "replaced").iterdir()] == []


def test_what_a_restore_that_is_open_swaps_stays(host: Lane) -> None:
    """One that touched nothing yet: it is undone, or committed once more."""
    restore = Restore(host)
    restore.break_off()
    assert host.run(spec(host, make(host.home / "a.zip", FILES)), "p2").state == "done"
    assert staged(host, "p1") == {path: text.encode() for path, text in BACKUP.items()}
    assert host.run(restore.commit_spec(), "c2").state == "done"
    assert restore.state() == "released"


def test_a_later_restore_that_ends_well_is_the_end_of_what_earlier_ones_kept(host: Lane) -> None:
    restore = Restore(host)
    assert host.run(restore.commit_spec(), "c1").state == "done"
    path = make(host.home / "a.zip", {"Dashboards/Overview.dmadb.json": b"of the zip"})
    assert host.run(spec(host, path), "p2").state == "done"
    restore.break_service("stop")
    assert host.run(restore.commit_spec(prepared="p2"), "c2").state == "failed"
    assert {place.name for place in (restore.work / "replaced").iterdir()} == {"p1"}
    restore.break_service("stop", broken=False)
    assert host.run(spec(host, path), "p3").state == "done"
    assert host.run(restore.commit_spec(prepared="p3"), "c3").state == "done"
    assert {place.name for place in (restore.work / "replaced").iterdir()} == {"p3"}
    assert list((restore.work / "staging").iterdir()) == []
    assert not (restore.work / "jobs" / "p1" / "rows.txt").exists()


def test_an_earlier_preparation_that_another_program_holds_stays_whole(windows: Lane) -> None:
    """The new one counts all the same; the next takes the old one away."""
    restore = Restore(windows)
    path = make(windows.home / "a.zip", FILES)
    with windows.holding(restore.work / "jobs" / "p1" / "rows.txt"):
        status = windows.run(spec(windows, path), "p2")
    assert status.state == "done", status.error
    assert staged(windows, "p1") == {path: text.encode() for path, text in BACKUP.items()}
    assert windows.run(spec(windows, path), "p3").state == "done"
    assert [place.name for place in (restore.work / "staging").iterdir()] == ["p3"]


def test_the_whole_way(host: Lane) -> None:
    """Prepared, committed, undone: the content of the zip, then that of before."""
    restore = Restore(host)
    before = restore.content()
    files = {"Dashboards/Overview.dmadb.json": b"of the zip", "Web/new/x.json": b"new", "Dashboards/Made later.dmadb.json": b"stays"}
    status = host.run(spec(host, make(host.home / "a.zip", files)), "p2")
    assert status.state == "done", status.error
    assert host.run(restore.commit_spec(prepared="p2"), "c1").state == "done"
    assert restore.content() == {**before, **{path: data.decode() for path, data in files.items()}}
    assert host.run(restore.undo_spec()).state == "done"
    assert restore.content() == before
