# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils.errors import InvalidInput
from ..module_utils.outcome import PHASES, cluster_paragraphs, is_good, summarise
from ..module_utils.outcome_news import AgentRun, Names
from ..module_utils.page import ClusterPage
from ..module_utils.report import AgentSummary
from ..plugin_utils.action import checked_arguments
from ..plugin_utils.cluster_view import ClusterView
from ..plugin_utils.report_files import write_report

display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]
    """Prints a table per cluster, whatever happened to its agents. One host does it for all: an agent that failed can't speak for itself."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        params = checked_arguments(self._task.args, "cluster_report")
        check, purpose = bool(self._task.check_mode), params["purpose"]
        names = Names(modules=params["module_names"], web_processes=params["web_processes"])
        document: dict[str, Any] = {"purpose": purpose, "check_mode": check, "clusters": {}}
        pages = []
        for name, runs in _clusters(task_vars or {}):
            paragraphs = cluster_paragraphs(name, runs, purpose=purpose, check=check, names=names)
            display.display("\n" + "\n\n".join(paragraphs))
            rows = [summarise(run, purpose=purpose, check=check) for run in runs]
            document["clusters"][name] = [vars(row) for row in rows]
            pages.append(_page(name, runs, rows, paragraphs, purpose=purpose))
        if params["path"]:
            try:
                result["files"] = write_report(params["path"], document, pages)
            except InvalidInput as error:
                raise AnsibleActionFail(str(error)) from None
        result.update(changed=False, **document, ansible_stats={"data": {"dataminer_web": document}, "per_host": False, "aggregate": False})
        return result


def _page(name: str, runs: list[AgentRun], rows: list[AgentSummary], paragraphs: list[str], *, purpose: str) -> ClusterPage:
    """Of the paragraphs the title and the table are the page's own, and the last sentence stands first."""
    gate = {json.dumps(row, sort_keys=True): row for run in runs for row in (run.results.get("dataminer_gate") or {}).get("rows") or ()}
    good = all(is_good(run.results, purpose=purpose) for run in runs)
    return ClusterPage(name=name, agents=rows, end=paragraphs[-1], good=good, gate=list(gate.values()), notes=paragraphs[2:-1])


def _clusters(variables: dict[str, Any]) -> Iterator[tuple[str, list[AgentRun]]]:
    everyone = ClusterView(variables, cluster="", members=())
    names = sorted({everyone.cluster_of(name) for name in everyone.play})
    for cluster in names:
        view = ClusterView(variables, cluster=cluster, members=())
        yield cluster, [_run(view, name) for name in view.here]


def _run(view: ClusterView, name: str) -> AgentRun:
    results = {key: view.result(name, key) for key in (*PHASES, "dataminer_barrier")}
    return AgentRun(name=name, results=results, before=view.before(name), after=view.reading(name, "dataminer_after").state)
