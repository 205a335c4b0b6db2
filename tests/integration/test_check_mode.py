"""`--check --diff` from start to end: nothing changes on any agent, and what would happen is said. The gate is as strict as in earnest: see
test_refusals.py.
"""

from __future__ import annotations

import pytest
from conftest import MakeSite
from playbook import scenarios, target


@pytest.mark.each_core
def test_upgrade(make_site: MakeSite) -> None:
    """Of a cluster in step, of one in which an agent is there already, of one on its way from elsewhere."""
    differ = {"per_agent": {"differ-2": {"web": "10.5.9"}, "differ-3": {"web": "10.5.7"}}}
    site = make_site(*scenarios(usual={"agents": 1}, differ={"agents": 3, **differ}))
    before = site.trees()

    run = site.play("upgrade_web", "--check", "--diff", variables=target(site.cluster))

    assert run.rc == 0, run.text
    assert site.trees() == before
    assert "check mode: nothing was changed" in run.summary
    assert run.summary.count("10.5.6 (CU0) -> 10.5.9 (CU0)") == 2
    assert "10.5.7 (CU0) -> 10.5.9 (CU0)" in run.summary
    assert run.verdicts("usual") == {"usual-1": "would change"}
    assert run.verdicts("differ") == {"differ-1": "would change", "differ-2": "unchanged", "differ-3": "would change"}
    assert "would make" in run.summary
    assert '+include low-code app "' in run.text
    assert "+include Dashboards" in run.text
    assert "-web version 10.5.6 (CU0)" in run.text
    assert "+web version 10.5.9 (CU0) by DataMiner 10.5.9.0-" in run.text
    assert "Prove that the agents of the cluster are in step" in run.tasks


def test_backup_and_status(make_site: MakeSite) -> None:
    site = make_site(agents=1)
    before = site.trees()

    backup = site.play("backup_web", "--check", "--diff")
    status = site.play("cluster_status", "--check")

    assert (backup.rc, status.rc) == (0, 0), backup.text + status.text
    assert site.trees() == before
    assert '+include low-code app "' in backup.text
    assert "would make" in backup.summary
    assert backup.verdicts() == {"DMA1": "would change"}
    assert status.verdicts() == {"DMA1": "in step"}
