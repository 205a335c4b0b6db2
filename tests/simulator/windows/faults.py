# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong on the way to a host, on demand: at one request, or at one call of a module."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

# "gone": from then on nobody listens on the port, until the host comes back
Kind = Literal["drop", "503", "401", "timeout", "gone"]


@dataclass(frozen=True, kw_only=True)
class Where:
    """A request: which one of the host (from 1), its WS-Man verb, and the number of the call it belongs to (from 1; a Create belongs to the next)."""

    request: int
    call: int
    verb: str


@dataclass(kw_only=True)
class Fault:
    """One thing that goes wrong, `times` in a row, where everything that is given fits; `late`: only after the request was carried out."""

    kind: Kind
    request: int | None = None
    call: int | None = None
    verb: str | None = None
    late: bool = False
    times: int = 1

    def at(self, where: Where) -> bool:
        wanted = ((self.request, where.request), (self.call, where.call), (self.verb, where.verb))
        return self.times > 0 and all(value is None or value == found for value, found in wanted)


class Faults:
    """The faults of one host that are still to come."""

    def __init__(self) -> None:
        self._planned: list[Fault] = []
        self._lock = threading.Lock()

    def plan(self, *faults: Fault) -> None:
        with self._lock:
            self._planned.extend(faults)

    def clear(self) -> None:
        with self._lock:
            self._planned.clear()

    def take(self, where: Where, *, late: bool) -> Kind | None:
        """What goes wrong here; that one has happened then."""
        with self._lock:
            found = next((fault for fault in self._planned if fault.late == late and fault.at(where)), None)
            if found is None:
                return None
            found.times -= 1
            return found.kind

    @property
    def pending(self) -> bool:
        """Whether a planned fault hasn't happened yet."""
        with self._lock:
            return any(fault.times > 0 for fault in self._planned)
