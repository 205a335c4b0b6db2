"""What is remembered of jobs, and what is forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.local_files import write_json
from ansible_collections.dataminer.web.plugins.module_utils.local_store import KEEP_JOBS, JobStore


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path)


def add(store: JobStore, run_id: str, minute: int, *, journal: str | None = None, **spec: Any) -> None:
    folder = store.folder(run_id)
    folder.mkdir(parents=True)
    write_json(folder / "spec.json", spec, durable=False)
    write_json(folder / "state.json", {"run_id": run_id, "kind": "x", "started": f"2026-11-24T{minute // 60:02}:{minute % 60:02}:00Z"}, durable=False)
    if journal:
        store.write_journal(
            run_id, journal, at=f"2026-11-24T{minute // 60:02}:{minute % 60:02}:30Z", backup="one.zip", zip_sha256="0", prepared=spec.get("prepared")
        )


def remembered(store: JobStore) -> set[str]:
    return {folder.name for folder in store.jobs.iterdir()}


def test_old_jobs_are_forgotten(store: JobStore) -> None:
    for number in range(KEEP_JOBS + 5):
        add(store, f"b{number}", number)
    store.prune()
    assert remembered(store) == {f"b{number}" for number in range(5, KEEP_JOBS + 5)}


@pytest.mark.parametrize("state", ["committing", "swapped", "undoing"])
def test_an_open_restore_and_its_preparation_are_never_forgotten(store: JobStore, state: str) -> None:
    add(store, "prepare", 0)
    add(store, "commit", 1, journal=state, prepared="prepare")
    for number in range(2 * KEEP_JOBS):
        add(store, f"b{number}", 2 + number)
    store.prune()
    assert {"prepare", "commit"} <= remembered(store)
    assert len(remembered(store)) == KEEP_JOBS + 2


def test_the_restore_that_ended_last_is_never_forgotten(store: JobStore) -> None:
    for number, state in enumerate(("released", "undone", "released")):
        add(store, f"p{number}", 2 * number)
        add(store, f"c{number}", 2 * number + 1, journal=state, prepared=f"p{number}")
    for number in range(2 * KEEP_JOBS):
        add(store, f"b{number}", 10 + number)
    store.prune()
    assert {name for name in remembered(store) if name[0] in "cp"} == {"p2", "c2"}
    last = store.last_restore()
    assert last is not None
    assert (last["run_id"], last["state"], last["backup"]) == ("c2", "released", "one.zip")


@pytest.mark.parametrize("name", ["staging", "replaced"])
def test_a_preparation_whose_files_are_kept_is_not_forgotten(store: JobStore, name: str) -> None:
    add(store, "p", 0)
    (store.work / name / "p").mkdir(parents=True)
    for number in range(2 * KEEP_JOBS):
        add(store, f"b{number}", 1 + number)
    store.prune()
    assert "p" in remembered(store)


def test_no_restore_ended_yet(store: JobStore) -> None:
    assert store.last_restore() is None
    add(store, "c", 0, journal="swapped")
    assert store.last_restore() is None


def test_rows_are_newest_first_and_not_endless(store: JobStore) -> None:
    for number in range(25):
        add(store, f"b{number}", number, journal="released" if number % 2 else None)
    assert [row["run_id"] for row in store.job_rows()] == [f"b{number}" for number in range(24, 4, -1)]
    assert [row["run_id"] for row in store.journal_rows()] == [f"b{number}" for number in range(23, 0, -2)]


def test_half_a_journal_is_none(store: JobStore) -> None:
    add(store, "c", 0)
    (store.folder("c") / "journal.json").write_text('{"state": "swa')
    assert store.journal("c") is None
    assert store.journal_rows() == []


def test_an_empty_working_folder(store: JobStore) -> None:
    assert (store.job_rows(), store.journal_rows(), store.running_job(), store.last_restore()) == ([], [], None, None)
    assert not store.locked()
    store.prune()


def test_the_working_folder_is_made_when_it_is_needed(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "a" / "b")
    lock = store.take_lock()
    assert lock is not None
    assert lock >= 10
    assert store.locked()
    assert store.take_lock() is None
