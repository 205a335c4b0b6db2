"""Functions of the scripts by themselves: what they make of values that a whole job rarely meets."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Lane, in_an_engine
from harness import Engine
from test_services import library

JSON = library("files", "json", "setup", "values")
HEAD = "[CmdletBinding(SupportsShouldProcess)] param($a)\n"


def call(engine: Engine | None, functions: str, script: str, a: Any = None) -> Any:
    assert engine is not None
    answer = engine.execute(f"{HEAD}{functions}\n$Ansible.Result = {script}", {"a": a}, 3)
    assert not answer["failed"], answer["error"]
    return answer["result"]


def test_a_path_on_a_share(windows: Lane) -> None:
    """As of a package or a backup folder there; how much room it has nothing tells."""
    short, long = r"\\files\dataminer\a.zip", r"\\?\UNC\files\dataminer\a.zip"
    assert call(windows.engine, JSON, "Get-LongPath $a", short) == long
    assert call(windows.engine, JSON, "Get-ShownPath $a", long) == short
    assert call(windows.engine, JSON + library("space"), "@(Assert-Space $a 1e18).Count", long) == 0


@in_an_engine
@pytest.mark.parametrize("text", ["{}", '{"a b":{"1":[]}}', '{"\\"/":null}'])
def test_json_there_and_back(host: Lane, text: str) -> None:
    """Keys may be anything, as paths are."""
    assert call(host.engine, JSON, "ConvertTo-JsonText (ConvertFrom-JsonText $a)", text) == text


def test_an_error_that_only_looks_like_one_of_ours(powershell: Engine) -> None:
    """It is told as it stands."""
    assert call(powershell, JSON, "try { throw $a } catch { $null -eq (Get-OurError $_) }", '{"type": half') is True


def test_the_first_ten_paths_that_are_too_long_are_named(powershell: Engine) -> None:
    paths = [f"{number:03}" * 100 for number in range(12)]
    tried = "$(try { $onWindows = $true; $longPaths = $false; Assert-Reach $a 'C:\\x' } catch { (Get-OurError $_)['found'] })"
    assert call(powershell, JSON, tried, paths).endswith(f"{paths[9]} and 2 more")


@pytest.mark.parametrize(("text", "number"), [("7", 7), ("2147483647", 2147483647), ("2147483648", -1), ("x", -1)])
def test_ids_of_agents(powershell: Engine, text: str, number: int) -> None:
    assert call(powershell, library("cluster"), "ConvertTo-Id $a", text) == number


@in_an_engine
def test_a_job_that_is_started_in_this_moment_is_not_dead(host: Lane) -> None:
    """Its record stands only once it has a holder: who looked for that first would find none."""
    (host.home / "jobs" / "b1").mkdir(parents=True)
    before_the_start = "function Get-ActiveJob { Write-JsonFile \"$a/jobs/b1/state.json\" @{ kind = 'backup' }; return $null }"
    functions = f"{JSON}{library('jobs', 'alive', 'status')}\n{before_the_start}\n"
    assert call(host.engine, functions, "(Get-Status $a 'b1').state", host.native(host.home)) == "absent"


def test_no_file_is_held_where_something_else_went_wrong(powershell: Engine) -> None:
    functions = JSON + library("jobs", "locks", "job")
    assert call(powershell, functions, "Test-Held ([InvalidOperationException]::new('x', [Exception]::new()))") is False
