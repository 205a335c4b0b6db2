# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The job `install` on a POSIX host: the vendor's installer as a process of its own, never aborted."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import InstallFailed, InvalidInput
from .local_files import find, read_tail, sha256_file, utc_text
from .local_jobs import Job

LOG_TAIL = 4096


def run_install(job: Job) -> dict[str, Any]:
    """Check the package, run the installer to its end, judge its exit code.

    The installer gets a session of its own and the lock: it goes on when this process dies, and nobody starts a second one meanwhile.
    """
    spec = job.spec
    check_package(job, Path(spec["package"]), spec.get("sha256"))
    kept = keep_web_config(job)
    started = utc_text(time.time())
    log = job.folder / "installer.log"
    job.progress(text=f"installing {Path(spec['package']).name}")
    with log.open("ab") as output:
        try:
            process = subprocess.Popen(  # pylint: disable=ansible-bad-function  # run_command can't leave it running
                spec["argv"], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, pass_fds=(job.lock,), cwd=job.folder
            )
        except OSError as error:
            raise InvalidInput(
                "The installer can't be started",
                found=f"{spec['argv'][0]}: {error.strerror}",
                needed="the Taskbar Utility",
                remedy="set dataminer_installer",
            ) from error
    rc = _wait(job, process, Path(spec["packages_dir"]), started)
    tail = progress_tail(Path(spec["packages_dir"]), started)
    if rc not in spec["success_codes"]:
        said = (tail or read_tail(log, LOG_TAIL) or "").strip()
        raise InstallFailed(
            f"The installer ended with code {rc}",
            found=f"the last line of its log: {said.splitlines()[-1].strip() if said else 'nothing'}",
            needed=f"one of the codes {', '.join(map(str, spec['success_codes']))}",
            remedy="mend what the log names, then run the playbook again: agents that are done stay as they are",
            details=said,
        )
    said = tail or read_tail(log, LOG_TAIL) or ""
    end = {"started": started, "finished": utc_text(time.time())}
    return {"rc": rc, "log_tail": said, **end, "kept": kept, "edited": web_config_edited(job, kept)}


def keep_web_config(job: Job) -> str | None:
    """A copy of Web.config, which people edit, from before the install; None where there is none. It may hold secrets: its mode is kept too."""
    root = job.spec.get("root")
    config = find(Path(root), "Webpages", "API", "Web.config") if root else None
    if config is None:
        return None
    return str(shutil.copy(config, job.folder / "web.config.before"))


def web_config_edited(job: Job, kept: str | None) -> bool | None:
    """Whether Web.config isn't any more what it was before the install; None where there is no copy of that, or either can't be read."""
    if kept is None:
        return None
    try:
        config = find(Path(job.spec["root"]), "Webpages", "API", "Web.config")
        return config is None or sha256_file(config) != sha256_file(kept)
    except OSError as error:  # whatever it is, the installer has ended well
        job.log(f"Web.config wasn't compared: {error}")
        return None


def check_package(job: Job, package: Path, sha256: str | None) -> None:
    """Before anything else: the package is there, and is the one that was meant."""
    if not package.is_file():
        raise InvalidInput(
            "The package isn't on this agent", found=f"no file {package}", needed="a .dmupgrade file", remedy="set dataminer_package to its path"
        )
    if sha256:
        job.progress(text="checking the package")
        found = sha256_file(package)
        if found != sha256.lower():
            raise InvalidInput(
                f"{package.name} isn't the package that was meant",
                found=f"SHA-256 {found}",
                needed=f"SHA-256 {sha256.lower()}",
                remedy="download it again",
            )


def _wait(job: Job, process: subprocess.Popen[bytes], packages: Path, started: str) -> int:
    begun = time.monotonic()
    while True:
        try:
            return process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            line = (progress_tail(packages, started) or "").strip().rsplit("\n", 1)[-1]
            job.progress(text=f"installing for {time.monotonic() - begun:.0f} s" + (f": {line[-160:].strip()}" if line else ""))


def progress_tail(packages: Path, started: str) -> str | None:
    """The end of the newest progress.log written since `started`. What can't be read now isn't there: the installer must be awaited all the same."""
    newest = max(_logs(packages), default=None)
    return read_tail(newest[1], LOG_TAIL) if newest and utc_text(newest[0]) >= started else None


def _logs(packages: Path) -> Iterator[tuple[float, Path]]:
    with contextlib.suppress(OSError):
        for folder in packages.iterdir():
            with contextlib.suppress(OSError):
                log = folder / "progress.log"
                yield log.stat().st_mtime, log
