"""Packages brought to played Windows hosts, and agents restarted there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from conftest import MakeWindowsSite, WebServer
from playbook import installs
from played import WindowsSite
from simulator.windows.files import PREFIX
from simulator.windows.machine import PlayedMachine

pytestmark = pytest.mark.powershell

NEW = "10.5.9"
PENDING = ["Component Based Servicing"]


def machine(site: WindowsSite, name: str) -> PlayedMachine:
    found = site.host(name).commands
    assert isinstance(found, PlayedMachine)
    return found


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
    site = make_windows_site()
    wanted = elsewhere(site)
    package = Path(str(wanted["dataminer_package"]))

    run = site.play("upgrade_web", variables=wanted)

    assert run.rc == 0, run.text
    assert site.webs() == {"DMA1": NEW, "DMA2": NEW}
    assert modules(site, "DMA1") == ["win_stat", "win_file", "win_copy", "win_copy", "win_stat"]
    for agent in site.agents:
        assert (agent.work_dir / "packages" / package.name).read_bytes() == package.read_bytes()
        assert list((agent.home / "Temp").iterdir()) == []
    site.forget()
    again = site.play("upgrade_web", variables=wanted)
    assert (again.rc, again.changed) == (0, 0), again.text
    assert modules(site, "DMA1") == []


def half_there(site: WindowsSite, package: Path) -> Path:
    """Where a copy that was cut has left the beginning of a package."""
    folder = site.agents[0].work_dir / "packages"
    folder.mkdir(parents=True)
    (folder / package.name).write_bytes(package.read_bytes()[:-1])
    return folder / package.name


def test_package_from_a_web_server(make_windows_site: MakeWindowsSite, web_server: WebServer) -> None:
    """Without a SHA-256 nobody knows whether what is there is whole: it is brought again."""
    site = make_windows_site(agents=1)
    wanted = {**elsewhere(site), "dataminer_package_from": "agent"}
    package = Path(str(wanted["dataminer_package"]))
    there = half_there(site, package)

    run = site.play("upgrade_web", variables={**wanted, "dataminer_package": f"{web_server(site.dir)}/{quote(package.name)}"})

    assert run.rc == 0, run.text
    assert len(web_server.asked) == 1
    assert there.read_bytes() == package.read_bytes()
    assert site.webs() == {"DMA1": NEW}


def test_package_from_a_share(make_windows_site: MakeWindowsSite) -> None:
    """A UNC path, which the agent copies from by itself; what was cut before is brought again."""
    site = make_windows_site(agents=1)
    wanted = {**elsewhere(site), "dataminer_package_from": "agent"}
    package = Path(str(wanted["dataminer_package"]))
    there = half_there(site, package)
    share = "\\" + str(package).replace("/", "\\")
    assert share.startswith("\\\\")

    run = site.play("upgrade_web", "--tags", "package", variables={**wanted, "dataminer_package": share})

    assert run.rc == 0, run.text
    assert modules(site, "DMA1") == ["win_stat", "win_file", "win_copy", "win_stat"]
    assert there.read_bytes() == package.read_bytes()


def test_package_from_a_web_server_that_has_another_one(make_windows_site: MakeWindowsSite) -> None:
    site = make_windows_site(agents=1)
    wanted = {**elsewhere(site), "dataminer_package_from": "agent", "dataminer_package_sha256": "0" * 64}
    package = Path(str(wanted["dataminer_package"]))

    run = site.play("upgrade_web", variables={**wanted, "dataminer_package": package.as_uri().replace("file://", "http://127.0.0.1:1")})

    assert run.rc != 0
    assert "Error downloading 'http://127.0.0.1:1" in run.text
    assert installs(site.agents[0]) == []


def test_pending_reboot_when_restarts_are_allowed(make_windows_site: MakeWindowsSite) -> None:
    """One after the other, each back with its web API before the next goes, the machines of a Failover pair without one between; then the upgrade."""
    site = make_windows_site(agents=3, failover=True)
    pair(site, "DMA1", "DMA3")
    for agent in site.agents:
        site.cluster.set_state(agent.name, pending_reboot=PENDING)
        machine(site, agent.name).web_slow = 2.0
    denied = site.play("upgrade_web", variables=site.target())
    assert denied.rc != 0
    assert "dataminer_allow_reboot=true" in denied.messages("DMA1")[0]
    dry = site.play("upgrade_web", "--check", variables=site.target(dataminer_allow_reboot=True))
    assert dry.rc == 0, dry.text
    assert [len(machine(site, agent.name).boots) for agent in site.agents] == [1, 1, 1]

    run = site.play("upgrade_web", variables=site.target(dataminer_allow_reboot=True))

    assert run.rc == 0, run.text
    assert [len(machine(site, agent.name).boots) for agent in site.agents] == [2, 2, 2]
    first, last, second = (machine(site, agent.name) for agent in site.agents)
    assert first.web_up[0] < second.boots[1] < second.web_up[0] < last.boots[1]
    assert first.web_up[0] > first.boots[1] + 2
    assert site.webs() == {"DMA1": NEW, "DMA2": NEW, "DMA3": NEW}


def test_reboot_that_stays_pending(make_windows_site: MakeWindowsSite) -> None:
    """The other agent isn't restarted, and nothing is installed."""
    site = make_windows_site()
    for name in ("DMA1", "DMA2"):
        site.cluster.set_state(name, pending_reboot=PENDING)
        machine(site, name).stubborn = True

    run = site.play("upgrade_web", variables=site.target(dataminer_allow_reboot=True))

    assert run.rc != 0
    assert [len(machine(site, agent.name).boots) for agent in site.agents] == [2, 1]
    assert "a reboot is pending still. Found Component Based Servicing" in run.messages("DMA1")[0]
    assert "DMA1 was restarted and isn't back" in run.messages("DMA2")[0]
    assert all(installs(agent) == [] for agent in site.agents)
