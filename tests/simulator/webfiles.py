# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release brings along: libraries with a version resource, the web API's configuration, installers and versions of modules."""

from __future__ import annotations

import os
import random
import re
import struct
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .releases import Release, Since

DLL = "Webpages/API/bin/WebApiLib.dll"
CONFIG = "Webpages/API/Web.config"
INSTALLERS = "Tools/ModuleInstallers/Web"
_BUILD_SETTING = re.compile(r'(<add key="apiBuild" value=")[^"]*(")')


@dataclass(frozen=True, kw_only=True)
class ModuleRule:
    """A module that web packages bring along; `present_only`: they update one that is there, and don't add it."""

    name: str
    since: Since
    present_only: bool = False


MODULES = (
    ModuleRule(name="DataMiner GQI", since=Since(fr=(5, 2), mr={5: 0})),  # RN 39145, 41811
    ModuleRule(name="DataMiner Web", since=Since(fr=(5, 11), mr={5: 8})),  # RN 43439
    ModuleRule(name="DataMiner Assistant", since=Since(fr=(6, 2), mr={7: 0}), present_only=True),  # RN 44291
    ModuleRule(name="DataMiner Maps", since=Since(fr=(6, 7), mr={7: 0})),  # RN 45521
)


def library(version: str, *, seed: int = 0) -> bytes:
    """A stand-in for a Windows library: noise around a VS_FIXEDFILEINFO with that file version, and another product version."""
    rng = random.Random(f"{seed}/{version}")
    parts = [int(part) for part in version.split(".")]
    file_version = ((parts[0] << 16) | parts[1], (parts[2] << 16) | parts[3])
    product_version = ((parts[0] << 16) | parts[1], 0)
    fixed = struct.pack("<13I", 0xFEEF04BD, 0x10000, *file_version, *product_version, 0x3F, 0, 0x40004, 2, 0, 0, 0)
    name = "VS_VERSION_INFO\0".encode("utf-16-le")
    return b"MZ\x90\0" + rng.randbytes(3996) + struct.pack("<HHH", 0x2D4, len(fixed), 0) + name + b"\0\0" + fixed + rng.randbytes(2000)


def library_version(data: bytes) -> str | None:
    """The file version in a library; None where it has none."""
    at = data.find(struct.pack("<II", 0xFEEF04BD, 0x10000))
    if at < 0:
        return None
    high, low = struct.unpack_from("<II", data, at + 8)
    return f"{high >> 16}.{high & 0xFFFF}.{low >> 16}.{low & 0xFFFF}"


def configuration(release: Release) -> str:
    """A Web.config with settings of the vendor's and one that an administrator added."""
    return (
        '<?xml version="1.0" encoding="utf-8"?>\r\n<configuration>\r\n  <appSettings>\r\n'
        '    <add key="connectionString" value="localhost" />\r\n    <add key="siteBanner" value="Réseau de production" />\r\n'
        f'    <add key="apiBuild" value="{release.api_version}" />\r\n  </appSettings>\r\n'
        '  <system.web>\r\n    <httpRuntime targetFramework="4.8" maxRequestLength="102400" />\r\n  </system.web>\r\n</configuration>\r\n'
    )


def edited_configuration(text: str, release: Release) -> str:
    """Web.config after an upgrade: edited, never replaced."""
    return _BUILD_SETTING.sub(lambda match: f"{match[1]}{release.api_version}{match[2]}", text)


def write_web_files(root: Path, release: Release, *, now: float) -> None:
    """Writes what a web package replaces: the library, the edited configuration, the installers of its modules."""
    config = root / CONFIG
    text = config.read_bytes().decode("utf-8") if config.exists() else configuration(release)
    for old in (root / INSTALLERS).glob("*.msi"):
        old.unlink()
    files = {root / DLL: library(release.api_version), config: edited_configuration(text, release).encode("utf-8"), **_installers(root, release)}
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (now, now))


def _installers(root: Path, release: Release) -> dict[Path, bytes]:
    rows = module_versions(release)
    return {root / INSTALLERS / f"{row['name']} {row['version']}.msi": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + row["code"].encode() for row in rows}


def module_versions(release: Release) -> list[dict[str, str]]:
    """The modules a release has installers for, with version and product code."""
    version = release.api_version
    rules = [rule for rule in MODULES if rule.since.reached(release)]
    return [{"name": rule.name, "version": version, "code": _product_code(rule.name, version)} for rule in rules]


def upgraded_modules(installed: list[dict[str, Any]], release: Release) -> list[dict[str, Any]]:
    """The modules after a package was installed: newer ones come in, and one that is newer than the package's stays."""
    rows = {row["name"]: row for row in installed}
    optional = {rule.name for rule in MODULES if rule.present_only}
    for row in module_versions(release):
        known = rows.get(row["name"])
        if (known is None and row["name"] not in optional) or (known is not None and _numbers(known["version"]) < _numbers(row["version"])):
            rows[row["name"]] = row
    return list(rows.values())


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def _product_code(name: str, version: str) -> str:
    return "{" + str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name} {version}")).upper() + "}"
