#!/usr/bin/python
# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: restore
short_description: Restore the web content of a DataMiner agent from a backup
version_added: 0.1.0
author: dataminer.web contributors (@dataminer-web)
description:
  - Lays a backup over the content of an agent, in steps that a playbook keeps in step across a cluster.
  - Files that aren't in the backup stay. What was changed since the backup is lost, and is listed first.
  - What V(undone) leaves in its place, since somebody changed it, or moves away is printed. What was undone already isn't changed again.
extends_documentation_fragment:
  - dataminer.web.agent
  - dataminer.web.agent.job
  - dataminer.web.agent.attributes
options:
  state:
    description:
      - V(chosen) finds the backup, puts a verified copy of it aside and plans.
      - V(prepared) makes a safety copy and extracts everything beside the content.
      - V(committed) stops the web server and swaps the files in. The web server stays down until V(released).
      - V(released) starts the web server.
      - V(undone) puts back what was there before.
    type: str
    required: true
    choices: [chosen, prepared, committed, released, undone]
  backup:
    description:
      - Which backup. V(target) is the one made on O(version); anything else is the name or path of one.
      - V(latest) is the most recent one that wasn't made on a newer version than O(version).
    type: str
    default: target
  version:
    description: The web version to go back to. Quote it.
    type: raw
  chosen:
    description: RV(chosen) of an earlier V(chosen); needed for V(prepared).
    type: dict
  prepared:
    description: Run id of the V(prepared) step; needed for V(committed).
    type: str
  commit_id:
    description:
      - Run id that V(committed) begins its commit under. By default a new one.
      - It is in the result also where the answer to the start was lost, so that the commit can be followed and undone.
    type: str
  committed:
    description: Run id of the V(committed) step; needed for V(released), and for V(undone) of a restore that didn't break off.
    type: str
  apps:
    description: Restore these low-code apps only, by name or id.
    type: list
    elements: str
    default: []
  dashboards:
    description: Restore these dashboards only, by path below C(Dashboards) without C(.dmadb.json).
    type: list
    elements: str
    default: []
  safety_copy:
    description: Whether to make a verified copy of everything before.
    type: bool
    default: true
  leftovers:
    description:
      - What to do with versions of apps that were made after the backup, and that their app won't list any more. V(quarantine) moves them into
        O(work_dir).
      - Apps and dashboards that were made after the backup always stay.
    type: str
    choices: [keep, quarantine]
    default: keep
  mtime:
    description: Last-write time of restored files. V(keep) takes the backup's.
    type: str
    choices: [now, keep]
    default: now
  web_service:
    description: Service of the web server. V(none) means that none serves from this tree.
    type: str
    default: W3SVC
  deadline:
    description: After how many seconds of silence a committed agent starts its web server by itself.
    type: int
    default: 900
  again:
    description: Whether to restore a backup once more that was restored since the last install.
    type: bool
    default: false
  migrated:
    description:
      - RV(dataminer.web.version_gate#module:migrated) of the gate, for V(chosen).
      - What was restored before is restored once more where another agent migrated content since.
    type: dict
  compression_level:
    description: Of the safety copy, 0 (none), 1 (fast) to 9 (small).
    type: int
    default: 1
  retries:
    description: How often to begin the safety copy again when files change while they are read.
    type: int
    default: 2
seealso:
  - module: dataminer.web.backup
"""

EXAMPLES = r"""
- name: Choose the backup made on the version to go back to
  dataminer.web.restore:
    state: chosen
    version: "10.5.6"
    gate: "{{ dataminer_gate }}"
  register: dataminer_restore_chosen

- name: Prepare
  dataminer.web.restore:
    state: prepared
    chosen: "{{ dataminer_restore_chosen.chosen }}"
    gate: "{{ dataminer_gate }}"
  register: dataminer_restore_prepared
"""

RETURN = r"""
chosen:
  description: The backup and what the later steps need of it.
  returned: V(chosen)
  type: dict
plan:
  description: How many files would be created, replaced or are the same; what would be lost; what stays behind.
  returned: V(chosen)
  type: dict
notes:
  description: What a person should know.
  returned: success
  type: list
  elements: str
finished:
  description: Whether the step has ended.
  returned: success
  type: bool
job:
  description: The job.
  returned: when there is one
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.arguments import argument_spec
from ..module_utils.case_restore import restore
from ..module_utils.cases import guarded
from ..module_utils.local_host import LocalHost


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec("restore"), supports_check_mode=True)
    result = guarded(restore, LocalHost(module.params["work_dir"]), module.params, check=module.check_mode, wait=module.params["poll_interval"])
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
