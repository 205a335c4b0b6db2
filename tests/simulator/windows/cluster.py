# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulated clusters as Windows hosts: a server for each agent, and an inventory that leads to them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import state
from ..cluster import Agent, Cluster
from .engines import Engines
from .files import FileModules, Local
from .host import PlayedHost
from .listener import Line
from .machine import PlayedMachine
from .modules import PlayedModules
from .server import PlayedServer

_SSH = {"ansible_connection": "ssh", "ansible_shell_type": "powershell"}
CONNECTIONS: dict[str, dict[str, str]] = {
    "winrm": {"ansible_connection": "winrm", "ansible_winrm_scheme": "http", "ansible_winrm_transport": "basic"},
    "psrp": {
        "ansible_connection": "psrp",
        "ansible_psrp_protocol": "http",
        "ansible_psrp_auth": "basic",
        "ansible_psrp_message_encryption": "never",
    },
    "ssh": _SSH,  # with a key
    "ssh_password": _SSH,
}
KEY = "ansible_ssh_private_key_file"
Native = Callable[[Path], str]


def slashed(path: str) -> Path:
    """A path of a host that shares this machine's; Ansible joins the parts of a Windows path by backslashes."""
    return Path(path.replace("\\", "/"))


@dataclass(frozen=True)
class PlayedAgent:
    """An agent, the host it is on, and the server that is asked."""

    cluster: Cluster
    agent: Agent
    host: PlayedHost
    server: Line


@dataclass(frozen=True, kw_only=True)
class Way:
    """How hosts are reached: what plays a host for it, and the inventory's variables for all of them."""

    serve: Callable[[PlayedHost], Line]
    variables: Callable[[Sequence[PlayedAgent]], dict[str, Any]]


@dataclass(frozen=True)
class PlayedSite:
    """All played hosts of an inventory, by agent's name."""

    inventory: Path
    agents: dict[str, PlayedAgent]

    def host(self, name: str) -> PlayedHost:
        return self.agents[name].host

    def server(self, name: str) -> Line:
        return self.agents[name].server

    @property
    def refused(self) -> list[str]:
        """What any of the hosts didn't do."""
        return [text for played in self.agents.values() for text in played.host.refused]

    @property
    def open_shells(self) -> list[str]:
        """The hosts with shells that weren't closed, without those whose connection was cut."""
        return [name for name, played in self.agents.items() if getattr(played.server, "shells", None) and not played.host.faults.ever]


@contextmanager
def play(
    clusters: Sequence[Cluster],
    inventory: Path,
    engines: Engines,
    *,
    connection: str = "winrm",
    native: Native = str,
    local: Local = slashed,
    tools: Callable[[Agent], dict[str, object]] | None = None,
    patience: int = 20,
) -> Iterator[PlayedSite]:
    """Serves every agent until the block ends, and writes the inventory.

    `native` turns a path of this machine into one of the hosts', `local` does the reverse; `tools` names an agent's installer and host command there;
    `patience` is how many seconds the controller lets an operation take before it asks again, as it does on a real host.
    """
    played: dict[str, PlayedAgent] = {}
    with _way(connection, inventory.with_suffix(".ssh"), local, patience) as way:
        try:
            for cluster in clusters:
                for agent in cluster.agents:
                    machine = PlayedMachine(agent.home, native, local)
                    host = PlayedHost(agent.name, PlayedModules(engines, _facts(agent), FileModules(local)), machine)
                    server = way.serve(host)
                    machine.line = (server.leave, server.come_back)
                    played[agent.name] = PlayedAgent(cluster, agent, host, server)
            site = PlayedSite(inventory, played)
            _write_inventory(site, {**CONNECTIONS[connection], **way.variables(list(played.values()))}, native, tools or _tools)
            yield site
        finally:
            for one in played.values():
                one.server.leave()


@contextmanager
def _way(connection: str, folder: Path, local: Local, patience: int) -> Iterator[Way]:
    """Both libraries of WinRM give up reading somewhat later than the operation's own time; ssh once nothing has come for that long."""
    if CONNECTIONS[connection]["ansible_connection"] == "ssh":
        from . import ssh  # noqa: PLC0415 - the demo doesn't need its library

        keys = ssh.Keys()
        with ssh.client(folder, keys) as variables:
            yield Way(
                serve=lambda host: ssh.PlayedSsh(host, local, keys),
                variables=lambda played: variables([one.server.port for one in played], by_key=connection == "ssh", patience=patience),
            )
        return
    names = {"winrm": ("ansible_winrm_operation_timeout_sec", "ansible_winrm_read_timeout_sec")}
    own, reading = names.get(connection, ("ansible_psrp_operation_timeout", "ansible_psrp_read_timeout"))
    yield Way(serve=PlayedServer, variables=lambda _played: {own: patience, reading: patience + 10})


def _facts(agent: Agent) -> Callable[[], dict[str, Any]]:
    return lambda: state.facts(agent.home)


def _tools(agent: Agent) -> dict[str, object]:
    return {"dataminer_installer": str(agent.installer), "dataminer_host_command": str(agent.host_command)}


def _write_inventory(site: PlayedSite, connection: dict[str, Any], native: Native, tools: Callable[[Agent], dict[str, object]]) -> None:
    """In JSON, which is YAML, too: passwords and backslashes need no further thought."""
    hosts = {name: {**_address(one, connection), **_places(one, native), **tools(one.agent)} for name, one in site.agents.items()}
    variables = {**connection, "ansible_host": "127.0.0.1"}
    text = json.dumps({"dataminer": {"vars": variables, "hosts": hosts}}, ensure_ascii=False, indent=1)
    partial = site.inventory.with_suffix(f".{os.getpid()}")
    partial.write_text(text + "\n", "utf-8")
    partial.replace(site.inventory)


def _address(one: PlayedAgent, connection: dict[str, Any]) -> dict[str, Any]:
    where = {"ansible_port": one.server.port, "ansible_user": one.host.user}
    return where if KEY in connection else {**where, "ansible_password": one.host.password}


def _places(one: PlayedAgent, native: Native) -> dict[str, str]:
    agent = one.agent
    return {
        "dataminer_cluster": one.cluster.name,
        "dataminer_root": native(agent.root),
        "dataminer_work_dir": native(agent.work_dir),
        "dataminer_backup_dir": native(agent.backup_dir),
        "dataminer_packages_dir": native(one.cluster.packages_dir),
    }
