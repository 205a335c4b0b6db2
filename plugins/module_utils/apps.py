# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A low-code app as its folder tells it: App.info.json and the version folders beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from .errors import DataMinerError

INFO_NAME = "App.info.json"
VERSION_FOLDER = re.compile(r"version_0*([0-9]+)", re.IGNORECASE | re.ASCII)
"""The whole name of a version's folder; `version_007` counts as version 7."""

_MAX_NUMBER = 2**31 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SURROGATES = re.compile("[\ud800-\udfff]")


class InvalidAppInfo(DataMinerError):
    """An App.info.json that DataMiner couldn't read either."""


@dataclass(frozen=True, kw_only=True)
class AppVersion:
    """A row of the version history in App.info.json (since 10.5.2). `created` is UTC; both facts may be missing."""

    number: int
    created: datetime | None
    author: str | None


@dataclass(frozen=True, kw_only=True)
class AppInfo:
    """A valid App.info.json. `published` and `draft` are None for JSON null or a missing key; 0 or less means "none" but isn't null."""

    id: str | None
    name: str | None
    published: int | None
    draft: int | None
    versions: tuple[AppVersion, ...] | None


@dataclass(frozen=True, kw_only=True)
class App:
    """One folder below Applications. `info` is None where App.info.json is absent or invalid, then `info_problem` says why.

    `version_folders` maps a version number to the name of its folder; `others` are the names of all other entries but App.info.json.
    `info_unread`: App.info.json is there but couldn't be read, so whether it is valid isn't known.
    """

    folder: str
    info: AppInfo | None
    info_problem: str | None
    version_folders: dict[int, str]
    others: tuple[str, ...]
    info_unread: bool = False

    @property
    def title(self) -> str:
        """The name a person knows it by, else its folder."""
        return self.info.name if self.info and self.info.name else self.folder


def parse_app(folder: str, *, info_text: str | None, info_error: str | None, dirs: Iterable[str], files: Iterable[str]) -> App:
    """The app in one row of a scan. `info_error` is null, "missing", "too large" or "unreadable", as a scan's Text has it. Never raises."""
    versions, other_dirs = _version_folders(dirs)
    others = other_dirs + [name for name in files if name.upper() != INFO_NAME.upper()]
    info, problem = _info_or_problem(info_text, info_error)
    return App(
        folder=folder,
        info=info,
        info_problem=problem,
        version_folders=versions,
        others=tuple(sorted(others)),
        info_unread=info_error not in (None, "missing"),
    )


def _info_or_problem(text: str | None, error: str | None) -> tuple[AppInfo | None, str | None]:
    if error is not None or text is None:
        return None, f"{INFO_NAME} is {error or 'missing'}"
    try:
        return parse_app_info(text), None
    except InvalidAppInfo as invalid:
        return None, invalid.message


def _version_folders(dirs: Iterable[str]) -> tuple[dict[int, str], list[str]]:
    """Version folders by number, and all other names.

    Of several folders of one number the one DataMiner would look for counts (`version_7`, not `version_007`, nor `Version_7` where case matters);
    the rest are among the others. A backup that takes the number takes them all.
    """
    versions: dict[int, str] = {}
    others: list[str] = []
    for name in sorted(dirs, key=lambda name: (len(name), not name.islower(), name)):
        match = VERSION_FOLDER.fullmatch(name)
        if match and int(match.group(1)) not in versions:
            versions[int(match.group(1))] = name
        else:
            others.append(name)
    return dict(sorted(versions.items())), others


def parse_app_info(text: str) -> AppInfo:
    """The facts in an App.info.json of any age: both `__type`s, with or without the version history; unknown keys are ignored.

    Numbers may be strings or whole floats; of a key that stands twice the last counts. Raises InvalidAppInfo.
    """
    data = _json_object(text.removeprefix("\ufeff"))
    return AppInfo(
        id=_text(data.get("ID")),
        name=_text(data.get("Name")),
        published=_number(data, "PublicVersion"),
        draft=_number(data, "DraftVersion"),
        versions=_versions(data.get("Versions")),
    )


def _json_object(text: str) -> dict[str, object]:
    if not text.strip():
        raise InvalidAppInfo(f"{INFO_NAME} is empty")
    if "\0" in text:
        raise InvalidAppInfo(f"{INFO_NAME} holds NUL characters, as after a write that was cut off")
    try:
        data = json.loads(text, strict=False)  # DataMiner's own reader takes a tab or a line break within a string
    except RecursionError:
        raise InvalidAppInfo(f"{INFO_NAME} is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise InvalidAppInfo(f"{INFO_NAME} isn't JSON: {error.msg} in line {error.lineno}, column {error.colno}") from None
    except ValueError:
        raise InvalidAppInfo(f"{INFO_NAME} holds a number of thousands of digits") from None
    if not isinstance(data, dict):
        raise InvalidAppInfo(f"{INFO_NAME} is {_kind(data)}, not an object")
    return data


def _number(data: dict[str, object], key: str) -> int | None:
    value = data.get(key)
    if value is None:
        return None
    number = _whole(value)
    if number is None or not -_MAX_NUMBER <= number <= _MAX_NUMBER:
        raise InvalidAppInfo(f"{INFO_NAME} has {_kind(value)} for {key}, not a version number")
    return number


def _whole(value: object) -> int | None:
    """The whole number that an int, a whole float or a text of digits stands for. A boolean is none, though Python counts it as an int."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"\s*[+-]?[0-9]{1,19}\s*", value) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    """A text that can be printed and sent on: JSON can escape half of a character, which no encoding takes."""
    return _SURROGATES.sub("\ufffd", value) if isinstance(value, str) and value else None


def _versions(value: object) -> tuple[AppVersion, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise InvalidAppInfo(f"{INFO_NAME} has {_kind(value)} for Versions, not a list")
    rows = [_version(row) for row in value]
    return tuple(row for row in rows if row)


def _version(row: object) -> AppVersion | None:
    """A row of the history; None for one that names no version, which says nothing."""
    if not isinstance(row, dict):
        raise InvalidAppInfo(f"{INFO_NAME} has {_kind(row)} in Versions, not an object")
    number = _number(row, "Version")
    return None if number is None else AppVersion(number=number, created=_moment(row.get("CreatedAt")), author=_text(row.get("CreatedBy")))


def _moment(value: object) -> datetime | None:
    """Milliseconds since 1970, UTC; None for what is missing, no number, or no date."""
    number = _whole(value)
    try:
        return None if number is None else _EPOCH + timedelta(milliseconds=number)
    except OverflowError:
        return None


def _kind(value: object) -> str:
    """What JSON calls it, with a short value shown."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", int: "a number", float: "a number", type(None): "null"}
    shown = f" ({ascii(value)[:40]})" if isinstance(value, str | float) or (isinstance(value, int) and abs(value) < 10**18) else ""
    return names.get(type(value), "something else") + shown
