# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backups that there are, and what is known of each: the web version it was made on, told by its manifest or by the time it was made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from .agent import ASIDE, BackupFile, HistoryLine, InstalledPackage, LastRestore
from .backup import NAME_PREFIXES, of_another, of_another_cluster, problem_of_backup
from .entry_names import fold
from .errors import InvalidVersion
from .manifest import format_time, parse_time
from .package import FULL, WEB
from .version import Version, is_newer, same_release


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A zip and what is known of it.

    `made` is UTC: the manifest's time, else the file's. `version` is the web version it was made on, None where that can't be told; then `possible`
    lists what it may be. `how` says how it is known, or why not. `problem`: why it can't be used at all. `suspect`: why its content may be migrated.
    `purpose` is `backup` or `safety`. `stranger`: whose it is, where that is another agent; None for this agent's own, and for the vendor's.
    `foreign`: another cluster's.
    """

    backup: BackupFile
    made: datetime
    version: Version | None
    possible: tuple[Version, ...]
    how: str
    by_manifest: bool
    purpose: str = "backup"
    problem: str | None = None
    suspect: str | None = None
    stranger: str | None = None
    foreign: bool = False

    def row(self, offset_minutes: int = 0) -> dict[str, str]:
        """The candidate as texts for a table; `local` is the agent's own clock, as its file manager shows it."""
        local = self.made + timedelta(minutes=offset_minutes)
        version = str(self.version) if self.version else "unknown"
        note = self.problem or "; ".join(text for text in (self.how, self.suspect, self.stranger) if text)
        made, local_text = format_time(self.made), f"{local:%Y-%m-%d %H:%M}"
        size = f"{self.backup.size / 1024**2:.1f} MiB"
        return {
            "name": self.backup.name,
            "path": self.backup.path,
            "origin": self.backup.origin,
            "made": made,
            "local": local_text,
            "size": size,
            "version": version,
            "note": note,
        }


@dataclass(frozen=True, kw_only=True)
class _Event:
    """Something that set the web version, between two moments (UTC); not `certain` where it may not have happened. `local` orders history lines."""

    version: Version
    earliest: datetime
    latest: datetime
    source: str
    certain: bool = True
    local: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Background:
    """What an agent's traces tell about the backups on it.

    `unread`: bounds, in UTC, of the moments at which something was installed that no trace names. `offset_minutes` is its offset from UTC, for the
    listings. `agent` (its name in the inventory) and `cluster` (as DMS.xml has it) tell whose a backup is; None where that isn't known.
    `last_restore` tells whether the content was put right after a downgrade.
    """

    history: Sequence[HistoryLine]
    packages: Sequence[InstalledPackage]
    unread: Sequence[tuple[datetime, datetime]] = ()
    offset_minutes: int = 0
    agent: str | None = None
    cluster: str | None = None
    last_restore: LastRestore | None = None

    @cached_property
    def events(self) -> tuple[_Event, ...]:
        return _events(self.history, self.packages)

    def is_foreign(self, header: dict[str, object]) -> bool:
        """Another cluster's content has no place here."""
        return of_another_cluster(header, self.cluster)

    def stranger(self, header: dict[str, object]) -> str | None:
        """Another agent's content should be the same, but backups are per agent and may differ."""
        return of_another(header, agent=self.agent, cluster=self.cluster)

    def doubt(self, moment: datetime, version: Version | None, restored: datetime | None = None) -> str | None:
        """Why content of that moment, under that web version, may be that of a newer one, or None.

        Content stays at the newest version that ever migrated it, by half or whole, until all of it is restored. `restored`: when it was, by a
        backup's own manifest, for an agent knows of its last restores only.
        """
        since = self._restored(moment, restored)
        return self._half_migrated(moment, since) or self._downgraded(moment, version, since)

    def _restored(self, moment: datetime, stated: datetime | None) -> datetime | None:
        """When all of the content was restored last before a moment."""
        known = self.last_restore.restored if self.last_restore else None
        return max((at for at in (stated, known) if at and at <= moment), default=None)

    def _half_migrated(self, moment: datetime, since: datetime | None) -> str | None:
        """An install that failed half way may have migrated some of the content. One stopped by its prerequisites touched nothing."""
        for package in self.packages:
            failed = package.completed is False and not package.failed_prerequisites and package.package.kind in (FULL, WEB)
            if failed and package.end_or_start <= moment and not (since and since >= package.end_or_start) and not self._redone(package, moment):
                return f"made after a failed install of {package.package.version}: its content may be half migrated"
        return None

    def _redone(self, package: InstalledPackage, moment: datetime) -> bool:
        """Whether one of that version or a newer one has migrated all of it since: an older one migrates nothing back."""
        return any(
            event.certain and event.earliest >= package.started and event.latest < moment and not is_newer(package.package.version, event.version)
            for event in self.events
        )

    def _downgraded(self, moment: datetime, version: Version | None, since: datetime | None) -> str | None:
        """Content that was migrated before a downgrade stays so."""
        found = self.gone_back(moment, version, since)
        if found is None:
            return None
        return f"made after a downgrade from {found[0]} to {found[1]}, with no restore on record since: it may be migrated content"

    def gone_back(self, moment: datetime, version: Version | None = None, since: datetime | None = None) -> tuple[Version, Version] | None:
        """The last version that was installed before the moment and is newer than the one in force then, and that one: `version`, where it is known.

        With `since`, of those that were in force at that time or later.
        """
        done = sorted((event for event in self.events if event.latest < moment), key=lambda event: event.latest)
        certain = [event for event in done if event.certain]
        if version is None and not certain:
            return None
        in_force = version or certain[-1].version
        if since:
            held = [event for event in certain if event.earliest <= since][-1:]
            done = [*held, *(event for event in done if event.earliest > since)]
        beyond = [event.version for event in done if is_newer(event.version, in_force)]
        return (beyond[-1], in_force) if beyond else None


def list_candidates(backups: Iterable[BackupFile], background: Background) -> tuple[Candidate, ...]:
    """All zips with what is known of them, newest first."""
    candidates = [_candidate(backup, background) for backup in _without_copies(tuple(backups))]
    return tuple(sorted(candidates, key=lambda candidate: (candidate.made, candidate.by_manifest, candidate.backup.path), reverse=True))


def _without_copies(backups: Sequence[BackupFile]) -> list[BackupFile]:
    """A copy that a restore put aside counts where the original is gone: an installer keeps five."""
    originals = {_identity(backup) for backup in backups if backup.origin != ASIDE}
    return [backup for backup in backups if backup.origin != ASIDE or _identity(backup) not in originals]


def _identity(backup: BackupFile) -> tuple[str, int, datetime]:
    return fold(backup.name), backup.size, backup.modified


def _candidate(backup: BackupFile, background: Background) -> Candidate:
    header = backup.manifest.header if backup.manifest else {}
    made = parse_time(header.get("created")) or backup.modified
    problem, restored = _problem(backup), parse_time(header.get("restored"))
    stated = _stated_version(header.get("web_version")) if not problem else None
    version, possible, how = (stated, (), "its manifest names the web version") if stated else _in_force(background, made)
    return Candidate(
        backup=backup,
        made=made,
        version=None if problem else version,
        possible=() if problem else possible,
        how=how,
        by_manifest=stated is not None,
        purpose="safety" if header.get("purpose") == "safety" else "backup",
        problem=problem,
        suspect=str(header["suspect"]) if header.get("suspect") else background.doubt(made, version, restored),
        stranger=background.stranger(header),
        foreign=background.is_foreign(header),
    )


def _problem(backup: BackupFile) -> str | None:
    """Why the zip can't be used. One without a manifest can, unless its name is one of ours: then the manifest was lost, or it isn't finished."""
    if backup.manifest is None and not backup.name.startswith(tuple(f"{prefix}_" for prefix in NAME_PREFIXES.values())):
        return None
    return problem_of_backup(backup)


def _stated_version(text: object) -> Version | None:
    try:
        return Version.parse(text)
    except InvalidVersion:
        return None


def _events(history: Sequence[HistoryLine], packages: Sequence[InstalledPackage]) -> tuple[_Event, ...]:
    """What set the web version: completed Web and Full packages, and lines of VersionHistory.txt that no Full package explains.

    A full upgrade overrides every web upgrade before it (RN 43676). A package whose outcome isn't known may have set it, and so may a Full package
    that VersionHistory.txt doesn't know of, where there is one: then the two contradict each other.
    """
    relevant = [package for package in packages if package.package.kind in (FULL, WEB) and package.completed is not False]
    explained = _explained(history, [package for package in relevant if package.package.kind == FULL])
    events = [_package_event(package, told=not history or package.package.kind == WEB or package in explained.values()) for package in relevant]
    events += [_line_event(line) for number, line in enumerate(history) if number not in explained]
    return tuple(events)


def _explained(history: Sequence[HistoryLine], full: Sequence[InstalledPackage]) -> dict[int, InstalledPackage]:
    """Lines, by index, and the Full package that explains each: of the same release, run since the line before, explaining no other."""
    explained: dict[int, InstalledPackage] = {}
    before: HistoryLine | None = None
    for number, line in sorted(enumerate(history), key=lambda pair: pair[1].local):
        for package in sorted(full, key=lambda package: package.started, reverse=True):
            began_in_time = package.started <= line.latest and (before is None or package.end_or_start >= before.earliest)
            if began_in_time and package not in explained.values() and same_release(package.package.version, line.version) is True:
                explained[number] = package
                break
        before = line
    return explained


def _package_event(package: InstalledPackage, *, told: bool) -> _Event:
    """The version changed when the install ended: the automatic backup is made during it, and holds what was there before."""
    version, certain = package.package.version, package.completed is True and package.ended is not None and told
    source = f"{version} by {package.package.file_name}"
    if package.completed is None or package.ended is None:
        return _Event(
            version=version, earliest=package.started, latest=package.end_or_start, certain=False, source=f"{source}, whose outcome isn't known"
        )
    source += "" if told else ", of which VersionHistory.txt says nothing"
    return _Event(version=version, earliest=package.ended, latest=package.ended, certain=certain, source=source)


def _line_event(line: HistoryLine) -> _Event:
    source = f"{line.version} by the line of {line.local:%Y-%m-%d %H:%M:%S} in VersionHistory.txt (local time, to within an hour)"
    return _Event(version=line.version, earliest=line.earliest, latest=line.latest, source=source, local=line.local)


def _in_force(background: Background, moment: datetime) -> tuple[Version | None, tuple[Version, ...], str]:
    """The web version at a moment, or what it may have been; and how that is known, or why not."""
    events = background.events
    begun = [event for event in events if event.earliest < moment]
    last = [event for event in begun if not any(_overrides(other, event, moment) for other in begun)]
    if not last:
        return None, (), "it is older than every install on record" if events else "no install is on record"
    told = " or ".join(event.source for event in last)
    if any(_hides(line, events, moment) for line in background.unread):
        return (
            None,
            tuple(event.version for event in last),
            f"its version can't be told by its time: {told}, or by a line of VersionHistory.txt that can't be read",
        )
    bounded = any(event.certain and event.latest < moment for event in last)
    if bounded and all(same_release(last[0].version, event.version) is True for event in last):
        return last[0].version, (), f"by its time: {told}"
    return None, tuple(event.version for event in last), f"its version can't be told by its time: {told}" + ("" if bounded else ", or older")


def _hides(line: tuple[datetime, datetime], events: Sequence[_Event], moment: datetime) -> bool:
    """Whether what a line tells of may have been in force at the moment: it began before, and nothing surely came after it."""
    return line[0] < moment and not any(event.certain and event.latest < moment and event.earliest > line[1] for event in events)


def _overrides(later: _Event, earlier: _Event, moment: datetime) -> bool:
    """Whether `later` surely happened between `earlier` and the moment."""
    if not later.certain or later.latest >= moment:
        return False
    if later.local and earlier.local:
        return later.local > earlier.local
    return later.earliest > earlier.latest
