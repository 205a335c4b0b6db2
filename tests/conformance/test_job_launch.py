"""What becomes of a job that can't be launched, that meets what nobody foresaw, or that is asked for together with a scan."""

from __future__ import annotations

import os
import subprocess
import time
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.errors import ScriptFailed
from ansible_collections.dataminer.web.plugins.module_utils.jobs import Basis, JobStatus
from ansible_collections.dataminer.web.plugins.plugin_utils.windows_host import WindowsHost
from conftest import KILL, Lane, scripted_lane
from harness import Engine, until
from test_job_verify import make, spec

pytestmark = [pytest.mark.powershell, pytest.mark.apart]

ID = "[CmdletBinding(SupportsShouldProcess)] param() $Ansible.Result = [Diagnostics.Process]::GetCurrentProcess().Id"


@pytest.fixture(params=[pytest.param("windows", marks=pytest.mark.windows), "powershell"])
def scripted(request: pytest.FixtureRequest) -> Lane:
    """The lanes on which scripts do the work."""
    lane: Lane = request.getfixturevalue("windows" if request.param == "windows" else "powershell_lane")
    return lane


@pytest.fixture
def powershell_lane(powershell: Engine, tmp_path: Any) -> Lane:
    return scripted_lane("powershell", tmp_path, str, powershell, powershell.command, apart=True)


def verify(lane: Lane, **more: Any) -> dict[str, Any]:
    spec = {"kind": "verify", "path": lane.home / "none.zip", "manifest": None, "copy_to": None, "compare_root": None, "limits": None, **more}
    told: dict[str, Any] = lane.told(spec)
    return told


def launched_by(lane: Lane, *launcher: str) -> JobStatus:
    assert lane.engine
    host = WindowsHost(lane.engine.execute, lane.native(lane.home / "work"), launcher=launcher)
    return host.start(verify(lane), "v1")


def test_a_program_that_is_not_there(scripted: Lane) -> None:
    status = launched_by(scripted, scripted.native(scripted.home / "none.exe"))
    assert status.state == "failed"
    assert (status.error or {})["message"] == "The verify job v1 didn't begin"
    assert (status.error or {})["found"].startswith("it can't be launched: ")
    assert "forbids" in (status.error or {})["remedy"]


def test_a_program_that_ends_before_the_first_line(scripted: Lane) -> None:
    """As one does that a policy keeps from running scripts."""
    status = launched_by(scripted, *(("cmd.exe", "/c", "exit", "1") if scripted.windows else ("/bin/false",)))
    assert (status.state, (status.error or {})["found"]) == ("failed", "its process ended before the first line")


def test_a_job_outlives_the_engine_that_started_it(scripted: Lane) -> None:
    """As it outlives the shell of a connection that breaks; another one finds it."""
    assert scripted.engine
    path = make(scripted.home / "a.zip", {"Dashboards/a.json": b"a"})
    starter = Engine(scripted.engine.command, scripted.engine.environment)
    starter.told = scripted.engine.told
    with scripted.holding(path):
        host = WindowsHost(starter.execute, scripted.native(scripted.home / "work"), launcher=scripted.program)
        host.start(scripted.told({**spec(scripted, path), "retry_seconds": 60}), "v1")
        assert starter.process
        if scripted.windows:  # the engine itself, which Wine's wrapper started
            assert not scripted.engine.execute(KILL, {"id": starter.execute(ID, {}, 2)["result"]}, 2)["failed"]
        else:
            starter.process.kill()
        starter.close()
        assert scripted.agent.poll("v1").state == "running"
    status = scripted.follow("v1")
    assert status.state == "done", status.error


@pytest.mark.parametrize("late", [True, False])
def test_a_job_that_nobody_waits_for_any_more_does_nothing(powershell_lane: Lane, late: bool) -> None:
    """Its process comes to its first line when it counts as dead, or although its end was told."""
    lane = powershell_lane
    lane.run(verify(lane), "v1")
    folder = lane.home / "work" / "jobs" / "v1"
    until(lambda: lane.scan()["job"] is None)
    (folder / "process.json").unlink()
    if late:
        (folder / "result.json").unlink()
        os.utime(folder / "state.json", (time.time() - 200,) * 2)
        assert lane.agent.poll("v1").state == "dead"
    told = "" if late else (folder / "result.json").read_text("utf-8")
    log = (folder / "log.txt").read_text("utf-8")

    subprocess.run([*lane.program, "-NoProfile", "-File", folder / "job.ps1", "-folder", folder], check=True, timeout=120)

    assert (folder / "log.txt").read_text("utf-8") == log
    if late:
        assert (lane.agent.poll("v1").error or {})["found"].startswith("its process came to its first line after 20")
    else:
        assert (folder / "result.json").read_text("utf-8") == told


def test_what_nobody_foresaw(scripted: Lane) -> None:
    """A spec of another version, say: told with the place of the log, which has the line of the script."""
    status = scripted.run({"kind": "backup", "work": ""}, "b1")
    assert status.state == "failed"
    assert status.error
    assert (status.error["type"], status.error["message"]) == ("JobFailed", "The backup job failed")
    assert ": " in status.error["found"]
    log = scripted.home / "work" / "jobs" / "b1" / "log.txt"
    assert scripted.native(log) in status.error["remedy"]
    assert "at New-Backup, " in log.read_text("utf-8")


def test_the_scan_that_comes_with_the_end(scripted: Lane) -> None:
    """The call that sees the end brings it, packed where it is long; nobody asks again."""
    assert scripted.engine
    for number in range(100):
        page = scripted.home / "agent" / "Dashboards" / f"Page {number}.dmadb.json"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text("x", "utf-8")
    request = scripted.request()
    host = WindowsHost(scripted.engine.execute, scripted.native(scripted.home / "work"), ahead=request, launcher=scripted.program)
    status = host.start(verify(scripted), "v1")
    while status.active:
        status = host.poll("v1", 20)
    calls, whole = scripted.engine.calls, scripted.scan()
    found = host.scan(request)
    assert scripted.engine.calls == calls + 1  # that of `whole`
    assert len(found["dashboards"]) == 100
    assert {key: found[key] for key in ("dashboards", "jobs", "root")} == {key: whole[key] for key in ("dashboards", "jobs", "root")}


def test_a_scan_that_fails_is_not_kept(scripted: Lane) -> None:
    assert scripted.engine
    request = scripted.request(max_text="many")
    host = WindowsHost(scripted.engine.execute, scripted.native(scripted.home / "work"), ahead=request, launcher=scripted.program)
    status = host.start(verify(scripted), "v1")
    while status.active:
        status = host.poll("v1", 20)
    calls = scripted.engine.calls
    with pytest.raises(ScriptFailed, match="max_text"):
        host.scan(request)
    assert scripted.engine.calls == calls + 1


def test_nothing_begins_where_the_scan_for_its_basis_fails(scripted: Lane) -> None:
    basis = Basis(request=scripted.request(max_text="many"), parts={"versions": "0" * 64})
    assert scripted.agent.start(verify(scripted), "v1", basis).state == "stale"
    assert scripted.agent.poll("v1").state == "absent"
