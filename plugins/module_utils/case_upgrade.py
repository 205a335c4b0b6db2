# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Use case `upgrade`: bring an agent to the web version of a package."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .agent import AgentState
from .case_common import Args, Result, Start, begin, follow, job_result, join, optional_version, read_state
from .errors import Busy, InstallFailed, InvalidInput
from .host import Host
from .jobs import JobStatus, work_of
from .package import Package, parse_package_name
from .readiness import failed_attempt, has_reached
from .version import Version, same_release


def upgrade(host: Host, args: Args, *, check: bool, wait: float = 0) -> Result:
    """Install the package, attach to its installation, or tell its end. The same call repeated with the returned run id follows the job."""
    package, target = wanted(args)
    if args.get("run_id"):
        status = host.poll(args["run_id"], wait)
        if status.state != "absent":
            return _told(host, args, status, target)

    def plan(state: AgentState) -> Start | JobStatus | Result:
        before = str(state.web.version) if state.web.version else None
        if has_reached(state, target):
            told = {"msg": f"Web version {before} is already installed", "web_before": before, "web_after": before}
            same = {"changed": False, "finished": True, **told}
            # an installer that has logged its success still works, and may yet fail
            return (_running(host, state, work_of(_spec(args, before))) if package and not check else None) or same
        if package is None:
            raise _no_package()
        _check_free(state)
        if check:
            return _would(state, before, target, package)
        spec = _spec(args, before)
        return _running(host, state, work_of(spec)) or Start(spec=spec, parts=("versions", "work"))

    begun = begin(host, args, plan)
    return _told(host, args, follow(host, begun, wait), target) if isinstance(begun, JobStatus) else begun


def _running(host: Host, state: AgentState, work: object) -> JobStatus | None:
    """The install of this package that the scan saw at work. By now it may have ended: starting it would run the installer a second time."""
    if state.job is None or (state.job.kind, state.job.work) != ("install", work):
        return None
    status = host.poll(state.job.run_id)
    return None if status.state == "absent" else replace(status, attached=True)


def wanted(args: Args) -> tuple[Package | None, Version]:
    """The package and the version it brings: what its name tells, completed by the version the caller names.

    An agent that runs that version needs no package, so none is an answer too.
    """
    named = optional_version(args.get("version"), "version")
    if not args.get("package"):
        if named is None:
            raise _no_package()
        return None, named
    name = str(args["package"]).replace("\\", "/").rsplit("/", 1)[-1]
    package = parse_package_name(name)
    told = package.version
    if named is None:
        return package, told
    if same_release(named, told) is False:
        raise InvalidInput(
            "The package isn't of the wanted version",
            found=f"{name} ({told})",
            needed=str(named),
            remedy="correct dataminer_package or dataminer_target_version",
        )
    return package, Version(told.major, told.minor, told.patch, named.cu if told.cu is None else told.cu, told.build or named.build)


def _no_package() -> InvalidInput:
    return InvalidInput(
        "No package is named",
        found="no package",
        needed="the path of a Web package (.dmupgrade)",
        remedy="set dataminer_package (check its spelling)",
    )


def _check_free(state: AgentState) -> None:
    if state.host and state.host.upgrade_running and not state.install:
        raise Busy(
            "An upgrade that this collection didn't start runs on this agent",
            needed="no running upgrade",
            remedy="wait until it has ended, then run again",
        )


def _would(state: AgentState, before: str | None, target: Version, package: Package) -> Result:
    failed = failed_attempt(state)
    note = f" (the last attempt, {failed.package.version}, failed)" if failed else ""
    diff = {"before": f"web version {before or 'unknown'}{note}\n", "after": f"web version {target} by {package.file_name}\n"}
    return {
        "changed": True,
        "finished": True,
        "msg": f"Would install {target}{note}",
        "web_before": before,
        "web_after": str(target),
        "would": True,
        "diff": diff,
    }


def _spec(args: Args, before: str | None) -> dict[str, Any]:
    package = str(args["package"])
    return {
        "kind": "install",
        "owner": args.get("owner"),
        "argv": [args["installer"], *(part.replace("{package}", package) for part in args["installer_arguments"])],
        "package": package,
        "sha256": args.get("sha256") or None,
        "success_codes": args["success_codes"],
        "root": args["root"],
        "packages_dir": join(args["root"], "Upgrades", "Packages"),
        "about": {"web_before": before},
    }


def _told(host: Host, args: Args, status: JobStatus, target: Version) -> Result:
    """The job's state as a module's result. What the installer says isn't believed: the agent is read again."""
    if status.active:
        return {"changed": True, "finished": False, "job": job_result(status)}
    if status.state == "failed":
        raise status.failure()
    state = read_state(host, args)
    if not has_reached(state, target):
        raise status.failure() if status.state != "done" else _not_reached(state, target)
    result = status.result or {}
    before, after = (result.get("about") or {}).get("web_before"), str(state.web.version)
    text = f"Web version {before or 'unknown'} → {after}"
    warnings = [] if status.state == "done" else [f"the record of job {status.run_id} was lost, but {after} is installed"]
    warnings += _backup_warning(state)
    config = {"web_config_before": result.get("kept"), "web_config_changed": result.get("edited")}
    facts = {"rc": result.get("rc"), "log_tail": result.get("log_tail", ""), **config, "notes": warnings}
    return {"changed": True, "finished": True, "job": job_result(status), "msg": text, "web_before": before, "web_after": after, **facts}


def _not_reached(state: AgentState, target: Version) -> InstallFailed:
    read = state.web.read
    return InstallFailed(
        "The installer ended well, but the agent doesn't run the wanted web version",
        found=f"{state.web.version or 'no version'} ({state.web.source})" + (f"; read: {read.version or 'none'} ({read.source})" if read else ""),
        needed=str(target),
        remedy="take dataminer_web_version out of the inventory, or set it to what the About box shows now: it wins over what is read"
        if read
        else "compare with the About box; where progress.log says success in other words, set dataminer_progress_success_pattern",
    )


def _backup_warning(state: AgentState) -> list[str]:
    """Each install should leave a new automatic backup (RN 37413)."""
    last = max((row.started for row in state.packages), default=None)
    zips = [row for row in state.backups if row.origin == "vendor" and last and row.modified >= last]
    return [] if zips else ["the install made no automatic backup in the vendor's folder"]
