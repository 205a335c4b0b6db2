"""A cluster as an upgrade leaves it, by the use cases themselves and without a playbook: for tests that are about what comes next."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.arguments import argument_spec
from ansible_collections.dataminer.web.plugins.module_utils.case_backup import backup
from ansible_collections.dataminer.web.plugins.module_utils.case_upgrade import upgrade
from ansible_collections.dataminer.web.plugins.module_utils.cases import Case
from ansible_collections.dataminer.web.plugins.module_utils.errors import DataMinerError
from ansible_collections.dataminer.web.plugins.module_utils.local_host import LocalHost
from playbook import Site
from simulator.cluster import Agent, Cluster

Contents = dict[str, dict[str, str]]


def upgraded(site: Site, version: str, *names: str) -> Contents:
    """Backs up every agent, or those of the clusters that are named, and installs that version there, as `upgrade_web` does; one that is told to fail
    does. What each held before.
    """
    clusters = [site.named(name) for name in names] or site.clusters
    contents = {agent.name: cluster.digest(agent.name) for cluster in clusters for agent in cluster.agents}
    for cluster in clusters:
        for agent in cluster.agents:
            backed_up(agent, before=version)
            if cluster.state(agent.name)["fail_at"]:
                with pytest.raises(DataMinerError, match="The installer ended with code 1"):
                    _installed(cluster, agent, version)
                continue
            assert _installed(cluster, agent, version)["changed"]
            assert cluster.digest(agent.name) != contents[agent.name]
    return contents


def _installed(cluster: Cluster, agent: Agent, version: str) -> dict[str, Any]:
    package = str(cluster.package(version))
    return _finished("upgrade", upgrade, agent, package=package, version=version, installer=str(agent.installer))


def backed_up(agent: Agent, **options: object) -> dict[str, Any]:
    """What a backup came to."""
    return _finished("backup", backup, agent, **options)


def _finished(module: str, case: Case, agent: Agent, **options: object) -> dict[str, Any]:
    """The result of a module, once its job has ended."""
    places = {"root": agent.root, "work_dir": agent.work_dir, "backup_dir": agent.backup_dir}
    args: dict[str, Any] = {name: option.get("default") for name, option in argument_spec(module).items()}
    args |= {name: str(path) for name, path in places.items()} | {"agent": agent.name, "host_command": [str(agent.host_command)], **options}
    host = LocalHost(str(agent.work_dir))
    result = case(host, args, check=False, wait=10)
    while not result["finished"]:
        result = case(host, {**args, "run_id": result["job"]["run_id"]}, check=False, wait=10)
    return result
