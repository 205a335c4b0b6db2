"""An agent that falls silent, in each phase of an upgrade: the others stay in step, nothing is lost, and running again finishes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from conftest import MakeSite
from playbook import Run, Site, Trees, installs, jobs, own_backups, scenarios, target, until

OLD, NEW = "10.5.6", "10.5.9"


def upgrade(site: Site) -> Run:
    """On all clusters at once. Where an agent falls silent while its backup is followed, there has to be a second look at it."""
    wait = "{{ 0 if dataminer_cluster == 'backup_followed' else 1 }}"
    variables = target(site.cluster, NEW, dataminer_poll_interval=wait)
    return site.play("upgrade_web", "--forks", "20", variables=variables)


def webs(site: Site, cluster: str) -> list[str]:
    return [site.webs()[agent.name] for agent in site.named(cluster).agents]


@pytest.mark.each_core
def test_while_the_install_is_followed(make_site: MakeSite) -> None:
    """The install goes on without the controller; the next run finds it done. A network that comes back costs nothing."""
    site = make_site(*scenarios(for_good={}, for_a_moment={}), install_seconds=3)
    site.switch_off("for_good-2", module="upgrade", skip=1)
    site.switch_off("for_a_moment-2", module="upgrade", skip=1, times=2)

    run = upgrade(site)

    assert run.rc != 0
    for name in ("for_good-2", "for_a_moment-2"):
        assert f"{name}: connection lost, what was begun goes on; connecting again" in run.said
    assert run.verdicts("for_good") == {"for_good-1": "stopped after install: another agent failed", "for_good-2": "UNREACHABLE"}
    assert run.verdicts("for_a_moment") == {"for_a_moment-1": "done", "for_a_moment-2": "done"}
    assert webs(site, "for_a_moment") == [NEW, NEW]
    site.switch_on("for_good-2")
    until(lambda: webs(site, "for_good") == [NEW, NEW], what="the install that nobody follows")
    again = upgrade(site)
    assert (again.rc, again.changed) == (0, 0), again.text
    assert [(len(installs(agent)), len(jobs(agent, "install"))) for agent in site.agents] == [(1, 1)] * 4


@pytest.mark.long
def test_in_each_phase(make_site: MakeSite) -> None:
    """Each phase has a cluster of its own, whose second agent falls silent there."""
    site = make_site(*scenarios(**{name: {"agents": 1 if name.startswith("only") else 2} for name in SCENARIOS}))
    before = site.trees()
    package = site.cluster.package(NEW)
    site.tell_agents_of("package", dataminer_package_sha256=hashlib.sha256(package.read_bytes()).hexdigest())
    site.switch_off("scan-2", module="agent_info")
    site.switch_off("package-2", module="stat")
    site.switch_off("backup-2", module="backup")
    site.switch_off("backup_followed-2", module="backup", once=str(site.agent("backup_followed-2").work_dir / "jobs" / "backup-*"))
    site.switch_off("install-2", module="upgrade")
    site.switch_off("verification-2", module="agent_info", skip=1)
    site.switch_off("only_scan-1", module="agent_info")
    site.switch_off("only_install-1", module="upgrade")

    run = upgrade(site)

    assert run.rc != 0
    for scenario in SCENARIOS.values():
        scenario(site, run, before)
    for name in SCENARIOS:
        site.switch_on(site.named(name).agents[-1].name)
    again = upgrade(site)
    assert again.rc == 0, again.text
    assert set(site.webs().values()) == {NEW}
    assert [len(installs(agent)) for agent in site.agents] == [1] * len(site.agents), "no installer ran twice"
    assert again.verdicts("install") == {"install-1": "unchanged", "install-2": "done"}
    assert again.verdicts("verification") == {"verification-1": "unchanged", "verification-2": "unchanged"}
    assert [again.recap[f"verification-{number}"]["changed"] for number in (1, 2)] == [0, 0]


def untouched(site: Site, before: Trees, cluster: str) -> None:
    after = site.trees()
    assert all(after[agent.name] == before[agent.name] for agent in site.named(cluster).agents)


def at_the_scan(site: Site, run: Run, before: Trees) -> None:
    """Nothing is touched anywhere, and the gate says who is missing."""
    untouched(site, before, "scan")
    assert run.recap["scan-2"]["failed"] == 1
    assert "Gate of cluster scan: upgrade to 10.5.9 (CU0): DENIED, nothing was changed" in run.text
    (said,) = run.messages("scan-1")
    for part in ("scan-2: read: found unreachable", "needed every agent of the cluster is read", "make the agent reachable"):
        assert part in said
    assert run.verdicts("scan") == {"scan-1": "denied by the gate, unchanged", "scan-2": "UNREACHABLE"}


def at_the_scan_of_the_only_agent(site: Site, run: Run, before: Trees) -> None:
    """Nobody else is left to speak: there is a summary and a report all the same."""
    untouched(site, before, "only_scan")
    assert run.verdicts("only_scan") == {"only_scan-1": "UNREACHABLE"}
    assert "only_scan-1 failed (unreachable): " in run.summary


def while_the_package_is_looked_at(site: Site, run: Run, before: Trees) -> None:
    """Not even a backup is made anywhere."""
    untouched(site, before, "package")
    assert "Stopped after the phase package, for the cluster to stay in step. package-2: failed" in run.messages("package-1")[0]
    assert "that the agent is unreachable" in run.messages("package-2")[-1]
    assert run.verdicts("package") == {"package-1": "stopped after package: another agent failed", "package-2": "FAILED: package"}


def at_the_start_of_the_backup(site: Site, run: Run, before: Trees) -> None:
    """The other agent's backup is made; nothing is installed anywhere."""
    assert webs(site, "backup") == [OLD, OLD]
    assert [len(installs(agent)) for agent in site.named("backup").agents] == [0, 0]
    assert [len(own_backups(agent)) for agent in site.named("backup").agents] == [1, 0]
    (said,) = run.messages("backup-1")
    assert "Stopped after the phase backup, for the cluster to stay in step. backup-2: unreachable: backup-2 doesn't answer" in said
    assert run.verdicts("backup") == {"backup-1": "stopped after backup: another agent failed", "backup-2": "UNREACHABLE"}


def while_the_backup_is_followed(site: Site, run: Run, before: Trees) -> None:
    """The backup is made all the same; nothing is installed anywhere, and the next run takes it up."""
    first, second = site.named("backup_followed").agents
    assert f"Stopped after the phase backup, for the cluster to stay in step. {second.name}: unreachable" in run.messages(first.name)[0]
    assert [len(installs(agent)) for agent in (first, second)] == [0, 0]
    assert run.verdicts("backup_followed") == {first.name: "stopped after backup: another agent failed", second.name: "UNREACHABLE"}
    until(lambda: len(own_backups(second)) == 1, what="the backup that nobody waits for")


def at_the_start_of_the_install(site: Site, run: Run, before: Trees) -> None:
    """The other agent's install goes to its end; then the cluster stops, and says that it is out of step."""
    assert webs(site, "install") == [NEW, OLD]
    assert "Stopped after the phase install, for the cluster to stay in step. install-2: unreachable" in run.messages("install-1")[0]
    assert "run the playbook again" in run.messages("install-1")[0]
    assert run.verdicts("install") == {"install-1": "stopped after install: another agent failed", "install-2": "UNREACHABLE"}


def at_the_install_of_the_only_agent(site: Site, run: Run, before: Trees) -> None:
    assert run.verdicts("only_install") == {"only_install-1": "UNREACHABLE"}
    assert "NOT DONE on only_install-1" in run.summary


def at_the_verification(site: Site, run: Run, before: Trees) -> None:
    """All is installed, but nobody can say that the cluster is in step; the next run can, and changes nothing."""
    assert webs(site, "verification") == [NEW, NEW]
    assert "The cluster is NOT in step: not read: verification-2 (unreachable" in run.messages("verification-1")[0]
    assert run.verdicts("verification") == {"verification-1": "FAILED: verification", "verification-2": "UNREACHABLE"}


SCENARIOS: dict[str, Callable[[Site, Run, Trees], None]] = {
    "scan": at_the_scan,
    "only_scan": at_the_scan_of_the_only_agent,
    "package": while_the_package_is_looked_at,
    "backup": at_the_start_of_the_backup,
    "backup_followed": while_the_backup_is_followed,
    "install": at_the_start_of_the_install,
    "only_install": at_the_install_of_the_only_agent,
    "verification": at_the_verification,
}


def test_status_of_the_only_agent(make_site: MakeSite) -> None:
    """There is a summary and a report of it all the same."""
    site = make_site(agents=1)
    before = site.trees()
    site.switch_off("DMA1", module="agent_info")

    run = site.play("cluster_status")

    assert run.rc != 0
    assert site.trees() == before
    assert run.verdicts() == {"DMA1": "UNREACHABLE"}
    assert "DMA1 failed (unreachable): " in run.summary
