# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Contenders that do the same work in turn, and how their times compare."""

from __future__ import annotations

import mmap
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from work import Jobs

MB = 1_000_000
OURS, RESTORE, STOPPED = "backup", "prepare + commit + release", "  the web server stopped"


@dataclass(frozen=True)
class Contest:
    """An adapter of the port and what people use in its place.

    `packers` and `unpackers` take the folder to pack and an empty one, or a zip and the folder to restore. Targets are of the peer's time.
    """

    name: str
    packers: dict[str, Callable[[Path, Path], object]]
    pack_peer: str
    unpack_peer: str
    unpackers: dict[str, Callable[[Path, Path], object]]
    jobs: Callable[[Path], Jobs]
    peak: Callable[[Path, dict[str, Any], str], tuple[int, dict[str, Any]]]  # the most memory of one job in bytes, and its result
    backup_target: float
    restore_target: float


@dataclass(frozen=True)
class Verdict:
    what: str
    found: float
    target: float
    unit: str

    @property
    def held(self) -> bool:
        return self.found <= self.target

    def __str__(self) -> str:
        return f"{self.what:24} {self.found:.2f} {self.unit}, target {self.target}: {'held' if self.held else 'MISSED'}"


@dataclass
class Race:
    """Times of all contenders, round by round, and sizes of what they made. `memory`: bytes that a turn may need (see `fetch_memory`)."""

    memory: int
    times: dict[str, list[float]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    def run(self, name: str, action: Callable[[], object], part: str = "") -> None:
        """`part` names the seconds that the action gives, a part of its time."""
        seconds, given = timed(action, self.memory)
        self.times.setdefault(name, []).append(seconds)
        if part:
            assert isinstance(given, float)
            self.times.setdefault(part, []).append(given)

    def ratio(self, name: str, peer: str) -> float:
        return statistics.median(self.ratios(name, peer))

    def ratios(self, name: str, peer: str) -> list[float]:
        return [ours / theirs for ours, theirs in zip(self.times[name], self.times[peer], strict=True)]

    def lines(self, peer: str) -> list[str]:
        rows = []
        for name, times in self.times.items():
            size = f"{self.sizes[name] / MB:8.1f} MB" if name in self.sizes else ""
            spread = f"{min(self.ratios(name, peer)):.2f} to {max(self.ratios(name, peer)):.2f}"
            compared = f"  {self.ratio(name, peer):5.2f} x {peer} ({spread})" if name != peer else ""
            rows.append(f"  {name:28}{statistics.median(times):7.2f} s{size}{compared}".rstrip())
        return rows


def timed(action: Callable[[], Any], memory: int) -> tuple[float, Any]:
    """Seconds, after the disk has taken what was written before and with memory at hand, and what the action gives."""
    os.sync()
    fetch_memory(memory)
    begun = time.monotonic()
    given = action()
    return time.monotonic() - begun, given


def fetch_memory(size: int) -> None:
    """Use memory once and let it go again.

    A virtual machine may have given its host what was free, and gets it back page by page: to write a file into such memory took five times as long
    as into other, which told more of the host than of the contenders.
    """
    with mmap.mmap(-1, size) as memory:
        while memory.tell() < size:
            memory.write(bytes(min(MB, size - memory.tell())))
