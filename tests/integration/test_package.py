"""Packages that aren't on the agents yet: from the controller, from a web server, each checked, none brought twice."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from conftest import MakeSite, WebServer
from playbook import Run, Site, installs, jobs, scenarios, until
from test_upgrade_web import held

NEW = "10.5.9"


@pytest.fixture
def wanted(site: Site) -> dict[str, Any]:
    """The upgrade with a package on the controller."""
    return {"dataminer_target_version": NEW, "dataminer_package": str(outside(site)), "dataminer_package_from": "controller"}


def outside(site: Site) -> Path:
    """A package on the controller, outside of what the agents know."""
    package = site.cluster.package(NEW)
    return package.rename(site.dir / package.name)


def staged(site: Site) -> dict[str, bytes]:
    """What was brought to each agent."""
    return {agent.name: path.read_bytes() for agent in site.agents for path in (agent.work_dir / "packages").glob("*")}


def sha256(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def finished(site: Site, run: Run, package: bytes) -> None:
    assert run.rc == 0, run.text
    names = [agent.name for agent in site.agents]
    assert site.webs() == dict.fromkeys(names, NEW)
    assert staged(site) == dict.fromkeys(names, package)


def test_from_the_controller(site: Site, wanted: dict[str, Any]) -> None:
    package = Path(wanted["dataminer_package"]).read_bytes()
    before = site.trees()
    dry = site.play("upgrade_web", "--check", "--diff", variables=wanted)
    assert dry.rc == 0, dry.text
    assert site.trees() == before
    assert "comes from the controller to" in dry.said
    assert "1 MiB, about 1 min at 1 MB/s" in dry.said

    run = site.play("upgrade_web", variables=wanted)

    finished(site, run, package)
    assert run.said.index("1 MiB, about 1 min") < run.said.index("Copy it from the controller")
    again = site.play("upgrade_web", variables=wanted)
    assert (again.rc, again.changed) == (0, 0), again.text
    assert "Copy it from the controller" not in again.tasks


def test_half_a_package_is_not_installed_when_the_phase_that_brings_it_is_left_out(site: Site, wanted: dict[str, Any]) -> None:
    """Only that phase knows whether a file of that name is whole."""
    package = Path(wanted["dataminer_package"])
    for agent in site.agents:
        (agent.work_dir / "packages").mkdir(parents=True)
        (agent.work_dir / "packages" / package.name).write_bytes(package.read_bytes()[:-1])

    run = site.play("upgrade_web", "--skip-tags", "package", variables=wanted)

    assert run.rc != 0
    assert "Start the install" not in run.tasks
    (said,) = run.messages("DMA1")
    assert "Stopped after the phase package" in said
    assert "Run the whole playbook, without --tags and --skip-tags" in said


def test_from_a_web_server(make_site: MakeSite, web_server: WebServer) -> None:
    """With its SHA-256 given, in capitals, and without; it is asked for once by each agent. One that has it, by its SHA-256, needs none, nor does one
    that runs the target.
    """
    site = make_site(*scenarios(given={}, not_given={"agents": 1}))
    package = outside(site)
    url = f"{web_server(site.dir)}/{quote(package.name)}?token=1"
    wanted = {"dataminer_target_version": NEW, "dataminer_package": url, "dataminer_package_from": "agent"}
    site.tell_agents_of("given", dataminer_package_sha256=sha256(str(package)).upper())
    (site.agent("given-2").work_dir / "packages").mkdir(parents=True)
    shutil.copy(package, site.agent("given-2").work_dir / "packages")

    run = site.play("upgrade_web", variables=wanted)

    finished(site, run, package.read_bytes())
    assert len(web_server.asked) == 2
    again = site.play("upgrade_web", variables=wanted)
    assert (again.rc, again.changed) == (0, 0), again.text
    assert len(web_server.asked) == 2


def test_no_package_is_brought_beneath_an_install(make_site: MakeSite, web_server: WebServer) -> None:
    """Without a SHA-256 it would be brought again; the next run attaches to the install instead."""
    site = make_site(agents=1, install_seconds=5)
    package, (agent,) = outside(site), site.agents
    wanted = {"dataminer_target_version": NEW, "dataminer_package": f"{web_server(site.dir)}/{quote(package.name)}"}
    playing = site.begin("upgrade_web", variables=wanted)
    until(lambda: bool(installs(agent)), what="an install")
    playing.kill()
    with held([agent]):
        following = site.begin("upgrade_web", variables=wanted)
        until(lambda: "Wait for the install]" in following.text() or following.process.poll() is not None, what="the next run's wait")
        assert len(web_server.asked) == 1
    again = following.finish()

    finished(site, again, package.read_bytes())
    assert (len(installs(agent)), len(jobs(agent, "install"))) == (1, 1)


def test_wrong_package_on_the_controller(make_site: MakeSite) -> None:
    """Told before anything is touched."""
    site = make_site(*scenarios(sha256={"agents": 1}, missing={"agents": 1}, folder={"agents": 1}))
    package = outside(site)
    (site.dir / "folder").mkdir()
    given = {"sha256": package, "missing": site.dir / "missing" / package.name, "folder": site.dir / "folder" / package.name}
    given["folder"].mkdir()
    for name, path in given.items():
        site.tell_agents_of(name, dataminer_package=str(path), dataminer_package_sha256="0" * 64 if name == "sha256" else "")
    before = site.trees()

    run = site.play("upgrade_web", variables={"dataminer_target_version": NEW, "dataminer_package_from": "controller"})

    assert run.rc != 0
    assert site.trees() == before
    for name, path in given.items():
        (said,) = run.messages(f"{name}-1")
        assert "The package on the controller isn't what is wanted" in said
        assert ("found the sha-256 " if name == "sha256" else "found no such file") in said.lower()
        assert str(path) in said


def test_wrong_package_on_the_web_server(make_site: MakeSite, web_server: WebServer) -> None:
    """Nothing is installed anywhere; the backup isn't even begun."""
    site = make_site(*scenarios(sha256={"agents": 1}, name={}))
    package, address = outside(site), web_server(site.dir)
    site.tell_agents_of("sha256", dataminer_package=f"{address}/{quote(package.name)}", dataminer_package_sha256="0" * 64)
    site.tell_agents_of("name", dataminer_package=f"{address}/elsewhere/{quote(package.name)}")

    run = site.play("upgrade_web", variables={"dataminer_target_version": NEW, "dataminer_package_from": "agent"})

    assert run.rc != 0
    assert not any(installs(agent) for agent in site.agents)
    assert "Start the backup" not in run.tasks
    assert staged(site) == {}
    assert "checksum" in run.text
    assert "404" in run.text


def test_an_older_file_of_that_name_is_not_taken_for_what_failed_to_come(site: Site, wanted: dict[str, Any]) -> None:
    """Without a SHA-256 nobody could tell; the address's secret stays one, though the download fails. No server listens at that port."""
    package = Path(wanted["dataminer_package"])
    for agent in site.agents:
        (agent.work_dir / "packages").mkdir(parents=True)
        (agent.work_dir / "packages" / package.name).write_bytes(b"older")
    url = f"http://user:C4ller-Pa55@127.0.0.1:9/{quote(package.name)}?token=T0ken-Pa55"

    run = site.play("upgrade_web", "-vvv", variables={**wanted, "dataminer_package": url, "dataminer_package_from": "agent"})

    assert run.rc != 0
    assert "no way to bring it" in run.said
    assert f"comes from http://127.0.0.1:9/{quote(package.name)} to" in run.said
    assert "Start the backup" not in run.tasks
    assert run.verdicts() == dict.fromkeys(("DMA1", "DMA2"), "FAILED: package")
    for secret in ("C4ller-Pa55", "T0ken-Pa55"):
        assert secret not in run.text


def test_one_agent_fails_to_fetch_it(site: Site, wanted: dict[str, Any]) -> None:
    """The other one waits: a cluster is upgraded as a whole, or not at all. Half a package, as a copy that was cut leaves it, is brought again; a
    whole one isn't, when the next run brings it to the agent that failed.
    """
    half = site.agents[0].work_dir / "packages"
    half.mkdir(parents=True)
    package = Path(wanted["dataminer_package"])
    (half / package.name).write_bytes(package.read_bytes()[:-1])
    folder = site.agents[1].work_dir
    folder.mkdir()
    (folder / "packages").write_text("in the way", "utf-8")

    run = site.play("upgrade_web", variables=wanted)

    assert run.rc != 0
    assert "Stopped after the phase package" in " ".join(run.messages("DMA1"))
    assert run.verdicts() == {"DMA1": "stopped after package: another agent failed", "DMA2": "FAILED: package"}
    assert all(not installs(agent) for agent in site.agents)
    assert staged(site)["DMA1"] == package.read_bytes()
    (folder / "packages").unlink()
    again = site.play("upgrade_web", "--skip-tags", "verify", variables=wanted)
    assert re.findall(r"\[(DMA\d)\]", again.text.split("Copy it from the controller]")[1].split("\nTASK ")[0]) == ["DMA2"]
    finished(site, again, package.read_bytes())
