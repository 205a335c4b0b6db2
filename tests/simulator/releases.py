# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases as the simulated vendor numbers them: tracks, months, builds, and since when something holds."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_CU = re.compile(r"CU\s*(\d+)", re.IGNORECASE)
_BUILD = re.compile(r"-\s*(\d{4,7})\b")
_DATE = re.compile(r"-(20\d{6})\b")


@dataclass(frozen=True, kw_only=True)
class Release:
    """One release. `date` (YYYYMMDD) is the day it was built; a build or date that isn't given is made up from the month, always the same."""

    major: int = 10
    minor: int
    patch: int
    cu: int = 0
    build: int = 0
    date: str = ""

    @classmethod
    def parse(cls, text: str) -> Release:
        """The release in `10.5.4`, `10.5.0 [CU9]`, `10.5.4.0-15588-20250319-release` or a package name. Raises ValueError for others."""
        return _parse(text)

    @property
    def track(self) -> str:
        return "FR" if self.patch else "MR"

    @property
    def ordinal(self) -> int:
        """The month of the web content: FR 10.Y.Z = MR 10.Y.0 [CU Z-3] = MR 10.(Y-1).0 [CU Z+9]."""
        return 12 * self.minor + (self.patch or self.cu + 3)

    @property
    def _usual_build(self) -> int:
        return 15588 + 130 * (self.ordinal - 64) + (9 * self.cu if self.patch else 7 + 10 * self.minor)

    @property
    def _usual_date(self) -> str:
        years, month = divmod(self.ordinal - 2, 12)
        return f"{2020 + years}{month + 1:02}19"

    @property
    def label(self) -> str:
        """As content and people name it: `10.5.4`, `10.5.4 (CU1)`, `10.5.0 [CU9]`."""
        base = f"{self.major}.{self.minor}.{self.patch}"
        if self.patch:
            return f"{base} (CU{self.cu})" if self.cu else base
        return f"{base} [CU{self.cu}]"

    @property
    def package_version(self) -> str:
        """As package names spell it: `10.5.4.0-15588`, `10.5.0.0(CU9)-16635`."""
        cu = f"(CU{self.cu})" if self.cu else ""
        return f"{self.major}.{self.minor}.{self.patch}.0{cu}-{self.build}"

    @property
    def history_text(self) -> str:
        """As VersionHistory.txt spells it."""
        end = f"CU{self.cu}" if self.cu and not self.patch else f"{self.date}-release"
        return f"{self.major}.{self.minor}.{self.patch}.0-{self.build}-{end}"

    @property
    def api_version(self) -> str:
        """The file version of the web API's library, such as `10.5.2504.5588`: tells builds apart, and isn't the release."""
        years, month = divmod(self.ordinal - 1, 12)
        return f"{self.major}.{self.minor}.{2000 + years * 100 + month + 1}.{self.build % 10000}"

    def shifted(self, months: int) -> Release:
        """The release of the same track that many months later, or earlier where negative."""
        ordinal = self.ordinal + months
        if self.patch:
            minor, patch = (ordinal - 1) // 12, (ordinal - 1) % 12 + 1
            return Release.parse(f"{self.major}.{minor}.{patch}")
        minor = self.minor
        while 12 * minor + 3 > ordinal:
            minor -= 1
        return Release.parse(f"{self.major}.{minor}.0 [CU{ordinal - 12 * minor - 3}]")


@cache  # each of thousands of files names one
def _parse(text: str) -> Release:
    version = _VERSION.search(text)
    if version is None:
        raise ValueError(f"{text!r} names no release; needed: one such as 10.5.4 or 10.5.0 [CU9]")
    cu, build, date = _CU.search(text), _BUILD.search(text), _DATE.search(text)
    major, minor, patch = (int(part) for part in version.groups())
    bare = Release(major=major, minor=minor, patch=patch, cu=int(cu[1]) if cu else 0)
    return replace(bare, build=int(build[1]) if build else bare._usual_build, date=date[1] if date else bare._usual_date)


@dataclass(frozen=True, kw_only=True)
class Since:
    """Since when something holds: from this FR (minor, patch) on, and in the branches of the MR from the CU named for their minor on."""

    fr: tuple[int, int]
    mr: dict[int, int]

    def reached(self, release: Release) -> bool:
        if release.patch:
            return (release.minor, release.patch) >= self.fr
        if release.minor in self.mr:
            return release.cu >= self.mr[release.minor]
        return release.minor > max(self.mr)


AUTOMATIC_BACKUP = Since(fr=(3, 11), mr={3: 8})  # RN 37413
TWO_VERSIONS = Since(fr=(5, 12), mr={4: 21, 5: 9})  # RN 43906
VERSION_HISTORY_IN_INFO = Since(fr=(5, 2), mr={5: 0})
WEB_FOLDER = Since(fr=(6, 2), mr={5: 11})  # RN 44396
DOTNET_10_DEMANDED = Since(fr=(6, 5), mr={7: 0})  # RN 44906
DOTNET_10_USED = Since(fr=(6, 5), mr={5: 14, 6: 2})  # RN 44800, 44820
WEB_ONLY_UPGRADES = Since(fr=(3, 3), mr={3: 0})


def server_fits(web: Release, server: Release) -> bool:
    """Whether a web upgrade may be installed on a server: from 10.5 on it needs at least the baseline before its own (RN 41395, 44103)."""
    needed = web.minor - 1 if web.minor >= 5 else 3
    return server.minor >= needed and WEB_ONLY_UPGRADES.reached(server)
