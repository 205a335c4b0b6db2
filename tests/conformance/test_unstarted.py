"""Only a test whose jobs tell that Wine failed to start a program is done once more, and only once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
CONFTEST = """
import pytest, unstarted
from unstarted import pytest_runtest_protocol

@pytest.fixture
def home(tmp_path):
    yield tmp_path
    unstarted.note(tmp_path)
"""
TESTS = """
import pytest

begun = dict.fromkeys(("once", "always", "otherwise"), 0)

@pytest.mark.parametrize("fails", begun)
def test(home, fails):
    begun[fails] += 1
    print(f"{fails} begins for the {begun[fails]}. time")
    record = home / "work" / "jobs" / "c1" / "result.json"
    record.parent.mkdir(parents=True)
    record.write_text("Access is denied." if fails == "otherwise" else "cmd.exe: Internal error.")
    assert fails == "once" and begun[fails] == 2
"""


def test_once_more(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_three.py").write_text(TESTS)
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-s",
        "--tb=no",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    done = subprocess.run(argv, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(HERE)}, capture_output=True, text=True, timeout=120, check=False)
    assert "2 failed, 1 passed, 2 warnings" in done.stdout, done.stdout + done.stderr
    begun = [line.lstrip(".F") for line in done.stdout.splitlines() if "begins" in line]
    assert begun == [
        f"{name} begins for the {time}. time" for name, time in (("once", 1), ("once", 2), ("always", 1), ("always", 2), ("otherwise", 1))
    ]
    assert "done once more: Wine failed to start a program" in done.stdout
