# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way from an entry point to a use case: arguments in, plain JSON out, errors told once."""

from __future__ import annotations

from typing import Any, Protocol

from .case_common import Args, Result
from .errors import DataMinerError
from .host import Host


class Case(Protocol):
    """A use case over the port. `wait`: how many seconds it may wait for a job before it tells how far that is."""

    def __call__(self, host: Host, args: Args, *, check: bool, wait: float = 0) -> Result: ...


def guarded(case: Case, host: Host, args: Args, *, check: bool, wait: float = 0) -> dict[str, Any]:
    """The module's result. An error becomes `failed` with a message and its parts in `error`."""
    try:
        return case(host, args, check=check, wait=wait)
    except DataMinerError as error:
        return {"failed": True, "changed": False, "msg": str(error), "error": error.to_dict()}
