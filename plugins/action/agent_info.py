# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ..plugin_utils.action import AgentAction


class ActionModule(AgentAction):
    module = "agent_info"
    changes = False

    def _call(self, params: dict[str, Any]) -> dict[str, Any]:
        """Adds when, by the controller's clock, the agent answered: the gate compares clocks by it, for a scan reads the agent's last."""
        result = super()._call(params)
        result["scanned_at"] = datetime.now(tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return result
