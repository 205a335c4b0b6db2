"""The tasks of the role restore: who stays in the run to be told what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

TASKS = Path(__file__).resolve().parents[2] / "roles" / "restore" / "tasks" / "main.yml"


def task(name: str) -> dict[str, Any]:
    (block,) = yaml.safe_load(TASKS.read_text("utf-8"))
    assert block["ignore_unreachable"] is True
    found: dict[str, Any] = next(one for one in block["block"] if one["name"] == name)
    return found


def test_an_agent_whose_swap_failed_or_could_not_be_followed_stays_to_be_told_to_undo() -> None:
    """By the run id in the result of the task that followed it."""
    followed, undone = task("Wait until the files are swapped"), task("Put back what was there before, since an agent failed")
    assert (followed["ignore_errors"], followed["register"]) == (True, "dataminer_restore_committed")
    assert undone["dataminer.web.restore"]["committed"] == "{{ dataminer_restore_committed.job.run_id }}"
    assert "dataminer_restore_committed.job is defined" in undone["when"]
