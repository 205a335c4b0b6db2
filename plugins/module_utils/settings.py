# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each variable of the roles may hold. The roles hand variables to modules as they are; the empty text, as a survey sends it, means unset."""

from __future__ import annotations

from typing import Any

from .arguments import AGENT, BACKUP, CONTENT, NAMES, RESTORE, UPGRADE, VERSION_GATE, Spec
from .errors import InvalidInput, described

_KINDS = {"bool": "true or false", "int": "a whole number", "float": "a number", "list": "a list", "dict": "a mapping"}
_ELEMENTS = {"int": "a list of whole numbers", "str": "a list of texts"}
_TEXT: Spec = {"text": {"type": "str"}}

SETTINGS: Spec = {
    **{f"dataminer_{name}": spec for name, spec in AGENT.items() if name != "agent"},
    "dataminer_hosts": _TEXT["text"],
    "dataminer_cluster": _TEXT["text"],
    "dataminer_target_version": UPGRADE["version"],
    "dataminer_package": _TEXT["text"],
    "dataminer_package_from": {"type": "str", "choices": ["agent", "controller"]},
    "dataminer_package_folder": {"type": "path"},
    "dataminer_package_sha256": UPGRADE["sha256"],
    "dataminer_package_rate": {"type": "float", "range": (0.001, None)},
    "dataminer_timeout": BACKUP["timeout"],
    "dataminer_poll_interval": BACKUP["poll_interval"],
    "dataminer_backup_versions": CONTENT["versions"],
    "dataminer_compression_level": BACKUP["compression_level"],
    "dataminer_retries": BACKUP["retries"],
    "dataminer_backup_keep": BACKUP["keep"],
    "dataminer_backup_before": BACKUP["before"],
    "dataminer_installer": UPGRADE["installer"],
    "dataminer_installer_arguments": UPGRADE["installer_arguments"],
    "dataminer_installer_success_codes": UPGRADE["success_codes"],
    "dataminer_gate_content": {"type": "bool"},
    **{f"dataminer_{name}": VERSION_GATE[name] for name in ("allow_partial", "allow_reboot", "dashboard_gateway", "daas")},
    "dataminer_clock_skew": VERSION_GATE["clock_skew"],
    "dataminer_reboot_timeout": {"type": "int", "range": (1, None)},
    "dataminer_reboot_test_command": _TEXT["text"],
    "dataminer_backup": RESTORE["backup"],
    "dataminer_accept_loss": _TEXT["text"],
    "dataminer_safety_copy": RESTORE["safety_copy"],
    **{f"dataminer_restore_{name}": RESTORE[name] for name in ("apps", "dashboards", "leftovers", "mtime", "again")},
    "dataminer_restore_deadline": RESTORE["deadline"],
    "dataminer_restore_on_failure": {"type": "str", "choices": ["undo", "stop"]},
    "dataminer_web_service": RESTORE["web_service"],
    "dataminer_verify_expected": {"type": "raw"},
    "dataminer_verify_content_equal": {"type": "bool"},
    **{f"dataminer_{name}": spec for name, spec in NAMES.items()},
    "dataminer_report_path": {"type": "path"},
}


def is_unset(value: object) -> bool:
    return value is None or value == ""


def in_range(value: object, spec: dict[str, Any]) -> bool:
    """Whether a value of the right type is within the range of its option, if that has one."""
    least, most = spec.get("range", (None, None))
    return least is None or not isinstance(value, int | float) or (least <= value and (most is None or value <= most))


def unfit(name: str, value: object, spec: dict[str, Any]) -> InvalidInput:
    """The error for a value that the option or variable `name` can't hold."""
    return InvalidInput(
        f"{name} can't be what it is",
        found=described(value),
        needed=_needed(spec),
        remedy=f"correct {name}, or leave it out for its default",
    )


def undefined(name: str, missing: str) -> InvalidInput:
    """The error for a variable whose value asks for another one that doesn't exist."""
    return InvalidInput(
        f"{name} can't be what it is",
        found=f"an expression with {missing}, which is undefined",
        needed="names of variables that exist",
        remedy=f"correct {name}, or set {missing}",
    )


def unseen(name: str, play: object, inventory: object) -> InvalidInput:
    """The error for a variable of a play, where that of the other agents has to be known."""
    return InvalidInput(
        f"{name} can't be a variable of the play",
        found=f"{play!r} in the play, {inventory!r} in the inventory",
        needed="the same, for of other agents a play sees the inventory's variables only",
        remedy=f"set {name} in the inventory, or for all agents with -e",
    )


def _needed(spec: dict[str, Any]) -> str:
    if choices := spec.get("choices"):
        return f"one of {', '.join(map(str, choices))}"
    kind = _ELEMENTS.get(str(spec.get("elements"))) or _KINDS.get(str(spec.get("type")), "a text")
    least, most = spec.get("range", (None, None))
    if least is None:
        return kind
    return f"{kind} of at least {least}" if most is None else f"{kind} from {least} to {most}"
