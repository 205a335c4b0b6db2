#!/usr/bin/python
# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: restore_gate
short_description: List what a restore would lose on a cluster, and ask for its acceptance
version_added: 0.1.0
author: dataminer.web contributors (@dataminer-web)
description:
  - Gathers, from the step V(ignore:chosen) of M(dataminer.web.restore) on every agent of a cluster,
    what was changed since the backups and would be lost.
  - Fails while O(accept_loss) isn't the code printed with that list. Another list has another code, so that nobody accepts what they haven't read.
  - Reports where the chosen backups of the agents differ.
  - Runs on the controller and changes nothing.
extends_documentation_fragment:
  - dataminer.web.agent.controller
options:
  cluster:
    description: Name of the cluster, as in the variable C(dataminer_cluster) of its hosts.
    type: str
    default: ''
  results:
    description: Variable in which each agent's result was registered.
    type: str
    default: dataminer_restore_chosen
  accept_loss:
    description: The code that was printed with the list.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Ask for what would be lost
  dataminer.web.restore_gate:
    cluster: "{{ dataminer_cluster }}"
    accept_loss: "{{ dataminer_accept_loss }}"
"""

RETURN = r"""
code:
  description: The code that accepts the list; empty when nothing is lost.
  returned: always
  type: str
lost:
  description: What would be lost on this agent.
  returned: always
  type: list
  elements: dict
unaccepted:
  description:
    - What nobody accepted, with C(code), C(changes) (how many, in words) and C(agents); empty where nothing stands in the way.
    - Check mode doesn't fail by it, but goes on to tell the rest.
  returned: always
  type: dict
differing:
  description: Where the backups chosen on the agents differ.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.arguments import argument_spec


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec("restore_gate"), supports_check_mode=True)
    module.fail_json(
        msg="dataminer.web.restore_gate runs on the controller, as an action. Found: it was run as a module. Call it as a task of a playbook"
    )


if __name__ == "__main__":
    main()
