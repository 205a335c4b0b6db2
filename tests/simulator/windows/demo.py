# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's cluster as Windows hosts, reached over WinRM."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..cluster import Cluster, write_inventory
from .cluster import PlayedSite, play
from .engines import Engines


@contextmanager
def over_winrm(cluster: Cluster, engines: Engines) -> Iterator[PlayedSite]:
    """Plays the agents while the block lasts; the cluster's inventory leads to them. After it, it leads to the files again."""
    try:
        with play([cluster], cluster.inventory, engines) as played:
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
