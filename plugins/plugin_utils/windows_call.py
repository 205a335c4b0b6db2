# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The use cases on a Windows agent: run here, with scripts that `ansible.windows.win_powershell` runs there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleAuthenticationFailure, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils.case_backup import backup
from ..module_utils.case_common import scan_request
from ..module_utils.case_info import agent_info
from ..module_utils.case_restore import restore
from ..module_utils.case_upgrade import upgrade
from ..module_utils.cases import guarded
from .windows_host import WindowsHost

display = Display()
CASES: dict[str, Callable[..., dict[str, Any]]] = {"agent_info": agent_info, "backup": backup, "restore": restore, "upgrade": upgrade}
MODULE = "ansible.windows.win_powershell"
TRANSPORTS = ("winrm", "pypsrp", "psrpcore", "requests", "urllib3", "httpcore")
ATTEMPTS = 2


def call_windows(action: ActionBase, module: str, params: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
    """The result of the module of that name."""
    host = WindowsHost(_executor(action, variables), params["work_dir"], ahead=_ahead(module, params))
    return guarded(CASES[module], host, params, check=action._task.check_mode, wait=float(params.get("poll_interval") or 0))


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
                if not _is_lost(error):
                    raise
                if attempt == ATTEMPTS or isinstance(error, AnsibleAuthenticationFailure):
                    raise error if isinstance(error, AnsibleConnectionFailure) else AnsibleConnectionFailure(f"connection lost: {error}") from error
                display.vv(f"connection lost, connecting again: {error}")
                action._connection.reset()
        raise AssertionError("unreachable")

    return execute


def _is_lost(error: BaseException) -> bool:
    """Whether the transport failed, and not what was asked of it. Connection plugins let errors of their libraries through."""
    if isinstance(error, AnsibleConnectionFailure):
        return True
    cause = error.__cause__ if isinstance(error, AnsibleError) and error.__cause__ is not None else error
    return isinstance(cause, (ConnectionError, TimeoutError)) or type(cause).__module__.partition(".")[0] in TRANSPORTS
