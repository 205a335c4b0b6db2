# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The job `prepare` of a restore on a POSIX host: safety copy, extraction to staging, verification, and the rows that a commit will carry out."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from .entry_names import Limits, SafeEntry, names_digest
from .errors import BackupInvalid, Refused
from .local_backup import check_space, make_backup
from .local_cleanup import forget_preparations
from .local_files import remove_tree, sha256_file, write_all
from .local_jobs import Job
from .local_places import Place, Places, check_file
from .local_rows import CREATE, REPLACE, ROWS, SAME, Row, write_rows
from .local_verify import Pair, entry_bytes, safe_entries
from .local_zip import ZipReader, batches, drained, in_order
from .local_zipdirectory import Member


def run_prepare(job: Job) -> dict[str, Any]:
    """Everything that can fail, before the web server is touched. The last thing written are the rows: without them nothing was prepared."""
    spec = job.spec
    zip_path, staging = Path(spec["zip"]), job.store.work / "staging" / job.run_id
    _check_place(job, Path(spec["root"]))
    if not zip_path.is_file() or sha256_file(zip_path) != spec["zip_sha256"]:
        raise BackupInvalid(
            f"{zip_path} isn't the backup that was chosen", needed=f"SHA-256 {spec['zip_sha256']}", remedy="run again: it chooses anew"
        )
    try:
        with ZipReader(zip_path) as reader:
            pairs = _chosen(job, reader)
            safety = make_backup(job, spec["safety"]) if spec.get("safety") else None
            files, total = len(pairs), sum(entry.size for _member, entry in pairs)
            job.progress(text="extracting and verifying", files=0, bytes=0, total_files=files, total_bytes=total)
            _make_folders(staging, pairs)
            rows = write_rows(job.folder / ROWS, _staged(job, reader, pairs, staging))
    except BaseException:
        remove_tree(staging)
        raise
    forget_preparations(job)
    return {"rows": rows, "same": files - rows, "files": files, "bytes": total, "safety": safety}


def _check_place(job: Job, root: Path) -> None:
    """Files are put in their places by renaming, which takes one volume."""
    if not root.is_dir():
        raise Refused(f"{root} is no folder", needed="the folder of DataMiner", remedy="set dataminer_root")
    if root.stat().st_dev != job.store.work.stat().st_dev:
        raise Refused(
            f"{job.store.work} isn't on the volume of {root}", needed="a working folder on the same volume", remedy="set dataminer_work_dir"
        )


def _chosen(job: Job, reader: ZipReader) -> list[Pair]:
    """What is to be extracted, after every name was found safe and there is room for it."""
    spec = job.spec
    pairs = safe_entries(reader, Limits(**(spec.get("limits") or {})))
    if names_digest(entry.name for _member, entry in pairs) != spec["names_sha256"]:
        raise BackupInvalid(f"{reader.path} holds other names than were checked", remedy="run again")
    include = None if spec.get("include") is None else frozenset(spec["include"])
    pairs = [pair for pair in pairs if include is None or _included(pair[1].path, include)]
    check_space(job.store.work, max(sum(entry.size for _member, entry in pairs), int(spec.get("free_needed") or 0)))
    return pairs


def _included(path: str, include: frozenset[str]) -> bool:
    """The path itself is named, or a folder above it."""
    while path not in include:
        path = path.rpartition("/")[0]
        if not path:
            return False
    return True


def _make_folders(staging: Path, pairs: list[Pair]) -> None:
    remove_tree(staging)
    for folder in sorted({entry.path.rpartition("/")[0] for _member, entry in pairs} | {""}):
        (staging / folder).mkdir(parents=True, exist_ok=True)


def _staged(job: Job, reader: ZipReader, pairs: list[Pair], staging: Path) -> Iterator[Row]:
    """Extract all files, on all cores, until the disk has them; gives their rows.

    What was written is read where it counts: by the commit, in its place, before the web server starts. What the content holds already stays staged
    too: a file that changes before the commit is restored with the others.
    """
    stage = _Stage(job, reader, staging)
    for done in in_order(lambda batch: [stage.row(*pair) for pair in batch], batches(drained(pairs), lambda pair: pair[0].size)):
        yield from done
        job.advance(len(done), sum(row.size for row in done))
    os.sync()


class _Stage:
    """Where files are extracted to, and how each of them becomes a row."""

    def __init__(self, job: Job, reader: ZipReader, staging: Path) -> None:
        self.reader, self.staging, self.places = reader, str(staging), Places(job.spec["root"])
        self.device, self.keep_times = staging.stat().st_dev, job.spec["mtime"] == "keep"

    def row(self, member: Member, entry: SafeEntry) -> Row:
        staged = f"{self.staging}/{entry.path}"
        sha256 = self._extract(member, staged)
        place = self.places.find(entry.path)
        if place is None:
            return Row(CREATE, entry.size, sha256, entry.path, self.places.target(entry.path))
        _check_replaceable(entry.path, place, self.device)
        same = place.about.st_size == entry.size and sha256_file(place.path) == sha256
        return Row(SAME if same else REPLACE, entry.size, sha256, entry.path, self.places.relative(place))

    def _extract(self, member: Member, staged: str) -> str:
        with open(staged, "xb", buffering=0) as stream:  # noqa: PTH123 (called for every file of a backup: a Path is slow)
            digest = entry_bytes(self.reader, member, lambda data: write_all(stream.write, data))
        if self.keep_times:
            with contextlib.suppress(OverflowError, ValueError):  # a date that never was
                kept = datetime(*member.date_time).timestamp()  # zips have local time
                os.utime(staged, (kept, kept))
        return digest


def _check_replaceable(path: str, place: Place, device: int) -> None:
    check_file(path, place)
    if place.about.st_dev != device:
        raise Refused(f"{path} is on another volume", needed="content and working folder on one volume", remedy="set dataminer_work_dir")
