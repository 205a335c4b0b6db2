"""upgrade_web.yml on played Windows hosts: there and again, denied, dry, failed half way, with a controller that dies."""

from __future__ import annotations

import pytest
from conftest import MakeWindowsSite
from playbook import Run, installs, jobs, own_backups, until
from played import WindowsSite, content_of, needs, settled

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
@pytest.mark.parametrize("connection", ["winrm", "psrp"])
def test_upgrade_and_a_second_run(make_windows_site: MakeWindowsSite, connection: str) -> None:
    needs(connection)
    site = make_windows_site(connection=connection)
    contents = {agent.name: site.cluster.digest(agent.name) for agent in site.agents}

    run = site.play("upgrade_web", variables=site.target())

    upgraded(site, run, contents)
    assert f"Gate of cluster pluto: upgrade to {NEW} (CU0): ALLOWED" in run.gate
    assert "no process beside the web server restarted" in run.summary

    trees = site.trees()
    again = site.play("upgrade_web", variables=site.target())

    assert again.rc == 0, again.text
    assert again.changed == 0
    assert set(again.verdicts().values()) == {"unchanged"}
    assert site.trees() == trees


@pytest.mark.parametrize("version", ["10.5.9", "10.5.12"], ids=["within", "across"])
def test_round_trips(make_windows_site: MakeWindowsSite, version: str) -> None:
    """One call to read the agent, one a phase, one to read it again; no more where backups hold other versions of apps before and after."""
    site = make_windows_site(agents=1)

    run = site.play("upgrade_web", variables=site.target(version))

    assert run.rc == 0, run.text
    assert site.rounds("DMA1") == {"scan": 2, "start": 2}


@pytest.mark.windows
def test_upgrade_under_wine(make_wine_site: MakeWindowsSite) -> None:
    """The agent's tree is at C:\\…, the engine is the Windows one."""
    site = make_wine_site(agents=1)
    contents = {"DMA1": site.cluster.digest("DMA1")}

    upgraded(site, site.play("upgrade_web", variables=site.target()), contents)


@pytest.mark.each_core
def test_denied_by_the_gate(make_windows_site: MakeWindowsSite) -> None:
    """One agent isn't fit: nothing is touched on any, and nothing but scans has run."""
    site = make_windows_site()
    site.cluster.set_state("DMA2", pending_reboot=["Windows Update"])
    before = site.trees()

    run = site.play("upgrade_web", variables=site.target())

    assert run.rc != 0
    assert site.trees() == before
    assert "DENIED, nothing was changed" in run.gate
    assert "pending-reboot" in run.messages("DMA1")[0]
    assert [set(site.scripts(agent.name)) for agent in site.agents] == [{"scan"}, {"scan"}]


@pytest.mark.each_core
def test_check_mode(make_windows_site: MakeWindowsSite) -> None:
    site = make_windows_site()
    before = site.trees()

    run = site.play("upgrade_web", "--check", "--diff", variables=site.target())

    assert run.rc == 0, run.text
    assert site.trees() == before
    assert run.verdicts() == {"DMA1": "would change", "DMA2": "would change"}
    assert f"+web version {NEW} (CU0) by DataMiner {NEW}.0-" in run.text
    assert "+include low-code app " in run.text
    for agent in site.agents:
        assert all(call.check for call in site.host(agent.name).calls)


@pytest.mark.each_core
def test_agent_that_fails_half_way(make_windows_site: MakeWindowsSite) -> None:
    """The other one ends its phase, the cluster stops; running again finishes, and the backup of before the failure stays."""
    site = make_windows_site()
    site.cluster.set_state("DMA2", fail_at="migration")
    failing, content = site.cluster.agent("DMA2"), site.cluster.digest("DMA2")

    run = site.play("upgrade_web", variables=site.target())

    assert run.rc != 0
    assert run.verdicts() == {"DMA1": "stopped after install: another agent failed", "DMA2": "FAILED: install"}
    (said,) = run.messages("DMA2")
    for part in ("The installer ended with code 1", "told to fail at migration", "Needed: one of the codes 0", "run the playbook again"):
        assert part in said
    (kept,) = own_backups(failing)

    again = site.play("upgrade_web", variables=site.target())

    assert again.rc == 0, again.text
    assert again.verdicts() == {"DMA1": "unchanged", "DMA2": "done"}
    assert own_backups(failing) == [kept]
    assert content_of(failing.backup_dir / kept) == content
    assert [len(installs(agent)) for agent in site.agents] == [1, 2]


def test_controller_killed_during_the_install(make_windows_site: MakeWindowsSite) -> None:
    """Jobs on the agent don't need it; the next run finds them, running or done, and starts no second installer."""
    site = make_windows_site(agents=1, install_seconds=3)
    (agent,) = site.agents
    playing = site.begin("upgrade_web", variables=site.target())
    until(lambda: bool(installs(agent)) or playing.process.poll() is not None, what="an install")
    playing.kill()
    assert not settled(agent)

    again = site.play("upgrade_web", variables=site.target())

    assert again.rc == 0, again.text
    assert site.webs() == {"DMA1": NEW}
    assert len(installs(agent)) == len(jobs(agent, "install")) == 1
    assert len(own_backups(agent)) == 1


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
