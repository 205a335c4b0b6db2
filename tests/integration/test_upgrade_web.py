"""upgrade_web.yml on a cluster: the upgrade itself, again, after failures, after a killed controller."""

from __future__ import annotations

import hashlib
import os
import signal
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from conftest import MakeSite
from playbook import changed_paths, idle, installs, jobs, manifest_header, own_backups, scenarios, target, until
from simulator.cluster import Agent, Cluster
from simulator.schema import content_files, is_stamped, stamp_of
from simulator.webfiles import CONFIG

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
    """The whole way there; the second run finds nothing to do and touches nothing. The first one builds its modules as outside of tests."""
    site = make_site(agents=3)
    site.plain = True
    cluster, content = site.cluster, {agent.name: site.cluster.digest(agent.name) for agent in site.agents}
    before, untouched = {agent.name: processes(cluster, agent) for agent in site.agents}, site.trees()

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
        _only_the_web_is_touched(changed_paths(untouched[agent.name], cluster.tree_digest(agent.name)))
    assert run.summary.count("10.5.6 (CU0) -> 10.5.9 (CU0)") == 3
    assert "items changed" in run.summary
    assert "no process beside the web server restarted" in run.summary

    site.plain, trees = False, site.trees()
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


def _only_the_web_is_touched(changed: list[str]) -> None:
    """An upgrade leaves VersionHistory.txt, DMS.xml and everything else that isn't web alone."""
    for path in changed:
        assert path.removeprefix("Skyline DataMiner/").split("/")[0] in WEB, path
        assert not path.endswith("VersionHistory.txt")


@pytest.mark.each_core
def test_agent_that_fails_half_way(make_site: MakeSite) -> None:
    """The others end their phase, its cluster stops and another one goes on; running again finishes, and keeps the backup from before the failed
    attempt. Where that is old, another one is made beside it.
    """
    site = make_site(*scenarios(failing={"agents": 3}, mars={"agents": 1}, late={"agents": 1}))
    failing, cluster = site.agent("failing-2"), site.named("failing")
    for name in ("failing-2", "late-1"):
        site.cluster_of(name).set_state(name, fail_at="migration")
    content = cluster.digest("failing-2")

    run = site.play("upgrade_web", variables=target(site.cluster))

    assert run.rc != 0
    stopped = "stopped after install: another agent failed"
    assert run.verdicts("failing") == {"failing-1": stopped, "failing-2": "FAILED: install", "failing-3": stopped}
    assert run.verdicts("mars") == {"mars-1": "done"}
    assert run.recap["mars-1"]["failed"] == 0
    assert [len(installs(agent)) for agent in site.agents] == [1, 1, 1, 1, 1]
    (said,) = run.messages("failing-2")
    for part in ("The installer ended with code 1", "told to fail at migration", "Needed: one of the codes 0", "run the playbook again"):
        assert part in said
    after_phase = "Stopped after the phase install, for the cluster to stay in step. failing-2: failed: The installer ended with code 1"
    assert after_phase in run.messages("failing-1")[0]
    assert "failing-2 failed (install): The installer ended with code 1" in run.summary
    (kept,) = own_backups(failing)
    (old,) = site.agent("late-1").backup_dir.glob("*.zip")
    os.utime(old, (time.time() - 3 * 3600,) * 2)

    again = site.play("upgrade_web", variables=target(site.cluster))

    assert again.rc == 0, again.text
    assert set(site.webs().values()) == {"10.5.9"}
    assert again.verdicts("failing") == {"failing-1": "unchanged", "failing-2": "done", "failing-3": "unchanged"}
    assert own_backups(failing) == [kept]
    assert zip_digests(failing.backup_dir / kept) == content
    assert kept in again.summary
    assert "kept" in again.summary
    assert [len(installs(agent)) for agent in site.agents] == [1, 2, 1, 1, 2]
    first, second = own_backups(site.agent("late-1"))
    assert (first, "suspect" in manifest_header(site.agent("late-1"), second)) == (old.name, True)
    assert f"Note (late-1): {first}, from before that install, was read again, is whole and stays" in again.summary


def test_controller_killed_during_the_install(make_site: MakeSite) -> None:
    """The jobs go on by themselves; the next run attaches to those that still run, finds others done, and starts no installer twice. What an
    install had edited before that run looked is told. Of one of them nothing can be read yet.
    """
    site = make_site(*scenarios(slow={"install_seconds": 8}, done={"agents": 1, "install_seconds": 1}))
    variables, slow = target(site.cluster), site.named("slow").agents
    configs = {agent.root / CONFIG: (agent.root / CONFIG).read_bytes() for agent in slow}
    playing = site.begin("upgrade_web", variables=variables)
    until(lambda: all(installs(agent) for agent in site.agents), what="an install on every agent")
    playing.kill()
    until(lambda: all(path.read_bytes() != data for path, data in configs.items()), what="the edit of each Web.config")
    with held(slow), out_of_reach(slow[1].packages / installs(slow[1])[0] / "progress.log"):
        until(partial(idle, site.agent("done-1")), what="the end of the quick install")
        following = site.begin("upgrade_web", variables=variables)
        until(lambda: "[dataminer.web.upgrade : Wait for the install]" in following.text(), what="the next run's wait")
        assert not any(idle(agent) for agent in slow)
    again = following.finish()

    assert again.rc == 0, again.text
    assert again.text.count("attaches") >= 1
    assert "unknown while install job" in again.gate
    assert again.summary_of("slow").count("kept, ") == 2
    assert set(site.webs().values()) == {"10.5.9"}
    assert again.verdicts("slow") == {"slow-1": "done", "slow-2": "done"}
    for agent in slow:
        assert f"({agent.name}): Webpages/API/Web.config changed. Compare it with the former one: {agent.work_dir}/jobs/install-" in again.summary
    assert again.recap["done-1"]["changed"] == 0
    for agent in site.agents:
        assert (len(installs(agent)), len(jobs(agent, "install")), len(own_backups(agent))) == (1, 1, 1)


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


@contextmanager
def out_of_reach(path: Path) -> Iterator[None]:
    """Within the block there is no such file."""
    away = path.rename(path.parents[2] / path.name)
    try:
        yield
    finally:
        away.rename(path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended
        return b""


def test_agents_that_differ_before_and_booleans_given_as_texts(make_site: MakeSite) -> None:
    """Mending a cluster that is out of step is what an upgrade is for: a warning, and the agent that is there already is left alone.

    `-e x=false` is the text "false"; an empty text means unset. A version that was to be installed next, once, keeps no agent from its backup.
    """
    site = make_site(per_agent={"DMA2": {"web": "10.5.9"}})
    before = site.trees()["DMA2"]
    options = [
        word
        for pair in ("dataminer_allow_partial=false", "dataminer_include_web=false", "dataminer_package_sha256=", "dataminer_backup_before=10.5.6")
        for word in ("-e", pair)
    ]

    run = site.play("upgrade_web", *options, variables=target(site.cluster))

    assert run.rc == 0, run.text
    assert "same-version" in run.gate
    assert site.webs() == {"DMA1": "10.5.9", "DMA2": "10.5.9"}
    assert run.verdicts() == {"DMA1": "done", "DMA2": "unchanged"}
    assert site.trees()["DMA2"] == before
    agent = site.agents[0]
    (name,) = own_backups(agent)
    assert not [path for path in zip_digests(agent.backup_dir / name) if path.startswith("Web/")]


@pytest.mark.each_core
def test_one_fork_and_another_strategy(make_site: MakeSite) -> None:
    """One fork makes it slow, and the gate says so; the plays set their own strategy, so phases stay phases.

    The package's SHA-256 is in capitals, as some tools print it.
    """
    site = make_site()
    digest = hashlib.sha256(site.cluster.package("10.5.9").read_bytes()).hexdigest().upper()
    variables = target(site.cluster, dataminer_package_sha256=digest)

    run = site.play("upgrade_web", "--forks", "1", variables=variables, env={"ANSIBLE_STRATEGY": "free"})

    assert run.rc == 0, run.text
    assert "1 forks, 2 agents" in run.said
    assert site.webs() == {"DMA1": "10.5.9", "DMA2": "10.5.9"}
    ends = {agent.name: _ended(agent, jobs(agent, "backup")[-1]) for agent in site.agents}
    starts = {agent.name: (agent.work_dir / "jobs" / jobs(agent, "install")[-1] / "spec.json").stat().st_mtime_ns for agent in site.agents}
    assert max(ends.values()) < min(starts.values()), "an install began before the last backup had ended"
    assert run.tasks.count("Start the install") == 1


def _ended(agent: Agent, run_id: str) -> int:
    return (agent.work_dir / "jobs" / run_id / "result.json").stat().st_mtime_ns
