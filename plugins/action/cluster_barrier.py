# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ..module_utils.cluster import barrier
from ..module_utils.left_behind import left_behind, left_behind_text
from ..plugin_utils.action import checked_arguments
from ..plugin_utils.cluster_view import ClusterView


class ActionModule(ActionBase):  # type: ignore[misc]
    """Fails every agent of a cluster in which any agent has no success, so that no later phase runs on a part of it."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        params = checked_arguments(self._task.args, "cluster_barrier")
        view = ClusterView(task_vars or {}, cluster=params["cluster"], members=())
        results = {name: view.result(name, params["results"]) for name in view.here}
        judged = barrier(cluster=params["cluster"], agents=view.here, results=results, phase=params["phase"], gone=_gone(view, params["phase"]))
        result.update(changed=False, phase=params["phase"], agents=list(view.here), problems=[f"{name}: {what}" for name, what in judged.problems])
        result["left_behind"] = {}
        if not judged.ok:
            said = [f"Stopped after the phase {params['phase']}, for the cluster to stay in step", "; ".join(result["problems"])]
            if params["undone"]:
                undone = {name: view.result(name, params["undone"]) for name in view.here}
                result["left_behind"] = dict(left_behind(view.here, results, undone))
                said.append(left_behind_text(result["left_behind"].items()))
            result.update(failed=True, msg=f"{'. '.join(said)}. {params['remedy']}".strip())
        return result


def _gone(view: ClusterView, phase: str) -> list[str]:
    """Without those that this barrier has just stopped: with few forks its verdict comes to some agents before it is asked by the others."""
    stopped = ((name, view.result(name, "dataminer_barrier") or {}) for name in view.gone)
    return [name for name, result in stopped if not (result.get("failed") and result.get("phase") == phase)]
