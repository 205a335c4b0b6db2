# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a changing module may change this agent: the gate's verdict is a value, bound to a purpose, a target, a package and a set of agents."""

from __future__ import annotations

from typing import Any

from .entry_names import fold
from .errors import Refused
from .package import WEB, parse_package_name
from .version import Version, same_release

PURPOSES = {"backup": ("backup", "upgrade", "downgrade"), "upgrade": ("upgrade", "downgrade"), "restore": ("downgrade",)}


def check_permission(gate: object, *, module: str, agent: str, params: dict[str, Any]) -> None:
    """Raises `Refused` unless `gate` allows `module` on `agent`, for the version and the package in `params`."""
    if not isinstance(gate, dict) or not gate:
        raise _refused(module, "no verdict", "the result of dataminer.web.version_gate in this run")
    if gate.get("allowed") is not True:
        raise _refused(module, "a verdict that denies", "a verdict that allows")
    if gate.get("purpose") not in PURPOSES[module]:
        raise _refused(module, f"a verdict for {gate.get('purpose')!r}", f"one for {' or '.join(PURPOSES[module])}")
    if agent not in (gate.get("agents") or []):
        raise _refused(module, f"a verdict for {', '.join(gate.get('agents') or []) or 'no agent'}", f"one for {agent}")
    wanted, judged = params.get("version"), gate.get("target")
    if module != "backup" and wanted and (not judged or same_release(Version.parse(wanted), Version.parse(judged)) is False):
        raise _refused(module, f"a verdict for {judged or 'no version'}", f"one for {wanted}")
    if module == "upgrade" and params.get("package"):  # without one nothing is installed
        _check_package(gate, str(params["package"]))


def _check_package(gate: dict[str, Any], path: str) -> None:
    """What is installed is what was judged: a web package, the one that was named, of the release that was asked for."""
    package, named, judged = parse_package_name(path), gate.get("package"), gate.get("target")
    if package.kind != WEB:
        raise _refused("upgrade", f"the {package.kind} package {package.file_name}", "a Web package")
    if named and fold(str(named)) != fold(package.file_name):
        raise _refused("upgrade", f"a verdict for {named}", f"one for {package.file_name}")
    if not judged or same_release(package.version, Version.parse(judged)) is False:
        raise _refused("upgrade", f"a verdict for {judged or 'no version'}", f"one for {package.version}, which {package.file_name} brings")


def _refused(module: str, found: str, needed: str) -> Refused:
    return Refused(
        f"{module} changes nothing without a verdict of the gate",
        found=found,
        needed=needed,
        remedy="run the whole playbook: the gate carries the tag always; don't use --start-at-task",
    )
