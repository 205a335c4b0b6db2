"""The job `install`: the vendor's installer awaited, judged by its exit code, never started twice."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.jobs import work_of
from conftest import Lane, in_an_engine, replace_in_job
from harness import until
from test_services import library

PYTHON = """
import sys, time
from pathlib import Path
home, code = Path(sys.argv[1]), int(sys.argv[2])
with (home / "installs").open("a") as log:
    log.write("installed\\n")
folder = home / "packages" / "DataMiner 10.5.4 Web Upgrade.dmupgrade-1"
folder.mkdir(parents=True, exist_ok=True)
config = home / "agent" / "Webpages" / "API" / "Web.config"
if (home / "edits").exists():
    config.write_text("edited")
if (home / "breaks").exists():
    config.unlink()
    config.mkdir()
(folder / "progress.log").write_text("first line\\nUpgrade of the web apps ends with %d\\n" % code)
print("the installer says hello", flush=True)
while (home / "hold").exists():
    time.sleep(0.01)
sys.exit(code)
"""
POWERSHELL = """param([string]$home_, [int]$code)
[IO.File]::AppendAllText([IO.Path]::Combine($home_, 'installs'), "installed`n")
$folder = [IO.Path]::Combine($home_, 'packages', 'DataMiner 10.5.4 Web Upgrade.dmupgrade-1')
[void][IO.Directory]::CreateDirectory($folder)
[IO.File]::WriteAllText([IO.Path]::Combine($folder, 'progress.log'), "first line`nUpgrade of the web apps ends with $code`n")
[Console]::Out.WriteLine('the installer says hello')
$config = [IO.Path]::Combine($home_, 'agent', 'Webpages', 'API', 'Web.config')
if ([IO.File]::Exists([IO.Path]::Combine($home_, 'edits'))) { [IO.File]::WriteAllText($config, 'edited') }
if ([IO.File]::Exists([IO.Path]::Combine($home_, 'breaks'))) { [IO.File]::Delete($config); [void][IO.Directory]::CreateDirectory($config) }
while ([IO.File]::Exists([IO.Path]::Combine($home_, 'hold'))) { [Threading.Thread]::Sleep(10) }
exit $code
"""


def spec(lane: Lane, *, code: int = 0, **more: Any) -> dict[str, Any]:
    """An install by a program that the lane's machine can run."""
    package = lane.home / "web ünd more.dmupgrade"
    package.write_bytes(b"package")
    script = lane.home / ("installer.ps1" if lane.windows else "installer.py")
    script.write_text(POWERSHELL if lane.windows else PYTHON, "utf-8")
    program = [*lane.program, "-NoProfile", "-File"] if lane.windows else [sys.executable]
    argv = [*program, script, lane.home, str(code)]
    base = {"kind": "install", "argv": argv, "package": package, "sha256": None, "success_codes": [0, 10]}
    return {**base, "packages_dir": lane.home / "packages", **more}


def installs(lane: Lane) -> int:
    path = lane.home / "installs"
    return len(path.read_text("utf-8").split()) if path.exists() else 0


def noted(lane: Lane, run_id: str) -> bool:
    """The job has written down which process the installer is; on the posix lane the lock tells."""
    return lane.engine is None or (lane.home / "work" / "jobs" / run_id / "installer.json").exists()


@pytest.mark.apart  # the installer inherits what its job has
@pytest.mark.parametrize("code", [0, 10])
def test_an_install_that_succeeds(host: Lane, code: int) -> None:
    status = host.run(spec(host, code=code, about={"web_before": "10.5.3"}))
    assert status.state == "done", status.error
    result = status.result or {}
    assert result["rc"] == code
    assert result["log_tail"].endswith(f"Upgrade of the web apps ends with {code}\n")
    assert result["started"] <= result["finished"]
    assert result["about"] == {"web_before": "10.5.3"}
    assert installs(host) == 1


def test_web_config_is_kept_before_the_install(host: Lane) -> None:
    """Byte for byte: people edit it, and a package must not replace it."""
    data = b"\xef\xbb\xbf<configuration>\r\n\xff</configuration>"
    config = host.home / "agent" / "Webpages" / "API" / "Web.config"
    config.parent.mkdir(parents=True)
    config.write_bytes(data)
    host.run(spec(host, root=host.home / "agent"), "i1")
    copy = host.home / "work" / "jobs" / "i1" / "web.config.before"
    assert copy.read_bytes() == data
    told = host.agent.poll("i1").result or {}
    assert (told["kept"], told["edited"]) == (host.native(copy), False)


@pytest.mark.parametrize(("installer", "edited"), [("edits", True), ("breaks", None)])
def test_a_web_config_that_the_installer_edits_is_told(host: Lane, installer: str, edited: bool | None) -> None:
    """One that can't be read afterwards is no failure of the install."""
    config = host.home / "agent" / "Webpages" / "API" / "Web.config"
    config.parent.mkdir(parents=True)
    config.write_text("<configuration/>", "utf-8")
    (host.home / installer).touch()
    status = host.run(spec(host, root=host.home / "agent"))
    assert status.state == "done", status.error
    assert (status.result or {})["edited"] is edited


def test_an_agent_without_a_web_config_keeps_none(host: Lane) -> None:
    (host.home / "agent").mkdir()
    status = host.run(spec(host, root=host.home / "agent"))
    assert ((status.result or {})["kept"], (status.result or {})["edited"]) == (None, None)
    assert (status.result or {})["rc"] == 0


def test_an_install_that_fails_shows_the_end_of_its_log(host: Lane) -> None:
    status = host.run(spec(host, code=3))
    assert (status.state, status.error) == (
        "failed",
        {
            "type": "InstallFailed",
            "message": "The installer ended with code 3",
            "found": "the last line of its log: Upgrade of the web apps ends with 3",
            "needed": "one of the codes 0, 10",
            "remedy": "mend what the log names, then run the playbook again: agents that are done stay as they are",
            "details": "first line\nUpgrade of the web apps ends with 3",
        },
    )


@pytest.mark.apart
def test_output_is_shown_where_there_is_no_log(host_here: Lane) -> None:
    status = host_here.run(spec(host_here, packages_dir=host_here.home / "elsewhere"))
    assert (status.result or {})["log_tail"] == "the installer says hello\n"


def test_the_package_has_to_be_there_and_the_right_one(host: Lane) -> None:
    missing = host.run(spec(host, package=host.home / "missing.dmupgrade"))
    other = host.run(spec(host, sha256="0" * 64))
    assert installs(host) == 0
    right = hashlib.sha256(b"package").hexdigest()
    assert host.run(spec(host, sha256=right.upper())).state == "done"
    assert missing.error == {
        "type": "InvalidInput",
        "message": "The package isn't on this agent",
        "found": f"no file {host.native(host.home / 'missing.dmupgrade')}",
        "needed": "a .dmupgrade file",
        "remedy": "set dataminer_package to its path",
        "details": "",
    }
    assert (other.error or {})["message"] == "web ünd more.dmupgrade isn't the package that was meant"
    assert (other.error or {})["found"] == f"SHA-256 {right}"


def test_an_installer_that_is_missing(host: Lane) -> None:
    status = host.run(spec(host, argv=[host.home / "missing.exe"]))
    error = status.error or {}
    assert (error["type"], error["message"], error["remedy"]) == ("InvalidInput", "The installer can't be started", "set dataminer_installer")
    assert error["found"].startswith(host.native(host.home / "missing.exe"))


def test_progress_shows_the_last_line_of_the_log(host: Lane) -> None:
    (host.home / "hold").touch()
    try:
        host.agent.start(host.told(spec(host)), "i1")
        until(lambda: "ends with 0" in str(host.agent.poll("i1").progress.get("text")))
    finally:
        (host.home / "hold").unlink()
    assert host.follow("i1").state == "done"


@pytest.mark.apart
def test_the_installer_counts_as_running_when_its_job_is_killed(host: Lane) -> None:
    """For a scan too: nobody starts a second one, the same work attaches, and afterwards the next may start."""
    (host.home / "hold").touch()
    try:
        host.agent.start(host.told(spec(host)), "i1")
        until(lambda: installs(host) and noted(host, "i1"))
        host.kill("i1")
        assert host.agent.poll("i1").state == "running"
        scanned = host.scan()
        assert (scanned["job"]["run_id"], scanned["job"]["work"]) == ("i1", work_of(host.told(spec(host))))
        assert [row["state"] for row in scanned["jobs"]] == ["running"]
        host.hold_briefly(host.home / "work" / "jobs" / "i1" / "installer.json")
        attached = host.agent.start(host.told(spec(host)), "i2")
        assert (attached.run_id, attached.attached) == ("i1", True)
    finally:
        (host.home / "hold").unlink()
    until(lambda: host.agent.poll("i1").state == "dead")
    assert (installs(host), host.scan()["job"]) == (1, None)
    assert host.run(spec(host), "i3").state == "done"
    assert installs(host) == 2


@in_an_engine
@pytest.mark.apart
def test_an_installer_whose_job_was_killed_before_it_was_noted(host: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by its name, so that nobody starts a second one beside it."""
    replace_in_job(monkeypatch, "Write-JsonFile $note (Get-ProcessMark $process)", "[Threading.Thread]::Sleep(-1)", "job_install")
    asked = spec(host)
    if not host.windows:  # under a name that no other process here has
        asked["argv"][0] = host.home / "holds"
        asked["argv"][0].symlink_to(sys.executable)
        asked["argv"][1:2] = [host.home / "installer.py"]
    (host.home / "hold").touch()
    try:
        host.agent.start(host.told(asked), "i1")
        until(lambda: installs(host))
        host.kill("i1")
        assert host.agent.poll("i1").state == "running"
        attached = host.agent.start(host.told(asked), "i2")
        assert (attached.run_id, attached.attached) == ("i1", True)
    finally:
        (host.home / "hold").unlink()
    if not host.windows:
        until(lambda: host.agent.poll("i1").state == "dead")
    assert installs(host) == 1


NAMES = {"C:\\Skyline\\SLTaskbarUtility.exe": "SLTaskbarUtility", "C:\\Tools\\up.date.CMD": "cmd", "C:\\Tools\\up.date": "up.date"}


@pytest.mark.parametrize("program", NAMES)
def test_the_name_of_a_process(windows: Lane, program: str) -> None:
    assert windows.engine is not None
    script = "[CmdletBinding(SupportsShouldProcess)] param($a)\n" + library("programs")
    answer = windows.engine.execute(script + "\n$Ansible.Result = @{ name = (Get-ProcessName $a) }", {"a": program}, 2)
    assert answer["result"] == {"name": NAMES[program]}


def test_a_note_of_long_ago_stands_for_no_process(windows: Lane) -> None:
    """Users have programs of that name, too."""
    windows.run(spec(windows), "i1")
    folder = windows.home / "work" / "jobs" / "i1"
    (folder / "result.json").unlink()
    (folder / "installer.json").write_text(json.dumps({"program": "pwsh", "after": "2026-01-01T00:00:00Z"}), "utf-8")
    assert windows.agent.poll("i1").state == "dead"


def test_what_the_job_leaves(host: Lane) -> None:
    host.run(spec(host), "i1")
    folder = host.home / "work" / "jobs" / "i1"
    assert json.loads((folder / "state.json").read_text("utf-8"))["kind"] == "install"
    assert {"spec.json", "state.json", "result.json", "log.txt"} <= {path.name for path in Path(folder).iterdir()}
