# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs of the POSIX adapter, and what others do with the same files.

python tests/bench/local.py WORK RUN_ID SPEC     carries out one job and prints its result with the most memory it had, in bytes
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import work
from ansible_collections.dataminer.web.plugins.module_utils import local_host, local_zipwrite
from ansible_collections.dataminer.web.plugins.module_utils.local_jobs import Job
from race import OURS, Contest

ZIP, ARCHIVE, UNZIP = "zip -r -q", "shutil.make_archive", "unzip -q -o"
FAST_LIBRARY = local_zipwrite.fast_zlib


def contest() -> Contest:
    packers: dict[str, Callable[[Path, Path], object]] = {ZIP: zip_command, OURS: partial(backup, fast=False), ARCHIVE: make_archive}
    if FAST_LIBRARY:
        packers[f"{OURS}, isal"] = partial(backup, fast=True)
    return Contest(
        name="POSIX",
        packers=packers,
        pack_peer=ZIP,
        unpack_peer=UNZIP,
        unpackers={UNZIP: unzip_command},
        jobs=jobs,
        peak=peak_memory,
        backup_target=0.5,
        restore_target=1.5,
    )


def jobs(folder: Path) -> work.Jobs:
    """Jobs in a working folder of their own, by the standard library alone."""
    local_zipwrite.fast_zlib = None
    folder.mkdir(parents=True, exist_ok=True)
    return work.Jobs(local_host.LocalHost(str(folder)))


def backup(root: Path, folder: Path, *, fast: bool) -> dict[str, Any]:
    made = jobs(folder / "work")
    local_zipwrite.fast_zlib = FAST_LIBRARY if fast else None
    return work.backup(made, root, folder)


def peak_memory(folder: Path, spec: dict[str, Any], run_id: str) -> tuple[int, dict[str, Any]]:
    """The job is started by a process of its own: it begins with the memory of whoever starts it."""
    argv = [sys.executable, __file__, folder, run_id, json.dumps(spec)]
    result = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
    return result.pop("peak"), result


def _measured(runner: Callable[[Job], dict[str, Any]]) -> Callable[[Job], dict[str, Any]]:
    def run(job: Job) -> dict[str, Any]:
        result = runner(job)
        return {**result, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}

    return run


def zip_command(root: Path, folder: Path) -> None:
    subprocess.run(["zip", "-r", "-q", folder / "peer.zip", "."], cwd=root, check=True)


def make_archive(root: Path, folder: Path) -> None:
    shutil.make_archive(str(folder / "archive"), "zip", root)


def unzip_command(path: Path, root: Path) -> None:
    subprocess.run(["unzip", "-q", "-o", path, "-d", root], check=True)


def main(folder: Path, run_id: str, spec: dict[str, Any]) -> dict[str, Any]:
    kind = spec["kind"]
    local_host.RUNNERS[kind] = _measured(local_host.RUNNERS[kind])
    return jobs(folder).run(spec, run_id)


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]))))
