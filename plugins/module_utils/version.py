# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DataMiner versions: the vendor's spellings, the two tracks, the month arithmetic between them, and thresholds.

There are two tracks. A Main Release (MR) is `10.Y.0 [CUn]`, with a cumulative update every month. A Feature Release (FR) is `10.Y.Z`, monthly,
itself with CUs for fixes. Numeric order is the order of *servers*; the content of the web apps goes by month: 10.5.0 [CU9] is newer than 10.5.4.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import total_ordering

from .errors import InvalidVersion, type_name

_LIMITS = {"major": 99, "minor": 99, "patch": 99, "cu": 99, "build": 9_999_999}
_SPELLINGS = "10.5.4, 10.5.4 (CU0), 10.4.0 [CU21], 10.5 (CU1), 10.4.0-CU4, 10.5.4.0-15588 or 10.4.0.0-14772-20240821-release"
_NUMBER = r"(?:0|[1-9][0-9]*)"
_CU = r"(?:[ ]*\[[ ]*CU[ ]*{n}[ ]*\]|[ ]*\([ ]*CU[ ]*{n}[ ]*\)|[ ]*-[ ]*CU{n}|[ ]+CU{n})"
_GRAMMAR = re.compile(
    rf"""
    (?P<major>{_NUMBER}) \. (?P<minor>{_NUMBER}) (?: \. (?P<patch>{_NUMBER}) )? (?P<fourth> \.0 )?
    (?P<early_cu>{_CU.format(n="[0-9]+")})?
    (?: [ ]*-[ ]* (?P<build>{_NUMBER}) (?: -20[0-9]{{6}} )? )?
    (?P<late_cu>{_CU.format(n="[0-9]+")})?
    (?P<word> -[A-Za-z]+ )?
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_HOTFIX = re.compile(r"HF_(?P<version>[^_]+)_20[0-9]{6}-[0-9]{6}", re.IGNORECASE | re.ASCII)

# From MR 10.4.0 / FR 10.3.12 on, a CU of an MR holds the same web changes as the FR of its month (docs). Below, features went to the next MR only.
_SHARED_MAJOR = 10
_FIRST_SHARED_MR = (4, 0)
_FIRST_SHARED_FR = (3, 12)

_LONGEST = 200  # characters of a text that are looked at, and quoted


class Content(Enum):
    """How the web content of two releases compares. "Same" is the vendor's word for it, not equality of bytes."""

    SAME = "same"
    DIFFERENT = "different"
    NOT_COMPARABLE = "not comparable"


@total_ordering
@dataclass(frozen=True)
class Version:
    """A release. `cu` is None where an MR's CU isn't stated: it may be any. An FR without a stated CU is CU0, as the About box shows it.

    Ordered as servers are: numerically by major, minor, patch, CU, build; what is unknown comes first.
    Raises InvalidVersion for numbers that no release has.
    """

    major: int
    minor: int
    patch: int
    cu: int | None = None
    build: int | None = None

    def __post_init__(self) -> None:
        for name, limit in _LIMITS.items():
            value = getattr(self, name)
            optional = name in ("cu", "build") and value is None
            if not optional and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= limit):
                shown = value if isinstance(value, int) and abs(value) < 10**12 else f"a {type(value).__name__}"
                raise InvalidVersion(f"{name} {shown} is no part of a DataMiner version", needed=f"a whole number from 0 to {limit}")
        if self.cu is None and self.patch:
            object.__setattr__(self, "cu", 0)

    @classmethod
    def parse(cls, text: object) -> Version:
        """The version a text spells, in any of the vendor's spellings. Raises InvalidVersion, quoting what was read, for everything else."""
        if not isinstance(text, str):
            raise _not_a_text(text)
        hotfix = _HOTFIX.fullmatch(text.strip())
        match = _GRAMMAR.fullmatch((hotfix["version"] if hotfix else text).strip()) if len(text) <= _LONGEST else None
        if match is None or (hotfix and match["build"]) or not _consistent(match):
            raise _unreadable(text)
        cu = match["early_cu"] or match["late_cu"]
        numbers = (match["major"], match["minor"], match["patch"] or "0", re.sub("[^0-9]", "", cu) if cu else None, match["build"])
        try:
            return cls(*(None if number is None else int(number) for number in numbers))  # type: ignore[arg-type]
        except InvalidVersion as error:
            raise _unreadable(text, f"{error.message}, {error.needed} is") from error

    @property
    def track(self) -> str:
        """`MR` or `FR`."""
        return "FR" if self.patch else "MR"

    @property
    def baseline(self) -> tuple[int, int]:
        """Major and minor: what the gates on the server go by."""
        return (self.major, self.minor)

    @property
    def web_ordinal(self) -> int | None:
        """The month of the web content, comparable across tracks.

        None below MR 10.4.0 / FR 10.3.12, where the vendor promises nothing, and where an MR's CU is unknown.
        """
        if self.major != _SHARED_MAJOR or self.cu is None:
            return None
        first = _FIRST_SHARED_FR if self.patch else _FIRST_SHARED_MR
        if (self.minor, self.patch) < first:
            return None
        return 12 * self.minor + (self.patch or self.cu + 3)

    @property
    def spelling(self) -> str:
        """All that is known of it, as `parse` reads it back: `10.5.4.0-15588`, `10.4.0.0-15634-CU21`; where there is no build, as `str`."""
        if self.build is None:
            return str(self)
        return f"{self.major}.{self.minor}.{self.patch}.0-{self.build}" + (f"-CU{self.cu}" if self.cu or (self.cu == 0 and not self.patch) else "")

    @property
    def _key(self) -> tuple[int, ...]:
        return (self.major, self.minor, self.patch, *(-1 if n is None else n for n in (self.cu, self.build)))

    def __lt__(self, other: object) -> bool:
        return self._key < other._key if isinstance(other, Version) else NotImplemented

    def __str__(self) -> str:
        """The release in the vendor's notation: `10.5.4 (CU0)`, `10.4.0 [CU13]`; with the CU unknown `10.4.0.0-14772`, else `10.4.0`."""
        base = f"{self.major}.{self.minor}.{self.patch}"
        if self.patch:
            return f"{base} (CU{self.cu})"
        if self.cu is not None:
            return f"{base} [CU{self.cu}]"
        return base if self.build is None else f"{base}.0-{self.build}"


def _consistent(match: re.Match[str]) -> bool:
    """Whether the parts of a spelling go together: one CU at most, a build or a fourth number on the full form only, `10.5` only with a CU."""
    cus = [cu for cu in (match["early_cu"], match["late_cu"]) if cu]
    if len(cus) > 1 or (match["word"] and not match["build"]):
        return False
    if match["patch"] is None:
        return bool(cus) and not match["fourth"] and not match["build"]
    return bool(match["fourth"]) or not match["build"]


def _unreadable(text: str, why: str = "") -> InvalidVersion:
    shown = repr(text) if len(text) <= _LONGEST else repr(text[:_LONGEST]) + "…"
    return InvalidVersion(f"{shown} is not a DataMiner version" + (f": {why}" if why else ""), needed=f"a spelling such as {_SPELLINGS}")


def _not_a_text(value: object) -> InvalidVersion:
    kind = type_name(value)
    if isinstance(value, float):
        return InvalidVersion(
            f"{value!r} was read as a number, not as a version",
            found=f"YAML turns an unquoted version with one dot into a number: 10.10 becomes 10.1, so which version {value!r} was can't be told",
            needed=f"a text such as {_SPELLINGS}",
            remedy="put the version between quotes",
        )
    shown = repr(value) if not isinstance(value, int) or abs(value) < 10**12 else "a huge number"
    return InvalidVersion(
        f"{shown[:_LONGEST]} ({kind}) is not a DataMiner version", needed=f"a text such as {_SPELLINGS}", remedy="put the version between quotes"
    )


def same_release(a: Version, b: Version) -> bool | None:
    """Whether both are one release. None where it can't be told: an MR whose CU is unknown on a side, and no two builds to compare.

    A build is one release, however its CU is or isn't stated; differing builds are different ones.
    """
    if (a.major, a.minor, a.patch) != (b.major, b.minor, b.patch):
        return False
    if a.build is not None and b.build is not None:
        return a.build == b.build
    if a.cu is None or b.cu is None:
        return None
    return a.cu == b.cu


def web_content(a: Version, b: Version) -> Content:
    """Whether both hold the same web changes, by the month of their content; one release always does. CUs of an FR are fixes and don't count."""
    if same_release(a, b):
        return Content.SAME
    if a.web_ordinal is None or b.web_ordinal is None:
        return Content.NOT_COMPARABLE
    return Content.SAME if a.web_ordinal == b.web_ordinal else Content.DIFFERENT


def is_newer(a: Version, b: Version) -> bool:
    """Whether the web content of `a` is newer; where the months can't be compared, the numbers are."""
    if a.web_ordinal is not None and b.web_ordinal is not None:
        return a.web_ordinal > b.web_ordinal
    return a > b


def least_month(version: Version) -> int:
    """The raw month, of any version; an unknown CU counts as CU0."""
    return 10_000 * version.major + 12 * version.minor + (version.patch or (version.cu or 0) + 3)


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """The releases since which something holds, by track: "since 10.3.11 / 10.3.0 [CU8]". Several branches of the MR may be named."""

    fr: Version | None
    mr: tuple[Version, ...]

    @classmethod
    def parse(cls, *texts: str) -> Threshold:
        """A threshold from the releases it names; an MR without a CU means its CU0. Raises InvalidVersion, also for two FRs or none at all."""
        named = [Version.parse(text) for text in texts]
        frs = [version for version in named if version.track == "FR"]
        mrs = sorted(Version(v.major, v.minor, 0, v.cu or 0) for v in named if v.track == "MR")
        if not named or len(frs) > 1 or len({v.baseline for v in mrs}) < len(mrs):
            raise InvalidVersion(
                f"{', '.join(texts) or 'nothing'} is no threshold", needed="at most one Feature Release, and one CU per Main Release"
            )
        return cls(fr=frs[0] if frs else None, mr=tuple(mrs))

    def reached(self, version: Version) -> bool | None:
        """Whether a version has it. None where that depends on an MR's CU which is unknown.

        An FR is compared with the FR named, a branch of the MR with the CU named for it; a branch older than all named never got it; one that isn't
        named, but newer than one that is, goes by the month. A track that isn't named at all goes by the month too.
        """
        if version.track == "FR":
            return version._key[:4] >= self.fr._key[:4] if self.fr else least_month(version) >= self._first_month
        for named in self.mr:
            if named.baseline == version.baseline:
                return _at_least(version, reached=(version.cu or 0) >= (named.cu or 0))
        if self.mr and version.baseline < self.mr[0].baseline:
            return False
        return _at_least(version, reached=least_month(version) >= self._first_month)

    @property
    def _first_month(self) -> int:
        return least_month(self.fr) if self.fr else min(least_month(version) for version in self.mr)

    def __str__(self) -> str:
        fr = (f"{self.fr.major}.{self.fr.minor}.{self.fr.patch}" + (f" (CU{self.fr.cu})" if self.fr.cu else ""),) if self.fr else ()
        return " / ".join([*(f"{v.major}.{v.minor}.0" + (f" [CU{v.cu}]" if v.cu else "") for v in self.mr), *fr])


def _at_least(version: Version, *, reached: bool) -> bool | None:
    """`reached` was judged as if an unknown CU were CU0: then True is certain and False isn't."""
    return None if not reached and version.cu is None else reached
