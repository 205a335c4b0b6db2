"""`--check --diff` from start to end: nothing changes on any agent, and what would happen is said."""

from __future__ import annotations

import pytest
from conftest import MakeSite
from playbook import target


@pytest.mark.each_core
def test_upgrade(make_site: MakeSite) -> None:
    site = make_site()
    before = site.trees()

    run = site.play("upgrade_web", "--check", "--diff", variables=target(site.cluster))

    assert run.rc == 0, run.text
    assert site.trees() == before
    assert "check mode: nothing was changed" in run.summary
    assert run.summary.count("10.5.6 (CU0) -> 10.5.9 (CU0)") == 2
    assert run.verdicts() == {"DMA1": "would change", "DMA2": "would change"}
    assert "would make" in run.summary
    assert '+include low-code app "' in run.text
    assert "+include Dashboards" in run.text
    assert "-web version 10.5.6 (CU0)" in run.text
    assert "+web version 10.5.9 (CU0) by DataMiner 10.5.9.0-" in run.text
    assert "Prove that the agents of the cluster are in step" in run.tasks


def test_upgrade_of_agents_that_differ(make_site: MakeSite) -> None:
    """One is there already: only the other would be changed, and the end would be in step."""
    site = make_site(per_agent={"DMA2": {"web": "10.5.9"}})
    before = site.trees()

    run = site.play("upgrade_web", "--check", "--diff", variables=target(site.cluster))

    assert run.rc == 0, run.text
    assert site.trees() == before
    assert run.verdicts() == {"DMA1": "would change", "DMA2": "unchanged"}


def test_upgrade_of_agents_on_their_way_from_elsewhere(make_site: MakeSite) -> None:
    """Neither is there, and they differ from each other."""
    site = make_site(per_agent={"DMA2": {"web": "10.5.7"}})
    before = site.trees()

    run = site.play("upgrade_web", "--check", "--diff", variables=target(site.cluster))

    assert run.rc == 0, run.text
    assert site.trees() == before
    assert run.verdicts() == {"DMA1": "would change", "DMA2": "would change"}
    assert "10.5.7 (CU0) -> 10.5.9 (CU0)" in run.summary


def test_denied_upgrade(make_site: MakeSite) -> None:
    """The gate is as strict as in earnest."""
    site = make_site()
    site.cluster.set_state("DMA2", pending_reboot=["Windows Update"])
    before = site.trees()

    run = site.play("upgrade_web", "--check", variables=target(site.cluster))

    assert run.rc != 0
    assert site.trees() == before
    assert "pending-reboot" in run.messages("DMA1")[0]


def test_backup_and_status(make_site: MakeSite) -> None:
    site = make_site()
    before = site.trees()

    backup = site.play("backup_web", "--check", "--diff")
    status = site.play("cluster_status", "--check")

    assert (backup.rc, status.rc) == (0, 0), backup.text + status.text
    assert site.trees() == before
    assert '+include low-code app "' in backup.text
    assert "would make" in backup.summary
    assert backup.verdicts() == {"DMA1": "would change", "DMA2": "would change"}
    assert status.verdicts() == {"DMA1": "in step", "DMA2": "in step"}
