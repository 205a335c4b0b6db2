# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs `backup` and `verify` on a POSIX host."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from .entry_names import problem_of_path
from .errors import BackupInvalid, ChangedMeanwhile, NotEnoughSpace
from .local_files import CHUNK, sync_folder
from .local_items import ItemFile, expand
from .local_jobs import Job
from .local_verify import nothing, read_zip, verify
from .local_zip import SMALL, Packed, ZipWriter, batches, in_order, pack
from .manifest import FileRow, ManifestBuilder, compare

MANIFEST_SUFFIX = ".manifest"


class _Changed(Exception):
    """A file isn't what it was when the list was made."""

    def __init__(self, paths: list[str]) -> None:
        super().__init__(paths)
        self.paths = paths


def run_backup(job: Job) -> dict[str, Any]:
    """Zip the planned items, read everything back, publish by rename, then delete what the plan rotates out."""
    return make_backup(job, job.spec)


def make_backup(job: Job, spec: dict[str, Any]) -> dict[str, Any]:
    folder = Path(spec["dest_dir"])
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / spec["name"]
    partial = folder / f"{spec['name']}.partial"
    changed: list[str] = []
    for attempt in range(1 + int(spec["retries"])):
        try:
            rows, notes = _attempt(job, spec, partial)
        except _Changed as error:
            changed = error.paths
            job.log(f"attempt {attempt + 1}: changed meanwhile: {changed[:10]}")
            continue
        return _publish(job, spec, partial, target, rows, notes)
    partial.unlink(missing_ok=True)
    raise ChangedMeanwhile(
        "Files changed while they were backed up",
        found=", ".join(changed[:10]) + (f" and {len(changed) - 10} more" if len(changed) > 10 else ""),
        needed=f"content that stays the same for the length of a backup ({1 + int(spec['retries'])} attempts were made)",
        remedy="run again at a quieter moment, or close the programs that write these files",
    )


def _attempt(job: Job, spec: dict[str, Any], partial: Path) -> tuple[list[FileRow], list[str]]:
    partial.unlink(missing_ok=True)
    files, notes = listing(Path(spec["root"]), spec["items"])
    total = sum(file.size for file in files)
    _check_names(files)
    _check_space(Path(spec["dest_dir"]), total, int(spec.get("free_needed") or 0))
    job.progress(text="backing up", files=0, bytes=0, total_files=len(files), total_bytes=total)
    rows = _write(job, files, partial, int(spec["level"]))
    _check_unchanged(files, notes, spec)
    return rows, notes


def listing(root: Path, items: Iterable[dict[str, Any]]) -> tuple[list[ItemFile], list[str]]:
    """Files of all items, each once, and notes of what was left out."""
    notes: list[str] = []
    lost: list[str] = []

    def note(path: str, why: str) -> None:
        (notes if why.startswith("is ") else lost).append(f"{path} {why}")

    files: dict[str, ItemFile] = {}
    for item in items:
        files.update((file.path, file) for file in expand(root, item, note=note))
    if lost:
        raise _Changed(lost)
    return list(files.values()), notes


def _check_names(files: list[ItemFile]) -> None:
    bad = [f"{file.path} ({problem})" for file in files if (problem := problem_of_path(file.path))]
    if bad:
        raise BackupInvalid(
            "Some names can't be restored on Windows", found="; ".join(bad[:10]), needed="names that Windows can hold", remedy="rename or move these files away"
        )


def _check_space(folder: Path, total: int, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < max(total, needed):
        raise NotEnoughSpace(
            f"Not enough free space for {folder}", found=f"{free} bytes free", needed=f"{max(total, needed)} bytes", remedy="free some space or move the folder"
        )


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
    finally:
        writer.close()
    return rows


def _pack(file: ItemFile, level: int) -> tuple[ItemFile, Packed]:
    try:
        packed = pack(file.full, level)
    except OSError as error:
        raise _Changed([f"{file.path} ({error.strerror})"]) from error
    if packed.size != file.size:
        raise _Changed([file.path])
    return file, packed


def _add_large(writer: ZipWriter, file: ItemFile) -> FileRow:
    try:
        size, digest = writer.add_large(file.path, file.full)
    except OSError as error:
        raise _Changed([f"{file.path} ({error.strerror})"]) from error
    if size != file.size:
        raise _Changed([file.path])
    return FileRow(path=file.path, size=size, sha256=digest)


def _check_unchanged(files: list[ItemFile], notes: list[str], spec: dict[str, Any]) -> None:
    """List everything once more: what vanished, appeared or changed in between makes the zip a mixture."""
    again, _notes = listing(Path(spec["root"]), spec["items"])
    before, after = {file.path: file.stamp for file in files}, {file.path: file.stamp for file in again}
    changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    if changed:
        raise _Changed(changed)


def _publish(job: Job, spec: dict[str, Any], partial: Path, target: Path, rows: list[FileRow], notes: list[str]) -> dict[str, Any]:
    job.progress(text="verifying", files=0, bytes=0)
    _flush(partial)
    verified = read_zip(partial, advance=job.advance)
    differences = compare(rows, [FileRow(path=entry.path, size=entry.size, sha256=entry.sha256) for entry in verified.entries])
    if differences.extra or differences.missing or differences.changed:
        partial.unlink()
        raise BackupInvalid("The new zip doesn't hold what was written", found=str(differences), needed="the same bytes", remedy="check the disk and memory of this agent")
    manifest = target.with_suffix(MANIFEST_SUFFIX)
    _write_manifest(manifest, spec["header"], rows, verified.size, verified.sha256)
    partial.replace(target)
    sync_folder(target.parent)
    rotated, kept = _rotate(spec.get("rotate") or [], target.parent)
    total = sum(row.size for row in rows)
    result = {"path": str(target), "files": len(rows), "bytes": total, "zip_size": verified.size, "zip_sha256": verified.sha256}
    return {**result, "rotated": rotated, "not_rotated": kept, "notes": notes}


def _flush(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _write_manifest(path: Path, header: dict[str, Any], rows: list[FileRow], size: int, digest: str) -> None:
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as stream:
        builder = ManifestBuilder(stream.write, header)
        for row in rows:
            builder.add(row)
        builder.finish(zip_size=size, zip_sha256=digest)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


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


def copy_verified(source: Path, target: Path, advance: Callable[[int, int], None]) -> None:
    """Copy a file, flush, read back, rename."""
    partial = target.with_name(target.name + ".partial")
    digest = hashlib.sha256()
    with source.open("rb") as given, partial.open("wb") as taken:
        while chunk := given.read(CHUNK):
            digest.update(chunk)
            taken.write(chunk)
            advance(0, len(chunk))
        taken.flush()
        os.fsync(taken.fileno())
    with partial.open("rb") as again:
        if hashlib.file_digest(again, "sha256").hexdigest() != digest.hexdigest():
            partial.unlink()
            raise BackupInvalid(f"The copy of {source.name} differs from it", needed="the same bytes", remedy="check the disk of this agent")
    partial.replace(target)
    sync_folder(target.parent)


def run_verify(job: Job) -> dict[str, Any]:
    """Verify a zip; with `copy_to`, put a copy aside first and verify that."""
    spec = job.spec
    source = Path(spec["path"])
    job.progress(text="verifying", files=0, bytes=0, total_bytes=source.stat().st_size if source.is_file() else 0)
    if not spec.get("copy_to"):
        return {**verify(spec, advance=job.advance), "copied": None}
    target = _put_aside(job, source, Path(spec["copy_to"]))
    manifest = source.with_suffix(MANIFEST_SUFFIX)
    if spec.get("manifest"):
        copy_verified(Path(spec["manifest"]), target.with_suffix(MANIFEST_SUFFIX), nothing)
        manifest = target.with_suffix(MANIFEST_SUFFIX)
    copied = {**spec, "path": str(target), "manifest": str(manifest) if spec.get("manifest") else None}
    return {**verify(copied, advance=job.advance), "copied": str(target)}


def _put_aside(job: Job, source: Path, folder: Path) -> Path:
    if not source.is_file():
        raise BackupInvalid(f"{source} is gone", needed="the chosen backup", remedy="run again: it chooses from what is there")
    folder.mkdir(parents=True, exist_ok=True)
    _check_space(folder, source.stat().st_size, 0)
    job.progress(text="copying the backup aside")
    target = folder / source.name
    copy_verified(source, target, job.advance)
    return target
