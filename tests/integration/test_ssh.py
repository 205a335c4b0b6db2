"""Played Windows hosts over ssh, with Windows PowerShell as the shell there."""

from __future__ import annotations

import pytest
from conftest import MakeWindowsSite
from playbook import installs, own_backups
from played import content_of

pytestmark = pytest.mark.powershell

OLD, NEW = "10.5.6", "10.5.9"


@pytest.mark.each_core
def test_status_and_upgrade_and_a_second_run(make_windows_site: MakeWindowsSite) -> None:
    """Read-only first; one install with a backup of what was there; then nothing. The canary for the form of calls over ssh, too."""
    site = make_windows_site(connection="ssh", agents=1)
    (agent,) = site.agents
    before, content = site.trees(), site.cluster.digest(agent.name)

    status = site.play("cluster_status")

    assert status.rc == 0, status.text
    assert status.verdicts() == {"DMA1": "in step"}
    assert site.trees() == before
    assert site.scripts("DMA1") == ["scan"]

    run = site.play("upgrade_web", variables=site.target())

    assert run.rc == 0, run.text
    assert site.webs() == {"DMA1": NEW}
    assert len(installs(agent)) == 1
    (backup,) = own_backups(agent)
    assert content_of(agent.backup_dir / backup) == content

    trees = site.trees()
    again = site.play("upgrade_web", variables=site.target())

    assert (again.rc, again.changed) == (0, 0), again.text
    assert again.verdicts() == {"DMA1": "unchanged"}
    assert site.trees() == trees
