# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arguments of the modules, once for modules and actions. Documentation stands in doc_fragments and in the modules.

`range` of an option is the least that a number may be, and the most or None. Ansible doesn't know that word: `argument_spec` leaves it out.
"""

from __future__ import annotations

import copy
from typing import Any

Spec = dict[str, dict[str, Any]]

AGENT: Spec = {
    "root": {"type": "path", "default": "C:\\Skyline DataMiner"},
    "work_dir": {"type": "path", "default": "C:\\Skyline DataMiner Web Work"},
    "backup_dir": {"type": "path", "default": "C:\\Skyline DataMiner Web Backups"},
    "vendor_backup_dir": {"type": "path"},
    "host_command": {"type": "list", "elements": "str", "default": []},
    "agent": {"type": "str"},
    "server_version": {"type": "raw"},
    "web_version": {"type": "raw"},
    "progress_success_pattern": {"type": "str"},
    "include_web": {"type": "bool", "default": True},
}

JOB: Spec = {
    "run_id": {"type": "str"},
    "owner": {"type": "str"},
    "wait": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 2700, "range": (1, None)},
    "poll_interval": {"type": "int", "default": 5, "range": (0, None)},
    "gate": {"type": "dict"},
    "seen": {"type": "str"},
    "follow": {"type": "dict"},
}

CONTENT: Spec = {"versions": {"type": "str", "choices": ["auto", "all", "latest"], "default": "auto"}}

ZIP: Spec = {
    "compression_level": {"type": "int", "default": 1, "range": (0, 9)},
    "retries": {"type": "int", "default": 2, "range": (0, None)},
}

WEB_SERVICE = {"type": "str", "default": "W3SVC"}

INSTALLER = {
    "type": "path",
    "default": "C:\\Program Files (x86)\\Skyline Communications\\Skyline Taskbar Utility\\SLTaskbarUtility.exe",
}

AGENT_INFO: Spec = {
    **AGENT,
    **CONTENT,
    "content": {"type": "bool", "default": False},
    "likely_version": {"type": "raw"},
    "package": {"type": "path"},
    "installer": INSTALLER,
    "web_service": WEB_SERVICE,
}

BACKUP: Spec = {
    **AGENT,
    **JOB,
    **CONTENT,
    **ZIP,
    "keep": {"type": "int", "default": 5, "range": (1, None)},
    "before": {"type": "raw"},
}

UPGRADE: Spec = {
    **AGENT,
    **JOB,
    "package": {"type": "path"},
    "version": {"type": "raw"},
    "sha256": {"type": "str"},
    "installer": INSTALLER,
    "installer_arguments": {"type": "list", "elements": "str", "default": ["-upgrade", "{package}"]},
    "success_codes": {"type": "list", "elements": "int", "default": [0]},
}

RESTORE: Spec = {
    **AGENT,
    **JOB,
    **ZIP,
    "state": {"type": "str", "required": True, "choices": ["chosen", "prepared", "committed", "released", "undone"]},
    "backup": {"type": "str", "default": "target"},
    "version": {"type": "raw"},
    "chosen": {"type": "dict"},
    "prepared": {"type": "str"},
    "commit_id": {"type": "str"},
    "committed": {"type": "str"},
    "apps": {"type": "list", "elements": "str", "default": []},
    "dashboards": {"type": "list", "elements": "str", "default": []},
    "safety_copy": {"type": "bool", "default": True},
    "leftovers": {"type": "str", "choices": ["keep", "quarantine"], "default": "keep"},
    "mtime": {"type": "str", "choices": ["now", "keep"], "default": "now"},
    "web_service": WEB_SERVICE,
    "deadline": {"type": "int", "default": 900, "range": (1, None)},
    "again": {"type": "bool", "default": False},
    "migrated": {"type": "dict"},
}

CLUSTER: Spec = {"cluster": {"type": "str", "default": ""}}

VERSION_GATE: Spec = {
    **CLUSTER,
    "purpose": {"type": "str", "required": True, "choices": ["upgrade", "downgrade", "backup", "status"]},
    "target": {"type": "raw"},
    "expected": {"type": "raw"},
    "package": {"type": "str", "default": ""},
    "package_size": {"type": "int"},
    "package_brought": {"type": "bool", "default": False},
    "members": {"type": "list", "elements": "str", "default": []},
    "results": {"type": "str", "default": "dataminer_scan"},
    "allow_partial": {"type": "bool", "default": False},
    "clock_skew": {"type": "int", "default": 60, "range": (0, None)},
    "timeout": JOB["timeout"],
    "dashboard_gateway": {"type": "bool"},
    "daas": {"type": "bool", "default": False},
    "allow_reboot": {"type": "bool", "default": False},
    "report_path": {"type": "path"},
}

CLUSTER_BARRIER: Spec = {
    **CLUSTER,
    "phase": {"type": "str", "required": True},
    "results": {"type": "str", "required": True},
    "undone": {"type": "str", "default": ""},
    "remedy": {"type": "str", "default": "Mend the cause and run the playbook again: it continues from what is there."},
}

NAMES: Spec = {
    "module_names": {"type": "dict", "default": {"GQI DxM": "DataMiner GQI", "Web DcM": "DataMiner Web"}},
    "web_processes": {"type": "list", "elements": "str", "default": ["W3SVC", "w3wp", "DataMiner GQI", "DataMiner Web"]},
}

CLUSTER_VERIFY: Spec = {
    **CLUSTER,
    **NAMES,
    "results": {"type": "str", "default": "dataminer_after"},
    "expected": {"type": "raw"},
    "content_equal": {"type": "bool", "default": False},
    "modules_equal": {"type": "bool", "default": True},
}

RESTORE_GATE: Spec = {**CLUSTER, "results": {"type": "str", "default": "dataminer_restore_chosen"}, "accept_loss": {"type": "str", "default": ""}}

CLUSTER_REPORT: Spec = {
    **NAMES,
    "purpose": {"type": "str", "required": True, "choices": ["upgrade", "downgrade", "backup", "status"]},
    "path": {"type": "path"},
}

ALL: dict[str, Spec] = {
    "agent_info": AGENT_INFO,
    "backup": BACKUP,
    "upgrade": UPGRADE,
    "restore": RESTORE,
    "version_gate": VERSION_GATE,
    "cluster_barrier": CLUSTER_BARRIER,
    "cluster_verify": CLUSTER_VERIFY,
    "restore_gate": RESTORE_GATE,
    "cluster_report": CLUSTER_REPORT,
}


def argument_spec(module: str) -> Spec:
    """A copy for one module, to hand to Ansible."""
    return copy.deepcopy({name: {word: what for word, what in option.items() if word != "range"} for name, option in ALL[module].items()})
