"""Packages brought to played Windows hosts, and agents restarted there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from conftest import MakeWindowsSite, WebServer
from playbook import installs, scenarios, until
from played import WindowsSite
from simulator.cluster import Agent
from simulator.windows.faults import Fault
from simulator.windows.files import PREFIX

pytestmark = pytest.mark.powershell

NEW = "10.5.9"
PENDING = ["Component Based Servicing"]


def pair(site: WindowsSite, first: str, second: str) -> None:
    """Makes two agents the machines of a Failover pair: they share an id, in their own file and in what the others list."""
    ids = [f'id="{site.cluster.agent(name).id}"' for name in (first, second)]
    for agent in site.agents:
        for name in ("DMS.xml", "DataMiner.xml"):
            path = agent.root / name
            path.write_bytes(path.read_bytes().replace(ids[1].encode(), ids[0].encode()))
    addresses = {agent.name: f"10.11.12.{number}" for number, agent in enumerate(site.agents, 1)}
    others = {first: addresses[second], second: addresses[first]}
    for agent in site.agents:
        path = agent.root / "DMS.xml"
        twin = f'<Agent ip="{others[agent.name]}"/>'.encode() if agent.name in others else b""
        path.write_bytes(re.sub(rb'<Agent ip="10\.11\.12\.1\d\d"/>', twin, path.read_bytes()))


def elsewhere(site: WindowsSite) -> dict[str, Any]:
    """The upgrade with a package on the controller."""
    package = site.cluster.package(NEW)
    there = package.rename(site.dir / package.name)
    return {"dataminer_target_version": NEW, "dataminer_package": str(there), "dataminer_package_from": "controller"}


def modules(site: WindowsSite, name: str) -> list[str]:
    """The file modules that a host ran, in order, without the scripts."""
    return [call.name.removeprefix(PREFIX) for call in site.host(name).calls if not call.name.endswith("win_powershell")]


def test_package_from_the_controller(make_windows_site: MakeWindowsSite) -> None:
    """Sent once, with its SHA-256 checked on the agent; a second run, on agents that need none, doesn't even look at it."""
    site = make_windows_site(agents=1)
    wanted = elsewhere(site)
    package, (agent,) = Path(str(wanted["dataminer_package"])), site.agents

    run = site.play("upgrade_web", variables=wanted)

    assert run.rc == 0, run.text
    assert site.webs() == {"DMA1": NEW}
    assert modules(site, "DMA1") == ["win_stat", "win_file", "win_copy", "win_copy", "win_stat"]
    assert site.host("DMA1").begun - len(site.host("DMA1").calls) == 3, "commands of win_copy: for a folder, the file and its end"
    assert (agent.work_dir / "packages" / package.name).read_bytes() == package.read_bytes()
    assert list((agent.home / "Temp").iterdir()) == []
    site.forget()
    again = site.play("upgrade_web", variables=wanted)
    assert (again.rc, again.changed) == (0, 0), again.text
    assert modules(site, "DMA1") == []


def half_there(agent: Agent, package: Path) -> Path:
    """Where a copy that was cut has left the beginning of a package."""
    folder = agent.work_dir / "packages"
    folder.mkdir(parents=True)
    (folder / package.name).write_bytes(package.read_bytes()[:-1])
    return folder / package.name


def test_package_that_the_agents_bring_by_themselves(make_windows_site: MakeWindowsSite, web_server: WebServer) -> None:
    """From a web server, from a share, and from a server that doesn't answer; without a SHA-256 nobody knows whether what is there is whole, so
    it is brought again.
    """
    site = make_windows_site(*scenarios(web={"agents": 1}, share={"agents": 1}, nowhere={"agents": 1}))
    package = Path(str(elsewhere(site)["dataminer_package"]))
    there = [half_there(site.agent(name), package) for name in ("web-1", "share-1")]
    share = "\\" + str(package).replace("/", "\\")
    assert share.startswith("\\\\")
    wanted: dict[str, Any] = {"dataminer_target_version": NEW, "dataminer_package_from": "agent"}
    site.tell_agents_of("web", dataminer_package=f"{web_server(site.dir)}/{quote(package.name)}")
    site.tell_agents_of("share", dataminer_package=share)
    site.tell_agents_of("nowhere", dataminer_package=f"http://127.0.0.1:1/{quote(package.name)}", dataminer_package_sha256="0" * 64)

    run = site.play("upgrade_web", "--skip-tags", "verify", variables=wanted)

    assert run.rc != 0
    assert len(web_server.asked) == 1
    assert [path.read_bytes() for path in there] == [package.read_bytes()] * 2
    assert modules(site, "web-1") == ["win_stat", "win_file", "win_get_url", "win_stat"]
    assert modules(site, "share-1") == ["win_stat", "win_file", "win_copy", "win_stat"]
    assert site.webs() == {"web-1": NEW, "share-1": NEW, "nowhere-1": "10.5.6"}
    assert "Error downloading 'http://127.0.0.1:1" in run.text
    assert installs(site.agent("nowhere-1")) == []


def test_pending_reboot_when_restarts_are_allowed(make_windows_site: MakeWindowsSite) -> None:
    """One after the other, each back with its web API before the next goes, the machines of a Failover pair without one between; then the upgrade."""
    site = make_windows_site(agents=3, failover=True)
    pair(site, "DMA1", "DMA3")
    for agent in site.agents:
        site.cluster.set_state(agent.name, pending_reboot=PENDING)
        site.machine(agent.name).web_slow = 2.0
    denied = site.play("upgrade_web", variables=site.target())
    assert denied.rc != 0
    assert "dataminer_allow_reboot=true" in denied.messages("DMA1")[0]
    dry = site.play("upgrade_web", "--check", variables=site.target(dataminer_allow_reboot=True))
    assert dry.rc == 0, dry.text
    assert [len(site.machine(agent.name).boots) for agent in site.agents] == [1, 1, 1]

    run = site.play("upgrade_web", variables=site.target(dataminer_allow_reboot=True))

    assert run.rc == 0, run.text
    assert [len(site.machine(agent.name).boots) for agent in site.agents] == [2, 2, 2]
    first, last, second = (site.machine(agent.name) for agent in site.agents)
    assert first.web_up[0] < second.boots[1] < second.web_up[0] < last.boots[1]
    assert first.web_up[0] > first.boots[1] + 2
    assert site.webs() == {"DMA1": NEW, "DMA2": NEW, "DMA3": NEW}


def test_reboot_that_stays_pending(make_windows_site: MakeWindowsSite) -> None:
    """The other agent isn't restarted, and nothing is installed."""
    site = make_windows_site()
    for name in ("DMA1", "DMA2"):
        site.cluster.set_state(name, pending_reboot=PENDING)
        site.machine(name).stubborn = True

    run = site.play("upgrade_web", variables=site.target(dataminer_allow_reboot=True))

    assert run.rc != 0
    assert [len(site.machine(agent.name).boots) for agent in site.agents] == [2, 1]
    assert "a reboot is pending still. Found Component Based Servicing" in run.messages("DMA1")[0]
    assert "DMA1 was restarted and isn't back" in run.messages("DMA2")[0]
    assert all(installs(agent) == [] for agent in site.agents)


def test_agent_that_is_at_work_by_the_time_of_its_restart(make_windows_site: MakeWindowsSite) -> None:
    """The gate saw it at rest; while the other one restarts, somebody begins to install something."""
    site = make_windows_site()
    for agent in site.agents:
        site.cluster.set_state(agent.name, pending_reboot=PENDING)
    site.machine("DMA1").web_slow = 3.0

    playing = site.begin("upgrade_web", variables=site.target(dataminer_allow_reboot=True))
    until(lambda: len(site.machine("DMA1").boots) > 1 or playing.process.poll() is not None, what="the first restart")
    site.cluster.set_state("DMA2", busy=True)
    run = playing.finish()

    assert run.rc != 0
    assert [len(site.machine(agent.name).boots) for agent in site.agents] == [2, 1]
    assert "The agent isn't restarted" in run.messages("DMA2")[0]
    assert "Found a Windows Installer at work; needed nothing at work" in run.messages("DMA2")[0]
    assert "DMA2 couldn't be restarted" in run.messages("DMA1")[0]
    assert run.verdicts()["DMA2"] == "FAILED: restart"


def test_only_agent_that_falls_silent_before_its_restart(make_windows_site: MakeWindowsSite) -> None:
    """Nobody else is left to speak: there is a summary all the same."""
    site = make_windows_site(agents=1)
    site.cluster.set_state("DMA1", pending_reboot=PENDING)
    site.host("DMA1").faults.plan(Fault(kind="drop", call=2, lasting=True))

    run = site.play("upgrade_web", variables=site.target(dataminer_allow_reboot=True))

    assert run.rc != 0
    assert run.verdicts() == {"DMA1": "UNREACHABLE"}
    assert "DMA1 failed (unreachable): " in run.summary
    assert "DMA1 couldn't be restarted" in run.messages("DMA1")[-1]
