"""The use case `backup` after a failed install: the backup from before serves, once every byte of it was read again."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils import case_backup, local_backup
from ansible_collections.dataminer.web.plugins.module_utils.case_backup import backup
from ansible_collections.dataminer.web.plugins.module_utils.case_common import now
from ansible_collections.dataminer.web.plugins.module_utils.errors import BackupInvalid
from ansible_collections.dataminer.web.plugins.module_utils.local_host import LocalHost

FAILED = f"DataMiner 10.5.9.0-16238 Web Upgrade.dmupgrade-{'a' * 32}"


class Agent:
    """An agent on web 10.5.6 with one dashboard, and the use case called on it."""

    def __init__(self, home: Path) -> None:
        self.home, self.host = home, LocalHost(str(home / "work"))
        (home / "dm" / "Dashboards").mkdir(parents=True)
        (home / "dm" / "Dashboards" / "a.dmadb.json").write_text("before", "utf-8")

    def backup(self, *, check: bool = False, wait: float = 30, **more: Any) -> dict[str, Any]:
        places = {"root": str(self.home / "dm"), "work_dir": str(self.home / "work"), "backup_dir": str(self.home / "backups")}
        args = {**places, "agent": "DMA1", "web_version": "10.5.6", "before": "10.5.9", **more}
        return backup(self.host, args, check=check, wait=wait)

    def fail_an_install(self, *, minutes: float = 1) -> None:
        """So much later than all that was done so far: file times count whole seconds here."""
        folder = self.home / "dm" / "Upgrades" / "Packages" / FAILED
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "progress.log").write_text("Upgrade failed: disk full", "utf-8")
        for path in (self.home / "backups").iterdir():
            os.utime(path, (time.time() - 60 * minutes,) * 2)

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


def header(agent: Agent, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((agent.home / "backups" / name).with_suffix(".manifest").read_text("utf-8").splitlines()[1])
    return found


@pytest.fixture
def late(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> Agent:
    """Another try after a morning on which people went on working."""
    monkeypatch.setattr(case_backup, "now", lambda: now() + timedelta(minutes=150))  # backups of one second would have one name
    agent.fail_an_install(minutes=150)
    (agent.home / "dm" / "Dashboards" / "b.dmadb.json").write_text("since", "utf-8")
    return agent


def test_an_old_one_is_not_all_that_is_kept(late: Agent) -> None:
    """It is read again and stays; what was done since goes into another one, which says what it is worth."""
    old, *_manifest = reversed(late.names())
    told = late.backup()
    assert (told["changed"], told["finished"]) == (True, True)
    made = told["backup"]["name"]
    assert made != old
    assert {made, old} < set(late.names())
    assert "half migrated" in header(late, made)["suspect"]
    assert "suspect" not in header(late, old)
    assert f"{old}, from before that install, was read again, is whole and stays" in told["notes"]
    assert [path.name.split("-")[0] for path in sorted((late.home / "work" / "jobs").iterdir(), key=os.path.getmtime)] == [
        "backup",
        "verify",
        "backup",
    ]


def test_both_jobs_are_followed_one_after_the_other(late: Agent) -> None:
    told = late.backup(wait=0)
    assert (told["job"]["kind"], told["finished"], told["changed"]) == ("verify", False, False)
    while not told["finished"]:
        told = late.backup(run_id=told["job"]["run_id"], wait=0.1)
    assert (told["job"]["kind"], told["changed"]) == ("backup", True)


def test_a_run_that_comes_back_attaches_to_the_second_job(late: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its controller was killed: no other job is let in, and the old one was read before this began."""
    write, go_on, end = local_backup._write, late.home / "go on", time.monotonic() + 30

    def slow(*args: Any) -> Any:
        while not go_on.exists() and time.monotonic() < end:
            time.sleep(0.02)
        return write(*args)

    monkeypatch.setattr(local_backup, "_write", slow)
    first = late.backup(wait=2)
    assert first["job"]["kind"] == "backup"
    again = late.backup(wait=0)
    go_on.touch()
    assert again["job"]["run_id"] == first["job"]["run_id"]
    assert late.backup(run_id=first["job"]["run_id"])["changed"]
    assert len(late.names()) == 4


def test_an_old_one_that_is_damaged_stops_it(late: Agent) -> None:
    """It is the only one of content that nothing had migrated."""
    path = next((late.home / "backups").glob("*.zip"))
    data = path.read_bytes()
    path.write_bytes(data[:50] + bytes([data[50] ^ 1]) + data[51:])
    late.fail_an_install(minutes=150)
    with pytest.raises(BackupInvalid, match="can't serve"):
        late.backup()
    assert len(late.names()) == 2


def test_check_mode_tells_that_one_would_be_made(late: Agent) -> None:
    told = late.backup(check=True)
    assert (told["changed"], told["backup"]["would"]) == (True, True)
    assert len(late.names()) == 2


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
