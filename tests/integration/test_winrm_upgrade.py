"""upgrade_web.yml on played Windows hosts: there and again, denied, dry, failed half way, with a controller that dies."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from conftest import MakeWindowsSite
from faulty import closed, told
from playbook import Run, installs, jobs, own_backups, until
from played import WindowsSite, content_of, needs, settled
from simulator.windows.faults import Fault

pytestmark = pytest.mark.powershell

OLD, NEW = "10.5.6", "10.5.9"


def upgraded(site: WindowsSite, run: Run, contents: dict[str, dict[str, str]]) -> None:
    """Every agent runs the new version, after one install, and its backup has what was there before."""
    assert run.rc == 0, run.text
    assert site.webs() == dict.fromkeys(contents, NEW)
    assert run.verdicts() == dict.fromkeys(contents, "done")
    for agent in site.agents:
        assert len(installs(agent)) == 1
        (name,) = own_backups(agent)
        assert content_of(agent.backup_dir / name) == contents[agent.name]


@pytest.mark.each_core
def test_by_psrp(make_nearest_site: MakeWindowsSite) -> None:
    """The same over the other protocol; one call to read the agent, one a phase, one to read it again."""
    needs("psrp")
    site = make_nearest_site(agents=1, connection="psrp")
    contents = {"DMA1": site.cluster.digest("DMA1")}

    run = site.play("upgrade_web", variables=site.target())

    upgraded(site, run, contents)
    assert f"Gate of cluster pluto: upgrade to {NEW} (CU0): ALLOWED" in run.gate
    assert "no process beside the web server restarted" in run.summary
    assert site.rounds("DMA1") == {"scan": 2, "start": 2}
    nothing_to_do(site)


def nothing_to_do(site: WindowsSite) -> None:
    """Another run changes nothing."""
    trees = site.trees()
    run = site.play("upgrade_web", variables=site.target())
    assert (run.rc, run.changed) == (0, 0), run.text
    assert set(run.verdicts().values()) == {"unchanged"}
    assert site.trees() == trees


def test_round_trips_across_versions(make_windows_site: MakeWindowsSite) -> None:
    """No call more where backups hold other versions of apps before and after. A shell serves all calls of a task. By ansible-playbook itself,
    without what makes runs quick.
    """
    site = make_windows_site(agents=1)
    site.plain = True

    run = site.play("upgrade_web", variables=site.target("10.5.12"))

    assert run.rc == 0, run.text
    assert site.rounds("DMA1") == {"scan": 2, "start": 2}
    host = site.host("DMA1")
    verbs = Counter(seen.where.verb for seen in host.requests)
    sizes: Counter[int] = Counter()
    for seen in host.requests:
        sizes[seen.where.call] += seen.size
    tasks, calls = 4, len(host.calls)
    assert (verbs["Create"], verbs["Delete"], verbs["Command"], verbs["Signal"]) == (tasks, tasks, calls, calls)
    assert verbs["Send"] <= 3 * calls
    assert max(sizes.values()) < 600_000, "a call sends Ansible's own wrapper, some 400 kB, and a script"


@pytest.mark.long
@pytest.mark.each_core
def test_dry_then_denied_then_failed_half_way_then_done(make_nearest_site: MakeWindowsSite) -> None:
    """What an operator meets on the way, on one cluster: after a failure running again finishes, and the run after that finds nothing to do."""
    site = make_nearest_site()
    contents = {agent.name: site.cluster.digest(agent.name) for agent in site.agents}
    trees = site.trees()
    _dry(site)
    assert site.trees() == trees
    site.cluster.set_state("DMA2", pending_reboot=["Windows Update"])
    trees = site.trees()
    _denied(site)
    assert site.trees() == trees
    site.cluster.set_state("DMA2", pending_reboot=[], fail_at="migration")
    _half_way(site)
    kept = [own_backups(agent) for agent in site.agents]

    again = site.play("upgrade_web", variables=site.target())

    assert again.rc == 0, again.text
    assert site.webs() == dict.fromkeys(contents, NEW)
    assert again.verdicts() == {"DMA1": "unchanged", "DMA2": "done"}
    assert [len(installs(agent)) for agent in site.agents] == [1, 2]
    assert [own_backups(agent) for agent in site.agents] == kept, "those of before the failure stay"
    for agent, (name,) in zip(site.agents, kept, strict=True):
        assert content_of(agent.backup_dir / name) == contents[agent.name]
    nothing_to_do(site)


def _dry(site: WindowsSite) -> None:
    """--check --diff tells what would change; every call is one of check mode."""
    run = site.play("upgrade_web", "--check", "--diff", variables=site.target())
    assert run.rc == 0, run.text
    assert run.verdicts() == {"DMA1": "would change", "DMA2": "would change"}
    assert f"+web version {NEW} (CU0) by DataMiner {NEW}.0-" in run.text
    assert "+include low-code app " in run.text
    for agent in site.agents:
        assert all(call.check for call in site.host(agent.name).calls)
    site.forget()


def _denied(site: WindowsSite) -> None:
    """One agent isn't fit: nothing but scans runs on any."""
    run = site.play("upgrade_web", variables=site.target())
    assert run.rc != 0
    assert "DENIED, nothing was changed" in run.gate
    assert "pending-reboot" in run.messages("DMA1")[0]
    assert [set(site.scripts(agent.name)) for agent in site.agents] == [{"scan"}, {"scan"}]


def _half_way(site: WindowsSite) -> None:
    """The agent that doesn't fail ends its phase, then the cluster stops."""
    run = site.play("upgrade_web", variables=site.target())
    assert run.rc != 0
    assert f"Gate of cluster pluto: upgrade to {NEW} (CU0): ALLOWED" in run.gate
    assert run.verdicts() == {"DMA1": "stopped after install: another agent failed", "DMA2": "FAILED: install"}
    (said,) = run.messages("DMA2")
    for part in ("The installer ended with code 1", "told to fail at migration", "Needed: one of the codes 0", "run the playbook again"):
        assert part in said
    assert "Prove that the agents of the cluster are in step" not in run.tasks


@pytest.mark.long
def test_controller_killed_during_the_install_and_during_the_commit(make_nearest_site: MakeWindowsSite) -> None:
    """Jobs on the agent don't need it; the next run finds them, running or done, and starts no second installer. A web server that stands still for a
    commit comes back after the deadline, and what is good stays.
    """
    site = make_nearest_site(agents=1, install_seconds=3)
    (agent,), content = site.agents, site.cluster.digest("DMA1")
    playing = site.begin("upgrade_web", variables=site.target())
    until(lambda: bool(installs(agent)) or playing.process.poll() is not None, what="an install")
    playing.kill()
    site.abandoned = True
    assert not settled(agent)

    again = site.play("upgrade_web", variables=site.target())

    assert again.rc == 0, again.text
    assert site.webs() == {"DMA1": NEW}
    assert len(installs(agent)) == len(jobs(agent, "install")) == 1
    assert len(own_backups(agent)) == 1

    faults, wanted = site.host("DMA1").faults, site.target(OLD, dataminer_restore_deadline=3)
    faults.plan(Fault(kind="silent", verb="Receive", late=True, ran=told("kind", "commit")))
    playing = site.begin("downgrade_restore", variables=wanted)
    until(lambda: bool(faults.happened) or playing.process.poll() is not None, what="a commit that has begun")
    playing.kill()
    until(lambda: closed(agent), what="the end of the commit")
    (result,) = (agent.work_dir / "jobs").glob("commit-*/result.json")
    assert re.search(r'"released_by": ?"deadline"', result.read_text("utf-8"))
    assert site.cluster.state("DMA1")["services"]["W3SVC"] == "Running"

    back = site.play("downgrade_restore", variables=wanted)

    assert back.rc == 0, back.text
    assert site.webs() == {"DMA1": OLD}
    after = site.cluster.digest("DMA1")
    assert [path for path, digest in content.items() if after.get(path) != digest] == []
    assert len(jobs(agent, "commit")) == 1


@pytest.mark.long
def test_host_gone_between_the_phases(make_windows_site: MakeWindowsSite) -> None:
    """Its port is closed when the install should start: the other one's install goes to its end, the cluster stops; running again finishes."""
    site = make_windows_site()
    playing = site.begin("upgrade_web", variables=site.target())
    until(lambda: "[dataminer.web.backup : Wait for the backup]" in playing.text(), what="the backup's wait")
    until(lambda: bool(own_backups(site.cluster.agent("DMA2"))), what="a backup")
    site.server("DMA2").leave()

    run = playing.finish()

    assert run.rc != 0
    assert site.webs()["DMA2"] == OLD
    assert run.verdicts()["DMA2"] == "UNREACHABLE"
    site.server("DMA2").come_back()
    again = site.play("upgrade_web", variables=site.target())
    assert again.rc == 0, again.text
    assert site.webs() == {"DMA1": NEW, "DMA2": NEW}
    assert [len(installs(agent)) for agent in site.agents] == [1, 1]
