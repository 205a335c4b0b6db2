# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The step `undone` of a restore: a commit is told to put everything back, or what one left is undone by a job of its own."""

from __future__ import annotations

from .agent import AgentState
from .case_common import Args, Result, follow, job_result, join, read_state, run_id_of, seen_scan, state_of
from .case_step import ended, known, running, service_of
from .errors import Busy, JobFailed
from .host import Host
from .jobs import OPEN_JOURNAL_STATES, JobStatus, ends_by_itself, was_called_off

SHOWN = 20


def undo_step(host: Host, args: Args, *, check: bool, wait: float) -> Result:
    """Tell a waiting commit to undo, else undo what it or a dead one left. Without `committed`, what a run that is gone has left."""
    status = known(host, args, wait)
    if status:
        return _followed(host, args, status, wait)
    commit = args.get("committed")
    left = None if commit or _seen_closed(args) else broken_off(host, read_state(host, args))
    if not commit and left is None:
        return {"changed": False, "finished": True, "msg": "No restore is open on this agent"}
    if check:
        return _would(host, args, left.run_id if left else str(commit))
    status = left or host.signal(str(commit), "undo")
    if _is_undone(status):  # of a word that was sent before
        return _undone(ended(status), status, args, already=True)
    return _followed(host, args, host.poll(status.run_id, max(wait, 1)) if status.active else status, wait)


def _would(host: Host, args: Args, commit: str) -> Result:
    if args.get("committed") and dict(read_state(host, args).journals).get(commit) == "undone":
        return {"changed": False, "finished": True, "msg": f"Undone already: {commit}", "would": True}
    return {"changed": True, "finished": True, "msg": f"Would undo {commit}", "would": True}


def _is_undone(status: JobStatus) -> bool:
    """Whether this commit was told to undo, and has."""
    return status.kind == "commit" and (status.result or {}).get("released_by") == "undo"


def _followed(host: Host, args: Args, status: JobStatus, wait: float) -> Result:
    """How far the undoing is. A commit that ended in another way, for its deadline had passed when it was told, is undone by a job."""
    if status.active:
        return running(status)
    if was_called_off(status):
        text = "Nothing to undo: the commit never began on this agent, and won't any more"
        return {"changed": False, "finished": True, "begun": False, "msg": text, "job": job_result(status)}
    if status.kind == "commit" and not _is_undone(status):
        status = follow(host, host.start(_spec(args, status.run_id), run_id_of({**args, "run_id": None}, "undo")), wait)
        if status.active:
            return running(status)
    result = ended(status)
    return _undone(result, status, args, already="before" in result)


def _spec(args: Args, commit: str) -> Result:
    return {
        "kind": "undo",
        "owner": args.get("owner"),
        "commit": commit,
        "root": args["root"],
        "service": service_of(args),
        "host_command": args.get("host_command") or None,
    }


def _seen_closed(args: Args) -> bool:
    """Whether no restore was open when the agent was looked at earlier in this run. If one is by now, no backup is chosen."""
    seen = seen_scan(args)
    return seen is not None and not _commits(state_of(seen, args))


def _commits(state: AgentState) -> list[str]:
    """Run ids of commits that run, or have left their journal open."""
    found = [run_id for run_id, journal in state.journals if journal in OPEN_JOURNAL_STATES]
    return [state.job.run_id, *found] if state.job is not None and state.job.kind == "commit" else found


def broken_off(host: Host, state: AgentState) -> JobStatus | None:
    """The commit of a run that is gone, where one left a restore open. One that lives is another run's: raises `Busy`."""
    for status in map(host.poll, dict.fromkeys(_commits(state))):
        if status.active:
            raise _another(status)
        # a commit that has ended well since the scan left nothing open; one that ended well before may have been undone by half since
        if status.state != "done" or dict(state.journals).get(status.run_id) == "undoing":
            return status
    return None


def _another(status: JobStatus) -> Busy:
    return Busy(
        "A restore of another run is at work on this agent",
        found=f"commit job {status.run_id} of {status.owner}, started {status.started}; "
        + ("its files are swapped, and its web server waits for a word" if status.state == "waiting" else "it is swapping files"),
        needed="an agent on which no restore is under way",
        remedy=f"let that run end, then run again. Where it is gone, {ends_by_itself(status.progress.get('until') or '')}",
    )


def _undone(result: Result, status: JobStatus, args: Args, *, already: bool) -> Result:
    """Where it was undone `already`, nothing is changed, and what stayed then is told once more."""
    if "put_back" not in result:
        raise JobFailed(f"{status.run_id} put nothing back", found=f"a result of a {status.kind} job", remedy="undo it with state undone")
    text = f"Undone: {result['put_back']} files put back, {result['removed']} removed; the web server runs"
    if already:
        text = f"Undone already{_by(result.get('before'))}, so nothing is put back now; the web server runs"
    told = join(args["work_dir"], "jobs", status.run_id, "result.json")
    return {"changed": not already, "finished": True, "msg": text, "job": job_result(status), "notes": _notes(result, told), **result}


def _by(who: object) -> str:
    """Which job undid it; a commit that did so itself says why instead."""
    return f" by {who}" if who and who not in ("undo", "failure") else ""


def _notes(result: Result, told: str) -> list[str]:
    """`told`: the file that holds all the names."""
    kept, conflicts = result.get("kept") or [], result.get("conflicts") or []
    notes = [f"{_count(kept)} left in place, changed since or without one to put back: {_names(kept, told)}"] if kept else []
    if conflicts:
        notes.append(
            f"{_count(conflicts)} moved away, neither the backup's nor of before (changed, or left half, after the restore broke off): "
            f"{_names(conflicts, told)}"
        )
    return notes


def _count(paths: list[str]) -> str:
    return f"{len(paths)} {'file' if len(paths) == 1 else 'files'}"


def _names(paths: list[str], told: str) -> str:
    more = f" and {len(paths) - SHOWN} more, see {told}" if len(paths) > SHOWN else ""
    return ", ".join(paths[:SHOWN]) + more
