# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore that stopped has left on each agent, told from what its commit and its undoing really said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .cluster import first_line
from .errors import UNREAD
from .jobs import STARTS, ends_by_itself

Results = Mapping[str, Mapping[str, Any] | None]  # pylint: disable=unsupported-binary-operation


def left_behind(agents: Iterable[str], committed: Results, undone: Results) -> tuple[tuple[str, str], ...]:
    """Rows (agent, state) after a commit that didn't end well on every agent. An agent without a result of its undoing wasn't told to undo."""
    return tuple((name, _state(committed.get(name), undone.get(name))) for name in agents)


def left_behind_text(rows: Iterable[tuple[str, str]]) -> str:
    return "Where each agent stands: " + "; ".join(f"{name}: {state}" for name, state in rows)


def _state(commit: Mapping[str, Any] | None, undo: Mapping[str, Any] | None) -> str:
    return _committed(commit) if undo is None or undo.get("skipped") else _undone(undo)


def _undone(result: Mapping[str, Any]) -> str:
    line = first_line(result.get("msg")) or "no message"
    if result.get("unreachable"):
        return _left_alone(f"NOT known to be put back, for it was unreachable ({line})")
    if result.get("failed"):
        return _not_undone(result, line)
    if result.get("finished") is False:
        return "NOT put back yet: its job goes on"
    if result.get("begun") is False:
        return "unchanged: its commit never began"
    kept, conflicts = len(result.get("kept") or ()), len(result.get("conflicts") or ())
    but = [f"{kept} files that were changed since stay"] if kept else []
    but += [f"{conflicts} were moved away"] if conflicts else []
    return "put back as it was before" + (f", but {' and '.join(but)}" if but else "") + "; its web server runs"


def _not_undone(result: Mapping[str, Any], line: str) -> str:
    """Where no answer came, the word to undo may never have arrived: a commit that waits for one is no restore that broke off."""
    if (result.get("error") or {}).get("type", "") in UNREAD:
        return _left_alone(f"NOT known to be put back: {line}")
    if result.get("finished") is False:
        return f"NOT put back yet: {line}"
    return f"NOT put back: {line}. The next run undoes what is left"


def _committed(result: Mapping[str, Any] | None) -> str:
    if result is None or result.get("unreachable"):
        return _left_alone("not known, for it was unreachable")
    if result.get("failed"):
        line = first_line(result.get("msg")) or "no message"
        goes_on = result.get("job") and result.get("finished") is False
        return _left_alone(f"failed: {line}") if goes_on else f"failed: {line}"
    if result.get("done") or result.get("would") or result.get("skipped"):
        return "unchanged"
    if result.get("released_by"):
        return "has the restored files; it started its web server by itself"
    return "has the restored files; its web server stands still and starts by itself after the deadline"


def _left_alone(said: str) -> str:
    """And what becomes of a commit that no word may have reached, unless the message itself says so."""
    return said if STARTS in said else f"{said}; {ends_by_itself()}"
