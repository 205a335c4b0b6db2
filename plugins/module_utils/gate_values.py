# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values of the gate: what is asked, what was read, and what a rule answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from .agent import AgentState
from .errors import InvalidInput
from .package import Package
from .version import Version, same_release

UPGRADE = "upgrade"
DOWNGRADE = "downgrade"
BACKUP = "backup"
STATUS = "status"
CHANGES = (UPGRADE, DOWNGRADE)
WORK = (UPGRADE, DOWNGRADE, BACKUP)
PURPOSES = (UPGRADE, DOWNGRADE, BACKUP, STATUS)
ATTACHES = "nothing: this run attaches to that job"


class Verdict(Enum):
    PASS = "pass"
    WARN = "warn"
    DENY = "deny"
    NOT_APPLICABLE = "not applicable"


class Direction(Enum):
    """Where the web content of an agent goes."""

    UPGRADE = "upgrade"
    REINSTALL = "reinstall"
    DOWNGRADE = "downgrade"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What somebody wants to do to a cluster.

    `play_agents` are the inventory names this run works on, `cluster_agents` all inventory names of the cluster. A `target` or a `package` is needed
    to change anything; `expected` is the version that the verification behind the change is told to look for, where it isn't simply the goal;
    `package_known` is False where one will be installed whose name isn't known yet. Sizes are bytes. `package_size` is None where
    only the agents may know it; `package_brought`: it is copied to them first. `content_factor` is how many
    times the content must fit beside itself, None takes the purpose's own (gate_host). `target_runtime` is the major version of .NET that the modules
    of the target need, where it is known better than by the rules. `dashboard_gateway`: whether the system has one, None if unknown. `recover`: this
    run is to finish or undo a restore that broke off, so an open journal is what it expects. Raises InvalidInput for an unknown purpose.
    """

    purpose: str
    target: Version | None = None
    expected: Version | None = None
    package: Package | None = None
    package_known: bool = True
    play_agents: tuple[str, ...] = ()
    cluster_agents: tuple[str, ...] = ()
    allow_partial: bool = False
    forks: int | None = None
    clock_skew_seconds: int = 60
    content_factor: float | None = None
    package_size: int | None = None
    package_brought: bool = False
    target_runtime: int | None = None
    install_wait_minutes: int | None = None
    dashboard_gateway: bool | None = None
    daas: bool = False
    allow_reboot: bool = False
    recover: bool = False

    def __post_init__(self) -> None:
        if self.purpose not in PURPOSES:
            raise InvalidInput(f"{self.purpose!r} is not a purpose of the gate", needed=", ".join(PURPOSES))

    @property
    def goal(self) -> Version | None:
        """The version to end on, as precisely as known: the target's CU where the package's name doesn't state one, and the package's build."""
        named, packed = self.target, self.package.version if self.package else None
        if named is None or packed is None:
            return named or packed
        if named.cu is None or same_release(named, packed) is False:
            return packed
        return Version(named.major, named.minor, named.patch, named.cu, packed.build)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One agent as it was read, or why it wasn't (`problem`). `scanned_at` is the controller's time of the answer, to compare clocks by."""

    name: str
    state: AgentState | None
    problem: str | None = None
    scanned_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a rule's check found. `required` and `remedy` are given only where the rule's own don't say it."""

    verdict: Verdict
    found: str
    required: str = ""
    remedy: str = ""


def passed(found: str, **more: str) -> Finding:
    return Finding(verdict=Verdict.PASS, found=found, **more)


def warned(found: str, **more: str) -> Finding:
    return Finding(verdict=Verdict.WARN, found=found, **more)


def denied(found: str, **more: str) -> Finding:
    return Finding(verdict=Verdict.DENY, found=found, **more)


def not_applicable(found: str) -> Finding:
    return Finding(verdict=Verdict.NOT_APPLICABLE, found=found)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One agent, asked about. `server` and `web` are what is installed, None where unknown."""

    request: Request
    name: str
    state: AgentState
    target: Version | None
    direction: Direction

    @property
    def worked_on(self) -> bool:
        """Whether this run works on the agent, and doesn't only read it for it is one of the cluster."""
        return self.name in self.request.play_agents

    @property
    def server(self) -> Version | None:
        return self.state.server.version

    @property
    def web(self) -> Version | None:
        return self.state.web.version

    @property
    def own_install(self) -> str:
        """The running install of this collection that a run for this purpose attaches to, if any."""
        job = self.state.install
        return f"install job {job.run_id}" if job and self.worked_on and self.request.purpose in CHANGES else ""


@dataclass(frozen=True, kw_only=True)
class ClusterCase:
    """A whole cluster, asked about. `readings` holds one per inventory agent of the cluster or the play, by name."""

    request: Request
    readings: tuple[Reading, ...]

    @property
    def states(self) -> dict[str, AgentState]:
        """Of the agents that could be read, by name."""
        return {reading.name: reading.state for reading in self.readings if reading.state is not None}


@dataclass(frozen=True)
class Rule:
    """A rule of an agent. `says` is what it requires. It is asked for its `purposes`; outside `denies` its denials are warnings.

    `of_work`: it is about the work that is done on the agent, and says nothing of one that the run leaves alone.
    """

    id: str
    says: str
    source: str
    check: Callable[[Case], Finding]
    remedy: str = ""
    purposes: tuple[str, ...] = field(default=CHANGES, kw_only=True)
    denies: tuple[str, ...] = field(default=WORK, kw_only=True)
    of_work: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class ClusterRule:
    """A rule of the whole cluster; its findings are each of one agent, or of none (None)."""

    id: str
    says: str
    source: str
    check: Callable[[ClusterCase], list[tuple[str | None, Finding]]]
    remedy: str = ""
    purposes: tuple[str, ...] = field(default=PURPOSES, kw_only=True)
    denies: tuple[str, ...] = field(default=CHANGES, kw_only=True)


def once(check: Callable[[Request], Finding]) -> Callable[[ClusterCase], list[tuple[str | None, Finding]]]:
    """The check of a rule that goes by the request alone: one finding for the whole cluster."""
    return lambda case: [(None, check(case.request))]


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one rule says of one agent; `agent` is its inventory name, None for the whole cluster. `remedy` is empty where nothing is to be done."""

    rule: str
    agent: str | None
    verdict: Verdict
    found: str
    required: str
    source: str
    remedy: str

    def to_result(self) -> dict[str, Any]:
        """The row as plain JSON types."""
        texts = {"found": self.found, "required": self.required, "source": self.source, "remedy": self.remedy}
        return {"rule": self.rule, "agent": self.agent, "verdict": self.verdict.value, **texts}


@dataclass(frozen=True, kw_only=True)
class Gate:
    """The verdict on a request: bound to its purpose, its target, its package and its agents, and to nothing else."""

    purpose: str
    target: Version | None
    package: Package | None
    agents: tuple[str, ...]
    rows: tuple[Row, ...]
    directions: dict[str, Direction]

    @property
    def allowed(self) -> bool:
        return not self.denials

    @property
    def denials(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.verdict is Verdict.DENY)

    @property
    def warnings(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.verdict is Verdict.WARN)

    def to_result(self) -> dict[str, Any]:
        """The gate as plain JSON types."""
        return {
            "allowed": self.allowed,
            "purpose": self.purpose,
            "target": None if self.target is None else self.target.spelling,
            "package": None if self.package is None else self.package.file_name,
            "agents": list(self.agents),
            "directions": {name: direction.value for name, direction in self.directions.items()},
            "rows": [row.to_result() for row in self.rows],
        }
