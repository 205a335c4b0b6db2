# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole simulated cluster: several agents that show the same content, packages, launchers, and an Ansible inventory."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import state as machine
from .content import APPS, AppSpec, Entry, Size, app_id
from .hostcmd import CALLS
from .packages import make_package
from .releases import TWO_VERSIONS, Release
from .schema import content_files, is_stamped, restamp
from .tree import ROOT, Member, TreeSpec, write_agent
from .vendor import BACKUPS, MemorySource, ZipStyle, select, write_zip

INSTALLER = "Program Files (x86)/Skyline Communications/Skyline Taskbar Utility/SLTaskbarUtility.exe"
_TESTS = Path(__file__).resolve().parents[1]
_NOISE = {CALLS, machine.STATE_LOCK, machine.UPGRADE_LOCK}  # written by reading, too
# it needs the standard library only, and starts often
_LAUNCHER = """\
#!{interpreter} -SE
import sys

sys.path.insert(0, {tests!r})
from simulator.{module} import main

raise SystemExit(main(sys.argv[1:], home={home!r}))
"""


@dataclass(frozen=True, kw_only=True)
class Agent:
    """One agent's name, id, address, and where its things are."""

    name: str
    id: int
    address: str
    home: Path

    @property
    def root(self) -> Path:
        return self.home / ROOT

    @property
    def work_dir(self) -> Path:
        return self.home / "Web Work"

    @property
    def backup_dir(self) -> Path:
        return self.home / "Web Backups"

    @property
    def vendor_backup_dir(self) -> Path:
        return self.root / BACKUPS

    @property
    def installer(self) -> Path:
        return self.home / INSTALLER

    @property
    def host_command(self) -> Path:
        return self.home / "host-command"

    @property
    def packages(self) -> Path:
        """Where installs leave their folders."""
        return self.root / "Upgrades" / "Packages"


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster on disk. Agents are asked for by name."""

    dir: Path
    name: str
    agents: tuple[Agent, ...]

    @classmethod
    def load(cls, directory: Path) -> Cluster:
        """The cluster that was created in a folder. Raises FileNotFoundError where there is none."""
        found = [(path.parent, machine.load(path.parent)) for path in sorted(directory.absolute().glob(f"*/{machine.STATE}"))]
        if not found:
            raise FileNotFoundError(f"{directory} holds no simulated cluster")
        agents = sorted((Agent(name=s["agent"], id=s["id"], address=s["address"], home=home) for home, s in found), key=lambda agent: agent.id)
        return cls(dir=directory.absolute(), name=str(found[0][1]["cluster"]), agents=tuple(agents))

    def agent(self, name: str) -> Agent:
        found = [agent for agent in self.agents if agent.name == name]
        if not found:
            raise ValueError(f"no agent {name}; there are {', '.join(agent.name for agent in self.agents)}")
        return found[0]

    @property
    def packages_dir(self) -> Path:
        return self.dir / "packages"

    @property
    def inventory(self) -> Path:
        return self.dir / "inventory.yml"

    def package(self, version: str, kind: str = "Web") -> Path:
        """The path of a package of that release in the cluster's folder; made where it isn't there yet."""
        return make_package(self.packages_dir, version, kind=kind)

    def state(self, name: str) -> dict[str, Any]:
        return machine.load(self.agent(name).home)

    def set_state(self, name: str, **changes: object) -> None:
        """Changes facts of an agent's machine. Raises KeyError for one the simulator doesn't know."""
        with machine.changing(self.agent(name).home) as state:
            unknown = set(changes) - set(state)
            if unknown:
                raise KeyError(f"no such fact: {', '.join(sorted(unknown))}; there are {', '.join(sorted(state))}")
            state.update(changes)

    def host_calls(self, name: str) -> list[dict[str, Any]]:
        """The calls of an agent's host command so far: time, argv, rc."""
        log = self.agent(name).home / CALLS
        return [json.loads(line) for line in log.read_text("utf-8").splitlines()] if log.exists() else []

    def upgrade_running(self, name: str) -> AbstractContextManager[None]:
        """Within the block an upgrade seems to run on the agent, and another one is refused."""
        return machine.upgrade_lock(self.agent(name).home)

    def app_folder(self, app: str) -> str:
        """The folder, a GUID, of the app of that name."""
        return app_id(self.state(self.agents[0].name)["seed"], app)

    def digest(self, name: str) -> dict[str, str]:
        """SHA-256 of each file below Applications, Dashboards and Web, by path relative to the root."""
        root = self.agent(name).root
        return {path: hashlib.sha256((root / path).read_bytes()).hexdigest() for path in content_files(root)}

    def tree_digest(self, name: str) -> dict[str, str]:
        """All there is of an agent: per file its SHA-256, size, time and mode, per folder time and mode. Equal before and after means
        nothing was changed.

        Left out are the log of the host command's calls and the locks, which reading writes too.
        """
        home = self.agent(name).home
        return {path.relative_to(home).as_posix(): _describe(path) for path in _everything(home) if path.relative_to(home).as_posix() not in _NOISE}

    def make_vendor_backup(self, name: str, web_version: str, when: float, *, style: ZipStyle | None = None) -> Path:
        """Adds a vendor backup of an agent's content as it was, or would be, on a web version.

        `when`, in seconds since the epoch, is the zip's time.
        """
        agent, state, release = self.agent(name), self.state(name), Release.parse(web_version)
        tree = {path: _entry(agent.root, path, release) for path in content_files(agent.root)}
        source = MemorySource(tree)
        chosen = select(source, two_versions=TWO_VERSIONS.reached(release), with_web=bool(state["vendor_zip_holds_web"]))
        path = agent.vendor_backup_dir / f"{uuid.uuid4()}.zip"
        write_zip(path, source, chosen.paths, offset_minutes=state["offset_minutes"], style=style)
        os.utime(path, (when, when))
        return path


def _everything(folder: Path) -> Iterator[Path]:
    for place, dirs, names in os.walk(folder):
        dirs.sort()
        yield from (Path(place) / name for name in (*dirs, *sorted(names)))


def _describe(path: Path) -> str:
    about = path.lstat()
    if path.is_dir():
        return f"folder {about.st_mtime_ns} {about.st_mode:o}"
    return f"{hashlib.sha256(path.read_bytes()).hexdigest()} {about.st_size} {about.st_mtime_ns} {about.st_mode:o}"


def _entry(root: Path, path: str, release: Release) -> Entry:
    data = (root / path).read_bytes()
    return Entry(restamp(data, release) if is_stamped(path) else data, (root / path).stat().st_mtime)


def create_cluster(
    directory: Path,
    *,
    agents: int | Sequence[str] = 3,
    name: str = "pluto",
    server: str = "10.5.4.0-15588-20250319-release",
    web: str | None = "10.5.6",
    seed: int = 7,
    vendor_backups: int = 2,
    five: bool = False,
    five_from: str | None = None,
    failed: bool = False,
    failover: bool = False,
    install_seconds: float = 1.0,
    interpreter: str | None = None,
    offset_minutes: int = 60,
    first_id: int = 111,
    network: str = "10.11.12",
    apps: Sequence[AppSpec] = APPS,
    size: Size | None = None,
    style: ZipStyle | None = None,
    packages: Sequence[str] = ("10.5.9", "10.5.6"),
    per_agent: Mapping[str, Mapping[str, Any]] | None = None,
    now: float | None = None,
) -> Cluster:
    """Creates a cluster in a folder, with an inventory and its web packages, and returns it. Raises FileExistsError where one already is.

    `agents`: how many (DMA1…), or their names. `web`: the web version, None for the one the server came with. `five`: exactly five vendor backups,
    the oldest with the content of `five_from`, by default the server's web version. `failed`: the newest package folder is of a failed install.
    `per_agent`: by agent's name, `server` or `web` where it differs, or facts of its state. `interpreter`: the Python of the launchers.
    """
    if any(directory.glob(f"*/{machine.STATE}")):
        raise FileExistsError(f"{directory} holds a simulated cluster already; remove it first, or name another folder")
    names = [f"DMA{number}" for number in range(1, agents + 1)] if isinstance(agents, int) else list(agents)
    members = tuple(Member(name=agent, id=first_id + index, address=f"{network}.{index + 1}") for index, agent in enumerate(names))
    spec = TreeSpec(
        cluster=name,
        members=members,
        server=Release.parse(server),
        web=_web(web, server),
        seed=seed,
        now=time.time() if now is None else now,
        offset_minutes=offset_minutes,
        vendor_backups=vendor_backups,
        five_from=Release.parse(five_from or server) if five or five_from else None,
        failed=failed,
        failover=failover,
        apps=tuple(apps),
        size=size or Size(),
        style=style or ZipStyle(),
        install_seconds=install_seconds,
    )
    _write_agents(directory.absolute(), spec, per_agent or {}, interpreter or sys.executable)
    cluster = Cluster.load(directory)
    for version in packages:
        cluster.package(version)
    write_inventory(cluster.inventory, [cluster])
    return cluster


def _web(web: str | None, server: str) -> Release:
    """The web version; the server's own where it is the same release or isn't said."""
    full = Release.parse(server)
    return full if web is None or Release.parse(web).label == full.label else Release.parse(web)


def _write_agents(directory: Path, spec: TreeSpec, per_agent: Mapping[str, Mapping[str, Any]], interpreter: str) -> None:
    for index, member in enumerate(spec.members):
        home, own = directory / member.name, dict(per_agent.get(member.name, {}))
        server, web = (Release.parse(own.pop(key)) if key in own else usual for key, usual in (("server", spec.server), ("web", spec.web)))
        write_agent(home, spec if (server, web) == (spec.server, spec.web) else replace(spec, server=server, web=web), index)
        _write_launcher(home / INSTALLER, "taskbar", home, interpreter)
        _write_launcher(home / "host-command", "hostcmd", home, interpreter)
        if own:
            Cluster.load(directory).set_state(member.name, **own)


def _write_launcher(path: Path, module: str, home: Path, interpreter: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_LAUNCHER.format(interpreter=interpreter, tests=str(_TESTS), module=module, home=str(home)), "utf-8")
    path.chmod(0o755)


def write_inventory(path: Path, clusters: Sequence[Cluster]) -> None:
    """One inventory for several clusters. Raises ValueError where two agents bear one name."""
    agents = [(cluster, agent) for cluster in clusters for agent in cluster.agents]
    if len({agent.name for _, agent in agents}) < len(agents):
        raise ValueError("two agents bear one name: create the clusters with different names of agents")
    lines = [
        "---",
        "dataminer:",
        "  vars:",
        *_rows({"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}, 4),
    ]
    lines.append("  hosts:")
    for cluster, agent in agents:
        lines += [f"    {_quoted(agent.name)}:", *_rows(_host_vars(cluster, agent), 6)]
    path.write_text("\n".join(lines) + "\n", "utf-8")


def _host_vars(cluster: Cluster, agent: Agent) -> dict[str, str]:
    return {
        "dataminer_cluster": cluster.name,
        "dataminer_root": str(agent.root),
        "dataminer_work_dir": str(agent.work_dir),
        "dataminer_backup_dir": str(agent.backup_dir),
        "dataminer_installer": str(agent.installer),
        "dataminer_host_command": str(agent.host_command),
        "dataminer_packages_dir": str(cluster.packages_dir),
    }


def _rows(values: Mapping[str, str], indent: int) -> list[str]:
    return [f"{' ' * indent}{key}: {_quoted(value)}" for key, value in values.items()]


def _quoted(text: str) -> str:
    """A JSON string is a YAML string, too; characters beyond ASCII stay as they are, as YAML knows no surrogates."""
    return json.dumps(text, ensure_ascii=False)
