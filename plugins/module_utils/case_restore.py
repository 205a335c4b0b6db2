# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Use case `restore`: choose, prepare, commit, release, undo."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from .agent import KEPT, AgentState, BackupFile, LastRestore
from .candidates import Background
from .case_backup import CONTENT_PARTS, backup_spec
from .case_common import (
    LIMITS,
    Args,
    Result,
    Start,
    agent_name,
    begin,
    follow,
    job_result,
    join,
    optional_version,
    read_state,
    run_id_of,
    utc_text,
    verify_spec,
)
from .case_step import ended as _ended
from .case_step import known as _known
from .case_step import running as _running
from .case_step import service_of
from .case_undo import broken_off, undo_step
from .choice import LATEST, TARGET, choose
from .errors import InvalidInput, JobFailed, Refused, UnknownJob
from .host import Host
from .jobs import JobStatus, still_open
from .manifest import parse_time
from .readiness import other_software, restored_since
from .restore import diff_text, plan_restore, plan_result, quarantine_paths
from .version import Version


def restore(host: Host, args: Args, *, check: bool, wait: float = 0) -> Result:
    """One step of a restore. The same call repeated with the returned run id follows the step's job."""
    steps: dict[str, Callable[..., Result]] = {
        "chosen": choose_step,
        "prepared": prepare_step,
        "committed": commit_step,
        "released": release_step,
        "undone": undo_step,
    }
    return steps[args["state"]](host, args, check=check, wait=wait)


# chosen


def choose_step(host: Host, args: Args, *, check: bool, wait: float) -> Result:
    known = _known(host, args, wait)
    if known:
        return _running(known) if known.active else _chosen(host, args, _ended(known), status=known)
    target = optional_version(args.get("version"), "version")
    if check:
        spec = _choice(read_state(host, args), args, target, copy=False)
        return _chosen(host, args, {**host.inspect(spec), "about": spec["about"]}, status=None) if "kind" in spec else spec

    def plan(state: AgentState) -> Start | Result:
        _none_open(host, state)
        spec = _choice(state, args, target, copy=True)
        return Start(spec=spec, parts=("versions", "backups", "work")) if "kind" in spec else spec

    begun = begin(host, args, plan)
    if not isinstance(begun, JobStatus):
        return begun
    status = follow(host, begun, wait)
    return _running(status) if status.active else _chosen(host, args, _ended(status), status=status)


def _none_open(host: Host, state: AgentState) -> None:
    """Raises `Refused` where a restore is open on the agent. Another run may have left it since the backup was chosen."""
    if left := broken_off(host, state):
        raise still_open(left.run_id)


def _choice(state: AgentState, args: Args, target: Version | None, *, copy: bool) -> dict[str, Any]:
    """The spec of the job that verifies the chosen backup, or the result where it was restored before."""
    chosen = choose(state.backups, wanted=args.get("backup") or TARGET, target=target, background=_background(state, args))
    done = _already(state, chosen.backup, args, target)
    elsewhere = _elsewhere(state, args) if done else ""
    if done and not elsewhere:
        return done
    aside = join(args["work_dir"], "aside") if copy and chosen.backup.origin not in KEPT else None
    spec = verify_spec(args, chosen.backup, copy_to=aside, compare=True)
    spec["about"] = {
        "name": chosen.backup.name,
        "origin": chosen.backup.origin,
        "source": chosen.backup.path,
        "web_version": str(chosen.web_version) if chosen.web_version else None,
        "created": utc_text(_made(chosen.backup)),
        "zip_mark": _mark(chosen.backup),
        "how": chosen.how,
        "notes": [*chosen.warnings, *([elsewhere] if elsewhere else [])],
        "target": str(target) if target else None,
    }
    return spec


def _background(state: AgentState, args: Args) -> Background:
    return Background(
        history=state.history,
        packages=state.packages,
        unread=state.unread,
        offset_minutes=state.offset_minutes,
        agent=agent_name(args, state),
        cluster=state.cluster.name,
        last_restore=state.last_restore,
    )


def _made(backup: BackupFile) -> datetime:
    """When the backup was made: by its manifest, else by the file."""
    said = backup.manifest.header.get("created") if backup.manifest else None
    if isinstance(said, str):
        return datetime.strptime(said, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return backup.modified


def _mark(backup: BackupFile) -> str:
    """What tells this zip from another of the same name without reading it: its size and time, which a copy put aside keeps."""
    return f"{backup.size} {utc_text(_made(backup))}"


def _already(state: AgentState, backup: BackupFile, args: Args, target: Version | None) -> Result | None:
    """The same backup was restored since the last install: doing it again would overwrite what was edited since.

    So would one that wasn't asked for by name, and is older than that restore: nobody wants to go back twice.
    """
    last = restored_since(state, target)
    if args.get("again") or last is None:
        return None
    same = _is_restored(last, backup)
    if not same and not (_unnamed(args) and _made(backup) <= last.at):
        return None
    if args.get("apps") or args.get("dashboards"):
        return None
    text = f"{last.backup} was restored at {utc_text(last.at)} (run {last.run_id}), and nothing was installed since; " + (
        "set dataminer_restore_again to do it once more" if same else f"to restore {backup.name}, name it in dataminer_backup"
    )
    return {"changed": False, "finished": True, "msg": text, "chosen": {"name": last.backup, "done": True}, "plan": None, "lost": [], "notes": []}


def _elsewhere(state: AgentState, args: Args) -> str:
    """What another agent has migrated since this one's last restore, which synchronisation may have brought here."""
    migrated, last = args.get("migrated") or {}, state.last_restore
    at = parse_time(migrated.get("at"))
    if at is None or last is None or at < last.at:
        return ""
    return (
        f"{last.backup} was restored at {utc_text(last.at)}, but {migrated['agent']} installed {migrated['version']} since: what that migrated "
        "may have been synchronised to this agent, so it is restored once more"
    )


def _unnamed(args: Args) -> bool:
    return (args.get("backup") or TARGET) in (TARGET, LATEST)


def _is_restored(last: LastRestore, backup: BackupFile) -> bool:
    """Whether that restore was of this zip: by its digest where a manifest tells it. The vendor gives a name to more than one zip."""
    known = backup.manifest.trailer.get("zip_sha256") if backup.manifest else None
    return last.zip_sha256 == known if known and last.zip_sha256 else bool(last.zip_mark) and last.zip_mark == _mark(backup)


def _chosen(host: Host, args: Args, read: Result, *, status: JobStatus | None) -> Result:
    """The plan, from what was read of the zip and from the agent as it is now."""
    about = dict(read.get("about") or {})
    state = read_state(host, args)
    plan = plan_restore(
        read["entries"],
        read["infos"],
        state,
        backup_created=datetime.strptime(about["created"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC),
        only_apps=tuple(args.get("apps") or ()),
        only_dashboards=tuple(args.get("dashboards") or ()),
        installs=state.packages,
    )
    told = plan_result(plan)
    chosen = {
        **{key: about[key] for key in ("name", "origin", "source", "web_version", "created", "zip_mark", "how", "target")},
        "zip": read.get("copied") or read["path"],
        "zip_sha256": read["zip_sha256"],
        "names_sha256": read["names_sha256"],
        "size": read["size"],
        "include": list(plan.include) if plan.include is not None else None,
        "bytes": plan.bytes,
        "leftovers": list(quarantine_paths(plan)) if args.get("leftovers") == "quarantine" else [],
        "digests": plan.digests,
        "changes": plan.create + plan.replace,
        "restored_before": utc_text(before) if (before := state.last_restore and state.last_restore.restored) else None,
    }
    text = f"{plan.replace} files to replace, {plan.create} to create, {plan.same} the same; {len(plan.lost)} changes would be lost ({about['how']})"
    warnings = [*about["notes"], *plan.warnings]
    result: Result = {
        "changed": True,
        "finished": True,
        "msg": text,
        "chosen": chosen,
        "notes": warnings,
        "diff": {"before": "", "after": diff_text(plan)},
    }
    return {**result, **told, **({"job": job_result(status)} if status else {})}


# prepared, committed, released


def _needed(args: Args, key: str, step: str) -> Any:
    value = args.get(key)
    if not value:
        raise InvalidInput(
            f"The step {args['state']} needs {key}", found="nothing", needed=f"the result of the step {step}", remedy=f"run the step {step} first"
        )
    return value


def prepare_step(host: Host, args: Args, *, check: bool, wait: float) -> Result:
    known = _known(host, args, wait)
    if known:
        return _running(known) if known.active else _prepared(_ended(known), known)
    chosen = _needed(args, "chosen", "chosen")
    if chosen.get("done"):
        return {"changed": False, "finished": True, "msg": "Nothing to prepare: this backup was restored before", "done": True}
    if check:
        return {"changed": bool(chosen["changes"]), "finished": True, "msg": f"Would prepare {chosen['name']}", "would": True}
    status = follow(host, _begin_prepare(host, args, chosen), wait)
    return _running(status) if status.active else _prepared(_ended(status), status)


def _begin_prepare(host: Host, args: Args, chosen: dict[str, Any]) -> JobStatus:
    """Only the safety copy needs to know what the agent holds."""

    def plan(state: AgentState) -> Start | Result:
        _none_open(host, state)
        _software_first(state, optional_version(args.get("version"), "version"))
        if not args.get("safety_copy", True):
            return Start(spec=_prepare_spec(args, chosen, None), parts=("versions", "work"))
        return Start(spec=_prepare_spec(args, chosen, backup_spec(state, args, purpose="safety")[0]), parts=(*CONTENT_PARTS, "work"))

    begun = begin(host, args, plan)
    if not isinstance(begun, JobStatus):  # it plans nothing else
        raise JobFailed("The preparation wasn't started", found=str(begun), remedy="run the playbook again")
    return begun


def _software_first(state: AgentState, target: Version | None) -> None:
    """Content that is restored under other web apps than it was made on is migrated again."""
    if not other_software(state, target):
        return
    raise Refused(
        "The agent doesn't run the web version that the content is restored for",
        found=f"{state.web.version} ({state.web.source})",
        needed=str(target),
        remedy="run the whole playbook, without --tags and --skip-tags, with the older package in dataminer_package",
    )


def _prepare_spec(args: Args, chosen: dict[str, Any], safety: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "kind": "prepare",
        "owner": args.get("owner"),
        "zip": chosen["zip"],
        "zip_sha256": chosen["zip_sha256"],
        "names_sha256": chosen["names_sha256"],
        "include": chosen["include"],
        "root": args["root"],
        "safety": safety,
        "mtime": args.get("mtime", "now"),
        "free_needed": 2 * int(chosen["bytes"]),
        "limits": LIMITS,
        "about": {
            "backup": chosen["name"],
            "zip_sha256": chosen["zip_sha256"],
            "web_version": chosen["web_version"],
            "leftovers": chosen["leftovers"],
        },
    }


def _prepared(result: Result, status: JobStatus) -> Result:
    safety = result.get("safety")
    text = f"{result['rows']} files stand ready, {result['same']} are the same already" + (
        f"; safety copy {safety['path']}" if safety else "; no safety copy"
    )
    return {"changed": True, "finished": True, "msg": text, "rows": result["rows"], "safety": safety, "job": job_result(status)}


def commit_step(host: Host, args: Args, *, check: bool, wait: float) -> Result:
    """Ends well when the agent has swapped and waits; its web server is down until `released`."""
    known = _known(host, args, wait)
    if known is None and args.get("run_id") and not args.get("prepared"):
        raise UnknownJob(f"No commit {args['run_id']} is known on this agent", remedy="run the playbook again")
    if known is None:
        chosen = _needed(args, "chosen", "chosen")
        if chosen.get("done") or check:
            done = bool(chosen.get("done"))
            return {
                "changed": not done and bool(chosen["changes"]),
                "finished": True,
                "msg": "Nothing to do" if done else "Would restore",
                "done": done,
                "would": check,
            }
        name = args.get("commit_id") or run_id_of(args, "commit")
        known = follow(host, host.start(_commit_spec(args, chosen), name), wait)
    if known.state == "running":
        return _running(known)
    if known.state != "waiting":
        return _committed(known, _ended(known))
    return {"changed": True, "finished": True, "msg": "The files are swapped in; the web server waits for the other agents", "job": job_result(known)}


def _commit_spec(args: Args, chosen: dict[str, Any]) -> dict[str, Any]:
    prepared = _needed(args, "prepared", "prepared")
    return {
        "kind": "commit",
        "owner": args.get("owner"),
        "prepared": prepared,
        "root": args["root"],
        "service": service_of(args),
        "host_command": args.get("host_command") or None,
        "deadline": int(args.get("deadline", 900)),
        "leftovers": chosen["leftovers"],
        "backup": chosen["name"],
        "zip_sha256": chosen["zip_sha256"],
        "zip_mark": chosen["zip_mark"],
        "partial": chosen["include"] is not None,
        "restored_before": chosen.get("restored_before"),
    }


def _committed(status: JobStatus, result: Result) -> Result:
    """A commit that ended before anybody said so."""
    if result.get("released_by") == "undo":
        raise JobFailed("This commit was undone", found=f"{result.get('put_back')} files put back", remedy="run the playbook again")
    return {"changed": True, "finished": True, "msg": "The files are swapped in", "job": job_result(status), "notes": _by_itself(result), **result}


def _by_itself(result: Result) -> list[str]:
    alone = result.get("released_by") == "deadline"
    return ["nobody released this agent within the deadline: it started its web server by itself"] if alone else []


def release_step(host: Host, args: Args, *, check: bool, wait: float) -> Result:
    chosen = args.get("chosen") or {}
    if check or chosen.get("done"):
        return {"changed": False, "finished": True, "msg": "Nothing to release", "would": check}
    run_id = args.get("run_id") or _needed(args, "committed", "committed")
    status = host.signal(run_id, "release") if not args.get("run_id") else host.poll(run_id, wait)
    status = host.poll(run_id, wait) if status.active else status
    if status.active:
        return _running(status)
    result = _ended(status)
    if result.get("released_by") == "undo" or (result.get("released_by") == "deadline" and _undone_since(host, args, run_id)):
        raise JobFailed("This agent was undone, not released", remedy="run the playbook again")
    text = f"Restored: {result['swapped']} files swapped in, {len(result['quarantined'])} left-overs moved away; the web server runs"
    return {"changed": True, "finished": True, "msg": text, "job": job_result(status), "notes": _by_itself(result), **result}


def _undone_since(host: Host, args: Args, run_id: str) -> bool:
    """Whether somebody undid a commit that had started its web server by itself: its own result can't tell."""
    return dict(read_state(host, args).journals).get(run_id) in ("undoing", "undone")
