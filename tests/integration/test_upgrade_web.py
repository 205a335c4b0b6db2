"""upgrade_web.yml on a cluster: the upgrade itself, again, after failures, after a killed controller."""

from __future__ import annotations

import hashlib
import os
import signal
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeSite
from playbook import Site, busy, changed_paths, installs, jobs, manifest_header, own_backups, target, until
from simulator.cluster import Agent, Cluster
from simulator.schema import content_files, is_stamped, stamp_of

# what an upgrade may change of an agent, beside the folders of the collection and the state of its machine
WEB = {
    "Applications",
    "Dashboards",
    "Web",
    "Webpages",
    "Upgrades",
    "System Cache",
    "Tools",
    "Web Work",
    "Web Backups",
    "state.json",
    "Skyline DataMiner",
}


def processes(cluster: Cluster, agent: Agent) -> dict[str, tuple[int, str]]:
    return {row["name"]: (row["pid"], row["started"]) for row in cluster.state(agent.name)["processes"]}


def formats(agent: Agent) -> set[str]:
    """The releases in whose formats an agent's content is; files that can't be read don't count."""
    found = set()
    for path in filter(is_stamped, content_files(agent.root)):
        try:
            found.add(stamp_of((agent.root / path).read_bytes()).label)
        except ValueError:
            continue
    return found


def zip_digests(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        return {info.filename: hashlib.sha256(archive.read(info)).hexdigest() for info in archive.infolist() if not info.is_dir()}


@pytest.mark.each_core
def test_fresh_upgrade_of_three_agents_and_a_second_run(make_site: MakeSite) -> None:
    """The whole way there; the second run finds nothing to do and touches nothing."""
    site = make_site(agents=3)
    cluster, content = site.cluster, {agent.name: site.cluster.digest(agent.name) for agent in site.agents}
    before = {agent.name: processes(cluster, agent) for agent in site.agents}

    run = site.play("upgrade_web", variables=target(cluster))

    assert run.rc == 0, run.text
    assert site.webs() == {"DMA1": "10.5.9", "DMA2": "10.5.9", "DMA3": "10.5.9"}
    assert run.verdicts() == {"DMA1": "done", "DMA2": "done", "DMA3": "done"}
    assert "Gate of cluster pluto: upgrade to 10.5.9 (CU0): ALLOWED" in run.gate
    for agent in site.agents:
        _backed_up(run.summary, agent, content[agent.name])
        after = processes(cluster, agent)
        assert {name for name in after if after[name] != before[agent.name].get(name)} == {"W3SVC"}
        assert formats(agent) == {"10.5.9"}
        assert len(installs(agent)) == 1
        assert f"{agent.name} " in run.summary
    assert run.summary.count("10.5.6 (CU0) -> 10.5.9 (CU0)") == 3
    assert "items changed" in run.summary
    assert "no process beside the web server restarted" in run.summary

    trees = site.trees()
    again = site.play("upgrade_web", variables=target(cluster))

    assert again.rc == 0, again.text
    assert again.changed == 0
    assert again.verdicts() == {"DMA1": "unchanged", "DMA2": "unchanged", "DMA3": "unchanged"}
    assert again.summary.count("unchanged") >= 3
    assert "10.5.9 (CU0) ->" not in again.summary
    assert site.trees() == trees


def _backed_up(summary: str, agent: Agent, content: dict[str, str]) -> None:
    """One backup with all that was there before the upgrade, by bytes, and the summary names it."""
    (name,) = own_backups(agent)
    header = manifest_header(agent, name)
    assert (header["agent"], header["purpose"]) == (agent.name, "backup")
    assert header["web_version"].startswith("10.5.6")
    assert zip_digests(agent.backup_dir / name) == content
    assert name in summary
    assert "verified" in summary


@pytest.mark.each_core
def test_agent_that_fails_half_way(make_site: MakeSite) -> None:
    """The others end their phase, the cluster stops; running again finishes, and keeps the backup from before the failed attempt."""
    site = make_site(agents=3)
    site.cluster.set_state("DMA2", fail_at="migration")
    failing = site.cluster.agent("DMA2")
    content = site.cluster.digest("DMA2")

    run = site.play("upgrade_web", variables=target(site.cluster))

    assert run.rc != 0
    assert run.verdicts() == {
        "DMA1": "stopped after install: another agent failed",
        "DMA2": "FAILED: install",
        "DMA3": "stopped after install: another agent failed",
    }
    assert {name: installs(site.cluster.agent(name)) != [] for name in ("DMA1", "DMA3")} == {"DMA1": True, "DMA3": True}
    (said,) = run.messages("DMA2")
    for part in ("The installer ended with code 1", "told to fail at migration", "Needed: one of the codes 0", "run the playbook again"):
        assert part in said
    assert (
        "Stopped after the phase install, for the cluster to stay in step. DMA2: failed: The installer ended with code 1" in run.messages("DMA1")[0]
    )
    assert "DMA2 failed (install): The installer ended with code 1" in run.summary
    assert "Prove that the agents of the cluster are in step" not in run.tasks
    (kept,) = own_backups(failing)

    again = site.play("upgrade_web", variables=target(site.cluster))

    assert again.rc == 0, again.text
    assert site.webs() == {"DMA1": "10.5.9", "DMA2": "10.5.9", "DMA3": "10.5.9"}
    assert again.verdicts() == {"DMA1": "unchanged", "DMA2": "done", "DMA3": "unchanged"}
    assert own_backups(failing) == [kept]
    assert zip_digests(failing.backup_dir / kept) == content
    assert kept in again.summary
    assert "kept" in again.summary
    assert [len(installs(agent)) for agent in site.agents] == [1, 2, 1]


@pytest.mark.each_core
def test_controller_killed_during_the_install(make_site: MakeSite) -> None:
    """The jobs go on by themselves; the next run attaches to them, and no installer is started twice."""
    site = make_site(install_seconds=2)
    variables = target(site.cluster)
    playing = site.begin("upgrade_web", variables=variables)
    until(lambda: all(installs(agent) for agent in site.agents), what="an install on every agent")
    playing.kill()
    with held(site.agents):
        following = site.begin("upgrade_web", variables=variables)
        until(lambda: "[dataminer.web.upgrade : Wait for the install]" in following.text(), what="the next run's wait")
        assert site.webs() == {"DMA1": "10.5.6", "DMA2": "10.5.6"}
    again = following.finish()

    assert again.rc == 0, again.text
    assert again.gate.count("attaches") >= 1
    assert site.webs() == {"DMA1": "10.5.9", "DMA2": "10.5.9"}
    assert again.verdicts() == {"DMA1": "done", "DMA2": "done"}
    for agent in site.agents:
        assert len(installs(agent)) == 1
        assert len(jobs(agent, "install")) == 1
        assert len(own_backups(agent)) == 1


@contextmanager
def held(agents: Sequence[Agent]) -> Iterator[None]:
    """Within the block the agents' installers stand still."""
    words = [str(agent.installer).encode() for agent in agents]
    found = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if any(word in _read(path).split(b"\0") for word in words)]
    assert len(found) == len(agents)
    for pid in found:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in found:
            os.kill(pid, signal.SIGCONT)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended
        return b""


def test_controller_killed_and_back_after_the_end(make_site: MakeSite) -> None:
    """A controller that comes back late finds the work done."""
    site = make_site(agents=1, install_seconds=1)
    variables = target(site.cluster)
    (agent,) = site.agents
    playing = site.begin("upgrade_web", variables=variables)
    until(lambda: bool(installs(agent)) or playing.process.poll() is not None, what="an install")
    playing.kill()
    until(lambda: not busy(agent), what="the end of the install")

    again = site.play("upgrade_web", variables=variables)

    assert again.rc == 0, again.text
    assert again.changed == 0
    assert site.webs() == {"DMA1": "10.5.9"}
    assert len(installs(agent)) == 1


def test_agents_that_differ_before(make_site: MakeSite) -> None:
    """Mending a cluster that is out of step is what an upgrade is for: a warning, and the agent that is there already is left alone."""
    site = make_site(per_agent={"DMA2": {"web": "10.5.9"}})
    before = site.trees()["DMA2"]

    run = site.play("upgrade_web", variables=target(site.cluster))

    assert run.rc == 0, run.text
    assert "same-version" in run.gate
    assert site.webs() == {"DMA1": "10.5.9", "DMA2": "10.5.9"}
    assert run.verdicts() == {"DMA1": "done", "DMA2": "unchanged"}
    assert site.trees()["DMA2"] == before


def test_another_package_with_the_same_content_fails_the_verification(make_site: MakeSite) -> None:
    """In step means the same web version: 10.5.0 [CU6] has what 10.5.9 has, but isn't it."""
    site = make_site(per_agent={"DMA2": {"web": "10.5.0 [CU6]"}})

    run = site.play("cluster_status")

    assert run.rc != 0
    (said,) = run.messages("DMA1")
    assert "NOT in step" in said
    assert "web versions differ" in said


def test_booleans_given_as_texts(make_site: MakeSite) -> None:
    """`-e x=false` is the text "false"; an empty text means unset."""
    site = make_site(agents=1)
    options = [
        word for pair in ("dataminer_allow_partial=false", "dataminer_include_web=false", "dataminer_package_sha256=") for word in ("-e", pair)
    ]

    run = site.play("upgrade_web", *options, variables=target(site.cluster))

    assert run.rc == 0, run.text
    (agent,) = site.agents
    (name,) = own_backups(agent)
    assert not [path for path in zip_digests(agent.backup_dir / name) if path.startswith("Web/")]


@pytest.mark.each_core
def test_one_fork_and_another_strategy(make_site: MakeSite) -> None:
    """One fork makes it slow, and the gate says so; the plays set their own strategy, so phases stay phases."""
    site = make_site()

    run = site.play("upgrade_web", "--forks", "1", variables=target(site.cluster), env={"ANSIBLE_STRATEGY": "free"})

    assert run.rc == 0, run.text
    assert "1 forks, 2 agents" in run.said
    assert site.webs() == {"DMA1": "10.5.9", "DMA2": "10.5.9"}
    ends = {agent.name: _ended(agent, jobs(agent, "backup")[-1]) for agent in site.agents}
    starts = {agent.name: (agent.work_dir / "jobs" / jobs(agent, "install")[-1] / "spec.json").stat().st_mtime_ns for agent in site.agents}
    assert max(ends.values()) < min(starts.values()), "an install began before the last backup had ended"
    assert run.tasks.count("Start the install") == 1


def _ended(agent: Agent, run_id: str) -> int:
    return (agent.work_dir / "jobs" / run_id / "result.json").stat().st_mtime_ns


def test_sha256_that_fits(site: Site) -> None:
    """Given in capitals, as some tools print it."""
    variables: dict[str, Any] = target(site.cluster)
    digest = hashlib.sha256(Path(variables["dataminer_package"]).read_bytes()).hexdigest().upper()

    run = site.play("upgrade_web", variables={**variables, "dataminer_package_sha256": digest})

    assert run.rc == 0, run.text
    assert site.webs() == {"DMA1": "10.5.9", "DMA2": "10.5.9"}


def test_only_the_web_is_touched(site: Site) -> None:
    """An upgrade leaves VersionHistory.txt, DMS.xml and everything else that isn't web alone."""
    before = site.trees()

    run = site.play("upgrade_web", variables=target(site.cluster))

    assert run.rc == 0, run.text
    for agent in site.agents:
        for path in changed_paths(before[agent.name], site.cluster.tree_digest(agent.name)):
            top = path.removeprefix("Skyline DataMiner/").split("/")[0]
            assert top in WEB, path
            assert not path.endswith("VersionHistory.txt")
