# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The job `verify` on a POSIX host: a zip is read to its end, after a copy was put aside where that is wanted.

A copy is verified whole in a folder of its own before it gets its name, and never takes the place of another backup.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import BackupInvalid
from .local_backup import MANIFEST_SUFFIX, check_space
from .local_files import CHUNK, remove_tree, sha256_file, sync_folder
from .local_jobs import Job
from .local_verify import nothing, verify


def run_verify(job: Job) -> dict[str, Any]:
    """Verify a zip; with `copy_to`, verify a copy of it and put that aside."""
    spec = job.spec
    source = Path(spec["path"])
    job.progress(text="verifying", files=0, bytes=0, total_bytes=source.stat().st_size if source.is_file() else 0)
    if not spec.get("copy_to"):
        return {**verify(spec, advance=job.advance), "copied": None}
    folder = Path(spec["copy_to"])
    unproved = folder / f"{source.name}.partial"
    try:
        result = verify(_copied(job, source, unproved), advance=job.advance)
        target = _publish(unproved / source.name, folder, result["zip_sha256"])
    finally:
        remove_tree(unproved)
    return {**result, "path": str(target), "copied": str(target)}


def _copied(job: Job, source: Path, unproved: Path) -> dict[str, Any]:
    """The spec of a job about the copy."""
    if not source.is_file():
        raise BackupInvalid(f"{source} is gone", needed="the chosen backup", remedy="run again: it chooses from what is there")
    remove_tree(unproved)
    unproved.mkdir(parents=True)
    check_space(unproved, source.stat().st_size)
    job.progress(text="copying the backup aside")
    target = unproved / source.name
    copy_verified(source, target, job.advance)
    manifest = target.with_suffix(MANIFEST_SUFFIX) if job.spec.get("manifest") else None
    if manifest:
        copy_verified(Path(job.spec["manifest"]), manifest, nothing)
    return {**job.spec, "path": str(target), "manifest": str(manifest) if manifest else None}


def copy_verified(source: Path, target: Path, advance: Callable[[int, int], None]) -> None:
    """Copy a file, flush, read back; with its time, which tells which version a zip was made on."""
    digest = hashlib.sha256()
    with source.open("rb") as given, target.open("wb") as taken:
        while chunk := given.read(CHUNK):
            digest.update(chunk)
            taken.write(chunk)
            advance(0, len(chunk))
        taken.flush()
        os.fsync(taken.fileno())
        about = os.fstat(given.fileno())
    os.utime(target, ns=(about.st_atime_ns, about.st_mtime_ns))
    if sha256_file(target) != digest.hexdigest():
        raise BackupInvalid(f"The copy of {source.name} differs from it", needed="the same bytes", remedy="check the disk of this agent")


def _publish(copy: Path, folder: Path, sha256: str) -> Path:
    """Give the copy a name that no other backup has; the manifest first: a zip is never seen without it."""
    target = _free(folder / copy.name, sha256)
    manifest = copy.with_suffix(MANIFEST_SUFFIX)
    if manifest.exists():
        manifest.replace(target.with_suffix(MANIFEST_SUFFIX))
    elif not target.exists():
        target.with_suffix(MANIFEST_SUFFIX).unlink(missing_ok=True)  # of a zip that is gone
    copy.replace(target)
    sync_folder(folder)
    return target


def _free(wanted: Path, sha256: str) -> Path:
    """The name itself, or with the start of the SHA-256 where another backup has it."""
    for target in (wanted, wanted.with_stem(f"{wanted.stem}-{sha256[:8]}")):
        if not target.exists() or sha256_file(target) == sha256:
            return target
    return wanted.with_stem(f"{wanted.stem}-{sha256}")
