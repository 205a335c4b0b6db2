# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scan of an agent whose files are here. Reads, never judges; the document's shape is in docs/architecture.md."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from .agent_files import file_version, parse_dms_xml
from .local_files import entries, find, read_tail, read_text, sha256_file, utc_text, utf16_key, walk
from .local_items import ItemFile, expand, is_app
from .local_store import JobStore

SCHEMA = 1
MAX_DLL = 64 * 1024 * 1024


def scan(request: dict[str, Any]) -> dict[str, Any]:
    """One pass over the agent's tree.

    `request`: root, work_dir, backup_dir, vendor_backup_dir (str); host_command (list of str, or None); content (list of items, or None);
    max_text, log_tail (bytes).
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
        now = time.time()
        store = JobStore(Path(self.request["work_dir"]))
        return {
            "schema": SCHEMA,
            "clock": {"utc": utc_text(now), "offset_minutes": int(time.localtime(now).tm_gmtoff // 60)},
            "language_mode": None,
            "root": {"path": str(self.root), "exists": self.root.is_dir()},
            "texts": {
                "version_history": read_text(find(self.root, "Upgrades", "VersionHistory.txt"), self.limit),
                "web_config": read_text(find(self.root, "Webpages", "API", "Web.config"), self.limit),
            },
            "cluster": self.cluster(),
            "apps": self.apps(),
            "loose": self.loose(),
            "dashboards": self.dashboards(),
            "dashboards_folder": find(self.root, "Dashboards") is not None,
            "web": find(self.root, "Web") is not None,
            "packages": self.packages(),
            "web_api": self.web_api(),
            "backups": [*self.backups("own", Path(self.request["backup_dir"])), *self.vendor_backups()],
            "partials": self.partials(),
            "disk": {name: self.disk(Path(self.request[name])) for name in ("backup_dir", "work_dir", "root")},
            "host": self.host(),
            "job": store.running_job(),
            "jobs": store.job_rows(),
            "journals": store.journal_rows(),
            "last_restore": store.last_restore(),
            "content": self.content(),
            "errors": self.errors,
        }

    def note(self, path: Path | str, error: Exception | str) -> None:
        message = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        self.errors.append({"path": str(path), "message": message})

    def listing(self, folder: Path | None) -> list[os.DirEntry[str]]:
        if folder is None:
            return []
        try:
            return entries(folder)
        except OSError as error:
            self.note(folder, error)
            return []

    def cluster(self) -> dict[str, Any]:
        dms = read_text(find(self.root, "DMS.xml"), self.limit)
        own = read_text(find(self.root, "DataMiner.xml"), self.limit)
        if dms["text"] is None:
            return {"name": None, "self_id": None, "self_address": None, "agents": [], "failover": False, "error": f"DMS.xml is {dms['error']}"}
        return parse_dms_xml(dms["text"], own["text"])

    def apps(self) -> list[dict[str, Any]]:
        rows = []
        for entry in self.listing(find(self.root, "Applications")):
            if not entry.is_dir(follow_symlinks=False):
                continue
            inside = self.listing(Path(entry.path))
            info = next((e for e in inside if e.name.lower() == "app.info.json" and e.is_file(follow_symlinks=False)), None)
            rows.append(
                {
                    "folder": entry.name,
                    "info": read_text(Path(info.path) if info else None, self.limit),
                    "dirs": [e.name for e in inside if e.is_dir(follow_symlinks=False)],
                    "files": [e.name for e in inside if not e.is_dir(follow_symlinks=False)],
                }
            )
        return rows

    def loose(self) -> list[str]:
        return [entry.name for entry in self.listing(find(self.root, "Applications")) if entry.is_file(follow_symlinks=False)]

    def files_below(self, folder: Path | None) -> list[os.DirEntry[str]]:
        if folder is None:
            return []
        try:
            return list(walk(folder))
        except OSError as error:
            self.note(folder, error)
            return []

    def dashboards(self) -> list[dict[str, Any]]:
        folder = find(self.root, "Dashboards")
        rows = []
        for entry in self.files_below(folder):
            if folder is not None and entry.name.lower().endswith(".dmadb.json") and entry.is_file(follow_symlinks=False):
                about = entry.stat(follow_symlinks=False)
                path = Path(entry.path).relative_to(folder).as_posix()
                rows.append({"path": path, "size": about.st_size, "modified": utc_text(about.st_mtime)})
        return sorted(rows, key=lambda row: utf16_key(str(row["path"])))

    def packages(self) -> list[dict[str, Any]]:
        rows = []
        for entry in self.listing(find(self.root, "Upgrades", "Packages")):
            if not entry.is_dir(follow_symlinks=False):
                continue
            log = find(Path(entry.path), "progress.log")
            rows.append(
                {
                    "folder": entry.name,
                    "created": self.created(entry),
                    "modified": utc_text(log.stat().st_mtime) if log else None,
                    "log_tail": read_tail(log, int(self.request.get("log_tail") or 4096)) if log else None,
                    "prerequisites": self.prerequisites(Path(entry.path)),
                }
            )
        return rows

    def created(self, entry: os.DirEntry[str]) -> str:
        """When the folder's first file was written: POSIX keeps no creation time, and the folder's own time moves with each file in it."""
        times = [e.stat(follow_symlinks=False).st_mtime for e in self.listing(Path(entry.path))]
        return utc_text(min([entry.stat(follow_symlinks=False).st_mtime, *times]))

    def prerequisites(self, folder: Path) -> list[dict[str, Any]]:
        names = [e for e in self.listing(folder) if e.name.lower().startswith("prerequisite-result-") and e.is_file(follow_symlinks=False)]
        return [{"name": e.name, "text": read_text(Path(e.path), 4096)["text"]} for e in names]

    def web_api(self) -> str | None:
        dll = find(self.root, "Webpages", "API", "bin", "WebApiLib.dll")
        if dll is None:
            return None
        try:
            with dll.open("rb") as stream:
                return file_version(stream.read(MAX_DLL))
        except OSError as error:
            self.note(dll, error)
            return None

    def vendor_backups(self) -> list[dict[str, Any]]:
        folder = Path(self.request["vendor_backup_dir"])
        return [] if folder == Path(self.request["backup_dir"]) else self.backups("vendor", folder)

    def backups(self, origin: str, folder: Path) -> list[dict[str, Any]]:
        rows = []
        for entry in self.listing(folder) if folder.is_dir() else []:
            if not entry.name.lower().endswith(".zip") or not entry.is_file(follow_symlinks=False):
                continue
            about = entry.stat(follow_symlinks=False)
            manifest = self.manifest(Path(entry.path).with_suffix(".manifest"))
            row = {"origin": origin, "path": entry.path, "name": entry.name, "size": about.st_size, "modified": utc_text(about.st_mtime)}
            rows.append({**row, "manifest": manifest})
        return rows

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
        folder = Path(self.request["backup_dir"])
        found = [e for e in (self.listing(folder) if folder.is_dir() else []) if e.name.lower().endswith(".partial")]
        return [{"path": e.path, "size": e.stat().st_size, "modified": utc_text(e.stat().st_mtime)} for e in found]

    def disk(self, path: Path) -> dict[str, Any]:
        """Free space where `path` is, or where it would be created."""
        place = path
        while not place.exists() and place != place.parent:
            place = place.parent
        return {"path": str(path), "free": shutil.disk_usage(place).free, "volume": str(os.stat(place).st_dev)}

    def host(self) -> dict[str, Any] | None:
        command = self.request.get("host_command")
        if not command:
            return None
        try:
            done = subprocess.run([*command, "facts"], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=True)
            facts = json.loads(done.stdout)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            self.note(command[0], f"the host command gave no facts: {type(error).__name__}")
            return None
        return facts if isinstance(facts, dict) else None

    def content(self) -> list[dict[str, Any]] | None:
        items = self.request.get("content")
        if items is None:
            return None
        rows = []
        for item in items:
            found = list(expand(self.root, item, note=lambda path, why: self.note(path, why)))
            rows += [self.digest(item["path"], found)] if is_app(self.root, item) else self.file_rows(found)
        return rows

    def file_rows(self, files: list[ItemFile]) -> list[dict[str, Any]]:
        rows = []
        for file in files:
            try:
                rows.append({"path": file.path, "files": 1, "bytes": file.size, "sha256": sha256_file(file.full)})
            except OSError as error:
                self.note(file.path, error)
        return rows

    def digest(self, path: str, files: list[ItemFile]) -> dict[str, Any]:
        lines, total = [], 0
        for file in sorted(files, key=lambda f: utf16_key(f.path)):
            try:
                lines.append(f"{sha256_file(file.full)} {file.size} {file.path}\n")
                total += file.size
            except OSError as error:
                self.note(file.path, error)
        whole = hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()
        return {"path": path, "files": len(lines), "bytes": total, "sha256": whole}
