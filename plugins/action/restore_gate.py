# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils.losses_text import differing_items, losing, losses_count, losses_text
from ..module_utils.restore import loss_code
from ..plugin_utils.action import checked_arguments
from ..plugin_utils.cluster_view import ClusterView, problem_of

display = Display()
BEFORE = "dataminer_recovered"  # what an agent has to pass to be asked for its backup


class ActionModule(ActionBase):  # type: ignore[misc]
    """Every agent asks for itself and gets the same verdict over its whole cluster; the first one prints the list."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        params = checked_arguments(self._task.args, "restore_gate")
        view = ClusterView(variables, cluster=params["cluster"], members=())
        chosen = {name: view.result(name, params["results"]) or {} for name in view.here}
        problems = {name: view.problem(name, params["results"], before=BEFORE) for name in view.here}
        missing = [f"{name}: {problem}" for name, problem in problems.items() if problem]
        code = loss_code({name: str(found.get("lost_digest") or "") for name, found in chosen.items()})
        differing = differing_items(chosen)
        if view.here and variables.get("inventory_hostname") == next((name for name in view.here if not problem_of(chosen[name] or None)), None):
            display.display("\n" + losses_text(params["cluster"], chosen, differing, code))
        result.update(changed=False, code=code, lost=chosen.get(str(variables.get("inventory_hostname")), {}).get("lost") or [], differing=differing)
        accepted = not code or code in _codes(params["accept_loss"])
        result["unaccepted"] = {} if accepted else {"code": code, "changes": losses_count(chosen), "agents": losing(chosen)}
        if missing:
            text = "No backup was chosen on every agent of the cluster, nothing was restored. " + "; ".join(missing)
            result.update(failed=True, msg=text, stopped=not problems.get(str(variables.get("inventory_hostname"))))
        elif not accepted and not self._task.check_mode:  # a dry run goes on, to tell the rest; its summary says that it would stop here
            result.update(failed=True, msg=_refused(result["unaccepted"], params["accept_loss"]))
        return result


def _codes(text: str) -> list[str]:
    """One for each cluster of the run, at most."""
    return str(text or "").replace(",", " ").split()


def _refused(unaccepted: dict[str, Any], given: str) -> str:
    found = f"the code {given}, which is of another list" if given else "no code"
    where = ", ".join(unaccepted["agents"])
    return (
        f"{unaccepted['changes']} made since the backups would be lost on {where}; the list is above. Nothing was restored. "
        f"Found {found}; needed dataminer_accept_loss={unaccepted['code']}. Read the list, save what must be kept, then run again with that variable"
    )
