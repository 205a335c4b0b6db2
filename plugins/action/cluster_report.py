# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils.arguments import argument_spec
from ..module_utils.outcome import PHASES, AgentRun, Names, cluster_text, summarise
from ..plugin_utils.action import checked_arguments
from ..plugin_utils.cluster_view import ClusterView

display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]
    """Prints a table per cluster, whatever happened to its agents. One host does it for all: an agent that failed can't speak for itself."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        params = checked_arguments(self._task.args, argument_spec("cluster_report"))
        check, purpose = bool(self._task.check_mode), params["purpose"]
        names = Names(modules=params["module_names"], web_processes=params["web_processes"])
        told: dict[str, Any] = {}
        for name, runs in _clusters(task_vars or {}):
            display.display("\n" + cluster_text(name, runs, purpose=purpose, check=check, names=names))
            told[name] = [vars(summarise(run, purpose=purpose, check=check)) for run in runs]
        document = {"purpose": purpose, "check_mode": check, "clusters": told}
        if params["path"]:
            self._write(Path(params["path"]), document)
        result.update(changed=False, **document, ansible_stats={"data": {"dataminer_web": document}, "per_host": False, "aggregate": False})
        return result

    @staticmethod
    def _write(path: Path, document: dict[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _clusters(variables: dict[str, Any]) -> Iterator[tuple[str, list[AgentRun]]]:
    everyone = ClusterView(variables, cluster="", members=())
    names = sorted({everyone.cluster_of(name) for name in everyone.play})
    for cluster in names:
        view = ClusterView(variables, cluster=cluster, members=())
        yield cluster, [_run(view, name) for name in view.here]


def _run(view: ClusterView, name: str) -> AgentRun:
    results = {key: view.result(name, key) for key in (*PHASES, "dataminer_barrier")}
    before, after = view.reading(name, "dataminer_scan").state, view.reading(name, "dataminer_after").state
    return AgentRun(name=name, results=results, before=before, after=after)
