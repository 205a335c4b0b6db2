#!/usr/bin/python
# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_barrier
short_description: Stop a whole cluster when a phase failed on one of its agents
version_added: 0.1.0
author: dataminer.web contributors (@dataminer-web)
description:
  - Looks at the result of a phase on every agent of the cluster that this run works on, and fails on each of them when one has no success,
    or failed in another task and has left the run.
  - Other clusters of the inventory go on.
  - Needs the strategy C(linear), so that all agents have ended the phase.
  - Runs on the controller and changes nothing.
extends_documentation_fragment:
  - dataminer.web.agent.controller
options:
  cluster:
    description: Name of the cluster, as in the variable C(dataminer_cluster) of its hosts.
    type: str
    default: ''
  phase:
    description: Name of the phase, for messages.
    type: str
    required: true
  results:
    description: Variable in which each agent's result of the phase was registered.
    type: str
    required: true
  undone:
    description:
      - Variable in which each agent's result of undoing the phase was registered, where O(results) are of V(committed) steps of a restore.
      - When the cluster is stopped, the message then says where each agent stands.
    type: str
    default: ''
  remedy:
    description: What to do when the cluster is stopped.
    type: str
    default: 'Mend the cause and run the playbook again: it continues from what is there.'
"""

EXAMPLES = r"""
- name: Go on only when every agent of the cluster has a verified backup
  dataminer.web.cluster_barrier:
    cluster: "{{ dataminer_cluster }}"
    phase: backup
    results: dataminer_backup_result
"""

RETURN = r"""
problems:
  description: Which agents have no success, and why.
  returned: always
  type: list
  elements: str
left_behind:
  description: Where each agent stands. Empty where the cluster goes on, and without O(undone).
  returned: always
  type: dict
agents:
  description: The agents that were looked at.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.arguments import argument_spec


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec("cluster_barrier"), supports_check_mode=True)
    module.fail_json(
        msg="dataminer.web.cluster_barrier runs on the controller, as an action. Found: it was run as a module. Call it as a task of a playbook"
    )


if __name__ == "__main__":
    main()
