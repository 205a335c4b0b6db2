"""What was extracted is on the disk before the rows that tell of it are."""

from __future__ import annotations

import pytest
from conftest import Lane, in_an_engine, replace_in_job
from harness import Engine
from test_held import HEAD
from test_job_backup import FILES, fill
from test_job_prepare import spec, staged
from test_job_verify import make
from test_services import library

ASKED = "function Sync-Volume([string]$folder) {"
NOTED = """
    $rows = [IO.File]::Exists([IO.Path]::Combine($job.folder, 'rows.txt'))
    $found = [IO.Directory]::GetFiles($folder, '*', [IO.SearchOption]::AllDirectories).Length
    [IO.File]::AppendAllText([IO.Path]::Combine($job.folder, 'flushed.txt'), "$found $rows")
    if (ANSWER) { return $false }
"""


@in_an_engine
@pytest.mark.parametrize("able", [True, False])
def test_all_is_flushed_before_the_rows_are_written(host: Lane, able: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once by the volume, and one by one where the system doesn't do that."""
    note = NOTED.replace("ANSWER", "$false" if able else "$true")
    replace_in_job(monkeypatch, ASKED, ASKED + note)
    fill(host, {"Dashboards/Overview.dmadb.json": b"migrated"})
    status = host.run(spec(host, make(host.home / "a.zip", FILES)), "p1")
    assert status.state == "done", status.error
    assert staged(host, "p1") == FILES
    assert (host.home / "work" / "jobs" / "p1" / "flushed.txt").read_text("utf-8") == f"{len(FILES)} False"


@in_an_engine
def test_what_is_extracted_is_flushed_beside(host: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_in_job(monkeypatch, "$flushEvery = 67108864     # bytes", "$flushEvery = 1")
    (host.home / "agent").mkdir()
    many = {f"Web/{number}": b"%d" % number for number in range(1000)}
    status = host.run(spec(host, make(host.home / "a.zip", many)), "p1")
    assert status.state == "done", status.error
    assert staged(host, "p1") == many


def test_one_flush_of_a_volume_at_a_time(powershell: Engine) -> None:
    """The next begins when the one before has ended; the last is waited for."""
    script = (
        HEAD
        + library("workers", "flush")
        + """
$turn = [Threading.Tasks.TaskCompletionSource[int]]::new()
$flush = [Delegate]::CreateDelegate([Func[int]], $turn.Task, $turn.Task.GetType().GetMethod('get_Result'))
$volume = @{ flush = [Func[int]]$flush; handle = $null; task = $null }
Start-Flush $null
Close-Volume $null
$tasks = @(foreach ($time in 1, 2) { Start-Flush $volume; $volume.task })
$turn.SetResult(7)
Close-Volume $volume
Start-Flush $volume
Close-Volume $volume
$same = @(foreach ($task in $tasks[1], $volume.task) { [object]::ReferenceEquals($tasks[0], $task) })
$Ansible.Result = @($same[0], $same[1], $tasks[0].Result, $volume.task.Result)
"""
    )
    answer = powershell.execute(script, {}, 2)
    assert answer["result"] == [True, False, 7, 7], answer["error"]


def test_the_system_flushes_a_volume(powershell: Engine) -> None:
    """On Windows administrators may ask for that."""
    script = HEAD + library("workers", "flush") + "\n$Ansible.Result = Sync-Volume ([IO.Path]::GetTempPath())"
    answer = powershell.execute(script, {}, 2)
    assert (answer["failed"], answer["result"]) == (False, True), answer["error"]


def test_a_file_that_is_flushed_is_waited_for(powershell: Engine) -> None:
    """Another program may look at it for a moment."""
    script = (
        HEAD
        + library("workers", "flush")
        + """
$path = [IO.Path]::GetTempFileName()
$clock = [Diagnostics.Stopwatch]::StartNew()
$held = [IO.FileStream]::new($path, 'Open', 'ReadWrite', 'None')
$shared = @{ patience = 0.3; held = $heldCodes }
try { Sync-Batch $shared @{} @($path) } catch { $Ansible.Result = Test-Held $_ } finally { $held.Dispose() }
Sync-Batch $shared @{} @($path, "$path.gone")
[IO.File]::Delete($path)
$Ansible.Result = @($Ansible.Result, ($clock.Elapsed.TotalSeconds -ge 0.3))
"""
    )
    answer = powershell.execute(script, {}, 2)
    assert answer["result"] == [True, True], answer["error"]
