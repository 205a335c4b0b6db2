"""Where PowerShell takes no long paths: those beyond its reach are named before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.dataminer.web.plugins.plugin_utils import windows_host
from conftest import Lane
from test_job_backup import fill, left, spec
from test_job_prepare import spec as prepare_spec
from test_job_verify import make

LONG = "/".join(["Dashboards", *["a folder with a long name " * 2 + "x"] * 5, "x.json"])


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
