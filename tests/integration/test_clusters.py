"""Two clusters in one inventory: each is judged, changed and stopped on its own.

Where one fails at the install, see test_upgrade_web.py; where an agent of one is silent, test_unreachable.py.
"""

from __future__ import annotations

from conftest import MakeSite
from playbook import scenarios, target


def test_one_is_denied(make_site: MakeSite) -> None:
    """The other is upgraded; the denied one is untouched; the run as a whole has failed."""
    site = make_site(*scenarios(pluto={}, mars={}))
    site.named("mars").set_state("mars-1", pending_reboot=["Windows Update"])
    before = site.trees()

    run = site.play("upgrade_web", variables=target(site.cluster))

    assert run.rc != 0
    assert site.webs() == {"pluto-1": "10.5.9", "pluto-2": "10.5.9", "mars-1": "10.5.6", "mars-2": "10.5.6"}
    after = site.trees()
    assert {name for name in before if after[name] == before[name]} == {"mars-1", "mars-2"}
    assert "Gate of cluster pluto: upgrade to 10.5.9 (CU0): ALLOWED" in run.text
    assert "Gate of cluster mars: upgrade to 10.5.9 (CU0): DENIED" in run.text
    assert run.verdicts("pluto") == {"pluto-1": "done", "pluto-2": "done"}
    assert set(run.verdicts("mars").values()) == {"denied by the gate, unchanged"}
    assert "Summary of cluster pluto" in run.summary
    assert "Summary of cluster mars" in run.summary


def test_agents_of_two_clusters_taken_for_one(make_site: MakeSite) -> None:
    """An inventory that doesn't tell the clusters apart is wrong, and DMS.xml proves it."""
    site = make_site(*scenarios(pluto={}, mars={"agents": 1}))
    site.inventory.write_text(site.inventory.read_text("utf-8").replace('dataminer_cluster: "mars"', 'dataminer_cluster: "pluto"'), "utf-8")
    before = site.trees()

    run = site.play("upgrade_web", variables=target(site.cluster))

    assert run.rc != 0
    assert site.trees() == before
    assert "mars-1: unlisted: found not in the DMS.xml of pluto-1, pluto-2" in run.messages("pluto-1")[0]
