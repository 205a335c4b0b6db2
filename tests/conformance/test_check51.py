"""The scripts against Windows PowerShell 5.1, as far as an engine that isn't one can tell: syntax, types and members of .NET Framework, commands."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from ansible_collections.dataminer.web.plugins.plugin_utils.windows_host import SCRIPTS, script_text
from harness import EngineMissing, posix_engine
from test_reboot_command import COMMAND

pytestmark = pytest.mark.powershell
CULTURE = re.compile(r"\.(StartsWith|EndsWith)\((?![^()]*(\([^()]*\)[^()]*)*\[StringComparison\]::)")
NAMES = sorted(path.stem for path in SCRIPTS.glob("*.ps1"))


def check(*scripts: Path) -> subprocess.CompletedProcess[str]:
    """The engine's check; skips where the engine has none. It takes its own word for what it found, so a broken script must be told apart first."""
    try:
        command = posix_engine()
    except EngineMissing as error:
        pytest.skip(f"lane powershell: {error}")
    return subprocess.run(
        [*command, "-Check51", *map(str, scripts)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False
    )


@pytest.fixture(scope="module", autouse=True)
def able(tmp_path_factory: pytest.TempPathFactory) -> None:
    """An engine that can check finds fault with what 5.1 can't parse; pwsh itself has no such option."""
    wrong = tmp_path_factory.mktemp("check51") / "wrong.ps1"
    wrong.write_text("$a ??= 1\n", encoding="utf-8")
    done = check(wrong)
    if done.returncode != 1 or "wrong.ps1:1:" not in done.stdout:
        pytest.skip("the engine has no check for Windows PowerShell 5.1 (option -Check51)")


def test_scripts_fit_windows_powershell(tmp_path: Path) -> None:
    """In one call: to start the check takes longer than to read most scripts. What it finds names the file."""
    texts = {name: script_text(name) for name in NAMES} | {"question_after_a_restart": COMMAND}
    paths = [tmp_path / f"{name}.ps1" for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        path.write_text(text, encoding="utf-8")
    done = check(*paths)
    assert (done.returncode, done.stdout.strip()) == (0, f"{len(paths)} scripts, 0 problems"), done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_script_is_one_text(name: str) -> None:
    """It arrives on the agent alone, runs in check mode, and is documented."""
    text = script_text(name)
    assert "$PSScriptRoot" not in text
    assert "[CmdletBinding(SupportsShouldProcess)]" in text
    assert "\n.SYNOPSIS\n" in text.partition("param(")[0]
    assert text.isascii()  # without a byte order mark Windows PowerShell reads a file as ANSI


@pytest.mark.parametrize("path", sorted(SCRIPTS.rglob("*.ps1")), ids=lambda path: path.stem)
def test_texts_compare_alike_in_every_culture(path: Path) -> None:
    """In Turkish or German, Windows finds other beginnings and ends than the bytes say."""
    loose = [line.strip() for line in path.read_text("utf-8").splitlines() if CULTURE.search(line)]
    assert loose == []


def test_nothing_that_must_outlive_a_power_cut_is_left_to_the_cache() -> None:
    """What a job writes goes through Write-FileBytes, or is flushed to the disk; its log alone may be lost."""
    lazy = re.compile(r"\[IO\.File\]::(WriteAll\w+|OpenWrite|CreateText)\(")
    assert [path.name for path in SCRIPTS.rglob("*.ps1") if lazy.search(path.read_text("utf-8"))] == []
