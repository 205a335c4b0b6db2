# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scan of an agent whose files are here. Reads, never judges; the document's shape is in docs/architecture.md."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .agent_files import file_version, parse_dms_xml, unknown_cluster
from .content import OTHERS, together
from .local_files import entries, find, open_unlinked, read_tail, read_text, sha256_file, utc_text, utf16_key, walk
from .local_items import LINK, ItemFile, expand, is_app, likely_items, part_of
from .local_places import Places
from .local_store import JobStore
from .local_zip import batches, in_order

SCHEMA = 1
MAX_DLL = 64 * 1024 * 1024
HOST_TIMEOUT = 60  # seconds


def scan(request: dict[str, Any]) -> dict[str, Any]:
    """One pass over the agent's tree.

    `request`: root, work_dir, backup_dir, vendor_backup_dir (str); host_command (list of str, or None); content (list of items, or None);
    likely (a guess at the items, for where `content` isn't known yet, or None); package, installer (paths of files, or None); service (a name,
    or None); max_text and log_tail (bytes).
    """
    return _Scan(request).document()


class _Scan:
    """One scan; `errors` gathers what couldn't be read, so that one bad file doesn't hide the rest."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.root = Path(request["root"])
        self.limit = int(request.get("max_text") or 1024 * 1024)
        self.errors: list[dict[str, str]] = []

    def document(self) -> dict[str, Any]:
        store = JobStore(Path(self.request["work_dir"]))
        job = store.unended_job()  # before all that it may change: what is read afterwards is no older than its end
        facts = self.host()
        document: dict[str, Any] = {
            "schema": SCHEMA,
            "language_mode": None,
            "root": {"path": str(self.root), "exists": self.root.is_dir()},
            "texts": {
                "version_history": read_text(self.find("Upgrades", "VersionHistory.txt"), self.limit),
                "web_config": read_text(self.find("Webpages", "API", "Web.config"), self.limit),
            },
            "cluster": self.cluster(),
            "apps": self.apps(),
            "loose": self.loose(),
            "dashboards": self.dashboards(),
            "dashboards_folder": find(self.root, "Dashboards") is not None,
            "web": find(self.root, "Web") is not None,
            "packages": self.packages(),
            "web_api": self.web_api(),
            "backups": [*self.backups("own", Path(self.request["backup_dir"])), *self.vendor_backups(), *self.kept_backups()],
            "vendor_folder": {"path": self.request["vendor_backup_dir"], "exists": os.path.isdir(self.request["vendor_backup_dir"])},  # noqa: PTH112
            "partials": self.partials(),
            "disk": {name: self.disk(path) for name, path in self.places().items()},
            "package": self.named_file("package"),
            "installer": self.named_file("installer"),
            "service": self.service((facts or {}).pop("services", None)),
            "host": facts,
            "job": job and {**job, "until": store.until(str(job["run_id"]))},
            "jobs": store.job_rows(),
            "journals": store.journal_rows(),
            "last_restore": store.last_restore(),
        }
        items = self.request.get("content")
        if items is None and self.request.get("likely"):
            items = likely_items(document, self.request["likely"])
        content = self.content(items)  # which may take long: whoever compares clocks knows when the answer came
        return {**document, "basis": _basis(document), "content": content, "errors": self.errors, "clock": _clock()}

    def note(self, path: Path | str, error: Exception | str) -> None:
        message = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        self.errors.append({"path": str(path), "message": message})

    def note_once(self, path: Path, error: str) -> None:
        if all(row["path"] != str(path) for row in self.errors):
            self.note(path, error)

    def listing(self, folder: Path | None) -> list[os.DirEntry[str]]:
        if folder is None:
            return []
        try:
            return entries(folder)
        except OSError as error:
            self.note(folder, error)
            return []

    def cluster(self) -> dict[str, Any]:
        dms = read_text(self.find("DMS.xml"), self.limit)
        own = read_text(self.find("DataMiner.xml"), self.limit)
        if dms["text"] is None:
            return unknown_cluster(f"DMS.xml is {dms['error']}")
        return parse_dms_xml(dms["text"], own["text"])

    def find(self, *parts: str, below: Path | None = None) -> Path | None:
        """What is there by that name. Below the root, which may be a link itself, none is followed: it could lead to anybody's files."""
        place = below or self.root
        for part in parts:
            found = find(place, part)
            if found is None:
                return None
            if found.is_symlink():
                self.note_once(found, LINK)
                return None
            place = found
        return place

    def apps(self) -> list[dict[str, Any]]:
        rows = []
        for entry in self.listing(self.find("Applications")):
            if entry.is_symlink():
                self.note(entry.path, LINK)
            elif entry.is_dir(follow_symlinks=False):
                rows.append(self.app(entry))
        return rows

    def app(self, entry: os.DirEntry[str]) -> dict[str, Any]:
        noted = len(self.errors)
        inside = self.listing(Path(entry.path))
        info = next((e for e in inside if e.name.lower() == "app.info.json" and e.is_file(follow_symlinks=False)), None)
        text = read_text(Path(info.path) if info else None, self.limit)
        return {
            "folder": entry.name,
            "info": text if len(self.errors) == noted else {"text": None, "error": "unreadable"},  # not "missing": such an app is left out of backups
            "dirs": [e.name for e in inside if e.is_dir(follow_symlinks=False)],
            "files": [e.name for e in inside if not e.is_dir(follow_symlinks=False)],
        }

    def loose(self) -> list[str]:
        folder = find(self.root, "Applications")
        linked = folder is None or folder.is_symlink()
        return [] if linked else [entry.name for entry in self.listing(folder) if entry.is_file(follow_symlinks=False)]

    def dashboards(self) -> list[dict[str, Any]]:
        folder = self.find("Dashboards")
        rows = []
        for entry in walk(folder, self.note) if folder else ():
            if entry.name.lower().endswith(".dmadb.json") and entry.is_file(follow_symlinks=False) and (about := self.stat(entry)):
                path = entry.path[len(str(folder)) + 1 :]
                rows.append({"path": path, "size": about.st_size, "modified": utc_text(about.st_mtime)})
        return sorted(rows, key=lambda row: utf16_key(str(row["path"])))

    def stat(self, entry: os.DirEntry[str] | Path) -> os.stat_result | None:
        """None, with a note, for what vanished since it was listed."""
        try:
            return entry.stat(follow_symlinks=False)
        except OSError as error:
            self.note(str(getattr(entry, "path", entry)), error)
            return None

    def packages(self) -> list[dict[str, Any]]:
        return [self.package(entry) for entry in self.listing(self.find("Upgrades", "Packages")) if entry.is_dir(follow_symlinks=False)]

    def package(self, entry: os.DirEntry[str]) -> dict[str, Any]:
        log = self.find("progress.log", below=Path(entry.path))
        about = self.stat(log) if log else None
        return {
            "folder": entry.name,
            "created": self.created(entry),
            "modified": utc_text(about.st_mtime) if about else None,
            "log_tail": read_tail(log, int(self.request.get("log_tail") or 4096)) if log else None,
            "prerequisites": self.prerequisites(Path(entry.path)),
        }

    def created(self, entry: os.DirEntry[str]) -> str:
        """When the folder's first file was written: POSIX keeps no creation time, and the folder's own time moves with each file in it."""
        known = (self.stat(each) for each in [entry, *self.listing(Path(entry.path))])
        return utc_text(min((about.st_mtime for about in known if about), default=time.time()))

    def prerequisites(self, folder: Path) -> list[dict[str, Any]]:
        names = [e for e in self.listing(folder) if e.name.lower().startswith("prerequisite-result-") and e.is_file(follow_symlinks=False)]
        return [{"name": e.name, "text": read_text(Path(e.path), 4096)["text"]} for e in names]

    def web_api(self) -> str | None:
        dll = self.find("Webpages", "API", "bin", "WebApiLib.dll")
        if dll is None:
            return None
        try:
            with open_unlinked(dll) as stream:
                return file_version(stream.read(MAX_DLL))
        except OSError as error:
            self.note(dll, error)
            return None

    def vendor_backups(self) -> list[dict[str, Any]]:
        folder = Path(self.request["vendor_backup_dir"])
        return [] if folder == Path(self.request["backup_dir"]) else self.backups("vendor", folder)

    def kept_backups(self) -> list[dict[str, Any]]:
        """What restores put aside, and the safety copies they made."""
        return [row for origin in ("aside", "safety") for row in self.backups(origin, Path(self.request["work_dir"]) / origin)]

    def backups(self, origin: str, folder: Path) -> list[dict[str, Any]]:
        rows = []
        for entry in self.own_folder(folder):
            if not entry.name.lower().endswith(".zip") or not entry.is_file(follow_symlinks=False):
                continue
            if about := self.stat(entry):
                row = {"origin": origin, "path": entry.path, "name": entry.name, "size": about.st_size, "modified": utc_text(about.st_mtime)}
                rows.append({**row, "manifest": self.manifest(Path(entry.path).with_suffix(".manifest"))})
        return rows

    def own_folder(self, folder: Path) -> list[os.DirEntry[str]]:
        """The entries of a folder that needn't exist yet."""
        return self.listing(folder) if os.path.lexists(folder) else []

    def manifest(self, path: Path) -> dict[str, Any] | None:
        """First and last line of content, and whether the checksum in the last line fits what stands above it."""
        if not path.is_file():
            return None
        digest, header, lines = hashlib.sha256(), "", [b"", b""]
        try:
            with path.open("rb") as stream:
                for number, line in enumerate(stream):
                    header = line.decode("utf-8", "replace").strip() if number == 1 else header
                    if number:
                        digest.update(lines[1])
                    lines = [lines[1], line]
        except OSError as error:
            self.note(path, error)
            return None
        intact = lines[1].strip() == b"sha256 " + digest.hexdigest().encode()
        return {"header": header, "trailer": lines[0].decode("utf-8", "replace").strip(), "intact": intact}

    def partials(self) -> list[dict[str, Any]]:
        found = [(e.path, self.stat(e)) for e in self.own_folder(Path(self.request["backup_dir"])) if e.name.lower().endswith(".partial")]
        return [{"path": path, "size": about.st_size, "modified": utc_text(about.st_mtime)} for path, about in found if about]

    def places(self) -> dict[str, Path]:
        """The folders that something is written to."""
        package = self.request.get("package")
        return {name: Path(self.request[name]) for name in ("backup_dir", "work_dir", "root")} | (
            {"package": Path(package).parent} if package else {}
        )

    def named_file(self, name: str) -> dict[str, Any] | None:
        path = self.request.get(name)
        if not path:
            return None
        with contextlib.suppress(OSError, ValueError):
            about = os.stat(path)  # noqa: PTH116 (a Path may be none of this system)
            return {"path": path, "size": about.st_size if stat.S_ISREG(about.st_mode) else None}
        return {"path": path, "size": None}

    def disk(self, path: Path) -> dict[str, Any]:
        """Free space where `path` is, or where it would be created."""
        place = path
        while not os.path.exists(place) and place != place.parent:  # noqa: PTH110 (a Path raises where a folder can't be searched)
            place = place.parent
        return {"path": str(path), "free": shutil.disk_usage(place).free, "volume": str(place.stat().st_dev)}

    def service(self, states: Any) -> dict[str, Any] | None:
        """The state of the one that is asked for; `states`: what the host command says of all, where it says so."""
        name = self.request.get("service")
        return {"name": name, "state": states.get(name)} if name and isinstance(states, dict) else None

    def host(self) -> dict[str, Any] | None:
        command = self.request.get("host_command")
        if not command:
            return None
        try:
            # the adapter knows of no module, so it can't have run_command
            done = subprocess.run(  # pylint: disable=ansible-bad-function
                [*command, "facts"], stdin=subprocess.DEVNULL, capture_output=True, timeout=HOST_TIMEOUT, check=True
            )
            facts = json.loads(done.stdout)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            self.note(command[0], f"the host command gave no facts: {type(error).__name__}")
            return None
        if not isinstance(facts, dict):
            self.note(command[0], f"the host command gave no facts but a {type(facts).__name__}")
            return None
        return facts

    def content(self, items: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
        if items is None:
            return None
        places = Places(self.root)
        rows: list[dict[str, Any]] = []
        for item in items:
            if is_app(places, item):
                rows += self.app_rows(places, item)
            else:
                rows += [self.file_row(*each) for each in self.hashed(expand(places, item, note=self.note))]
        return rows

    def app_rows(self, places: Places, item: dict[str, Any]) -> list[dict[str, Any]]:
        """What is outside of the version folders, each of these that the item names, the others in one row: counted only where it leaves them out."""
        path, named = item["path"], item.get("versions")
        whole = named is None or item.get("others", False)
        parts: dict[tuple[str, int | None], list[ItemFile]] = {(path, None): []}
        for file in expand(places, {"path": path}, note=self.note):
            parts.setdefault(part_of(path, file), []).append(file)
        others = {part for part in parts if part[1] is not None and part[1] not in (named or ())}
        skipped = set() if whole else others
        hashed: dict[tuple[str, int | None], list[tuple[ItemFile, str]]] = {part: [] for part in parts}
        for file, digest in self.hashed(file for part in parts if part not in skipped for file in parts[part]):
            hashed[part_of(path, file)].append((file, digest))
        ordered = sorted(parts, key=lambda part: utf16_key(part[0]))
        rows = {part: self.count(part[0], parts[part]) if part in skipped else self.digest(part[0], hashed[part]) for part in ordered}
        apart = [rows[part] for part in ordered if part not in others]
        return [*apart, together(f"{path}/{OTHERS}", [rows[part] for part in ordered if part in others])] if others else apart

    def hashed(self, files: Iterable[ItemFile]) -> list[tuple[ItemFile, str]]:
        """Files with their SHA-256, read on all cores; those that can't be read are noted and left out."""
        found: list[tuple[ItemFile, str]] = []
        for done in in_order(_hash_batch, batches(files, lambda file: file.size)):
            for file, digest in done:
                if isinstance(digest, OSError):
                    self.note(file.path, digest)
                else:
                    found.append((file, digest))
        return found

    @staticmethod
    def file_row(file: ItemFile, digest: str) -> dict[str, Any]:
        return {"path": file.path, "files": 1, "bytes": file.size, "sha256": digest}

    @staticmethod
    def count(path: str, files: list[ItemFile]) -> dict[str, Any]:
        return {"path": path, "files": len(files), "bytes": sum(file.size for file in files), "sha256": None}

    @staticmethod
    def digest(path: str, hashed: list[tuple[ItemFile, str]]) -> dict[str, Any]:
        lines = [f"{digest} {file.size} {file.path}\n" for file, digest in sorted(hashed, key=lambda pair: utf16_key(pair[0].path))]
        whole = hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()
        return {"path": path, "files": len(lines), "bytes": sum(file.size for file, _digest in hashed), "sha256": whole}


def _clock() -> dict[str, Any]:
    now = time.time()
    return {"utc": utc_text(now), "offset_minutes": int(time.localtime(now).tm_gmtoff // 60)}


def _basis(document: dict[str, Any]) -> dict[str, str]:
    """A digest of each part of the document that plans rest on."""
    apps = [[app["folder"], app["info"], app["dirs"]] for app in document["apps"]]
    parts = {
        "content": [apps, document["loose"], document["dashboards_folder"], document["web"]],
        "versions": [*(document[key] for key in ("texts", "cluster", "packages", "web_api")), (document["host"] or {}).get("upgrade_running")],
        "backups": document["backups"],
        "work": [document[key] for key in ("job", "journals", "last_restore")],
    }
    return {name: hashlib.sha256(json.dumps(facts).encode()).hexdigest() for name, facts in parts.items()}


def _hash_batch(files: list[ItemFile]) -> list[tuple[ItemFile, str | OSError]]:
    return [(file, _hash(file)) for file in files]


def _hash(file: ItemFile) -> str | OSError:
    try:
        return sha256_file(file.full)
    except OSError as error:
        return error
