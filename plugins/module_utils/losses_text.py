# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people are shown before a restore: they accept its losses by a code that is printed with the list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .cluster import differing_backups
from .report import table
from .restore_text import lost_line

SHOWN = 60
Chosen = Mapping[str, Mapping[str, Any]]  # by agent: the result of choosing a backup


def differing_items(chosen: Chosen) -> list[str]:
    """Where the backups chosen on the agents don't hold the same: by agent, and which apps."""
    digests = {name: dict((found.get("chosen") or {}).get("digests") or {}) for name, found in chosen.items()}
    if any((found.get("chosen") or {}).get("done") for found in chosen.values()):
        return []
    rows = differing_backups({name: found.get("all") for name, found in digests.items()})
    if not rows:
        return []
    keys = sorted({key for found in digests.values() for key in found if key != "all"})
    items = [key for key in keys if len({found.get(key) for found in digests.values()}) > 1]
    return [f"{name}: {digest} {remark}" for name, digest, remark in rows] + [f"differs: {item}" for item in items[:SHOWN]]


def losses_text(cluster: str, chosen: Chosen, differing: Sequence[str], code: str) -> str:
    """The question before a restore: what it changes, what it leaves as it is, and what is lost, with the code that accepts it."""
    where = f" on cluster {cluster}" if cluster else ""
    rows = [(name, (found.get("chosen") or {}).get("name"), found.get("msg")) for name, found in chosen.items()]
    parts = [f"Backups to restore{where}\n" + table(("agent", "backup", "what it changes"), rows)]
    if differing:
        parts.append("The agents' backups differ; each agent gets its own:\n  " + "\n  ".join(differing))
    if behind := _behind(chosen):
        title = "NOT IN THE BACKUP, so none of it is restored (perhaps it is migrated to the newer version):"
        parts.append(f"{title}\n{_cut_table(('agent', 'what', 'why'), behind)}")
    if code:
        title = f"LOST if this is restored{where}, changed since the backup (accept with -e dataminer_accept_loss={code}):"
        parts.append(f"{title}\n{_cut_table(('agent', 'what is lost'), _losses(chosen))}")
    return "\n\n".join(parts)


def losses_count(chosen: Chosen) -> str:
    """How many changes would be lost: one on several agents once, as in the list. Of a list that came cut it is the least."""
    told = len(_losses(chosen))
    cut = any((found.get("lost_count") or 0) > len(found.get("lost") or []) for found in chosen.values())
    count = max(told, *(found.get("lost_count") or 0 for found in chosen.values())) if cut else told
    return f"{'at least ' if cut else ''}{count} {'change' if count == 1 else 'changes'}"


def losing(chosen: Chosen) -> list[str]:
    """The agents on which something would be lost."""
    return [name for name, found in chosen.items() if found.get("lost_count")]


def _cut_table(titles: tuple[str, ...], rows: Sequence[Sequence[object]]) -> str:
    more = f"\nand {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    return table(titles, rows[:SHOWN]) + more


def _losses(chosen: Chosen) -> list[tuple[object, ...]]:
    rows = [(name, row) for name, found in chosen.items() for row in found.get("lost") or []]
    return _together((name, (lost_line(row),)) for name, row in rows)


def _behind(chosen: Chosen) -> list[tuple[object, ...]]:
    rows = [(name, row) for name, found in chosen.items() for row in (found.get("plan") or {}).get("stays_behind") or []]
    moved = {(name, path) for name, found in chosen.items() for path in (found.get("chosen") or {}).get("leftovers") or []}
    why = {True: "{why}; it is moved into quarantine", False: "{why}"}
    return _together((name, (f"{row['kind']} {row['title']}", why[(name, row["path"]) in moved].format(why=row["why"]))) for name, row in rows)


def _together(rows: Iterable[tuple[str, tuple[object, ...]]]) -> list[tuple[object, ...]]:
    """One row an item, with all the agents it is about: content is synchronised, so most items are about every agent."""
    agents: dict[tuple[object, ...], list[str]] = {}
    for name, item in rows:
        agents.setdefault(item, []).append(name)
    return [(", ".join(names), *item) for item, names in agents.items()]
