# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast backups and restores are, against what people use for it, and how much memory they take.

    python tests/bench/bench.py                       350 MB in 10,000 files, three rounds
    python tests/bench/bench.py --only scripts        what Windows agents run, by the PowerShell engine that PWSH names, else pwsh on PATH
    python tests/bench/bench.py --files 200 --megabytes 5 --rounds 1 --lenient

Each round runs every contender once, in turn, on the same files; what counts is the median of the ratios within a round. Nothing is deleted
between the rounds: some file systems are slow to make files for a minute after many were deleted. Exit status 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import local
import scripts
import work
from harness import EngineMissing
from race import MB, OURS, RESTORE, STOPPED, Contest, Race, Verdict

OUTPUT = Path(__file__).resolve().parents[1] / "output"
MEMORY_TARGET = 1.25  # of the memory with files half as large
MEMORY_OF_A_TURN = 4  # of the content: what is read, what is written, and programs
SIZES = {"one": (1, 1), "large": (1, 2), "many": (2, 2)}  # files and bytes, in those asked for
ADAPTERS = ("posix", "scripts")
Contents = dict[str, dict[str, int]]


def corpus(folder: Path, files: int, size: int) -> dict[str, int]:
    """Made by another process, whose memory a job would inherit."""
    script = Path(__file__).with_name("corpus.py")
    made: dict[str, int] = json.loads(subprocess.run([sys.executable, script, folder, str(files), str(size)], capture_output=True, check=True).stdout)
    return made


def race_backups(race: Race, contest: Contest, home: Path, root: Path, rounds: int) -> None:
    for number in range(rounds):
        for turn, (name, action) in enumerate(contest.packers.items()):
            place = home / f"backup-{number}" / str(turn)
            place.mkdir(parents=True)
            race.run(name, partial(action, root, place))
            race.sizes[name] = next(place.glob("*.zip")).stat().st_size


def race_restores(race: Race, contest: Contest, home: Path, root: Path, rounds: int) -> None:
    """Over trees in which every file differs from the backup."""
    folder = home / "restored"
    jobs = contest.jobs(folder / "sums")
    work.backup(jobs, root, folder)
    path = folder / "bench.zip"
    sums = jobs.run(work.verify_spec(path), "verify")
    names = (*contest.unpackers, RESTORE)
    trees = {(name, number): changed(root, folder / f"tree-{number}" / str(turn)) for number in range(rounds) for turn, name in enumerate(names)}
    for number in range(rounds):
        for name, unpack in contest.unpackers.items():
            race.run(name, partial(unpack, path, trees[name, number]))
        race.run(RESTORE, partial(work.restore, contest.jobs(folder / f"work-{number}"), path, sums, trees[RESTORE, number]), part=STOPPED)
    for name in names:
        check_same(root, trees[name, 0])


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


def memory(contest: Contest, folder: Path, root: Path) -> dict[str, int]:
    """The peak of each kind of job, in bytes."""
    path, jobs = folder / "bench.zip", folder / "jobs"
    jobs.mkdir(parents=True)
    peaks = {}
    peaks["backup"], _result = contest.peak(jobs, work.backup_spec(root, folder), "backup")
    peaks["verify"], sums = contest.peak(jobs, work.verify_spec(path), "verify")
    tree = changed(root, folder / "tree")
    peaks["prepare"], _result = contest.peak(jobs, work.prepare_spec(path, sums, tree), "prepare")
    peaks["commit"], _result = contest.peak(jobs, work.commit_spec(tree, deadline=0), "commit")
    return peaks


def race_all(contest: Contest, home: Path, root: Path, rounds: int, *, size: int) -> list[Verdict]:
    """Told as soon as it is known. `size`: of the content, in bytes."""
    backups, restores = (Race(size * MEMORY_OF_A_TURN) for _ in range(2))
    print(f"\n{contest.name}")
    race_backups(backups, contest, home, root, rounds)
    print(f"\nBackup, with verification (level {work.LEVEL}):", *backups.lines(contest.pack_peer), sep="\n", flush=True)
    race_restores(restores, contest, home, root, rounds)
    print("\nRestore, over files that all differ:", *restores.lines(contest.unpack_peer), sep="\n", flush=True)
    return [
        Verdict("backup", backups.ratio(OURS, contest.pack_peer), contest.backup_target, f"x {contest.pack_peer}"),
        Verdict("restore", restores.ratio(RESTORE, contest.unpack_peer), contest.restore_target, f"x {contest.unpack_peer}"),
    ]


def weigh(contest: Contest, home: Path, corpora: Path, contents: Contents) -> Verdict:
    peaks = {name: memory(contest, home / f"memory-{name}", corpora / name) for name in contents}
    print("\nMost memory of a job, in MB, at", ", ".join(f"{made['bytes'] / MB:.0f} MB in {made['files']} files" for made in contents.values()) + ":")
    for kind in peaks["one"]:
        grown = (peaks["many"][kind] - peaks["large"][kind]) / (contents["many"]["files"] - contents["large"]["files"])
        print(f"  {kind:12}", *(f"{peaks[name][kind] / MB:8.1f}" for name in contents), f"   {max(0.0, grown):6.0f} bytes a file", flush=True)
    growth = max(peaks["large"][kind] / peaks["one"][kind] for kind in peaks["one"])
    return Verdict("memory", growth, MEMORY_TARGET, "x that with files half as large")


@contextlib.contextmanager
def contest_of(adapter: str) -> Iterator[Contest]:
    if adapter == "scripts":
        with scripts.contest() as contest:
            yield contest
    else:
        yield local.contest()


def run(adapters: Sequence[str], home: Path, contents: Contents, rounds: int, *, weighing: bool) -> bool:
    """Whether all targets were held. An adapter that can't be measured here is told, and held against nobody."""
    told: list[str] = []
    held = True
    for adapter in adapters:
        try:
            with contest_of(adapter) as contest:
                verdicts = race_all(contest, home / adapter, home / "one", rounds, size=contents["one"]["bytes"])
                verdicts += [weigh(contest, home / adapter, home, contents)] if weighing else []
        except EngineMissing as error:
            told.append(f"{adapter:8} SKIPPED: {error}")
            continue
        told += [f"{adapter:8} {verdict}" for verdict in verdicts]
        held = held and all(verdict.held for verdict in verdicts)
    print("", *told, sep="\n")
    return held


def main(argv: Sequence[str]) -> int:
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--megabytes", type=int, default=350)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=ADAPTERS, help="measure one adapter: this machine's own, or the scripts that Windows agents run")
    parser.add_argument("--no-memory", action="store_true", help="leave out how much memory the jobs take")
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
        contents = {key: corpus(home / key, files * options.files, size * options.megabytes * MB) for key, (files, size) in SIZES.items()}
        one = contents["one"]
        print(f"{one['files']} files, {one['bytes'] / MB:.0f} MB, {os.cpu_count()} cores; load {os.getloadavg()[0]:.1f}", flush=True)
        held = run([options.only] if options.only else ADAPTERS, home, contents, options.rounds, weighing=not options.no_memory)
    return 0 if held or options.lenient else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
