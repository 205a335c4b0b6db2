"""The scripts against Windows PowerShell 5.1, as far as an engine that isn't one can tell: syntax, types and members of .NET Framework, commands."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import conftest
import harness
import inside
import lines
import pytest
from ansible_collections.dataminer.web.plugins.plugin_utils.windows_host import SCRIPTS, script_text
from harness import EngineMissing, posix_engine
from test_reboot_command import COMMAND

NAMES = sorted(path.stem for path in SCRIPTS.glob("*.ps1"))
INSIDE = inside.told({"script": script_text("start"), "parameters": {"launcher": [inside.INSIDE]}})["script"]
# what the suite itself runs in the engine of an agent
OURS = {path.stem: path.read_text("utf-8") for path in (harness.SERVER, lines.STATEMENTS)} | {"inside": INSIDE}
OURS |= {name.lower(): getattr(conftest, name) for name in ("OPEN_ALONE", "CLOSE", "HOLD_BRIEFLY", "PROGRAM", "KILL")}
# which all of Windows PowerShell knows, and which of a syntax tree's kinds has
FINE = re.compile(r"win_powershell\.ps1:.* command: (Get-Command|ConvertTo-Json) is|statements\.ps1:.* member: .*\.Ast has no Statements")
UNKNOWN_OPTION = 64  # how pwsh ends, and says no more of it
LAB = "(engine only)"  # what the engine that has the check says of its version


def said(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What the engine says; skips where there is none."""
    try:
        command = posix_engine()
    except EngineMissing as error:
        pytest.skip(f"lane powershell: {error}")
    return subprocess.run([*command, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False)


def check(*scripts: Path) -> subprocess.CompletedProcess[str]:
    """It takes its own word for what it found, so a broken script must be told apart first."""
    return said("-Check51", *map(str, scripts))


def require_check(folder: Path) -> None:
    """An engine that can check finds fault with what 5.1 can't parse. pwsh itself has no such option; one that has it and doesn't is broken."""
    if harness.ON_WINDOWS:
        pytest.skip("Windows PowerShell judges by running them")
    wrong = folder / "wrong.ps1"
    wrong.write_text("$a ??= 1\n", encoding="utf-8")
    done = check(wrong)
    if done.returncode == 1 and "wrong.ps1:1:" in done.stdout:
        return
    if done.returncode == UNKNOWN_OPTION and LAB not in said("-Version").stdout:
        pytest.skip("the engine has no check for Windows PowerShell 5.1 (option -Check51)")
    pytest.fail(f"the engine's check for Windows PowerShell 5.1 is broken, it ended with {done.returncode}: {done.stdout}{done.stderr}")


@pytest.mark.powershell
def test_scripts_fit_windows_powershell(tmp_path: Path) -> None:
    """In one call: to start the check takes longer than to read most scripts. What it finds names the file."""
    require_check(tmp_path)
    texts = {name: script_text(name) for name in NAMES} | {"question_after_a_restart": COMMAND} | OURS
    paths = [tmp_path / f"{name}.ps1" for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        path.write_text(text, encoding="utf-8")
    done = check(*paths)
    *found, summary = done.stdout.splitlines()
    assert [line for line in found if not FINE.search(line)] == []
    assert summary == f"{len(paths)} scripts, {len(found)} problems", done.stderr


@pytest.mark.skipif(harness.ON_WINDOWS, reason="no shell of Windows starts a script by its first line")
@pytest.mark.parametrize(
    ("status", "version", "outcome"),
    [
        (64, "PowerShell 7.5.4", pytest.skip.Exception),
        (64, f"PowerShell 7.6.0 {LAB}", pytest.fail.Exception),
        (0, "PowerShell 7.5.4", pytest.fail.Exception),
    ],
)
def test_an_engine_without_the_check_is_told_from_one_whose_check_broke(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, version: str, outcome: type[BaseException]
) -> None:
    engine = tmp_path / "engine"
    engine.write_text(f'#!/bin/sh\n[ "$1" != -Version ] || exec echo "{version}"\nexit {status}\n', encoding="utf-8")
    engine.chmod(0o755)
    monkeypatch.setenv("PWSH", str(engine))
    with pytest.raises(outcome):
        require_check(tmp_path)
