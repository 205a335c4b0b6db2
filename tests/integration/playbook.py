"""Runs the collection's playbooks, as a person would, on simulated clusters, and tells what came of it."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulator.cluster import Agent, Cluster

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOKS = ROOT / "playbooks"
HERE = Path(__file__).parent
BUILT_MODULES = "BUILT_MODULES"  # names a folder for all processes that run the tests; the first of them, which starts the others, makes it
if BUILT_MODULES not in os.environ:
    os.environ[BUILT_MODULES] = tempfile.mkdtemp(prefix="built-modules-")
    atexit.register(shutil.rmtree, os.environ[BUILT_MODULES], ignore_errors=True)
ANSIBLE = Path(sys.executable).parent / "ansible-playbook"
TIMEOUT = 600.0  # seconds; the longest run takes half a minute on an idle machine

Trees = dict[str, dict[str, str]]

_RECAP = re.compile(r"^(\S+) +: (ok=\d+ .*)$", re.MULTILINE)
_FATAL = re.compile(r"^fatal: \[([^\]]+)\]: (FAILED|UNREACHABLE)! => ", re.MULTILINE)
_TASK = re.compile(r"^TASK \[(?:[\w.]+ : )?(.*?)\] \*+$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run of `ansible-playbook` left: its exit status, what it printed, and the report it wrote (None where it wrote none)."""

    rc: int
    text: str
    report: dict[str, Any] | None
    seconds: float

    @property
    def recap(self) -> dict[str, dict[str, int]]:
        """Counts of the recap by host."""
        rows = {match[1]: match[2].split() for match in _RECAP.finditer(self.text.rpartition("PLAY RECAP")[2])}
        return {host: {word.split("=")[0]: int(word.split("=")[1]) for word in words} for host, words in rows.items()}

    @property
    def said(self) -> str:
        """The text on one line, for phrases that may have been wrapped."""
        return " ".join(self.text.split())

    @property
    def changed(self) -> int:
        return sum(row["changed"] for row in self.recap.values())

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks that were begun."""
        return _TASK.findall(self.text)

    @property
    def summary(self) -> str:
        """Everything from the first summary on: what a person reads last."""
        return self.text[self.text.index("\nSummary of ") :]

    def summary_of(self, cluster: str) -> str:
        """What the summary has of one cluster, without its title."""
        return self.summary[self.summary.index(f"Summary of cluster {cluster}") :].split("Summary of", 2)[1]

    @property
    def gate(self) -> str:
        """The gate's title and table."""
        return self.text[self.text.index("\nGate of ") :].split("\nChecks: ", 1)[0]

    def messages(self, host: str) -> list[str]:
        """What a host's tasks failed with, in order."""
        found = [(match[1], json.JSONDecoder().raw_decode(self.text, match.end())[0]) for match in _FATAL.finditer(self.text)]
        return [" ".join(str(result.get("msg", "")).split()) for name, result in found if name == host]

    def verdicts(self, cluster: str = "pluto") -> dict[str, str]:
        """The report's verdict on each agent of a cluster."""
        assert self.report is not None, "the run wrote no report"
        return {row["agent"]: row["verdict"] for row in self.report["clusters"][cluster]}


@dataclass(frozen=True, kw_only=True)
class Playing:
    """A run that is under way."""

    process: subprocess.Popen[bytes]
    output: Path
    report: Path
    begun: float = field(default_factory=time.monotonic)

    def finish(self, timeout: float = TIMEOUT) -> Run:
        """Waits for its end. Raises AssertionError, with what it printed, when that doesn't come."""
        try:
            rc = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"ansible-playbook hasn't ended after {timeout} s:\n{self.text()}") from None
        report = json.loads(self.report.read_text("utf-8")) if self.report.exists() else None
        return Run(rc=rc, text=self.text(), report=report, seconds=time.monotonic() - self.begun)

    def kill(self) -> None:
        """As a power cut would end the controller: all its processes at once, with no chance to tidy up."""
        # workers have sessions of their own; one that was writing to the controller would wait for a reader for ever
        workers = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text("utf-8").split()
        os.killpg(self.process.pid, signal.SIGKILL)
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(worker), signal.SIGKILL)
        self.process.wait(60)

    def text(self) -> str:
        return self.output.read_text("utf-8", "replace")


@dataclass(kw_only=True)
class Site:
    """An inventory of simulated clusters, and a controller that runs playbooks on it.

    `plain`: without what makes runs quick, that is modules that are built and compiled once for all of them. `local`: agents are on this machine.
    """

    dir: Path
    inventory: Path
    clusters: tuple[Cluster, ...]
    runs: int = 0
    flaky: bool = False
    plain: bool = False
    local: bool = True

    @property
    def cluster(self) -> Cluster:
        """The only, or first, cluster."""
        return self.clusters[0]

    def named(self, name: str) -> Cluster:
        """The cluster of that name."""
        return next(cluster for cluster in self.clusters if cluster.name == name)

    def cluster_of(self, agent: str) -> Cluster:
        return next(cluster for cluster in self.clusters if agent in [one.name for one in cluster.agents])

    def agent(self, name: str) -> Agent:
        """The agent of that name, in whichever cluster."""
        return next(agent for agent in self.agents if agent.name == name)

    def tell_agents_of(self, cluster: str, **variables: object) -> None:
        """Variables that the inventory has for the agents of one cluster."""
        for agent in self.named(cluster).agents:
            self.tell(agent.name, **variables)

    def tell(self, agent: str, **variables: object) -> None:
        """The same for one agent."""
        folder = self.inventory.parent / "host_vars"
        folder.mkdir(exist_ok=True)
        (folder / f"{agent}.json").write_text(json.dumps(variables), "utf-8")

    @property
    def agents(self) -> tuple[Agent, ...]:
        return tuple(agent for cluster in self.clusters for agent in cluster.agents)

    def begin(self, playbook: str, *options: str, variables: Mapping[str, object] | None = None, env: Mapping[str, str] | None = None) -> Playing:
        """Starts a playbook. `variables` become extra variables of their own types."""
        self.runs += 1
        report, output = self.dir / "reports" / f"{self.runs}.json", self.dir / f"{self.runs}.txt"
        told = {"dataminer_poll_interval": 15, "dataminer_report_path": str(report), **(variables or {})}
        told |= {"ansible_connection": "flaky_local"} if self.flaky else {}
        program = [str(ANSIBLE)] if self.plain else [sys.executable, str(HERE / "quick_playbook.py")]
        argv = [*program, str(PLAYBOOKS / f"{playbook}.yml"), "-i", str(self.inventory), "-e", json.dumps(told), *options]
        with output.open("wb") as stream:
            process = subprocess.Popen(
                argv, cwd=self.dir, env=self._environ(env or {}), stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
            )
        return Playing(process=process, output=output, report=report)

    def play(self, playbook: str, *options: str, variables: Mapping[str, object] | None = None, env: Mapping[str, str] | None = None) -> Run:
        """Runs a playbook to its end."""
        return self.begin(playbook, *options, variables=variables, env=env).finish()

    def _environ(self, more: Mapping[str, str]) -> dict[str, str]:
        """Nothing of the caller's Ansible, home or terminal gets in."""
        return {
            "PATH": f"{ANSIBLE.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "HOME": str(self.dir),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_HOME": str(self.dir / "ansible"),
            "ANSIBLE_LOCAL_TEMP": str(self.dir / "ansible" / "local"),
            "ANSIBLE_REMOTE_TEMP": str(self.dir / "ansible" / "remote"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "0" if self.flaky else "1",
            "ANSIBLE_CONFIG": str(HERE / "ansible.cfg"),
            "ANSIBLE_CONNECTION_PLUGINS": str(HERE / "connection_plugins"),
            **({"ONLY_LOCAL": "1"} if self.local else {}),
            BUILT_MODULES: os.environ[BUILT_MODULES],
            "FLAKY_SWITCHES": str(self.dir),
            **more,
        }

    def switch_off(self, agent: str, *, module: str, skip: int = 0, times: int = 1000, once: str = "") -> None:
        """From now on, or once something matches the pattern `once`, the agent doesn't answer when a module is run there: `skip` calls go through,
        then `times` fail.
        """
        self.flaky = True
        (self.dir / f"{agent}.json").write_text(json.dumps({"module": module, "skip": skip, "times": times, "once": once}), "utf-8")

    def switch_on(self, agent: str) -> None:
        (self.dir / f"{agent}.json").unlink()

    def trees(self) -> Trees:
        """All there is of every agent, with times: equal before and after means that nothing was touched."""
        return {agent.name: cluster.tree_digest(agent.name) for cluster in self.clusters for agent in cluster.agents}

    def webs(self) -> dict[str, str]:
        """The web version of each agent's machine, such as 10.5.9."""
        states = {agent.name: cluster.state(agent.name) for cluster in self.clusters for agent in cluster.agents}
        return {name: ".".join(state["web"].split("-")[0].split(".")[:3]) for name, state in states.items()}


def scenarios(**several: Mapping[str, object]) -> list[dict[str, object]]:
    """Options of `make_site` for one cluster a scenario, which bears its name: agents of the cluster `denied` are denied-1, denied-2. One run
    of a playbook takes them all, each for itself.
    """
    made = []
    for number, (name, options) in enumerate(several.items(), 1):
        count = options.get("agents", 2)
        assert isinstance(count, int)
        agents = tuple(f"{name}-{index}" for index in range(1, count + 1))
        made.append({"first_id": 100 * number + 11, "network": f"10.99.{number}", **options, "name": name, "agents": agents})
    return made


def target(cluster: Cluster, version: str = "10.5.9", **more: object) -> dict[str, object]:
    """The variables that name a version and its package."""
    return {"dataminer_target_version": version, "dataminer_package": str(cluster.package(version)), **more}


def jobs(agent: Agent, kind: str) -> list[str]:
    """Run ids of the jobs of a kind that an agent remembers, oldest first."""
    rows = [json.loads(path.read_text("utf-8")) for path in (agent.work_dir / "jobs").glob("*/state.json")]
    return [row["run_id"] for row in sorted(rows, key=lambda row: (row["started"], row["run_id"])) if row["kind"] == kind]


def own_backups(agent: Agent) -> list[str]:
    """Names of the backups of ours, oldest first."""
    return sorted(path.name for path in agent.backup_dir.glob("*.zip")) if agent.backup_dir.exists() else []


def manifest_header(agent: Agent, name: str) -> dict[str, Any]:
    """The header of a backup's manifest."""
    lines = (agent.backup_dir / name).with_suffix(".manifest").read_text("utf-8").splitlines()
    header: dict[str, Any] = json.loads(lines[1])
    return header


def installs(agent: Agent, version: str = "10.5.9") -> list[str]:
    """Folders that installs of a version left: one each time the installer was started."""
    return sorted(path.name for path in agent.packages.iterdir() if path.name.startswith(f"DataMiner {version}."))


def changed_paths(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What two digests don't have in common."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def until(condition: Callable[[], bool], *, what: str, seconds: float = 120, every: float = 0.05) -> None:
    """Waits for something to become true. Raises AssertionError naming it when it doesn't."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"after {seconds} s still not: {what}"
        time.sleep(every)


def idle(agent: Agent) -> bool:
    """Whether no job, and no installer that one started, is running on the agent."""
    lock = agent.work_dir / "lock"
    if not lock.exists():
        return True
    with lock.open("rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
