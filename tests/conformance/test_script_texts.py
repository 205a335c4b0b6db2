"""What the texts of the scripts say, without an engine: one text each, documented, the same in every culture, with functions short enough to read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.dataminer.web.plugins.plugin_utils.windows_host import SCRIPTS, script_text

NAMES = sorted(path.stem for path in SCRIPTS.glob("*.ps1"))
FILES = pytest.mark.parametrize("path", sorted(SCRIPTS.rglob("*.ps1")), ids=lambda path: path.stem)
# What .NET Framework answers by the culture of the agent: texts unless a StringComparison is told, single characters never. Names of variables tell
# which are characters. To upper or lower case is for the invariant ones, and an order of texts needs a StringComparer.
CHARACTER = r"\[char\]|\$(?:slash|separator)\b|\$\w+\["
CULTURE = re.compile(
    rf"\.(?:StartsWith|EndsWith|IndexOf|LastIndexOf)\((?!{CHARACTER})(?![^()]*(?:\([^()]*\)[^()]*)*\[StringComparison\]::)"
    r"|\[string\]::Compare\((?!.*\[StringComparison\]::)|\.CompareTo\(|\.To(?:Upper|Lower)\("
    r"|\[Array\]::Sort\((?!.*\[StringComparer\]::)(?!\[Array\]\[int\[\]\])|Sorted(?:Set|List|Dictionary)\[string\b[^\n]*\]::new\((?!\[StringComparer\])"
)
FUNCTION = re.compile(r"^function (\w+-\w+)\b(?:[^\n]*\}|.*?\n\})$", re.MULTILINE | re.DOTALL)
LONGEST = 30  # lines of a function
HOT = {  # loops over thousands of files or entries, where to call a function for each costs as much as its work
    "Read-EntryBatch": 65,
    "Get-PackedBatch": 46,
    "Move-Batch": 43,
    "Read-Directory": 38,
    "Find-Target": 34,
}
STARTER = 20


def lengths(path: Path) -> dict[str, int]:
    return {found[1]: found[0].count("\n") + 1 for found in FUNCTION.finditer(path.read_text("utf-8"))}


@FILES
def test_functions_are_short_enough_to_read(path: Path) -> None:
    found = lengths(path)
    assert len(found) == path.read_text("utf-8").count("\nfunction ")
    assert {name: length for name, length in found.items() if length > HOT.get(name, LONGEST)} == {}


def test_the_way_to_start_by_wmi_that_no_test_can_go_fits_at_a_glance() -> None:
    assert 0 < lengths(SCRIPTS / "lib" / "launch.ps1")["Start-ByWmi"] <= STARTER


def test_the_rule_for_cultures_knows_what_it_looks_for() -> None:
    told = "[StringComparison]::Ordinal"
    loose = ["StartsWith('a')", "EndsWith($b)", "IndexOf('ab')", "IndexOf($text, 3)", "LastIndexOf($text)", "CompareTo($b)", "ToUpper()", "ToLower()"]
    fine = [
        f"StartsWith((Get-A $b), {told})",
        f"IndexOf('ab', {told})",
        "IndexOf([char]'/')",
        "LastIndexOf($slash)",
        "IndexOf($part[0])",
        "ToUpperInvariant()",
    ]
    assert [text for text in loose if not CULTURE.search(f"$a.{text}")] == []
    assert [text for text in fine if CULTURE.search(f"$a.{text}")] == []
    loose = ["[string]::Compare($a, $b)", "[Array]::Sort($names)", "[Collections.Generic.SortedSet[string]]::new()"]
    assert [text for text in loose if not CULTURE.search(text)] == []


@FILES
def test_texts_compare_alike_in_every_culture(path: Path) -> None:
    """In Turkish or German, Windows finds other beginnings and ends than the bytes say."""
    assert [line.strip() for line in path.read_text("utf-8").splitlines() if CULTURE.search(line)] == []


@pytest.mark.parametrize("name", NAMES)
def test_script_is_one_text(name: str) -> None:
    """It arrives on the agent alone, runs in check mode, and is documented."""
    text = script_text(name)
    assert "$PSScriptRoot" not in text
    assert "[CmdletBinding(SupportsShouldProcess)]" in text
    assert "\n.SYNOPSIS\n" in text.partition("param(")[0]
    assert text.isascii()  # without a byte order mark Windows PowerShell reads a file as ANSI


def test_nothing_that_must_outlive_a_power_cut_is_left_to_the_cache() -> None:
    """What a job writes goes through Write-FileBytes, or is flushed to the disk; its log alone may be lost."""
    lazy = re.compile(r"\[IO\.File\]::(WriteAll\w+|OpenWrite|CreateText)\(")
    assert [path.name for path in SCRIPTS.rglob("*.ps1") if lazy.search(path.read_text("utf-8"))] == []
