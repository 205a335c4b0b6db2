"""Lines are counted wherever scripts run, and a script with marks does what it does without."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.dataminer.web.plugins.plugin_utils.windows_host import WindowsHost
from harness import ON_WINDOWS, Engine, EngineFailed, EngineMissing, posix_engine
from lines import LineCounter, environment
from script_lines import read_lines

pytestmark = pytest.mark.powershell
TOP = """[CmdletBinding(SupportsShouldProcess)]
param([int]$a)

. "$PSScriptRoot/lib/part.ps1"
$Ansible.Result = @{
    value = (Get-Part $a)
    inner = $(if ($a -eq 9) {
            'nine'
        })
}
if ($a -eq 3) { throw 'three' }
"""
PART = """$limit = 2

# Comments don't count.
function Get-Part([int]$a) {
    if ($a -gt $limit) {
        return 'large'
    }
    return @(1, 2 | ForEach-Object {
            $_ * $a
        })
}
"""


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A script with a library."""
    folder = tmp_path / "scripts"
    (folder / "lib").mkdir(parents=True)
    (folder / "top.ps1").write_text(TOP, encoding="utf-8")
    (folder / "lib" / "part.ps1").write_text(PART, encoding="utf-8")
    return folder


@pytest.fixture
def counting(tmp_path: Path) -> Engine:
    """An engine whose processes leave what they count in the folder `lines`."""
    try:
        return Engine(posix_engine(), environment(tmp_path / "lines", wine=False))
    except EngineMissing as error:
        pytest.skip(f"lane powershell: {error}")


def ran(folder: Path) -> dict[str, list[int]]:
    found = read_lines(folder)
    return {file: [line.number for line in found if line.file == file and line.ran] for file in sorted({line.file for line in found})}


def missed(folder: Path) -> list[tuple[str, int, str]]:
    return [(line.place, line.number, line.text) for line in read_lines(folder) if not line.ran]


def test_each_line_on_which_a_statement_starts(counting: Engine, scripts: Path, tmp_path: Path) -> None:
    whole = TOP.replace('. "$PSScriptRoot/lib/part.ps1"', PART)
    plain = counting.execute(whole, {"a": 1}, 2)
    counting.told = LineCounter(counting, tmp_path / "lines", scripts).told
    try:
        assert counting.execute(whole, {"a": 1}, 2) == plain
        assert plain["result"] == {"value": [1, 2], "inner": None}
        assert ran(tmp_path / "lines") == {"lib/part.ps1": [1, 5, 8, 9], "top.ps1": [5, 7, 11]}
        assert missed(tmp_path / "lines")[-1] == ("top.ps1", 11, "if ($a -eq 3) { »throw 'three' }")
        assert counting.execute(whole, {"a": 3}, 2)["failed"]
        assert ran(tmp_path / "lines")["lib/part.ps1"] == [1, 5, 6, 8, 9]
    finally:
        counting.close()
    assert missed(tmp_path / "lines") == [("top.ps1", 8, "'nine'")]


def test_a_line_that_ran_needs_no_mark_any_more(counting: Engine, scripts: Path, tmp_path: Path) -> None:
    """Lines that run later, in another process too, count all the same."""
    whole = TOP.replace('. "$PSScriptRoot/lib/part.ps1"', PART)
    counter = LineCounter(counting, tmp_path / "lines", scripts, every=0)
    before = counter.told({"script": whole})["script"]
    counting.told = counter.told
    try:
        assert counting.execute(whole, {"a": 1}, 2)["result"] == {"value": [1, 2], "inner": None}
        after = counter.told({"script": whole})["script"]
        assert (before.count(".Write("), after.count(".Write(")) == (10, 3)
        counting.close()
        assert counting.execute(whole, {"a": 9}, 2)["result"] == {"value": "large", "inner": "nine"}
    finally:
        counting.close()
    assert ran(tmp_path / "lines") == {"lib/part.ps1": [1, 5, 6, 8, 9], "top.ps1": [5, 7, 8, 11]}


def test_a_script_that_a_test_changed_counts_all_but_what_was_changed(counting: Engine, scripts: Path, tmp_path: Path) -> None:
    whole = TOP.replace('. "$PSScriptRoot/lib/part.ps1"', PART)
    counting.told = LineCounter(counting, tmp_path / "lines", scripts).told
    try:
        assert counting.execute(whole.replace("inner = $(if ($a -eq 9) {", "inner = $(if ($true) {"), {"a": 1}, 2)["result"]["inner"] == "nine"
    finally:
        counting.close()
    assert ran(tmp_path / "lines") == {"lib/part.ps1": [1, 5, 8, 9], "top.ps1": [5, 8, 11]}


def test_a_job_in_a_process_of_its_own(counting: Engine, tmp_path: Path) -> None:
    counting.told = LineCounter(counting, tmp_path / "lines").told
    host = WindowsHost(counting.execute, str(tmp_path / "work"), launcher=counting.command)
    spec = {"kind": "verify", "path": str(tmp_path / "no.zip"), "manifest": None, "copy_to": None, "compare_root": None, "limits": None}
    try:
        status = host.start(spec, "v1")
        while status.active:
            status = host.poll("v1", 20)
        assert status.state == "failed"
    finally:
        counting.close()
    found = ran(tmp_path / "lines")
    assert found["start.ps1"]
    assert found["lib/job.ps1"]
    assert found["job_verify.ps1"]
    assert not found["job_commit.ps1"]


def test_a_locked_runspace_is_left_alone(counting: Engine, scripts: Path, tmp_path: Path) -> None:
    counting.told = LineCounter(counting, tmp_path / "lines", scripts).told
    request = {"script": TOP.replace('. "$PSScriptRoot/lib/part.ps1"', PART), "language_mode": "ConstrainedLanguage"}
    assert counting.told(request) == request
    counting.close()


@pytest.mark.skipif(ON_WINDOWS, reason="no shell of Windows starts a script by its first line")
def test_an_engine_that_is_not_there_is_told_from_one_that_breaks(tmp_path: Path) -> None:
    """A wrapper that finds no Wine ends as a shell does that finds no program."""
    for status, error in ((127, EngineMissing), (1, EngineFailed)):
        wrapper = tmp_path / f"engine{status}"
        wrapper.write_text(f"#!/bin/sh\nexit {status}\n", encoding="utf-8")
        wrapper.chmod(0o755)
        with pytest.raises(error, match=f"engine{status}"):
            Engine([str(wrapper)]).execute("1", {}, 2)
