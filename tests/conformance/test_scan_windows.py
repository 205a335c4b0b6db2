"""What only Windows has: the registry, processes, the installer's mutex, files that others hold open."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Lane
from harness import ON_WINDOWS, Engine
from trees import ordinary, write

pytestmark = pytest.mark.windows
UNINSTALL = "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Uninstall"
RUNTIMES = "SOFTWARE\\dotnet\\Setup\\InstalledVersions\\x64\\sharedfx\\Microsoft.NETCore.App"
SERVICING = "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\RebootPending"
SESSION = "SYSTEM\\CurrentControlSet\\Control\\Session Manager"
SET = """
[CmdletBinding(SupportsShouldProcess)] param([string]$view, [string]$key, [string]$name, $value, [bool]$list)
$base = [Microsoft.Win32.RegistryKey]::OpenBaseKey([Microsoft.Win32.RegistryHive]::LocalMachine, [Microsoft.Win32.RegistryView]$view)
$opened = $base.CreateSubKey($key)
if ($list) { $opened.SetValue($name, [string[]]$value, [Microsoft.Win32.RegistryValueKind]::MultiString) }
elseif ($name) { $opened.SetValue($name, $value) }
"""
FORGET = """
[CmdletBinding(SupportsShouldProcess)] param([string]$view, [string]$key, [string]$name)
$base = [Microsoft.Win32.RegistryKey]::OpenBaseKey([Microsoft.Win32.RegistryHive]::LocalMachine, [Microsoft.Win32.RegistryView]$view)
if ($name) { $base.OpenSubKey($key, $true).DeleteValue($name, $false) } else { $base.DeleteSubKeyTree($key, $false) }
"""
HOLD_INSTALLER = """
[CmdletBinding(SupportsShouldProcess)] param([string]$held, [string]$go)
$mutex = [Threading.Mutex]::new($false, 'Global\\_MSIExecute')
[AppDomain]::CurrentDomain.SetData('installer', $mutex)
[void]$mutex.WaitOne()
[IO.File]::WriteAllText($held, '')
while (-not [IO.File]::Exists($go)) { [Threading.Thread]::Sleep(20) }
$mutex.ReleaseMutex()
"""


def _run(engine: Engine | None, script: str, **parameters: Any) -> None:
    assert engine
    answer = engine.execute(script, parameters, 2)
    assert not answer["failed"], answer["error"]


@pytest.fixture
def registry(windows: Lane) -> Iterator[Callable[..., None]]:
    """Sets a value below HKEY_LOCAL_MACHINE for the length of a test; not on somebody's Windows."""
    if ON_WINDOWS:
        pytest.skip("the registry of this machine is left alone")
    undo: list[dict[str, str]] = []

    def put(view: str, key: str, name: str = "", value: Any = "", *, forget_key: bool = True) -> None:
        undo.append({"view": view, "key": key, "name": "" if forget_key else name})
        _run(windows.engine, SET, view=view, key=key, name=name, value=value, list=isinstance(value, list))

    yield put
    for entry in reversed(undo):
        _run(windows.engine, FORGET, **entry)


def _facts(lane: Lane) -> dict[str, Any]:
    facts: dict[str, Any] = lane.scan()["host"]
    return facts


def test_the_state_of_a_service(windows: Lane) -> None:
    """Wine has these two as Windows has, one of them at rest."""
    for name, states in (("RpcSs", ("Running",)), ("msiserver", ("Stopped", "Running"))):
        row = windows.scan(service=name)["service"]
        assert row["name"] == name
        assert row["state"] in states
    document = windows.scan(service="no such service")
    assert document["service"] == {"name": "no such service", "state": None}
    assert document["errors"] == []


def test_modules_of_both_views(windows: Lane, registry: Callable[..., None]) -> None:
    for view, code, name in (
        ("Registry64", "{A-1}", "DataMiner GQI"),
        ("Registry32", "{B-2}", "dataminer Web"),
        ("Registry64", "{C-3}", "Other DataMiner"),
    ):
        registry(view, f"{UNINSTALL}\\{code}", "DisplayName", name)
        registry(view, f"{UNINSTALL}\\{code}", "DisplayVersion", "1.2.3")
    registry("Registry64", f"{UNINSTALL}\\D-4", "DisplayName", "DataMiner without a version")
    assert _facts(windows)["modules"] == [
        {"name": "DataMiner GQI", "version": "1.2.3", "code": "{A-1}"},
        {"name": "DataMiner without a version", "version": "", "code": "D-4"},
        {"name": "dataminer Web", "version": "1.2.3", "code": "{B-2}"},
    ]


def test_runtimes_of_registry_and_disk(windows: Lane, registry: Callable[..., None]) -> None:
    registry("Registry32", RUNTIMES, "8.0.11", 1)
    registry("Registry32", RUNTIMES, "10.0.1", 1)
    folder = windows.home.parents[1] / "Program Files" / "dotnet" / "shared" / "Microsoft.NETCore.App"
    for name in ("10.0.1", "9.0.4"):
        (folder / name).mkdir(parents=True)
    try:
        assert _facts(windows)["runtimes"] == ["10.0.1", "8.0.11", "9.0.4"]
    finally:
        for place in (folder / "10.0.1", folder / "9.0.4", folder, folder.parent, folder.parent.parent):
            place.rmdir()


def test_pending_reboot(windows: Lane, registry: Callable[..., None]) -> None:
    before = _facts(windows)["pending_reboot"]
    registry("Registry64", SERVICING)
    registry("Registry64", SESSION, "PendingFileRenameOperations", ["\\??\\C:\\a", ""], forget_key=False)
    assert before == []
    assert _facts(windows)["pending_reboot"] == ["Component Based Servicing", "Pending file renames"]


def test_windows_installer(windows: Lane) -> None:
    """Busy while another process holds the mutex, not while it merely keeps it."""
    assert windows.engine
    assert _facts(windows)["installer_busy"] is False
    other = Engine(windows.engine.command, windows.engine.environment)
    held, go = windows.home / "held", windows.home / "go"
    caller = threading.Thread(target=_run, args=(other, HOLD_INSTALLER), kwargs={"held": windows.native(held), "go": windows.native(go)})
    caller.start()
    try:
        _wait_for(held)
        assert _facts(windows)["installer_busy"] is True
        go.touch()
        caller.join(300)
        assert _facts(windows)["installer_busy"] is False
    finally:
        go.touch()
        caller.join(300)
        other.close()
    assert _facts(windows)["installer_busy"] is False


def _wait_for(path: Path) -> None:
    end = time.monotonic() + 300
    while not path.exists():
        assert time.monotonic() < end, f"{path} didn't appear"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("age", "ended", "running"),
    [
        pytest.param(20, None, True, id="written just now"),
        pytest.param(3600, None, False, id="written long ago"),
        pytest.param(20, 10, False, id="our install has ended since"),
        pytest.param(20, 200, True, id="our install had ended before"),
    ],
)
def test_upgrade_of_somebody_else(windows: Lane, age: float, ended: float | None, running: bool) -> None:
    root = ordinary(windows.home)
    log = next((root / "Upgrades" / "Packages").glob("*Web Upgrade*/progress.log"))
    now = time.time()
    os.utime(log, (now - age, now - age))
    if ended is not None:
        job = windows.home / "work" / "jobs" / "one"
        write(job / "state.json", '{"run_id": "one", "kind": "install", "started": "2026-03-01T10:00:00Z"}')
        os.utime(write(job / "result.json", '{"result": {"rc": 0}}'), (now - ended, now - ended))
    assert _facts(windows)["upgrade_running"] is running


def test_file_that_somebody_holds(windows: Lane) -> None:
    root = ordinary(windows.home)
    with windows.holding(root / "Applications" / "0a1b" / "App.info.json"), windows.holding(root / "DMS.xml"):
        document = windows.scan(content=[{"path": "Applications/0a1b", "versions": None}])
    assert document["apps"][0]["info"] == {"text": None, "error": "unreadable"}
    assert document["cluster"]["error"] == "DMS.xml is unreadable"
    assert [row["path"] for row in document["errors"]] == ["Applications/0a1b/App.info.json"]
    assert sum(row["files"] for row in document["content"]) == 6


def test_paths_are_shown_as_windows_spells_them(windows: Lane) -> None:
    write(windows.home / "backups" / "a.zip", "zip")
    told = windows.native(windows.home / "backups")
    document = windows.scan(backup_dir=told.replace("\\", "/").lower() + "/")
    assert document["backups"][0]["path"].lower() == f"{told}\\a.zip".lower()
    assert document["disk"]["backup_dir"]["path"].lower() == told.lower()
    assert document["disk"]["backup_dir"]["volume"] == "C:\\"


def test_vendor_folder_by_another_case_is_listed_once(windows: Lane) -> None:
    write(windows.home / "backups" / "a.zip", "zip")
    told = windows.native(windows.home / "backups")
    assert [row["origin"] for row in windows.scan(vendor_backup_dir=told.upper())["backups"]] == ["own"]


OPEN_A_WHILE = """
[CmdletBinding(SupportsShouldProcess)] param([string]$path, [int]$milliseconds)
$stream = [IO.File]::Open($path, [IO.FileMode]::Open, [IO.FileAccess]::ReadWrite, [IO.FileShare]::None)
$clock = [Threading.CancellationTokenSource]::new($milliseconds)
[void]$clock.Token.Register([Delegate]::CreateDelegate([Action], $stream, 'Dispose'))
[AppDomain]::CurrentDomain.SetData($path, $clock)
"""


@pytest.mark.parametrize("milliseconds", [600, 3_600_000])
def test_content_that_somebody_writes_at_this_moment(windows: Lane, milliseconds: int) -> None:
    """It is read once it is free; one that stays held is named, with all others read."""
    root = ordinary(windows.home)
    path = root / "Web" / "Themes" / "theme.json"
    items = [{"path": "Web", "versions": None}, {"path": "Dashboards", "versions": None}]
    free = windows.scan(content=items)
    assert windows.engine is not None
    assert not windows.engine.execute(OPEN_A_WHILE, {"path": windows.native(path), "milliseconds": milliseconds}, 2)["failed"]
    try:
        held = windows.scan(content=items)
    finally:
        windows.engine.execute("param($path) [AppDomain]::CurrentDomain.GetData($path).Cancel()", {"path": windows.native(path)}, 2)
    if milliseconds < 1000:
        assert (held["content"], held["errors"]) == (free["content"], [])
    else:
        assert [row["path"] for row in held["errors"]] == ["Web/Themes/theme.json"]
        assert held["content"] == [row for row in free["content"] if row["path"] != "Web/Themes/theme.json"]
