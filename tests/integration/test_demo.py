"""The demo over WinRM: what somebody sees who tries it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from playbook import ROOT
from simulator.windows import demo
from simulator.windows.engines import EngineMissing, Engines

pytestmark = pytest.mark.powershell
DEMO = ROOT / "tests" / "simulator" / "demo.py"


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    known = {key: value for key, value in os.environ.items() if key not in ("PWSH_WINDOWS", *environment)}
    argv = [sys.executable, str(DEMO), "--winrm", *words]
    return subprocess.run(argv, env={**known, **environment}, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.long
def test_there_and_back(tmp_path: Path, engines: Engines) -> None:
    """Upgraded, brought back, and told how; the inventory leads to the files afterwards."""
    done = run("--agents", "1", str(tmp_path / "demo"))

    assert done.returncode == 0, done.stdout + done.stderr
    for part in (
        "Played as Windows hosts that speak WinRM: DMA1 on port ",
        f"Their scripts run in {engines.command[0]} on this machine, not in a Windows: PWSH_WINDOWS names no Windows build",
        "1 of 1 agents: the upgrade ended well",
        "1 of 1 agents: the downgrade ended well",
        "The content is back",
        "calls of ansible.windows.win_powershell",
    ):
        assert part in " ".join(done.stdout.split()), done.stdout
    assert "ansible_connection" in (inventory := (tmp_path / "demo" / "inventory.yml").read_text("utf-8"))
    assert '"local"' in inventory


def test_without_an_engine(tmp_path: Path) -> None:
    done = run(str(tmp_path / "demo"), PWSH="/nowhere/pwsh")
    assert done.returncode == 2
    assert "PWSH names /nowhere/pwsh" in done.stderr
    assert not (tmp_path / "demo").exists()


def test_wine_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A Windows engine that can't be run is told, and the other one taken."""
    monkeypatch.setenv("PWSH_WINDOWS", "/nowhere/pwsh-wine")
    try:
        engines, which = demo.found_engines()
    except EngineMissing as error:
        pytest.skip(f"lane powershell: {error}")
    assert not engines.windows
    assert "PWSH_WINDOWS names /nowhere/pwsh-wine" in which
    assert demo.home(tmp_path / "demo-1", engines) == tmp_path / "demo-1"


@pytest.mark.windows
def test_under_wine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wine_engines: Engines) -> None:
    """Agents of the demo are on drive C: of the Windows that Wine plays."""
    engines, which = demo.found_engines()
    engines.close()
    assert engines.windows
    assert "the Windows that Wine plays" in which
    place = demo.home(tmp_path / "demo-1", engines)
    assert demo.native(place, engines) == "C:\\demo-1"
