"""The rules of an agent's machine and of its DataMiner folder: is it fit to be worked on, now?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PureWindowsPath

from .agent import AgentState, HostFacts
from .gate_values import (
    ATTACHES,
    BACKUP,
    CHANGES,
    DOWNGRADE,
    PURPOSES,
    STATUS,
    UPGRADE,
    WORK,
    Case,
    Finding,
    Reading,
    Request,
    Rule,
    denied,
    not_applicable,
    passed,
    warned,
)
from .jobs import OPEN_JOURNAL_STATES, ends_by_itself, size_text
from .readiness import has_reached, no_backup_needed, restored_since

CONTENT_FACTOR = {UPGRADE: 3.0, DOWNGRADE: 2.0, BACKUP: 1.0}
"""How often the content must fit beside itself. Upgrade: our zip, the vendor's temporary copy, its zip. Restore: what is staged, the safety copy."""

OWN_JOBS = {
    UPGRADE: ("backup", "verify", "install"),
    DOWNGRADE: ("backup", "verify", "install", "prepare", "commit", "undo"),
    BACKUP: ("backup", "verify"),
}
"""The jobs that a run for a purpose starts: the next run attaches to one that is still under way, unless it is a commit."""

FIT_LANGUAGE_MODES = (None, "FullLanguage")
_SHOWN = 3
_RESTORING = ("commit", "undo")
_AT_WORK = {"commit": "a restore", "undo": "the undoing of a restore", "install": "an install", "unknown": "an unknown job"}
INSTALLING = "an install is running"
_UNREAD = "nothing on the host answered for it"
_CHECKED_LATER = "nothing: it is checked again when the job starts"
_RESTORED = "nothing, for it was restored already: room is needed only where it is restored once more, and that checks it again when it begins"
_ADD_PACKAGE = "make sure that there is room for the package as well, twice where it is brought to the agent"


def _root(case: Case) -> Finding:
    if not PureWindowsPath(case.state.root).name:
        return denied(f"{case.state.root} is a whole volume")
    return passed(case.state.root) if case.state.root_exists else denied(f"{case.state.root} doesn't exist")


def _language_mode(case: Case) -> Finding:
    mode = case.state.language_mode
    found = f"PowerShell runs in {mode}" if mode else "no PowerShell is involved"
    return passed(found) if mode in FIT_LANGUAGE_MODES else denied(found)


def _host_facts(case: Case) -> Finding:
    if case.state.host is None:
        return warned("processes, modules, runtimes, pending reboots and running installers weren't read")
    return passed("read")


def _job(case: Case) -> Finding:
    job = case.state.job
    if job is None:
        return passed("no job of this collection is running")
    found = f"{job.kind} job {job.run_id} of {job.owner or 'an unknown owner'} since {job.started or 'an unknown time'}"
    end = ends_by_itself(job.until)
    if not case.worked_on or job.kind not in OWN_JOBS.get(case.request.purpose, ()):
        return denied(found, remedy=f"let that run end, then run again; where it is gone, {end}" if job.kind == "commit" else "")
    if job.kind == "commit":
        return warned(found, remedy=f"nothing, if it has ended when this run comes to it: else this run stops, and {end}")
    return warned(found, remedy="nothing: this run attaches to it if it is the same work, and doesn't start a second one")


def _journal(case: Case) -> Finding:
    """A journal that is open while no restore runs: that one broke off, perhaps half way, perhaps with the web server stopped."""
    job = case.state.job
    found = [f"restore {run_id} is {state}" for run_id, state in _open(case.state)]
    if not found:
        return passed("no restore broke off")
    if job is not None and job.kind in _RESTORING:
        return passed(f"{'; '.join(found)}, and {job.kind} job {job.run_id} is at it")
    recovers = case.request.recover and case.worked_on
    return warned("; ".join(found), remedy="nothing: this run is to recover it") if recovers else denied("; ".join(found))


def _open(state: AgentState) -> list[tuple[str, str]]:
    """Restores that haven't ended: run id and state of the journal."""
    return [(run_id, journal) for run_id, journal in state.journals if journal in OPEN_JOURNAL_STATES]


def at_work(state: AgentState) -> str:
    """What changes or reads the agent at this moment, in words; "" where nothing is known to."""
    if state.job is not None:
        return _AT_WORK.get(state.job.kind, f"a {state.job.kind} job")
    return "a DataMiner upgrade" if is_installing(state) else ""


def is_installing(state: AgentState) -> bool:
    """Whether a package is being installed, by this collection or by somebody else: how its log ends says nothing yet."""
    return (state.job is not None and state.job.kind == "install") or (state.host is not None and state.host.upgrade_running)


def no_restart(state: AgentState) -> tuple[str, ...]:
    """What speaks against a restart of the agent now."""
    if state.host is None:
        return ("nothing on the host answered for what is at work there",)
    found = _alive(state)
    found += [f"restore {run_id}, which is {journal}" for run_id, journal in _open(state)]
    return tuple(found)


def _alive(state: AgentState) -> list[str]:
    found = [f"{state.job.kind} job {state.job.run_id}"] if state.job else []
    found += ["a Windows Installer at work"] if state.host and state.host.installer_busy else []
    return found + (["a DataMiner upgrade at work"] if state.host and state.host.upgrade_running else [])


def restarts(request: Request, state: AgentState) -> bool:
    """Whether this run restarts the agent first: never while something is at work there, nor before a restore that broke off is undone.

    A host that isn't Windows only holds an agent's tree, and isn't restarted.
    """
    host = state.host
    if not request.allow_reboot or request.purpose not in CHANGES or state.language_mode is None or host is None:
        return False
    return bool(host.pending_reboot) and not no_restart(state)


def restart_order(request: Request, readings: Iterable[Reading]) -> tuple[str, ...]:
    """Who is restarted, one after the other: the machines of a Failover pair, which share an id, follow each other."""
    due = {reading.name: reading.state.cluster for reading in readings if reading.state is not None and restarts(request, reading.state)}
    pairs = {name: (cluster.self_id if cluster.failover and cluster.self_id is not None else name) for name, cluster in due.items()}
    met = list(pairs.values())
    return tuple(sorted(due, key=lambda name: met.index(pairs[name])))


def _pending_reboot(case: Case) -> Finding:
    host = case.state.host
    if host is None:
        return not_applicable(_UNREAD)
    if not host.pending_reboot:
        return passed("no reboot is pending")
    found = f"pending: {'; '.join(host.pending_reboot)}"
    if restarts(case.request, case.state):
        return warned(found, remedy="nothing: this run restarts the agent before it goes on, since dataminer_allow_reboot is true")
    if case.request.purpose == UPGRADE and _installed(case):
        return warned(found, remedy="reboot the agent at a quiet moment: this run has nothing left to do on it")
    if case.own_install:
        return warned(found, remedy="see again after the install: it may be its own")
    if alive := _alive(case.state):
        return denied(found, remedy=f"don't reboot the agent before this has ended, and see again then: {'; '.join(alive)}")
    return denied(found, remedy=_REBOOT_LATER if case.request.purpose == STATUS else "")


def _installer_busy(case: Case) -> Finding:
    host = case.state.host
    return _running(case, host, busy=host is not None and host.installer_busy, what="Windows Installer")


def _upgrade_running(case: Case) -> Finding:
    host = case.state.host
    return _running(case, host, busy=host is not None and host.upgrade_running, what="DataMiner upgrade")


def _running(case: Case, host: HostFacts | None, *, busy: bool, what: str) -> Finding:
    if host is None:
        return not_applicable(_UNREAD)
    if not busy:
        return passed(f"no {what} is at work")
    own = case.own_install
    found = f"a {what} is at work"
    return warned(f"{found}, that of {own}", remedy=ATTACHES) if own else denied(found)


def _last_package(case: Case) -> Finding:
    if not case.state.packages:
        return not_applicable("no package was ever installed, as far as its folders tell")
    last = max(case.state.packages, key=lambda row: row.started)
    found = f"{last.package.file_name}, started {last.started:%Y-%m-%d %H:%M} UTC"
    if is_installing(case.state) and not last.completed:
        return not_applicable(f"{found}: {INSTALLING}")
    if last.completed is None:
        return not_applicable(f"{found}: nothing tells whether it succeeded")
    if last.completed:
        return passed(f"{found}: succeeded")
    why = f" (prerequisites: {', '.join(last.failed_prerequisites)})" if last.failed_prerequisites else ""
    return warned(f"{found}: nothing says that it succeeded{why}")


def _package_there(case: Case) -> Finding:
    """A package that should be on the agent is looked for before anything is touched anywhere."""
    file = case.state.package_file
    if file is None:
        return not_applicable("no package was looked for on the agent")
    if file.size is not None:
        return passed(f"{file.path}, {size_text(file.size)}")
    if case.request.package_brought:
        return not_applicable(f"{file.path} is brought before it is installed")
    if _installed(case):
        return not_applicable(f"no file {file.path}, but {case.target} is installed already")
    return denied(f"no file {file.path}")


def _web_service(case: Case) -> Finding:
    """One that stands still doesn't keep a restore from being made, which starts it: an earlier one may have left it so."""
    if case.state.web_service is None:
        return not_applicable("no service was asked for, or nothing on the host answered")
    name, state = case.state.web_service
    if state is None:
        return denied(f"there is no service {name}")
    return passed(f"{name} is {state}") if state == "Running" else warned(f"{name} is {state}", remedy=_held_down(case) or _START)


def _held_down(case: Case) -> str:
    """Who starts a web server that stands still on purpose; "" where nobody is known to. By hand, users would write into what may still be undone."""
    job = case.state.job
    if job is not None and job.kind == "commit":
        return f"leave it alone: {ends_by_itself(job.until)}"
    if job is not None and job.kind == "undo":
        return f"leave it alone: {job.kind} job {job.run_id} starts it at its end"
    if _open(case.state):
        who = "this run" if case.request.recover else "run downgrade_restore.yml, which"
        return f"leave it alone: {who} recovers the restore first and starts it"
    return f"leave it alone: {INSTALLING}, which may restart it" if is_installing(case.state) else ""


def _installer_there(case: Case) -> Finding:
    file = case.state.installer_file
    if file is None or case.request.package is None:
        return not_applicable("nothing is going to be installed")
    if file.size is not None:
        return passed(file.path)
    if _installed(case):
        return not_applicable(f"no file {file.path}, but {case.target} is installed already")
    return denied(f"no file {file.path}")


def _space(case: Case) -> Finding:
    """Each volume is asked for what the work writes there, as far as the sizes are known. What has ended well filled it, and isn't done again."""
    if not _shares(case):
        return not_applicable(f"{case.own_install} has begun, and is only followed" if case.own_install else f"{case.target} is installed already")
    needs, unread = _needs(case)
    if unread:
        return warned(f"free space wasn't read for {', '.join(unread)}", remedy=_CHECKED_LATER)
    free = {disk.volume: disk for _name, disk in sorted(case.state.disks.items(), reverse=True)}
    found = "; ".join(f"{free[volume].path}: {size_text(free[volume].free)} free" for volume in sorted(needs))
    required = "; ".join(f"{size_text(need)} on the volume of {free[volume].path}" for volume, need in sorted(needs.items()) if need)
    if any(free[volume].free < need for volume, need in needs.items()):
        done = case.request.purpose == DOWNGRADE and _installed(case) and restored_since(case.state, case.target)
        return warned(found, required=required, remedy=_RESTORED) if done else denied(found, required=required)
    if case.state.content is None:
        return warned(f"{found}; the size of the content isn't known yet", remedy=_CHECKED_LATER)
    if any(name == "root" for name, _times, _extra in _shares(case)) and case.request.package is not None and _package_size(case) is None:
        return warned(f"{found}; the size of the package isn't known yet", required=required, remedy=_ADD_PACKAGE)
    return passed(found, required=required)


def _needs(case: Case) -> tuple[dict[str, float], list[str]]:
    """Bytes needed by volume, and the names of disks that weren't read."""
    content = sum(row.bytes for row in case.state.content or ())
    needs: dict[str, float] = defaultdict(float)
    shares = _shares(case)
    for name, times, extra in shares:
        if name in case.state.disks:
            needs[case.state.disks[name].volume] += times * content + extra
    return needs, [name for name, _times, _extra in shares if name not in case.state.disks]


def _shares(case: Case) -> list[tuple[str, float, int]]:
    """By disk: how often the content goes there, and what else. Of an upgrade's copies one is our zip, the others are the vendor's.

    Nothing where nothing is to be done that writes.
    """
    request = case.request
    factor = CONTENT_FACTOR[request.purpose] if request.content_factor is None else request.content_factor
    if request.purpose == BACKUP:
        return [("backup_dir", factor, 0)]
    package = [] if _installed(case) or case.own_install else [("root", 0.0, _package_size(case) or 0), *_copy(case)]
    if request.purpose == DOWNGRADE:
        return [("work_dir", factor, 0), *package]
    ours = min(factor, 1.0)
    kept = no_backup_needed(case.state, case.target, agent=case.name) is not None
    return [("backup_dir", 0.0 if kept else ours, 0), ("root", factor - ours, 0), *package] if package else []


def _installed(case: Case) -> bool:
    return case.target is not None and has_reached(case.state, case.target)


def _package_size(case: Case) -> int | None:
    there = case.state.package_file
    return case.request.package_size if case.request.package_size is not None else there.size if there else None


def _copy(case: Case) -> list[tuple[str, float, int]]:
    """The package's own file, where it is still to be brought. One of its size is taken for it."""
    size, there = _package_size(case), case.state.package_file
    if not case.request.package_brought or size is None or (there is not None and there.size == size):
        return []
    return [("package" if "package" in case.state.disks else "work_dir", 0.0, size)]


def _scan_errors(case: Case) -> Finding:
    errors = case.state.errors
    if not errors:
        return passed("everything was read")
    more = f" and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
    return warned("; ".join(errors[:_SHOWN]) + more)


_ROOT = "set dataminer_root to the DataMiner folder of this agent; is DataMiner installed there?"
_LANGUAGE = "where AppLocker restricts PowerShell, exempt the account or use another; App Control (WDAC) holds for every account: change its policy"
_FACTS = "on a POSIX host, set dataminer_host_command; on Windows, see the scan's errors"
_JOURNAL = "run downgrade_restore.yml for that version again: it recovers the restore before anything else; the web server may still be stopped"
_WAIT = "wait until it has ended, then run again"
_RUNNING = "wait until it has ended; never abort it"
_LAST = "find out in its progress.log why, and mend it first; where it did succeed, set dataminer_progress_success_pattern"
_REBOOT = "reboot the agent first, or let this run do it with dataminer_allow_reboot=true"
_REBOOT_LATER = "reboot the agent before the next change, or let that run do it with dataminer_allow_reboot=true"
_PACKAGE = "set dataminer_package to its path on the agents; with dataminer_package_from=controller it is a path on the controller"
_INSTALLER = "install the Taskbar Utility (SLTaskbarUtility) there, or set dataminer_installer to its path"
_SERVICE = "set dataminer_web_service to the service that serves the web apps, or to none where no service does"
_START = "find out why, and start it; a restore starts it as well"
_ERRORS = "give the account access to it, or mend the file"
_SPACE = "make room on that volume, or move the backup folder or the working folder to another one"
_FULL = "PowerShell in FullLanguage"
_SERVES = "the service of the web server"

HOST_RULES = (
    Rule("root", "the DataMiner folder", "collection", _root, _ROOT, purposes=PURPOSES),
    Rule("language-mode", _FULL, "collection", _language_mode, _LANGUAGE, purposes=PURPOSES),
    Rule("host-facts", "the facts of the host are read", "collection", _host_facts, _FACTS, purposes=PURPOSES),
    Rule("job", "no job of another kind is running", "collection", _job, _WAIT, purposes=PURPOSES),
    Rule("journal", "no restore that broke off", "collection", _journal, _JOURNAL, purposes=PURPOSES, denies=PURPOSES),
    Rule("upgrade-running", "never a second upgrade while one runs", "docs", _upgrade_running, _RUNNING, purposes=PURPOSES),
    Rule("installer-busy", "no other installation", "collection", _installer_busy, _WAIT, purposes=CHANGES, of_work=True),
    Rule("pending-reboot", "no pending reboot", "collection", _pending_reboot, _REBOOT, purposes=(*CHANGES, STATUS), denies=CHANGES, of_work=True),
    Rule("last-package", "the last package was installed well", "RN 37033", _last_package, _LAST, purposes=PURPOSES),
    Rule("package-there", "the package is on the agent", "collection", _package_there, _PACKAGE, of_work=True),
    Rule("installer-there", "the installer is on the agent", "collection", _installer_there, _INSTALLER, of_work=True),
    Rule("web-service", _SERVES, "collection", _web_service, _SERVICE, purposes=(DOWNGRADE, STATUS), denies=(DOWNGRADE,), of_work=True),
    Rule("free-space", "room for the copies that are made", "collection", _space, _SPACE, purposes=WORK, of_work=True),
    Rule("scan-errors", "everything is readable", "collection", _scan_errors, _ERRORS, purposes=PURPOSES),
)
