# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options shared by the modules of the collection."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  root:
    description: Folder that holds DataMiner on the agent.
    type: path
    default: 'C:\Skyline DataMiner'
  work_dir:
    description:
      - Folder of the collection on the agent, for jobs, journals, staging and safety copies.
      - It must be on the volume of O(root), outside everything that DataMiner synchronises between agents or deletes.
    type: path
    default: 'C:\Skyline DataMiner Web Work'
  backup_dir:
    description: Folder that holds the backups made by the collection. Keep it outside O(root).
    type: path
    default: 'C:\Skyline DataMiner Web Backups'
  vendor_backup_dir:
    description:
      - Folder into which DataMiner itself puts a backup at each upgrade. It is read, never written to.
      - By default C(System Cache/Web/Backups) below O(root).
    type: path
  host_command:
    description:
      - Command that answers for services and installed software on a POSIX host, with its first arguments.
      - It is called with C(facts), C(stop NAME) or C(start NAME). Windows agents need none.
    type: list
    elements: str
    default: []
  agent:
    description: Name of the agent in backups and messages. By default the inventory name.
    type: str
  server_version:
    description: Server version of the agent, where it can't be read or is read wrongly.
    type: raw
  web_version:
    description: 'Web version of the agent, where it cannot be read or is read wrongly. It wins over what is read, also after an install.'
    type: raw
  progress_success_pattern:
    description:
      - Regular expression that tells, in a package's C(progress.log), that its install succeeded.
      - Which words the vendor writes isn't documented. The default accepts several.
    type: str
  include_web:
    description: Whether the folder C(Web) (files shared by dashboards and apps) belongs to the content.
    type: bool
    default: true
"""

    JOB = r"""
options:
  run_id:
    description:
      - Name of the job. A job of that name that exists is followed instead of started again.
      - By default a new name; a running job that does the same work is followed all the same.
    type: str
  owner:
    description: Who is named to others while the job runs. By default the user on the controller.
    type: str
  wait:
    description:
      - Whether to wait for the end of the job.
      - The job runs on the agent by itself. It goes on when the wait, the connection or the controller ends.
    type: bool
    default: true
  timeout:
    description: How long to wait, in seconds. The vendor allows its module installer 30 minutes, so wait at least 45.
    type: int
    default: 2700
  poll_interval:
    description: How often to ask the agent while waiting, in seconds.
    type: int
    default: 5
  follow:
    description:
      - An earlier result of the same module, registered with O(wait=false). Its job is followed to its end.
      - Where that result had ended already, it is returned as it is.
    type: dict
  seen:
    description:
      - RV(dataminer.web.agent_info#module:scan) of an earlier look at the agent in this run. Planning from it saves one more look at a Windows agent.
      - The agent makes sure before the job begins that what it was planned from is still so; where it isn't, it is planned anew.
    type: str
  gate:
    description:
      - Result of M(dataminer.web.version_gate). Nothing is changed without one that allows it, for this agent and this target.
      - Not needed in check mode.
    type: dict
"""

    ATTRIBUTES = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode and tell what would change, without changing anything.
    support: full
  diff_mode:
    description: Tells in diff mode what changes.
    support: full
  platform:
    description: Hosts that can be operated on.
    support: full
    platforms: [windows, posix]
    details: DataMiner runs on Windows. POSIX hosts are simulated agents, as the tests and the demo make them.
"""

    READ_ONLY = r"""
options: {}
attributes:
  check_mode:
    description: Changes nothing, so that it runs the same in check mode.
    support: full
  diff_mode:
    description: Tells in diff mode what changes.
    support: none
    details: Nothing is ever changed.
  platform:
    description: Hosts that can be operated on.
    support: full
    platforms: [windows, posix]
    details: DataMiner runs on Windows. POSIX hosts are simulated agents, as the tests and the demo make them.
"""

    NAMES = r"""
options:
  module_names:
    description:
      - What the name of each module begins with in the list of installed programs. The vendor documents no names.
      - Of installed programs only those are read whose name begins with C(DataMiner).
    type: dict
    default:
      GQI DxM: DataMiner GQI
      Web DcM: DataMiner Web
  web_processes:
    description: Processes that may restart when web apps are changed. It is told when another one did.
    type: list
    elements: str
    default: [W3SVC, w3wp, DataMiner GQI, DataMiner Web]
"""

    CONTROLLER = r"""
options: {}
attributes:
  check_mode:
    description: Changes nothing, so that it runs the same in check mode.
    support: full
  diff_mode:
    description: Tells in diff mode what changes.
    support: none
    details: Nothing is ever changed.
  platform:
    description: Hosts that can be operated on.
    support: full
    platforms: all
    details: Runs on the controller only.
"""
