"""Files that another program holds: which errors of Windows say so, for how long they are asked for again, and how their holder is told."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.errors import DataMinerError
from conftest import Lane
from harness import ON_WINDOWS, Engine
from test_job_verify import make, spec
from test_services import library

FUNCTIONS = library("files", "json", "setup", "values", "jobs", "locks", "job", "native", "holder")
HEAD = "[CmdletBinding(SupportsShouldProcess)] param($a)\n" + FUNCTIONS + "\n$script:job = @{ folder = $null; spec = @{ retry_seconds = 0.3 } }\n"


def run(engine: Engine, script: str, a: Any = None) -> Any:
    answer = engine.execute(HEAD + script, {"a": a}, 3)
    assert not answer["failed"], answer["error"]
    return answer["result"]


@pytest.mark.parametrize(
    ("code", "held"),
    [(0x20, True), (0x21, True), (1175, True), (1176, True), (1177, True), (1224, True), (2, False), (5, False), (0x70, False)],
)
def test_errors_that_say_so(powershell: Engine, code: int, held: bool) -> None:
    script = "try { throw [IO.IOException]::new('x', [int](-2147024896 + $a)) } catch { $Ansible.Result = Test-Held $_ }"
    assert run(powershell, script, code) is held


def test_the_holder_is_told_where_something_tells_it(powershell: Engine) -> None:
    told = run(powershell, "function Get-Holder { 'SLXyz (process 123)', 'SLAbc (process 4)' }\n$Ansible.Result = Get-HeldText 'C:\\a'")
    assert told == "held by SLXyz (process 123), SLAbc (process 4)"


@pytest.mark.parametrize("nothing", ["function Get-Holder { }", "function Get-Holder { throw 'no such library' }", ""])
def test_without_an_answer_there_is_no_holder(powershell: Engine, nothing: str) -> None:
    assert run(powershell, f"{nothing}\n$Ansible.Result = Get-HeldText 'C:\\a'") == "another program holds the file"


def test_rows_of_the_restart_manager(powershell: Engine) -> None:
    """A process that lives has its own name, one that is gone that which Windows noted."""

    def row(pid: int, name: str) -> bytes:
        return struct.pack("<IQ", pid, 0) + name.encode("utf-16-le").ljust(512, b"\0") + bytes(128 + 16)

    data = row(os.getpid(), "Some title") + row(2**31 - 7, "Skyline é")
    mine, gone = run(powershell, "$Ansible.Result = @(Get-HolderName ([byte[]]$a) 2)", list(data))
    assert mine.endswith(f"(process {os.getpid()})")
    assert "Some title" not in mine
    assert gone == f"Skyline é (process {2**31 - 7})"


def test_a_log_that_cannot_be_written_ends_nothing(powershell: Engine) -> None:
    script = "$job.folder = [IO.Path]::Combine([IO.Path]::GetTempPath(), [Guid]::NewGuid().ToString()); Write-Log 'x'; $Ansible.Result = 'goes on'"
    assert run(powershell, script) == "goes on"


def test_a_repeat_after_half_a_replacement(powershell: Engine, tmp_path: Path) -> None:
    """Error 1177: the old file has its other name already, the new one isn't in its place yet."""
    places = {name: tmp_path / name / "x.json" for name in ("staging", "content", "replaced")}
    for name in ("staging", "content"):
        places[name].parent.mkdir()
        places[name].write_text(name, "utf-8")
    script = """
    function Invoke-Retried([scriptblock]$block) {
        [IO.File]::Move($target, $kept)
        & $block
    }
    Move-InPlaceOf $a['staging'] $a['content'] $a['replaced']
    """
    run(powershell, library("swap") + script, {name: str(path) for name, path in places.items()})
    assert (places["content"].read_text("utf-8"), places["replaced"].read_text("utf-8")) == ("staging", "content")
    assert not places["staging"].exists()


def test_the_restart_manager_is_asked(windows: Lane) -> None:
    """Wine's knows of no process; Windows' names the one that holds the file."""
    path = windows.home / "held"
    path.write_bytes(b"x")
    assert windows.engine is not None
    name = "$mine = [Diagnostics.Process]::GetCurrentProcess(); $me = '{0} (process {1})' -f $mine.ProcessName, $mine.Id"
    script = f"{name}\n$Ansible.Result = @{{ holders = @(Get-Holder $a); me = $me }}"
    with windows.holding(path):
        told = run(windows.engine, script, windows.native(path))
    assert told["holders"] == ([told["me"]] if ON_WINDOWS else [])


def test_a_zip_that_another_program_holds(windows: Lane) -> None:
    path = make(windows.home / "a.zip", {"Web/a": b"a"})
    with windows.holding(path), pytest.raises(DataMinerError) as raised:
        windows.agent.inspect(windows.told(spec(windows, path, retry_seconds=0.3)))
    assert raised.value.message.endswith("a.zip can't be read")
