"""An agent that falls silent, in each phase of an upgrade: the others stay in step, nothing is lost, and running again finishes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from conftest import MakeSite
from playbook import Run, Site, installs, jobs, own_backups, target, until


def finishes(site: Site) -> Run:
    """Every agent answers again, and the same command brings the cluster to its end, with one backup and one install an agent."""
    run = site.play("upgrade_web", variables=target(site.cluster))
    assert run.rc == 0, run.text
    assert site.webs() == {"DMA1": "10.5.9", "DMA2": "10.5.9"}
    assert [len(installs(agent)) for agent in site.agents] == [1, 1]
    return run


@pytest.mark.each_core
def test_at_the_scan(site: Site) -> None:
    """Nothing is touched anywhere, and the gate says who is missing."""
    before = site.trees()
    site.switch_off("DMA2", module="agent_info")

    run = site.play("upgrade_web", variables=target(site.cluster))

    assert run.rc != 0
    assert site.trees() == before
    assert run.recap["DMA2"]["failed"] == 1
    assert "Gate of cluster pluto: upgrade to 10.5.9 (CU0): DENIED, nothing was changed" in run.gate
    (said,) = run.messages("DMA1")
    for part in ("DMA2: read: found unreachable", "needed every agent of the cluster is read", "make the agent reachable"):
        assert part in said
    assert run.verdicts() == {"DMA1": "denied by the gate, unchanged", "DMA2": "UNREACHABLE"}
    site.switch_on("DMA2")
    finishes(site)


@pytest.mark.parametrize("playbook", ["upgrade_web", "cluster_status"])
def test_at_the_scan_of_the_only_agent(make_site: MakeSite, playbook: str) -> None:
    """Nobody else is left to speak: there is a summary and a report all the same."""
    site = make_site(agents=1)
    before = site.trees()
    site.switch_off("DMA1", module="agent_info")

    run = site.play(playbook, variables=target(site.cluster))

    assert run.rc != 0
    assert site.trees() == before
    assert run.verdicts() == {"DMA1": "UNREACHABLE"}
    assert "DMA1 failed (unreachable): " in run.summary


def test_in_the_middle_on_the_only_agent(make_site: MakeSite) -> None:
    site = make_site(agents=1)
    site.switch_off("DMA1", module="upgrade")

    run = site.play("upgrade_web", variables=target(site.cluster))

    assert run.rc != 0
    assert run.verdicts() == {"DMA1": "UNREACHABLE"}
    assert "NOT DONE on DMA1" in run.summary


def test_while_the_package_is_looked_at(site: Site) -> None:
    """Not even a backup is made anywhere."""
    before = site.trees()
    variables = target(site.cluster)
    variables |= {"dataminer_package_sha256": hashlib.sha256(Path(str(variables["dataminer_package"])).read_bytes()).hexdigest()}
    site.switch_off("DMA2", module="stat")

    run = site.play("upgrade_web", variables=variables)

    assert run.rc != 0
    assert site.trees() == before
    assert "Stopped after the phase package, for the cluster to stay in step. DMA2: failed" in run.messages("DMA1")[0]
    assert "that the agent is unreachable" in run.messages("DMA2")[-1]
    assert run.verdicts() == {"DMA1": "stopped after package: another agent failed", "DMA2": "FAILED: package"}


def test_while_the_backup_is_followed(site: Site) -> None:
    """The backup is made all the same; nothing is installed anywhere, and the next run takes it up."""
    site.switch_off("DMA2", module="backup", once=str(site.agents[1].work_dir / "jobs" / "backup-*"))

    run = site.play("upgrade_web", variables=target(site.cluster, dataminer_poll_interval=0))

    assert run.rc != 0
    assert "Stopped after the phase backup, for the cluster to stay in step. DMA2: unreachable" in run.messages("DMA1")[0]
    assert [len(installs(agent)) for agent in site.agents] == [0, 0]
    assert run.verdicts() == {"DMA1": "stopped after backup: another agent failed", "DMA2": "UNREACHABLE"}
    until(lambda: len(own_backups(site.agents[1])) == 1, what="the backup that nobody waits for")
    site.switch_on("DMA2")
    finishes(site)


def test_at_the_start_of_the_backup(site: Site) -> None:
    """The other agent's backup is made; nothing is installed anywhere."""
    site.switch_off("DMA2", module="backup")

    run = site.play("upgrade_web", variables=target(site.cluster))

    assert run.rc != 0
    assert site.webs() == {"DMA1": "10.5.6", "DMA2": "10.5.6"}
    assert [len(installs(agent)) for agent in site.agents] == [0, 0]
    assert [len(own_backups(agent)) for agent in site.agents] == [1, 0]
    (said,) = run.messages("DMA1")
    assert "Stopped after the phase backup, for the cluster to stay in step. DMA2: unreachable: DMA2 doesn't answer" in said
    assert run.verdicts() == {"DMA1": "stopped after backup: another agent failed", "DMA2": "UNREACHABLE"}
    site.switch_on("DMA2")
    finishes(site)


def test_at_the_start_of_the_install(site: Site) -> None:
    """The other agent's install goes to its end; then the cluster stops, and says that it is out of step."""
    site.switch_off("DMA2", module="upgrade")

    run = site.play("upgrade_web", variables=target(site.cluster))

    assert run.rc != 0
    assert site.webs() == {"DMA1": "10.5.9", "DMA2": "10.5.6"}
    assert "Stopped after the phase install, for the cluster to stay in step. DMA2: unreachable" in run.messages("DMA1")[0]
    assert "run the playbook again" in run.messages("DMA1")[0]
    assert run.verdicts() == {"DMA1": "stopped after install: another agent failed", "DMA2": "UNREACHABLE"}
    site.switch_on("DMA2")
    again = finishes(site)
    assert again.verdicts() == {"DMA1": "unchanged", "DMA2": "done"}


@pytest.mark.each_core
def test_while_the_install_is_followed(make_site: MakeSite) -> None:
    """The install goes on without the controller; the next run finds it done."""
    site = make_site(install_seconds=3)
    site.switch_off("DMA2", module="upgrade", skip=1)

    run = site.play("upgrade_web", variables=target(site.cluster))

    assert run.rc != 0
    assert "connection lost, the job goes on" in run.said
    assert run.verdicts() == {"DMA1": "stopped after install: another agent failed", "DMA2": "UNREACHABLE"}
    site.switch_on("DMA2")
    again = finishes(site)
    assert [len(jobs(agent, "install")) for agent in site.agents] == [1, 1]
    assert again.changed == 0


def test_for_a_moment_while_the_install_is_followed(make_site: MakeSite) -> None:
    """A network that comes back costs nothing."""
    site = make_site(install_seconds=3)
    site.switch_off("DMA2", module="upgrade", skip=1, times=2)

    run = site.play("upgrade_web", variables=target(site.cluster))

    assert run.rc == 0, run.text
    assert "DMA2: connection lost, the job goes on; connecting again" in run.said
    assert run.verdicts() == {"DMA1": "done", "DMA2": "done"}
    assert [len(installs(agent)) for agent in site.agents] == [1, 1]


def test_at_the_verification(site: Site) -> None:
    """All is installed, but nobody can say that the cluster is in step; the next run can, and changes nothing."""
    site.switch_off("DMA2", module="agent_info", skip=1)

    run = site.play("upgrade_web", variables=target(site.cluster))

    assert run.rc != 0
    assert site.webs() == {"DMA1": "10.5.9", "DMA2": "10.5.9"}
    assert "The cluster is NOT in step: not read: DMA2 (unreachable" in run.messages("DMA1")[0]
    assert run.verdicts() == {"DMA1": "FAILED: verification", "DMA2": "UNREACHABLE"}
    site.switch_on("DMA2")
    assert finishes(site).changed == 0
