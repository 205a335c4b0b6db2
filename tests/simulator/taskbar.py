# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for SLTaskbarUtility.exe: `-upgrade <package.dmupgrade> [UpgradeInfo.xml]`, with its order of work, its traces and its ways to fail."""

from __future__ import annotations

import os
import signal
import sys
import time
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import state as machine
from . import webfiles
from .packages import Opened, open_package
from .releases import AUTOMATIC_BACKUP, DOTNET_10_DEMANDED, TWO_VERSIONS, WEB_FOLDER, Release, server_fits
from .schema import content_files, is_stamped, migrate_file
from .tree import ROOT, prerequisite_file, prerequisite_result
from .vendor import BACKUPS, TEMPORARY, automatic_backup, prune

SECONDS = "SIMULATOR_INSTALL_SECONDS"  # overrides the state's `install_seconds`
DONE, FAILED, MISUSED, REFUSED = 0, 1, 2, 3


class UpgradeFailed(Exception):
    """An upgrade that ended early; the message goes into its log."""


def main(argv: list[str], *, home: str) -> int:
    """What the launcher runs: a hang-up of the terminal doesn't end an upgrade."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return run(argv, home=home)


def run(argv: list[str], *, home: str) -> int:
    """Carries out one call. Returns 0 when the upgrade succeeded, 1 when it failed, 2 for a call that can't be meant, 3 where another one runs."""
    if not (2 <= len(argv) <= 3 and argv[0] == "-upgrade"):
        return _complain(f"{argv} isn't understood; needed: -upgrade <package.dmupgrade> [UpgradeInfo.xml]")
    try:
        package = open_package(Path(argv[1]))
        homes = [Path(home), *(_others(Path(argv[2]), Path(home)) if len(argv) == 3 else [])]
    except (OSError, ValueError, KeyError, ET.ParseError) as error:
        return _complain(str(error))
    return max(_upgrade(one, Path(argv[1]), package) for one in homes)


def _complain(text: str, code: int = MISUSED) -> int:
    print(f"SLTaskbarUtility: {text}", file=sys.stderr)
    return code


def _others(info: Path, home: Path) -> list[Path]:
    """The cluster's other agents that UpgradeInfo.xml lists, by their addresses in whichever text or attribute."""
    words = {word for element in ET.parse(info).iter() for word in (*element.attrib.values(), (element.text or "").strip())}
    homes = (path.parent for path in sorted(home.parent.glob(f"*/{machine.STATE}")))
    return [other for other in homes if other != home and machine.load(other)["address"] in words]


def _upgrade(home: Path, path: Path, package: Opened) -> int:
    try:
        with machine.upgrade_lock(home):
            return _Upgrade(home, path.name, package).run()
    except BlockingIOError:
        return _complain("another upgrade is running on this agent; wait for its end", REFUSED)


class _Upgrade:
    """One upgrade of one agent."""

    def __init__(self, home: Path, file_name: str, package: Opened) -> None:
        self.home, self.root = home, home / ROOT
        self.package, self.release = package, package.release
        self.state = machine.load(home)
        self.installed = Release.parse(self.state["web"])
        self.seconds = float(os.environ.get(SECONDS) or self.state["install_seconds"])
        self.folder = self.root / "Upgrades" / "Packages" / f"{file_name}-{uuid.uuid4().hex}"
        self.fail_at = self._planned_failure()

    def run(self) -> int:
        self.folder.mkdir(parents=True)
        try:
            for step in (self.check, self.back_up, self.copy, self.migrate, self.finish):
                step()
        except UpgradeFailed as error:
            self.say(f"Upgrade failed: {error}")
            return FAILED
        self.say("Upgrade succeeded")
        return DONE

    def check(self) -> None:
        """Prerequisites; nothing but the package's own folder has been touched when one fails."""
        self.say(f"Upgrading to {self.release.package_version} ({self.package.kind})")
        self.work("Checking prerequisites", 0.1)
        self.fail_if("prerequisites", lambda: self.write_result("VerifySimulation", "told to fail"))
        for name, message in self.unmet():
            self.write_result(name, message)
            raise UpgradeFailed(f"prerequisite {name}: {message}")

    def unmet(self) -> list[tuple[str, str]]:
        server, found = Release.parse(self.state["server"]), []
        if self.package.kind not in ("Web", "Full"):
            found.append(("VerifyPackageKind", f"a package of the kind {self.package.kind} can't be installed here"))
        if self.package.kind == "Web" and not server_fits(self.release, server):
            found.append(("VerifyServerVersion", f"the server {server.label} is too old for web {self.release.label}"))
        if DOTNET_10_DEMANDED.reached(self.release) and not any(version.startswith("10.") for version in self.state["runtimes"]):
            found.append(("VerifyDotNetRuntime", f".NET 10 was not found, only {', '.join(self.state['runtimes'])}"))
        return found

    def back_up(self) -> None:
        """The automatic backup, by the rules of the web version that is installed; the five newest stay."""
        self.work("Backing up dashboards and low-code apps", 0.2)
        self.fail_if("backup", self.leave_temporary)
        if not AUTOMATIC_BACKUP.reached(self.installed):
            return
        automatic_backup(
            self.root,
            name=str(uuid.uuid4()),
            two_versions=TWO_VERSIONS.reached(self.installed),
            with_web=bool(self.state["vendor_zip_holds_web"]),
            now=self.now,
            offset_minutes=self.state["offset_minutes"],
            say=self.say,
        )
        for name in prune(self.root / BACKUPS):
            self.say(f"Deleted the old backup {name}")

    def copy(self) -> None:
        self.work("Copying files", 0.3)
        webfiles.write_web_files(self.root, self.release, now=self.now)
        with machine.changing(self.home) as state:
            state["web"] = self.release.package_version

    def migrate(self) -> None:
        """Content in an older format is rewritten in place, all versions of all apps; there is no way back."""
        self.work("Migrating dashboards and low-code apps", 0.3)
        todo = [path for path in content_files(self.root) if is_stamped(path)]
        half = len(todo) // 2 if self.fail_at == "migration" else len(todo)
        count = sum(migrate_file(self.root / path, self.release, now=self.now) for path in todo[:half])
        self.fail_if("migration")
        self.say(f"Migrated {count} of {len(todo)} files")
        if WEB_FOLDER.reached(self.release):
            (self.root / "Web").mkdir(exist_ok=True)

    def finish(self) -> None:
        """Modules and restarts: a web upgrade leaves all other processes alone."""
        self.work("Installing modules", 0.1)
        full = self.package.kind == "Full"
        with machine.changing(self.home) as state:
            state["modules"] = webfiles.upgraded_modules(state["modules"], self.release)
            for row in state["modules"]:
                state["services"].setdefault(row["name"], "Running")
            self.restart(state, [machine.WEB_SERVER, *(machine.DATAMINER_PROCESSES if full else ())])
            state["server"] = self.release.history_text if full else state["server"]
        if full:
            self.write_history()
        self.fail_if("end")

    def restart(self, state: dict[str, Any], names: list[str]) -> None:
        state["services"][machine.WEB_SERVER] = "Running"
        for name in names:
            self.say(f"Restarting {name}")
            machine.start_process(state, name)

    def write_history(self) -> None:
        line = f"{self.local('%Y-%m-%d %H:%M:%S')};{self.release.history_text}\r\n"
        with (self.root / "Upgrades" / "VersionHistory.txt").open("a", encoding="utf-8", newline="") as stream:
            stream.write(line)

    @property
    def now(self) -> float:
        return machine.clock(self.state)

    def local(self, pattern: str) -> str:
        return datetime.fromtimestamp(self.now + 60 * self.state["offset_minutes"], UTC).strftime(pattern)

    def say(self, text: str) -> None:
        """Adds a line to progress.log, which grows while the upgrade runs. Nobody may be left to read the output: that is no failure."""
        log = self.folder / "progress.log"
        with log.open("a", encoding="utf-8", newline="") as stream:
            stream.write(f"{self.local('%Y-%m-%d %H:%M:%S.%f')[:-3]}|{text}\r\n")
        os.utime(log, (self.now, self.now))
        with suppress(OSError):
            print(text, flush=True)

    def work(self, text: str, share: float) -> None:
        """Takes its share of the time an upgrade takes, in small steps."""
        self.say(text)
        end = time.monotonic() + share * self.seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))

    def write_result(self, name: str, message: str) -> None:
        (self.folder / prerequisite_file(name)).write_bytes(prerequisite_result(name, message))

    def leave_temporary(self) -> None:
        """What a backup that failed half-way leaves behind; the next one deletes it."""
        (self.root / BACKUPS / TEMPORARY / "Applications").mkdir(parents=True, exist_ok=True)

    def fail_if(self, point: str, trace: Callable[[], None] = lambda: None) -> None:
        if self.fail_at == point:
            trace()
            raise UpgradeFailed(f"told to fail at {point}")

    def _planned_failure(self) -> str | None:
        """Where to fail: `prerequisites`, `backup`, `migration` or `end`; once, unless `fail_persistent` is set."""
        planned = self.state["fail_at"]
        if planned is not None and not self.state["fail_persistent"]:
            with machine.changing(self.home) as state:
                state["fail_at"] = None
        return str(planned) if planned is not None else None
