"""Simulated clusters with a controller, for tests that run the real playbooks."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playbook import Site, busy, until
from simulator.cluster import create_cluster, write_inventory

MakeSite = Callable[..., Site]


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[MakeSite]:
    """Creates one cluster or, for a list of options, several, in one inventory.

    Two agents on server 10.5.4 and web 10.5.6 that install quickly, unless told otherwise. At the end all jobs have ended, and their files go.
    """
    made: list[Site] = []

    def create(*several: dict[str, object], **options: object) -> Site:
        clusters = []
        for number, own in enumerate(several or ({},)):
            usual: dict[str, object] = {"agents": 2, "server": "10.5.4", "web": "10.5.6", "install_seconds": 0, "packages": ()}
            chosen = {**usual, **options, **own}
            clusters.append(create_cluster(tmp_path / f"cluster{number}", **chosen))  # type: ignore[arg-type]
        controller = tmp_path / "controller"
        controller.mkdir()
        inventory = controller / "inventory.yml"
        write_inventory(inventory, clusters)
        made.append(Site(dir=controller, inventory=inventory, clusters=tuple(clusters)))
        return made[-1]

    yield create
    for site in made:
        for agent in site.agents:
            until(lambda agent=agent: not busy(agent), what=f"the end of all jobs on {agent.name}")
    shutil.rmtree(tmp_path)


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    """The usual cluster of two agents."""
    return make_site()
