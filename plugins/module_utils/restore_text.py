# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore's plan as plain JSON, and as the text that `--diff` shows; a loss as the line that is shown wherever losses are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from .agent_result import fitting, time_text
from .errors import cut
from .restore_losses import losses_digest
from .restore_values import Behind, Lost, RestorePlan, Summary

_T = TypeVar("_T")
_MOST_LINES = 60  # of each part of the text
_MOST_WARNINGS = 50
# Characters of JSON that a list may take in a result, which stays below 100 kB with all else.
_ROOM_LOST, _ROOM_BEHIND, _ROOM_APPS, _ROOM_DASHBOARDS = 15_000, 8_000, 15_000, 6_000


def plan_result(plan: RestorePlan) -> dict[str, Any]:
    """The plan as plain JSON types: `plan` (numbers, summaries, what stays behind), `lost` (rows), `lost_count` and `lost_digest`.

    Lists are cut, their true lengths are beside them; `lost_digest` covers every loss and is what `loss_code` takes ("" where nothing is lost).
    """
    counts = {"create": plan.create, "replace": plan.replace, "same": plan.same, "bytes": plan.bytes}
    told = {
        **counts,
        "apps": fitting(plan.apps, _summary_row, _ROOM_APPS),
        "apps_count": len(plan.apps),
        "dashboards": fitting(plan.dashboards, _summary_row, _ROOM_DASHBOARDS),
        "dashboards_count": len(plan.dashboards),
        "files": fitting(plan.files, _summary_row, _ROOM_DASHBOARDS),
        "stays_behind": fitting(plan.stays_behind, _behind_row, _ROOM_BEHIND),
        "stays_behind_count": len(plan.stays_behind),
        "limited": plan.include is not None,
    }
    return {
        "plan": told,
        "lost": fitting(plan.lost, _lost_row, _ROOM_LOST),
        "lost_count": len(plan.lost),
        "lost_digest": losses_digest(plan.lost),
    }


def lost_line(row: Mapping[str, Any]) -> str:
    """A row of `lost` for people: what would be lost, why, and when and by whom it was made, as far as that is known."""
    made = " ".join(part for part in (row["when"], row["author"] and f"by {row['author']}") if part)
    return f'{row["kind"]} "{row["title"]}": {row["why"]}' + (f" ({made})" if made else "")


def diff_text(plan: RestorePlan) -> str:
    """The plan as lines for people: what changes from what to what, what is lost, what stays behind; each part cut, with the number left out."""
    changing = [item for item in (*plan.apps, *plan.dashboards, *plan.files) if item.creates or item.replaces]
    same = len(plan.apps) + len(plan.dashboards) + len(plan.files) - len(changing)
    parts = [
        (f"files: {plan.replace} replaced, {plan.create} created, {plan.same} the same", []),
        (f"changes ({len(changing)}), {same} more the same", [_change_line(item) for item in changing]),
        (f"LOST: changed since the backup ({len(plan.lost)})", [lost_line(_lost_row(item)) for item in plan.lost]),
        (f"stays behind ({len(plan.stays_behind)})", [f"{item.title}: {item.why}" for item in plan.stays_behind]),
        (f"warnings ({len(plan.warnings)})", list(plan.warnings)),
    ]
    shown = parts[:1] + [part for part in parts[1:] if part[1]]
    return "".join(_part(title, lines) for title, lines in shown)


def _part(title: str, lines: Sequence[str]) -> str:
    more = [f"… and {len(lines) - _MOST_LINES} more"] if len(lines) > _MOST_LINES else []
    return "\n".join([title, *(f"  {cut(line)}" for line in lines[:_MOST_LINES]), *(f"  {line}" for line in more)]) + "\n"


def _change_line(item: Summary) -> str:
    name = f'{item.kind} "{item.title}"' if item.kind != "file" else f"other files in {item.title}"
    versions = item.becomes if item.was is None or item.was == item.becomes else f"{item.was} -> {item.becomes}"
    numbers = f"{item.replaces} replaced, {item.creates} created, {item.same} the same"
    return f"{name}: {numbers}" + (f"; {versions}" if versions else "")


def _summary_row(item: Summary) -> dict[str, object]:
    versions = {"was": item.was, "becomes": item.becomes} if item.kind == "app" else {}
    counts = {"creates": item.creates, "replaces": item.replaces, "same": item.same}
    return {"title": cut(item.title), "path": cut(item.path), **counts, **versions}


def _lost_row(item: Lost) -> dict[str, object]:
    told = {"kind": item.kind, "title": cut(item.title), "path": cut(item.path), "when": time_text(item.when)}
    return {**told, "author": None if item.author is None else cut(item.author), "why": cut(item.why)}


def _behind_row(item: Behind) -> dict[str, object]:
    return {"kind": item.kind, "title": cut(item.title), "path": cut(item.path), "why": item.why, "unlisted": item.unlisted}
