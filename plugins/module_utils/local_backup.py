# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs `backup` and `verify` on a POSIX host."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .entry_names import MAX_ENTRIES, MAX_TOTAL, fold, problem_of_path
from .errors import BackupInvalid, ChangedMeanwhile, NotEnoughSpace, Refused
from .local_files import sha256_file, sync_folder
from .local_items import NOTES, ItemFile, expand
from .local_jobs import Job
from .local_places import Places
from .local_verify import ReadZip, read_zip
from .local_zip import SMALL, batches, in_order
from .local_zipwrite import Packed, Unsteady, ZipWriter, pack
from .manifest import FileRow, ManifestBuilder, compare

MANIFEST_SUFFIX = ".manifest"
SPACE_REMEDY = "free some space or move the folder"
RETRY_AFTER = 1.0  # seconds before the second attempt, twice that before the third
CLOCK_TICK = 2_000_000_000  # nanoseconds: the coarsest clock of a file system


class _Changed(Exception):
    """A file isn't what it was when the list was made."""

    def __init__(self, paths: list[str]) -> None:
        super().__init__(paths)
        self.paths = paths


def run_backup(job: Job) -> dict[str, Any]:
    """Zip the planned items, read everything back, publish by rename, then delete what the plan rotates out."""
    return make_backup(job, job.spec)


def make_backup(job: Job, spec: dict[str, Any]) -> dict[str, Any]:
    """The backup of `spec`. Whatever goes wrong, no partial file stays and nothing is rotated out."""
    folder = Path(spec["dest_dir"])
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / spec["name"]
    partial = folder / f"{spec['name']}.partial"
    if os.path.lexists(target):
        raise Refused(f"{target} exists", needed="a new name: a backup is never overwritten", remedy="run again")
    try:
        rows, notes = _attempts(job, spec, partial)
        return _publish(job, spec, partial, target, rows, notes)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise NotEnoughSpace(f"Not enough free space for {folder}", found=str(error.strerror), remedy=SPACE_REMEDY) from error
    finally:
        for leftover in (partial, _partial_manifest(target)):
            leftover.unlink(missing_ok=True)


def _attempts(job: Job, spec: dict[str, Any], partial: Path) -> tuple[list[FileRow], list[str]]:
    """The first attempt in which nothing changed."""
    changed: list[str] = []
    attempts = 1 + int(spec["retries"])
    for attempt in range(attempts):
        time.sleep(attempt * RETRY_AFTER)
        try:
            return _attempt(job, spec, partial)
        except _Changed as error:
            changed = error.paths
            job.log(f"attempt {attempt + 1}: changed meanwhile: {changed[:10]}")
    raise ChangedMeanwhile(
        "Files changed while they were backed up",
        found=", ".join(changed[:10]) + (f" and {len(changed) - 10} more" if len(changed) > 10 else ""),
        needed=f"content that can be read and stays the same for the length of a backup ({attempts} attempts were made)",
        remedy="run again at a quieter moment, or close the programs that write these files",
    )


def _attempt(job: Job, spec: dict[str, Any], partial: Path) -> tuple[list[FileRow], list[str]]:
    partial.unlink(missing_ok=True)
    begun = time.time_ns()
    files, notes = listing(Path(spec["root"]), spec["items"])
    total = sum(file.size for file in files)
    _check_names(files, total)
    check_space(Path(spec["dest_dir"]), max(total, int(spec.get("free_needed") or 0)))
    job.progress(text="backing up", files=0, bytes=0, total_files=len(files), total_bytes=total)
    rows = _write(job, files, partial, int(spec["level"]))
    _check_unchanged(files, rows, spec, begun)
    return rows, notes


def listing(root: Path, items: Iterable[dict[str, Any]]) -> tuple[list[ItemFile], list[str]]:
    """Files of all items, each once, and notes of what was left out."""
    notes: list[str] = []
    files = {file.path: file for file in _files(root, items, notes)}
    return list(files.values()), notes


def _files(root: Path, items: Iterable[dict[str, Any]], notes: list[str]) -> Iterator[ItemFile]:
    """Files of all items. At the end what couldn't be had raises `_Changed`."""
    lost: list[str] = []

    def note(path: str, why: str) -> None:
        (notes if why in NOTES else lost).append(f"{path} {why}" if why in NOTES else f"{path} ({why})")

    places = Places(root)
    for item in items:
        yield from expand(places, item, note=note)
    if lost:
        raise _Changed(lost)


def _check_names(files: list[ItemFile], total: int) -> None:
    """Refuse what a restore would refuse, before anything is written."""
    spelt: dict[str, str] = {}
    bad = [f"{file.path} ({problem})" for file in files if (problem := problem_of_path(file.path) or _clash(file.path, spelt))]
    if bad:
        raise BackupInvalid(
            "Some names can't be restored on Windows",
            found="; ".join(bad[:10]),
            needed="names that Windows can hold",
            remedy="rename or move these files away",
        )
    if len(files) > MAX_ENTRIES or total > MAX_TOTAL:
        raise BackupInvalid(
            "There is more content than a restore would take back",
            found=f"{len(files)} files of {total} bytes",
            needed=f"at most {MAX_ENTRIES} files of {MAX_TOTAL} bytes",
            remedy="back up the latest versions only, or clear out what nobody needs",
        )


def _clash(path: str, spelt: dict[str, str]) -> str | None:
    """Whether the path, or a folder of it, differs from an earlier one in case only."""
    while path:
        known = spelt.setdefault(fold(path), path)
        if known != path:
            return f"Windows takes it for {known}"
        path = path.rpartition("/")[0]
    return None


def check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NotEnoughSpace(f"Not enough free space for {folder}", found=f"{free} bytes free", needed=f"{needed} bytes", remedy=SPACE_REMEDY)


def _write(job: Job, files: list[ItemFile], partial: Path, level: int) -> list[FileRow]:
    writer = ZipWriter(partial, level)
    rows: list[FileRow] = []
    try:
        small = [file for file in files if file.size <= SMALL]
        for done in in_order(lambda batch: [_pack(file, level) for file in batch], batches(small, lambda file: file.size)):
            for file, packed in done:
                writer.add_packed(file.path, packed)
                rows.append(FileRow(path=file.path, size=packed.size, sha256=packed.sha256))
            job.advance(len(done), sum(file.size for file, _packed in done))
        for file in files:
            if file.size > SMALL:
                rows.append(_add_large(writer, file))
                job.advance(1, file.size)
        writer.close()
    finally:
        writer.abandon()
    return rows


def _pack(file: ItemFile, level: int) -> tuple[ItemFile, Packed]:
    try:
        return file, pack(file.full, file.size, level)
    except Unsteady as error:
        raise _Changed([f"{file.path} ({error})"]) from error


def _add_large(writer: ZipWriter, file: ItemFile) -> FileRow:
    try:
        digest = writer.add_large(file.path, file.full, file.size)
    except Unsteady as error:
        raise _Changed([f"{file.path} ({error})"]) from error
    return FileRow(path=file.path, size=file.size, sha256=digest)


def _check_unchanged(files: list[ItemFile], rows: list[FileRow], spec: dict[str, Any], begun: int) -> None:
    """List everything once more: what vanished, appeared or changed in between makes the zip a mixture.

    A file written twice within one tick of the disk's clock keeps its time: those written just before the backup began are read again.
    """
    before = {file.path: file.stamp for file in files}
    seen, changed, recent = set[str](), set[str](), dict[str, ItemFile]()
    for file in _files(Path(spec["root"]), spec["items"], []):
        path = file.path
        seen.add(path)
        if before.get(path) != file.stamp:
            changed.add(path)
        elif file.modified_ns > begun - CLOCK_TICK:
            recent[path] = file
    changed |= before.keys() - seen
    changed |= {row.path for row in rows if row.path in recent and _digest(recent[row.path]) != row.sha256}
    if changed:
        raise _Changed(sorted(changed))


def _digest(file: ItemFile) -> str | None:
    try:
        return sha256_file(file.full)
    except OSError:
        return None


def _publish(job: Job, spec: dict[str, Any], partial: Path, target: Path, rows: list[FileRow], notes: list[str]) -> dict[str, Any]:
    job.progress(text="verifying", files=0, bytes=0)
    verified = _read_back(job, partial, rows)
    _write_manifest(target, spec["header"], rows, verified.size, verified.sha256)
    partial.replace(target)
    sync_folder(target.parent)
    rotated, kept = _rotate(spec.get("rotate") or [], target.parent)
    total = sum(row.size for row in rows)
    result = {"path": str(target), "files": len(rows), "bytes": total, "zip_size": verified.size, "zip_sha256": verified.sha256}
    return {**result, "rotated": rotated, "not_rotated": kept, "notes": notes}


def _read_back(job: Job, partial: Path, rows: list[FileRow]) -> ReadZip:
    """Read the whole zip while the disk takes it, and compare."""
    with ThreadPoolExecutor(1) as disk:
        flushed = disk.submit(_flush, partial)
        verified = read_zip(partial, advance=job.advance)
        flushed.result()
    differences = compare(rows, (FileRow(path=entry.path, size=entry.size, sha256=entry.sha256) for entry in verified.entries))
    if not differences.same:
        raise BackupInvalid(
            "The new zip doesn't hold what was written",
            found=str(differences),
            needed="the same bytes",
            remedy="check the disk and memory of this agent",
        )
    return verified


def _flush(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _partial_manifest(target: Path) -> Path:
    return target.with_name(target.stem + MANIFEST_SUFFIX + ".partial")


def _write_manifest(target: Path, header: dict[str, Any], rows: list[FileRow], size: int, digest: str) -> None:
    """Publish the manifest, durable before the zip is: a zip is never seen without it."""
    partial = _partial_manifest(target)
    with partial.open("wb") as stream:
        builder = ManifestBuilder(stream.write, header)
        for row in rows:
            builder.add(row)
        builder.finish(zip_size=size, zip_sha256=digest)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(target.with_suffix(MANIFEST_SUFFIX))
    sync_folder(target.parent)


def _rotate(names: list[str], folder: Path) -> tuple[list[str], list[str]]:
    """Delete the planned backups, zip first: a manifest without a zip misleads nobody."""
    gone, kept = [], []
    for name in names:
        zip_path = folder / name
        try:
            zip_path.unlink(missing_ok=True)
            zip_path.with_suffix(MANIFEST_SUFFIX).unlink(missing_ok=True)
            gone.append(name)
        except OSError as error:
            kept.append(f"{name} ({error.strerror})")
    return gone, kept
