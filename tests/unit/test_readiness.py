"""Whether an agent has reached a version, and whether it needs a backup on the way."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.agent import AgentState, BackupFile, InstalledPackage, LastRestore
from ansible_collections.dataminer.web.plugins.module_utils.errors import Refused
from ansible_collections.dataminer.web.plugins.module_utils.package import parse_package_name
from ansible_collections.dataminer.web.plugins.module_utils.permission import check_permission
from ansible_collections.dataminer.web.plugins.module_utils.readiness import (
    backup_from_before,
    has_reached,
    last_migration,
    latest_attempt,
    no_backup_needed,
    own_backups,
    suspect,
)
from gate_agents import NOW, V, backup, job, state, version_fact

HOUR = timedelta(hours=1)


def install(version: str, *, hours_ago: float, completed: bool | None = True, kind: str = "Web") -> InstalledPackage:
    started = NOW - hours_ago * HOUR
    name = f"DataMiner {version} {kind} Upgrade.dmupgrade"
    return InstalledPackage(
        package=parse_package_name(name), folder=name, started=started, ended=started + timedelta(minutes=10), completed=completed
    )


def agent(web: str, **more: Any) -> AgentState:
    return state(web=web, **more)


def test_an_agent_that_runs_the_version_has_reached_it() -> None:
    assert has_reached(agent("10.5.9", packages=(install("10.5.9.0-1", hours_ago=2),)), V("10.5.9"))
    assert not has_reached(agent("10.5.6"), V("10.5.9"))


def test_a_failed_attempt_afterwards_means_that_it_has_not() -> None:
    packages = (install("10.5.9.0-1", hours_ago=3), install("10.5.9.0-1", hours_ago=1, completed=False))
    assert not has_reached(agent("10.5.9", packages=packages), V("10.5.9"))


@pytest.mark.parametrize(("read", "doubt"), [("10.5.9", True), ("10.5.6", False), ("10.5.4", False), (None, False)])
def test_a_backup_under_a_version_that_the_inventory_still_names_says_so(read: str | None, doubt: bool) -> None:
    """The content was migrated to what was installed since; restored for the version named, it would be taken for the one from before."""
    named = replace(version_fact("10.5.6"), read=version_fact(read))
    said = suspect(replace(agent("10.5.6"), web=named))
    assert (said is not None and "the inventory named web version 10.5.6 (CU0), where 10.5.9 (CU0) was read" in said) is doubt


def test_an_attempt_stopped_by_its_prerequisites_touched_nothing() -> None:
    stopped = replace(install("10.5.9.0-1", hours_ago=1, completed=False), failed_prerequisites=("VerifyNet10",))
    assert has_reached(agent("10.5.6", packages=(install("10.5.6.0-1", hours_ago=3), stopped)), V("10.5.6"))
    assert suspect(agent("10.5.6", packages=(stopped,))) is None
    assert no_backup_needed(agent("10.5.6", packages=(stopped,), backups=(backup("10.5.6", hours_ago=2),)), V("10.5.9"), agent="DMA1") is None


def test_nor_does_it_hide_that_the_attempt_before_it_failed_half_way() -> None:
    stopped = replace(install("10.5.9.0-1", hours_ago=1, completed=False), failed_prerequisites=("VerifyNet10",))
    half = install("10.5.9.0-1", hours_ago=2, completed=False)
    assert "half migrated" in (suspect(agent("10.5.6", packages=(half, stopped))) or "")


def test_another_build_is_another_version() -> None:
    """Else it would be installed without a backup."""
    one = agent("10.5.4.0-15588")
    assert not has_reached(one, V("10.5.4.0-15600"))
    assert no_backup_needed(one, V("10.5.4.0-15600"), agent="DMA1") is None


@pytest.mark.parametrize("kind", ["Full", "Web"])
def test_only_packages_that_hold_web_apps_count_as_attempts(kind: str) -> None:
    packages = (install("10.5.9.0-1", hours_ago=3, kind=kind), install("1.0.0.0-1", hours_ago=1, kind="Other", completed=False))
    assert latest_attempt(agent("10.5.9", packages=packages)) == packages[0]


def test_the_last_migration_is_that_of_any_agent_beyond_the_target() -> None:
    """Whether it succeeded or not. What is no newer than the target migrates nothing that it couldn't read."""
    blocked = replace(install("10.5.9.0-1", hours_ago=1, completed=False), failed_prerequisites=("VerifyNet10",))
    failed = install("10.5.9.0-1", hours_ago=2, completed=False)
    states = {
        "DMA1": agent("10.5.6", packages=(install("10.5.9.0-1", hours_ago=5), install("10.5.6.0-1", hours_ago=1), blocked)),
        "DMA2": agent("10.5.6", packages=(failed, install("10.5.9.0-1", hours_ago=1, kind="Cube"))),
    }
    assert last_migration(states, V("10.5.6")) == ("DMA2", failed)
    assert last_migration(states, V("10.5.9")) is None


def test_no_backup_is_needed_where_the_version_is_there() -> None:
    found = no_backup_needed(agent("10.5.9"), V("10.5.9"), agent="DMA1")
    assert found is not None
    assert found.backup is None


def test_what_a_restore_put_aside_is_no_backup_of_ours() -> None:
    made = backup("10.5.6", hours_ago=1)
    assert own_backups(agent("10.5.6", backups=(made, replace(made, origin="aside"))), "DMA1") == [made]


def test_without_a_target_a_backup_is_always_made() -> None:
    assert no_backup_needed(agent("10.5.9"), None, agent="DMA1") is None


def test_after_a_failed_install_the_backup_from_before_it_serves() -> None:
    before, older = backup("10.5.6", hours_ago=2), backup("10.5.6", hours_ago=50)
    failed = agent("10.5.6", packages=(install("10.5.9.0-1", hours_ago=1, completed=False),), backups=(older, before))
    found = no_backup_needed(failed, V("10.5.9"), agent="dma1")
    assert found is not None
    assert found.backup == before
    assert "half migrated" in found.reason


@pytest.mark.parametrize(("hours", "alone"), [(1.9, True), (2.1, False), (24 * 21, False)])
def test_what_was_done_since_an_old_one_is_in_none(hours: float, alone: bool) -> None:
    kept = backup("10.5.6", hours_ago=hours)
    failed = agent("10.5.6", packages=(install("10.5.9.0-1", hours_ago=hours - 0.1, completed=False),), backups=(kept,))
    assert (no_backup_needed(failed, V("10.5.9"), agent="DMA1") is not None) is alone
    assert backup_from_before(failed, "DMA1") == kept
    assert backup_from_before(replace(failed, packages=()), "DMA1") is None


@pytest.mark.parametrize(("web", "hours", "enough"), [("10.5.6", 1.9, True), ("10.5.6", 2.1, False), ("10.5.4", 1.9, False)])
def test_one_of_half_migrated_content_is_made_once_for_one_more_try(web: str, hours: float, enough: bool) -> None:
    """It holds what was done; the sound one is what serves."""
    kept, doubtful = backup("10.5.6", hours_ago=30), backup(web, hours_ago=hours, suspected=True)
    packages = tuple(install("10.5.9.0-1", hours_ago=hours, completed=False) for hours in (29, 0.2))
    found = no_backup_needed(agent("10.5.6", packages=packages[:1], backups=(kept, doubtful)), V("10.5.9"), agent="DMA1")
    again = no_backup_needed(agent("10.5.6", packages=packages, backups=(kept, doubtful)), V("10.5.9"), agent="DMA1")
    for one in (found, again):
        assert (one is not None) is enough
        assert one is None or one.backup == kept


@pytest.mark.parametrize("completed", [None, False])
@pytest.mark.parametrize(
    "backups", [(), (backup("10.5.6", hours_ago=2), backup("10.5.6", hours_ago=50), backup("10.5.6", hours_ago=1, suspected=True))]
)
def test_beside_an_install_at_work_none_is_made(completed: bool | None, backups: tuple[BackupFile, ...]) -> None:
    """Whatever of it can be read: it lets no other job in, and begins once the agent has its backup."""
    at_work = agent("10.5.6", packages=(install("10.5.9.0-1", hours_ago=0.1, completed=completed),), backups=backups, job=job("install"))
    for one in (at_work, replace(at_work, web=version_fact(None)), replace(at_work, packages=())):
        found = no_backup_needed(one, V("10.5.9"), agent="DMA1")
        assert found is not None
        assert found.reason == "install job install-1 is at work"
        assert found.backup == (backups[0] if backups else None)
    assert no_backup_needed(at_work, None, agent="DMA1") is None


@pytest.mark.parametrize(
    "unfit",
    [
        pytest.param(backup("10.5.6", hours_ago=0.5), id="made after the attempt"),
        pytest.param(backup("10.5.4", hours_ago=2), id="of another version"),
        pytest.param(backup("10.5.6", hours_ago=2, purpose="safety"), id="a safety copy"),
        pytest.param(backup("10.5.6", hours_ago=2, intact=False), id="damaged"),
        pytest.param(backup("10.5.6", hours_ago=2, suspected=True), id="itself suspect"),
        pytest.param(backup("10.5.6", hours_ago=2, size=3), id="not of its full size"),
        pytest.param(backup("10.5.6", hours_ago=2, owner="DMA2"), id="another agent's"),
        pytest.param(backup("10.5.6", hours_ago=2, dms="Saturn"), id="another cluster's"),
    ],
)
def test_another_backup_does_not_serve(unfit: BackupFile) -> None:
    failed = agent("10.5.6", packages=(install("10.5.9.0-1", hours_ago=1, completed=False),), backups=(unfit,))
    assert no_backup_needed(failed, V("10.5.9"), agent="DMA1") is None
    assert backup_from_before(failed, "DMA1") is None
    assert "half migrated" in (suspect(failed) or "")


def test_a_backup_after_a_downgrade_is_suspect_until_everything_was_restored() -> None:
    """One every night would rotate out the last good one."""
    there = (install("10.5.6.0-1", hours_ago=90), install("10.5.9.0-1", hours_ago=60), install("10.5.6.0-1", hours_ago=30))
    assert "made after a downgrade from 10.5.9 (CU0) to 10.5.6" in (suspect(agent("10.5.6", packages=there)) or "")
    for hours, mended in ((40, False), (20, True)):
        last = LastRestore(run_id="c1", state="released", at=NOW - hours * HOUR, backup="b.zip")
        assert (suspect(agent("10.5.6", packages=there, last_restore=last)) is None) is mended
    assert suspect(agent("10.5.9", packages=(*there, install("10.5.9.0-1", hours_ago=10)))) is None


def test_a_backup_of_a_sound_agent_is_not_suspect() -> None:
    assert suspect(agent("10.5.6", packages=(install("10.5.6.0-1", hours_ago=1),))) is None


PACKAGE = "C:\\Packages\\DataMiner 10.5.9.0-16238 Web Upgrade.dmupgrade"
FULL, NEWER = PACKAGE.replace("Web", "Full"), PACKAGE.replace("10.5.9.0-16238", "10.6.9.0-1")
JUDGED = {"package": "DataMiner 10.5.9.0-16238 web upgrade.dmupgrade"}
GATE: dict[str, Any] = {"allowed": True, "purpose": "upgrade", "target": "10.5.9 (CU0)", "agents": ["DMA1", "DMA2"]}


@pytest.mark.parametrize(("module", "gate"), [("upgrade", GATE), ("backup", GATE), ("restore", {**GATE, "purpose": "downgrade"})])
def test_a_verdict_permits_what_it_was_asked_for(module: str, gate: dict[str, Any]) -> None:
    check_permission(gate, module=module, agent="DMA1", params={"version": "10.5.9", "package": PACKAGE})
    check_permission({**gate, **JUDGED}, module=module, agent="DMA1", params={"version": "", "package": PACKAGE})


@pytest.mark.parametrize(
    ("module", "gate", "agent_name", "params", "said"),
    [
        pytest.param("upgrade", None, "DMA1", {}, "no verdict", id="none at all"),
        pytest.param("upgrade", {}, "DMA1", {}, "no verdict", id="an empty one"),
        pytest.param("upgrade", {**GATE, "allowed": False}, "DMA1", {}, "denies", id="one that denies"),
        pytest.param("upgrade", {**GATE, "allowed": "true"}, "DMA1", {}, "denies", id="a text instead of a boolean"),
        pytest.param("upgrade", {**GATE, "purpose": "backup"}, "DMA1", {}, "'backup'", id="for another purpose"),
        pytest.param("restore", GATE, "DMA1", {}, "'upgrade'", id="a restore by a verdict for an upgrade"),
        pytest.param("upgrade", GATE, "DMA3", {}, "DMA1, DMA2", id="for other agents"),
        pytest.param("upgrade", GATE, "DMA1", {"version": "10.5.10"}, "10.5.9 (CU0)", id="for another version"),
        pytest.param("upgrade", {**GATE, "target": None}, "DMA1", {"version": "10.5.10"}, "no version", id="for no version"),
        pytest.param("upgrade", GATE, "DMA1", {"version": "", "package": NEWER}, "10.5.9 (CU0)", id="for another version, told by the package only"),
        pytest.param("upgrade", {**GATE, "target": None}, "DMA1", {"package": PACKAGE}, "no version", id="for no version, told by the package only"),
        pytest.param("upgrade", GATE, "DMA1", {"version": "10.5.9", "package": FULL}, "Full package", id="for a web package"),
        pytest.param("upgrade", {**GATE, **JUDGED}, "DMA1", {"package": PACKAGE.replace("16238", "16239")}, "16238", id="for another package"),
    ],
)
def test_what_no_verdict_permits_is_refused(module: str, gate: Any, agent_name: str, params: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match="without a verdict of the gate") as caught:
        check_permission(gate, module=module, agent=agent_name, params=params)
    assert said in caught.value.found
    assert caught.value.remedy
