#!/usr/bin/python
# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: upgrade
short_description: Install a web upgrade package on a DataMiner agent
version_added: 0.1.0
author: dataminer.web contributors (@dataminer-web)
description:
  - Runs the vendor's installer with a package that is already on the agent, as a job that goes on by itself, and reads the agent afterwards.
  - An agent that runs the version already is left alone. A running install of the same package is followed, never started twice, never aborted.
extends_documentation_fragment:
  - dataminer.web.agent
  - dataminer.web.agent.job
  - dataminer.web.agent.attributes
options:
  package:
    description: Path of the C(.dmupgrade) file on the agent. An agent that runs O(version) already needs none.
    type: path
  version:
    description: The web version it brings, where its name doesn't tell the cumulative update. Quote it.
    type: raw
  sha256:
    description: SHA-256 of the package; checked before anything else.
    type: str
  installer:
    description: The vendor's Taskbar Utility.
    type: path
    default: 'C:\Program Files (x86)\Skyline Communications\Skyline Taskbar Utility\SLTaskbarUtility.exe'
  installer_arguments:
    description: Its arguments; C({package}) stands for the package.
    type: list
    elements: str
    default: ['-upgrade', '{package}']
  success_codes:
    description: Exit codes that mean success. Only 0 is known.
    type: list
    elements: int
    default: [0]
seealso:
  - module: dataminer.web.version_gate
"""

EXAMPLES = r"""
- name: Install the package
  dataminer.web.upgrade:
    package: 'C:\Packages\DataMiner 10.5.9.0-16000 Web Upgrade.dmupgrade'
    sha256: "{{ package_sha256 }}"
    gate: "{{ dataminer_gate }}"
"""

RETURN = r"""
web_before:
  description: Web version before.
  returned: when the job has ended
  type: str
web_after:
  description: Web version after.
  returned: when the job has ended
  type: str
log_tail:
  description: End of the installer's log.
  returned: when something was installed
  type: str
web_config_before:
  description: Path on the agent of a copy of C(Webpages/API/Web.config) from before the install. It stays as long as the job's record.
  returned: when something was installed
  type: str
web_config_changed:
  description: Whether C(Webpages/API/Web.config) is another than before the install; none where that isn't known.
  returned: when something was installed
  type: bool
notes:
  description: What a person should know.
  returned: when something was installed
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
from ..module_utils.case_upgrade import upgrade
from ..module_utils.cases import guarded
from ..module_utils.local_host import LocalHost


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec("upgrade"), supports_check_mode=True)
    result = guarded(upgrade, LocalHost(module.params["work_dir"]), module.params, check=module.check_mode, wait=module.params["poll_interval"])
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
