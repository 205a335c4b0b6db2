# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was installed on an agent in the past, and when: a plausible history that ends in the versions asked for."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from .content import DAY
from .releases import AUTOMATIC_BACKUP, Release

_MINUTES = {"Full": 34, "Web": 11}


@dataclass(frozen=True, kw_only=True)
class Install:
    """A package that was installed. Times are seconds since the epoch; `before` is the web version it found; `token` ends its folder's name."""

    kind: str
    release: Release
    before: Release | None
    start: float
    token: str
    failed: bool = False

    @property
    def end(self) -> float:
        return self.start + 60 * (1 if self.failed else _MINUTES[self.kind])

    @property
    def backup_time(self) -> float | None:
        """When its automatic backup was written; None where it made none."""
        made = not self.failed and self.before is not None and AUTOMATIC_BACKUP.reached(self.before)
        return self.start + 180 if made else None


def steps(server: Release, web: Release, *, five_from: Release | None = None) -> list[tuple[str, Release]]:
    """Kind and release of each install, oldest first.

    The last Full one is the server's, and a web upgrade before it was overridden by it. With `five_from` exactly five installs follow the
    moment that web version was there, so that the oldest of five backups holds its content. Raises ValueError where that is newer than `web`.
    """
    past = [("Full", server.shifted(-months)) for months in (17, 11, 5)]
    past += [("Web", server.shifted(-1)), ("Full", server)]
    if five_from is not None:
        return past + ([] if five_from.label == server.label else [("Web", five_from)]) + [("Web", release) for release in _five(five_from, web)]
    if web.label == server.label:
        return past
    between = [("Web", web.shifted(-1))] if web.ordinal > server.ordinal + 1 else []
    return [*past, *between, ("Web", web)]


def _five(first: Release, web: Release) -> list[Release]:
    months = web.ordinal - first.ordinal
    if months < 0:
        raise ValueError(f"the oldest backup can't be of {first.label}: the web version {web.label} is older")
    return [web.shifted(-(-number * months // 5) - months) if number < 5 else web for number in range(1, 6)]


def installs(plan: Sequence[tuple[str, Release]], *, now: float, seed: int, agent: int, failed: bool = False) -> list[Install]:
    """The plan with times and folders. Agents of a cluster started within seconds of each other; `agent` counts from 0.

    `failed` adds a last one, of the month after, that a prerequisite stopped.
    """
    times, tokens = random.Random(f"{seed}/times"), random.Random(f"{seed}/tokens/{agent}")
    made: list[Install] = []
    for number, (kind, release) in enumerate(plan):
        start = now - DAY * (20 + 47 * (len(plan) - 1 - number) + times.uniform(0, 5)) + 4 * agent
        before = made[-1].release if made else None
        made.append(Install(kind=kind, release=release, before=before, start=float(int(start)), token=tokens.randbytes(16).hex()))
    if failed:
        start = made[-1].end + 2 * DAY
        release = made[-1].release.shifted(1)
        made.append(Install(kind="Web", release=release, before=made[-1].release, start=start, token=tokens.randbytes(16).hex(), failed=True))
    return made
