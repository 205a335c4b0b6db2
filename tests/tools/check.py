# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs everything that passes or fails, and ends with one line: `N passed, N failed, N skipped`.

    python tests/tools/check.py                          everything
    python tests/tools/check.py --only ruff,unit         these steps and what they need; patterns like 'sanity*' serve too
    python tests/tools/check.py --skip 'integration*'    all but these
    python tests/tools/check.py --list                   the steps

A step that runs pytest counts its tests, every other one counts as a single test. What was skipped is listed with its reason.
Standard library only: the environments are made by the first steps. The exit status is 1 when anything failed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from fnmatch import fnmatchcase
from pathlib import Path

from outcome import Outcome, Run, Step, end_running
from steps import all_steps
from venvs import ROOT, SetupFailed

LOGS = ROOT / "tests" / "output" / "check"
TAIL = 150


def select(steps: Sequence[Step], *, only: str, skip: str) -> list[Step]:
    """The steps whose names match, with those they need, in their own order.

    Raises `SystemExit` for a pattern that matches nothing: a typing error must not look like success.
    """
    names = {step.name: step for step in steps}
    chosen = matching(names, only) if only else set(names)
    chosen -= matching(names, skip) if skip else set()
    pending = list(chosen)
    while pending:
        needed = set(names[pending.pop()].needs) - chosen
        chosen |= needed
        pending += needed
    return [step for step in steps if step.name in chosen]


def matching(names: Iterable[str], patterns: str) -> set[str]:
    found: set[str] = set()
    for pattern in filter(None, (part.strip() for part in patterns.split(","))):
        hits = {name for name in names if fnmatchcase(name, pattern)}
        if not hits:
            raise SystemExit(f"No step is called {pattern!r}. There are: {', '.join(names)}")
        found |= hits
    return found


def carry_out(step: Step, run: Run) -> Outcome:
    """Run one step; whatever goes wrong in it is a failure of the step, with the reason in its log."""
    started = time.monotonic()
    log = run.logs / f"{step.name}.log"
    log.write_text("", encoding="utf-8")
    try:
        outcome = step.action(run, log)
    except Exception as error:  # a fault of the tool must not hide the other steps
        with log.open("a", encoding="utf-8") as stream:
            stream.write(f"{type(error).__name__}: {error}\n" if not isinstance(error, SetupFailed) else f"{error}\n")
        outcome = Outcome(failed=1)
    return outcome.timed(time.monotonic() - started)


def run_all(steps: Sequence[Step], run: Run, *, cores: int) -> dict[str, Outcome]:
    """Carry out steps as soon as those they need are done, as many at once as the cores allow, earlier ones first."""
    done: dict[str, Outcome] = {}
    running: dict[Future[Outcome], Step] = {}
    waiting = list(steps)
    with ThreadPoolExecutor(max_workers=cores) as pool:
        while waiting or running:
            for step in startable(waiting, running.values(), done, cores=cores):
                waiting.remove(step)
                failed = [name for name in step.needs if done[name].failed or done[name].unavailable]
                action = pool.submit(carry_out, step, run) if not failed else pool.submit(not_run, done[failed[0]], failed[0])
                running[action] = step
            try:
                finished, _rest = wait(running, return_when=FIRST_COMPLETED)
            except KeyboardInterrupt:
                end_running()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            for future in finished:
                step = running.pop(future)
                done[step.name] = future.result()
                report(step, done[step.name], run)
    return done


def not_run(cause: Outcome, name: str) -> Outcome:
    """A step whose need isn't there: skipped with the need's own reason, or because the need failed."""
    return Outcome(skipped=1, reasons=cause.reasons if cause.unavailable else (f"needs {name}, which failed",))


def startable(waiting: Sequence[Step], running: Iterable[Step], done: dict[str, Outcome], *, cores: int) -> list[Step]:
    """Those of the waiting steps that may start now."""
    free = cores - sum(min(step.cores, cores) for step in running)
    found: list[Step] = []
    for step in waiting:
        if not set(step.needs) <= set(done):
            continue
        if min(step.cores, cores) > free:
            break  # a big step waits for its turn and isn't overtaken for ever
        free -= min(step.cores, cores)
        found.append(step)
    return found


def report(step: Step, outcome: Outcome, run: Run) -> None:
    """One line about a step, and the end of its log when it failed."""
    lines = (run.logs / f"{step.name}.log").read_text(encoding="utf-8", errors="replace").splitlines() if outcome.failed else []
    hidden = len(lines) - TAIL
    text = [f"{outcome.verdict():8}{step.name:20}{outcome.seconds:7.1f} s   {outcome.summary(step)}"]
    text += [f"    {note}" for note in outcome.notes]
    text += [f"    … {hidden} lines before these are in {(run.logs / step.name).relative_to(ROOT)}.log"] if hidden > 0 else []
    text += [f"    {line}" for line in lines[-TAIL:]]
    print("\n".join(text), flush=True)


def conclude(outcomes: dict[str, Outcome]) -> int:
    """Print what was skipped and why, what failed, and the summary line; return the exit status."""
    skipped = {name: outcome for name, outcome in outcomes.items() if outcome.reasons}
    if skipped:
        print("\nskipped:")
    for name, outcome in skipped.items():
        for reason in sorted(set(outcome.reasons)):
            print(f"  {name}: {outcome.reasons.count(reason)}x {reason}")
    failures = {name: outcome for name, outcome in outcomes.items() if outcome.failed}
    if failures:
        print("\nfailed:")
    for name, outcome in failures.items():
        print("\n".join(f"  {name}: {test}" for test in outcome.broken or ("its log says why",)))
    passed, failed, left_out = (sum(getattr(outcome, key) for outcome in outcomes.values()) for key in ("passed", "failed", "skipped"))
    print(f"\n{passed} passed, {failed} failed, {left_out} skipped", flush=True)
    return 1 if failed or not passed else 0


def main(argv: Sequence[str]) -> int:
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="names or patterns of steps, separated by commas")
    parser.add_argument("--skip", default="", help="names or patterns of steps to leave out")
    parser.add_argument("--list", action="store_true", help="print the steps and end")
    options = parser.parse_args(argv)
    steps = select(all_steps(), only=options.only, skip=options.skip)
    if options.list:
        print("\n".join(f"{step.name:20}{step.about}" for step in steps))
        return 0
    LOGS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="dataminer-web-") as folder:
        outcomes = run_all(steps, Run(root=ROOT, temp=Path(folder), logs=LOGS), cores=min(os.cpu_count() or 1, 4))
    return conclude(outcomes)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
