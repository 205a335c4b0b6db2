"""The use case `backup` after a failed install: the backup from before serves, once every byte of it was read again."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.case_backup import backup
from ansible_collections.dataminer.web.plugins.module_utils.errors import BackupInvalid
from ansible_collections.dataminer.web.plugins.module_utils.local_host import LocalHost

FAILED = f"DataMiner 10.5.9.0-16238 Web Upgrade.dmupgrade-{'a' * 32}"


class Agent:
    """An agent on web 10.5.6 with one dashboard, and the use case called on it."""

    def __init__(self, home: Path) -> None:
        self.home, self.host = home, LocalHost(str(home / "work"))
        (home / "dm" / "Dashboards").mkdir(parents=True)
        (home / "dm" / "Dashboards" / "a.dmadb.json").write_text("before", "utf-8")

    def backup(self, *, check: bool = False, **more: Any) -> dict[str, Any]:
        places = {"root": str(self.home / "dm"), "work_dir": str(self.home / "work"), "backup_dir": str(self.home / "backups")}
        args = {**places, "agent": "DMA1", "web_version": "10.5.6", "before": "10.5.9", **more}
        return backup(self.host, args, check=check, wait=30)

    def fail_an_install(self) -> None:
        """Later than all that was done so far: file times count whole seconds here."""
        folder = self.home / "dm" / "Upgrades" / "Packages" / FAILED
        folder.mkdir(parents=True)
        (folder / "progress.log").write_text("Upgrade failed: disk full", "utf-8")
        for path in (self.home / "backups").iterdir():
            os.utime(path, (time.time() - 60,) * 2)

    def names(self) -> list[str]:
        return sorted(path.name for path in (self.home / "backups").iterdir())


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    made = Agent(tmp_path)
    assert made.backup()["changed"]
    made.fail_an_install()
    return made


def test_a_whole_one_serves(agent: Agent) -> None:
    before = agent.names()
    told = agent.backup()
    assert (told["changed"], told["finished"], told["backup"]["kept"]) == (False, True, True)
    assert told["job"]["kind"] == "verify"
    assert told["msg"].startswith("No backup made: the install of 10.5.9 (CU0) failed")
    assert told["msg"].endswith("it was read again and is whole")
    assert agent.names() == before


def test_a_damaged_one_does_not(agent: Agent) -> None:
    """Of its full size, with its manifest intact: only reading it tells."""
    path = next((agent.home / "backups").glob("*.zip"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, (time.time() - 60,) * 2)
    with pytest.raises(BackupInvalid) as caught:
        agent.backup()
    assert "can't serve" in caught.value.message
    assert "move it and its manifest out of the backup folder" in caught.value.remedy
    assert len(agent.names()) == 2


def test_without_one_a_new_one_is_made_and_says_what_it_is_worth(agent: Agent) -> None:
    for path in (agent.home / "backups").iterdir():
        path.unlink()
    told = agent.backup()
    assert told["changed"]
    assert any("half migrated" in note for note in told["notes"])


def test_while_the_install_is_at_work_nothing_is_read(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """A controller that was killed comes back: no other job is let in, and the backup was read before the install began."""
    scan = agent.host.scan
    work = {"run_id": "i1", "kind": "install", "owner": "me", "started": "2026-11-24T04:15:00Z", "work": "w"}
    monkeypatch.setattr(agent.host, "scan", lambda request: {**scan(request), "job": work})
    told = agent.backup()
    assert (told["changed"], told["finished"], told["backup"]["kept"]) == (False, True, True)
    assert "job" not in told


def test_check_mode_reads_nothing_and_starts_nothing(agent: Agent) -> None:
    jobs = sorted((agent.home / "work" / "jobs").iterdir())
    told = agent.backup(check=True)
    assert (told["changed"], told["backup"]["kept"]) == (False, True)
    assert sorted((agent.home / "work" / "jobs").iterdir()) == jobs
