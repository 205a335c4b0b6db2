# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's cluster as Windows hosts, reached over WinRM."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..cluster import Cluster, write_inventory
from . import wine
from .cluster import PlayedSite, play
from .engines import EngineFailed, EngineMissing, Engines


def found_engines() -> tuple[Engines, str]:
    """Those of the Windows that Wine plays where there are some that work, else those of this machine; and which they are, in words.

    Raises EngineMissing where there are none.
    """
    try:
        engines = Engines.wine()
        return engines, f"the Windows that Wine plays, by {engines.launcher[0]}"
    except (EngineMissing, EngineFailed, OSError) as error:
        engines = Engines.posix()
        return engines, f"{engines.command[0]} on this machine, not in a Windows: {error}"


def home(folder: Path, engines: Engines) -> Path:
    """Where agents of the demo are: under Wine in a folder of that name on drive C:."""
    return wine.drive_c() / folder.name if engines.windows else folder


def native(path: Path, engines: Engines) -> str:
    """A path as the played hosts know it."""
    return wine.native(path) if engines.windows else str(path)


@contextmanager
def over_winrm(cluster: Cluster, engines: Engines) -> Iterator[PlayedSite]:
    """Plays the agents while the block lasts; the cluster's inventory leads to them. After it, it leads to the files again."""
    where = wine.places(engines) if engines.windows else {}
    try:
        with play([cluster], cluster.inventory, engines, **where) as played:
            yield played
    finally:
        engines.close()
        write_inventory(cluster.inventory, [cluster])


def told(played: PlayedSite) -> list[str]:
    """What came over the wire, a line an agent."""
    rows = []
    for name, one in played.agents.items():
        sizes = sum(seen.size for seen in one.host.requests)
        rows.append(
            f"{name}: {len(one.host.calls)} calls of ansible.windows.win_powershell, {len(one.host.requests)} requests, {sizes / 1e6:.1f} MB sent"
        )
    return rows
