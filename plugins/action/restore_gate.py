# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils.arguments import argument_spec
from ..module_utils.cluster import differing_backups
from ..module_utils.report import table
from ..module_utils.restore import loss_code
from ..plugin_utils.action import checked_arguments
from ..plugin_utils.cluster_view import ClusterView, problem_of

display = Display()
SHOWN = 60


class ActionModule(ActionBase):  # type: ignore[misc]
    """Every agent asks for itself and gets the same verdict over its whole cluster; the first one prints the list."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        params = checked_arguments(self._task.args, argument_spec("restore_gate"))
        view = ClusterView(variables, cluster=params["cluster"], members=())
        chosen = {name: view.result(name, params["results"]) or {} for name in view.here}
        missing = [f"{name}: {problem}" for name in view.here if (problem := problem_of(view.result(name, params["results"])))]
        code = loss_code({name: str(found.get("lost_digest") or "") for name, found in chosen.items()})
        differing = _differing(chosen)
        if view.here and variables.get("inventory_hostname") == next((name for name in view.here if not problem_of(chosen[name] or None)), None):
            _say(chosen, differing, code)
        result.update(changed=False, code=code, lost=chosen.get(str(variables.get("inventory_hostname")), {}).get("lost") or [], differing=differing)
        if missing:
            result.update(failed=True, msg="No backup was chosen on every agent of the cluster, nothing was restored. " + "; ".join(missing))
        elif code and params["accept_loss"] != code and not self._task.check_mode:
            result.update(failed=True, msg=_refused(code, params["accept_loss"], sum(found.get("lost_count") or 0 for found in chosen.values())))
        return result


def _differing(chosen: dict[str, dict[str, Any]]) -> list[str]:
    """Where the backups chosen on the agents don't hold the same: by agent, and which apps."""
    digests = {name: dict((found.get("chosen") or {}).get("digests") or {}) for name, found in chosen.items()}
    if any((found.get("chosen") or {}).get("done") for found in chosen.values()):
        return []
    rows = differing_backups({name: found.get("all") for name, found in digests.items()})
    if not rows:
        return []
    keys = sorted({key for found in digests.values() for key in found if key != "all"})
    items = [key for key in keys if len({found.get(key) for found in digests.values()}) > 1]
    return [f"{name}: {digest} {remark}" for name, digest, remark in rows] + [f"differs: {item}" for item in items[:SHOWN]]


def _say(chosen: dict[str, dict[str, Any]], differing: list[str], code: str) -> None:
    rows = [(name, (found.get("chosen") or {}).get("name"), found.get("msg")) for name, found in chosen.items()]
    display.display("\nBackups to restore\n" + table(("agent", "backup", "what it changes"), rows))
    if differing:
        display.display("\nThe agents' backups differ; each agent gets its own:\n  " + "\n  ".join(differing))
    behind = _behind(chosen)
    if behind:
        display.display("\nSTAYS AS IT IS, since the backup doesn't hold it (perhaps migrated to the newer version):")
        _table(("agent", "what", "why"), behind)
    if not code:
        return
    display.display(f"\nLOST if this is restored, changed since the backup (accept with -e dataminer_accept_loss={code}):")
    _table(("agent", "what", "changed", "by", "why"), _losses(chosen))


def _table(titles: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    display.display(table(titles, rows[:SHOWN]))
    if len(rows) > SHOWN:
        display.display(f"and {len(rows) - SHOWN} more")


def _losses(chosen: dict[str, dict[str, Any]]) -> list[tuple[object, ...]]:
    rows = [(name, row) for name, found in chosen.items() for row in found.get("lost") or []]
    return _together((name, (f"{row['kind']} {row['title']}", row["when"], row["author"], row["why"])) for name, row in rows)


def _behind(chosen: dict[str, dict[str, Any]]) -> list[tuple[object, ...]]:
    rows = [(name, row) for name, found in chosen.items() for row in (found.get("plan") or {}).get("stays_behind") or []]
    return _together((name, (f"{row['kind']} {row['title']}", row["why"])) for name, row in rows)


def _together(rows: Iterable[tuple[str, tuple[object, ...]]]) -> list[tuple[object, ...]]:
    """One row an item, with all the agents it is about: content is synchronised, so most items are about every agent."""
    agents: dict[tuple[object, ...], list[str]] = {}
    for name, item in rows:
        agents.setdefault(item, []).append(name)
    return [(", ".join(names), *item) for item, names in agents.items()]


def _refused(code: str, given: str, count: int) -> str:
    found = f"the code {given}, which is of another list" if given else "no code"
    return (
        f"{count} changes made since the backups would be lost; they are listed above. Nothing was restored. "
        f"Found {found}; needed dataminer_accept_loss={code}. Read the list, save what must be kept, then run again with that variable"
    )
