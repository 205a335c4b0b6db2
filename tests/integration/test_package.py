"""Packages that aren't on the agents yet: from the controller, from a web server, each checked, none brought twice."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from conftest import WebServer
from playbook import Run, Site, installs

NEW = "10.5.9"


@pytest.fixture
def wanted(site: Site) -> dict[str, Any]:
    """The upgrade with a package on the controller, outside of what the agents know."""
    package = site.cluster.package(NEW)
    there = package.rename(site.dir / package.name)
    return {"dataminer_target_version": NEW, "dataminer_package": str(there), "dataminer_package_from": "controller"}


@pytest.fixture
def server(site: Site, web_server: WebServer) -> tuple[str, list[str]]:
    """The address of a web server that serves the controller's folder, and what it was asked for."""
    return web_server(site.dir), web_server.asked


def staged(site: Site) -> dict[str, bytes]:
    """What was brought to each agent."""
    return {agent.name: path.read_bytes() for agent in site.agents for path in (agent.work_dir / "packages").glob("*")}


def sha256(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def finished(site: Site, run: Run, package: bytes) -> None:
    assert run.rc == 0, run.text
    assert site.webs() == dict.fromkeys(("DMA1", "DMA2"), NEW)
    assert staged(site) == dict.fromkeys(("DMA1", "DMA2"), package)


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


def test_half_a_package_is_brought_again(site: Site, wanted: dict[str, Any]) -> None:
    """As a copy that was cut leaves it."""
    package = Path(wanted["dataminer_package"])
    folder = site.agents[1].work_dir / "packages"
    folder.mkdir(parents=True)
    (folder / package.name).write_bytes(package.read_bytes()[:-1])

    finished(site, site.play("upgrade_web", "--skip-tags", "verify", variables=wanted), package.read_bytes())


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


@pytest.mark.parametrize("given", [True, False])
def test_from_a_web_server(site: Site, wanted: dict[str, Any], server: tuple[str, list[str]], given: bool) -> None:
    """It is asked for once by each agent; an agent that runs the target needs none."""
    address, asked = server
    package = Path(wanted.pop("dataminer_package"))
    url = f"{address}/{quote(package.name)}?token=1"
    wanted |= {"dataminer_package": url, "dataminer_package_from": "agent", "dataminer_package_sha256": sha256(str(package)).upper() if given else ""}

    run = site.play("upgrade_web", variables=wanted)

    finished(site, run, package.read_bytes())
    assert len(asked) == 2
    again = site.play("upgrade_web", variables=wanted)
    assert (again.rc, again.changed) == (0, 0), again.text
    assert len(asked) == 2


@pytest.mark.parametrize("wrong", ["sha256", "missing", "folder"])
def test_wrong_package_on_the_controller(site: Site, wanted: dict[str, Any], wrong: str) -> None:
    """Told before anything is touched."""
    before = site.trees()
    package = Path(wanted["dataminer_package"])
    if wrong == "sha256":
        wanted["dataminer_package_sha256"] = "0" * 64
    else:
        package.unlink()
    if wrong == "folder":
        package.mkdir()

    run = site.play("upgrade_web", variables=wanted)

    assert run.rc != 0
    assert site.trees() == before
    (said,) = run.messages("DMA1")
    assert "The package on the controller isn't what is wanted" in said
    assert ("found the sha-256 " if wrong == "sha256" else "found no such file") in said.lower()
    assert str(package) in said


@pytest.mark.parametrize("wrong", ["sha256", "name"])
def test_wrong_package_on_the_web_server(site: Site, wanted: dict[str, Any], server: tuple[str, list[str]], wrong: str) -> None:
    """Nothing is installed anywhere; the backup isn't even begun."""
    package = Path(wanted["dataminer_package"])
    url = f"{server[0]}/{'elsewhere/' if wrong == 'name' else ''}{quote(package.name)}"
    wanted |= {"dataminer_package": url, "dataminer_package_from": "agent"}
    if wrong == "sha256":
        wanted["dataminer_package_sha256"] = "0" * 64

    run = site.play("upgrade_web", variables=wanted)

    assert run.rc != 0
    assert all(not installs(agent) for agent in site.agents)
    assert "Start the backup" not in run.tasks
    assert staged(site) == {}
    assert ("checksum" if wrong == "sha256" else "404") in run.text


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
    """The other one waits: a cluster is upgraded as a whole, or not at all."""
    folder = site.agents[1].work_dir
    folder.mkdir()
    (folder / "packages").write_text("in the way", "utf-8")

    run = site.play("upgrade_web", variables=wanted)

    assert run.rc != 0
    assert "Stopped after the phase package" in " ".join(run.messages("DMA1"))
    assert run.verdicts() == {"DMA1": "stopped after package: another agent failed", "DMA2": "FAILED: package"}
    assert all(not installs(agent) for agent in site.agents)
    (folder / "packages").unlink()
    again = site.play("upgrade_web", "--skip-tags", "verify", variables=wanted)
    finished(site, again, Path(wanted["dataminer_package"]).read_bytes())
