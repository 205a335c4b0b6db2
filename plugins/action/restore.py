# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

from ansible.utils.display import Display

from ..plugin_utils.action import AgentAction

display = Display()


class ActionModule(AgentAction):
    module = "restore"

    def _followed(self, params: dict[str, Any]) -> dict[str, Any]:
        """Shows what an undo let stay or moved away: a playbook of one's own has no summary, and Ansible shows nothing of what changed."""
        undo = params["state"] == "undone"
        outcome = super()._followed(params)
        for note in (outcome.get("notes") or ()) if undo else ():
            display.display(f"  {self._agent()}: {note}")
        return outcome
