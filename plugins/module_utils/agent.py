# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scan says about one agent, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from .apps import App
from .package import Package
from .version import Version


@dataclass(frozen=True, kw_only=True)
class VersionFact:
    """A version and where it was read, or None and why it wasn't. `read`: what the agent's own files say, where the inventory names it instead."""

    version: Version | None
    source: str
    read: VersionFact | None = None


@dataclass(frozen=True, kw_only=True)
class HistoryLine:
    """A line of VersionHistory.txt. `earliest` and `latest` bound the moment in UTC: the file holds local time, the offset is unknown by an hour."""

    version: Version
    local: datetime
    earliest: datetime
    latest: datetime


@dataclass(frozen=True, kw_only=True)
class InstalledPackage:
    """A folder of Upgrades/Packages. `completed` is None where nothing tells whether it succeeded, `said` the line that tells, or the last."""

    package: Package
    folder: str
    started: datetime
    ended: datetime | None
    completed: bool | None
    failed_prerequisites: tuple[str, ...] = ()
    said: str = ""

    @property
    def end_or_start(self) -> datetime:
        """When its install ended, or began where that isn't known."""
        return self.ended or self.started


@dataclass(frozen=True, kw_only=True)
class ManifestHead:
    """Header and trailer of a manifest.

    `intact`: its own checksum matched when the agent read it, and what is used of it has the right types; else `problem` says what is wrong.
    """

    header: dict[str, object]
    trailer: dict[str, object]
    intact: bool
    problem: str | None = None


ASIDE = "aside"
KEPT = (ASIDE, "safety")  # in the working folder, where nothing is rotated out
ORIGINS = ("own", "vendor", *KEPT)


@dataclass(frozen=True, kw_only=True)
class BackupFile:
    """A zip found on the agent. `modified` is UTC; `manifest` is None for vendor-made and unreadable ones.

    `origin`: `own` and `vendor` are the folders of backups; `aside` is a copy that a restore made of one, `safety` a safety copy.
    """

    origin: str
    path: str
    name: str
    size: int
    modified: datetime
    manifest: ManifestHead | None = None


@dataclass(frozen=True, kw_only=True)
class Member:
    """An agent as DMS.xml lists it."""

    id: int | None
    address: str


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The cluster as one agent's DMS.xml tells it; `error` says why it couldn't be read.

    `failover`: it tells of a Failover pair; `twin` is the address of the agent's own other machine, None where there is none or it can't be told.
    """

    name: str | None
    self_id: int | None
    self_address: str | None
    members: tuple[Member, ...]
    failover: bool
    error: str | None = None
    twin: str | None = None


@dataclass(frozen=True, kw_only=True)
class Process:
    name: str
    pid: int
    started: datetime


@dataclass(frozen=True, kw_only=True)
class Module:
    """An installed module (GQI DxM, Web DcM…) as Windows lists it; `code` is its MSI product code."""

    name: str
    version: str
    code: str


@dataclass(frozen=True, kw_only=True)
class HostFacts:
    processes: tuple[Process, ...]
    modules: tuple[Module, ...]
    runtimes: tuple[str, ...]
    pending_reboot: tuple[str, ...]
    installer_busy: bool
    upgrade_running: bool


@dataclass(frozen=True, kw_only=True)
class Disk:
    """`free` in bytes; `volume` identifies it, so that two paths can be told to share one."""

    path: str
    free: int
    volume: str


@dataclass(frozen=True, kw_only=True)
class PackageFile:
    """Where a package, or the installer, should be on the agent; `size` in bytes, None while there is no such file."""

    path: str
    size: int | None


@dataclass(frozen=True, kw_only=True)
class RunningJob:
    run_id: str
    kind: str
    owner: str
    started: str
    work: str
    until: str = ""  # when a commit that waits starts its web server by itself at the latest


@dataclass(frozen=True, kw_only=True)
class LastRestore:
    """The restore that reached its end last.

    `state` is `released` or `undone`, `backup` the file name of what was restored, `partial` whether it was limited. `zip_mark` tells
    two zips of one name apart where nobody has read them: size and time. `restored_before`: when all of the content had been restored before it.
    """

    run_id: str
    state: str
    at: datetime
    backup: str
    zip_sha256: str = ""
    zip_mark: str = ""
    partial: bool = False
    restored_before: datetime | None = None

    @property
    def whole(self) -> bool:
        """All of the content is what it restored."""
        return self.state == "released" and not self.partial

    @property
    def restored(self) -> datetime | None:
        """When all of the content was restored last, by this one or another before it."""
        return self.at if self.whole else self.restored_before


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """`path` is relative to the folder Dashboards, with `/`."""

    path: str
    size: int
    modified: datetime


@dataclass(frozen=True, kw_only=True)
class ContentRow:
    """Size and digest of one item a backup would hold."""

    path: str
    files: int
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class AgentState:
    """One agent at the moment of a scan. Host facts are None where nothing on the host answers for them. `web_config`: a digest of Web.config."""

    utc: datetime
    offset_minutes: int
    language_mode: str | None
    root: str
    root_exists: bool
    server: VersionFact
    web: VersionFact
    web_api: str | None
    history: tuple[HistoryLine, ...]
    packages: tuple[InstalledPackage, ...]
    cluster: Cluster
    apps: tuple[App, ...]
    loose: tuple[str, ...]
    dashboards: tuple[Dashboard, ...]
    has_web_folder: bool
    backups: tuple[BackupFile, ...]
    partials: tuple[str, ...]
    disks: dict[str, Disk]
    host: HostFacts | None
    job: RunningJob | None
    journals: tuple[tuple[str, str], ...] = ()
    last_restore: LastRestore | None = None
    has_dashboards_folder: bool = True
    unread: tuple[tuple[datetime, datetime], ...] = ()  # bounds of the moments of history lines that tell no version
    content: tuple[ContentRow, ...] | None = None
    package_file: PackageFile | None = None
    web_config: str | None = None
    vendor_folder: tuple[str, bool] | None = None  # its path, and whether it exists
    installer_file: PackageFile | None = None
    web_service: tuple[str, str | None] | None = None  # its name, and the state it is in where there is one
    errors: tuple[str, ...] = field(default=())

    @property
    def install(self) -> RunningJob | None:
        """The install of this collection that is at work."""
        return self.job if self.job is not None and self.job.kind == "install" else None
