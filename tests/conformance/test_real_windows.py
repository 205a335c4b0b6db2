"""What only Windows itself can show: rights of files, and a job that WMI starts. Elsewhere these tests skip and say so."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.dataminer.web.plugins.plugin_utils.windows_host import WindowsHost
from conftest import Lane
from harness import ON_WINDOWS
from restores import BACKUP, MIGRATED, NEW, OVERVIEW, Restore
from test_job_backup import contents, fill, spec

pytestmark = [pytest.mark.windows, pytest.mark.skipif(not ON_WINDOWS, reason="only Windows has rights of files and WMI; Wine has neither")]
GUESTS = "S-1-5-32-546"


def icacls(path: Path, *arguments: str) -> None:
    subprocess.run(["icacls", str(path), *arguments], check=True, capture_output=True)


def sddl(path: Path) -> str:
    """The rights of one file as text, inherited ones included."""
    saved = path.with_name(f"{path.name}.rights")
    icacls(path, "/save", str(saved))
    text = saved.read_bytes().decode("utf-16-le")
    saved.unlink()
    return text.splitlines()[1]


def test_a_restored_file_keeps_the_rights_of_the_one_it_replaces(windows: Lane) -> None:
    """And brings none of the staging folder; put back, the old one has its own again."""
    restore = Restore(windows)
    icacls(restore.root / OVERVIEW, "/grant", f"*{GUESTS}:(RX)")
    before = sddl(restore.root / OVERVIEW)
    assert ";BG)" in before
    assert windows.run(restore.commit_spec(), "c1").state == "done"
    assert restore.content() == {**MIGRATED, **BACKUP}
    assert sddl(restore.root / OVERVIEW) == before
    assert windows.run(restore.undo_spec()).state == "done"
    assert (restore.content(), sddl(restore.root / OVERVIEW)) == (MIGRATED, before)


def test_a_new_file_has_the_rights_of_its_folder(windows: Lane) -> None:
    restore = Restore(windows)
    icacls(restore.root, "/grant", f"*{GUESTS}:(OI)(CI)(RX)")
    assert windows.run(restore.commit_spec(), "c1").state == "done"
    assert ";BG)" in sddl(restore.root / NEW)


def test_a_job_that_wmi_starts(windows: Lane) -> None:
    """As on an agent: Windows PowerShell, nobody's child."""
    assert windows.engine is not None
    windows.agent = WindowsHost(windows.engine.execute, windows.native(windows.home / "work"))
    fill(windows, {"Dashboards/a.json": b"a"})
    status = windows.run(spec(windows, "Dashboards"), "b1")
    assert status.state == "done", status.error
    assert contents(windows.home / "backups" / "one.zip") == {"Dashboards/a.json": b"a"}
