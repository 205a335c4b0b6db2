# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Use case `backup`: plan, zip, verify, rotate."""

from __future__ import annotations

from typing import Any

from .agent import AgentState, BackupFile
from .backup import Item, Plan, Rotation, backup_name, header, of_another, plan_backup, plan_rotation
from .case_common import Args, Result, Start, agent_name, begin, follow, job_result, join, now, optional_version, utc_text, verify_spec
from .errors import BackupInvalid
from .host import Host
from .jobs import JobStatus, size_text
from .readiness import NoBackupNeeded, backup_from_before, no_backup_needed, sound_backups, suspect

SHOWN = 200
CONTENT_PARTS = ("content", "versions")  # what the items of a backup rest on
BACKUP_PARTS = (*CONTENT_PARTS, "backups", "work")
PROOF_PARTS = ("versions", "backups", "work")


def backup(host: Host, args: Args, *, check: bool, wait: float = 0) -> Result:
    """Start a backup, attach to it, or tell its end. The same call repeated with the returned run id follows the job."""
    if args.get("run_id"):
        status = host.poll(args["run_id"], wait)
        if status.state != "absent":
            return _followed(host, args, status, wait)
    before = optional_version(args.get("before"), "before")

    def plan(state: AgentState) -> Start | Result:
        needless = no_backup_needed(state, before, agent=agent_name(args, state))
        # beside an install nothing else runs, and what that rests on was read before it began
        if needless and needless.backup and not check and not state.install:
            return Start(spec=_proof_spec(needless, needless.backup, args), parts=PROOF_PARTS)
        if needless:
            return _needless(needless)
        spec, about = backup_spec(state, args, purpose="backup")
        if check:
            return {"changed": True, "finished": True, **about, "backup": {"name": spec["name"], "would": True}}
        kept = backup_from_before(state, agent_name(args, state)) if before else None
        if kept and not (state.job and state.job.kind == "backup"):  # of an earlier run, which has read it again
            return Start(spec={**verify_spec(args, kept), "about": {"kept": kept.name}}, parts=PROOF_PARTS)
        return Start(spec=spec, parts=BACKUP_PARTS)

    begun = begin(host, args, plan)
    return _followed(host, args, follow(host, begun, wait), wait) if isinstance(begun, JobStatus) else begun


def _followed(host: Host, args: Args, status: JobStatus, wait: float) -> Result:
    """The job's state as a result. Behind a backup from before a failed install that was read again, but is old, one of what is there now is made."""
    kept = None if status.active or status.kind != "verify" else _proved(status).get("kept")
    if kept is None:
        return _told(status)
    note = f"{kept}, from before that install, was read again, is whole and stays"

    def plan(state: AgentState) -> Start:
        spec, _about = backup_spec(state, args, purpose="backup")
        return Start(spec={**spec, "about": {**spec["about"], "notes": [*spec["about"]["notes"], note]}}, parts=BACKUP_PARTS)

    begun = begin(host, {**args, "run_id": None}, plan)
    return _told(follow(host, begun, wait)) if isinstance(begun, JobStatus) else begun


def backup_spec(state: AgentState, args: Args, *, purpose: str) -> tuple[dict[str, Any], Result]:
    """The spec of a backup job, and what to tell people of it. A safety copy takes everything, Web included, and rotates nothing."""
    safety, moment = purpose == "safety", now()
    plan = plan_backup(state, versions="all" if safety else args.get("versions", "auto"), include_web=safety or bool(args.get("include_web", True)))
    agent, doubt = agent_name(args, state), suspect(state)
    name = backup_name(agent=agent, web_version=state.web.version, when=moment, purpose=purpose)
    folder = join(args["work_dir"], "safety") if safety else args["backup_dir"]
    rotation = None if safety else _rotation(state, args, agent=agent, new_name=name, suspect=doubt is not None)
    head = header(state=state, plan=plan, agent=agent, when=moment, purpose=purpose, name=name)
    if doubt:
        head = {**head, "suspect": doubt}
    if state.last_restore and state.last_restore.restored:
        head = {**head, "restored": utc_text(state.last_restore.restored)}
    notes = [*plan.warnings[:SHOWN], *([doubt] if doubt else []), *_not_counting(state, rotation, agent)[:SHOWN]]
    about = _about(plan, rotation, notes, {f"Applications/{app.folder}": app.title for app in state.apps})
    spec = {
        "kind": "backup",
        "owner": args.get("owner"),
        "root": args["root"],
        "items": [item.to_dict() for item in plan.items],
        "dest_dir": folder,
        "name": name,
        "header": head,
        "level": int(args.get("compression_level", 1)),
        "retries": int(args.get("retries", 2)),
        "rotate": list(rotation.delete) if rotation else [],
        "about": {**about, "web_version": head["web_version"], "created": head["created"]},
    }
    return spec, about


def _rotation(state: AgentState, args: Args, *, agent: str, new_name: str, suspect: bool) -> Rotation:
    keep = int(args.get("keep", 5))
    return plan_rotation(state.backups, agent=agent, cluster=state.cluster.name, new_name=new_name, keep=keep, suspect=suspect)


def _not_counting(state: AgentState, rotation: Rotation | None, agent: str) -> list[str]:
    """What lies in the backup folder and is no backup to rely on. Zips of other agents and clusters in a shared folder are theirs to tell of.

    A sound one that stays beside a new one that is suspect is the last to be that.
    """
    if rotation is None:
        return []
    others = {row.name for row in state.backups if row.origin != "own" or _of_another(row, agent, state.cluster.name)}
    others |= {row.name for row in sound_backups(state, agent)}
    told = [f"{name} doesn't count as a backup and stays: {why}" for name, why in rotation.ignored if name not in others]
    at_work = state.job is not None and state.job.kind == "backup"
    return told + ([] if at_work else [f"{path} was never finished and doesn't count as a backup" for path in state.partials])


def _of_another(row: BackupFile, agent: str, cluster: str | None) -> bool:
    return row.manifest is not None and row.manifest.intact and of_another(row.manifest.header, agent=agent, cluster=cluster) is not None


def _about(plan: Plan, rotation: Rotation | None, notes: list[str], titles: dict[str, str]) -> Result:
    left_out = [{"folder": row.folder, "name": row.name, "reason": row.reason} for row in plan.left_out]
    ignored = [f"{name}: {why}" for name, why in rotation.ignored] if rotation else []
    return {
        "mode": plan.mode,
        "mode_reason": plan.mode_reason,
        "left_out": left_out[:SHOWN],
        "notes": notes,
        "rotation": {"delete": list(rotation.delete) if rotation else [], "ignored": ignored[:SHOWN]},
        "diff": {"before": "", "after": _diff(plan, rotation, titles)},
    }


def _diff(plan: Plan, rotation: Rotation | None, titles: dict[str, str]) -> str:
    lines = [_included(item, titles) for item in plan.items]
    lines += [f"leave out {row.name} ({row.folder}): {row.reason}" for row in plan.left_out]
    lines += [f"rotate out {name}" for name in (rotation.delete if rotation else ())]
    more = [f"… and {len(lines) - SHOWN} more lines"] if len(lines) > SHOWN else []
    return "\n".join([*lines[:SHOWN], *more]) + "\n"


def _included(item: Item, titles: dict[str, str]) -> str:
    title = titles.get(item.path)
    what = item.path if title is None else f'low-code app "{title}" ({item.path})'
    return f"include {what}" + ("" if item.versions is None else f", versions {', '.join(map(str, item.versions)) or 'none'}")


def _proof_spec(needless: NoBackupNeeded, backup: BackupFile, args: Args) -> dict[str, Any]:
    """An old backup serves only when every byte of it can be read again."""
    return {**verify_spec(args, backup), "about": _needless(needless)}


def _needless(needless: NoBackupNeeded) -> Result:
    row = needless.backup
    found = {"name": row.name, "path": row.path, "zip_size": row.size, "kept": True} if row else None
    return {"changed": False, "finished": True, "msg": f"No backup made: {needless.reason}", "backup": found, "notes": [], "left_out": []}


def _proved(status: JobStatus) -> Result:
    """What the backup from before is worth."""
    if status.state == "failed":
        why = status.failure()
        raise BackupInvalid(
            "The backup from before the failed install can't serve",
            found=str(why),
            needed="one that reads back as its manifest says",
            remedy="move it and its manifest out of the backup folder and run again: an older one serves then, or a new one is made, of content that "
            "may be half migrated",
        )
    if status.state != "done" or status.result is None:
        raise status.failure()
    told: Result = dict(status.result["about"])
    return told if "kept" in told else {**told, "msg": f"{told['msg']}; it was read again and is whole", "job": job_result(status)}


def _told(status: JobStatus) -> Result:
    """The job's state as a module's result; raises what the job failed with."""
    if status.active:
        return {"changed": status.kind == "backup", "finished": False, "job": job_result(status)}
    if status.kind == "verify":
        return _proved(status)
    if status.state != "done" or status.result is None:
        raise status.failure()
    result = dict(status.result)
    about = result.pop("about", None) or {}
    made = {key: result[key] for key in ("path", "files", "bytes", "zip_size", "zip_sha256")}
    made |= {"name": made["path"].replace("\\", "/").rsplit("/", 1)[-1], "web_version": about.get("web_version"), "created": about.get("created")}
    text = f"{made['files']} files, {size_text(made['bytes'])} in {size_text(made['zip_size'])}, verified: {made['path']}"
    told = {key: about[key] for key in ("mode", "mode_reason", "left_out", "diff") if key in about}
    warnings = [*about.get("notes", []), *result.get("notes", []), *(f"not rotated out: {why}" for why in result["not_rotated"])]
    return {
        "changed": True,
        "finished": True,
        "job": job_result(status),
        "backup": made,
        "rotated": result["rotated"],
        "msg": text,
        **told,
        "notes": warnings,
    }
