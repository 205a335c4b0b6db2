# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the tree of one agent: `Skyline DataMiner` with its configuration, history, packages, content and the vendor's backups."""

from __future__ import annotations

import json
import os
import random
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from . import webfiles
from .content import APPS, DAY, AppSpec, Entry, Size, Tree, filler, generate, migrate_tree
from .packages import package_name
from .releases import DOTNET_10_USED, TWO_VERSIONS, Release
from .state import DATAMINER_PROCESSES, WEB_SERVER, save, start_process
from .timeline import Install, installs, steps
from .vendor import BACKUPS, MemorySource, ZipStyle, select, write_zip

ROOT = "Skyline DataMiner"
SECRETS = ("gRPC-svc-Pa55!q7Vd", "LDAP-b1nd-Pa55!x2Kw")  # planted in DMS.xml and DataMiner.xml: neither may turn up anywhere else
_UNMET = ("VerifyFreeDiskSpace", "not enough free space on the system drive")  # what stopped the failed install of the past
DOTNET_8, DOTNET_10 = "8.0.11", "10.0.1"


@dataclass(frozen=True, kw_only=True)
class Member:
    """An agent of the cluster."""

    name: str
    id: int
    address: str


@dataclass(frozen=True, kw_only=True)
class TreeSpec:
    """What an agent's tree shows.

    `vendor_backups`: how many are left of those that past installs made. `five_from`: exactly five, the oldest with the content of that version.
    """

    cluster: str
    members: tuple[Member, ...]
    server: Release
    web: Release
    seed: int
    now: float
    offset_minutes: int = 60
    vendor_backups: int = 2
    five_from: Release | None = None
    failed: bool = False
    failover: bool = False
    apps: tuple[AppSpec, ...] = APPS
    size: Size = field(default_factory=Size)
    style: ZipStyle = field(default_factory=ZipStyle)
    install_seconds: float = 1.0

    def history(self, index: int) -> list[Install]:
        """What was installed on the agent of that index, oldest first."""
        plan = steps(self.server, self.web, five_from=self.five_from)
        return installs(plan, now=self.now, seed=self.seed, agent=index, failed=self.failed)

    @property
    def snapshots(self) -> tuple[Tree, ...]:
        """The content before each install, and at last the content now: the same on all agents, as it is synchronised."""
        return _snapshots(tuple(install for install in self.history(0) if not install.failed), self.seed, self.web, self.apps)


@lru_cache(maxsize=8)
def _snapshots(history: tuple[Install, ...], seed: int, web: Release, apps: tuple[AppSpec, ...]) -> tuple[Tree, ...]:
    tree = generate(seed=seed, written_by=history[0].release, shown_by=web, before=history[0].start, apps=apps)
    found = [tree]
    for install in history:
        tree = migrate_tree(tree, install.release, install.start + 420)
        found.append(tree)
    return tuple(found)


def local_text(moment: float, spec: TreeSpec, pattern: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A moment in the agent's local time."""
    return datetime.fromtimestamp(moment + 60 * spec.offset_minutes, UTC).strftime(pattern)


def write_agent(home: Path, spec: TreeSpec, index: int) -> None:
    """Writes the tree and the state of the agent with that index into its folder."""
    root, history = home / ROOT, spec.history(index)
    _write_configuration(root, spec, index)
    _write_history(root, spec, history)
    for install in history:
        _write_package_folder(root, spec, install)
    webfiles.write_web_files(root, spec.web, now=_last(history).end)
    write_tree(root, spec.snapshots[-1])
    write_entries(root, filler(seed=spec.seed, size=spec.size, release=spec.web, before=_last(history).start))
    _write_backups(root, spec, history, index)
    save(home, _state(spec, history, index))


def write_tree(root: Path, tree: Tree) -> None:
    write_entries(root, tree.items())


def write_entries(root: Path, entries: Iterable[tuple[str, Entry]]) -> None:
    for inside, entry in entries:
        write(root / inside, entry.data, entry.mtime)


def write(path: Path, data: bytes, mtime: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    _touch(path, mtime)


def _touch(path: Path, mtime: float) -> None:
    os.utime(path, (mtime, mtime))


def _last(history: list[Install]) -> Install:
    return [install for install in history if not install.failed][-1]


def _write_configuration(root: Path, spec: TreeSpec, index: int) -> None:
    when = spec.now - 300 * DAY
    write(root / "DMS.xml", dms_xml(spec, index).encode(), when)
    write(root / "DataMiner.xml", dataminer_xml(spec.members[index]).encode(), when)


def dms_xml(spec: TreeSpec, index: int) -> str:
    """DMS.xml as the agent with that index has it: its own entry comes first and names no id, and the redirects hold a password."""
    own, others = spec.members[index], [member for number, member in enumerate(spec.members) if number != index]
    seen = local_text(spec.now - 40 * DAY, spec)
    rows = [f"<Cluster name={quoteattr(spec.cluster)}/>", f"<DMA ip={quoteattr(own.address)} timestamp={quoteattr('')}/>"]
    for member in others:
        rows.append(f'<DMA ip="{member.address}" id="{member.id}" timestamp="{seen}" contacted_once="TRUE" lostContact="{seen}"/>')
    rows += [*_failover_rows(spec, own), "<Redirects>"]
    for member in others:
        via, secret = f"https://{member.address}/APIGateway", quoteattr(SECRETS[0])
        rows.append(f'   <Redirect to="{member.address}" via="{via}" user="svc" pwd={secret}/>')
    rows += ["</Redirects>"]
    return "\r\n".join(
        ['<DMS errorTime="30000" synchronized="true" xmlns="http://www.skyline.be/config/dms">', *(f"   {r}" for r in rows), "</DMS>", ""]
    )


def _failover_rows(spec: TreeSpec, own: Member) -> list[str]:
    """A pair of this agent with a twin. The attributes inside are invented: the docs only name the tag."""
    if not spec.failover:
        return []
    twin = own.address.rsplit(".", 1)[0] + f".{100 + own.id % 100}"
    return ["<Failover>", f'   <Agent ip="{own.address}"/>', f'   <Agent ip="{twin}"/>', "</Failover>"]


def dataminer_xml(member: Member) -> str:
    """DataMiner.xml with the agent's id, and an LDAP password."""
    lines = (
        f'<DataMiner id="{member.id}" disableElementIP="false">',
        '  <AlarmSocket port="5024"/>',
        '  <LDAP nonDomainLDAP="true" host="dc.pluto.example" port="389" username="cn=bind"',
        f'      password={quoteattr(SECRETS[1])} auth="" namingContext="DC=pluto,DC=example"/>',
        '  <ProcessOptions protocolProcesses="5"/>',
        "</DataMiner>",
        "",
    )
    return "\r\n".join(lines)


def _write_history(root: Path, spec: TreeSpec, history: list[Install]) -> None:
    """VersionHistory.txt: local times, full upgrades only, each logged at the first start after it."""
    full = [install for install in history if install.kind == "Full"]
    lines = [f"{local_text(install.end + 120, spec)};{install.release.history_text}\r\n" for install in full]
    write(root / "Upgrades" / "VersionHistory.txt", "".join(lines).encode(), full[-1].end + 120)


def _write_package_folder(root: Path, spec: TreeSpec, install: Install) -> None:
    folder = root / "Upgrades" / "Packages" / f"{package_name(install.release, install.kind)}-{install.token}"
    words = _failed_words() if install.failed else _good_words(install.kind)
    step = (install.end - install.start) / max(len(words) - 1, 1)
    lines = [f"{local_text(install.start + number * step, spec)}|{word}\r\n" for number, word in enumerate(words)]
    if install.failed:
        write(folder / prerequisite_file(_UNMET[0]), prerequisite_result(*_UNMET), install.end)
    write(folder / "progress.log", "".join(lines).encode(), install.end)
    _touch(folder, install.start)


def prerequisite_file(name: str) -> str:
    return f"PreRequisite-Result-{name}.dll.json"


def prerequisite_result(name: str, message: str) -> bytes:
    """A failed prerequisite's result; what the vendor writes into it isn't known."""
    return json.dumps({"Name": f"{name}.dll", "Success": False, "Messages": [message]}).encode()


def _good_words(kind: str) -> list[str]:
    restarted = "Starting DataMiner" if kind == "Full" else "Restarting the web server"
    return ["Checking prerequisites", "Backing up dashboards and low-code apps", "Copying files", "Migrating", restarted, "Upgrade succeeded"]


def _failed_words() -> list[str]:
    return ["Checking prerequisites", f"Prerequisite {_UNMET[0]}: {_UNMET[1]}", "Upgrade failed"]


def _write_backups(root: Path, spec: TreeSpec, history: list[Install], index: int) -> None:
    """The zips that the last installs made: each holds the content before its install, and bears a name that tells nothing."""
    names = random.Random(f"{spec.seed}/backups/{index}")
    made = [(install, spec.snapshots[number]) for number, install in enumerate(history) if install.backup_time is not None]
    count = 5 if spec.five_from is not None else min(spec.vendor_backups, 5)
    for install, tree in made[max(len(made) - count, 0) :]:
        assert install.before is not None and install.backup_time is not None
        path = root / BACKUPS / f"{uuid.UUID(int=names.getrandbits(128), version=4)}.zip"
        write_snapshot(path, spec, tree, release=install.before)
        _touch(path, install.backup_time)


def write_snapshot(path: Path, spec: TreeSpec, tree: Tree, *, release: Release) -> None:
    """A vendor backup of some content, as the web version of then made it."""
    source = MemorySource(tree)
    chosen = select(source, two_versions=TWO_VERSIONS.reached(release), with_web=False)
    write_zip(path, source, chosen.paths, offset_minutes=spec.offset_minutes, style=spec.style)


def _state(spec: TreeSpec, history: list[Install], index: int) -> dict[str, Any]:
    member = spec.members[index]
    modules: list[dict[str, Any]] = []
    for install in history:
        modules = modules if install.failed else webfiles.upgraded_modules(modules, install.release)
    state = {
        "agent": member.name,
        "id": member.id,
        "address": member.address,
        "cluster": spec.cluster,
        "seed": spec.seed,
        "server": spec.server.history_text,
        "web": spec.web.package_version,
        "offset_minutes": spec.offset_minutes,
        "clock_offset_seconds": 0,
        "next_pid": 4000 + 400 * index,
        "processes": [],
        "services": dict.fromkeys([WEB_SERVER, "SLDataMiner", *(row["name"] for row in modules)], "Running"),
        "modules": modules,
        "runtimes": [DOTNET_8, DOTNET_10] if DOTNET_10_USED.reached(spec.web) else [DOTNET_8],
        "pending_reboot": [],
        "busy": False,
        "install_seconds": spec.install_seconds,
        "fail_at": None,
        "fail_persistent": False,
        "service_fails": [],
        "vendor_zip_holds_web": False,
    }
    return _with_processes(state, history)


def _with_processes(state: dict[str, Any], history: list[Install]) -> dict[str, Any]:
    full = [install for install in history if install.kind == "Full"][-1]
    for name in DATAMINER_PROCESSES:
        start_process(state, name, now=full.end)
    start_process(state, WEB_SERVER, now=_last(history).end)
    return state
