# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an agent has reached a web version, and whether it needs a backup before it goes there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from .agent import AgentState, BackupFile, InstalledPackage, LastRestore
from .backup import not_counted, problem_of_backup
from .candidates import Background
from .errors import InvalidVersion
from .package import FULL, WEB
from .version import Version, is_newer, same_release

SERVES = timedelta(hours=2)
"""How old the last backup may be after a failed install: the longest install and another try fit in, half a day's work doesn't."""


@dataclass(frozen=True, kw_only=True)
class NoBackupNeeded:
    """Why none is made now; `backup` is the one that serves instead, if any."""

    reason: str
    backup: BackupFile | None = None


def latest_attempt(state: AgentState) -> InstalledPackage | None:
    """The Full or Web package that was started last, whether it succeeded or not."""
    relevant = [row for row in state.packages if row.package.kind in (FULL, WEB)]
    return max(relevant, key=lambda row: row.started, default=None)


def failed_attempt(state: AgentState) -> InstalledPackage | None:
    """The last attempt, when nothing says that it succeeded: the content may be half migrated. One stopped by its prerequisites touched nothing."""
    begun = [row for row in state.packages if row.completed or not row.failed_prerequisites]
    last = latest_attempt(replace(state, packages=tuple(begun)))
    return last if last is not None and last.completed is False else None


def last_migration(states: Mapping[str, AgentState], target: Version) -> tuple[str, InstalledPackage] | None:
    """The last install, on any of these agents, of web apps newer than `target`: synchronisation may have brought what it migrated to all of them.

    One stopped by its prerequisites touched nothing.
    """
    newer = [
        (name, row)
        for name, state in states.items()
        for row in state.packages
        if row.package.kind in (FULL, WEB) and is_newer(row.package.version, target) and (row.completed or not row.failed_prerequisites)
    ]
    return max(newer, key=lambda pair: pair[1].end_or_start, default=None)


def has_reached(state: AgentState, target: Version) -> bool:
    """The agent runs `target`, and no later attempt failed half way."""
    return state.web.version is not None and same_release(state.web.version, target) is True and failed_attempt(state) is None


def other_software(state: AgentState, target: Version | None) -> bool:
    """Whether the agent surely runs another web version than `target`."""
    return target is not None and state.web.version is not None and same_release(state.web.version, target) is False


def restored_since(state: AgentState, target: Version | None) -> LastRestore | None:
    """The restore of all content that came last, where nothing was installed since.

    An agent that runs another version was installed since, whatever is left of the installer's own records. Of a restore whose time is yet to come,
    since the clock was set back, nobody knows what came after it.
    """
    last, attempt = state.last_restore, latest_attempt(state)
    if last is None or not last.whole or last.at > state.utc or other_software(state, target):
        return None
    return None if attempt and last.at <= attempt.end_or_start else last


def no_backup_needed(state: AgentState, target: Version | None, *, agent: str) -> NoBackupNeeded | None:
    """A reason to make no backup before an upgrade of `agent` (its inventory name) to `target`, or None.

    Beside an install of ours nothing else runs: it began once the agent had its backup. After a failed attempt the content may be half migrated: a
    backup of it, under the version from before, would be taken for a good one later. The one from before the attempt serves, once it was read again,
    and no other is made as long as there can be little that was done since the last one.
    """
    if target is None:
        return None
    if has_reached(state, target):
        return NoBackupNeeded(reason=f"the agent already runs {target}")
    if state.install:
        return NoBackupNeeded(reason=f"install job {state.install.run_id} is at work", backup=_newest(sound_backups(state, agent)))
    failed, kept = failed_attempt(state), backup_from_before(state, agent)
    if failed is None or kept is None or not _lately(state, agent):
        return None
    reason = f"the install of {failed.package.version} failed, so the content may be half migrated; the backup from before it serves"
    return NoBackupNeeded(reason=reason, backup=kept)


def _lately(state: AgentState, agent: str) -> bool:
    """Whether what people did is in a backup but for the last hours, in one that is suspect if need be."""
    last = _newest(row for row in own_backups(state, agent) if _on_current(row, state))
    return last is not None and state.utc - last.modified <= SERVES


def backup_from_before(state: AgentState, agent: str) -> BackupFile | None:
    """The last sound backup that was made on the version from before a failed attempt; None where none failed."""
    failed = failed_attempt(state)
    if failed is None:
        return None
    return _newest(row for row in sound_backups(state, agent) if row.modified <= failed.started and _on_current(row, state))


def own_backups(state: AgentState, agent: str) -> list[BackupFile]:
    """Complete backups of ours, of this agent, as far as their manifests tell."""
    return [row for row in state.backups if problem_of_backup(row) is None and not_counted(row, agent, state.cluster.name) is None]


def sound_backups(state: AgentState, agent: str) -> list[BackupFile]:
    """Those of them that say nothing against themselves."""
    return [row for row in own_backups(state, agent) if not _doubtful(row)]


def _newest(backups: Iterable[BackupFile]) -> BackupFile | None:
    return max(backups, key=lambda row: row.modified, default=None)


def _on_current(row: BackupFile, state: AgentState) -> bool:
    said = row.manifest.header.get("web_version") if row.manifest else None
    if not isinstance(said, str) or state.web.version is None:
        return False
    try:
        return same_release(Version.parse(said), state.web.version) is not False
    except InvalidVersion:  # a manifest that says something odd must not keep an agent from its upgrade
        return False


def _doubtful(row: BackupFile) -> bool:
    return row.manifest is not None and bool(row.manifest.header.get("suspect"))


def suspect(state: AgentState) -> str | None:
    """What a backup made now should say against itself, or None. What is said so outlives the records of installs, and rotates out no sound one."""
    read, named = state.web.read, state.web.version
    if read is not None and read.version is not None and named is not None and is_newer(read.version, named):
        return f"made while the inventory named web version {named}, where {read.version} was read: its content may be migrated"
    background = Background(history=state.history, packages=state.packages, last_restore=state.last_restore)
    return background.doubt(state.utc, named)
