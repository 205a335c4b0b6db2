# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The typed exceptions of the collection.

Each says what was found, what was needed and what to do. They are raised below and translated to Ansible once, at the edge.
"""

from __future__ import annotations

_FOUND, _NEEDED, _REMEDY = "Found: ", "Needed: ", "What to do: "
_LEAST = {_FOUND: 30, _NEEDED: 30, "": 120}  # characters that are left of a part, so that it still says something


class DataMinerError(Exception):
    """An error a person can act on.

    `found`, `needed` and `remedy` are sentences or fragments of one; the message joins them on one line. `details` (the end of a log) follow below.
    """

    def __init__(self, message: str, *, found: str = "", needed: str = "", remedy: str = "", details: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.found = found
        self.needed = needed
        self.remedy = remedy
        self.details = details

    def __str__(self) -> str:
        parts = [self.message]
        parts += [f"{_FOUND}{self.found}"] if self.found else []
        parts += [f"{_NEEDED}{self.needed}"] if self.needed else []
        parts += [f"{_REMEDY}{self.remedy}"] if self.remedy else []
        return " | ".join(parts) + (f"\n{self.details}" if self.details else "")

    def to_dict(self) -> dict[str, str]:
        """The error as plain JSON types, with `type` naming the class; `from_dict` is the way back."""
        parts = ("message", "found", "needed", "remedy", "details")
        return {"type": type(self).__name__, **{name: getattr(self, name) for name in parts}}


def cut(text: str, longest: int = 160) -> str:
    """A name, path or message for a result, of so many characters at most."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def shortened(line: str, longest: int) -> str:
    """A message on one line, of so many characters where that leaves what to do: what was found is cut first, and what to do never."""
    if _REMEDY not in line:
        return cut(line, longest)
    parts = _parts(line)
    for kind, least in _LEAST.items():
        for number in sorted((n for n, part in enumerate(parts) if _kind(part) == kind), key=lambda n: -len(parts[n])):
            room = max(len(parts[number]) - max(len(" | ".join(parts)) - longest, 0), least)
            parts[number] = cut(parts[number], room)
    return " | ".join(parts)


def _kind(part: str) -> str:
    return next((word for word in (_FOUND, _NEEDED, _REMEDY) if part.startswith(word)), "")


def _parts(line: str) -> list[str]:
    """What `DataMinerError` joins. What was found may hold the mark between two parts, too."""
    parts: list[str] = []
    for part in line.split(" | "):
        if parts and not _kind(part):
            parts[-1] += f" | {part}"
        else:
            parts.append(part)
    return parts


def type_name(value: object) -> str:
    """The built-in type a value is, whatever subclass Ansible made of it to remember where it came from."""
    return next(kind.__name__ for kind in type(value).__mro__ if kind.__module__ == "builtins")


def described(value: object) -> str:
    """A value and what it is, for people: `'two', a str`."""
    kind = type_name(value)
    return f"{value!r}, {'an' if kind == 'int' else 'a'} {kind}"


class InvalidVersion(DataMinerError):
    """A text that is no DataMiner version; the message quotes it."""


class InvalidInput(DataMinerError):
    """An argument that can't be used."""


class InvalidScan(DataMinerError):
    """A scan document of an unknown shape."""


class ScriptFailed(DataMinerError):
    """A script that failed on a Windows agent for a reason nobody foresaw; `found` is what PowerShell said."""


class InvalidManifest(DataMinerError):
    """A backup's manifest that is malformed, of an unknown schema, or doesn't match its own checksum."""


class UnsafeEntry(DataMinerError):
    """An entry of a zip that must not be extracted."""


class BackupInvalid(DataMinerError):
    """A backup that doesn't hold what it should."""


class NoBackup(DataMinerError):
    """No backup fits; the message lists the candidates."""


class AmbiguousBackup(DataMinerError):
    """More than one backup fits, or it can't be told; the message lists the candidates."""


class Busy(DataMinerError):
    """Another job runs on the agent."""


class NoSuchJob(DataMinerError):
    """A run id nobody started."""


class UnknownJob(DataMinerError):
    """A job that was started, and of which the agent knows nothing: its start may arrive yet."""


class NotBegun(DataMinerError):
    """A commit that was called off before it began, and won't any more."""


class JobFailed(DataMinerError):
    """A job that ended in failure, or that died."""


class NotEnoughSpace(DataMinerError):
    """The volume can't hold what the job would write."""


class ChangedMeanwhile(DataMinerError):
    """Files vanished, were locked or changed while they were read."""


class InstallFailed(DataMinerError):
    """The installer ended with a code that doesn't mean success."""


class ServiceFailed(DataMinerError):
    """A service didn't stop or start."""


class Refused(DataMinerError):
    """A safety rule forbids it."""


UNREAD = (ScriptFailed.__name__, InvalidScan.__name__, UnknownJob.__name__)
"""Errors of a call that say nothing of how far the job is that it asked for."""


def from_dict(data: dict[str, str]) -> DataMinerError:
    """The error a `to_dict` described; an unknown type becomes a `JobFailed`."""
    kinds = {kind.__name__: kind for kind in DataMinerError.__subclasses__()}
    kind: type[DataMinerError] = kinds.get(data.get("type", ""), JobFailed)
    return kind(data.get("message", ""), **{name: data.get(name, "") for name in ("found", "needed", "remedy", "details")})
