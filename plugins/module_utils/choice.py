# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backup to restore: the one made on the target web version.

"The most recent" is not it: installing the older package of a downgrade makes one more automatic backup, of content already migrated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from .agent import ASIDE, BackupFile
from .candidates import Background, Candidate, list_candidates
from .entry_names import fold
from .errors import AmbiguousBackup, BackupInvalid, InvalidInput, NoBackup
from .version import Content, Version, is_newer, same_release, web_content

TARGET = "target"
LATEST = "latest"

_APART = timedelta(days=1)  # an upgrade of ours makes a backup before the installer makes its own
_SHOWN_CANDIDATES = 30
_NAME_ONE = "Name the one to restore, by file name or path, with dataminer_backup."


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The backup to restore. `how` says why it is this one; `candidates` are all zips, newest first."""

    backup: BackupFile
    web_version: Version | None
    how: str
    warnings: tuple[str, ...]
    candidates: tuple[Candidate, ...]


def choose(backups: Iterable[BackupFile], *, wanted: str = TARGET, target: Version | None, background: Background) -> Chosen:
    """The backup to restore.

    `wanted`: `target`, the backup made on the target web version (the release itself before one with the same content; by manifest before by time,
    but where the latter is more than a day newer somebody has to say which); `latest`, the newest that wasn't made on a newer version than the
    target, and one of doubtful content only where there is no other; or the file name or path of one. Another agent's comes after this one's own
    and the vendor's; another cluster's is none.
    Raises NoBackup and AmbiguousBackup, which list the candidates; BackupInvalid when the one named can't be used; InvalidInput for a missing target.
    """
    candidates = list_candidates(backups, background)
    if wanted == TARGET and target is None:
        raise InvalidInput(
            "The backup of the target version can't be chosen without a target version", remedy="Set the target version, or name a backup."
        )
    if not wanted.strip():
        raise InvalidInput("The backup to restore has an empty name", needed=f"{TARGET}, {LATEST}, or a file name or path", remedy=_NAME_ONE)
    table = _Table(candidates, target, background.offset_minutes)
    if wanted == LATEST:
        return table.latest()
    return table.by_target(target) if wanted == TARGET and target else table.by_name(wanted)


class _Table:
    """The candidates, newest first, and the three ways to choose among them."""

    def __init__(self, candidates: tuple[Candidate, ...], target: Version | None, offset_minutes: int) -> None:
        self.candidates = candidates
        self.target = target
        self.offset = offset_minutes
        self.usable = [one for one in candidates if not one.problem and not one.foreign and one.purpose == "backup"]

    def by_target(self, target: Version) -> Chosen:
        exact = [candidate for candidate in self.usable if candidate.version and same_release(candidate.version, target) is True]
        alike = [candidate for candidate in self.usable if candidate.version and web_content(candidate.version, target) is Content.SAME]
        groups = [[c for c in group if bool(c.stranger) is strange] for group in (exact, alike) for strange in (False, True)]
        ranked = [[c for c in group if c.by_manifest is by_manifest] for group in groups for by_manifest in (True, False)]
        for group in [[c for c in group if not c.suspect] for group in ranked] + ranked:
            if group:
                self._only_one(group[0], exact)
                return self.chosen(group[0], f"the newest backup made on {group[0].version}; {group[0].how}")
        possible = [candidate for candidate in self.usable if _may_be(candidate, target)]
        if possible:
            raise AmbiguousBackup(
                f"No backup was surely made on web version {target}, but {len(possible)} may have been.",
                found=self.listed(possible),
                remedy=_NAME_ONE,
            )
        raise self.none(f"No backup was made on web version {target}.", needed=f"a backup made on {target}, or on a release with the same content")

    def _only_one(self, chosen: Candidate, exact: Sequence[Candidate]) -> None:
        """What was edited between two of them would be taken for migrated, and nobody asked: its files were written anew by the install."""
        later = [c for c in exact if chosen.by_manifest and not c.by_manifest and not c.suspect and not c.stranger and c.made - chosen.made > _APART]
        if not later:
            return
        raise AmbiguousBackup(
            f"{chosen.backup.name} is the newest backup that says that it was made on {chosen.version}, but {later[0].backup.name} was made later, "
            "on that version as well by its time: what was edited in between is in that one only.",
            found=self.listed([later[0], chosen]),
            remedy=f"Set dataminer_backup to {LATEST} for the later one, or name the one to restore.",
        )

    def latest(self) -> Chosen:
        """Installing the older package makes the newest of all, of migrated content: a second run must not take that for what the first one chose."""
        if not self.usable:
            raise self.none("There is no backup that can be used.", needed="at least one")
        readable = [c for c in self.usable if not self._too_new(c)]
        if not readable:
            raise self.none(
                f"All backups were made, or may have been made, on a newer web version than {self.target}.",
                needed=f"one of {self.target} or older, for the web apps migrate content one way only",
            )
        found = next((c for c in readable if not c.suspect), readable[0])
        passed = self.candidates[: self.candidates.index(found)]
        warnings = [f"{c.backup.name} is newer, but can't be used: {c.problem}." for c in passed if c.problem]
        warnings += [f"{c.backup.name} is newer, but was passed over: {why}." for c in passed if c in self.usable and (why := self._too_new(c))]
        how = "the newest of all, as was asked for" if found is self.usable[0] else "the newest that can be gone back to, as was asked for"
        return self.chosen(found, how, warnings)

    def _too_new(self, candidate: Candidate) -> str:
        """Why its content may be of a newer version than the target, which couldn't read it."""
        versions = (candidate.version,) if candidate.version else candidate.possible
        newer = [version for version in versions if self.target and is_newer(version, self.target)]
        return f"it {'was' if candidate.version else 'may have been'} made on {newer[0]}, newer than {self.target}" if newer else ""

    def by_name(self, wanted: str) -> Chosen:
        name = _path_key(wanted)
        how = "named by its file name or path"
        found = self._called(name, lambda backup: backup.path) or self._called(name, lambda backup: backup.name)
        if not found:
            found, how = self._kept_of(name), f"the copy that was put aside of {wanted}, which is gone"
        if not found:
            raise self.none(f'There is no backup "{wanted}".', needed="the file name or path of one that is there")
        if len(found) > 1:
            raise AmbiguousBackup(f'{len(found)} backups are called "{wanted}".', found=self.listed(found), remedy="Give the whole path.")
        if found[0].problem and found[0].backup.manifest:
            raise BackupInvalid(f"{found[0].backup.name} can't be used: {found[0].problem}.", found=self.listed(self.candidates), remedy=_NAME_ONE)
        return self.chosen(found[0], how)

    def _called(self, name: str, part: Callable[[BackupFile], str]) -> list[Candidate]:
        return [candidate for candidate in self.candidates if _path_key(part(candidate.backup)) == name]

    def _kept_of(self, path: str) -> list[Candidate]:
        """The copies that were put aside of a file that is gone: an installer keeps five, and installing the older package makes one more."""
        return [c for c in self._called(path.rpartition("/")[2], lambda backup: backup.name) if c.backup.origin == ASIDE]

    def chosen(self, candidate: Candidate, how: str, warnings: Sequence[str] = ()) -> Chosen:
        return Chosen(
            backup=candidate.backup,
            web_version=candidate.version,
            how=how,
            warnings=(*warnings, *self.warnings(candidate)),
            candidates=self.candidates,
        )

    def warnings(self, candidate: Candidate) -> list[str]:
        name, version, target = candidate.backup.name, candidate.version, self.target
        warnings = []
        if target and version is None:
            warnings.append(f"Whether {name} was made on {target} isn't known: {candidate.how}.")
        elif target and version and same_release(version, target) is not True:
            alike = "has the same content by the vendor's word" if web_content(version, target) is Content.SAME else "may need another migration"
            warnings.append(f"{name} was made on {version}, not on {target}: it {alike}.")
        if candidate.backup.manifest is None:
            warnings.append(f"{name} has no manifest: what it should hold, and the version it was made on, can't be proved.")
        if candidate.purpose == "safety":
            warnings.append(f"{name} is a safety copy: it holds the content as it was before a restore.")
        warnings += [f"{name}: {text}." for text in (candidate.suspect, candidate.stranger) if text]
        newer = [c for c in self.usable if target and c.suspect and c.made > candidate.made and _fits(c, target) and not candidate.suspect]
        return warnings + [f"{c.backup.name} is newer, but was passed over: {c.suspect}." for c in newer]

    def none(self, message: str, *, needed: str) -> NoBackup:
        found = self.listed(self.candidates) or "no zip at all"
        return NoBackup(message, found=found, needed=needed, remedy=f"{_NAME_ONE} Or copy a backup into the backup folder, and run again.")

    def listed(self, candidates: Sequence[Candidate]) -> str:
        """Name, date, size, version and note of each, for a message."""
        rows = [candidate.row(self.offset) for candidate in candidates[:_SHOWN_CANDIDATES]]
        more = [f"and {len(candidates) - len(rows)} more"] if len(candidates) > len(rows) else []
        return "; ".join([f"{row['name']} ({row['made']}, {row['size']}, web version {row['version']}: {row['note']})" for row in rows] + more)


def _fits(candidate: Candidate, target: Version) -> bool:
    return candidate.version is not None and web_content(candidate.version, target) is Content.SAME


def _may_be(candidate: Candidate, target: Version) -> bool:
    """Whether one of the versions it may have been made on is the target, or can't be told from it (an unknown CU)."""
    versions = (candidate.version,) if candidate.version else candidate.possible
    return any(same_release(version, target) is not False or web_content(version, target) is Content.SAME for version in versions)


def _path_key(path: str) -> str:
    return fold(path.strip().replace("\\", "/"))
