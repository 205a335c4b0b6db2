# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of one prepared restore, and the way there, on a POSIX host.

A commit only renames. A file that is replaced is first linked into `replaced/`, so that at every moment the old and the new one both exist
somewhere, and each step may be broken off and repeated.
"""

# Paths are texts here: thousands of files go by while the web server stands still.
# ruff: noqa: PTH101, PTH102, PTH103, PTH104, PTH105, PTH108, PTH112, PTH114, PTH120

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
import time
from collections.abc import Iterator
from typing import Any

from .errors import ChangedMeanwhile, NoSuchJob
from .local_files import read_json, sha256_file, write_json
from .local_jobs import Job
from .local_places import Places, check_file
from .local_rows import CREATE, REPLACE, ROWS, SAME, Row, read_rows, write_rows
from .local_store import MADE
from .local_zip import batches, in_order

BEGUN = "begun.txt"  # the same rows as a commit found things when it began
PATIENCE = 10.0  # seconds for all files together that another program keeps from being read
LOOK_EVERY = 0.1  # seconds
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)  # file systems that can't link, or not once more
SHOWN = 10


class Swap:
    """One prepared restore, as the commit with the spec `commit` carries it out.

    `touched`: files may have been moved. `resumed`: by an earlier commit. `count` files are swapped, of `files` that the backup holds.
    `stays`: once all is put back, what was `kept` in its place, and the `conflicts`.
    """

    def __init__(self, job: Job, commit: dict[str, Any]) -> None:
        work = job.store.work
        self.job, self.root = job, str(job.spec["root"])
        self.run = str(commit.get("prepared"))
        self.staging, self.replaced, self.quarantine, self.conflicts = (
            f"{work}/{name}/{self.run}" for name in ("staging", "replaced", "quarantine", "conflicts")
        )
        self.folder = job.store.folder(self.run)
        self.touched = self.resumed = job.store.touched(self.run)
        made = read_json(self.folder / MADE)
        self.made: list[str] = made if isinstance(made, list) else []
        if not (self.folder / ROWS).exists():
            raise NoSuchJob(
                f"No restore stands prepared as {self.run}",
                found="none, or a later one took its place",
                needed="a prepared restore",
                remedy="prepare it first (state: prepared)",
            )
        self.files = sum(1 for _row in self.rows())
        self.count = sum(1 for row in self.rows() if row.action != SAME)
        self.reader = PatientReader(float(job.spec.get("retry_seconds") or PATIENCE))
        self.leftovers: list[str] = list(commit.get("leftovers") or [])
        self.now = (read_json(self.folder / "spec.json") or {}).get("mtime") != "keep"
        self.stays: dict[str, list[str]] = {}
        self._folders: set[str] = set()

    def rows(self) -> Iterator[Row]:
        return read_rows(self.folder / (BEGUN if self.touched else ROWS))

    def batches(self) -> Iterator[list[Row]]:
        return batches(self.rows(), lambda row: row.size)

    # there

    def check_staged(self) -> None:
        """Before anything is touched: every file stands ready."""
        if self.touched:
            return
        missing = [row.path for row in self.rows() if not os.path.lexists(f"{self.staging}/{row.path}")]
        if missing:
            raise NoSuchJob(
                f"The restore prepared as {self.run} isn't complete any more",
                found=f"{len(missing)} files are gone: {', '.join(missing[:SHOWN])}",
                remedy="prepare it again",
            )

    def begin(self) -> None:
        """Look once more what is there, now that the web server stands still, and write down what will be done and must be undone.

        Raises `ChangedMeanwhile` for a file that can't be read: whether it is the backup's isn't known.
        """
        if self.touched:
            return
        places, made = Places(self.root), set[str]()
        self.count = write_rows(self.folder / BEGUN, (row if same else _as_it_is(row, places, made) for row, same in self._compared()))
        self.made = sorted(made)
        write_json(self.folder / MADE, self.made)
        self.touched = True

    def _compared(self) -> Iterator[tuple[Row, bool]]:
        """The rows, and whether the content still holds what it held when the restore was prepared."""
        for done in in_order(lambda rows: [(row, row.action == SAME and self._still(row)) for row in rows], self.batches()):
            yield from done

    def _still(self, row: Row) -> bool:
        try:
            return self.reader.holds(f"{self.root}/{row.target}", row.sha256)
        except OSError as error:
            raise ChangedMeanwhile(
                f"{row.target} can't be read",
                found=error.strerror or str(error),
                needed="a file that is compared with the backup's",
                remedy="find out which program holds it, then run again",
            ) from error

    def forward(self) -> int:
        """Put every staged file in its place; gives how many files it moved now."""
        moved = 0
        for row in self.rows():
            staged = f"{self.staging}/{row.path}"
            if row.action != SAME and os.path.lexists(staged):
                self._swap_in(staged, f"{self.root}/{row.target}", row)
                moved += 1
                self.job.advance(1, row.size)
        return moved

    def _swap_in(self, staged: str, target: str, row: Row) -> None:
        if row.action == REPLACE:
            kept = f"{self.replaced}/{row.path}"
            self._keep(target, kept, row.path)
            _take_rights(kept, staged)
        else:
            parent = os.path.dirname(target)
            self._make_folder(parent)
            _take_rights(parent, staged, folder=True)
            if os.path.lexists(target):
                raise FileExistsError(errno.EEXIST, "appeared while the files were swapped in", target)
        if self.now:
            os.utime(staged)
        os.replace(staged, target)

    def move_aside(self, target: str, path: str) -> None:
        """Out of the way, into `conflicts/`: what somebody wrote."""
        _move(target, f"{self.conflicts}/{path}")

    def _keep(self, target: str, kept: str, path: str) -> None:
        """Hold on to the file that is there now."""
        if not os.path.lexists(target) and os.path.lexists(kept):
            return  # moved there by a run that was broken off
        if not stat.S_ISREG(os.lstat(target).st_mode):
            raise FileExistsError(errno.EEXIST, "is no ordinary file any more", target)
        self._kept_folder(os.path.dirname(kept))
        if os.path.lexists(kept):
            if not os.path.samestat(
                os.lstat(target), os.lstat(kept)
            ):  # made anew by somebody, once the one before was moved there: that is the only one of its kind
                self.move_aside(target, path)
                return
            os.unlink(kept)
        try:
            os.link(target, kept, follow_symlinks=False)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            os.rename(target, kept)

    def _kept_folder(self, folder: str) -> None:
        if folder not in self._folders:
            os.makedirs(folder, exist_ok=True)
            self._folders.add(folder)

    def _make_folder(self, folder: str) -> None:
        """With owner and mode of the folder it is made in."""
        if folder in self._folders or folder == self.root or os.path.isdir(folder):
            self._folders.add(folder)
            return
        parent = os.path.dirname(folder)
        self._make_folder(parent)
        os.mkdir(folder)
        _take_rights(parent, folder)
        self._folders.add(folder)

    def move_leftovers(self) -> list[str]:
        """Move what the backup doesn't know into quarantine; gives all that is there."""
        for path in self.leftovers:
            place = f"{self.root}/{path}"
            if os.path.lexists(place) and not os.path.islink(place):
                _move(place, f"{self.quarantine}/{path}")
        return [path for path in self.leftovers if os.path.lexists(f"{self.quarantine}/{path}")]

    def wrong(self) -> list[str]:
        """Files that aren't what the backup holds, read from their places. What `begin` has just read isn't read again."""
        found: list[str] = []
        for done in in_order(self._differing, self.batches()):
            found += done
        return found

    def _differing(self, rows: list[Row]) -> list[str]:
        read = (row for row in rows if self.resumed or row.action != SAME)
        return [told for row in read if (told := self._difference(row))]

    def _difference(self, row: Row) -> str:
        try:
            return "" if self.reader.holds(f"{self.root}/{row.target}", row.sha256) else row.path
        except OSError as error:
            return f"{row.path} ({error.strerror})"


class PatientReader:
    """Reads files that another program may keep from being read for a moment; waits `seconds` for all of them together."""

    def __init__(self, seconds: float) -> None:
        self._left, self._lock = seconds, threading.Lock()

    def holds(self, path: str, sha256: str) -> bool:
        """Whether it is an ordinary file with these bytes. Raises OSError where it can't be read: then nobody knows."""
        return self.digest(path) == sha256

    def digest(self, path: str) -> str | None:
        """The SHA-256 of an ordinary file, None for anything else and for nothing. Raises OSError where it can't be read."""
        while True:
            try:
                return sha256_file(path) if stat.S_ISREG(os.lstat(path).st_mode) else None
            except (FileNotFoundError, NotADirectoryError):
                return None
            except OSError:
                if not self._wait():
                    raise

    def _wait(self) -> bool:
        with self._lock:
            self._left -= LOOK_EVERY
            left = self._left
        if left > 0:
            time.sleep(LOOK_EVERY)
        return left > 0


def _move(place: str, aside: str) -> None:
    """Out of the way; what was moved there before stays."""
    os.makedirs(os.path.dirname(aside), exist_ok=True)
    free, number = aside, 0
    while os.path.lexists(free):
        number += 1
        free = f"{aside}.{number}"
    os.rename(place, free)


def _as_it_is(row: Row, places: Places, made: set[str]) -> Row:
    """The row for what is there now: a file may have come or gone since the restore was prepared. Adds the folders it needs to `made`."""
    place = places.find(row.path)
    if place is None:
        target = places.target(row.path)
        made.update(_missing(target, places))
        return Row(CREATE, row.size, row.sha256, row.path, target)
    check_file(row.path, place)
    return Row(REPLACE, row.size, row.sha256, row.path, places.relative(place))


def _missing(target: str, places: Places) -> Iterator[str]:
    """Folders above `target` that aren't there."""
    parent = target.rpartition("/")[0]
    while parent and places.folder(parent) is None:
        yield parent
        parent = parent.rpartition("/")[0]


def _take_rights(source: str, target: str, *, folder: bool = False) -> None:
    """Owner, mode and access lists as `source` has them; a new file in a folder gets no right to be run."""
    wanted, about = os.lstat(source), os.lstat(target)
    mode = stat.S_IMODE(wanted.st_mode) & (0o666 if folder else 0o7777)
    if (about.st_uid, about.st_gid) != (wanted.st_uid, wanted.st_gid):
        with contextlib.suppress(PermissionError):
            os.chown(target, wanted.st_uid, wanted.st_gid)
    if not folder and hasattr(os, "listxattr"):
        for name in _attributes(source):
            with contextlib.suppress(OSError):
                os.setxattr(target, name, os.getxattr(source, name))
    if stat.S_IMODE(about.st_mode) != mode or about.st_uid != wanted.st_uid:
        os.chmod(target, mode)


def _attributes(path: str) -> list[str]:
    try:
        return os.listxattr(path)
    except OSError:
        return []
