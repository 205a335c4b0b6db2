# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What restores leave in the working folder of a POSIX agent, and when it goes.

Files that a commit replaced may be the only ones of their kind: they go when a later commit has ended well, and only where a journal was read that
says that their restore is closed.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from .local_files import entries, remove_tree
from .local_jobs import Job
from .local_rows import ROWS


def forget_preparations(job: Job) -> None:
    """Once this preparation stands: what earlier ones extracted, unless a commit has begun with it and isn't closed."""
    store = job.store
    kept = {job.run_id, *store.open_commits().values()}
    for folder in store.subfolders("staging"):
        run = folder.name
        if run in kept or (store.touched(run) and not store.closed(run)):
            continue
        if not store.touched(run):
            (store.folder(run) / ROWS).unlink(missing_ok=True)  # first: rows without their files would be half a restore
        _remove(job, folder)


def forget_replaced(job: Job, prepared: str) -> None:
    """Once the restore of `prepared` has ended well: what it has left in staging, and what earlier ones kept for their undoing."""
    store = job.store
    _remove(job, store.work / "staging" / prepared)
    for folder in store.subfolders("replaced"):
        if folder.name != prepared and store.closed(folder.name):
            (store.folder(folder.name) / ROWS).unlink(missing_ok=True)  # first: rows without their files would undo half a restore
            _remove(job, folder)


def forget_undone(job: Job, prepared: str) -> None:
    """Once a restore is undone: what it has left in staging, and the empty folders of what was put back."""
    work = job.store.work
    _remove(job, work / "staging" / prepared)
    with contextlib.suppress(OSError):
        _remove_empty(work / "replaced" / prepared)


def _remove(job: Job, folder: Path) -> None:
    try:
        remove_tree(folder)
    except OSError as error:
        job.log(f"{folder} can't be deleted: {error}")


def _remove_empty(folder: Path) -> None:
    """A folder in which there is nothing but folders. Raises OSError at the first file."""
    for entry in entries(folder):
        if entry.is_dir(follow_symlinks=False):
            with contextlib.suppress(OSError):
                _remove_empty(Path(entry.path))
    os.rmdir(folder)  # noqa: PTH106
