"""The use case `backup`: what it tells of the folder it writes to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.agent import AgentState, BackupFile
from ansible_collections.dataminer.web.plugins.module_utils.case_backup import backup, backup_spec
from ansible_collections.dataminer.web.plugins.module_utils.jobs import JobStatus
from ansible_collections.dataminer.web.plugins.module_utils.manifest import ManifestHead
from gate_agents import NOW, installed, job, state
from gate_agents import backup as one_of_ours

ARGS: dict[str, Any] = {"root": "/dm", "work_dir": "/work", "backup_dir": "/backups", "agent": "DMA1"}
UNFINISHED = "/backups/half.zip.partial"


def zip_of(name: str, *, origin: str = "own", intact: bool = True, agent: str | None = None, cluster: str = "DMS") -> BackupFile:
    header: dict[str, object] = {"agent": agent, "cluster": cluster, "purpose": "backup"}
    head = None if agent is None else ManifestHead(header=header, trailer={"zip_size": 1}, intact=intact)
    return BackupFile(origin=origin, path=f"/backups/{name}", name=name, size=5, modified=NOW, manifest=head)


def of_the_folder(notes: list[str]) -> list[str]:
    return [note for note in notes if "count as a backup" in note]


def told(**facts: Any) -> list[str]:
    """What the notes of a backup that has ended say of its folder."""
    spec, _about = backup_spec(state(**facts), ARGS, purpose="backup")
    result = {"path": "/backups/a.zip", "files": 1, "bytes": 1, "zip_size": 1, "zip_sha256": "0", "rotated": [], "not_rotated": []}
    host: Any = Ended({**result, "about": spec["about"]})
    return of_the_folder(backup(host, {**ARGS, "run_id": "b1"}, check=False)["notes"])


class Ended:
    def __init__(self, result: dict[str, Any]) -> None:
        self.result = result

    def poll(self, run_id: str, wait: float) -> JobStatus:
        return JobStatus(run_id=run_id, kind="backup", state="done", result=self.result)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (zip_of("stray.zip"), "no manifest of ours"),
        (zip_of("broken.zip", agent="DMA1", intact=False), "its manifest is no use"),
        (zip_of("broken.zip", agent="DMA2", intact=False), "its manifest is no use"),
    ],
)
def test_a_zip_that_does_not_count_is_told_at_the_end_too(row: BackupFile, why: str) -> None:
    (note,) = told(backups=(row,))
    assert note.startswith(f"{row.name} doesn't count as a backup and stays: ")
    assert why in note


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(zip_of("vendor.zip", origin="vendor"), id="the vendor's"),
        pytest.param(zip_of("x.zip", agent="DMA2"), id="another agent's"),
        pytest.param(zip_of("x.zip", agent="DMA1", cluster="Saturn"), id="another cluster's"),
    ],
)
def test_a_zip_of_somebody_else_is_not(row: BackupFile) -> None:
    assert told(backups=(row,)) == []


@pytest.mark.parametrize(("cluster", "gone"), [("DMS", ["old.zip"]), ("Saturn", [])])
def test_what_is_rotated_out_is_of_this_cluster(cluster: str, gone: list[str]) -> None:
    """Two clusters may share a folder, and call an agent by one name."""
    header = backup_spec(state(), ARGS, purpose="backup")[0]["header"]
    trailer: dict[str, object] = {"files": 1, "bytes": 1, "zip_size": 5, "zip_sha256": "c" * 64}
    old = replace(zip_of("old.zip"), manifest=ManifestHead(header={**header, "cluster": cluster}, trailer=trailer, intact=True))
    assert backup_spec(state(backups=(old,)), {**ARGS, "keep": 1}, purpose="backup")[0]["rotate"] == gone


def test_beside_a_doubtful_one_the_sound_ones_count() -> None:
    """They stay, whatever their number. In turn a doubtful one doesn't count, and says why."""
    failed, sound = installed("Web", 1, completed=False), [one_of_ours("10.5.4", hours_ago=hours, owner="DMA1") for hours in range(2, 9)]
    assert told(packages=(failed,), backups=tuple(sound)) == []
    (note,) = told(backups=(*sound, one_of_ours("10.5.4", hours_ago=1, owner="DMA1", suspected=True)))
    assert note == "10.5.4-1.zip doesn't count as a backup and stays: half migrated"


def test_what_was_never_finished_is_told() -> None:
    assert told(partials=(UNFINISHED,)) == [f"{UNFINISHED} was never finished and doesn't count as a backup"]


def test_what_a_running_backup_writes_is_not() -> None:
    one: AgentState = replace(state(), partials=(UNFINISHED,), job=job("backup"))
    assert of_the_folder(backup_spec(one, ARGS, purpose="backup")[1]["notes"]) == []


def test_a_safety_copy_says_nothing_of_the_backup_folder() -> None:
    about = backup_spec(state(backups=(zip_of("stray.zip"),), partials=(UNFINISHED,)), ARGS, purpose="safety")[1]
    assert of_the_folder(about["notes"]) == []
