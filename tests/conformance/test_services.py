"""Services of Windows stopped and started: by a stand-in with their members on every engine, and by the service manager of Windows itself."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from threading import Timer
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.plugin_utils.windows_host import SCRIPTS
from conftest import LANES, Lane, in_an_engine
from harness import ON_WINDOWS, Engine, until
from restores import MIGRATED, Restore

PARTS = ("files", "json", "setup", "values", "jobs", "locks", "job", "programs", "service", "stopped")
STAND_IN = """
[CmdletBinding(SupportsShouldProcess)] param([string]$folder, [object[]]$known, [string[]]$verbs, [double]$seconds = 5, [double]$pending = 5)
%s
class StandIn {
    [string]$ServiceName; [string]$Status; [object[]]$DependentServices; [hashtable]$about; [Collections.Generic.List[string]]$log
    [void] Refresh() { if ($this.about['then'].Count) { $this.Status, $this.about['then'] = $this.about['then'] } }
    [void] Stop() {
        $this.log.Add("stop $($this.ServiceName)")
        $this.Set('Running', 'stop', 'Stopped')
    }
    [void] Start() {
        $this.log.Add("start $($this.ServiceName)")
        $this.Set('Stopped', 'start', 'Running')
    }
    [void] Continue() { $this.Set('Paused', 'continue', 'Running') }
    [void] Set([string]$needed, [string]$verb, [string]$normal) {
        if ($this.Status -cne $needed) { throw [InvalidOperationException]::new("$($this.ServiceName) is $($this.Status)") }
        if ($this.about['code']) { throw [InvalidOperationException]::new('no', [ComponentModel.Win32Exception]::new([int]$this.about['code'])) }
        if ($this.about["$verb fails"]) { throw [InvalidOperationException]::new("$($this.ServiceName) can't $verb") }
        $states = @($normal)
        if ($this.about[$verb]) { $states = @($this.about[$verb]) }
        $this.Status, $this.about['then'] = $states
    }
}
$log = [Collections.Generic.List[string]]::new()
$table = [Collections.Specialized.OrderedDictionary]::new()
foreach ($one in $known) {
    $made = [StandIn]@{ ServiceName = $one['name']; Status = $one['status']; about = $one; log = $log }
    $one['then'] = @(foreach ($state in $one['then']) { $state })
    $table[$one['name']] = $made
}
foreach ($one in $known) { $table[$one['name']].DependentServices = @(foreach ($name in $one['dependents']) { $table[$name] }) }
function Open-Service([string]$name) { return $table[$name] }
$serviceSeconds = $seconds
$pendingSeconds = $pending
$onWindows = $true
$script:job = @{
    folder = $folder; work = [IO.Path]::GetDirectoryName([IO.Path]::GetDirectoryName($folder)); spec = @{ service = 'W3SVC' }
    facts = [ordered]@{}; written = [Diagnostics.Stopwatch]::new()
}
function Invoke-Verb([string]$verb) { if ($verb -eq 'all') { [void](Invoke-Stopped @{ runs = $true } { }) } else { Invoke-Service $verb } }
$errors = @(foreach ($verb in $verbs) { try { Invoke-Verb $verb; '' } catch { $_.Exception.Message } })
$states = [ordered]@{}
foreach ($name in $table.Keys) { $states[$name] = $table[$name].Status }
$Ansible.Result = @{ text = (ConvertTo-JsonText ([ordered]@{ errors = $errors; log = $log; states = $states })) }
"""


def library(*names: str) -> str:
    """The text of library files, as they stand in a script."""
    return "\n".join((SCRIPTS / "lib" / f"{name}.ps1").read_text("utf-8") for name in names)


class Services:
    """Stand-ins for services, told by name, status, dependents; `then` is what the status becomes each time that it is looked at."""

    def __init__(self, engine: Engine, lane: Lane) -> None:
        self.engine, self.lane = engine, lane

    def call(self, known: list[dict[str, Any]], *verbs: str, run: str = "c1", **more: float) -> dict[str, Any]:
        folder = self.lane.home / "work" / "jobs" / run
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "state.json").write_text(f'{{"run_id": "{run}", "started": "2026-11-24T04:15:00Z"}}', "utf-8")
        parameters = {"folder": self.lane.native(folder), "known": known, "verbs": list(verbs), **more}
        answer = self.engine.execute(STAND_IN % library(*PARTS), parameters, 2)
        assert not answer["failed"], answer["error"]
        told: dict[str, Any] = json.loads(answer["result"]["text"])
        return told


@pytest.fixture
def services(host: Lane) -> Services:
    assert host.engine is not None
    return Services(host.engine, host)


def tree(**more: Any) -> list[dict[str, Any]]:
    """A web server on which two services depend, the later one first, as Windows lists them; a third stands still."""
    served = {"name": "W3SVC", "status": "Running", "dependents": ["Later", "Earlier", "Idle"], **more}
    return [served, *({"name": name, "status": "Running"} for name in ("Later", "Earlier")), {"name": "Idle", "status": "Stopped"}]


@in_an_engine
def test_dependent_services_are_stopped_and_started_with_it(services: Services) -> None:
    told = services.call(tree(), "stop", "start")
    assert told["errors"] == ["", ""]
    assert told["log"] == ["stop Later", "stop Earlier", "stop W3SVC", "start W3SVC", "start Earlier", "start Later"]
    assert told["states"] == {"W3SVC": "Running", "Later": "Running", "Earlier": "Running", "Idle": "Stopped"}
    assert not list((services.lane.home / "work" / "jobs").rglob("dependents.json"))


@in_an_engine
def test_a_later_job_starts_what_a_killed_one_stopped(services: Services) -> None:
    """By then Windows lists them as stopped: only the note of the job that is gone tells that they ran."""
    assert services.call(tree(), "stop")["states"]["Later"] == "Stopped"
    still = [{**row, "status": "Stopped"} for row in tree()]
    told = services.call(still, "stop", "start", run="u1")
    assert told["log"] == ["start W3SVC", "start Earlier", "start Later"]
    assert told["states"]["Idle"] == "Stopped"
    again = services.call(still, "start", run="u2")
    assert again["log"] == ["start W3SVC"]


@pytest.mark.parametrize("host", [LANES[1]], indirect=True)  # here a thread can let go of the file
def test_a_note_that_is_held_for_a_moment_is_awaited(services: Services) -> None:
    """A virus scanner looks at it: all services run in the end, and the restore isn't said to have left the web server stopped."""
    services.call(tree(), "stop")
    (note,) = (services.lane.home / "work" / "jobs").rglob("dependents.json")
    holding = ExitStack()
    holding.enter_context(services.lane.holding(note))
    Timer(0.5, holding.close).start()
    told = services.call([{**row, "status": "Stopped"} for row in tree()], "start")
    assert (told["errors"], told["log"]) == ([""], ["start W3SVC", "start Earlier", "start Later"])


@in_an_engine
def test_a_dependent_service_that_does_not_start_is_named(services: Services) -> None:
    """All others are started, and the next job tries it again."""
    known = tree()
    known[2]["start fails"] = True
    told = services.call(known, "stop", "start")
    error = json.loads(told["errors"][1])
    assert (error["type"], error["found"]) == ("ServiceFailed", "Earlier: Earlier can't start")
    assert (told["states"]["W3SVC"], told["states"]["Later"]) == ("Running", "Running")
    assert services.call([{**row, "status": "Stopped"} for row in tree()], "start", run="u1")["log"][1:] == ["start Earlier", "start Later"]


@in_an_engine
@pytest.mark.parametrize("code", [1058, 1060, 1072])
def test_a_dependent_service_that_was_disabled_or_removed_since_holds_nothing_up(services: Services, code: int) -> None:
    """The note of it is forgotten: it wouldn't start ever again."""
    services.call(tree(), "stop")
    still = [{**row, "status": "Stopped"} for row in tree()]
    still[2]["code"] = code
    told = services.call(still, "start", run="u1")
    assert (told["errors"], told["states"]["Later"]) == ([""], "Running")
    assert "not started any more: Earlier: " in (services.lane.home / "work" / "jobs" / "u1" / "log.txt").read_text("utf-8")
    assert not list((services.lane.home / "work" / "jobs").rglob("dependents.json"))


@in_an_engine
def test_a_stop_that_takes_too_long_is_waited_out_and_then_started(services: Services) -> None:
    slow = tree(stop=["StopPending"] * 6 + ["Stopped"], dependents=[])
    told = services.call(slow, "all", seconds=0.2, pending=5)
    assert "W3SVC is still in state StopPending after 0.2 seconds" in told["errors"][0]
    assert (told["log"], told["states"]["W3SVC"]) == (["stop W3SVC", "start W3SVC"], "Running")


@in_an_engine
def test_a_stop_that_never_ends_is_told(services: Services) -> None:
    told = services.call(tree(status="StopPending", dependents=[]), "start", pending=0.2)
    error = json.loads(told["errors"][0])
    assert (error["message"], error["found"]) == ("W3SVC didn't start", "W3SVC is still in state StopPending after 0.2 seconds")
    assert told["log"] == []


@in_an_engine
@pytest.mark.parametrize("then", [["StartPending", "Running"], ["ContinuePending", "Running"]])
def test_a_service_on_its_way_up_is_awaited(services: Services, then: list[str]) -> None:
    told = services.call(tree(status=then[0], then=then, dependents=[]), "start")
    assert (told["errors"], told["log"], told["states"]["W3SVC"]) == ([""], [], "Running")


@in_an_engine
def test_a_service_that_stops_again_at_once(services: Services) -> None:
    told = services.call(tree(status="Stopped", start=["StartPending", "Stopped"], dependents=[]), "start")
    assert json.loads(told["errors"][0])["found"] == "W3SVC stopped again"


@in_an_engine
def test_a_paused_service_goes_on(services: Services) -> None:
    told = services.call(tree(status="Paused", dependents=[]), "start")
    assert (told["errors"], told["states"]["W3SVC"]) == ([""], "Running")


@in_an_engine
def test_somebody_else_starts_it_at_the_same_moment(services: Services) -> None:
    known = tree(status="Stopped", dependents=[], **{"start fails": True, "then": ["Stopped", "StartPending", "Running"]})
    told = services.call(known, "start")
    assert (told["errors"], told["states"]["W3SVC"]) == ([""], "Running")


STATUS = """
[CmdletBinding(SupportsShouldProcess)] param([string]$name, [string]$verb)
Add-Type -AssemblyName System.ServiceProcess
$service = [ServiceProcess.ServiceController]::new($name)
if ($verb -eq 'start' -and $service.Status -ne 'Running') { $service.Start(); $service.WaitForStatus('Running', [TimeSpan]::FromSeconds(30)) }
if ($verb -eq 'stop' -and $service.Status -ne 'Stopped') { $service.Stop(); $service.WaitForStatus('Stopped', [TimeSpan]::FromSeconds(30)) }
$Ansible.Result = "$($service.Status)"
"""
SC = """
[CmdletBinding(SupportsShouldProcess)] param([string]$arguments)
$info = [Diagnostics.ProcessStartInfo]::new([IO.Path]::Combine([Environment]::SystemDirectory, 'sc.exe'), $arguments)
$info.UseShellExecute = $false
$info.RedirectStandardOutput = $true
$process = [Diagnostics.Process]::Start($info)
[void]$process.StandardOutput.ReadToEnd()
$process.WaitForExit()
$Ansible.Result = $process.ExitCode
"""


@pytest.fixture
def spooler(windows: Lane) -> Iterator[str]:
    """A service that runs: the print spooler of Windows, or, under Wine, one of that program under a name of the test's own."""
    name = "Spooler"
    assert windows.engine is not None
    if not ON_WINDOWS:
        name = f"dw-{uuid.uuid4().hex[:8]}"
        create = rf"create {name} binPath= C:\windows\system32\spoolsv.exe start= demand"
        assert windows.engine.execute(SC, {"arguments": create}, 2)["result"] == 0
    before = windows.engine.execute(STATUS, {"name": name, "verb": ""}, 2)["result"]
    windows.engine.execute(STATUS, {"name": name, "verb": "start"}, 2)
    yield name
    windows.engine.execute(STATUS, {"name": name, "verb": "start" if before == "Running" else "stop"}, 2)
    if not ON_WINDOWS:
        windows.engine.execute(SC, {"arguments": f"delete {name}"}, 2)


def test_a_service_of_windows(windows: Lane, spooler: str) -> None:
    """It stands still while a commit waits, and runs at its end."""
    restore = Restore(windows)

    def status() -> str:
        assert windows.engine is not None
        return str(windows.engine.execute(STATUS, {"name": spooler, "verb": ""}, 2)["result"])

    assert status() == "Running"
    asked = restore.commit_spec(service=spooler, host_command=None, deadline=60)
    assert windows.run(asked, "c1").state == "waiting"
    assert status() == "Stopped"
    windows.agent.signal("c1", "undo")
    until(lambda: windows.agent.poll("c1").state == "done")
    assert (status(), restore.content()) == ("Running", MIGRATED)


def test_a_dependent_service_that_is_gone(windows: Lane, spooler: str) -> None:
    restore = Restore(windows)
    assert windows.run(restore.commit_spec(service=spooler, host_command=None, deadline=60), "c1").state == "waiting"
    note = restore.work / "jobs" / "c1" / "dependents.json"
    note.write_text(json.dumps({"service": spooler, "dependents": ["dw-none"]}), "utf-8")
    windows.agent.signal("c1", "release")
    status = windows.follow("c1", past=("running", "waiting"))
    assert status.state == "done", status.error
    assert not note.exists()


@pytest.mark.apart
def test_a_killed_commit_leaves_it_down_until_the_undo(windows: Lane, spooler: str) -> None:
    restore = Restore(windows)
    asked = {"service": spooler, "host_command": None}
    assert windows.run(restore.commit_spec(**asked, deadline=60), "c1").state == "waiting"
    windows.kill("c1")
    assert windows.engine is not None
    assert windows.engine.execute(STATUS, {"name": spooler, "verb": ""}, 2)["result"] == "Stopped"
    assert windows.run(restore.undo_spec(**asked)).state == "done"
    assert windows.engine.execute(STATUS, {"name": spooler, "verb": ""}, 2)["result"] == "Running"


def test_no_such_service(windows: Lane) -> None:
    restore = Restore(windows)
    status = windows.run(restore.commit_spec(service="dw-none", host_command=None), "c1")
    error = status.error or {}
    assert (error["type"], error["message"]) == ("ServiceFailed", "dw-none didn't stop")
    assert (restore.content(), restore.state()) == (MIGRATED, "committing")  # open: it isn't known to run
