# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back of a restore on a POSIX host: what was there before is put back, and what somebody wrote since is never lost."""

# Paths are texts here: thousands of files go by while the web server stands still.
# ruff: noqa: PTH103, PTH104, PTH105, PTH106, PTH108, PTH120

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Any

from .errors import JobFailed
from .local_files import walk
from .local_rows import CREATE, SAME, Row
from .local_swap import SHOWN, Swap
from .local_zip import in_order

Step = Callable[[], object]
Way = tuple[str, Step | None]  # pylint: disable=unsupported-binary-operation
"""What becomes of a file, and how."""


class WayBack:
    """Puts back the files of `swap`; may be repeated.

    A file that is neither the backup's nor the one of before was written by somebody, or left half by a power cut. With `edited` it stays; without,
    the swap had broken off, and it is moved to `conflicts/`, for the one of before has to come back.
    """

    def __init__(self, swap: Swap, *, edited: bool) -> None:
        self.swap, self.edited = swap, edited

    def go(self) -> dict[str, Any]:
        """Gives how many files it `put_back` and `removed`, which it `kept`, and the full paths of all `conflicts`.

        Raises `JobFailed`, naming the files, after all others were put back. A file that can't be read is none that somebody wrote: it has failed.
        """
        swap, done = self.swap, _Done()
        for steps in in_order(lambda rows: [(row.path, *self._way(row)) for row in rows], swap.batches()):
            for path, outcome, step in steps:
                done.carry_out(path, outcome, step)
        for path in swap.leftovers:
            if os.path.lexists(f"{swap.quarantine}/{path}"):
                done.carry_out(path, *self._unquarantined(path))
        self._drop_folders()
        if done.failed:
            raise JobFailed(
                f"{len(done.failed)} files couldn't be put back",
                found="; ".join(done.failed[:SHOWN]),
                needed="the files as they were before the restore",
                remedy=f"mend the cause and undo again; they are kept in {swap.replaced}",
            )
        swap.touched = False
        swap.stays = {"kept": done.kept, "conflicts": self._conflicts()}
        return {**done.counts, **swap.stays}

    def _way(self, row: Row) -> Way:
        """The outcome for one file and the way to it."""
        try:
            if row.action == SAME:
                return "", None
            return self._removal(row) if row.action == CREATE else self._return(row)
        except OSError as error:
            return "failed", _raiser(error)

    def _removal(self, row: Row) -> Way:
        target = f"{self.swap.root}/{row.target}"
        if os.path.lexists(f"{self.swap.staging}/{row.path}") or not os.path.lexists(target):
            return "", None
        if self.swap.reader.holds(target, row.sha256):
            return "removed", lambda: os.unlink(target)
        return ("kept", None) if self.edited else ("", lambda: self.swap.move_aside(target, row.path))

    def _return(self, row: Row) -> Way:
        target, kept = f"{self.swap.root}/{row.target}", f"{self.swap.replaced}/{row.path}"
        waiting = os.path.lexists(f"{self.swap.staging}/{row.path}")  # then it was never replaced
        if not os.path.lexists(kept):
            return ("gone" if not waiting and self.swap.reader.holds(target, row.sha256) else ""), None
        if not os.path.lexists(target):
            return "put_back", lambda: _put_back(kept, target)
        if os.path.samestat(os.lstat(kept), os.lstat(target)):  # linked, not yet replaced: a rename between two links does nothing
            return "", lambda: os.unlink(kept)
        if self._is_known(target, kept, row, waiting=waiting):
            return "put_back", lambda: _put_back(kept, target)
        return ("kept", None) if self.edited or waiting else ("put_back", lambda: self._replace(kept, target, row.path))

    def _is_known(self, target: str, kept: str, row: Row, *, waiting: bool) -> bool:
        """Whether the bytes in place are somewhere else too: in the backup, or in the file that was kept."""
        found = self.swap.reader.digest(target)
        return found is not None and ((found == row.sha256 and not waiting) or found == self.swap.reader.digest(kept))

    def _replace(self, kept: str, target: str, path: str) -> None:
        self.swap.move_aside(target, path)
        _put_back(kept, target)

    def _conflicts(self) -> list[str]:
        """All of this restore, of an earlier attempt too."""
        if not os.path.isdir(self.swap.conflicts):  # noqa: PTH112
            return []
        return [entry.path for entry in walk(self.swap.conflicts, lambda path, error: self.swap.job.log(f"{path}: {error}"))]

    def _unquarantined(self, path: str) -> Way:
        place, aside = f"{self.swap.root}/{path}", f"{self.swap.quarantine}/{path}"
        if os.path.lexists(place):
            return "kept", None

        def move() -> None:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            os.rename(aside, place)

        return "", move

    def _drop_folders(self) -> None:
        """Folders that only the restore made, unless something else is in them by now."""
        for folder in sorted(self.swap.made, key=len, reverse=True):
            with contextlib.suppress(OSError):
                os.rmdir(f"{self.swap.root}/{folder}")


class _Done:
    """What became of the steps back: how many of each outcome, which files were kept, which failed and why."""

    def __init__(self) -> None:
        self.counts = {"put_back": 0, "removed": 0}
        self.kept: list[str] = []
        self.failed: list[str] = []

    def carry_out(self, path: str, outcome: str, step: Step | None) -> None:
        try:
            if step:
                step()
        except OSError as error:
            self.failed.append(f"{path} ({error.strerror})")
            return
        if outcome == "kept":
            self.kept.append(path)
        elif outcome == "gone":  # failed, the undo would never end
            self.kept.append(f"{path} (what was there before is gone)")
        elif outcome:
            self.counts[outcome] += 1


def _put_back(kept: str, target: str) -> None:
    """With a time of now, so that no synchronisation takes it for older than what it replaces."""
    os.utime(kept)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    os.replace(kept, target)


def _raiser(error: OSError) -> Step:
    def fail() -> None:
        raise error

    return fail
