# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run did to each agent, told from the results that its tasks left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .agent import AgentState
from .cluster import NO_RESULT, first_line
from .gate_host import at_work
from .gate_values import BACKUP, Verdict
from .jobs import size_text
from .modules_text import modules_text
from .outcome_news import DEFAULT_NAMES, AgentRun, Names, Results, processes, web_configs, went_back
from .report import AgentSummary, summary
from .restore_text import lost_line
from .status import status_text, under_way
from .version import Version

# The variables that the roles register, in the order of the phases.
PHASES = {
    "dataminer_scan": "reading",
    "dataminer_package_checked": "package",
    "dataminer_gate": "gate",
    "dataminer_reboot_look": "restart",
    "dataminer_reboot_free": "restart",
    "dataminer_reboot_result": "restart",
    "dataminer_reboot_scan": "restart",
    "dataminer_reboot_done": "restart",
    "dataminer_package_result": "package",
    "dataminer_recovered": "recovery",
    "dataminer_backup_result": "backup",
    "dataminer_restore_chosen": "choice of the backup",
    "dataminer_loss": "acceptance of the loss",
    "dataminer_upgrade_result": "install",
    "dataminer_restore_prepared": "preparation",
    "dataminer_restore_committed": "restore",
    "dataminer_restore_undone": "undoing",
    "dataminer_restore_released": "release",
    "dataminer_after": "reading again",
    "dataminer_verified": "verification",
}
_RESTORING = ("dataminer_recovered", "dataminer_restore_committed", "dataminer_restore_undone", "dataminer_restore_released")
SHOWN_LOST = 20  # of an agent; all are listed where they are to be accepted
GATE = PHASES["dataminer_gate"]
LAST_OF = {"upgrade": "dataminer_verified", "downgrade": "dataminer_verified", "backup": "dataminer_backup_result", "status": "dataminer_verified"}


def summarise(run: AgentRun, *, purpose: str, check: bool) -> AgentSummary:
    """The agent's row of the summary."""
    now = run.after or run.before
    installed = run.results.get("dataminer_upgrade_result") or {}
    goal = installed.get("web_after") if installed.get("would") or run.after is None else None
    return AgentSummary(
        agent=run.name,
        server=_version(now.server.version) if now else None,
        web_before=_version(run.before.web.version) if run.before else None,
        web_after=str(goal) if goal else _version(now.web.version) if now else None,
        backup=_backup(run.results),
        content=_content(run, check=check),
        verdict=_verdict(run, purpose=purpose, check=check),
    )


def failed_phase(results: Results) -> tuple[str, str] | None:
    """The first phase that failed on this agent, and the first line of why; a phase that only stopped for others doesn't count."""
    for key, phase in PHASES.items():
        result = results.get(key)
        if result and _is_bad(result) and not result.get("stopped"):
            return ("unreachable" if result.get("unreachable") else phase), first_line(result.get("msg")) or "no message"
    return None


def _is_bad(result: Mapping[str, Any] | None) -> bool:
    return bool(result and (result.get("failed") or result.get("unreachable")))


def _verdict(run: AgentRun, *, purpose: str, check: bool) -> str:
    results, failed = run.results, failed_phase(run.results)
    if _unjudged(run):
        return "not judged, unchanged"
    if failed and failed[0] == GATE:
        return _denied(run) if purpose == "status" else "denied by the gate, unchanged"
    if failed and failed[0] == "unreachable":
        return "UNREACHABLE"
    if failed:
        return f"FAILED: {failed[0]}"
    if results.get("dataminer_scan") is None:
        return "NOT READ"
    if stopped := _stopped(run):
        return stopped
    if results.get(LAST_OF[purpose]) is None:
        return "NOT FINISHED"
    if purpose == "status":
        work = at_work(run.before) if run.before else ""
        return f"in step; {work} is at work" if work else "in step"
    if _unaccepted(results):
        return "would STOP: the loss isn't accepted"
    changed = any((result or {}).get("changed") for key, result in results.items() if key not in ("dataminer_scan", "dataminer_after"))
    return ("would change" if check else "done") if changed else "unchanged"


def _gate_rows(run: AgentRun, verdict: Verdict) -> list[Mapping[str, Any]]:
    rows = (run.results.get("dataminer_gate") or {}).get("rows") or ()
    return [row for row in rows if row["verdict"] == verdict.value]


def _denials(run: AgentRun) -> list[Mapping[str, Any]]:
    return _gate_rows(run, Verdict.DENY)


def _ended_at_gate(run: AgentRun) -> bool:
    failed = failed_phase(run.results)
    return failed is not None and failed[0] == GATE


def _held_at_gate(run: AgentRun) -> bool:
    """Whether this agent passed the gate and another one of its cluster didn't: each is judged by its own values."""
    barrier = run.results.get("dataminer_barrier") or {}
    return bool(barrier.get("failed")) and barrier.get("phase") == GATE


def _unjudged(run: AgentRun) -> bool:
    """Whether the gate had no table to print: a value that somebody set is none that it can work with."""
    return _ended_at_gate(run) and not _denials(run)


def _denied(run: AgentRun) -> str:
    """A status that the gate denies: what is wrong with one agent is no fault of the others, which it leaves uncompared."""
    return f"read; not compared: {_held_by(run)}" if _only_uncompared(run) else "NOT WELL: see the gate's table"


def _only_uncompared(run: AgentRun) -> bool:
    """Whether the gate denies this agent's status for other agents alone."""
    denials = _denials(run)
    return _ended_at_gate(run) and bool(denials) and all(row["agent"] not in (None, run.name) for row in denials)


def _held_by(run: AgentRun) -> str:
    """The other agents that the gate denies, those that nobody read first."""
    unread = sorted({row["agent"] for row in _denials(run) if row["rule"] == "read"})
    unwell = sorted({row["agent"] for row in _denials(run)} - set(unread))
    parts = [f"{', '.join(unread)} {'was' if len(unread) == 1 else 'were'}n't read"] if unread else []
    return "; ".join(parts + ([f"{', '.join(unwell)} {'is' if len(unwell) == 1 else 'are'} not well"] if unwell else []))


def _stopped(run: AgentRun) -> str | None:
    """What held an agent back that didn't fail itself."""
    choice, barrier = run.results.get("dataminer_loss") or {}, run.results.get("dataminer_barrier") or {}
    if choice.get("stopped"):
        return f"stopped after {PHASES['dataminer_restore_chosen']}: another agent failed"
    if not barrier.get("failed"):
        return None
    if _held_at_gate(run):
        return "stopped at the gate, unchanged"
    left_out = any(str(problem).startswith(f"{run.name}: {NO_RESULT}") for problem in barrier.get("problems") or ())
    return f"stopped: the phase {barrier.get('phase')} wasn't run" if left_out else f"stopped after {barrier.get('phase')}: another agent failed"


def is_good(results: Results, *, purpose: str) -> bool:
    """The last phase was reached, and no phase failed or was stopped, or would be in earnest."""
    barrier = results.get("dataminer_barrier") or {}
    return not _unaccepted(results) and failed_phase(results) is None and not barrier.get("failed") and results.get(LAST_OF[purpose]) is not None


def _unaccepted(results: Results) -> Mapping[str, Any]:
    """The loss that nobody accepted, which a dry run goes on with."""
    return (results.get("dataminer_loss") or {}).get("unaccepted") or {}


def _version(version: Version | None) -> str:
    return str(version) if version else "unknown"


def _backup(results: Results) -> str | None:
    chosen = (results.get("dataminer_restore_chosen") or {}).get("chosen")
    if chosen:
        return f"restored before: {chosen['name']}" if chosen.get("done") else f"{chosen['name']}"
    result = results.get("dataminer_backup_result") or {}
    made = result.get("backup")
    if not made:
        return "none needed" if result.get("finished") else None
    if made.get("would"):
        return f"would make {made['name']}"
    return f"{'kept' if made.get('kept') else 'verified'}, {size_text(made['zip_size'])}: {made['name']}"


def _content(run: AgentRun, *, check: bool) -> str | None:
    if run.before is None or run.before.content is None:
        return None
    if check or run.after is None or run.after.content is None:
        return f"{len(run.before.content)} items, {size_text(sum(row.bytes for row in run.before.content))}"
    before, after = {row.path: row.sha256 for row in run.before.content}, {row.path: row.sha256 for row in run.after.content}
    changed = sum(1 for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    return f"{changed} of {len(after)} items changed" if changed else f"{len(after)} items, unchanged"


def cluster_paragraphs(name: str, runs: Iterable[AgentRun], *, purpose: str, check: bool, names: Names = DEFAULT_NAMES) -> list[str]:
    """The title, the table, what failed, differs and is to be noted, what is left to do, and at last the one sentence it comes to."""
    told = list(runs)
    parts = [
        f"Summary of {'cluster ' + name if name else 'the cluster'}: {purpose}{' (check mode: nothing was changed)' if check else ''}",
        summary(summarise(run, purpose=purpose, check=check) for run in told),
        status_text(_read(told), modules=names.modules) if purpose == "status" else "",
        _failures(told),
        _differences(told),
        _grouped("Note", [(run.name, note) for run in told for note in _notes(run, purpose)]),
        "" if check else _grouped("Processes", processes(told, names)),
        _grouped("News", web_configs(told)),
        _grouped("Lost", _lost(told)),
        *(_gone_back(told, names) if purpose == "downgrade" and any(went_back(run) for run in told) else []),
        conclusion(told, purpose=purpose, check=check),
    ]
    return [part for part in parts if part]


def _read(runs: Iterable[AgentRun]) -> list[tuple[str, AgentState]]:
    return [(run.name, run.before) for run in runs if run.before]


def _failures(runs: Sequence[AgentRun]) -> str:
    """One line an agent; what the gate denies is in its table, and what kept it from judging is mostly the same for all.

    Where only some are denied the table may be that of another agent, which passed.
    """
    lines = []
    unjudged: dict[str, list[str]] = {}
    some_passed = any(_held_at_gate(run) for run in runs)
    for run in runs:
        failed = failed_phase(run.results)
        if failed and (_unjudged(run) or (some_passed and failed[0] == GATE)):
            unjudged.setdefault(failed[1], []).append(run.name)
        elif failed and failed[0] != GATE:
            lines.append(f"{run.name} failed ({failed[0]}): {failed[1]}")
    return "\n".join([*(f"{', '.join(names)} failed (gate): {reason}" for reason, names in unjudged.items()), *lines])


def _notes(run: AgentRun, purpose: str) -> list[str]:
    """Whoever asked for nothing but a backup is told why there is none: a dataminer_backup_before may be left in the inventory."""
    backup = run.results.get("dataminer_backup_result") or {}
    notes = [backup["msg"]] if purpose == BACKUP and backup.get("finished") and not backup.get("backup") else []
    notes += [note for key in PHASES for note in (run.results.get(key) or {}).get("notes") or []]
    return list(dict.fromkeys(notes))


def _grouped(title: str, pairs: Iterable[tuple[str, str]]) -> str:
    """One line a text, with all the agents it is about."""
    agents: dict[str, list[str]] = {}
    for agent, text in pairs:
        agents.setdefault(text, []).append(agent)
    return "\n".join(f"{title} ({', '.join(names)}): {text}" for text, names in agents.items())


def _differences(runs: Iterable[AgentRun]) -> str:
    """What the verification found to differ; every agent of a cluster has the same list."""
    found = next((result for run in runs if (result := run.results.get("dataminer_verified")) and result.get("differences")), None)
    lines = []
    for row in (found or {}).get("differences", []):
        values = "; ".join(f"{name}: {value}" for name, value in row["values"].items())
        lines.append(f"{'NOT IN STEP' if row['severity'] == 'fail' else 'News'}: {row['what']}" + (f" ({values})" if values else ""))
    return "\n".join(lines)


def conclusion(runs: Sequence[AgentRun], *, purpose: str, check: bool) -> str:
    """The one sentence that somebody woken up at night looks for."""
    good = [run for run in runs if is_good(run.results, purpose=purpose)]
    bad = [run.name for run in runs if run not in good]
    if purpose == "status" and not bad:
        last = under_way(_read(runs)) or ". Before the first change, compare these facts with the About box of one agent."
        return f"{len(good)} of {len(runs)} agents are in step{_unseen(runs)}{last}"
    if stops := _would_stop(runs, purpose):
        return stops
    if not bad:
        done = "would end well" if check else "ended well"
        return f"{len(good)} of {len(runs)} agents: the {purpose} {done}.{_partial(runs, purpose)}"
    remedy = "Mend what is named above, then run the same playbook again: it reads every agent anew and continues from what is there."
    if all(_unjudged(run) for run in runs) or any(_held_at_gate(run) for run in runs):
        return "NOT STARTED: nothing was changed on this cluster. Correct what is named above, then run again."
    if purpose == "status":
        return _status_end(runs, len(good), bad)
    if any(_denials(run) for run in runs):
        return "DENIED: nothing was changed on this cluster. Do what the gate's table says, then run again."
    if refused := _refused(runs, bad):
        return f"STOPPED, with nothing installed or restored by this run: {refused}."
    return f"NOT DONE on {', '.join(bad)} ({len(good)} of {len(runs)} agents ended well). {remedy}"


def _unseen(runs: Sequence[AgentRun]) -> str:
    """Agents of the cluster that the status says nothing of: those that --limit leaves out, else those that only DMS.xml knows."""
    found = {row["rule"]: row["found"] for run in runs for row in _gate_rows(run, Verdict.WARN)}
    others = found.get("limit") or (f"in DMS.xml, and not read: {found['missing']}" if "missing" in found else "")
    return f"; NOTHING IS KNOWN of others ({others})" if others else ""


def _status_end(runs: Sequence[AgentRun], good: int, bad: Sequence[str]) -> str:
    uncompared = [run.name for run in runs if _only_uncompared(run)]
    unwell = [name for name in bad if name not in uncompared]
    rest = f" {', '.join(uncompared)} {'was' if len(uncompared) == 1 else 'were'} read, but not compared." if uncompared else ""
    return f"{good} of {len(runs)} agents are in step; look at {', '.join(unwell or bad)}.{rest} Nothing was changed{under_way(_read(runs)) or '.'}"


def _would_stop(runs: Sequence[AgentRun], purpose: str) -> str:
    """What a dry run came upon that stops the one in earnest; every agent of a cluster has the same answer."""
    found = next((loss for run in runs if (loss := _unaccepted(run.results))), None)
    if found is None or any(failed_phase(run.results) for run in runs):
        return ""
    return f"The {purpose} would STOP: {_loss(found)}."


def _refused(runs: Sequence[AgentRun], bad: Sequence[str]) -> str:
    """The loss that nobody accepted, where that is all that failed."""
    losses = [loss for run in runs if (loss := _unaccepted(run.results)) and (failed_phase(run.results) or ("",))[0] == PHASES["dataminer_loss"]]
    return _loss(losses[0]) if losses and len(losses) == len(bad) else ""


def _loss(found: Mapping[str, Any]) -> str:
    them = "it" if found["changes"] == "1 change" else "them"
    where = f"{found['changes']} would be lost on {', '.join(found['agents'])}"
    return f"{where}; to accept {them}, run it with -e dataminer_accept_loss={found['code']}"


def _lost(runs: Iterable[AgentRun]) -> list[tuple[str, str]]:
    """The page holds no list but this one."""
    pairs = []
    for run in runs:
        rows = (run.results.get("dataminer_loss") or {}).get("lost") or [] if _unaccepted(run.results) else []
        pairs += [(run.name, lost_line(row)) for row in rows[:SHOWN_LOST]]
        pairs += [(run.name, f"and {len(rows) - SHOWN_LOST} more")] if len(rows) > SHOWN_LOST else []
    return pairs


def _partial(runs: Sequence[AgentRun], purpose: str) -> str:
    """What a run on a part of a cluster leaves to do. A backup changes no version, so nothing is out of step by it."""
    found = next((row["found"] for run in runs for row in _gate_rows(run, Verdict.WARN) if row["rule"] == "limit"), None)
    if found and purpose == BACKUP:
        return f" The others have no new backup: {found.partition(': ')[2]}."
    return f" The cluster is OUT OF STEP until the others follow: {found}." if found else ""


def _gone_back(runs: Sequence[AgentRun], names: Names) -> list[str]:
    """What a downgrade leaves to do and to expect. One that isn't over leaves nothing yet: a restore may hold the web servers down on purpose."""
    if any(_is_bad(run.results.get(key)) for run in runs for key in _RESTORING):
        return ["What is left to do by hand is told by the run that ends the restore."]
    told = next((found for run in runs if (found := (run.results.get("dataminer_gate") or {}).get("target"))), None)
    goal = Version.parse(told) if told else None
    hosts = [(run.name, state.host if (state := run.after or run.before) else None) for run in runs]
    lost = f"What needs web apps newer than {goal} is no longer available: expect users to notice."
    return [lost if goal else "", modules_text(hosts, goal, names.modules)]
