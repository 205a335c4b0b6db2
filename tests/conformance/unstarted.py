"""Once more, where Wine failed to start a program.

Of some thousand programs that it starts while others are started and killed, one dies before its first instruction; Windows has no such error. Only a
test whose jobs tell of it in their records is repeated, only once, and a warning says so.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol

UNSTARTED = "Internal error."  # ERROR_INTERNAL_ERROR, as .NET spells it
_homes: list[Path] = []


def note(home: Path) -> None:
    """To be called before the records of a test's jobs are deleted."""
    records = [path for name in ("result.json", "log.txt") for path in home.glob(f"work/jobs/*/{name}")]
    if any(UNSTARTED in path.read_text("utf-8", "replace") for path in records):
        _homes.append(home)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    known = len(_homes)
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    if len(_homes) > known and any(report.failed for report in reports):
        item.warn(pytest.PytestWarning("done once more: Wine failed to start a program"))
        item._initrequest()  # type: ignore[attr-defined]  # fixtures anew, as those do who repeat tests
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
