"""Two clusters in one inventory: each is judged, changed and stopped on its own."""

from __future__ import annotations

import pytest
from conftest import MakeSite
from playbook import Site, installs, target


@pytest.fixture
def two(make_site: MakeSite) -> Site:
    """The clusters pluto (DMA1, DMA2) and mars (M1, M2)."""
    return make_site({}, {"name": "mars", "agents": ("M1", "M2"), "first_id": 211, "network": "10.99.1"})


@pytest.mark.each_core
def test_one_is_denied(two: Site) -> None:
    """The other is upgraded; the denied one is untouched; the run as a whole has failed."""
    pluto, mars = two.clusters
    mars.set_state("M1", pending_reboot=["Windows Update"])
    before = two.trees()

    run = two.play("upgrade_web", variables=target(pluto))

    assert run.rc != 0
    assert two.webs() == {"DMA1": "10.5.9", "DMA2": "10.5.9", "M1": "10.5.6", "M2": "10.5.6"}
    after = two.trees()
    assert {name for name in before if after[name] == before[name]} == {"M1", "M2"}
    assert "Gate of cluster pluto: upgrade to 10.5.9 (CU0): ALLOWED" in run.text
    assert "Gate of cluster mars: upgrade to 10.5.9 (CU0): DENIED" in run.text
    assert run.verdicts("pluto") == {"DMA1": "done", "DMA2": "done"}
    assert set(run.verdicts("mars").values()) == {"denied by the gate, unchanged"}
    assert "Summary of cluster pluto" in run.summary
    assert "Summary of cluster mars" in run.summary


def test_one_fails_at_the_install(two: Site) -> None:
    """The other goes on to its end."""
    pluto, mars = two.clusters
    mars.set_state("M1", fail_at="prerequisites")

    run = two.play("upgrade_web", variables=target(pluto))

    assert run.rc != 0
    assert two.webs() == {"DMA1": "10.5.9", "DMA2": "10.5.9", "M1": "10.5.6", "M2": "10.5.9"}
    assert run.verdicts("pluto") == {"DMA1": "done", "DMA2": "done"}
    assert run.verdicts("mars") == {"M1": "FAILED: install", "M2": "stopped after install: another agent failed"}
    assert run.recap["DMA1"]["failed"] == run.recap["DMA2"]["failed"] == 0

    again = two.play("upgrade_web", variables=target(pluto))

    assert again.rc == 0, again.text
    assert set(two.webs().values()) == {"10.5.9"}
    assert [len(installs(agent)) for agent in two.agents] == [1, 1, 2, 1]


def test_one_is_unreachable_at_the_backup(two: Site) -> None:
    """Nothing is installed in that cluster, everything in the other."""
    pluto, _mars = two.clusters
    two.switch_off("M2", module="backup")

    run = two.play("upgrade_web", variables=target(pluto))

    assert run.rc != 0
    assert two.webs() == {"DMA1": "10.5.9", "DMA2": "10.5.9", "M1": "10.5.6", "M2": "10.5.6"}
    assert run.verdicts("pluto") == {"DMA1": "done", "DMA2": "done"}
    assert run.verdicts("mars") == {"M1": "stopped after backup: another agent failed", "M2": "UNREACHABLE"}


def test_agents_of_two_clusters_taken_for_one(two: Site) -> None:
    """An inventory that doesn't tell the clusters apart is wrong, and DMS.xml proves it."""
    two.inventory.write_text(two.inventory.read_text("utf-8").replace('dataminer_cluster: "mars"', 'dataminer_cluster: "pluto"'), "utf-8")
    before = two.trees()

    run = two.play("upgrade_web", variables=target(two.cluster))

    assert run.rc != 0
    assert two.trees() == before
    assert "M1: unlisted: found not in the DMS.xml of DMA1, DMA2" in run.messages("DMA1")[0]
