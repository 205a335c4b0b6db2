#!/usr/bin/python
# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_report
short_description: Print what a run did, as a table
version_added: 0.1.0
author: dataminer.web contributors (@dataminer-web)
description:
  - Prints one table per cluster from the results that the roles of the collection registered on each agent,
    those that failed or were unreachable included.
  - Hands the same facts on as statistics of the run, for AWX workflows, and writes them to a file on request.
  - Runs on the controller. Meant for C(run_once) in an C(always) section.
extends_documentation_fragment:
  - dataminer.web.agent.controller
  - dataminer.web.agent.names
options:
  purpose:
    description: What the run was about.
    type: str
    required: true
    choices: [upgrade, downgrade, backup, status]
  path:
    description:
      - Where on the controller to write them, and what. V(.html) makes a self-contained page for people, V(.json) the facts for programs;
        a folder (one that exists, or a path that ends in V(/)) gets both, under names with purpose and time.
    type: path
"""

EXAMPLES = r"""
- name: Summary
  dataminer.web.cluster_report:
    purpose: upgrade
  run_once: true
"""

RETURN = r"""
files:
  description: What was written.
  returned: when O(path) is set
  type: list
  elements: str
clusters:
  description: One row per agent, by cluster.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.arguments import argument_spec


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec("cluster_report"), supports_check_mode=True)
    module.fail_json(
        msg="dataminer.web.cluster_report runs on the controller, as an action. Found: it was run as a module. Call it as a task of a playbook"
    )


if __name__ == "__main__":
    main()
