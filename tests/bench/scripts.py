# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs of the Windows adapter in a PowerShell engine of this machine, and what .NET's own ZipFile does in the same engine.

Every job is a process of its own, as on an agent, and so is every turn of ZipFile: the start of the engine counts for both, twice for a restore,
which is two jobs. What starts and asks for jobs stays, as a connection does, and is started before anything is measured.

ZipFile packs as it does when nobody asks for more, which is what people write; how fast its fastest level is stands beside it. It extracts with
the overload that takes `overwriteFiles`, which .NET Framework lacks and the engines of this machine have: without it ZipFile stops at the first file
that is there. How long it takes where nothing is there, after the old content was put aside, stands beside it: on ext4 a file that is emptied and
written anew goes to the disk at once, a new one doesn't.

python tests/bench/scripts.py PEAK COMMAND…     runs a command and writes the most memory it had, in bytes, to PEAK
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "conformance"))

import work
from ansible_collections.dataminer.web.plugins.plugin_utils.windows_host import WindowsHost
from harness import ONCE, Engine, posix_engine
from race import OURS, Contest

CREATE, FASTEST = "ZipFile::CreateFromDirectory", "the same, level Fastest"
EXTRACT, ANEW = "ZipFile::ExtractToDirectory", "the same, where nothing is"
PLAIN = dict.fromkeys(ONCE, "")  # the engine as anybody starts it
VERSIONS = """
[CmdletBinding(SupportsShouldProcess)] param()
$Ansible.Result = "PowerShell $($PSVersionTable.PSVersion) on .NET $([Environment]::Version)"
"""


@contextlib.contextmanager
def contest() -> Iterator[Contest]:
    """Raises harness.EngineMissing where there is no engine."""
    engine = Engine(posix_engine(), PLAIN)
    try:
        yield _contest(engine)
    finally:
        engine.close()


def _contest(engine: Engine) -> Contest:
    return Contest(
        name=f"Scripts, {engine.execute(VERSIONS, {}, 2)['result']}",
        packers={
            CREATE: partial(create, engine.command),
            OURS: lambda root, folder: work.backup(jobs(engine, folder / "work"), root, folder),
            FASTEST: partial(create, engine.command, more=", 'Fastest', $false"),
        },
        pack_peer=CREATE,
        unpack_peer=EXTRACT,
        unpackers={EXTRACT: partial(extract, engine.command), ANEW: partial(extract_anew, engine.command)},
        jobs=partial(jobs, engine),
        peak=partial(peak_memory, engine),
        backup_target=1.5,
        restore_target=1.5,
    )


def jobs(engine: Engine, folder: Path, before: Sequence[str] = ()) -> work.Jobs:
    """Jobs in a working folder of their own; `before` is what runs the engine that does the job."""
    return work.Jobs(WindowsHost(engine.execute, str(folder), launcher=[*before, *engine.command]))


def peak_memory(engine: Engine, folder: Path, spec: dict[str, Any], run_id: str) -> tuple[int, dict[str, Any]]:
    told = folder / f"{run_id}.peak"
    os.mkfifo(told)  # the process of a job ends a moment after it has told its result
    result = jobs(engine, folder, before=[sys.executable, __file__, str(told)]).run(spec, run_id)
    return int(told.read_text("utf-8")), result


def create(engine: Sequence[str], root: Path, folder: Path, *, more: str = "") -> None:
    _invoke(engine, f"CreateFromDirectory({_quoted(root)}, {_quoted(folder / 'peer.zip')}{more})")


def extract(engine: Sequence[str], path: Path, root: Path) -> None:
    _invoke(engine, f"ExtractToDirectory({_quoted(path)}, {_quoted(root)}, $true)")


def extract_anew(engine: Sequence[str], path: Path, root: Path) -> None:
    root.rename(f"{root}.old")
    _invoke(engine, f"ExtractToDirectory({_quoted(path)}, {_quoted(root)})")


def _invoke(engine: Sequence[str], call: str) -> None:
    subprocess.run([*engine, "-NoProfile", "-NonInteractive", "-Command", f"[IO.Compression.ZipFile]::{call}"], check=True)


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def main(told: Path, command: Sequence[str]) -> None:
    process = subprocess.Popen(command)
    told.write_text(str(os.wait4(process.pid, 0)[2].ru_maxrss * 1024), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
