#!/usr/bin/python
# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_verify
short_description: Prove that the agents of a cluster run the same web apps
version_added: 0.1.0
author: dataminer.web contributors (@dataminer-web)
description:
  - Compares the agents of a cluster, as M(dataminer.web.agent_info) read them after a change, with each other and with the version they should run.
  - Tells which app or dashboard differs on which agent, and which process was restarted that shouldn't have been.
  - An agent that failed in a task before counts as one that was not read, for what is known of it may be from before the change.
  - Runs on the controller and changes nothing. Compares processes with the reading in the variable C(dataminer_scan), or a later
    one in C(dataminer_reboot_scan), which is made where the run restarted the agent first.
extends_documentation_fragment:
  - dataminer.web.agent.controller
  - dataminer.web.agent.names
options:
  cluster:
    description: Name of the cluster, as in the variable C(dataminer_cluster) of its hosts.
    type: str
    default: ''
  results:
    description: Variable in which each agent's result of M(dataminer.web.agent_info) was registered.
    type: str
    default: dataminer_after
  expected:
    description: Web version that every agent should run.
    type: raw
  content_equal:
    description: Whether differing content is a failure. Otherwise it is news.
    type: bool
    default: false
  modules_equal:
    description: Whether differing versions of the GQI DxM or the Web DcM are a failure. Otherwise they are news.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Prove that the agents are in step
  dataminer.web.cluster_verify:
    cluster: "{{ dataminer_cluster }}"
    expected: "10.5.9"
"""

RETURN = r"""
in_step:
  description: Whether the agents run the same web apps.
  returned: always
  type: bool
differences:
  description: What differs, with its value on each agent. Severity V(ignore:fail) or V(ignore:news).
  returned: always
  type: list
  elements: dict
processes:
  description: By agent, whether a process other than those in O(web_processes) restarted since the first reading, or that it wasn't read.
  returned: when the agents were read twice
  type: dict
restarted:
  description: Processes that were restarted since the first reading, other than the web server.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.arguments import argument_spec


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec("cluster_verify"), supports_check_mode=True)
    module.fail_json(
        msg="dataminer.web.cluster_verify runs on the controller, as an action. Found: it was run as a module. Call it as a task of a playbook"
    )


if __name__ == "__main__":
    main()
