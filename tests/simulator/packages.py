# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upgrade packages: zips with Description.txt, Update.zip and SLUpgrade.dll, named as the vendor names them."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

from .releases import Release
from .webfiles import library

_STORED = (2025, 3, 19, 12, 0, 0)  # a fixed time makes the same package the same bytes


@dataclass(frozen=True, kw_only=True)
class Opened:
    """What a package says about itself."""

    release: Release
    kind: str


def package_name(release: Release, kind: str = "Web", extra: str = "") -> str:
    """Such as `DataMiner 10.5.4.0-15588 Web Upgrade (rc).dmupgrade`, `extra` being `(rc)`."""
    return f"DataMiner {release.package_version} {kind} Upgrade{' ' + extra if extra else ''}.dmupgrade"


def make_package(folder: Path, version: str, *, build: int | None = None, kind: str = "Web", extra: str = "") -> Path:
    """Writes a package into a folder and returns its path. `kind` is `Web`, `Full`, or another word for one that is neither."""
    release = Release.parse(version)
    release = replace(release, build=build) if build is not None else release
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / package_name(release, kind, extra)
    lines = [f"DataMiner {kind} Upgrade", f"Version: {release.package_version}", f"Date: {release.date}", f"Kind: {kind}", ""]
    path.write_bytes(
        _zipped({"Description.txt": "\r\n".join(lines).encode(), "Update.zip": _update(release), "SLUpgrade.dll": library(release.api_version)})
    )
    return path


def open_package(path: Path) -> Opened:
    """What a package says about itself; its file name doesn't count. Raises ValueError for what is none, OSError for what isn't there."""
    try:
        with zipfile.ZipFile(path) as archive:
            missing = {"Description.txt", "Update.zip", "SLUpgrade.dll"} - set(archive.namelist())
            damaged = archive.testzip()
            text = "" if missing else archive.read("Description.txt").decode("utf-8")
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path.name} is no upgrade package: {error}") from error
    if missing or damaged:
        raise ValueError(f"{path.name} is no upgrade package: {damaged or ', '.join(sorted(missing))} can't be read")
    rows = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    return Opened(release=Release.parse(rows["Version"]), kind=rows["Kind"])


def _update(release: Release) -> bytes:
    return _zipped({"Webpages/API/bin/WebApiLib.dll": library(release.api_version), "Webpages/App/index.html": b"<!doctype html><title>App</title>"})


def _zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, _STORED), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
