# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an action sees of the other agents of its cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ..module_utils.agent import AgentState
from ..module_utils.case_common import state_of, unpack
from ..module_utils.cluster import LEFT, first_line
from ..module_utils.errors import DataMinerError
from ..module_utils.gate_values import Reading

LEFT_ALONE = "dataminer_scan_left_alone"
FIRST = "dataminer_scan"
RESTARTED = "dataminer_reboot_scan"
BEFORE = "dataminer_package_checked"  # what an agent has to pass to be read at all


class ClusterView:
    """The inventory's agents of one cluster, and the results that tasks registered for each.

    Results are looked up with care: an agent that was unreachable, failed or was never asked has none, and that is an answer too.
    """

    def __init__(self, variables: Mapping[str, Any], *, cluster: str, members: Iterable[str]) -> None:
        self.hostvars = variables.get("hostvars") or {}
        self.play = tuple(str(name) for name in variables.get("ansible_play_hosts_all") or ())
        present = variables.get("ansible_play_hosts")
        self.present = frozenset(self.play if present is None else map(str, present))
        self.cluster = cluster
        candidates = sorted({str(name) for name in members} | set(self.play))
        self.agents = tuple(name for name in candidates if self.cluster_of(name) == cluster)

    @property
    def here(self) -> tuple[str, ...]:
        """The cluster's agents that this run works on."""
        return tuple(name for name in self.agents if name in self.play)

    @property
    def gone(self) -> tuple[str, ...]:
        """Those of them that failed in a task, of whichever role, or in an earlier play: no later task runs on them."""
        return tuple(name for name in self.here if name not in self.present)

    def cluster_of(self, name: str) -> str:
        """As a text, as modules are told of it: YAML makes a number of some names."""
        value = self.variable(name, "dataminer_cluster", "")
        return "" if value is None else str(value)

    def variable(self, name: str, key: str, default: Any = None) -> Any:
        try:
            host = self.hostvars[name]
            return host.get(key, default)
        except Exception:  # a variable that can't be templated is as good as none
            return default

    def result(self, name: str, key: str) -> dict[str, Any] | None:
        """None of a task that left none in this play, either: the gate empties those of earlier ones."""
        found = self.variable(name, key)
        return dict(found) if isinstance(found, Mapping) and found else None

    def reading(self, name: str, key: str) -> Reading:
        """The agent as `agent_info` read it, or why it wasn't read."""
        here = name in self.play
        result = self.result(name, key) if here else self._left_alone(name)
        problem = self.problem(name, key, before=BEFORE) if here else problem_of(result)
        if result is None or problem:
            return Reading(name=name, state=None, problem=problem if here or result is not None else "not in this run (see --limit)")
        try:
            return Reading(name=name, state=state_of_result(result), scanned_at=moment(result.get("scanned_at")))
        except (DataMinerError, KeyError, ValueError, OSError, EOFError) as error:
            return Reading(name=name, state=None, problem=f"its scan can't be used: {error}")

    def problem(self, name: str, key: str, *, before: str) -> str | None:
        """Why a result is no success. Of an agent that wasn't asked for it: what stopped it, in the task before or in whichever."""
        result = self.result(name, key)
        if result is not None and not result.get("skipped"):
            return problem_of(result)
        unasked = LEFT if result is None and name in self.gone else problem_of(result)
        return problem_of(self.result(name, before) or {}) or unasked

    def _left_alone(self, name: str) -> dict[str, Any] | None:
        """The scan of an agent outside of this run, which one of those within it asked for."""
        rows = ((self.result(asker, LEFT_ALONE) or {}).get("results") or () for asker in self.play)
        row = next((row for found in rows for row in found if row.get("item") == name and not row.get("skipped")), None)
        return None if row is None else {**row, "failed": "scan" not in row}

    def before(self, name: str) -> AgentState | None:
        """The agent before the change. Where this run restarted it first its processes are those since: the change restarted none of the others."""
        first, again = self.reading(name, FIRST), self.reading(name, RESTARTED)
        if first.state is None or again.state is None or not (first.scanned_at and again.scanned_at and again.scanned_at > first.scanned_at):
            return first.state
        return replace(first.state, host=again.state.host)

    def states(self, key: str) -> dict[str, AgentState]:
        readings = [self.reading(name, key) for name in self.here]
        return {reading.name: reading.state for reading in readings if reading.state is not None}


def problem_of(result: Mapping[str, Any] | None) -> str | None:
    """Why a registered result is no success."""
    if result is None:
        return "not read: unreachable, or the task was skipped"
    if result.get("unreachable"):
        return f"unreachable: {first_line(result.get('msg')) or 'no message'}"
    if result.get("failed"):
        return f"failed: {first_line(result.get('msg')) or 'no message'}"
    return "skipped" if result.get("skipped") else None


def state_of_result(result: Mapping[str, Any]) -> AgentState:
    """The state in a result of `agent_info`."""
    return state_of(unpack(str(result["scan"])), dict(result.get("overrides") or {}))


def moment(text: object) -> datetime | None:
    if not isinstance(text, str) or not text:
        return None
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
