"""The use case `restore`: which backup counts as restored before, and what the safety copy holds."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.case_backup import backup_spec
from ansible_collections.dataminer.web.plugins.module_utils.case_common import read_state
from ansible_collections.dataminer.web.plugins.module_utils.case_restore import restore
from ansible_collections.dataminer.web.plugins.module_utils.errors import AmbiguousBackup, NotBegun, UnknownJob
from local_kit import HEADER, Agent

OVERVIEW = "Dashboards/Overview.dmadb.json"


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    agent = Agent(tmp_path)
    agent.fill()
    agent.run(agent.backup_spec())
    agent.write(OVERVIEW, "migrated")
    return agent


def arguments(agent: Agent, **more: Any) -> dict[str, Any]:
    folders = {
        "root": str(agent.root),
        "work_dir": str(agent.work),
        "backup_dir": str(agent.backups),
        "vendor_backup_dir": str(agent.home / "vendor"),
    }
    return {"owner": "ann", "web_version": "10.5.6", "server_version": "10.5.4", "web_service": "", "safety_copy": False, **folders, **more}


def step(agent: Agent, state: str, **more: Any) -> dict[str, Any]:
    args = {**arguments(agent), "state": state, **more}
    result = restore(agent.host, args, check=False, wait=20)
    while result["finished"] is False:
        result = restore(agent.host, {**args, "run_id": result["job"]["run_id"]}, check=False, wait=20)
    return result


def restored(agent: Agent, backup: str) -> None:
    chosen = step(agent, "chosen", backup=backup)["chosen"]
    prepared = step(agent, "prepared", chosen=chosen)["job"]["run_id"]
    committed = step(agent, "committed", chosen=chosen, prepared=prepared)["job"]["run_id"]
    step(agent, "released", chosen=chosen, committed=committed)


def done(agent: Agent, backup: str) -> bool:
    return bool(step(agent, "chosen", backup=backup)["chosen"].get("done"))


def test_a_commit_is_followed_by_the_name_it_was_given(agent: Agent) -> None:
    """Whoever chose it knows it without an answer; of one that never began that is said."""
    chosen = step(agent, "chosen", backup="one.zip")["chosen"]
    prepared = step(agent, "prepared", chosen=chosen)["job"]["run_id"]
    with pytest.raises(UnknownJob, match="No commit commit-mine is known"):
        step(agent, "committed", run_id="commit-mine")
    step(agent, "committed", chosen=chosen, prepared=prepared, commit_id="commit-mine")
    assert step(agent, "committed", run_id="commit-mine")["job"]["state"] == "waiting"
    step(agent, "released", chosen=chosen, committed="commit-mine")


def test_a_commit_whose_start_never_arrived_is_started_when_it_is_followed(agent: Agent) -> None:
    chosen = step(agent, "chosen", backup="one.zip")["chosen"]
    prepared = step(agent, "prepared", chosen=chosen)["job"]["run_id"]
    committed = step(agent, "committed", run_id="commit-mine", chosen=chosen, prepared=prepared)
    assert (committed["job"]["run_id"], committed["job"]["state"]) == ("commit-mine", "waiting")
    step(agent, "released", chosen=chosen, committed="commit-mine")


def test_a_commit_that_never_began_is_called_off(agent: Agent) -> None:
    chosen = step(agent, "chosen", backup="one.zip")["chosen"]
    prepared = step(agent, "prepared", chosen=chosen)["job"]["run_id"]
    undone = step(agent, "undone", committed="commit-mine")
    assert (undone["changed"], undone["begun"]) == (False, False)
    with pytest.raises(NotBegun, match="called off before it began"):
        step(agent, "committed", chosen=chosen, prepared=prepared, commit_id="commit-mine")
    assert "migrated" in (agent.root / OVERVIEW).read_text("utf-8")


def vendors(agent: Agent, text: str) -> Path:
    """The vendor's zip, without a manifest, of content that says `text`."""
    agent.write(OVERVIEW, text)
    agent.run(agent.backup_spec(dest_dir=str(agent.home / "vendor"), name="Backup.zip"))
    path = agent.home / "vendor" / "Backup.zip"
    path.with_suffix(".manifest").unlink()
    return path


def test_a_backup_made_after_a_line_that_tells_no_version_is_not_chosen_by_its_time(agent: Agent) -> None:
    """The full upgrade that the line tells of may have migrated what the zip holds."""
    vendors(agent, "of whichever version")
    (agent.backups / "one.zip").unlink()
    agent.write("Upgrades/VersionHistory.txt", "2020-01-01 00:00:00;10.5.3.0-15396\n")
    assert step(agent, "chosen", version="10.5.3")["chosen"]["web_version"] == "10.5.3 (CU0)"
    agent.write("Upgrades/VersionHistory.txt", "2020-01-01 00:00:00;10.5.3.0-15396\n2021-01-01 00:00:00;10.x\n")
    with pytest.raises(AmbiguousBackup, match="No backup was surely made on web version 10"):
        step(agent, "chosen", version="10.5.3")


def test_a_backup_that_was_restored_is_not_restored_again(agent: Agent) -> None:
    assert not done(agent, "one.zip")
    restored(agent, "one.zip")
    assert done(agent, "one.zip")
    assert not step(agent, "chosen", backup="one.zip", again=True)["chosen"].get("done")


def test_a_restore_that_is_yet_to_come_by_a_clock_that_was_set_back_does_not_count(agent: Agent) -> None:
    restored(agent, "one.zip")
    (journal,) = (agent.work / "jobs").glob("*/journal.json")
    told = json.loads(journal.read_text("utf-8"))
    journal.write_text(json.dumps({**told, "at": f"{datetime.now(tz=UTC) + timedelta(hours=3):%Y-%m-%dT%H:%M:%SZ}"}), "utf-8")
    assert not done(agent, "one.zip")


def test_a_backup_is_restored_again_where_another_version_was_installed_since(agent: Agent) -> None:
    """Of that install nothing else may be left: somebody has cleaned the installer's records."""
    restored(agent, "one.zip")
    for web, target, expected in (("10.5.9", "10.5.6", False), ("10.5.6", "10.5.6", True), ("", "10.5.6", True), ("10.5.9", "", True)):
        chosen = step(agent, "chosen", backup="one.zip", web_version=web, version=target)["chosen"]
        assert bool(chosen.get("done")) is expected, (web, target)


def made(agent: Agent, name: str, minutes: int) -> None:
    """A backup of now, made so many minutes from now by what it says."""
    moment = f"{datetime.now(tz=UTC) + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"
    agent.run(agent.backup_spec(name=name, header={**HEADER, "created": moment}))


CURRENT = {"web_version": "10.5.4", "version": "10.5.4"}  # what the backups were made on


def test_an_older_backup_is_not_restored_over_a_newer_one_that_was(agent: Agent) -> None:
    """The same command once more: what was edited since the restore would be gone. Who names the older one gets it."""
    agent.write(OVERVIEW, "of later")
    made(agent, "two.zip", -1)
    restored(agent, "two.zip")
    for suffix in ("zip", "manifest"):
        for folder in (agent.backups, agent.work / "aside"):
            (folder / f"two.{suffix}").unlink()
    again = step(agent, "chosen", **CURRENT)
    assert again["chosen"] == {"name": "two.zip", "done": True}
    assert "to restore one.zip, name it in dataminer_backup" in again["msg"]
    assert not step(agent, "chosen", **CURRENT, backup="one.zip")["chosen"].get("done")
    assert not step(agent, "chosen", **CURRENT, again=True)["chosen"].get("done")


def test_a_restore_of_some_things_remembers_when_everything_was_restored(agent: Agent) -> None:
    """And a backup made after it says so: its content isn't that of the version before the downgrade."""
    restored(agent, "one.zip")
    first = read_state(agent.host, arguments(agent)).last_restore
    assert first is not None
    assert first.whole
    agent.write(OVERVIEW, "edited")
    chosen = step(agent, "chosen", backup="one.zip", dashboards=["Overview"])["chosen"]
    prepared = step(agent, "prepared", chosen=chosen)["job"]["run_id"]
    committed = step(agent, "committed", chosen=chosen, prepared=prepared)["job"]["run_id"]
    step(agent, "released", chosen=chosen, committed=committed)
    state = read_state(agent.host, arguments(agent))
    assert state.last_restore is not None
    assert (state.last_restore.run_id, state.last_restore.whole, state.last_restore.restored) == (committed, False, first.at)
    assert backup_spec(state, arguments(agent), purpose="backup")[0]["header"]["restored"] == f"{first.at:%Y-%m-%dT%H:%M:%SZ}"


def test_what_another_agent_migrated_since_is_restored_over(agent: Agent) -> None:
    """Synchronisation may have brought it here: nothing on this agent tells it from what somebody edited, so nobody says that all is well."""
    restored(agent, "one.zip")
    for hours, expected in ((-1, True), (1, False)):
        at = f"{datetime.now(tz=UTC) + timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}"
        chosen = step(agent, "chosen", backup="one.zip", migrated={"agent": "DMA2", "version": "10.5.9", "at": at})
        assert bool(chosen["chosen"].get("done")) is expected
    assert any("but DMA2 installed 10.5.9 since: what that migrated may have been synchronised to this agent" in note for note in chosen["notes"])
    assert done(agent, "one.zip")


def test_the_latest_that_is_older_than_the_last_restore_is_not_restored(agent: Agent) -> None:
    """The installer of the older package made one after the backup that was chosen, and before the restore of that."""
    agent.write(OVERVIEW, "of later")
    made(agent, "two.zip", -1)
    restored(agent, "one.zip")
    assert step(agent, "chosen", **CURRENT, backup="latest")["chosen"] == {"name": "one.zip", "done": True}
    agent.write(OVERVIEW, "of the last day")
    made(agent, "three.zip", 5)
    assert step(agent, "chosen", **CURRENT, backup="latest")["chosen"]["name"] == "three.zip"


def test_a_backup_that_was_made_after_a_restore_may_follow_it(agent: Agent) -> None:
    restored(agent, "one.zip")
    agent.write(OVERVIEW, "of later")
    made(agent, "two.zip", 5)
    chosen = step(agent, "chosen", **CURRENT)["chosen"]
    assert (chosen["name"], bool(chosen.get("done"))) == ("two.zip", False)


def test_another_backup_of_the_same_name_is_another(agent: Agent) -> None:
    restored(agent, "one.zip")
    (agent.backups / "one.zip").unlink()
    (agent.backups / "one.manifest").unlink()
    agent.write(OVERVIEW, "of later")
    agent.run(agent.backup_spec())
    assert not done(agent, str(agent.backups / "one.zip"))


def test_a_name_of_the_vendor_that_comes_again_is_another_backup(agent: Agent) -> None:
    path = vendors(agent, "first")
    agent.write(OVERVIEW, "migrated")
    restored(agent, "Backup.zip")
    assert done(agent, "Backup.zip")
    path.unlink()
    vendors(agent, "second, and longer")
    assert not done(agent, str(path))


def test_a_copy_put_aside_is_the_same_backup(agent: Agent) -> None:
    """The vendor has deleted the original meanwhile."""
    path = vendors(agent, "first")
    agent.write(OVERVIEW, "migrated")
    restored(agent, "Backup.zip")
    path.unlink()
    assert done(agent, "Backup.zip")


@pytest.mark.parametrize(("purpose", "web"), [("backup", False), ("safety", True)])
def test_a_safety_copy_holds_the_folder_web_whatever_backups_hold(agent: Agent, purpose: str, web: bool) -> None:
    """The zip that is restored may hold it."""
    agent.write("Web/theme.css", "of somebody")
    args = arguments(agent, include_web=False)
    spec, _about = backup_spec(read_state(agent.host, args), args, purpose=purpose)
    assert ("Web" in {item["path"] for item in spec["items"]}) is web
