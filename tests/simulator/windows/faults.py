# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong on the way to a host, on demand: at one request, or at one call of a module."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from .payload import ModuleCall

# "gone": from then on nobody listens on the port, until the host comes back; "silent": no answer, for as long as the client waits for one
Kind = Literal["drop", "503", "401", "timeout", "gone", "silent"]


@dataclass(frozen=True, kw_only=True)
class Where:
    """A request: which one of the host (from 1), its WS-Man verb, and the number of the call it belongs to (from 1; a Create belongs to the next).

    `ran` is the module call that the host carried out last.
    """

    request: int
    call: int
    verb: str
    ran: ModuleCall | None = None


@dataclass(kw_only=True)
class Fault:
    """One thing that goes wrong, `times` in a row, where everything that is given fits; `late`: only after the request was carried out.

    `ran` judges the module call that the host carried out last. `lasting`: from then on at every request. `turns`: every call is hit, each at the
    next of these verbs (and late or not), but not the one after that, which is the same one sent again.
    """

    kind: Kind
    request: int | None = None
    call: int | None = None
    verb: str | None = None
    late: bool = False
    times: int = 1
    ran: Callable[[ModuleCall], bool] | None = None
    lasting: bool = False
    turns: tuple[tuple[str, bool], ...] = ()
    hits: int = 0
    hit: int | None = None

    def strikes(self, where: Where, *, late: bool) -> bool:
        if self.lasting and self.hit is not None:
            return True
        verb, when = self.turns[self.hits % len(self.turns)] if self.turns else (self.verb, self.late)
        wanted = ((self.request, where.request), (self.call, where.call), (verb, where.verb), (when, late))
        if any(value is not None and value != found for value, found in wanted):
            return False
        if self.ran is not None and (where.ran is None or not self.ran(where.ran)):
            return False
        if self.turns:
            return self.hit is None or where.call > self.hit + 1
        return self.times > 0


class Faults:
    """The faults of one host that are still to come, and where some have `happened`; `ever`: whether a connection was cut."""

    def __init__(self) -> None:
        self.happened: list[Where] = []
        self.ever = False
        self._planned: list[Fault] = []
        self._lock = threading.Lock()

    def plan(self, *faults: Fault) -> None:
        with self._lock:
            self._planned.extend(faults)

    def clear(self) -> None:
        """Nothing goes wrong any more, and nothing did."""
        with self._lock:
            self._planned.clear()
            self.happened.clear()

    def take(self, where: Where, *, late: bool) -> Kind | None:
        """What goes wrong here; that one has happened then."""
        with self._lock:
            found = next((fault for fault in self._planned if fault.strikes(where, late=late)), None)
            if found is None:
                return None
            found.times, found.hits = found.times - 1, found.hits + 1
            found.hit = where.call - (where.verb == "Create")  # what it would have led to comes under that number yet
            self.happened.append(where)
            self.ever = True
            return found.kind

    @property
    def pending(self) -> bool:
        """Whether a planned fault hasn't happened yet."""
        with self._lock:
            return any(fault.times > 0 for fault in self._planned)
