# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text for people: tables that fit a terminal, read at three in the morning. No colour, no escape sequences, whatever the cells hold."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .gate_values import Row, Verdict

WIDTH = 150
_GAP = "  "
_NARROWEST = 8  # columns that a wrapped cell keeps; a table of very many columns gets wider than asked for


@dataclass(frozen=True, kw_only=True)
class AgentSummary:
    """One agent at the end of a run; None where nothing is known. `verdict` is a word or a short sentence."""

    agent: str
    verdict: str
    server: str | None = None
    web_before: str | None = None
    web_after: str | None = None
    backup: str | None = None
    content: str | None = None


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, width: int = WIDTH) -> str:
    """Headers, a rule and rows, aligned, at most `width` columns where the number of cells allows; long cells wrap. None becomes `-`.

    A line break in a cell starts a new line of that cell; other control characters show as `?`.
    """
    body = [[_clean(cell) for cell in row] for row in rows]
    head = [_clean(cell) for cell in headers]
    widths = _fit([max(_widest(cell) for cell in column) for column in zip(head, *body, strict=True)], width)
    lines = [*_lines(head, widths), _GAP.join("-" * count for count in widths)]
    for row in body:
        lines += _lines(row, widths)
    return "\n".join(lines)


def summary(agents: Iterable[AgentSummary]) -> str:
    """The end of a run, a row an agent: server, web version before and after, backup, content, verdict. Columns that nobody fills are left out."""
    rows = [(a.agent, a.server, _change(a.web_before, a.web_after), a.backup, a.content, a.verdict) for a in agents]
    if not rows:
        return "No agent took part."
    headers = ("agent", "server", "web", "backup", "content", "verdict")
    filled = [number for number in range(len(headers)) if any(row[number] is not None for row in rows)]
    return table([headers[number] for number in filled], [[row[number] for number in filled] for row in rows])


def gate_table(rows: Iterable[Row]) -> str:
    """What the gate says: denials first, then warnings, each rule once with all its agents; passes are counted in one line."""
    told = list(rows)
    blocks = [_gate_block(told, verdict) for verdict in (Verdict.DENY, Verdict.WARN)]
    return "\n\n".join(block for block in [*blocks, _gate_count(told)] if block)


def _gate_block(rows: Sequence[Row], verdict: Verdict) -> str:
    groups: dict[tuple[str, str, str, str], list[str]] = {}
    for row in rows:
        if row.verdict is verdict:
            groups.setdefault((row.rule, row.found, row.required, row.remedy), []).append(row.agent or "cluster")
    if not groups:
        return ""
    cells = [[verdict.value.upper(), ", ".join(agents), *(text or None for text in key)] for key, agents in groups.items()]
    return table(("", "agent", "rule", "found", "needed", "do next"), cells)


def _gate_count(rows: Sequence[Row]) -> str:
    counts = {verdict: sum(row.verdict is verdict for row in rows) for verdict in Verdict}
    names = {Verdict.DENY: "denied", Verdict.WARN: "warned", Verdict.PASS: "passed", Verdict.NOT_APPLICABLE: "not applicable"}
    return "Checks: " + ", ".join(f"{counts[verdict]} {name}" for verdict, name in names.items()) + "."


def _change(before: str | None, after: str | None) -> str | None:
    if before is None and after is None:
        return None
    return before if before == after else f"{before or '?'} -> {after or '?'}"


def _clean(cell: object) -> str:
    text = "-" if cell is None else str(cell).replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    return "".join(char if char == "\n" or not unicodedata.category(char).startswith("C") else "?" for char in text)


def _columns(text: str) -> int:
    """Terminal columns: wide characters (of East Asia) take two, combining ones none."""
    return sum(0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _widest(cell: str) -> int:
    return max(_columns(line) for line in cell.split("\n"))


def _fit(widths: list[int], width: int) -> list[int]:
    """The widths, the widest columns narrowed until all fit."""
    room = width - len(_GAP) * (len(widths) - 1)
    fitted = list(widths)
    while sum(fitted) > room and max(fitted) > _NARROWEST:
        fitted[fitted.index(max(fitted))] -= 1
    return fitted


def _lines(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    cells = [_wrap(cell, width) for cell, width in zip(row, widths, strict=True)]
    height = max(len(cell) for cell in cells)
    grid = [[cell[number] if number < len(cell) else "" for cell in cells] for number in range(height)]
    return [_GAP.join(text + " " * (width - _columns(text)) for text, width in zip(line, widths, strict=True)).rstrip() for line in grid]


def _wrap(cell: str, width: int) -> list[str]:
    lines: list[str] = []
    for line in cell.split("\n"):
        fits = _columns(line) <= width
        lines += [line] if fits else textwrap.wrap(line, max(width * len(line) // _columns(line), 1), break_on_hyphens=False) or [""]
    return lines
