# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a scan document to an `AgentState`. docs/architecture.md has the document's shape; what it doesn't allow is refused, naming the key."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from .agent import (
    ORIGINS,
    AgentState,
    BackupFile,
    Cluster,
    ContentRow,
    Dashboard,
    Disk,
    HistoryLine,
    HostFacts,
    InstalledPackage,
    LastRestore,
    Member,
    Module,
    PackageFile,
    Process,
    RunningJob,
    VersionFact,
)
from .agent_files import UnreadLine, read_history, unread_version
from .agent_versions import DEFAULT_SUCCESS_PATTERN, HISTORY, PACKAGES, failed_prerequisites, hidden_fact, server_fact, success_test, web_fact
from .apps import App, parse_app
from .errors import InvalidInput, InvalidScan
from .manifest import read_head
from .package import parse_package_name
from .version import Version

SCHEMA = 1
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_DAY_MINUTES = 24 * 60
_SHOWN_PROBLEMS = 20
_LONGEST_LINE = 120
_DIGEST = 16  # characters of a digest, enough to tell texts apart


def read_agent(
    scan: object, *, server_version: str | None = None, web_version: str | None = None, success_pattern: str = DEFAULT_SUCCESS_PATTERN
) -> AgentState:
    """The agent that a scan document tells of.

    `server_version` and `web_version` come from the inventory and win over what was read; None or blank means unset. `success_pattern` is searched
    for in progress.log, case-insensitive. Raises InvalidScan for an unknown schema or a value of the wrong type, naming its key; InvalidVersion for
    an override that is no version; InvalidInput for a pattern that is none. What a file of the agent holds never raises: see `errors`.
    """
    node = _Node(scan, "the document")
    if node.get("schema").value != SCHEMA:
        raise _invalid("schema", node.get("schema").value, f"{SCHEMA}")
    return _Reading(node, success_test(success_pattern)).state(server_version, web_version)


class _Reading:
    """One reading; `errors` gathers what couldn't be understood."""

    def __init__(self, scan: _Node, success: re.Pattern[str]) -> None:
        self.scan = scan
        self.success = success
        self.errors = [f"{row.text('path')}: {row.text('message')}" for row in scan.rows("errors")]

    def state(self, server_version: str | None, web_version: str | None) -> AgentState:
        scan, root = self.scan, self.scan.get("root")
        clock = scan.get("clock")
        history, missing, unread = self.history(_offset(clock))
        newest = unread_version(history, unread)
        packages = tuple(package for row in scan.rows("packages") if (package := self.package(row)))
        host, job = scan.get("host"), scan.get("job")
        return AgentState(
            utc=clock.moment("utc"),
            offset_minutes=_offset(clock),
            language_mode=scan.text_or_none("language_mode"),
            root=root.text("path"),
            root_exists=root.flag("exists"),
            server=_override(server_version, "server", hidden_fact(newest) or server_fact(history, missing)),
            web=_override(web_version, "web", hidden_fact(newest, packages) or web_fact(history, packages)),
            web_api=scan.text_or_none("web_api"),
            history=history,
            unread=tuple((line.earliest, line.latest) for line in unread if line.earliest and line.latest),
            packages=packages,
            cluster=_cluster(scan.get("cluster")),
            apps=tuple(_app(row) for row in scan.rows("apps")),
            loose=scan.texts("loose"),
            dashboards=tuple(_dashboard(row) for row in scan.rows("dashboards")),
            has_dashboards_folder=scan.flag("dashboards_folder"),
            has_web_folder=scan.flag("web"),
            backups=tuple(_backup(row) for row in scan.rows("backups")),
            partials=tuple(row.text("path") for row in scan.rows("partials")),
            disks={name: _disk(scan.get("disk").get(name)) for name in scan.get("disk").names()},
            host=None if host.value is None else _host(host),
            job=None if job.value is None else _job(job),
            journals=tuple((row.text("run_id"), row.text("state")) for row in scan.rows("journals")),
            last_restore=_last_restore(scan.get("last_restore")),
            content=None if scan.get("content").value is None else tuple(_content(row) for row in scan.rows("content")),
            package_file=_package_file(scan.get("package")),
            installer_file=_package_file(scan.get("installer")),
            web_service=None if scan.get("service").value is None else _service(scan.get("service")),
            web_config=digest_of(scan.get("texts").get("web_config").value),
            vendor_folder=None if scan.get("vendor_folder").value is None else _folder(scan.get("vendor_folder")),
            errors=tuple(self.errors),
        )

    def history(self, offset_minutes: int) -> tuple[tuple[HistoryLine, ...], str, tuple[UnreadLine, ...]]:
        """The lines of VersionHistory.txt, why there may be none, and those that can't be read."""
        source = self.scan.get("texts").get("version_history")
        text = source.text_or_none("text")
        if text is None:
            return (), f"is {source.text_or_none('error') or 'unreadable'}", ()
        lines, unread = read_history(text, offset_minutes)
        self.errors += [f"{HISTORY}: {line.problem}" for line in unread[:_SHOWN_PROBLEMS]]
        if len(unread) > _SHOWN_PROBLEMS:
            self.errors.append(f"{HISTORY}: {len(unread) - _SHOWN_PROBLEMS} more lines can't be read")
        return lines, "holds no line that can be read", unread

    def package(self, row: _Node) -> InstalledPackage | None:
        folder, log = row.text("folder"), row.text_or_none("log_tail")
        try:
            package = parse_package_name(folder)
        except InvalidInput as error:
            self.errors.append(f"{PACKAGES}/{folder}: skipped, {error.message}")
            return None
        results = [(result.text("name"), result.text_or_none("text")) for result in row.rows("prerequisites")]
        success = self.success.search(log or "")
        return InstalledPackage(
            package=package,
            folder=folder,
            started=row.moment("created"),
            ended=row.moment_or_none("modified"),
            completed=None if log is None else bool(success),
            failed_prerequisites=failed_prerequisites(results),
            said=_line(log or "", success.start() if success else None),
        )


def _line(text: str, at: int | None) -> str:
    """The line that a place is in, without a place the last one, cut."""
    lines = (text[text.rfind("\n", 0, at) + 1 :] if at is not None else text.rstrip()[text.rstrip().rfind("\n") + 1 :]).splitlines()
    return lines[0].strip()[:_LONGEST_LINE] if lines else ""


def digest_of(text: object) -> str | None:
    """What tells two texts of a scan apart without showing them; of one that was made compact it is all that is left."""
    if not isinstance(text, dict):
        return None
    whole, digest = text.get("text"), text.get("digest")
    if isinstance(whole, str):
        return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    return digest if isinstance(digest, str) else None


def _override(text: str | None, which: str, read: VersionFact) -> VersionFact:
    """What the inventory says; it wins, because an operator knows what no file tells."""
    if text is None or text == "":
        return read
    return VersionFact(version=Version.parse(text), source=f"the inventory names the {which} version", read=read)


def _offset(clock: _Node) -> int:
    minutes = clock.number("offset_minutes")
    if abs(minutes) >= _DAY_MINUTES:
        raise _invalid(clock.get("offset_minutes").path, minutes, "less than a day")
    return minutes


def _cluster(node: _Node) -> Cluster:
    """The agent's own entry may come without an id: its id is `self_id` then."""
    self_id, self_address = node.number_or_none("self_id"), node.text_or_none("self_address")
    members = [Member(id=row.number_or_none("id"), address=row.text("address")) for row in node.rows("agents")]
    named = (Member(id=self_id, address=m.address) if m.id is None and m.address == self_address else m for m in members)
    return Cluster(
        name=node.text_or_none("name"),
        self_id=self_id,
        self_address=self_address,
        members=tuple(named),
        failover=node.flag("failover"),
        error=node.text_or_none("error"),
        twin=node.text_or_none("twin"),
    )


def _backup(row: _Node) -> BackupFile:
    origin, manifest = row.text("origin"), row.get("manifest")
    if origin not in ORIGINS:
        raise _invalid(row.get("origin").path, origin, " or ".join(ORIGINS))
    head = None if manifest.value is None else read_head(manifest.text("header"), manifest.text("trailer"), manifest.flag("intact"))
    return BackupFile(
        origin=origin,
        path=row.text("path"),
        name=row.text("name"),
        size=row.number("size"),
        modified=row.moment("modified"),
        manifest=head,
    )


def _app(row: _Node) -> App:
    info = row.get("info")
    return parse_app(
        folder=row.text("folder"),
        info_text=info.text_or_none("text"),
        info_error=info.text_or_none("error"),
        dirs=row.texts("dirs"),
        files=row.texts("files"),
    )


def _dashboard(row: _Node) -> Dashboard:
    return Dashboard(path=row.text("path"), size=row.number("size"), modified=row.moment("modified"))


def _disk(row: _Node) -> Disk:
    return Disk(path=row.text("path"), free=row.number("free"), volume=row.text("volume"))


def _folder(node: _Node) -> tuple[str, bool]:
    return node.text("path"), node.flag("exists")


def _service(node: _Node) -> tuple[str, str | None]:
    return node.text("name"), node.text_or_none("state")


def _package_file(node: _Node) -> PackageFile | None:
    return None if node.value is None else PackageFile(path=node.text("path"), size=node.number_or_none("size"))


def _host(node: _Node) -> HostFacts:
    """A process whose start can't be read (a protected one of Windows) is left out: nothing could be compared."""
    started = [row for row in node.rows("processes") if row.get("started").value is not None]
    return HostFacts(
        processes=tuple(Process(name=row.text("name"), pid=row.number("pid"), started=row.moment("started")) for row in started),
        modules=tuple(Module(name=row.text("name"), version=row.text("version"), code=row.text("code")) for row in node.rows("modules")),
        runtimes=node.texts("runtimes"),
        pending_reboot=node.texts("pending_reboot"),
        installer_busy=node.flag("installer_busy"),
        upgrade_running=node.flag("upgrade_running"),
    )


def _job(node: _Node) -> RunningJob:
    return RunningJob(
        run_id=node.text("run_id"),
        kind=node.text("kind"),
        owner=node.text_or_none("owner") or "",
        started=node.text_or_none("started") or "",
        work=node.text_or_none("work") or "",
        until=node.text_or_none("until") or "",
    )


def _last_restore(node: _Node) -> LastRestore | None:
    """None as well for a journal of before these facts were kept."""
    if node.value is None or any(node.get(key).value is None for key in ("at", "backup")):
        return None
    return LastRestore(
        run_id=node.text("run_id"),
        state=node.text("state"),
        at=node.moment("at"),
        backup=node.text("backup"),
        zip_sha256=node.text_or_none("zip_sha256") or "",
        zip_mark=node.text_or_none("zip_mark") or "",
        partial=node.get("partial").value is True,
        restored_before=node.moment_or_none("restored_before"),
    )


def _content(row: _Node) -> ContentRow:
    return ContentRow(path=row.text("path"), files=row.number("files"), bytes=row.number("bytes"), sha256=row.text("sha256"))


@dataclass(frozen=True)
class _Node:
    """A value of the document and the path to it. A key that is absent counts as null."""

    value: object
    path: str

    def get(self, key: str) -> _Node:
        return _Node(self._mapping().get(key), self._below(key))

    def names(self) -> list[str]:
        return [str(key) for key in self._mapping()]

    def rows(self, key: str) -> list[_Node]:
        node = self.get(key)
        if not isinstance(node.value, list):
            raise _invalid(node.path, node.value, "a list")
        return [_Node(value, f"{node.path}[{number}]") for number, value in enumerate(node.value)]

    def texts(self, key: str) -> tuple[str, ...]:
        rows = self.rows(key)
        return tuple(_text(row) for row in rows)

    def text(self, key: str) -> str:
        return _text(self.get(key))

    def text_or_none(self, key: str) -> str | None:
        node = self.get(key)
        return None if node.value is None else _text(node)

    def number(self, key: str) -> int:
        node = self.get(key)
        if not isinstance(node.value, int) or isinstance(node.value, bool):
            raise _invalid(node.path, node.value, "a whole number")
        return node.value

    def number_or_none(self, key: str) -> int | None:
        return None if self.get(key).value is None else self.number(key)

    def flag(self, key: str) -> bool:
        node = self.get(key)
        if not isinstance(node.value, bool):
            raise _invalid(node.path, node.value, "true or false")
        return node.value

    def moment(self, key: str) -> datetime:
        node = self.get(key)
        try:
            return datetime.strptime(_text(node), _TIME).replace(tzinfo=UTC)
        except ValueError:
            raise _invalid(node.path, node.value, "a time in UTC as YYYY-MM-DDTHH:MM:SSZ") from None

    def moment_or_none(self, key: str) -> datetime | None:
        return None if self.get(key).value is None else self.moment(key)

    def _mapping(self) -> dict[str, object]:
        if not isinstance(self.value, dict):
            raise _invalid(self.path, self.value, "an object")
        return self.value

    def _below(self, key: str) -> str:
        return key if self.path == "the document" else f"{self.path}.{key}"


def _text(node: _Node) -> str:
    if not isinstance(node.value, str):
        raise _invalid(node.path, node.value, "a text")
    return node.value


def _invalid(path: str, value: object, needed: str) -> InvalidScan:
    """The value's type is told; the value itself only where it's short, as a document may be large."""
    found = "nothing" if value is None else f"{value!r} ({type(value).__name__})" if isinstance(value, (int, float)) else type(value).__name__
    if isinstance(value, str):
        found = f"{value[:60]!r}"
    return InvalidScan(
        f"The scan of the agent can't be used: {path} isn't what it should be",
        found=found,
        needed=needed,
        remedy="run again; if it stays, controller and agent may use different versions of the collection, or the host command gives the wrong shape",
    )
