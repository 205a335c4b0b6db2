# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast backups and restores are, against what people use for it, and how much memory they take.

    python tests/bench/bench.py                       350 MB in 10,000 files, three rounds
    python tests/bench/bench.py --files 200 --megabytes 5 --rounds 1 --lenient

Each round runs every contender once, in turn, on the same files; what counts is the median of the ratios within a round. Nothing is deleted
between the rounds: some file systems are slow to make files for a minute after many were deleted. Exit status 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import work

OUTPUT = Path(__file__).resolve().parents[1] / "output"
MB = 1_000_000
BACKUP_TARGET = 0.5  # of the time of zip
RESTORE_TARGET = 1.5  # of the time of unzip
MEMORY_TARGET = 1.25  # of the memory with files half as large
OURS, FAST, ZIP, ARCHIVE, UNZIP = "backup", "backup, isal", "zip -r -q", "shutil.make_archive", "unzip -q -o"
RESTORE = "prepare + commit + release"


@dataclass
class Race:
    """Times of all contenders, round by round, and sizes of what they made."""

    times: dict[str, list[float]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    def run(self, name: str, action: Callable[[], object]) -> None:
        self.times.setdefault(name, []).append(work.timed(action))

    def ratio(self, name: str, peer: str) -> float:
        return statistics.median(ours / theirs for ours, theirs in zip(self.times[name], self.times[peer], strict=True))

    def lines(self, peer: str) -> list[str]:
        rows = []
        for name, times in self.times.items():
            size = f"{self.sizes[name] / MB:8.1f} MB" if name in self.sizes else ""
            compared = f"  {self.ratio(name, peer):5.2f} x {peer}" if name != peer else ""
            rows.append(f"  {name:28}{statistics.median(times):7.2f} s{size}{compared}".rstrip())
        return rows


def corpus(folder: Path, files: int, size: int) -> dict[str, int]:
    """Made by another process, whose memory a job would inherit."""
    script = Path(__file__).with_name("corpus.py")
    made: dict[str, int] = json.loads(subprocess.run([sys.executable, script, folder, str(files), str(size)], capture_output=True, check=True).stdout)
    return made


def race_backups(home: Path, root: Path, rounds: int) -> Race:
    contenders: dict[str, Callable[[Path, Path], object]] = {
        ZIP: work.zip_command,
        OURS: partial(work.backup, fast=False),
        ARCHIVE: work.make_archive,
    }
    if work.FAST_LIBRARY:
        contenders[FAST] = partial(work.backup, fast=True)
    race = Race()
    for number in range(rounds):
        for name, action in contenders.items():
            place = home / f"backup-{number}" / name.replace(" ", "-")
            place.mkdir(parents=True)
            race.run(name, partial(action, root, place))
            race.sizes[name] = next(place.glob("*.zip")).stat().st_size
    return race


def race_restores(home: Path, root: Path, rounds: int) -> Race:
    """Over trees in which every file differs from the backup."""
    folder = home / "restored"
    work.backup(root, folder, fast=False)
    path = folder / "bench.zip"
    sums = work.Jobs(folder / "sums").run(work.verify_spec(path), "verify")
    trees = {(name, number): changed(root, folder / f"{name}-{number}") for number in range(rounds) for name in ("ours", "theirs")}
    race = Race()
    for number in range(rounds):
        jobs = work.Jobs(folder / f"work-{number}")
        race.run(UNZIP, partial(work.unzip_command, path, trees["theirs", number]))
        race.run(RESTORE, partial(work.restore, jobs, path, sums, trees["ours", number]))
    check_same(root, trees["ours", 0])
    return race


def changed(root: Path, target: Path) -> Path:
    shutil.copytree(root, target)
    for base, _folders, files in os.walk(target):
        for name in files:
            with (Path(base) / name).open("r+b") as stream:
                stream.write(b"changed"[: (Path(base) / name).stat().st_size])
    return target


def check_same(root: Path, restored: Path) -> None:
    """A fast restore of the wrong bytes would be nothing to boast of."""
    subprocess.run(["diff", "-r", "-q", root, restored], check=True, stdout=subprocess.DEVNULL)


def memory(home: Path, root: Path, name: str) -> dict[str, int]:
    """The peak of each kind of job, in bytes."""
    folder = home / f"memory-{name}"
    path, jobs = folder / "bench.zip", folder / "jobs"
    jobs.mkdir(parents=True)
    peaks = {"backup": work.peak_memory(jobs, work.backup_spec(root, folder), "backup")}
    peaks["verify"] = work.peak_memory(jobs, work.verify_spec(path), "verify")
    sums = json.loads((jobs / "jobs" / "verify" / "result.json").read_bytes())["result"]
    tree = changed(root, folder / "tree")
    peaks["prepare"] = work.peak_memory(jobs, work.prepare_spec(path, sums, tree), "prepare")
    peaks["commit"] = work.peak_memory(jobs, work.commit_spec(tree, deadline=0), "commit")
    return peaks


def report(backups: Race, restores: Race, contents: dict[str, dict[str, int]], peaks: dict[str, dict[str, int]]) -> bool:
    """Print everything; whether all targets were held."""
    one = contents["one"]
    print(f"{one['files']} files, {one['bytes'] / MB:.0f} MB, {os.cpu_count()} cores; load {os.getloadavg()[0]:.1f}")
    print(f"\nBackup, with verification (level {work.LEVEL}):", *backups.lines(ZIP), sep="\n")
    print("\nRestore, over files that all differ:", *restores.lines(UNZIP), sep="\n")
    print("\nMost memory of a job, in MB, at", ", ".join(f"{made['bytes'] / MB:.0f} MB in {made['files']} files" for made in contents.values()) + ":")
    for kind in peaks["one"]:
        grown = (peaks["many"][kind] - peaks["large"][kind]) / (contents["many"]["files"] - contents["large"]["files"])
        print(f"  {kind:12}", *(f"{peaks[name][kind] / MB:8.1f}" for name in contents), f"   {max(0.0, grown):6.0f} bytes a file")
    growth = max(peaks["large"][kind] / peaks["one"][kind] for kind in peaks["one"])
    judged = [
        ("backup", backups.ratio(OURS, ZIP), BACKUP_TARGET, "of zip's time"),
        ("restore", restores.ratio(RESTORE, UNZIP), RESTORE_TARGET, "of unzip's time"),
        ("memory", growth, MEMORY_TARGET, "of that with files half as large"),
    ]
    print()
    for name, found, target, unit in judged:
        print(f"{name:8} {found:.2f} {unit}, target {target}: {'held' if found <= target else 'MISSED'}")
    return all(found <= target for _name, found, target, _unit in judged)


def main(argv: Sequence[str]) -> int:
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--megabytes", type=int, default=350)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=OUTPUT, help="where to work; on the disk that matters")
    parser.add_argument("--lenient", action="store_true", help="exit with 0 when a target is missed")
    options = parser.parse_args(argv)
    missing = [name for name in ("zip", "unzip", "diff") if not shutil.which(name)]
    if missing:
        print(f"Needed to compare with: {', '.join(missing)}", file=sys.stderr)
        return 2
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder) as name:
        home = Path(name)
        scale = {"one": (1, 1), "large": (1, 2), "many": (2, 2)}  # files and bytes
        contents = {key: corpus(home / key, files * options.files, size * options.megabytes * MB) for key, (files, size) in scale.items()}
        backups = race_backups(home, home / "one", options.rounds)
        restores = race_restores(home, home / "one", options.rounds)
        peaks = {key: memory(home, home / key, key) for key in scale}
        held = report(backups, restores, contents, peaks)
    return 0 if held or options.lenient else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
