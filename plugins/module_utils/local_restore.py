# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs `prepare`, `commit` and `undo` of a restore on a POSIX host.

Everything is extracted and verified beside the content first. A commit then only renames, with the web server stopped: a file that is replaced is
first linked into `replaced/`, so that at every moment both the old and the new one exist somewhere, and the journal's state tells which way to go.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .entry_names import Limits, SafeEntry, names_digest
from .errors import BackupInvalid, JobFailed, NotEnoughSpace, NoSuchJob, Refused, ServiceFailed
from .local_backup import make_backup
from .local_files import find, read_json, remove_tree, sha256_file, utc_text, write_json
from .local_jobs import Job
from .local_verify import entry_bytes, safe_entries
from .local_zip import ZipReader, batches, in_order

SERVICE_TIMEOUT = 120  # seconds


def run_prepare(job: Job) -> dict[str, Any]:
    """Safety copy, extraction to staging, verification, and the rows that a commit will carry out."""
    spec = job.spec
    zip_path, staging = Path(spec["zip"]), job.store.work / "staging" / job.run_id
    if not zip_path.is_file() or sha256_file(zip_path) != spec["zip_sha256"]:
        raise BackupInvalid(f"{zip_path} isn't the backup that was chosen", needed=f"SHA-256 {spec['zip_sha256']}", remedy="run again: it chooses anew")
    safety = make_backup(job, spec["safety"]) if spec.get("safety") else None
    remove_tree(staging)
    rows = _extract(job, zip_path, staging)
    _verify_staging(job, staging, rows)
    plan = [row for row in (_row(Path(spec["root"]), staging, row) for row in rows) if row]
    os.sync()
    write_json(job.folder / "rows.json", plan)
    _forget_older(job)
    return {"rows": len(plan), "same": len(rows) - len(plan), "files": len(rows), "bytes": sum(row["size"] for row in rows), "safety": safety}


def _extract(job: Job, zip_path: Path, staging: Path) -> list[dict[str, Any]]:
    spec = job.spec
    with ZipReader(zip_path) as reader:
        pairs = safe_entries(reader, Limits(**(spec.get("limits") or {})))
        if names_digest(entry.name for _info, entry in pairs) != spec["names_sha256"]:
            raise BackupInvalid(f"{zip_path} holds other names than were checked", remedy="run again")
        include = spec.get("include")
        pairs = [pair for pair in pairs if include is None or _included(pair[1].path, include)]
        total = sum(entry.size for _info, entry in pairs)
        staging.mkdir(parents=True, exist_ok=True)
        _check_space(staging, max(total, int(spec.get("free_needed") or 0)))
        job.progress(text="extracting", files=0, bytes=0, total_files=len(pairs), total_bytes=total)
        for folder in sorted({(staging / entry.path).parent for _info, entry in pairs}):
            folder.mkdir(parents=True, exist_ok=True)
        rows: list[dict[str, Any]] = []

        def extract(batch: list[tuple[zipfile.ZipInfo, SafeEntry]]) -> list[dict[str, Any]]:
            return [_extract_one(reader, info, entry, staging, spec["mtime"]) for info, entry in batch]

        for done in in_order(extract, batches(pairs, lambda pair: pair[0].file_size)):
            rows += done
            job.advance(len(done), sum(row["size"] for row in done))
    return rows


def _included(path: str, include: list[str]) -> bool:
    return any(path == prefix or path.startswith(prefix + "/") for prefix in include)


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NotEnoughSpace(f"Not enough free space for {folder}", found=f"{free} bytes free", needed=f"{needed} bytes", remedy="free some space")


def _extract_one(reader: ZipReader, info: zipfile.ZipInfo, entry: SafeEntry, staging: Path, mtime: str) -> dict[str, Any]:
    target = staging / entry.path
    with target.open("xb") as stream:
        digest = entry_bytes(reader, info, stream.write)
    if mtime == "keep":
        kept = time.mktime((*info.date_time, 0, 0, -1))
        os.utime(target, (kept, kept))
    return {"path": entry.path, "size": entry.size, "sha256": digest}


def _verify_staging(job: Job, staging: Path, rows: list[dict[str, Any]]) -> None:
    job.progress(text="verifying what was extracted", files=0, bytes=0)

    def wrong(batch: list[dict[str, Any]]) -> list[str]:
        return [row["path"] for row in batch if sha256_file(staging / row["path"]) != row["sha256"]]

    for found in in_order(wrong, batches(rows, lambda row: int(row["size"]))):
        if found:
            raise BackupInvalid("Extracted files read back differently", found=", ".join(found[:10]), remedy="check the disk of this agent")


def _row(root: Path, staging: Path, row: dict[str, Any]) -> dict[str, Any] | None:
    """What to do with one file, or None where the disk holds it already. `target` is spelt as the disk spells it."""
    place = find(root, *row["path"].split("/"))
    if place is None:
        return {**row, "action": "create", "target": _target(root, row["path"])}
    if place.is_symlink() or not place.is_file():
        raise Refused(f"{row['path']} is in the way", found="a folder, a link or a special file", needed="an ordinary file or nothing", remedy="move it away")
    if place.stat().st_size == row["size"] and sha256_file(place) == row["sha256"]:
        (staging / row["path"]).unlink()
        return None
    return {**row, "action": "replace", "target": str(place.relative_to(root))}


def _target(root: Path, path: str) -> str:
    """The path with those folders that exist spelt as they are, none of them a link."""
    current, parts = root, path.split("/")
    for number, part in enumerate(parts[:-1]):
        found = find(current, part)
        if found is None:
            return str((current / Path(*parts[number:])).relative_to(root))
        if found.is_symlink() or not found.is_dir():
            raise Refused(f"{found} is in the way of {path}", needed="a folder", remedy="move it away")
        current = found
    return str((current / parts[-1]).relative_to(root))


def _forget_older(job: Job) -> None:
    """What earlier restores kept for their undoing goes once this one's content is verified, unless one of them is still open."""
    open_runs = {row["run_id"] for row in job.store.journal_rows() if row["state"] in ("committing", "swapped", "undoing")}
    prepared = {str((read_json(job.store.folder(run) / "spec.json") or {}).get("prepared")) for run in open_runs}
    for name in ("staging", "replaced"):
        base = job.store.work / name
        for folder in base.iterdir() if base.is_dir() else []:
            if folder.name != job.run_id and folder.name not in prepared:
                remove_tree(folder)


class Swap:
    """The files of one prepared restore, and the way there and back. Each step may be repeated."""

    def __init__(self, job: Job) -> None:
        spec, work = job.spec, job.store.work
        self.job, self.root = job, Path(spec["root"])
        commit = spec if "prepared" in spec else read_json(job.store.folder(str(spec["commit"])) / "spec.json") or {}
        self.run = str(commit.get("prepared"))
        self.staging, self.replaced, self.quarantine = work / "staging" / self.run, work / "replaced" / self.run, work / "quarantine" / self.run
        rows = read_json(job.store.folder(self.run) / "rows.json")
        if rows is None:
            raise NoSuchJob(f"No restore was prepared as {self.run}", needed="a prepared restore", remedy="prepare it first (state: prepared)")
        self.rows: list[dict[str, Any]] = rows
        self.leftovers: list[str] = list(commit.get("leftovers") or [])

    def forward(self) -> int:
        """Put every staged file in its place; gives how many files it moved now."""
        moved = 0
        for row in self.rows:
            staged = self.staging / row["path"]
            if staged.exists():
                self._swap_in(staged, self.root / row["target"], row)
                moved += 1
                self.job.advance(1, int(row["size"]))
        return moved

    def _swap_in(self, staged: Path, target: Path, row: dict[str, Any]) -> None:
        if row["action"] == "replace" and target.exists():
            kept = self.replaced / row["path"]
            if not kept.exists():
                kept.parent.mkdir(parents=True, exist_ok=True)
                os.link(target, kept)
            _take_rights(target, staged)
        else:
            _make_folder(target.parent, self.root)
            _take_rights(target.parent, staged, folder=True)
        staged.replace(target)

    def move_leftovers(self) -> list[str]:
        moved = []
        for path in self.leftovers:
            place, aside = self.root / path, self.quarantine / path
            if place.exists() and not place.is_symlink():
                aside.parent.mkdir(parents=True, exist_ok=True)
                place.rename(aside)
                moved.append(path)
        return moved

    def back(self) -> dict[str, Any]:
        """Put back what was there before. Files that somebody changed since stay, and are named."""
        put_back, removed, kept = 0, 0, []
        for row in self.rows:
            old, target = self.replaced / row["path"], self.root / row["target"]
            if old.exists():
                put_back += self._put_back(old, target)
            elif row["action"] == "create" and target.exists() and not (self.staging / row["path"]).exists():
                if sha256_file(target) == row["sha256"]:
                    target.unlink()
                    removed += 1
                else:
                    kept.append(row["path"])
        for path in self._quarantined():
            (self.quarantine / path).rename(self.root / path)
        self._drop_empty_folders()
        return {"put_back": put_back, "removed": removed, "kept": kept}

    @staticmethod
    def _put_back(old: Path, target: Path) -> int:
        if target.exists() and old.samefile(target):  # linked, not yet replaced: a rename between two links does nothing
            old.unlink()
            return 0
        os.utime(old)
        target.parent.mkdir(parents=True, exist_ok=True)
        old.replace(target)
        return 1

    def _quarantined(self) -> Iterator[str]:
        for path in self.leftovers:
            if (self.quarantine / path).exists() and not (self.root / path).exists():
                yield path

    def _drop_empty_folders(self) -> None:
        """Folders that only the restore made."""
        parents = {(self.root / row["target"]).parent for row in self.rows if row["action"] == "create"}
        for folder in sorted(parents, key=lambda path: len(path.parts), reverse=True):
            current = folder
            while current not in (self.root, current.parent):
                try:
                    current.rmdir()
                except OSError:
                    break
                current = current.parent


def _take_rights(source: Path, target: Path, *, folder: bool = False) -> None:
    """Owner and mode as `source` has them; a new file in a folder gets no right to be run."""
    about = source.stat()
    target.chmod(about.st_mode & (0o666 if folder else 0o7777))
    with contextlib.suppress(PermissionError):
        os.chown(target, about.st_uid, about.st_gid)


def _make_folder(folder: Path, root: Path) -> None:
    if folder.exists() or folder == root:
        return
    _make_folder(folder.parent, root)
    folder.mkdir()
    about = folder.parent.stat()
    folder.chmod(about.st_mode & 0o7777)
    with contextlib.suppress(PermissionError):
        os.chown(folder, about.st_uid, about.st_gid)


def service(job: Job, verb: str) -> None:
    """Stop or start the web server by the host command. With no service named, nothing serves from this tree."""
    name, command = job.spec.get("service"), job.spec.get("host_command")
    if not name:
        return
    if not command:
        raise ServiceFailed(f"Nothing can {verb} {name} here", needed="a host command", remedy="set dataminer_host_command, or dataminer_web_service to an empty string")
    try:
        subprocess.run([*command, verb, name], stdin=subprocess.DEVNULL, capture_output=True, timeout=SERVICE_TIMEOUT, check=True, text=True)
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip()
        raise ServiceFailed(f"{name} didn't {verb}", found=said[-500:], needed=f"the service to {verb}", remedy=f"{verb} {name} by hand") from error


def _journal(job: Job, state: str, *, commit: str | None = None, **facts: Any) -> None:
    """The commit's journal, durable before what it announces begins."""
    run_id = commit or job.run_id
    spec = read_json(job.store.folder(run_id) / "spec.json") or {}
    about = {key: spec.get(key) for key in ("prepared", "backup", "zip_sha256", "partial")}
    job.store.write_journal(run_id, state, at=utc_text(time.time()), **about, **facts)


def run_commit(job: Job) -> dict[str, Any]:
    """Stop the web server, swap, wait for a word, start it again whatever happens."""
    swap = Swap(job)
    job.progress(text="stopping the web server", files=0, bytes=0, total_files=len(swap.rows))
    _journal(job, "committing")
    try:
        service(job, "stop")
        result = _swap(job, swap)
        word = _await_word(job)
        return _conclude(job, swap, word, result)
    finally:
        service(job, "start")


def _swap(job: Job, swap: Swap) -> dict[str, Any]:
    job.progress(text="swapping files in")
    try:
        swapped = swap.forward()
        quarantined = swap.move_leftovers()
        os.sync()
    except OSError as error:
        _journal(job, "undoing")
        back = swap.back()
        os.sync()
        _journal(job, "undone", by="failure")
        raise JobFailed(
            "The files couldn't be swapped in; all was put back",
            found=f"{error.strerror}: {error.filename} ({back['put_back']} files put back)",
            needed="files that can be replaced",
            remedy="mend the cause and run again",
        ) from error
    _journal(job, "swapped")
    return {"swapped": swapped, "quarantined": quarantined}


def _await_word(job: Job) -> str:
    """`release` or `undo` from the controller, or `deadline` when it stays silent: a web server that stays down helps nobody."""
    job.progress(text="swapped, waiting for the other agents")
    job.flush()
    end = time.monotonic() + float(job.spec["deadline"])
    while time.monotonic() < end:
        for word in ("undo", "release"):
            if (job.folder / word).exists():
                return word
        time.sleep(0.1)
    return "deadline"


def _conclude(job: Job, swap: Swap, word: str, result: dict[str, Any]) -> dict[str, Any]:
    if word != "undo":
        _journal(job, "released", by=word)
        return {**result, "released_by": word}
    _journal(job, "undoing")
    back = swap.back()
    os.sync()
    _journal(job, "undone", by="word")
    return {**result, "released_by": "undo", **back}


def run_undo(job: Job) -> dict[str, Any]:
    """Undo a restore, finished or broken off: the web server stands still meanwhile and is started at the end."""
    swap = Swap(job)
    commit = str(job.spec["commit"])
    job.progress(text="putting back", files=0, bytes=0, total_files=len(swap.rows))
    _journal(job, "undoing", commit=commit)
    try:
        service(job, "stop")
        back = swap.back()
        os.sync()
        _journal(job, "undone", commit=commit, by=job.run_id)
        return back
    finally:
        service(job, "start")
