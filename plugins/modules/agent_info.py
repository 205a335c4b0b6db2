#!/usr/bin/python
# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: agent_info
short_description: Read the state of a DataMiner agent
version_added: 0.1.0
author: dataminer.web contributors (@dataminer-web)
description:
  - Reads versions, low-code apps, dashboards, backups, cluster membership, free space and running jobs of a DataMiner agent.
  - Changes nothing.
extends_documentation_fragment:
  - dataminer.web.agent
  - dataminer.web.agent.read_only
options:
  content:
    description: Whether to read sizes and digests of everything that a backup would hold. It takes as long as reading that content.
    type: bool
    default: false
  versions:
    description: Which versions of low-code apps O(content) is about. See O(dataminer.web.backup#module:versions).
    type: str
    choices: [auto, all, latest]
    default: auto
  likely_version:
    description:
      - The web version that the agent runs in all likelihood. With O(content) and O(versions=auto) it decides which versions of apps are hashed.
      - Versions that are neither published nor drafts are hashed where it is one whose backups hold all versions. Where it isn't, or isn't set, they
        count by number and size of their files, as far as a backup would hold them.
      - Nothing else depends on it. To say which version an agent runs, use O(web_version).
    type: raw
  package:
    description: Path on the agent where the installer will find a package. Its size and the room in its folder are read.
    type: path
  installer:
    description: Path of the installer on the agent. It is looked for.
    type: path
    default: 'C:\Program Files (x86)\Skyline Communications\Skyline Taskbar Utility\SLTaskbarUtility.exe'
  web_service:
    description: Service of the web server, whose state is read. V(none) means that none serves from this tree.
    type: str
    default: W3SVC
seealso:
  - module: dataminer.web.version_gate
"""

EXAMPLES = r"""
- name: Read the agent
  dataminer.web.agent_info:
  register: dataminer_scan

- name: Show which web version it runs, and where that was read
  ansible.builtin.debug:
    msg: "{{ dataminer_scan.agent.web.version }} ({{ dataminer_scan.agent.web.source }})"
"""

RETURN = r"""
agent:
  description: What is known of the agent.
  returned: success
  type: dict
  sample:
    server: {version: 10.5.4 (CU0), source: "Upgrades/VersionHistory.txt, line of 2025-03-27 11:16:35"}
    web: {version: 10.5.9 (CU0), source: "Upgrades/Packages/…, completed 2025-09-03T20:11:00Z"}
no_restart:
  description: What speaks against a restart of the agent now, as a job or an installer at work, or a restore that is open.
  returned: success
  type: list
  elements: str
scan:
  description:
    - The same for M(dataminer.web.version_gate) and M(dataminer.web.cluster_report), packed.
    - The modules that start jobs plan from it where it is given to them as O(dataminer.web.backup#module:seen).
  returned: success
  type: str
overrides:
  description: The versions and the pattern given from the inventory.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.arguments import argument_spec
from ..module_utils.case_info import agent_info
from ..module_utils.cases import guarded
from ..module_utils.local_host import LocalHost


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec("agent_info"), supports_check_mode=True)
    result = guarded(agent_info, LocalHost(module.params["work_dir"]), module.params, check=module.check_mode)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
