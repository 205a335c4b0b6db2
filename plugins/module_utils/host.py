# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The port: what an agent's machine can do. docs/architecture.md describes the documents that pass through it."""

from __future__ import annotations

from typing import Any, Protocol

from .jobs import Basis, JobStatus


class Host(Protocol):
    """One agent's machine. Every method may raise a `DataMinerError`, nothing else."""

    def scan(self, request: dict[str, Any]) -> dict[str, Any]:
        """The scan document; read-only."""

    def inspect(self, spec: dict[str, Any]) -> dict[str, Any]:
        """The result of a `verify` job without a job: writes nothing, for check mode."""

    def start(self, spec: dict[str, Any], run_id: str, basis: Basis | None = None) -> JobStatus:
        """Start a job that outlives the connection; attach to the same run id, or to a running job with the same `work`.

        Raises `InvalidInput` where that run id is the name of other work.

        Before a new job begins, the agent is scanned for its `basis`: where that doesn't hold any more, nothing is started and the status is `stale`.
        Raises `Busy` when another job runs.
        """

    def poll(self, run_id: str, wait: float = 0) -> JobStatus:
        """What is known of a job, after its end or `wait` seconds, whichever comes first."""

    def signal(self, run_id: str, word: str) -> JobStatus:
        """Tell a waiting commit `release` or `undo`.

        A commit that nobody knows is called off by `undo`: it has failed with `NotBegun` then, and a start that arrives later begins nothing.
        """
