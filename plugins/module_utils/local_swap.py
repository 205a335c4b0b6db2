# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of one prepared restore, and the way there and back, on a POSIX host.

A commit only renames. A file that is replaced is first linked into `replaced/`, so that at every moment the old and the new one both exist
somewhere, and each step may be broken off and repeated.
"""

# Paths are texts here: thousands of files go by while the web server stands still.
# ruff: noqa: PTH101, PTH102, PTH103, PTH104, PTH105, PTH108, PTH106, PTH112, PTH114, PTH120

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from typing import Any

from .errors import JobFailed, NoSuchJob, Refused
from .local_files import read_json, sha256_file, write_json
from .local_jobs import Job
from .local_places import Places
from .local_rows import CREATE, REPLACE, Row, read_rows, write_rows
from .local_zip import batches, in_order

ROWS = "rows.txt"  # what was prepared
BEGUN = "begun.txt"  # the same rows as a commit found things when it began
MADE = "made.json"  # the folders it has to make; there once the commit has begun
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)  # file systems that can't link, or not once more
SHOWN = 10


class Swap:
    """One prepared restore, as the commit with the spec `commit` carries it out. `touched`: files may have been moved."""

    def __init__(self, job: Job, commit: dict[str, Any]) -> None:
        work = job.store.work
        self.job, self.root = job, str(job.spec["root"])
        self.run = str(commit.get("prepared"))
        self.staging, self.replaced, self.quarantine = (f"{work}/{name}/{self.run}" for name in ("staging", "replaced", "quarantine"))
        self.folder = job.store.folder(self.run)
        made = read_json(self.folder / MADE)
        self.touched = isinstance(made, list)
        self.made: list[str] = made if isinstance(made, list) else []
        if not (self.folder / ROWS).exists():
            raise NoSuchJob(
                f"No restore stands prepared as {self.run}",
                found="none, or a later one took its place",
                needed="a prepared restore",
                remedy="prepare it first (state: prepared)",
            )
        self.count = sum(1 for _row in self.rows())
        self.leftovers: list[str] = list(commit.get("leftovers") or [])
        self.now = (read_json(self.folder / "spec.json") or {}).get("mtime") != "keep"
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
        """Look once more what is there, now that the web server stands still, and write down what will be done and must be undone."""
        if self.touched:
            return
        places, made = Places(self.root), set[str]()
        write_rows(self.folder / BEGUN, (_as_it_is(row, places, made) for row in self.rows()))
        self.made = sorted(made)
        write_json(self.folder / MADE, self.made)
        self.touched = True

    def forward(self) -> int:
        """Put every staged file in its place; gives how many files it moved now."""
        moved = 0
        for row in self.rows():
            staged = f"{self.staging}/{row.path}"
            if os.path.lexists(staged):
                self._swap_in(staged, f"{self.root}/{row.target}", row)
                moved += 1
                self.job.advance(1, row.size)
        return moved

    def _swap_in(self, staged: str, target: str, row: Row) -> None:
        if row.action == REPLACE:
            kept = f"{self.replaced}/{row.path}"
            self._keep(target, kept)
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

    def _keep(self, target: str, kept: str) -> None:
        """Hold on to the file that is there now."""
        if not os.path.lexists(target) and os.path.lexists(kept):
            return  # moved there by a run that was broken off
        if not stat.S_ISREG(os.lstat(target).st_mode):
            raise FileExistsError(errno.EEXIST, "is no ordinary file any more", target)
        self._kept_folder(os.path.dirname(kept))
        with contextlib.suppress(FileNotFoundError):
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
            place, aside = f"{self.root}/{path}", f"{self.quarantine}/{path}"
            if os.path.lexists(place) and not os.path.islink(place):
                os.makedirs(os.path.dirname(aside), exist_ok=True)
                os.rename(place, aside)
        return [path for path in self.leftovers if os.path.lexists(f"{self.quarantine}/{path}")]

    def wrong(self) -> list[str]:
        """Files that aren't what the backup holds, read from their places."""
        found: list[str] = []
        for done in in_order(self._differing, self.batches()):
            found += done
        return found

    def _differing(self, rows: list[Row]) -> list[str]:
        return [row.path for row in rows if not _holds(f"{self.root}/{row.target}", row.sha256)]

    # and back

    def back(self, *, edited: bool) -> dict[str, Any]:
        """Put back what was there before; may be repeated. Gives how many files it `put_back` and `removed`, and which it `kept`.

        With `edited`, files that somebody changed since they were swapped in stay, and are named; without, nobody could change them.
        Raises `JobFailed`, naming the files, after all others were put back.
        """
        done = _Done()
        for steps in in_order(lambda rows: [(row.path, *self._step(row, edited)) for row in rows], self.batches()):
            for path, outcome, step in steps:
                done.carry_out(path, outcome, step)
        for path in self.leftovers:
            if os.path.lexists(f"{self.quarantine}/{path}"):
                done.carry_out(path, *self._unquarantined(path))
        self._drop_folders()
        if done.failed:
            raise JobFailed(
                f"{len(done.failed)} files couldn't be put back",
                found="; ".join(done.failed[:SHOWN]),
                needed="the files as they were before the restore",
                remedy=f"mend the cause and undo again; they are kept in {self.replaced}",
            )
        self.touched = False
        return {**done.counts, "kept": done.kept}

    def _step(self, row: Row, edited: bool) -> tuple[str, Callable[[], object] | None]:
        """The outcome for one file and the way to it."""
        target, kept = f"{self.root}/{row.target}", f"{self.replaced}/{row.path}"
        there, waiting = os.path.lexists(target), os.path.lexists(f"{self.staging}/{row.path}")
        if row.action == CREATE:
            if waiting or not there:
                return "", None
            return ("removed", lambda: os.unlink(target)) if not edited or _holds(target, row.sha256) else ("kept", None)
        if not os.path.lexists(kept):
            return "", None
        if there and os.path.samestat(os.lstat(kept), os.lstat(target)):  # linked, not yet replaced: a rename between two links does nothing
            return "", lambda: os.unlink(kept)
        if edited and there and not waiting and not _holds(target, row.sha256):
            return "kept", None
        return "put_back", lambda: self._put_back(kept, target)

    @staticmethod
    def _put_back(kept: str, target: str) -> None:
        """With a time of now, so that no synchronisation takes it for older than what it replaces."""
        os.utime(kept)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.replace(kept, target)

    def _unquarantined(self, path: str) -> tuple[str, Callable[[], object] | None]:
        place, aside = f"{self.root}/{path}", f"{self.quarantine}/{path}"
        if os.path.lexists(place):
            return "kept", None

        def move() -> None:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            os.rename(aside, place)

        return "", move

    def _drop_folders(self) -> None:
        """Folders that only the restore made, unless something else is in them by now."""
        for folder in sorted(self.made, key=len, reverse=True):
            with contextlib.suppress(OSError):
                os.rmdir(f"{self.root}/{folder}")


class _Done:
    """What became of the steps back: how many of each outcome, which files were kept, which failed and why."""

    def __init__(self) -> None:
        self.counts = {"put_back": 0, "removed": 0}
        self.kept: list[str] = []
        self.failed: list[str] = []

    def carry_out(self, path: str, outcome: str, step: Callable[[], object] | None) -> None:
        try:
            if step:
                step()
        except OSError as error:
            self.failed.append(f"{path} ({error.strerror})")
            return
        if outcome == "kept":
            self.kept.append(path)
        elif outcome:
            self.counts[outcome] += 1


def _as_it_is(row: Row, places: Places, made: set[str]) -> Row:
    """The row for what is there now: a file may have come or gone since the restore was prepared. Adds the folders it needs to `made`."""
    place = places.find(row.path)
    if place is None:
        target = places.target(row.path)
        made.update(_missing(target, places))
        return Row(CREATE, row.size, row.sha256, row.path, target)
    if not place.is_file:
        raise Refused(f"{place.path} is in the way", needed="an ordinary file or nothing", remedy="move it away and run again")
    return Row(REPLACE, row.size, row.sha256, row.path, places.relative(place))


def _missing(target: str, places: Places) -> Iterator[str]:
    """Folders above `target` that aren't there."""
    parent = target.rpartition("/")[0]
    while parent and places.folder(parent) is None:
        yield parent
        parent = parent.rpartition("/")[0]


def _holds(path: str, sha256: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode) and sha256_file(path) == sha256
    except OSError:
        return False


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
