"""Packages brought to played Windows hosts, and agents restarted there."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from conftest import MakeWindowsSite, WebServer
from playbook import installs, scenarios, until
from played import WindowsSite
from simulator.cluster import Agent
from simulator.content import APPS
from simulator.windows.faults import Fault
from simulator.windows.files import PREFIX

pytestmark = pytest.mark.powershell

NEW = "10.5.9"
PENDING = ["Component Based Servicing"]
COPIES = ("EXAMPLE\\svc-dataminer", "correct-Share-7")  # an account that may read the share


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


def test_package_from_the_controller(make_nearest_site: MakeWindowsSite) -> None:
    """Sent once, with its SHA-256 checked on the agent; a second run, on agents that need none, doesn't even look at it. What asks for sudo on every
    host asks for it on these in vain, and on the controller.
    """
    site = make_nearest_site(agents=1)
    site.tell_all(ansible_become=False)
    wanted = elsewhere(site)
    package, (agent,) = Path(str(wanted["dataminer_package"])), site.agents

    run = site.play("upgrade_web", variables=wanted, env={"ANSIBLE_BECOME": "true"})

    assert run.rc == 0, run.text
    assert site.webs() == {"DMA1": NEW}
    assert modules(site, "DMA1") == ["win_stat", "win_file", "win_copy", "win_copy", "win_stat"]
    assert site.host("DMA1").begun - len(site.host("DMA1").calls) == 3, "commands of win_copy: for a folder, the file and its end"
    assert run.said.index("1 MiB, about 1 min at 1 MB/s") < run.said.index("Copy it from the controller")
    assert (agent.work_dir / "packages" / package.name).read_bytes() == package.read_bytes()
    assert list((agent.home / "Temp").iterdir()) == []
    site.forget()
    again = site.play("upgrade_web", variables=wanted)
    assert (again.rc, again.changed) == (0, 0), again.text
    assert modules(site, "DMA1") == []


def there(agent: Agent, name: str, data: bytes) -> Path:
    """A file in the place to which a package of that name is brought."""
    folder = agent.work_dir / "packages"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(data)
    return folder / name


def sources(package: Path, address: str) -> dict[str, dict[str, object]]:
    """The variables of one package, by where it comes from; of a share with the runas logon, as docs/windows.md has them."""
    runas = {"ansible_become": True, "ansible_become_method": "runas", "ansible_become_user": COPIES[0], "ansible_become_password": COPIES[1]}
    share = "\\" + str(package).replace("/", "\\")
    return {
        "controller": {"dataminer_package": str(package), "dataminer_package_from": "controller"},
        "web": {"dataminer_package": f"{address}/{quote(package.name)}"},
        "share": {"dataminer_package": share, **runas},
        "path": {"dataminer_package": str(package)},
        "nowhere": {"dataminer_package": f"http://127.0.0.1:1/{quote(package.name)}"},
        "hop": {"dataminer_package": share},
        "stranger": {"dataminer_package": share, **runas, "ansible_become_password": "guessed"},
    }


FETCHED, COPIED = (["win_stat", "win_file", tool, "win_stat"] for tool in ("win_get_url", "win_copy"))
# a cluster each, and the file modules that it runs: by the source, and what is there already, which is half the package unless it `has` all of it
RAN: dict[str, list[str]] = {
    **{"web": FETCHED, "share": COPIED, "nowhere": FETCHED, "hop": COPIED, "stranger": []},
    **{name: ["win_stat"] for name in ("has_controller", "has_web", "has_share", "has_path", "wrong_path")},
    **{"wrong_controller": [], "wrong_web": FETCHED, "wrong_share": COPIED},
}
FOUND = "Found a file with the SHA-256 "
TOLD = {
    "nowhere": "Error downloading 'http://127.0.0.1:1",
    "hop": "as it does not exist",
    "stranger": "The user name or password is incorrect",
    "wrong_controller": "The package on the controller isn't what is wanted. Found the SHA-256",
    "wrong_web": "did not match",
    "wrong_share": FOUND,
    "wrong_path": FOUND,
}


def from_everywhere(make: MakeWindowsSite, web_server: WebServer) -> tuple[WindowsSite, dict[str, Path], bytes]:
    """The clusters of RAN, where each will have its package, and what that should hold."""
    site = make(*scenarios(**{name: {"agents": 1, "apps": APPS[2:3]} for name in RAN}))
    package = site.cluster.package(NEW)
    package = package.rename(site.dir / package.name)
    whole, known, places = package.read_bytes(), sources(package, web_server(site.dir)), {}
    sums = {"has": hashlib.sha256(whole).hexdigest().upper(), "wrong": "0" * 64}
    for name in RAN:
        how, _, source = name.rpartition("_")
        site.tell_agents_of(name, dataminer_package_sha256=sums.get(how, ""), **known[source])
        site.host(f"{name}-1").others = dict([COPIES])
        places[name] = there(site.agent(f"{name}-1"), package.name, whole if how == "has" else whole[:-1])
    return site, places, whole


def test_package_from_everywhere(make_windows_site: MakeWindowsSite, web_server: WebServer) -> None:
    """Without a SHA-256 nobody knows whether what is there is whole, so it is brought again; what has the right one isn't touched. What can't be
    had, or isn't what is wanted, is told of, and that cluster stops.
    """
    site, places, whole = from_everywhere(make_windows_site, web_server)
    before = site.trees()

    run = site.play("upgrade_web", "--tags", "package", variables={"dataminer_target_version": NEW})

    assert run.rc != 0
    assert {name: modules(site, f"{name}-1") for name in RAN} == RAN
    assert {name for name, tree in site.trees().items() if tree != before[name]} == {"web-1", "share-1", "wrong_share-1"}
    assert [places[name].read_bytes() == whole for name in ("web", "share")] == [True, True]
    assert len(web_server.asked) == 2
    assert {name for name, row in run.recap.items() if row["failed"]} == {f"{name}-1" for name in TOLD}
    assert [name for name, part in TOLD.items() if part not in " ".join(run.messages(f"{name}-1"))] == []


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
