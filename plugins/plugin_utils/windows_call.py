# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The use cases on a Windows agent: run here, with scripts that `ansible.windows.win_powershell` runs there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils.case_backup import backup
from ..module_utils.case_common import scan_request
from ..module_utils.case_info import agent_info
from ..module_utils.case_restore import restore
from ..module_utils.case_step import running
from ..module_utils.case_upgrade import upgrade
from ..module_utils.cases import guarded
from ..module_utils.errors import UNREAD, InvalidInput
from ..module_utils.jobs import JobStatus
from .lost import connect_anew, is_local, is_lost, is_refused
from .windows_host import WindowsHost

display = Display()
CASES: dict[str, Callable[..., dict[str, Any]]] = {"agent_info": agent_info, "backup": backup, "restore": restore, "upgrade": upgrade}
MODULE = "ansible.windows.win_powershell"
ATTEMPTS = 2
_GOES_ON = "jobs that run there go on by themselves"
_SILENT = f"The agent doesn't answer, asked {ATTEMPTS} times; {_GOES_ON}. Make it reachable, then run the playbook again"
_REFUSED = f"The agent refuses the log-on, which isn't tried again; {_GOES_ON}. Correct user or password, then run the playbook again"
_LOCAL = (
    f"The controller can't connect to the agent; {_GOES_ON}. Mend that on the controller (or its execution environment), then run the playbook again"
)


def call_windows(action: ActionBase, module: str, params: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
    """The result of the module of that name. Raises InvalidInput where the agent is to be worked on as a user of another system."""
    _check_become(action)
    host = WindowsHost(_executor(action, variables), params["work_dir"], ahead=_ahead(module, params))
    try:
        outcome = guarded(CASES[module], host, params, check=action._task.check_mode, wait=float(params.get("poll_interval") or 0))
    except AnsibleConnectionFailure as error:
        begun = _left_running(host)
        if begun is None or is_refused(error) or is_local(error):
            raise
        display.vv(f"connection lost, the job that was begun goes on: {error}")
        return running(begun)  # whoever looks again does so more than once
    begun = _left_running(host)
    if begun is None or not outcome.get("failed") or outcome["error"]["type"] not in UNREAD:
        return outcome
    display.vv(f"no answer that can be read, the job that was begun goes on: {outcome['msg']}")
    return running(begun)


def _left_running(host: WindowsHost) -> JobStatus | None:
    """The job that this call began. Of a commit whoever began it knows the name, and counts the time from there."""
    return None if host.begun is None or host.begun.kind == "commit" else host.begun


def _check_become(action: ActionBase) -> None:
    """ansible.cfg, the environment or AWX may ask for sudo on every host."""
    become = action._connection.become
    if become is not None and become.name.rpartition(".")[2] != "runas":
        raise InvalidInput(
            "Windows can't become another user by " + become.name,
            found=f"become: true, become_method: {become.name}",
            needed="no become, or runas",
            remedy="set ansible_become: false for the Windows agents in the inventory; it wins over ansible.cfg, ANSIBLE_BECOME and AWX",
        )


def _ahead(module: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """The scan that a use case asks for once its job has ended."""
    asks = module == "upgrade" or (module == "restore" and params["state"] == "chosen")
    return scan_request(params) if asks else None


def _executor(action: ActionBase, variables: dict[str, Any]) -> Callable[[str, dict[str, Any], int], dict[str, Any]]:
    def execute(script: str, parameters: dict[str, Any], depth: int) -> dict[str, Any]:
        """One call. A lost connection leaves its outcome unknown: every script may be sent twice, for a job has a name of its own."""
        args = {"script": script, "parameters": parameters, "depth": depth, "error_action": "stop"}
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return dict(action._execute_module(module_name=MODULE, module_args=args, task_vars=variables))
            except Exception as error:
                if not is_lost(error):
                    raise
                if is_local(error):  # asked first: some libraries tell of it as of a log-on that failed
                    raise AnsibleConnectionFailure(f"{_LOCAL}: {error}") from error
                if is_refused(error):
                    raise AnsibleConnectionFailure(f"{_REFUSED}: {error}") from error
                if attempt == ATTEMPTS:
                    raise AnsibleConnectionFailure(f"{_SILENT}: {error}") from error
                display.vv(f"connection lost, connecting again: {error}")
                connect_anew(action._connection)
        raise AssertionError("unreachable")

    return execute
