#!/usr/bin/python
# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: backup
short_description: Back up the web content of a DataMiner agent
version_added: 0.1.0
author: dataminer.web contributors (@dataminer-web)
description:
  - Makes a zip of low-code apps, dashboards and shared web files, reads it back, and only then deletes backups of its own that are too many.
  - A manifest with a digest of each file stands beside the zip.
  - What is left out is told, with the reason.
extends_documentation_fragment:
  - dataminer.web.agent
  - dataminer.web.agent.job
  - dataminer.web.agent.attributes
options:
  versions:
    description:
      - Which versions of a low-code app go in.
      - V(latest) takes the published one and the most recent draft and leaves out broken apps, as DataMiner does since
        10.4.0 [CU21], 10.5.0 [CU9] and 10.5.12 (RN 43906). V(all) takes everything.
      - V(auto) does as DataMiner would with the web version installed on the agent.
    type: str
    choices: [auto, all, latest]
    default: auto
  keep:
    description: How many verified backups to keep in O(backup_dir), the new one included.
    type: int
    default: 5
  before:
    description:
      - The web version that will be installed next. An agent that runs it already needs no backup.
      - After an install that failed half way, the backup from before it is read again and kept instead of making one of half-migrated content. Where
        it is more than two hours old, such a one is made as well, for what was done since, and is marked as what it is.
    type: raw
  compression_level:
    description: 0 (none), 1 (fast) to 9 (small).
    type: int
    default: 1
  retries:
    description: How often to begin again when files change while they are read.
    type: int
    default: 2
seealso:
  - module: dataminer.web.restore
"""

EXAMPLES = r"""
- name: Back up the web content
  dataminer.web.backup:
    keep: 5
    gate: "{{ dataminer_gate }}"
"""

RETURN = r"""
backup:
  description: The backup that was made, or that serves.
  returned: when the job has ended
  type: dict
  sample: {name: web-backup_DMA1.zip, path: 'C:\Skyline DataMiner Web Backups\web-backup_DMA1.zip', files: 120, bytes: 1200000, zip_size: 300000}
left_out:
  description: Low-code apps that aren't in it, with the reason.
  returned: when the job has ended
  type: list
  elements: dict
rotated:
  description: Backups that were deleted.
  returned: when the job has ended
  type: list
  elements: str
notes:
  description: What a person should know.
  returned: when the job has ended
  type: list
  elements: str
finished:
  description: Whether the job has ended.
  returned: success
  type: bool
job:
  description: The job.
  returned: when there is one
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.arguments import argument_spec
from ..module_utils.case_backup import backup
from ..module_utils.cases import guarded
from ..module_utils.local_host import LocalHost


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec("backup"), supports_check_mode=True)
    result = guarded(backup, LocalHost(module.params["work_dir"]), module.params, check=module.check_mode, wait=module.params["poll_interval"])
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
