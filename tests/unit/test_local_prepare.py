"""Preparing a restore: everything extracted and verified beside the content, nothing of the content touched, rows that say what a commit will do."""

from __future__ import annotations

import collections
import os
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils import local_backup, local_prepare
from ansible_collections.dataminer.web.plugins.module_utils.errors import BackupInvalid, DataMinerError, NotEnoughSpace, Refused
from ansible_collections.dataminer.web.plugins.module_utils.local_rows import Row, read_rows, write_rows
from local_kit import APP, Agent, snapshot

ZIP = {
    "Applications/A/App.info.json": "info",
    "Applications/A/version_1/pages/x.dmadb.json": "x" * 5000,
    "Dashboards/Overview.dmadb.json": "restored",
    "Dashboards/empty.dmadb.json": "",
}


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return Agent(tmp_path)


def made(agent: Agent, files: dict[str, str | bytes] | None = None, **more: Any) -> Path:
    path = agent.home / "chosen.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as writer:
        for name, data in (ZIP if files is None else files).items():
            info = zipfile.ZipInfo("x", (2025, 3, 27, 11, 16, 34))
            info.filename, info.compress_type = name, zipfile.ZIP_DEFLATED
            writer.writestr(info, data)
    return path


def rows(agent: Agent, run_id: str = "p1") -> dict[str, Row]:
    return {row.path: row for row in read_rows(agent.store.folder(run_id) / "rows.txt")}


def staged(agent: Agent, run_id: str = "p1") -> dict[str, bytes]:
    base = agent.work / "staging" / run_id
    return {path.relative_to(base).as_posix(): path.read_bytes() for path in base.rglob("*") if path.is_file()}


def test_rows_create_replace_and_leave(agent: Agent) -> None:
    agent.write("Dashboards/Overview.dmadb.json", "migrated")
    agent.write("Applications/A/App.info.json", "info")
    before = snapshot(agent.root)
    result = agent.run(agent.prepare_spec(made(agent)), "p1")
    assert result == {"rows": 3, "same": 1, "files": 4, "bytes": 5012, "safety": None}
    assert {path: (row.action, row.target) for path, row in rows(agent).items()} == {
        "Applications/A/App.info.json": ("same", "Applications/A/App.info.json"),
        "Applications/A/version_1/pages/x.dmadb.json": ("create", "Applications/A/version_1/pages/x.dmadb.json"),
        "Dashboards/Overview.dmadb.json": ("replace", "Dashboards/Overview.dmadb.json"),
        "Dashboards/empty.dmadb.json": ("create", "Dashboards/empty.dmadb.json"),
    }
    assert staged(agent) == {path: data.encode() for path, data in ZIP.items()}
    assert snapshot(agent.root) == before


def test_targets_keep_the_spelling_of_the_disk(agent: Agent) -> None:
    agent.write("applications/a/Version_1/other", "")
    agent.write("Dashboards/OVERVIEW.dmadb.json", "migrated")
    agent.run(agent.prepare_spec(made(agent)), "p1")
    assert {row.target for row in rows(agent).values()} == {
        "applications/a/App.info.json",
        "applications/a/Version_1/pages/x.dmadb.json",
        "Dashboards/OVERVIEW.dmadb.json",
        "Dashboards/empty.dmadb.json",
    }


def test_only_what_is_included_is_extracted(agent: Agent) -> None:
    agent.run(agent.prepare_spec(made(agent), include=["Applications/A", "Dashboards/empty.dmadb.json"]), "p1")
    assert set(rows(agent)) == {path for path in ZIP if path != "Dashboards/Overview.dmadb.json"} == set(staged(agent))
    agent.run(agent.prepare_spec(made(agent), include=["Applications/A/version", "Dash"]), "p2")
    assert rows(agent, "p2") == {}


def test_a_pipe_in_the_way_of_a_file_is_refused(agent: Agent) -> None:
    place = agent.root / "Dashboards/Overview.dmadb.json"
    place.parent.mkdir()
    os.mkfifo(place)
    with pytest.raises(Refused, match=r"Overview\.dmadb\.json is in the way"):
        agent.run(agent.prepare_spec(made(agent)), "p1")
    assert staged(agent) == {}
    assert not (agent.store.folder("p1") / "rows.txt").exists()


def test_another_zip_than_was_chosen_is_refused(agent: Agent) -> None:
    spec = agent.prepare_spec(made(agent))
    with pytest.raises(BackupInvalid, match="isn't the backup that was chosen"):
        agent.run({**spec, "zip_sha256": "0" * 64})
    with pytest.raises(BackupInvalid, match="other names than were checked"):
        agent.run({**spec, "names_sha256": "0" * 64})
    Path(spec["zip"]).unlink()
    with pytest.raises(BackupInvalid, match="isn't the backup that was chosen"):
        agent.run(spec)


def test_rows_are_there_only_when_the_disk_has_everything(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bool] = []
    monkeypatch.setattr(local_prepare.os, "sync", lambda: told.append((agent.store.folder("p1") / "rows.txt").exists()))
    agent.run(agent.prepare_spec(made(agent)), "p1")
    assert told == [False]
    assert (agent.store.folder("p1") / "rows.txt").exists()


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    written = [Row("create", 0, "0" * 64, "Web/\u2028 \x85 ü", "Web/\u2028 \x85 ü"), Row("replace", 10**12, "f" * 64, "Web/ß", "WEB/ß")]
    assert write_rows(tmp_path / "rows.txt", iter(written)) == 2
    assert list(read_rows(tmp_path / "rows.txt")) == written
    assert write_rows(tmp_path / "rows.txt", []) == 0
    assert list(read_rows(tmp_path / "rows.txt")) == []


def test_space_is_asked_for_before_anything_is_written(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(local_backup.shutil, "disk_usage", lambda path: usage(0, 0, 4000))
    agent.write("Dashboards/a", "a")
    with pytest.raises(NotEnoughSpace):
        agent.run(agent.prepare_spec(made(agent), safety=agent.backup_spec("Dashboards", dest_dir=str(agent.work / "safety"))), "p1")
    assert not (agent.work / "staging").exists()
    assert not (agent.work / "safety").exists()
    monkeypatch.undo()
    with pytest.raises(NotEnoughSpace):
        agent.run(agent.prepare_spec(made(agent), free_needed=10**18), "p2")


def test_a_safety_copy_is_made_and_verified(agent: Agent) -> None:
    agent.fill()
    spec = agent.prepare_spec(made(agent), safety=agent.backup_spec(dest_dir=str(agent.work / "safety"), name="safety.zip"))
    result = agent.run(spec, "p1")
    assert result["safety"]["path"] == str(agent.work / "safety" / "safety.zip")
    with zipfile.ZipFile(result["safety"]["path"]) as read:
        assert read.read("Dashboards/Overview.dmadb.json") == (agent.root / "Dashboards/Overview.dmadb.json").read_bytes()
        assert f"{APP}/App.info.json" in read.namelist()
    assert (agent.work / "safety" / "safety.manifest").exists()


@pytest.mark.parametrize("mtime", ["now", "keep"])
def test_times_are_kept_on_request(agent: Agent, mtime: str) -> None:
    agent.run(agent.prepare_spec(made(agent), mtime=mtime), "p1")
    found = (agent.work / "staging/p1/Dashboards/Overview.dmadb.json").stat().st_mtime
    kept = time.mktime((2025, 3, 27, 11, 16, 34, 0, 0, -1))
    assert found == kept if mtime == "keep" else abs(found - time.time()) < 60


def test_a_date_that_never_was_does_not_matter(agent: Agent) -> None:
    path = made(agent)
    data = path.read_bytes()
    start = data.index(b"PK\1\2")
    path.write_bytes(data[: start + 12] + b"\xff\xff\xff\xff" + data[start + 16 :])
    assert agent.run(agent.prepare_spec(path, mtime="keep"))["files"] == 4


@pytest.mark.parametrize("files", [{"Applications\\A\\App.info.json": "info"}, {"applications/A/App.info.json": "info"}])
def test_names_of_the_vendor_go_where_they_belong(agent: Agent, files: dict[str, str]) -> None:
    agent.run(agent.prepare_spec(made(agent, dict(files))), "p1")
    assert set(staged(agent)) == {"Applications/A/App.info.json"}


def test_a_root_that_is_missing_or_on_another_volume_is_refused(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = agent.prepare_spec(made(agent))
    with pytest.raises(Refused, match="is no folder"):
        agent.run({**spec, "root": str(agent.home / "gone")})
    if Path("/dev/shm").stat().st_dev == agent.work.stat().st_dev:
        pytest.skip("there is one volume only")
    with pytest.raises(Refused, match="isn't on the volume"):
        agent.run({**spec, "root": "/dev/shm"})


def test_an_earlier_preparation_is_forgotten_and_says_so(agent: Agent) -> None:
    agent.prepared(made(agent), "p1")
    agent.prepared(made(agent), "p2")
    assert staged(agent, "p1") == {}
    assert staged(agent, "p2") != {}
    with pytest.raises(DataMinerError, match="No restore stands prepared as p1"):
        agent.run(agent.commit_spec("p1"), "c1")
    assert list(agent.root.iterdir()) == []


@pytest.mark.parametrize("state", ["committing", "swapped", "undoing", "released", None])
def test_what_a_restore_replaced_is_kept(agent: Agent, state: str | None) -> None:
    """Until a later one has ended well: without a safety copy there is nothing else to go back to."""
    agent.write("Dashboards/Overview.dmadb.json", "migrated")
    agent.prepared(made(agent), "p1")
    agent.run(agent.commit_spec("p1"), "c1")
    (agent.store.folder("c1") / "journal.json").unlink() if state is None else agent.store.write_journal("c1", state)
    agent.prepared(made(agent), "p2")
    assert (agent.work / "replaced/p1/Dashboards/Overview.dmadb.json").read_text() == "migrated"
    assert (agent.store.folder("p1") / "rows.txt").exists()


def test_a_preparation_repeated_under_its_run_id_starts_anew(agent: Agent) -> None:
    spec = agent.prepare_spec(made(agent))
    assert agent.run(spec, "p1") == agent.run(spec, "p1")
