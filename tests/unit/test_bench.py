"""The benchmark runs, and says what it should; on so little content its figures mean nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench" / "bench.py"


@pytest.mark.skipif(not (shutil.which("zip") and shutil.which("unzip")), reason="no zip or unzip on PATH")
def test_the_benchmark_runs_and_leaves_nothing(tmp_path: Path) -> None:
    argv = [sys.executable, BENCH, "--files", "150", "--megabytes", "2", "--rounds", "1", "--lenient", "--folder", tmp_path]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    for word in ("Backup, with verification", "zip -r -q", "shutil.make_archive", "Restore, over files", "unzip -q -o", "Most memory", "target 0.5"):
        assert word in done.stdout
    assert list(tmp_path.iterdir()) == []
