"""The demo over WinRM: what somebody sees who tries it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from playbook import ROOT
from simulator.windows import demo
from simulator.windows.engines import EngineMissing, Engines

pytestmark = pytest.mark.powershell
DEMO = ROOT / "tests" / "simulator" / "demo.py"


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, str(DEMO), "--winrm", *words]
    return subprocess.run(argv, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def place(tmp_path: Path, nearest_engines: Engines) -> Iterator[Path]:
    """Where the demo's agents will be: on drive C: where there is Wine."""
    folder = demo.home(tmp_path / f"demo-{uuid.uuid4().hex[:8]}", nearest_engines)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.long
def test_there_and_back(place: Path, nearest_engines: Engines) -> None:
    """Upgraded, brought back, and told how; the inventory leads to the files afterwards."""
    which = f"the Windows that Wine plays, by {nearest_engines.launcher[0]}" if nearest_engines.windows else f"{nearest_engines.command[0]} on this"
    done = run("--agents", "1", str(place))

    assert done.returncode == 0, done.stdout + done.stderr
    for part in (
        "Played as Windows hosts that speak WinRM: DMA1 on port ",
        f"Their scripts run in {which}",
        "1 of 1 agents: the upgrade ended well",
        "1 of 1 agents: the downgrade ended well",
        "The content is back",
        "calls of ansible.windows.win_powershell",
    ):
        assert part in " ".join(done.stdout.split()), done.stdout
    assert "ansible_connection" in (inventory := (place / "inventory.yml").read_text("utf-8"))
    assert '"local"' in inventory


def test_without_an_engine(tmp_path: Path) -> None:
    done = run(str(tmp_path / "demo"), PWSH="/nowhere/pwsh", PWSH_WINDOWS="")
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
