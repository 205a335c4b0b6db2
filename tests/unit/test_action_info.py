"""When an agent's clock was read, by the controller's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

pytest.importorskip("ansible")

from ansible_collections.dataminer.web.plugins.action import agent_info
from ansible_collections.dataminer.web.plugins.plugin_utils.action import AgentAction

BEGUN = datetime(2026, 11, 24, 4, 15, tzinfo=UTC)


def test_an_agent_reads_its_clock_when_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that reads its content for ten minutes seems no more ahead than others."""
    now = [BEGUN]

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return now[0]

    def answer(_action: AgentAction, _params: dict[str, Any]) -> dict[str, Any]:
        now[0] += timedelta(minutes=10)
        return {"changed": False}

    monkeypatch.setattr(agent_info, "datetime", Clock)
    monkeypatch.setattr(AgentAction, "_call", answer)
    assert object.__new__(agent_info.ActionModule)._call({})["scanned_at"] == "2026-11-24T04:25:00Z"
