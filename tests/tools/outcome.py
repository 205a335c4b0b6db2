# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a step of the check is and what comes of it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import lanes

TIME_LIMIT = 1800
running: set[int] = set()


@dataclass(frozen=True)
class Run:
    """One run of the check: the checkout, a folder that goes away at the end, and the folder of the logs."""

    root: Path
    temp: Path
    logs: Path


@dataclass(frozen=True)
class Outcome:
    """Counts of a step, and what is to be printed of it however it ended.

    `broken`: the tests that failed, each with the first line of what it said, told once more at the end of the whole check.
    `unavailable`: what the step should provide isn't to be had here; those that need it are skipped with its reasons.
    """

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    unavailable: bool = False
    seconds: float = 0.0

    def timed(self, seconds: float) -> Outcome:
        return dataclasses.replace(self, seconds=seconds)

    def verdict(self) -> str:
        if self.failed:
            return "FAILED"
        return "ok" if self.passed or not self.skipped else "skipped"

    def summary(self, step: Step) -> str:
        """Counts where they say more than the verdict, else what the step is about."""
        counts = f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"
        return counts if self.passed + self.failed + self.skipped > 1 else (self.reasons[0] if self.reasons else step.about)


@dataclass(frozen=True)
class Step:
    """A named part of the check. `cores`: how many it keeps busy; steps run side by side while there are cores for them."""

    name: str
    about: str
    action: Callable[[Run, Path], Outcome]
    cores: int = 1
    needs: tuple[str, ...] = ()


def execute(argv: Sequence[str], log: Path, *, cwd: Path, env: Mapping[str, str]) -> int:
    """Run a command without input, its output at the end of the log; its exit status.

    Past the time limit its whole process group is ended and the status is 124.
    """
    with log.open("a", encoding="utf-8") as stream:
        stream.write(f"$ {' '.join(argv)}\n")
        stream.flush()
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, cwd=cwd, env=dict(env), start_new_session=True
        )
        running.add(process.pid)
        try:
            return process.wait(timeout=TIME_LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            stream.write(f"ended: it ran longer than {TIME_LIMIT} s\n")
            return 124
        finally:
            running.discard(process.pid)


def end_running() -> None:
    """End every command under way: they are in sessions of their own, so an interrupt from the keyboard reaches only the check itself."""
    for pid in list(running):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGTERM)


def from_junit(report: Path, status: int) -> Outcome:
    """The counts of a pytest run by its JUnit file; a run that ended badly without a failing test counts as one failure."""
    if not report.is_file():
        return Outcome(failed=1)
    root = ET.parse(report).getroot()
    suites = list(root.iter("testsuite"))
    total, failures, errors, skipped = (sum(int(suite.get(key, 0)) for suite in suites) for key in ("tests", "failures", "errors", "skipped"))
    failed, broken = failures + errors, tuple(_broken(root))
    reasons = tuple(lanes.skipped(report))
    return Outcome(passed=total - failed - skipped, failed=failed or (1 if status else 0), skipped=skipped, reasons=reasons, broken=broken)


def _broken(root: ET.Element) -> Iterator[str]:
    """The tests that failed, by name."""
    for case in root.iter("testcase"):
        for problem in (*case.findall("failure"), *case.findall("error")):
            said = (problem.get("message") or "").splitlines() or ["it says nothing"]
            yield f"{case.get('classname', '')}::{case.get('name', '')}: {said[0]}"
