"""Whether an agent has reached a version, and whether it needs a backup on the way."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.agent import AgentState, BackupFile, InstalledPackage, ManifestHead
from ansible_collections.dataminer.web.plugins.module_utils.errors import Refused
from ansible_collections.dataminer.web.plugins.module_utils.package import parse_package_name
from ansible_collections.dataminer.web.plugins.module_utils.permission import check_permission
from ansible_collections.dataminer.web.plugins.module_utils.readiness import has_reached, latest_attempt, no_backup_needed, own_backups, suspect
from gate_agents import NOW, V, state

HOUR = timedelta(hours=1)


def install(version: str, *, hours_ago: float, completed: bool | None = True, kind: str = "Web") -> InstalledPackage:
    started = NOW - hours_ago * HOUR
    name = f"DataMiner {version} {kind} Upgrade.dmupgrade"
    return InstalledPackage(
        package=parse_package_name(name), folder=name, started=started, ended=started + timedelta(minutes=10), completed=completed
    )


def backup(web: str, *, hours_ago: float, purpose: str = "backup", intact: bool = True, suspected: bool = False) -> BackupFile:
    header: dict[str, object] = {"web_version": web, "purpose": purpose, **({"suspect": "half migrated"} if suspected else {})}
    head = ManifestHead(header=header, trailer={}, intact=intact)
    name = f"{web}-{hours_ago}.zip"
    return BackupFile(origin="own", path=f"/b/{name}", name=name, size=1, modified=NOW - hours_ago * HOUR, manifest=head)


def agent(web: str, **more: Any) -> AgentState:
    return state(web=web, **more)


def test_an_agent_that_runs_the_version_has_reached_it() -> None:
    assert has_reached(agent("10.5.9", packages=(install("10.5.9.0-1", hours_ago=2),)), V("10.5.9"))
    assert not has_reached(agent("10.5.6"), V("10.5.9"))


def test_a_failed_attempt_afterwards_means_that_it_has_not() -> None:
    packages = (install("10.5.9.0-1", hours_ago=3), install("10.5.9.0-1", hours_ago=1, completed=False))
    assert not has_reached(agent("10.5.9", packages=packages), V("10.5.9"))


@pytest.mark.parametrize("kind", ["Full", "Web"])
def test_only_packages_that_hold_web_apps_count_as_attempts(kind: str) -> None:
    packages = (install("10.5.9.0-1", hours_ago=3, kind=kind), install("1.0.0.0-1", hours_ago=1, kind="Other", completed=False))
    assert latest_attempt(agent("10.5.9", packages=packages)) == packages[0]


def test_no_backup_is_needed_where_the_version_is_there() -> None:
    found = no_backup_needed(agent("10.5.9"), V("10.5.9"))
    assert found is not None
    assert found.backup is None


def test_what_a_restore_put_aside_is_no_backup_of_ours() -> None:
    made = backup("10.5.6", hours_ago=1)
    assert own_backups(agent("10.5.6", backups=(made, replace(made, origin="aside")))) == [made]


def test_without_a_target_a_backup_is_always_made() -> None:
    assert no_backup_needed(agent("10.5.9"), None) is None


def test_after_a_failed_install_the_backup_from_before_it_serves() -> None:
    before, older = backup("10.5.6", hours_ago=2), backup("10.5.6", hours_ago=50)
    failed = agent("10.5.6", packages=(install("10.5.9.0-1", hours_ago=1, completed=False),), backups=(older, before))
    found = no_backup_needed(failed, V("10.5.9"))
    assert found is not None
    assert found.backup == before
    assert "half migrated" in found.reason


@pytest.mark.parametrize(
    "unfit",
    [
        pytest.param(backup("10.5.6", hours_ago=0.5), id="made after the attempt"),
        pytest.param(backup("10.5.4", hours_ago=2), id="of another version"),
        pytest.param(backup("10.5.6", hours_ago=2, purpose="safety"), id="a safety copy"),
        pytest.param(backup("10.5.6", hours_ago=2, intact=False), id="damaged"),
        pytest.param(backup("10.5.6", hours_ago=2, suspected=True), id="itself suspect"),
    ],
)
def test_another_backup_does_not_serve(unfit: BackupFile) -> None:
    failed = agent("10.5.6", packages=(install("10.5.9.0-1", hours_ago=1, completed=False),), backups=(unfit,))
    assert no_backup_needed(failed, V("10.5.9")) is None
    assert "half migrated" in (suspect(failed) or "")


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
