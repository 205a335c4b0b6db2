"""The tasks of the role restore: who stays in the run to be told what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

jinja2 = pytest.importorskip("jinja2")

ROLE = Path(__file__).resolve().parents[2] / "roles" / "restore"
TASKS = ROLE / "tasks" / "main.yml"


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


@pytest.mark.parametrize(
    ("named", "judged", "version"),
    [
        ("10.4.0", {"target": "10.4.0.0-14772"}, "10.4.0.0-14772"),
        ("10.4.0 [CU21]", {"target": "10.4.0.0-15634-CU21"}, "10.4.0.0-15634-CU21"),
        ("", {"target": "10.4.0.0-14772"}, "10.4.0.0-14772"),
        ("10.4.0 [CU21]", {"target": None}, "10.4.0 [CU21]"),
        ("10.4.0 [CU21]", {}, "10.4.0 [CU21]"),
    ],
)
def test_the_version_to_restore_for_is_the_gate_s_which_knows_the_package(named: str, judged: dict[str, Any], version: str) -> None:
    """A Main Release whose CU isn't named is told from others by its build alone."""
    options = yaml.safe_load((ROLE / "vars" / "main.yml").read_text("utf-8"))["dataminer_restore_options"]
    said = jinja2.Environment().from_string(options["version"]).render(dataminer_target_version=named, dataminer_gate=judged)
    assert said == version
