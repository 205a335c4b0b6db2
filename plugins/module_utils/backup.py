# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes into a backup, what it is called, and which older ones it makes superfluous."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from .agent import AgentState, BackupFile
from .apps import INFO_NAME, App
from .entry_names import fold
from .errors import BackupInvalid, InvalidInput
from .manifest import PURPOSES, SCHEMA, format_time, parse_time, problem_of_head
from .version import Threshold, Version

TWO_VERSIONS = Threshold.parse("10.5.12", "10.4.0 [CU21]", "10.5.0 [CU9]")
"""Since RN 43906 a backup holds at most two versions of an app, and leaves out apps it can't make sense of."""

CHOICES = ("auto", "all", "latest")
DEFAULT_KEEP = 5
NAME_PREFIXES = {"backup": "web-backup", "safety": "web-safety"}
MAX_AGENT_CHARS = 63


@dataclass(frozen=True, kw_only=True)
class Item:
    """A file or a whole folder, relative to the root with `/`. `versions` (apps only): the `version_<n>` folders that go in; None means all."""

    path: str
    versions: tuple[int, ...] | None = None

    def to_dict(self) -> dict[str, object]:
        """The item as a job's spec has it."""
        return {"path": self.path, "versions": None if self.versions is None else list(self.versions)}


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """An app that doesn't go into a backup. `name` is what people call it."""

    folder: str
    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a backup holds. `mode` is `all` or `latest`; `mode_reason` says why, for people."""

    items: tuple[Item, ...]
    left_out: tuple[LeftOut, ...]
    warnings: tuple[str, ...]
    mode: str
    mode_reason: str


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """Names in the backup folder: `delete` oldest first, `keep` newest first with the new one at its head.

    `ignored`: (name, reason) of zips that don't count and stay.
    """

    delete: tuple[str, ...]
    keep: tuple[str, ...]
    ignored: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class _Mode:
    """`in_force`: the installed version's own backups leave out broken apps, so ours do as well."""

    name: str
    reason: str
    in_force: bool


def plan_backup(state: AgentState, versions: str = "auto", include_web: bool = True) -> Plan:
    """Which files of the agent go into a backup.

    `versions`: `latest` takes of each app the published version and the draft; `all` takes all; `auto` does what the installed web version's own
    automatic backup does (RN 43906), and takes all where that version isn't known. An app without a valid App.info.json, or with published and
    draft both null, is left out only where the mode is `latest` and the installed version has that rule; otherwise it goes in whole. App.info.json
    and files outside the version folders always go in. Raises InvalidInput for another word, BackupInvalid when there is nothing to back up.
    """
    mode = _mode(state, versions)
    items: list[Item] = []
    left_out: list[LeftOut] = []
    warnings = _scan_warnings(state)
    for app in state.apps:
        outcome, remarks = _judge(app, mode)
        warnings += remarks
        if isinstance(outcome, Item):
            items.append(outcome)
        else:
            left_out.append(outcome)
    items += [Item(path=f"Applications/{name}") for name in state.loose]
    items += [Item(path="Dashboards")] if state.has_dashboards_folder else []
    items += [Item(path="Web")] if state.has_web_folder and include_web else []
    if not items:
        raise _nothing(state, left_out)
    return Plan(items=tuple(items), left_out=tuple(left_out), warnings=tuple(warnings), mode=mode.name, mode_reason=mode.reason)


def _mode(state: AgentState, versions: str) -> _Mode:
    if versions not in CHOICES:
        raise InvalidInput(f"{versions!r} doesn't say which versions of an app to back up", needed=" or ".join(CHOICES), remedy="Set it to auto.")
    web = state.web.version
    reached = TWO_VERSIONS.reached(web) if web else None
    if versions != "auto":
        return _Mode(name=versions, reason=f"{versions} was asked for", in_force=versions == "latest" and reached is True)
    if web is None:
        return _Mode(name="all", reason=f"the web version isn't known: {state.web.source}", in_force=False)
    if reached:
        return _Mode(name="latest", reason=f"web version {web} has reached {TWO_VERSIONS}", in_force=True)
    why = f"web version {web} is older than {TWO_VERSIONS}" if reached is False else f"whether {web} has reached {TWO_VERSIONS} can't be told"
    return _Mode(name="all", reason=why, in_force=False)


def _judge(app: App, mode: _Mode) -> tuple[Item | LeftOut, list[str]]:
    path, label = f"Applications/{app.folder}", _label(app)
    if app.info_unread:
        return Item(path=path), [f"{label} goes in whole: {app.info_problem}, so which of its versions matter isn't known."]
    fault = _fault(app)
    if fault and mode.in_force:
        return LeftOut(folder=app.folder, name=app.title, reason=fault), [f"{label} is left out: {fault}."]
    if fault:
        return Item(path=path), [f"{label} goes in whole, though {fault}."]
    named = _named_versions(app)
    warnings = [f"{label}: version {number} is named in {INFO_NAME} but isn't on disk." for number in named if number not in app.version_folders]
    if not named:
        warnings.append(f"{label} has no published version and no draft (both 0){_unnamed(app, mode)}.")
    present = tuple(number for number in named if number in app.version_folders)
    return Item(path=path, versions=present if mode.name == "latest" else None), warnings


def _label(app: App) -> str:
    return f'App "{app.title}"' + (f" ({app.folder})" if app.title != app.folder else "")


def _fault(app: App) -> str | None:
    """Why DataMiner itself leaves the app out of its backups since RN 43906."""
    if app.info is None:
        return app.info_problem or f"{INFO_NAME} is missing"
    if app.info.published is None and app.info.draft is None:
        return f"{INFO_NAME} names neither a published version nor a draft (both null)"
    return None


def _named_versions(app: App) -> list[int]:
    """The published version and the draft, in ascending order. 0 or less means there is none."""
    info = app.info
    return sorted({number for number in (info.published, info.draft) if number and number > 0}) if info else []


def _unnamed(app: App, mode: _Mode) -> str:
    if mode.name != "latest" or not app.version_folders:
        return ""
    return f"; its {len(app.version_folders)} version folders don't go in: back up all versions to have them"


def _scan_warnings(state: AgentState) -> list[str]:
    """What is missing, and what the scan couldn't read of the content. `errors` are texts `<path>: <message>`."""
    warnings = []
    if not (state.apps or state.loose):
        warnings.append("The folder Applications is missing or empty: the backup holds no low-code app.")
    if not state.has_dashboards_folder:
        warnings.append("The folder Dashboards is missing: the backup holds no dashboard.")
    content = re.compile(r"(?:^|[/\\])(?:Applications|Dashboards|Web)(?:[/\\:]|$)", re.IGNORECASE)
    return warnings + [f"It couldn't be read in the scan: {error}" for error in state.errors if content.search(error)]


def _nothing(state: AgentState, left_out: list[LeftOut]) -> BackupInvalid:
    names = "; ".join(f"{left.name} ({left.reason})" for left in left_out[:10])
    found = f"only apps that are left out: {names}" if left_out else "no app, no dashboard" if state.root_exists else "no such folder"
    return BackupInvalid(
        f"There is nothing to back up in {state.root}.",
        found=found,
        needed="low-code apps, dashboards or shared web files",
        remedy="Check that this is the agent's DataMiner folder" + (", or back up all versions." if left_out else "."),
    )


def backup_name(*, agent: str, web_version: Version | None, when: datetime, purpose: str = "backup") -> str:
    """The file name of a zip: `web-backup_DMA1_20261124T041500Z_10.5.4-CU0.zip`. An agent's backups sort by time, and Windows takes every name.

    Two backups of an agent within one second get the same name.
    """
    if purpose not in PURPOSES:
        raise InvalidInput(f"{purpose!r} is no purpose of a backup", needed=" or ".join(PURPOSES))
    version = _safe(str(web_version)) if web_version else "unknown"
    place = _safe(agent)[:MAX_AGENT_CHARS].strip(".-") or "agent"
    return f"{NAME_PREFIXES[purpose]}_{place}_{when.astimezone(UTC):%Y%m%dT%H%M%SZ}_{version}.zip"


def _safe(text: str) -> str:
    """Letters, digits, dots and hyphens; everything else becomes one hyphen. The underscore separates the parts of a name."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-")


def header(*, plan: Plan, state: AgentState, agent: str, name: str, when: datetime, purpose: str = "backup") -> dict[str, object]:
    """The header of the manifest: plain JSON types. `agent` is the name in the inventory; with the cluster's it tells whose a backup is."""
    return {
        "schema": SCHEMA,
        "name": name,
        "created": format_time(when),
        "agent": agent,
        "cluster": state.cluster.name,
        "server_version": state.server.version.spelling if state.server.version else None,
        "web_version": state.web.version.spelling if state.web.version else None,
        "web_version_source": state.web.source,
        "mode": plan.mode,
        "purpose": purpose,
        "left_out": [asdict(left) for left in plan.left_out],
        "warnings": list(plan.warnings),
    }


def plan_rotation(
    backups: Iterable[BackupFile], *, agent: str, new_name: str, cluster: str | None = None, keep: int = DEFAULT_KEEP, suspect: bool = False
) -> Rotation:
    """Which backups may be deleted once the new one is verified, so that `keep` remain, the new one included.

    Only zips in our folder with our intact manifest, of their full size, with purpose `backup` and of this agent count and may go; all others are
    reported and stay. `cluster`: the agent's, None where that isn't known. Backups of content that may be half migrated (`suspect`, the new one's)
    take turns among themselves: none of them ever makes a sound one go. Newest goes by the manifest's time, and the new one is the newest whatever
    the clock said. Raises InvalidInput for keep < 1.
    """
    if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
        raise InvalidInput(f"{keep!r} backups can't be kept", needed="a whole number of at least 1", remedy="Correct dataminer_backup_keep.")
    others = [backup for backup in backups if fold(backup.name) != fold(new_name)]
    reasons = {
        id(backup): problem_of_backup(backup) or not_counted(backup, agent, cluster) or _of_other_worth(backup, suspect=suspect) for backup in others
    }
    counted = sorted((backup for backup in others if reasons[id(backup)] is None), key=_age, reverse=True)
    ignored = tuple((backup.name, reason) for backup in others if (reason := reasons[id(backup)]))
    return Rotation(
        delete=tuple(backup.name for backup in reversed(counted[keep - 1 :])),
        keep=(new_name, *(backup.name for backup in counted[: keep - 1])),
        ignored=ignored,
    )


def problem_of_backup(backup: BackupFile) -> str | None:
    """Why the zip can't be taken for a complete backup of ours; None when it can. Reading it all is the job `verify`."""
    if backup.manifest is None:
        return "it has no manifest of ours that can be read"
    if problem := problem_of_head(backup.manifest):
        return f"its manifest is no use: {problem}"
    if backup.manifest.trailer["zip_size"] != backup.size:
        return f"it has {backup.size} bytes, but its manifest says {backup.manifest.trailer['zip_size']}: it is incomplete or was changed"
    return None


def not_counted(backup: BackupFile, agent: str, cluster: str | None) -> str | None:
    """Why a complete backup is none of the agent's own, which have a part in its rotation."""
    head = backup.manifest.header if backup.manifest else {}
    if backup.origin != "own":
        return "it isn't in our backup folder"
    if head.get("purpose") != "backup":
        return "it is a safety copy"
    return of_another(head, agent=agent, cluster=cluster)


def of_another(header: Mapping[str, object], *, agent: str | None, cluster: str | None) -> str | None:
    """Whose a backup is by its manifest's header, where it isn't this agent's; None where it is, or where nothing says that it isn't.

    The name in the inventory tells agents of one cluster apart. Clusters that share a folder may have inventories of their own, with one name twice.
    """
    if of_another_cluster(header, cluster):
        return f"it is of another cluster, {header['cluster']}"
    return f"it is of another agent, {header['agent']}" if _differ(header.get("agent"), agent) else None


def of_another_cluster(header: Mapping[str, object], cluster: str | None) -> bool:
    """Whether a backup holds the content of a cluster that is known to be another one than this."""
    return _differ(header.get("cluster"), cluster)


def _differ(said: object, known: str | None) -> bool:
    """Two names of different things; an unknown one differs from none."""
    return bool(said) and bool(known) and str(said).casefold() != str(known).casefold()


def _of_other_worth(backup: BackupFile, *, suspect: bool) -> str | None:
    """Why a backup doesn't take turns with the new one: only one of the two holds content that may be half migrated."""
    doubt = backup.manifest.header.get("suspect") if backup.manifest else None
    if bool(doubt) is suspect:
        return None
    return str(doubt) if doubt else "it is sound, and the new one may not be"


def _age(backup: BackupFile) -> tuple[datetime, str]:
    """The manifest's time; the file's own changes when it is copied."""
    created = parse_time(backup.manifest.header["created"]) if backup.manifest else None
    return created or backup.modified, backup.name
