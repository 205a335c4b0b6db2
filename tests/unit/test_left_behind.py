"""Where each agent stands after a restore that stopped: told from what really happened there."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.jobs import ends_by_itself
from ansible_collections.dataminer.web.plugins.module_utils.left_behind import left_behind, left_behind_text

WAITS = {"changed": True, "finished": True, "job": {"run_id": "c1", "state": "waiting"}}
LATER = ends_by_itself()


@pytest.mark.parametrize(
    ("commit", "undo", "state"),
    [
        (WAITS, {"finished": True, "put_back": 2}, "put back as it was before; its web server runs"),
        (
            WAITS,
            {"finished": True, "kept": ["a", "b"], "conflicts": ["c"]},
            "put back as it was before, but 2 files that were changed since stay and 1 were moved away; its web server runs",
        ),
        (WAITS, {"failed": True, "msg": "W3SVC didn't stop\nlog"}, "NOT put back: W3SVC didn't stop. The next run undoes what is left"),
        (
            WAITS,
            {"failed": True, "finished": False, "msg": "it couldn't be read", "error": {"type": "ScriptFailed"}, "job": {"run_id": "c1"}},
            f"NOT known to be put back: it couldn't be read; {LATER}",
        ),
        (
            {"unreachable": True, "finished": False, "job": {"run_id": "c1", "state": "unknown"}},
            {"finished": True, "begun": False, "msg": "Nothing to undo"},
            "unchanged: its commit never began",
        ),
        (WAITS, {"failed": True, "finished": False, "msg": "it hasn't ended after 5 s"}, "NOT put back yet: it hasn't ended after 5 s"),
        (WAITS, {"unreachable": True, "msg": "no route"}, f"NOT known to be put back, for it was unreachable (no route); {LATER}"),
        (WAITS, {"finished": False}, "NOT put back yet: its job goes on"),
        (WAITS, None, "has the restored files; its web server stands still and starts by itself after the deadline"),
        (WAITS, {"skipped": True}, "has the restored files; its web server stands still and starts by itself after the deadline"),
        ({**WAITS, "released_by": "deadline"}, None, "has the restored files; it started its web server by itself"),
        ({"failed": True, "msg": "1 files read back differently; all was put back"}, None, "failed: 1 files read back differently; all was put back"),
        ({**WAITS, "failed": True, "finished": False, "msg": "it hasn't ended"}, None, f"failed: it hasn't ended; {LATER}"),
        ({**WAITS, "failed": True, "finished": False, "msg": f"It goes on: {LATER}"}, None, f"failed: It goes on: {LATER}"),
        ({"unreachable": True, "msg": "no route"}, None, f"not known, for it was unreachable; {LATER}"),
        (None, None, f"not known, for it was unreachable; {LATER}"),
        ({"finished": True, "done": True}, {"skipped": True}, "unchanged"),
    ],
)
def test_the_state_of_an_agent(commit: dict[str, Any] | None, undo: dict[str, Any] | None, state: str) -> None:
    rows = left_behind(["DMA1"], {"DMA1": commit}, {"DMA1": undo})
    assert rows == (("DMA1", state),)
    assert left_behind_text(rows) == f"Where each agent stands: DMA1: {state}"


def test_every_agent_has_a_state_of_its_own() -> None:
    rows = left_behind(["a", "b"], {"a": WAITS, "b": {"failed": True, "msg": "no"}}, {"a": {"finished": True}})
    assert left_behind_text(rows) == "Where each agent stands: a: put back as it was before; its web server runs; b: failed: no"
