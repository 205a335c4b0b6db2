"""Played Windows hosts over ssh: OpenSSH's own client, and Windows PowerShell as the shell there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.plugin_utils.windows_host import script_text
from conftest import MakeWindowsSite
from faulty import clusters, play, reach_again, told
from playbook import installs, own_backups
from played import content_of, needs
from simulator.windows.faults import Fault
from simulator.windows.payload import ModuleCall

pytestmark = pytest.mark.powershell

OLD, NEW = "10.5.6", "10.5.9"


@pytest.fixture(autouse=True)
def _openssh() -> None:
    needs("ssh")


@pytest.mark.each_core
def test_status_and_upgrade_and_a_second_run(make_windows_site: MakeWindowsSite) -> None:
    """Read-only first; a package sent from the controller, a backup of what was there, one install; then nothing.

    This is also the canary for the form in which this ansible-core sends calls and files over ssh.
    """
    site = make_windows_site(connection="ssh", agents=1)
    (agent,) = site.agents
    before, content = site.trees(), site.cluster.digest(agent.name)

    status = site.play("cluster_status")

    assert status.rc == 0, status.text
    assert status.verdicts() == {"DMA1": "in step"}
    assert site.trees() == before
    assert site.scripts("DMA1") == ["scan"]

    package = site.cluster.package(NEW).rename(site.dir / site.cluster.package(NEW).name)
    wanted = {"dataminer_target_version": NEW, "dataminer_package": str(package), "dataminer_package_from": "controller"}
    run = site.play("upgrade_web", variables=wanted)

    assert run.rc == 0, run.text
    assert site.webs() == {"DMA1": NEW}
    assert [seen.size for seen in site.host("DMA1").requests if seen.where.verb == "Put"] == [package.stat().st_size]
    assert (agent.work_dir / "packages" / package.name).read_bytes() == package.read_bytes()
    assert len(installs(agent)) == 1
    (backup,) = own_backups(agent)
    assert content_of(agent.backup_dir / backup) == content

    trees = site.trees()
    again = site.play("upgrade_web", variables=wanted)

    assert (again.rc, again.changed) == (0, 0), again.text
    assert again.verdicts() == {"DMA1": "unchanged"}
    assert site.trees() == trees


def test_a_password_and_a_restart(make_windows_site: MakeWindowsSite) -> None:
    """The restart ends the connection that calls shared; nothing is asked twice, and the package is installed once."""
    site = make_windows_site(connection="ssh_password", agents=1)
    (agent,) = site.agents
    site.cluster.set_state(agent.name, pending_reboot=["Windows Update"])

    run = site.play("upgrade_web", variables=site.target(NEW, dataminer_allow_reboot=True))

    assert run.rc == 0, run.text
    assert site.webs() == {"DMA1": NEW}
    assert len(site.machine("DMA1").boots) == 2
    assert len(installs(agent)) == 1
    assert site.host("DMA1").password not in run.text


@pytest.mark.windows
def test_status_and_a_file_under_wine(make_wine_site: MakeWindowsSite) -> None:
    """sftp has its own spelling of a path on a drive."""
    site = make_wine_site(connection="ssh", agents=1)
    (agent,) = site.agents
    source, target = site.dir / "what is sent", agent.home / "that one"
    source.write_bytes(bytes(range(256)))

    copied = site.adhoc("ansible.windows.win_copy", json.dumps({"src": str(source), "dest": site.native(target)}))
    status = site.play("cluster_status")

    assert (copied.rc, target.read_bytes()) == (0, source.read_bytes()), copied.text
    assert status.rc == 0, status.text
    assert status.verdicts() == {"DMA1": "in step"}


INSTALL = told("kind", "install")


def polled(call: ModuleCall) -> bool:
    """Whether a running install was asked for."""
    given = call.args["parameters"]
    return "kind" not in given and str(given.get("run_id")).startswith("install-")


def read_again(call: ModuleCall) -> bool:
    """Whether an agent was read after all: what is to be installed is of no interest any more."""
    return bool(call.args["script"] == script_text("scan") and not call.args["parameters"].get("package"))


# how answers are lost: once (thrice where ssh itself tries again, too), or with all that follow
LOST: dict[str, dict[str, Any]] = {
    "ssh_retries": {"kind": "drop", "ran": INSTALL, "times": 3},
    "silent": {"kind": "silent", "ran": INSTALL},
    "gate": {"kind": "drop", "lasting": True},
    "backup": {"kind": "drop", "ran": told("kind", "backup"), "lasting": True},
    "poll": {"kind": "drop", "ran": polled, "lasting": True},
    "refused": {"kind": "401", "ran": read_again, "lasting": True},
}
ANSWER = "The agent doesn't answer, asked 2 times; jobs that run there go on by themselves"
SAID = {
    "gate": (ANSWER,),
    "backup": (ANSWER, "can be reached over ssh: "),
    "poll": ("The connection was lost (10x) while the agent was asked for the install job", "nothing is lost"),
    "refused": ("The agent refuses the log-on, which isn't tried again; jobs that run there go on by themselves", "Permission denied (publickey"),
}


def test_connections_lost_during_an_upgrade(make_windows_site: MakeWindowsSite) -> None:
    """ssh ends with 255. Sent again, a call finds the job that it began; an agent that stays away ends its job, and running again finishes it."""
    site = clusters(make_windows_site, LOST, connection="ssh", patience=2, web=OLD, vendor_backups=0)
    site.tell("ssh_retries", ansible_ssh_retries=1)
    contents = {agent.name: cluster.digest(agent.name) for cluster in site.clusters for agent in cluster.agents}
    for name, fault in LOST.items():
        site.host(name).faults.plan(Fault(late=True, **fault))

    run = play(site, "upgrade_web", NEW, dataminer_poll_interval=1)

    assert run.rc != 0
    hits = {name: len(site.host(name).faults.happened) for name in LOST}
    assert [hits[name] for name in ("ssh_retries", "silent", "backup", "refused")] == [3, 1, 2, 2]
    assert {name for name, row in run.recap.items() if row["failed"] or row["unreachable"]} == set(SAID), run.text
    for name, parts in SAID.items():
        said = " ".join(run.messages(name))
        assert [part for part in parts if part not in said] == [], name
    reach_again(site)

    again = play(site, "upgrade_web", NEW)

    assert again.rc == 0, run.text + again.text
    assert site.webs() == dict.fromkeys(LOST, NEW)
    for agent in site.agents:
        assert len(installs(agent)) == 1
        for backup in (backups := own_backups(agent)):
            assert content_of(agent.backup_dir / backup) == contents[agent.name]
        assert len(backups) == (2 if agent.name == "backup" else 1)
