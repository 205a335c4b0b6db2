"""The installer on a POSIX host: awaited, judged by its exit code, never aborted, never started twice."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils import local_install
from ansible_collections.dataminer.web.plugins.module_utils.errors import Busy, InstallFailed, InvalidInput
from ansible_collections.dataminer.web.plugins.module_utils.local_files import sha256_file
from ansible_collections.dataminer.web.plugins.module_utils.local_install import progress_tail
from local_kit import Agent, wait_for

INSTALLER = """
import os, sys, time
from pathlib import Path
home, code = Path(sys.argv[1]), int(sys.argv[2])
(home / "installer.pid").write_text(str(os.getpid()))
with (home / "installs").open("a") as log:
    log.write("installed\\n")
folder = home / "packages" / "DataMiner 10.5.4 Web Upgrade.dmupgrade-1"
folder.mkdir(parents=True, exist_ok=True)
(folder / "progress.log").write_text("first line\\nUpgrade of the web apps ends with %d\\n" % code)
print("the installer says hello", flush=True)
while (home / "hold").exists():
    time.sleep(0.01)
sys.exit(code)
"""


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return Agent(tmp_path)


def spec(agent: Agent, *, code: int = 0, **more: Any) -> dict[str, Any]:
    package = agent.home / "web.dmupgrade"
    package.write_bytes(b"package")
    script = agent.home / "installer.py"
    script.write_text(INSTALLER)
    argv = [sys.executable, str(script), str(agent.home), str(code)]
    base = {"kind": "install", "argv": argv, "package": str(package), "sha256": None, "success_codes": [0, 10]}
    return {**base, "packages_dir": str(agent.home / "packages"), **more}


def installs(agent: Agent) -> int:
    path = agent.home / "installs"
    return len(path.read_text().split()) if path.exists() else 0


@pytest.mark.parametrize("code", [0, 10])
def test_an_install_that_succeeds(agent: Agent, code: int) -> None:
    result = agent.run(spec(agent, code=code))
    assert result["rc"] == code
    assert result["log_tail"].endswith(f"Upgrade of the web apps ends with {code}\n")
    assert result["started"] <= result["finished"]


@pytest.mark.parametrize("code", [1, 255])
def test_an_install_that_fails_shows_the_end_of_its_log(agent: Agent, code: int) -> None:
    with pytest.raises(InstallFailed, match=f"code {code}") as raised:
        agent.run(spec(agent, code=code))
    assert f"ends with {code}" in str(raised.value)
    assert "0, 10" in raised.value.needed


def test_without_a_progress_log_the_output_is_shown(agent: Agent) -> None:
    result = agent.run(spec(agent, packages_dir=str(agent.home / "elsewhere")))
    assert result["log_tail"] == "the installer says hello\n"


def test_the_package_has_to_be_there_and_the_right_one(agent: Agent) -> None:
    with pytest.raises(InvalidInput, match="isn't on this agent"):
        agent.run(spec(agent, package=str(agent.home / "missing.dmupgrade")))
    with pytest.raises(InvalidInput, match="isn't the package"):
        agent.run(spec(agent, sha256="0" * 64))
    assert installs(agent) == 0
    right = spec(agent)
    agent.run({**right, "sha256": sha256_file(Path(right["package"])).upper()})
    assert installs(agent) == 1


def test_an_installer_that_is_missing(agent: Agent) -> None:
    with pytest.raises(InvalidInput, match="can't be started"):
        agent.run(spec(agent, argv=[str(agent.home / "missing.exe")]))


def test_the_installer_keeps_the_lock_when_its_job_is_killed(agent: Agent) -> None:
    """Then it still counts as running, nobody starts a second one, and after it the next may start."""
    (agent.home / "hold").touch()
    agent.start(spec(agent), "i1")
    installer = int(wait_for(lambda: (path := agent.home / "installer.pid").exists() and path.read_text()))
    job = int(Path(f"/proc/{installer}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(job, signal.SIGKILL)
    wait_for(lambda: Path(f"/proc/{installer}/stat").read_text().rsplit(")", 1)[1].split()[1] != str(job))
    assert agent.host.poll("i1").state == "running"
    attached = agent.start(spec(agent), "i2")
    assert (attached.run_id, attached.attached) == ("i1", True)
    with pytest.raises(Busy):
        agent.start({"kind": "verify", "path": "x"}, "v1")
    (agent.home / "hold").unlink()
    assert agent.host.poll("i1", 60).state == "dead"
    assert installs(agent) == 1
    assert agent.follow(spec(agent), "i3").state == "done"
    assert installs(agent) == 2


def test_a_job_told_to_end_leaves_the_installer_alone(agent: Agent) -> None:
    (agent.home / "hold").touch()
    agent.start(spec(agent), "i1")
    installer = int(wait_for(lambda: (path := agent.home / "installer.pid").exists() and path.read_text()))
    job = int(Path(f"/proc/{installer}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(job, signal.SIGTERM)
    assert agent.host.poll("i1", 60).state == "failed"
    assert agent.store.locked()
    (agent.home / "hold").unlink()
    wait_for(lambda: not agent.store.locked())


def test_the_installer_holds_no_handle_of_the_starter(agent: Agent, tmp_path: Path) -> None:
    (agent.home / "hold").touch()
    with (tmp_path / "mine").open("w"):
        agent.start(spec(agent), "i1")
        installer = int(wait_for(lambda: (path := agent.home / "installer.pid").exists() and path.read_text()))
        held = {str(handle.readlink()) for handle in Path(f"/proc/{installer}/fd").iterdir()}
    assert str(tmp_path / "mine") not in held
    assert str(agent.work / "lock") in held
    assert os.getsid(installer) == installer  # whatever ends the session of the job spares it
    (agent.home / "hold").unlink()
    agent.host.poll("i1", 60)


def test_progress_shows_the_last_line_of_the_log(agent: Agent) -> None:
    (agent.home / "hold").touch()
    agent.start(spec(agent), "i1")
    wait_for(lambda: "ends with 0" in agent.host.poll("i1").progress.get("text", ""))
    (agent.home / "hold").unlink()
    assert agent.host.poll("i1", 60).state == "done"


def test_only_a_log_of_this_install_counts(tmp_path: Path) -> None:
    for name, age in (("old", 100), ("older", 200)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "progress.log").write_text(name)
        os.utime(tmp_path / name / "progress.log", (time.time() - age, time.time() - age))
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    since = local_install.utc_text(time.time() - 150)
    assert progress_tail(tmp_path, since) == "old"
    assert progress_tail(tmp_path, local_install.utc_text(time.time() - 50)) is None
    assert progress_tail(tmp_path / "missing", since) is None


def test_a_log_that_vanishes_while_it_is_looked_for_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "progress.log").symlink_to("nowhere")
    assert progress_tail(tmp_path, "") is None
