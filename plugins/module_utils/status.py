# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator compares with the agent on the first day, and looks at on any other: where each fact was read, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .agent import AgentState, BackupFile, VersionFact
from .cluster import MODULES
from .gate_host import INSTALLING, at_work, is_installing
from .jobs import size_text
from .report import table

SHOWN_PROCESSES = 20
HEADERS = ("fact", "found", "read from, or what to set when it is wrong")


def status_text(agents: Iterable[tuple[str, AgentState]], *, modules: Mapping[str, str] = MODULES) -> str:
    """A table of facts for each agent."""
    return "\n\n".join(f"{name}\n{table(HEADERS, facts(state, modules))}" for name, state in agents)


def under_way(agents: Iterable[tuple[str, AgentState]]) -> str:
    """The end of a sentence: at work on which agents is what. In step or not, they aren't to be touched now. "" where nothing is."""
    names: dict[str, list[str]] = {}
    for name, state in agents:
        if work := at_work(state):
            names.setdefault(work, []).append(name)
    told = "; ".join(f"{work} is at work on {', '.join(on)}" for work, on in names.items())
    return f", but {told}. Leave it alone, and run this again once it has ended." if told else ""


def facts(state: AgentState, modules: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Fact, value, and the source or the variable that corrects it."""
    return [
        ("server version", _version(state.server), f"{state.server.source} (dataminer_server_version)"),
        ("web version", _version(state.web), f"{state.web.source} (dataminer_web_version)"),
        ("DataMiner", state.root if state.root_exists else f"{state.root} doesn't exist", "dataminer_root"),
        ("folder Web", "there" if state.has_web_folder else "none", "shared files, since 10.5.0 [CU11] / 10.6.2 (dataminer_include_web)"),
        ("web API", state.web_api or "not read", "file version of Webpages/API/bin/WebApiLib.dll: compare with the About box"),
        ("last package", *_last_package(state)),
        ("modules", _modules(state), f"Uninstall entries; compared: {_compared(modules)} (dataminer_module_names)"),
        ("processes", _processes(state), "those in dataminer_web_processes may restart"),
        ("web server", _service(state), "the state of its service (dataminer_web_service)"),
        ("installer", *_installer(state)),
        (".NET", ", ".join(state.host.runtimes) or "none" if state.host else "not read", "Microsoft.NETCore.App, a part of the hosting bundle"),
        ("cluster", *_cluster(state)),
        ("content", _content(state), _counted(state)),
        ("backups of ours", *_backups([row for row in state.backups if row.origin == "own"], "dataminer_backup_dir")),
        ("vendor's backups", *_vendor_backups(state)),
        ("safety copies", *_backups([row for row in state.backups if row.origin == "safety"], "dataminer_work_dir")),
        ("put aside", *_backups([row for row in state.backups if row.origin == "aside"], "dataminer_work_dir")),
        ("free space", _free(state), "for the backup folder, the working folder and DataMiner"),
        ("pending reboot", ", ".join(state.host.pending_reboot) or "none" if state.host else "not read", "Windows"),
        ("running", f"{state.job.kind} job {state.job.run_id}" if state.job else "no job of the collection", "dataminer_work_dir"),
        *(("couldn't be read", error, "") for error in state.errors[:20]),
    ]


def _version(fact: VersionFact) -> str:
    if fact.version is None:
        return "unknown"
    return str(fact.version) + (f" build {fact.version.build}" if fact.version.build else "")


def _last_package(state: AgentState) -> tuple[str, str]:
    last = max(state.packages, key=lambda row: row.started, default=None)
    if last is None:
        return "none", "Upgrades/Packages"
    ended = {True: "succeeded", False: "didn't succeed", None: "unknown"}[last.completed]
    ended = INSTALLING if is_installing(state) and not last.completed else ended
    said = f', by the line "{last.said}"' if last.said else ""
    return f"{last.package.file_name}: {ended}{said}", "its progress.log (dataminer_progress_success_pattern)"


def _modules(state: AgentState) -> str:
    if state.host is None:
        return "not read"
    return ", ".join(f"{row.name} {row.version}" for row in state.host.modules) or "none"


def _processes(state: AgentState) -> str:
    if state.host is None:
        return "not read"
    names = sorted({process.name for process in state.host.processes}, key=str.casefold)
    return ", ".join([*names[:SHOWN_PROCESSES], *(["…"] if len(names) > SHOWN_PROCESSES else [])]) or "none"


def _service(state: AgentState) -> str:
    if state.web_service is None:
        return "not asked for its service"
    name, found = state.web_service
    return f"{name}: {found}" if found else f"there is no service {name}"


def _installer(state: AgentState) -> tuple[str, str]:
    file = state.installer_file
    if file is None:
        return "not looked for", "dataminer_installer"
    return ("there" if file.size is not None else "no such file"), f"{file.path} (dataminer_installer)"


def _compared(modules: Mapping[str, str]) -> str:
    return ", ".join(f"{what} ({prefix}…)" for what, prefix in modules.items())


def _cluster(state: AgentState) -> tuple[str, str]:
    if state.cluster.error:
        return "unknown", state.cluster.error
    members = ", ".join(f"{row.address} ({row.id})" for row in state.cluster.members)
    pair = f"; a Failover pair, its other machine is {state.cluster.twin or 'not known'}" if state.cluster.failover else ""
    return f"{state.cluster.name or 'no name'}: {members}{pair}", f"DMS.xml; this agent is {state.cluster.self_address} ({state.cluster.self_id})"


def _content(state: AgentState) -> str:
    if state.content is None:
        return "not measured"
    return f"{size_text(sum(row.bytes for row in state.content))} in {sum(row.files for row in state.content)} files"


def _counted(state: AgentState) -> str:
    paths = [row.path.lower() for row in state.content or ()]
    apps = sum(path.startswith("applications/") for path in paths)
    return f"{apps} low-code apps, {sum(path.endswith('.dmadb.json') for path in paths)} dashboards"


def _vendor_backups(state: AgentState) -> tuple[str, str]:
    """That there is no such folder is told apart from an empty one: then it is another one, or no web apps were ever upgraded."""
    rows, variable = [row for row in state.backups if row.origin == "vendor"], "dataminer_vendor_backup_dir"
    if rows or state.vendor_folder is None:
        return _backups(rows, variable)
    path, exists = state.vendor_folder
    return ("none" if exists else "no such folder"), f"{path} ({variable})"


def _backups(rows: list[BackupFile], variable: str) -> tuple[str, str]:
    newest = max(rows, key=lambda row: row.modified, default=None)
    if newest is None:
        return "none", variable
    return f"{len(rows)}, the newest of {newest.modified:%Y-%m-%d %H:%M} UTC: {newest.name}", f"{newest.path} ({variable})"


def _free(state: AgentState) -> str:
    return ", ".join(f"{disk.path}: {size_text(disk.free)}" for disk in state.disks.values())
