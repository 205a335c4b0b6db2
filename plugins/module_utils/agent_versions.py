# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which server and web version an agent runs, from the traces upgrades leave behind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from .agent import HistoryLine, InstalledPackage, VersionFact
from .agent_files import UnreadLine
from .errors import InvalidInput
from .package import FULL, WEB
from .version import Version, same_release

HISTORY = "Upgrades/VersionHistory.txt"
PACKAGES = "Upgrades/Packages"

DEFAULT_SUCCESS_PATTERN = (
    r"\b(?:upgrade|update|installation)\b"
    r"(?:(?!\bnot\b|unsuccess|\bfail)[^\r\n]){0,120}?"
    r"\b(?:succeeded|successful(?:ly)?|completed|finished)\b"
    r"(?![\s\S]*(?<!\b0 )(?<!\bno )(?<!\bwithout )(?<!\bwithout any )"
    r"\b(?:fail(?:s|ed|ures?|ing)?|errors?|abort(?:s|ed|ing)?|exceptions?|cancell?ed|roll(?:ed|ing)? ?back)\b(?!\s*[:=]\s*0\b))"
)
"""What in progress.log says that an install succeeded: that an upgrade or installation did, with no trouble told after it. One step's success isn't
that of the whole. The vendor documents no such text: a variable can replace it."""

_BAD_FLAG = re.compile(r"(?:is)?_?(?:succe(?:ss|ssful|eded)|passed|ok|met)", re.IGNORECASE)
_BAD_WORD = re.compile(r"fail(?:ed|ure)?|error|denied|blocked", re.IGNORECASE)
_WORD_KEY = re.compile(r"result|status|state|outcome|verdict", re.IGNORECASE)
_MAX_DEPTH = 6


@dataclass(frozen=True)
class _Event:
    """Something that set the web version, at a moment within bounds (UTC)."""

    version: Version
    earliest: datetime
    latest: datetime
    source: str


def success_test(pattern: str) -> re.Pattern[str]:
    """The pattern that finds success in a progress.log, case-insensitive. Raises InvalidInput for what is no regular expression."""
    try:
        return re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise InvalidInput(
            f"The pattern for a successful install, {pattern!r}, is no regular expression: {error}",
            needed="a regular expression that matches the line of progress.log which tells of success",
            remedy="correct dataminer_progress_success_pattern",
        ) from error


def failed_prerequisites(results: Iterable[tuple[str, str | None]]) -> tuple[str, ...]:
    """Names of the prerequisite checks that failed, from (file name, text) of `PreRequisite-Result-<name>.dll.json` (RN 37033).

    Their shape isn't documented: a check failed where some field such as Success is false, or one such as Result says failed. Anything else isn't
    taken for a failure.
    """
    return tuple(_check_name(name) for name, text in results if text and _says_failed(_json(text)))


def _check_name(file_name: str) -> str:
    return re.sub(r"^PreRequisite-Result-|(?:\.dll)?\.json$", "", file_name, flags=re.IGNORECASE) or file_name


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _says_failed(value: object, depth: int = 0) -> bool:
    if depth > _MAX_DEPTH:
        return False
    if isinstance(value, list):
        return any(_says_failed(item, depth + 1) for item in value)
    if not isinstance(value, dict):
        return False
    return any(_field_failed(key, field) or _says_failed(field, depth + 1) for key, field in value.items())


def _field_failed(key: str, value: object) -> bool:
    if value is False:
        return bool(_BAD_FLAG.fullmatch(key))
    return isinstance(value, str) and bool(_WORD_KEY.search(key)) and bool(_BAD_WORD.fullmatch(value.strip()))


def hidden_fact(unread: UnreadLine | None, packages: Sequence[InstalledPackage] = ()) -> VersionFact | None:
    """No version, where the newest line of VersionHistory.txt can't be read and none of `packages` was surely installed after it; else None."""
    if (
        unread is None
        or unread.latest is None
        or any(p.completed and p.package.kind in (FULL, WEB) and p.end_or_start > unread.latest for p in packages)
    ):
        return None
    return VersionFact(version=None, source=f"{HISTORY}: {unread.problem}; it is the newest line, so no older one tells what runs now")


def server_fact(history: Sequence[HistoryLine], missing: str) -> VersionFact:
    """The server version: the newest line of VersionHistory.txt by its own time, the last of equals. `missing` says why there may be no line."""
    if not history:
        return VersionFact(version=None, source=f"{HISTORY} {missing}")
    newest = max(reversed(history), key=lambda line: line.local)
    return VersionFact(version=newest.version, source=_line_source(newest))


def web_fact(history: Sequence[HistoryLine], packages: Sequence[InstalledPackage]) -> VersionFact:
    """The web version: of the newest event that set it. A completed Web package does; so does a full upgrade (RN 43676).

    A full upgrade is known from its package (a moment in UTC) or from its line in VersionHistory.txt (local time, so a window). Where the order of
    two events that disagree can't be told, nor whether a package after the last of them was installed, the version is None and the source says why.
    """
    events = _events(history, packages)
    newest = [event for event in events if not any(event.latest < other.earliest for other in events)]
    if not newest:
        return VersionFact(
            version=None, source=f"no completed Full or Web package in {PACKAGES} and no line in {HISTORY}{_incomplete(packages, None)}"
        )
    if any(same_release(newest[0].version, other.version) is not True for other in newest[1:]):
        told = "; ".join(f"{event.version} by {event.source}" for event in newest)
        return VersionFact(version=None, source=f"which came last can't be told: {told}. Name the web version in the inventory")
    best = newest[0]
    doubt = next((p for p in packages if _may_have_followed(p, best) and same_release(p.package.version, best.version) is not True), None)
    if doubt:
        return VersionFact(version=None, source=_doubt(doubt, best))
    return VersionFact(version=best.version, source=best.source + _incomplete(packages, best))


def _events(history: Sequence[HistoryLine], packages: Sequence[InstalledPackage]) -> list[_Event]:
    """Everything that set the web version; packages first, as they know more exactly when."""
    done = [p for p in packages if p.completed and p.package.kind in (FULL, WEB)]
    events = [_Event(p.package.version, p.end_or_start, p.end_or_start, _package_source(p)) for p in done]
    full = [p for p in done if p.package.kind == FULL]
    lines = [line for line in history if not _explained(line, full)]
    return events + [_Event(line.version, line.earliest, line.latest, _line_source(line)) for line in lines]


def _explained(line: HistoryLine, full: Sequence[InstalledPackage]) -> bool:
    """Whether the line tells of the newest full package that began before it: then the package's own moment is the better one."""
    before = [p for p in full if p.started <= line.latest]
    return bool(before) and same_release(max(before, key=lambda p: p.end_or_start).package.version, line.version) is True


def _may_have_followed(package: InstalledPackage, best: _Event) -> bool:
    """Whether a package of which it isn't known that it completed may have set the web version after `best`."""
    unknown = package.completed is None and not package.failed_prerequisites and package.package.kind in (FULL, WEB)
    return unknown and package.end_or_start >= best.earliest


def _doubt(package: InstalledPackage, best: _Event) -> str:
    return (
        f"{best.version} by {best.source}, but whether {package.package.file_name} was installed after it can't be told: "
        f"{PACKAGES}/{package.folder} has no progress.log that can be read. Name the web version in the inventory, unless an install is still at work"
    )


def _incomplete(packages: Sequence[InstalledPackage], best: _Event | None) -> str:
    """A remark on the newest package after `best` whose progress.log shows no success."""
    later = [p for p in packages if p.completed is False and p.package.kind in (FULL, WEB) and (best is None or p.end_or_start > best.latest)]
    if not later:
        return ""
    newest = max(later, key=lambda p: p.end_or_start)
    return f"; {newest.package.file_name} ({_utc(newest.end_or_start)}) shows no success in its progress.log"


def _line_source(line: HistoryLine) -> str:
    return f"{HISTORY}, line of {line.local:%Y-%m-%d %H:%M:%S} (local time)"


def _package_source(package: InstalledPackage) -> str:
    return f"{PACKAGES}/{package.folder}, completed {_utc(package.end_or_start)}"


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
