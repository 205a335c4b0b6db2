# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of upgrade packages: which version, and which kind, a `.dmupgrade` is."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import InvalidInput, InvalidVersion
from .version import Version

FULL = "Full"
WEB = "Web"

_NAME = re.compile(
    r"""
    (?P<file> DataMiner [ ]+ (?P<version> [0-9] .*? ) [ ]+ (?P<kind> [A-Za-z]+ ) [ ]+ Upgrade (?P<rest> (?: [ _(.-] .* )? ) \.dmupgrade )
    (?: - [^/\\]{32} )?
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_TAG = re.compile(r"\(([^()]*)\)")


@dataclass(frozen=True, kw_only=True)
class Package:
    """An upgrade package by its name. `kind` is `Full`, `Web`, or what else the name says.

    `tags` are the words in brackets, such as `rc` or `internal`. A name without a CU leaves the CU of a Main Release unknown.
    `file_name` is the `.dmupgrade`'s, without folders.
    """

    version: Version
    kind: str
    tags: tuple[str, ...]
    file_name: str


def parse_package_name(text: object) -> Package:
    """The package that a file name, a path, or the name of a folder of `Upgrades/Packages` (`….dmupgrade-<32 characters>`) tells of.

    The vendor's names are `DataMiner <a.b.c.d>[(CU<n>)]-<build> Full|Web Upgrade[ (rc|internal)]….dmupgrade`. Raises InvalidInput for others.
    """
    if not isinstance(text, str):
        raise _unfit(repr(text))
    match = _NAME.fullmatch(re.split(r"[/\\]", text.strip())[-1])
    if match is None:
        raise _unfit(repr(text))
    try:
        version = Version.parse(match["version"])
    except InvalidVersion as error:
        raise _unfit(repr(text), error.message) from error
    tags = tuple(tag.strip() for tag in _TAG.findall(match["rest"]))
    return Package(version=version, kind=match["kind"].capitalize(), tags=tags, file_name=match["file"])


def _unfit(shown: str, found: str = "") -> InvalidInput:
    return InvalidInput(
        f"{shown} is not the name of an upgrade package",
        found=found,
        needed="a name such as 'DataMiner 10.5.4.0-15588 Web Upgrade.dmupgrade'",
        remedy="keep the name the package was downloaded under: version and kind are read from it",
    )
