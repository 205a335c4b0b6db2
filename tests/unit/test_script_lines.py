"""The report on lines of the scripts that ran: each that was missed has a reason, and each reason its line."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "tools"))

import script_lines
import steps
from outcome import Run
from script_lines import Line, Reason


def line(number, text="x", *, function="f", ran=False):
    return Line(file="a.ps1", number=number, function=function, text=text, ran=ran)


def reason(*texts, place="a.ps1 f", why="needs WMI"):
    return Reason(place=place, lines=texts, reason=why)


@pytest.mark.parametrize(
    ("lines", "reasons", "found"),
    [
        ([line(1, ran=True), line(2, ran=True)], [], []),
        ([line(1), line(2)], [reason()], []),
        ([line(1, "x"), line(2, "y", ran=True)], [reason("x")], []),
        ([line(1, "return"), line(9, "return", ran=True)], [reason("return")], []),
        ([line(1, "x", function="")], [reason("x", place="a.ps1")], []),
        ([line(7, "throw")], [], ["a.ps1:7: missed, without a reason: throw"]),
        ([line(7, "throw")], [reason("throw", why="?")], ["a.ps1:7: missed, without a reason: throw"]),
        (
            [line(7, "throw")],
            [reason("throw", place="a.ps1 g"), reason("throw")],
            ["a.ps1 g: there is no such function or file, but a reason for it"],
        ),
        ([line(7, "x", ran=True)], [reason("x")], ["a.ps1 f: not missed, or not there, but with a reason: x"]),
        ([line(7, "x")], [reason("x", "y")], ["a.ps1 f: not missed, or not there, but with a reason: y"]),
        ([line(7), line(8, ran=True)], [reason()], ["a.ps1 f: line 8 runs; the reason must name the lines that are missed"]),
    ],
)
def test_a_missed_line_has_a_reason_and_a_reason_has_its_line(lines, reasons, found):
    assert script_lines.problems(lines, reasons) == found


def test_the_list_of_missed_lines_is_brought_up_to_date(tmp_path):
    lines = [line(1, "x"), line(2, "y"), line(3, "z", ran=True), line(4, 'say "a"', function="g"), line(5, "w", function="h")]
    old = [reason(), reason("gone", place="a.ps1 k"), reason("w", place="a.ps1 h", why="no such disk")]
    new = [reason("x", "y"), reason(place="a.ps1 g", why="?"), reason(place="a.ps1 h", why="no such disk")]
    assert script_lines.updated(lines, old) == new
    path = tmp_path / "missed.toml"
    path.write_text("# what this is\n")
    script_lines.write_reasons(path, old)
    script_lines.write_reasons(path, new)
    assert path.read_text().startswith('# what this is\n\n[[missed]]\nplace = "a.ps1 f"\nlines = [\n    "x",\n')
    assert script_lines.read_reasons(path) == new
    assert script_lines.problems(lines, new) == ['a.ps1:4: missed, without a reason: say "a"']


@pytest.mark.parametrize("ran", [True, False])
def test_a_line_that_some_runs_reach_may_be_reached_or_not(tmp_path, ran):
    lines, reasons = [line(1, "x", ran=ran), line(2, "y", ran=True)], [replace(reason("x", why="a race"), at_times=True)]
    assert script_lines.problems(lines, reasons) == []
    assert script_lines.updated(lines, reasons) == reasons
    script_lines.write_reasons(tmp_path / "missed.toml", reasons)
    assert script_lines.read_reasons(tmp_path / "missed.toml") == reasons
    gone = [replace(reason("z", why="a race"), at_times=True)]
    assert script_lines.problems([line(1, "x", ran=True)], gone) == ["a.ps1 f: not missed, or not there, but with a reason: z"]


def test_lines_of_all_processes_count_together(tmp_path):
    (tmp_path / "index.json").write_text('[["a.ps1", 1, "", "x"], null, ["a.ps1", 3, "f", "y"], ["a.ps1", 4, "f", "z"]]')
    (tmp_path / "powershell.lane").touch()
    (tmp_path / "one").write_bytes(b"\1\0\0\0" + b"\0" * 4092)  # a mapped file may be as long as a page
    (tmp_path / "two").write_bytes(b"\0\0\1\0")
    lines = script_lines.read_lines(tmp_path)
    assert [(found.number, found.ran) for found in lines] == [(1, True), (3, True), (4, False)]
    assert script_lines.report(lines, [reason("z")]) == [
        "66.7 % of 3 lines and inner blocks of the PowerShell scripts ran, 1 were missed",
        "  a.ps1 f (4): needs WMI",
    ]
    assert script_lines.spans([1, 2, 3, 7, 9, 10]) == "1-3, 7, 9-10"


@pytest.mark.parametrize(("counted", "passed", "failed", "skipped"), [(b"\1\1", 1, 0, 0), (b"\1\0", 0, 1, 0), (None, 0, 0, 1)])
def test_lines_are_judged_where_both_engines_ran(tmp_path, monkeypatch, counted, passed, failed, skipped):
    run = Run(root=tmp_path, temp=tmp_path, logs=tmp_path)
    folder = run.temp / "lines"
    folder.mkdir()
    (folder / "powershell.lane").touch()
    (folder / "index.json").write_text('[["a.ps1", 1, "", "x"], ["a.ps1", 2, "", "y"]]')
    if counted is not None:
        (folder / "windows.lane").touch()
        (folder / "one").write_bytes(counted)
    monkeypatch.setattr(script_lines, "FOLDER", folder)
    monkeypatch.setattr(script_lines, "LIST", run.temp / "missed.toml")
    script_lines.LIST.write_text("")
    found = steps.coverage_step(run, run.logs / "coverage.log")
    assert (found.passed, found.failed, found.skipped) == (passed, failed, skipped)
    assert (run.logs / "coverage.log").exists() == (counted is not None)
