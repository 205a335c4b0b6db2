"""Restores of more files than are looked at together."""

from __future__ import annotations

import pytest
from conftest import Lane, replace_in_job
from test_job_prepare import rows, spec
from test_job_verify import make


def content(lane: Lane) -> dict[str, bytes]:
    root = lane.home / "agent"
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def committed_and_undone(lane: Lane, files: dict[str, bytes]) -> None:
    """Every third file is there and is the same, every other third is there and is another one."""
    for number, (name, data) in enumerate(files.items()):
        place = lane.home / "agent" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if number % 3:
            place.write_bytes(data if number % 3 == 1 else b"migrated")
    before = content(lane)
    status = lane.run(spec(lane, make(lane.home / "a.zip", files)), "p1")
    assert status.state == "done", status.error
    moved = len(files) - len([data for name, data in files.items() if before.get(name) == data])
    assert ((status.result or {})["rows"], len(rows(lane, "p1"))) == (moved, len(files))
    assert (status.progress["files"], status.progress["bytes"]) == (len(files), sum(map(len, files.values())))
    web = {"root": lane.home / "agent", "service": None, "host_command": None}
    commit = {"kind": "commit", "prepared": "p1", "deadline": 0, "leftovers": [], "partial": False, "backup": "a.zip", "zip_sha256": "0" * 64}
    status = lane.run({**commit, **web}, "c1")
    assert status.state == "done", status.error
    assert ((status.result or {})["swapped"], (status.result or {})["verified"]) == (moved, len(files))
    assert (status.progress["files"], status.progress["total_files"]) == (moved, moved)
    assert content(lane) == files
    status = lane.run({"kind": "undo", "commit": "c1", **web}, "u1")
    assert status.state == "done", status.error
    replaced = len([name for name, data in files.items() if before.get(name, data) != data])
    assert ((status.result or {})["put_back"], (status.result or {})["removed"]) == (replaced, moved - replaced)
    assert content(lane) == before


def test_rows_of_several_batches(host: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts read them in large ones: here in small ones, the last of which isn't full."""
    replace_in_job(monkeypatch, "$rowBatch = 8192", "$rowBatch = 4", "job_commit")
    committed_and_undone(host, {f"Web/{number % 3}/{number:02}.json": b"%d" % number for number in range(11)})
