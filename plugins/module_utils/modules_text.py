# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left to do by hand after a downgrade: the collection doesn't reinstall modules, and an older package leaves newer ones in place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .agent import HostFacts
from .cluster import MISSING, module_versions
from .gate_rules import DCM, GQI
from .version import Threshold, Version

MODULES = (("GQI DxM", GQI, r"Tools\ModuleInstallers\Web"), ("Web DcM", DCM, r"Tools\ModuleInstallers"))
"""Name, since which version there is an MSI of it, and the folder below DataMiner's own where that is."""

_NOT_DONE = "The GQI DxM and the Web DcM were NOT reinstalled: this collection doesn't do that, and an older package leaves newer modules in place."
_CUSTOM = r"C:\Program Files\Skyline Communications\DataMiner GQI\appsettings.custom.json"


def modules_text(agents: Iterable[tuple[str, HostFacts | None]], goal: Version | None, names: Mapping[str, str]) -> str:
    """What is there on each agent, and what to do about each module for the version that the agents went back to."""
    found = list(agents)
    nowhere = {what for what, prefix in names.items() if all(host and module_versions(host, prefix) == MISSING for _name, host in found)}
    return "\n".join(
        [
            _NOT_DONE,
            *(f"  {name}: {_there(host, names)}" for name, host in found),
            "Do this on every agent, before users come back:",
            *(f"  {what}: {_to_do(goal, since, folder, there=what not in nowhere)}" for what, since, folder in MODULES),
            f"  Keep {_CUSTOM}; restart W3SVC afterwards.",
        ]
    )


def _there(host: HostFacts | None, names: Mapping[str, str]) -> str:
    if host is None:
        return "module versions weren't read"
    return ", ".join(f"{what} {module_versions(host, prefix)}" for what, prefix in names.items())


def _to_do(goal: Version | None, since: Threshold, folder: str, *, there: bool) -> str:
    """Uninstalling comes first whatever the target is: a lower MSI over a newer one may corrupt the installation."""
    reached = since.reached(goal) if goal else None
    if reached is False and not there:
        return f"none was found to uninstall (by dataminer_module_names), and there is no MSI of it for {goal} (since {since})"
    if reached is False:
        return f"uninstall it only. There is no MSI of it for {goal} (since {since})"
    reinstall = "uninstall the current one, then install that MSI"
    if reached:
        return f"make sure that the MSI of {goal} is in {folder}, {reinstall}"
    why = f"{goal} doesn't state its CU" if goal else "no target version is known"
    return f"there may be an MSI of it (since {since}; {why}). If it is in {folder}, {reinstall}; if not, uninstall only"
