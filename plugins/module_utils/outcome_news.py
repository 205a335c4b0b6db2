# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One agent in a run, and what changed on it beside what the run was for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .agent import AgentState
from .candidates import Background
from .cluster import MODULES, WEB_PROCESSES, processes_text, restarted
from .gate_values import Direction
from .manifest import format_time

Results = Mapping[str, Mapping[str, Any] | None]  # pylint: disable=unsupported-binary-operation


@dataclass(frozen=True, kw_only=True)
class AgentRun:
    """One agent in a run: its results by variable, and its state before and after, None where it wasn't read."""

    name: str
    results: Results
    before: AgentState | None
    after: AgentState | None


@dataclass(frozen=True, kw_only=True)
class Names:
    """What the vendor documents no names of: what a module's DisplayName begins with, and which processes a web upgrade may restart."""

    modules: Mapping[str, str]
    web_processes: Sequence[str]


DEFAULT_NAMES = Names(modules=MODULES, web_processes=WEB_PROCESSES)


def processes(runs: Iterable[AgentRun], names: Names) -> list[tuple[str, str]]:
    both = [(run.name, run.before.host, run.after.host) for run in runs if run.before and run.after]
    return [(name, processes_text(restarted(before, after, except_for=names.web_processes))) for name, before, after in both]


def went_back(run: AgentRun) -> bool:
    """An older package was installed or would be, now or as the last one before."""
    now = (run.results.get("dataminer_gate") or {}).get("directions") or {}
    if now.get(run.name) == Direction.DOWNGRADE.value and run.results.get("dataminer_upgrade_result") is not None:
        return True
    state = run.after or run.before
    return state is not None and Background(history=state.history, packages=state.packages).gone_back(state.utc) is not None


def web_configs(runs: Iterable[AgentRun]) -> list[tuple[str, str]]:
    """Web.config is edited by people, never to be replaced. What is in it isn't told: it may hold secrets."""
    return [(run.name, f"Webpages/API/Web.config {said}") for run in runs if (said := _web_config(run))]


def _web_config(run: AgentRun) -> str:
    """An install that was under way when this run began may have edited it before this run looked: then only its own job can tell."""
    installed = run.results.get("dataminer_upgrade_result") or {}
    told, copy, job = installed.get("web_config_changed"), installed.get("web_config_before"), installed.get("job") or {}
    if told or (run.before and run.after and run.before.web_config not in (None, run.after.web_config)):
        return f"changed. Compare it with the former one: {copy or 'this run has no copy of it'}"
    if told is None and run.before and run.before.web_config and job and str(job.get("started")) <= format_time(run.before.utc):
        where = copy or f"web.config.before in the folder jobs/{job.get('run_id')} of the working folder"
        return f"wasn't compared, for its install was under way when this run began. Compare it with the former one: {where}"
    return ""
