#!/usr/bin/python
# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: version_gate
short_description: Judge whether the web apps of a whole cluster may be changed
version_added: 0.1.0
author: dataminer.web contributors (@dataminer-web)
description:
  - Judges a cluster from what M(dataminer.web.agent_info) read of each of its agents, against every rule that is known of web upgrades.
  - Fails on each agent of a cluster that is denied. Its result is the permission that the changing modules ask for.
  - Runs on the controller and changes nothing.
extends_documentation_fragment:
  - dataminer.web.agent.controller
options:
  purpose:
    description: What is about to be done.
    type: str
    required: true
    choices: [upgrade, downgrade, backup, status]
  target:
    description: Web version to go to. Quote it.
    type: raw
  expected:
    description: Web version that C(dataminer_verify_expected) has the verification expect. A change that goes to another one is denied. Quote it.
    type: raw
  package:
    description: Name or path of the package that brings it.
    type: str
    default: ''
  package_size:
    description:
      - Its size in bytes, for the rule on free space.
      - By default the size that M(dataminer.web.agent_info) read on the agent, if it was told of the package.
    type: int
  package_brought:
    description: Whether the package is copied to the agents before it is installed, so that they needn't have it yet.
    type: bool
    default: false
  cluster:
    description: Name of the cluster, as in the variable C(dataminer_cluster) of its hosts.
    type: str
    default: ''
  members:
    description: Inventory names of all agents, of whichever cluster.
    type: list
    elements: str
    default: []
  results:
    description: Variable in which each agent's result of M(dataminer.web.agent_info) was registered.
    type: str
    default: dataminer_scan
  allow_partial:
    description: Whether a part of a cluster may be changed.
    type: bool
    default: false
  clock_skew:
    description: By how many seconds the agents' clocks may differ without a warning.
    type: int
    default: 60
  timeout:
    description: How long installs will be waited for, in seconds.
    type: int
    default: 2700
  dashboard_gateway:
    description: Whether the system has a Dashboard Gateway. Unset means that it isn't known.
    type: bool
  daas:
    description: Whether it is a DaaS system.
    type: bool
    default: false
  allow_reboot:
    description: Whether an agent with a pending reboot will be restarted first, so that the reboot denies nothing.
    type: bool
    default: false
  report_path:
    description: Where on the controller a report will be written. Where it couldn't be, that is told before anything is changed.
    type: path
seealso:
  - module: dataminer.web.agent_info
"""

EXAMPLES = r"""
- name: Gate
  dataminer.web.version_gate:
    purpose: upgrade
    target: "10.5.9"
    package: 'C:\Packages\DataMiner 10.5.9.0-16000 Web Upgrade.dmupgrade'
    cluster: "{{ dataminer_cluster }}"
  register: dataminer_gate
"""

RETURN = r"""
allowed:
  description: The verdict.
  returned: always
  type: bool
rows:
  description: What each rule says of each agent.
  returned: always
  type: list
  elements: dict
  sample:
    - rule: baseline-10.5
      agent: DMA1
      verdict: deny
      found: 10.3.12 (CU0)
      required: "web 10.5 needs server 10.4.0 / 10.4.1 or later"
      source: RN 41395
      remedy: upgrade the DataMiner server first
agents:
  description: The agents it is about.
  returned: always
  type: list
  elements: str
migrated:
  description:
    - For a downgrade, the last install of newer web apps on any agent of the cluster, RV(ignore:agent), RV(ignore:version) and RV(ignore:at) (UTC).
    - Synchronisation may have brought what it migrated to the others.
  returned: always
  type: dict
reached:
  description: The agents that run the target already, and need no package.
  returned: always
  type: list
  elements: str
restart:
  description: The agents that are to be restarted before anything else, in that order. The machines of a Failover pair follow each other.
  returned: always
  type: list
  elements: str
target:
  description: The version it is about.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.arguments import argument_spec


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec("version_gate"), supports_check_mode=True)
    module.fail_json(
        msg="dataminer.web.version_gate runs on the controller, as an action. Found: it was run as a module. Call it as a task of a playbook"
    )


if __name__ == "__main__":
    main()
