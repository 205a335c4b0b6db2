# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs as values: what is started on an agent, and what is known of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from .errors import DataMinerError, JobFailed, NotBegun, Refused, from_dict

State = Literal["running", "waiting", "done", "failed", "dead", "absent", "stale", "unknown"]

# A commit's journal, in order. Between "committing" and "released" the agent's web server is stopped.
OPEN_JOURNAL_STATES = ("committing", "swapped", "undoing")
CLOSED_JOURNAL_STATES = ("released", "undone")

VOLATILE = frozenset(("owner", "about", "name", "header", "rotate", "free_needed", "retry_seconds", "argv", "success_codes"))
"""What two specs of the same work may differ in: who asks, what is told of it, names and times of this moment, how an installer is called."""


def work_of(spec: Mapping[str, Any]) -> str:
    """What a job works on, as the SHA-256 of its spec without what is volatile: a start of the same work attaches to the job that runs.

    A package is told by its path, which Windows takes without regard to case.
    """
    return hashlib.sha256(json.dumps(_lasting(spec), sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()


def _lasting(spec: Mapping[str, Any]) -> dict[str, Any]:
    lasting = {key: _lasting(value) if isinstance(value, Mapping) else value for key, value in spec.items() if key not in VOLATILE}
    return {**lasting, "package": str(spec["package"]).lower()} if "package" in spec else lasting


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What the plan of a job rests on: `parts` of a scan document's `basis`, and the `request` of the scan that tells whether they still hold."""

    request: dict[str, Any]
    parts: dict[str, str]

    def holds(self, scan: dict[str, Any]) -> bool:
        """Whether a later scan tells the same of these parts."""
        return all(scan["basis"].get(name) == digest for name, digest in self.parts.items())


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """What is known of a job.

    `state`: `running`; `waiting` (a commit that has swapped and waits for a word); `done`; `failed`; `dead` (its process is gone, its result was
    never written); `absent` (nobody started it); `stale` (it wasn't started, for its basis doesn't hold any more);
    `unknown` (nobody knows whether it was started).
    `work` is the digest of what it works on, "" for a commit that was called off.
    `progress` holds `files`, `bytes` and their totals, and `text`, as far as known.
    """

    run_id: str
    kind: str
    state: State
    started: str = ""
    owner: str = ""
    work: str = ""
    attached: bool = False
    progress: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] | None = None
    error: dict[str, str] | None = None

    @property
    def active(self) -> bool:
        return self.state in ("running", "waiting")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> JobStatus:
        return cls(**{name: data[name] for name in cls.__dataclass_fields__ if name in data})

    def failure(self) -> DataMinerError:
        """Why the job didn't end well."""
        if self.state == "failed" and self.error:
            return from_dict(self.error)
        return JobFailed(
            f"The {self.kind} job {self.run_id} {'ended without a result' if self.state == 'dead' else 'is ' + self.state}",
            found=f"last progress: {progress_text(self.progress) or 'none'}",
            needed="a job that ended by itself",
            remedy="see its log in the working folder on the agent (jobs/"
            + self.run_id
            + "/log.txt), then run the playbook again: it continues from what is there",
        )


def not_begun(run_id: str) -> NotBegun:
    """The error of a commit that was called off. The scripts of Windows agents tell it too."""
    return NotBegun(
        f"The commit {run_id} was called off before it began",
        found="the word to undo it, and no such job",
        needed="a commit that nobody undoes",
        remedy="run the playbook again",
    )


def still_open(commit: str) -> Refused:
    """Why no other restore begins: to undo that one later would take back this one too. The scripts of Windows agents tell it too."""
    return Refused(
        "A restore that broke off is open on this agent",
        found=f"the commit {commit}",
        needed="one that is finished or undone",
        remedy="run the playbook again: it begins with undoing it",
    )


def was_called_off(status: JobStatus) -> bool:
    return bool(status.error and status.error.get("type") == NotBegun.__name__)


STARTS = "the agent starts its web server by itself"


def ends_by_itself(until: str = "") -> str:
    """What becomes of a commit whose run is gone, or can't reach it, for people. No run follows that of another."""
    end = f"at {until}" if until else "at its deadline (counted from the swap)"
    return f"{STARTS} {end} at the latest, with the restored files if they were swapped in, and a later run takes it up"


def size_text(count: float) -> str:
    """Bytes for people: 1.5 GB."""
    for unit in ("bytes", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def progress_text(progress: dict[str, Any]) -> str:
    """A progress for people: `copying: 120 of 400 files, 1.5 of 3.0 MB`."""
    parts: list[str] = []
    if progress.get("total_files"):
        parts.append(f"{progress.get('files', 0)} of {progress['total_files']} files")
    if progress.get("total_bytes"):
        parts.append(f"{size_text(progress.get('bytes', 0))} of {size_text(progress['total_bytes'])}")
    text = str(progress.get("text", ""))
    return ": ".join(part for part in (text, ", ".join(parts)) if part)
