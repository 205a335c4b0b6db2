# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run as one web page: self-contained, without scripts, fit to be mailed, archived and printed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from .report import AgentSummary

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em; color: #1b1f24; background: #fff; }
h1 { font-size: 1.5em; margin-bottom: 0; } h2 { font-size: 1.2em; margin-top: 2em; } h3 { font-size: 1em; }
p.about { color: #57606a; margin-top: .2em; }
p.end { border-left: .3em solid; padding: .4em .8em; font-weight: 600; }
.good { border-color: #1a7f37; color: #1a7f37; } .bad { border-color: #cf222e; color: #cf222e; } .warn { color: #9a6700; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35em .6em; border-bottom: 1px solid #d0d7de; }
td { overflow-wrap: anywhere; } th { background: #f6f8fa; }
pre { background: #f6f8fa; padding: .8em; overflow-x: auto; white-space: pre-wrap; }
""".strip()
_COLUMNS = {"agent": "agent", "server": "server", "web": "web before → after", "backup": "backup", "content": "content", "verdict": "verdict"}
_GATE = {"verdict": "", "agent": "agent", "rule": "rule", "found": "found", "required": "needed", "remedy": "do next", "source": "source"}


@dataclass(frozen=True, kw_only=True)
class ClusterPage:
    """One cluster's part.

    `end` is the sentence it comes to, `good` whether that is good news; `gate` holds rows of `gate_values.Row.to_result`; `notes` are paragraphs of
    plain text.
    """

    name: str
    agents: Sequence[AgentSummary]
    end: str
    good: bool
    gate: Sequence[Mapping[str, object]] = ()
    notes: Sequence[str] = ()


def report_page(clusters: Iterable[ClusterPage], *, purpose: str, check: bool, made: str, by: str) -> str:
    """The page. `made` is when the run ended (UTC), `by` who ran it and where."""
    mode = ", check mode: nothing was changed" if check else ""
    title = f"DataMiner web apps: {purpose}"
    parts = [
        "<!DOCTYPE html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title><style>\n{_STYLE}\n</style></head><body>',
        f"<h1>{escape(title)}</h1>",
        f'<p class="about">{escape(made)}, by {escape(by)}{mode}</p>',
        *(_cluster(cluster) for cluster in clusters),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _cluster(cluster: ClusterPage) -> str:
    parts = [
        f"<h2>{escape(f'Cluster {cluster.name}' if cluster.name else 'The cluster')}</h2>",
        f'<p class="end {"good" if cluster.good else "bad"}">{escape(cluster.end)}</p>',
        _table(_COLUMNS.values(), [_agent(agent) for agent in cluster.agents]),
        *(f"<pre>{escape(note)}</pre>" for note in cluster.notes),
        *_gate(cluster.gate),
    ]
    return "\n".join(parts)


def _agent(agent: AgentSummary) -> list[object]:
    before, after = agent.web_before, agent.web_after
    web = before if before == after else f"{before or '?'} → {after or '?'}"
    return [agent.agent, agent.server, web, agent.backup, agent.content, agent.verdict]


def _gate(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """What denied and what warned; what passed is only counted."""
    told = [row for row in rows if row.get("verdict") in ("deny", "warn")]
    told.sort(key=lambda row: row.get("verdict") != "deny")
    if not rows:
        return []
    counted = f"<p>{len(rows) - len(told)} more checks passed or didn't apply.</p>"
    body = [[str(row["verdict"]).upper(), row.get("agent") or "cluster", *(row.get(key) for key in list(_GATE)[2:])] for row in told]
    return ["<h3>Gate</h3>", *([_table(_GATE.values(), body)] if body else []), counted]


def _table(headers: Iterable[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(header)}</th>" for header in headers)
    body = "\n".join(f"<tr>{''.join(f'<td{_class(cell)}>{_cell(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>\n<tr>{head}</tr>\n{body}\n</table>"


def _cell(value: object) -> str:
    return "-" if value is None or value == "" else escape(str(value)).replace("\n", "<br>")


def _class(value: object) -> str:
    return {"DENY": ' class="bad"', "WARN": ' class="warn"'}.get(str(value), "")
