"""Agents and requests for the tests of the gate: everything is fine unless a test says otherwise."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ansible_collections.dataminer.web.plugins.module_utils.agent import (
    AgentState,
    BackupFile,
    Cluster,
    Disk,
    HistoryLine,
    HostFacts,
    InstalledPackage,
    ManifestHead,
    Member,
    RunningJob,
    VersionFact,
)
from ansible_collections.dataminer.web.plugins.module_utils.backup import header, plan_backup
from ansible_collections.dataminer.web.plugins.module_utils.gate import Gate, Reading, Request, Row, Verdict, evaluate
from ansible_collections.dataminer.web.plugins.module_utils.package import Package, parse_package_name
from ansible_collections.dataminer.web.plugins.module_utils.version import Version

NOW = datetime(2026, 11, 24, 4, 15, tzinfo=UTC)
V = Version.parse
FINE_HOST = HostFacts(processes=(), modules=(), runtimes=("8.0.11", "10.0.1"), pending_reboot=(), installer_busy=False, upgrade_running=False)
DISK = Disk(path="/srv/dm", free=10**12, volume="1")


def version_fact(text: str | None) -> VersionFact:
    return VersionFact(version=None if text is None else V(text), source="the test says so" if text else "VersionHistory.txt is missing")


def cluster(self_id: int | None = 1, address: str | None = "10.0.0.1", *, ids: tuple[int, ...] = (1,), **more: Any) -> Cluster:
    members = tuple(Member(id=number, address=f"10.0.0.{number}") for number in ids)
    facts: dict[str, Any] = {"name": "DMS", "self_id": self_id, "self_address": address, "members": members, "failover": False, "error": None}
    return Cluster(**{**facts, **more})


def state(*, server: str | None = "10.5.4", web: str | None = "10.5.4", host: dict[str, Any] | None = None, **more: Any) -> AgentState:
    """`host` changes host facts; everything else changes the state itself."""
    fine = AgentState(
        utc=NOW,
        offset_minutes=60,
        language_mode="FullLanguage",
        root="C:\\Skyline DataMiner",
        root_exists=True,
        server=version_fact(server),
        web=version_fact(web),
        web_api=None,
        history=(),
        packages=(),
        cluster=cluster(),
        apps=(),
        loose=(),
        dashboards=(),
        has_web_folder=True,
        backups=(),
        partials=(),
        disks=dict.fromkeys(("backup_dir", "work_dir", "root"), DISK),
        host=replace(FINE_HOST, **(host or {})),
        job=None,
    )
    return replace(fine, **more)


def agents(*states: AgentState) -> list[Reading]:
    """Readings a1, a2…, each with its own id and address and with all of them in DMS.xml."""
    ids = tuple(range(1, len(states) + 1))
    return [reading(f"a{n}", replace(one, cluster=cluster(n, f"10.0.0.{n}", ids=ids))) for n, one in zip(ids, states, strict=True)]


def reading(name: str, one: AgentState | None, problem: str | None = None) -> Reading:
    return Reading(name=name, state=one, problem=problem, scanned_at=NOW)


def package(version: str = "10.5.5.0-15700", kind: str = "Web") -> Package:
    return parse_package_name(f"DataMiner {version} {kind} Upgrade.dmupgrade")


def request(purpose: str = "upgrade", target: str | None = "10.5.5", names: tuple[str, ...] = ("a1",), **more: Any) -> Request:
    """An upgrade has a package, whose name matters to few tests."""
    facts: dict[str, Any] = {"play_agents": names, "cluster_agents": names, "forks": 5, "target": None if target is None else V(target)}
    facts["package_known"] = purpose != "upgrade"
    return Request(purpose=purpose, **{**facts, **more})


def judge(*states: AgentState, purpose: str = "upgrade", target: str | None = "10.5.5", **more: Any) -> Gate:
    readings = agents(*states)
    return evaluate(request(purpose, target, tuple(r.name for r in readings), **more), readings)


def row(gate: Gate, rule: str, agent: str | None = "a1") -> Row:
    """The one row of a rule; `agent` None for the cluster's."""
    found = [one for one in gate.rows if one.rule == rule and one.agent == agent]
    assert len(found) == 1, f"{len(found)} rows {rule} of {agent}"
    return found[0]


def verdict(gate: Gate, rule: str, agent: str | None = "a1") -> Verdict:
    return row(gate, rule, agent).verdict


def job(kind: str, until: str = "") -> RunningJob:
    return RunningJob(run_id=f"{kind}-1", kind=kind, owner="ann@controller", started="2026-11-24T04:00:00Z", work="w", until=until)


def history(text: str, hours_ago: float) -> HistoryLine:
    """A line of VersionHistory.txt; local time leaves an hour of doubt."""
    moment = NOW - timedelta(hours=hours_ago)
    return HistoryLine(version=V(text), local=moment.replace(tzinfo=None), earliest=moment, latest=moment + timedelta(hours=1))


def installed(kind: str, hours_ago: float, *, completed: bool | None = True, failed: tuple[str, ...] = ()) -> InstalledPackage:
    started = NOW - timedelta(hours=hours_ago)
    facts: dict[str, Any] = {"package": package(kind=kind), "folder": "x", "started": started, "ended": started + timedelta(minutes=10)}
    return InstalledPackage(completed=completed, failed_prerequisites=failed, **facts)


def backup(
    web: str,
    *,
    hours_ago: float,
    purpose: str = "backup",
    intact: bool = True,
    suspected: bool = False,
    size: int = 99,
    owner: str = "DMA1",
    dms: str = "DMS",
) -> BackupFile:
    name, sound = f"{web}-{hours_ago}.zip", state(web=web, apps=(), loose=("x",), cluster=cluster(name=dms))
    moment = NOW - timedelta(hours=hours_ago)
    whole = header(plan=plan_backup(sound), state=sound, agent=owner, name=name, when=moment, purpose=purpose)
    trailer: dict[str, object] = {"files": 1, "bytes": 1, "zip_size": 99, "zip_sha256": "c" * 64}
    head = ManifestHead(header={**whole, **({"suspect": "half migrated"} if suspected else {})}, trailer=trailer, intact=intact)
    return BackupFile(origin="own", path=f"/b/{name}", name=name, size=size, modified=moment, manifest=head)
