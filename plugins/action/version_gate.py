# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

from ansible import context
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils.case_common import optional_version
from ..module_utils.errors import DataMinerError, InvalidInput
from ..module_utils.gate import evaluate
from ..module_utils.gate_host import restart_order
from ..module_utils.gate_values import DOWNGRADE, STATUS, Gate, Reading, Request
from ..module_utils.manifest import format_time
from ..module_utils.package import parse_package_name
from ..module_utils.readiness import has_reached, last_migration
from ..module_utils.report import gate_table
from ..module_utils.settings import unseen
from ..plugin_utils.action import checked_arguments, unfit_settings
from ..plugin_utils.cluster_view import ClusterView
from ..plugin_utils.report_files import check_place

display = Display()
SHOWN_DENIALS = 12


class ActionModule(ActionBase):  # type: ignore[misc]
    """Judges the whole cluster from what each agent's scan said. Every agent asks for itself, by its own variables, and the first that comes to a
    verdict prints it.

    Where the variables are alike, as they should be, all get the same one; the barrier behind the gate sees to the rest.
    """

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        # before its own arguments, which have other names than the variables that people set
        if wrong := unfit_settings(self._templar.template, variables):
            raise AnsibleActionFail("Nothing was changed. " + "; ".join(map(str, wrong)))
        params = checked_arguments(self._task.args, "version_gate")
        view = ClusterView(variables, cluster=params["cluster"], members=params["members"])
        agent = str(variables.get("inventory_hostname", ""))
        try:
            _check(params, view, agent)
            request = self._request(params, view)
            readings = [view.reading(name, params["results"]) for name in view.agents]
            gate = evaluate(request, readings)
        except DataMinerError as error:
            raise AnsibleActionFail(str(error)) from None  # Ansible would tell it once more for each cause
        if agent == _first(readings, view):
            display.display("\n" + _title(params, gate, view) + "\n" + gate_table(gate.rows))
        restart = list(restart_order(request, (reading for reading in readings if reading.name in view.here)))
        reached = [r.name for r in readings if r.name in view.here and r.state is not None and gate.target and has_reached(r.state, gate.target)]
        result.update(
            _told(gate, agent), changed=False, cluster=params["cluster"], restart=restart, reached=reached, migrated=_migrated(gate, readings)
        )
        if not gate.allowed:
            result.update(failed=True, msg=_denied(gate))
        return result

    def _request(self, params: dict[str, Any], view: ClusterView) -> Request:
        name = str(params["package"] or "").replace("\\", "/").rsplit("/", 1)[-1]
        return Request(
            purpose=params["purpose"],
            target=optional_version(params["target"], "dataminer_target_version"),
            expected=optional_version(params["expected"], "dataminer_verify_expected"),
            package=parse_package_name(name) if name else None,
            play_agents=view.here,
            cluster_agents=view.agents,
            allow_partial=params["allow_partial"],
            forks=context.CLIARGS.get("forks"),
            clock_skew_seconds=params["clock_skew"],
            package_size=params["package_size"],
            package_brought=params["package_brought"],
            install_wait_minutes=params["timeout"] // 60,
            dashboard_gateway=params["dashboard_gateway"],
            daas=params["daas"],
            allow_reboot=params["allow_reboot"],
            recover=params["purpose"] == DOWNGRADE,
        )


def _check(params: dict[str, Any], view: ClusterView, agent: str) -> None:
    """What is wrong with the values of a play, and not with the agents."""
    try:
        if agent in view.play and agent not in view.agents:
            raise unseen("dataminer_cluster", params["cluster"], view.cluster_of(agent))
        if params["report_path"] and params["purpose"] != STATUS:  # which shows what it found before it tells of the report
            check_place(params["report_path"])
    except InvalidInput as error:
        raise AnsibleActionFail(f"Nothing was changed. {error}") from None


def _first(readings: list[Reading], view: ClusterView) -> str | None:
    """The first agent that comes to a verdict: it was read, and the gate can work with its values.

    Those of the play aren't seen here: where none seems to, the first that was read may all the same.
    """
    read = [reading for reading in readings if reading.name in view.here and reading.state is not None]
    return next((reading.name for reading in (*(one for one in read if _can_judge(one, view)), *read)), None)


def _can_judge(reading: Reading, view: ClusterView) -> bool:
    """An agent was read with the package that its own variables name."""
    if _is_unfit(view, reading.name):
        return False
    package = reading.state.package_file if reading.state else None
    try:
        optional_version(view.variable(reading.name, "dataminer_target_version"), "dataminer_target_version")
        return package is None or bool(parse_package_name(package.path))
    except DataMinerError:
        return False


def _told(gate: Gate, agent: str) -> dict[str, Any]:
    """The gate's result for one agent: its own rows, those of the cluster, and who else is denied; all rows on all agents grow with the square."""
    rows = [row for row in gate.rows if row.agent in (None, agent) or row in gate.denials[:SHOWN_DENIALS]]
    return {**gate.to_result(), "rows": [row.to_result() for row in rows]}


def _migrated(gate: Gate, readings: list[Reading]) -> dict[str, str]:
    """See `readiness.last_migration`."""
    states = {reading.name: reading.state for reading in readings if reading.state is not None}
    last = last_migration(states, gate.target) if gate.purpose == DOWNGRADE and gate.target else None
    return {"agent": last[0], "version": str(last[1].package.version), "at": format_time(last[1].end_or_start)} if last else {}


def _unfit(view: ClusterView) -> list[str]:
    """The agents that the barrier behind the gate will name: each stops by values of its own."""
    return [name for name in view.here if _is_unfit(view, name)]


def _is_unfit(view: ClusterView, name: str) -> bool:
    return bool(unfit_settings(lambda value: value, view.hostvars[name]))


def _title(params: dict[str, Any], gate: Gate, view: ClusterView) -> str:
    goal = f" to {gate.target}" if gate.target else ""
    cluster = f"cluster {params['cluster']}" if params["cluster"] else "the cluster"
    return f"Gate of {cluster}: {gate.purpose}{goal}: {_verdict(gate, view)}"


def _verdict(gate: Gate, view: ClusterView) -> str:
    if not gate.allowed:
        return "DENIED, nothing was changed"
    unfit = _unfit(view) if gate.purpose != STATUS else []
    return f"ALLOWED by the values of the others, but those of {', '.join(unfit)} are wrong, so nothing is changed" if unfit else "ALLOWED"


def _denied(gate: Gate) -> str:
    """One line per denial: what was found, what is needed, what to do."""
    lines = []
    for row in gate.denials[:SHOWN_DENIALS]:
        where = f"{row.agent}: " if row.agent else ""
        lines.append(f"{where}{row.rule}: found {row.found}; needed {row.required}; {row.remedy}".rstrip("; "))
    more = len(gate.denials) - len(lines)
    return "The gate denies the " + gate.purpose + ", nothing was changed. " + " | ".join(lines) + (f" | and {more} more" if more > 0 else "")
