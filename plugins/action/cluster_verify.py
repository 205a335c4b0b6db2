# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..module_utils.case_common import optional_version
from ..module_utils.cluster import FAIL, LEFT, InStep, in_step, processes_text, restarted, restored_alike
from ..module_utils.errors import DataMinerError
from ..plugin_utils.action import checked_arguments
from ..plugin_utils.cluster_view import FIRST, ClusterView
from ..plugin_utils.installed_versions import comparable

SHOWN = 50


class ActionModule(ActionBase):  # type: ignore[misc]
    """Compares the agents as they were read after the change. Every agent asks for itself and gets the same verdict."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        params = checked_arguments(self._task.args, "cluster_verify")
        view = ClusterView(task_vars or {}, cluster=params["cluster"], members=())
        try:
            expected = optional_version(params["expected"], "expected")
        except DataMinerError as error:
            raise AnsibleActionFail(str(error)) from None  # Ansible would tell it once more for each cause
        if self._task.check_mode and self._would_change(view):
            text = f"Would verify that {', '.join(view.here)} run {expected or 'one web version'}"
            result.update(changed=False, in_step=None, differences=[], restarted=[], msg=text)
            return result
        unread = [f"{name} ({problem})" for name in view.here if (problem := _unread(view, name, params["results"]))]
        after = view.states(params["results"])
        judged = in_step(
            after,
            expected=expected,
            expected_content_equal=params["content_equal"],
            restored=restored_alike({name: view.result(name, "dataminer_restore_chosen") for name in view.here}),
            expected_modules_equal=params["modules_equal"],
            modules=params["module_names"],
            comparable=comparable,
        )
        result.update(changed=False, in_step=judged.ok and not unread, **_told(judged), **_processes(view, after, params))
        if unread or not judged.ok:
            result.update(failed=True, msg=_message(judged, unread))
        return result

    @staticmethod
    def _would_change(view: ClusterView) -> bool:
        keys = ("dataminer_upgrade_result", "dataminer_restore_committed")
        return any((view.result(name, key) or {}).get("would") for name in view.here for key in keys)


def _unread(view: ClusterView, name: str, key: str) -> str | None:
    """Why nothing is known of an agent now: of one that left the run, unless by this verdict, what was read may be from before the change."""
    left = name in view.gone and not (view.result(name, "dataminer_verified") or {}).get("failed")
    return view.reading(name, key).problem or (LEFT if left else None)


def _processes(view: ClusterView, after: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    """Which other processes restarted on each agent, in words, and a message of it; nothing where the agents were read once only."""
    if params["results"] == FIRST:
        return {"restarted": []}
    before = {name: state for name in view.here if (state := view.before(name))}
    found = {name: restarted(before[name].host, after[name].host, except_for=params["web_processes"]) for name in after if name in before}
    words = {name: processes_text(names) for name, names in found.items()}
    return {
        "restarted": [f"{name}: {', '.join(names)}" for name, names in found.items() if names],
        "processes": words,
        "msg": "; ".join(f"{name}: {text}" for name, text in words.items()),
    }


def _told(judged: InStep) -> dict[str, Any]:
    differences = judged.to_result()["differences"]
    more = [{"what": f"and {len(differences) - SHOWN} more", "values": {}, "severity": "news"}] if len(differences) > SHOWN else []
    return {"differences": [*sorted(differences, key=lambda row: row["severity"] != FAIL)[:SHOWN], *more]}


def _message(judged: InStep, unread: list[str]) -> str:
    lines = [f"not read: {', '.join(unread)}"] if unread else []
    for found in judged.differences:
        if found.severity == FAIL:
            values = "; ".join(f"{name}: {value}" for name, value in found.values.items())
            lines.append(f"{found.what} ({values})" if values else found.what)
    more = f" | and {len(lines) - 8} more" if len(lines) > 8 else ""
    return "The cluster is NOT in step: " + " | ".join(lines[:8]) + more
