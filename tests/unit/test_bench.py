"""The benchmark runs, and says what it should; on so little content its figures mean nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
sys.path += [str(TESTS / "conformance"), str(TESTS / "bench")]

import scripts
import work
from harness import Engine, EngineMissing, posix_engine

BENCH = TESTS / "bench" / "bench.py"
pytestmark = pytest.mark.skipif(not (shutil.which("zip") and shutil.which("unzip")), reason="no zip or unzip on PATH")


def bench(folder: Path, *more: str, **environment: str) -> str:
    """What the benchmark prints, and that it leaves nothing."""
    argv = [sys.executable, BENCH, "--files", "150", "--megabytes", "2", "--rounds", "1", "--lenient", "--folder", folder, *more]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=False, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == []
    return done.stdout


def test_the_adapter_of_this_machine(tmp_path: Path) -> None:
    said = bench(tmp_path, "--only", "posix")
    for word in ("Backup, with verification", "zip -r -q", "shutil.make_archive", "Restore, over files", "unzip -q -o", "Most memory", "target 0.5"):
        assert word in said


@pytest.fixture
def engine() -> list[str]:
    try:
        return posix_engine()
    except EngineMissing as error:
        pytest.skip(f"lane powershell: {error}")


@pytest.mark.powershell
def test_the_scripts_of_windows_agents(engine: list[str], tmp_path: Path) -> None:
    said = bench(tmp_path, "--only", "scripts", "--no-memory")
    packed = ("Scripts, PowerShell ", "::CreateFromDirectory", "level Fastest")
    for word in (*packed, "::ExtractToDirectory", "the same, where nothing is", "prepare + commit", "target 1.5"):
        assert word in said
    assert "SKIPPED" not in said


@pytest.mark.powershell
def test_memory_is_that_of_the_engine(engine: list[str], tmp_path: Path) -> None:
    (tmp_path / "root" / "Dashboards").mkdir(parents=True)
    (tmp_path / "root" / "Dashboards" / "one.dmadb.json").write_text("{}", "utf-8")
    (tmp_path / "jobs").mkdir()
    started = Engine(engine)
    try:
        peak, result = scripts.peak_memory(started, tmp_path / "jobs", work.backup_spec(tmp_path / "root", tmp_path / "backups"), "backup")
    finally:
        started.close()
    assert result["files"] == 1
    assert 60_000_000 < peak < 1_000_000_000  # no engine is smaller; the process that starts it is


def test_without_an_engine_the_scripts_are_skipped_visibly(tmp_path: Path) -> None:
    said = bench(tmp_path, "--only", "scripts", PWSH="/nowhere/pwsh")
    assert "SKIPPED: PWSH names /nowhere/pwsh" in said
