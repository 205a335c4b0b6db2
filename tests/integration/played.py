"""Sites whose agents are played Windows hosts: the same playbooks, over WinRM or PSRP."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.plugin_utils.windows_host import SCRIPTS, script_text
from playbook import ANSIBLE, Run, Site, until
from simulator.cluster import Agent, create_cluster
from simulator.windows import wine
from simulator.windows.cluster import PlayedSite, play
from simulator.windows.engines import Engines
from simulator.windows.host import PlayedHost
from simulator.windows.listener import Line
from simulator.windows.machine import PlayedMachine

USUAL: dict[str, Any] = {"agents": 2, "server": "10.5.4", "web": "10.5.6", "install_seconds": 0, "packages": ()}


@dataclass(kw_only=True)
class WindowsSite(Site):
    """`tolerant`: the hosts may refuse something, as a test that provokes it expects; `abandoned`: a controller was killed, whose shells stay."""

    played: PlayedSite
    windows: bool = False
    tolerant: bool = False
    abandoned: bool = False
    local: bool = False

    def host(self, name: str) -> PlayedHost:
        return self.played.host(name)

    def server(self, name: str) -> Line:
        return self.played.server(name)

    def machine(self, name: str) -> PlayedMachine:
        found = self.host(name).commands
        assert isinstance(found, PlayedMachine)
        return found

    def native(self, path: Path) -> str:
        """A path as the hosts know it."""
        return wine.native(path) if self.windows else str(path)

    def scripts(self, name: str) -> list[str]:
        """Names of the scripts that a host ran, in order."""
        known = {script_text(path.stem): path.stem for path in SCRIPTS.glob("*.ps1")}
        return [known.get(call.args.get("script", ""), call.name) for call in self.host(name).calls]

    def tell_all(self, **variables: object) -> None:
        """Variables that the inventory has for every host."""
        inventory = json.loads(self.inventory.read_text("utf-8"))
        inventory["dataminer"]["vars"] |= variables
        self.inventory.write_text(json.dumps(inventory), "utf-8")

    def forget(self) -> None:
        """Counts from nothing again."""
        for name in self.played.agents:
            host = self.host(name)
            host.requests.clear()
            host.calls.clear()
            host.begun = host.sent = 0

    def target(self, version: str = "10.5.9", **more: object) -> dict[str, object]:
        """The variables that name a version and its package."""
        return {"dataminer_target_version": version, "dataminer_package": self.native(self.cluster.package(version)), **more}

    def adhoc(self, module: str, argument: str | None = None) -> Run:
        """One module, as `ansible` runs it."""
        words = [str(ANSIBLE.with_name("ansible")), "all", "-i", str(self.inventory), "-m", module, *(["-a", argument] if argument else [])]
        done = subprocess.run(words, cwd=self.dir, env=self._environ({}), capture_output=True, text=True, timeout=300, check=False)
        return Run(rc=done.returncode, text=done.stdout + done.stderr, report=None, seconds=0)

    def rounds(self, name: str) -> Counter[str]:
        """How often a host ran each script, polls left out: each call costs seconds on a real host."""
        return Counter(name for name in self.scripts(name) if name != "poll")


def needs(connection: str) -> None:
    """Skips the test where a library for the connection, or a program, is missing."""
    if connection == "ssh" and not shutil.which("ssh"):
        pytest.skip("lane openssh: no program ssh on PATH")
    for name in {"psrp": ("pypsrp", "psrpcore"), "ssh": ("asyncssh",)}.get(connection, ()):
        pytest.importorskip(name, reason=f"lane {connection}: the library {name} is missing")


def content_of(path: Path) -> dict[str, str]:
    """SHA-256 of each file of a zip."""
    with zipfile.ZipFile(path) as archive:
        return {info.filename: hashlib.sha256(archive.read(info)).hexdigest() for info in archive.infolist() if not info.is_dir()}


def settled(agent: Agent) -> bool:
    """Whether every job of an agent has told its end. Where Wine plays Windows, locks can't be seen from here."""
    return all((path.parent / "result.json").exists() for path in (agent.work_dir / "jobs").glob("*/state.json"))


@contextmanager
def windows_site(
    home: Path,
    controller: Path,
    engines: Engines,
    *several: dict[str, object],
    connection: str = "winrm",
    patience: int = 20,
    **options: object,
) -> Iterator[WindowsSite]:
    """A cluster below `home` or, for a list of options, several, played until the block ends: all jobs have ended then, no host refused
    anything, and none has a shell that nobody closed.
    """
    wanted: list[dict[str, Any]] = [{**USUAL, **options, **own} for own in several or ({},)]
    clusters = [create_cluster(home / f"cluster{number}", **one) for number, one in enumerate(wanted)]
    controller.mkdir(exist_ok=True)
    inventory = controller / "inventory.yml"
    where = wine.places(engines) if engines.windows else {}
    with play(clusters, inventory, engines, connection=connection, patience=patience, **where) as played:
        site = WindowsSite(dir=controller, inventory=inventory, clusters=tuple(clusters), played=played, windows=engines.windows)
        yield site
        for agent in site.agents:
            until(partial(settled, agent), what=f"the end of all jobs on {agent.name}")
        assert site.tolerant or not played.refused, played.refused
        assert site.abandoned or not played.open_shells, played.open_shells
