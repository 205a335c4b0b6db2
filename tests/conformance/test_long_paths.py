"""Paths of more than 260 characters, and names of 255: the whole way; where PowerShell takes none, they are named before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.dataminer.web.plugins.plugin_utils import windows_host
from conftest import Lane
from test_job_backup import fill, left, spec
from test_job_prepare import spec as prepare_spec
from test_job_prepare import staged
from test_job_verify import make
from test_job_verify import spec as verify_spec

LONG = "/".join(["Dashboards", *["a folder with a long name " * 2 + "x"] * 5, "x.json"])

FILES = {LONG: b"far down", f"Dashboards/{'n' * 250}.json": b"a long name"}


def test_from_a_backup_to_its_restore_and_back(host: Lane) -> None:
    fill(host, FILES)
    status = host.run(spec(host, "Dashboards"))
    assert status.state == "done", status.error
    path = host.home / "backups" / "one.zip"
    read = host.agent.inspect(host.told(verify_spec(host, path, manifest=path.with_suffix(".manifest"), compare_root=host.home / "agent")))
    assert {row[1]: row[4] for row in read["entries"]} == dict.fromkeys(FILES, "same")
    (host.home / "agent" / LONG).unlink()
    fill(host, dict.fromkeys(list(FILES)[1:], b"migrated"))
    status = host.run(prepare_spec(host, path), "p1")
    assert status.state == "done", status.error
    assert staged(host, "p1") == FILES
    web = {"root": host.home / "agent", "service": None, "host_command": None}
    commit = {"kind": "commit", "prepared": "p1", "deadline": 0, "leftovers": [], "partial": False, "backup": "one.zip", "zip_sha256": "0" * 64}
    status = host.run({**commit, **web}, "c1")
    assert status.state == "done", status.error
    assert {name: (host.home / "agent" / name).read_bytes() for name in FILES} == FILES
    status = host.run({"kind": "undo", "commit": "c1", **web}, "u1")
    assert (status.state, (status.result or {})["put_back"], (status.result or {})["removed"]) == ("done", 1, 1)
    assert [path.read_bytes() for path in (host.home / "agent").rglob("*.json")] == [b"migrated"]


@pytest.fixture
def short(windows: Lane, monkeypatch: pytest.MonkeyPatch) -> Lane:
    """A lane whose jobs find that long paths are refused."""
    found = "return $onWindows -and [IO.Directory]::Exists("
    text = windows_host.script_text("job_backup")
    assert text.count(found) == 1

    def packed(name: str) -> str:
        return windows_host._pack(windows_host.script_text(name).replace(found, "return $false -and [IO.Directory]::Exists("))

    monkeypatch.setattr(windows_host, "_packed_script", packed)
    return windows


def test_a_backup_names_what_it_cannot_reach(short: Lane) -> None:
    fill(short, {LONG: b"far down", "Dashboards/near.json": b"near"})
    status = short.run(spec(short, "Dashboards"))
    error = status.error or {}
    assert (error["type"], error["message"]) == ("Refused", "1 paths are too long for PowerShell on this agent")
    assert error["found"] == short.native(short.home / "agent" / Path(LONG))
    assert left(short) == []
    (short.home / "agent" / LONG).unlink()
    assert short.run(spec(short, "Dashboards")).state == "done"


def test_a_restore_names_what_it_cannot_reach(short: Lane) -> None:
    (short.home / "agent").mkdir()
    status = short.run(prepare_spec(short, make(short.home / "a.zip", {LONG: b"far down", "Web/a": b"a"})), "p1")
    error = status.error or {}
    assert (error["type"], error["needed"]) == ("Refused", "paths of at most 259 characters")
    assert error["found"].endswith("x.json")
    assert not (short.home / "work" / "staging" / "p1").exists()
    assert short.run(prepare_spec(short, make(short.home / "b.zip", {"Web/a": b"a"})), "p2").state == "done"
