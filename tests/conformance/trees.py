"""Trees of agents for the conformance suite, and documents made comparable."""

from __future__ import annotations

import copy
import json
import os
import re
import struct
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.manifest import FileRow, ManifestBuilder
from conftest import Lane, local_scan

REFERENCES = os.environ.get("CONFORMANCE_REFERENCES")  # a folder: the POSIX lane leaves its documents there, Windows compares with them
_RECORDS: Counter[Path] = Counter()  # documents by test: one may compare several

MOMENT = datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC).timestamp()
DMS = '<DMS xmlns="http://www.skyline.be/config/dms"><Cluster name="pluto"/><DMA ip="10.4.2.92"/><DMA ip="10.4.2.93" id="35"/></DMS>'
DATAMINER = '<DataMiner id="69"/>'


def write(path: Path, data: str | bytes, *, age: float = 0) -> Path:
    """A file of the moment, `age` seconds older."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    os.utime(path, (MOMENT - age, MOMENT - age))
    return path


def dll(version: tuple[int, int, int, int], *, decoy: bool = False) -> bytes:
    """Bytes that hold a version resource, as a DLL does; a decoy is the same signature without the resource's name."""
    signature = struct.pack("<LL", 0xFEEF04BD, 0x00010000)
    numbers = struct.pack("<HHHH", version[1], version[0], version[3], version[2])
    name = b"" if decoy else "VS_VERSION_INFO".encode("utf-16-le") + b"\0" * 4
    return b"MZ" + bytes(range(256)) * 8 + name + signature + numbers + b"\0" * 64


def ordinary(home: Path) -> Path:
    """An agent as an operator knows it; returns its root."""
    root = home / "agent"
    write(root / "DMS.xml", DMS)
    write(root / "DataMiner.xml", DATAMINER)
    write(root / "Upgrades" / "VersionHistory.txt", "2025-03-27 11:16:35;10.5.4.0-15588-20250319-release\r\n")
    write(root / "Webpages" / "API" / "Web.config", "<configuration/>")
    write(root / "Webpages" / "API" / "bin" / "WebApiLib.dll", dll((10, 5, 2505, 1950)))
    write(root / "Web" / "Themes" / "theme.json", "{}")
    write(root / "Dashboards" / "Sales" / "north.dmadb.json", '{"north": 1}')
    write(root / "Dashboards" / "main.dmadb.json", "{}")
    write(root / "Dashboards" / "Themes.json", "[]")
    write(root / "Applications" / "loose.txt", "loose")
    _app(root / "Applications" / "0a1b", '{"PublicVersion":2,"DraftVersion":0,"ID":"0a1b","Name":"Orders"}', versions=(1, 2, 10))
    _app(root / "Applications" / "ffff", None, versions=())
    _packages(root / "Upgrades" / "Packages")
    return root


def _app(folder: Path, info: str | None, versions: tuple[int, ...]) -> None:
    folder.mkdir(parents=True)
    if info is not None:
        write(folder / "App.info.json", info)
    for number in versions:
        write(folder / f"version_{number}" / "App.config.json", f'{{"number": {number}}}')
        write(folder / f"version_{number}" / "pages" / "one.dmadb.json", "{}" * number)


def _packages(folder: Path) -> None:
    done = folder / f"DataMiner 10.5.4.0-15588 Web Upgrade.dmupgrade-{'0' * 32}"
    failed = folder / f"DataMiner 10.6.5.0-17000 Web Upgrade.dmupgrade-{'1' * 32}"
    write(done / "progress.log", "started\n" * 1000 + "Upgrade succeeded\n")
    write(failed / "progress.log", "failed\n", age=60)
    write(failed / "PreRequisite-Result-VerifyDotNet10.dll.json", '{"Result": "Failed"}', age=90)
    for path in (done, failed):
        os.utime(path, (MOMENT, MOMENT))


def manifest(rows: int = 3) -> bytes:
    """A whole manifest of the collection's own format."""
    header = {"schema": 1, "name": "a.zip", "created": "2026-03-01T12:00:00Z", "agent": "dma-é-1", "warnings": []}
    data = bytearray()
    builder = ManifestBuilder(data.extend, header)
    for number in range(rows):
        builder.add(FileRow(path=f"Applications/a/é{number}.json", size=number, sha256=f"{number:064x}"))
    builder.finish(zip_size=1234, zip_sha256="ab" * 32)
    return bytes(data)


def both(host: Lane, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The lane's document, and that of the POSIX adapter over the same files, both made comparable."""
    if local_scan is None:
        return comparable(host, host.scan(**more)), _recorded()
    request = Lane("posix", host.home, str, local_scan.scan).request(**more)
    reference = comparable(host, local_scan.scan(request))
    if REFERENCES and host.name == "posix":
        _reference().write_text(json.dumps(reference), encoding="utf-8")
    return comparable(host, host.scan(**more)), reference


def _reference() -> Path:
    """The file of the test that runs, whatever its lane."""
    test = os.environ["PYTEST_CURRENT_TEST"].replace("\\", "/").rpartition("/")[2].removesuffix(" (call)")
    return Path(REFERENCES or "") / (re.sub(r"[^\w.]+", "_", re.sub(r"\b(posix|windows)\b", "lane", test)) + ".json")


def recorded(document: dict[str, Any], *, write: bool) -> None:
    """Leaves a document of the test that runs for Windows, or compares with what was left."""
    if not REFERENCES:
        pytest.skip("the POSIX adapter doesn't run here, and CONFORMANCE_REFERENCES names no folder of its documents")
    _RECORDS[_reference()] += 1
    place = _reference().with_suffix(f".{_RECORDS[_reference()]}.json")
    if write:
        place.write_text(json.dumps(document), encoding="utf-8")
    else:
        assert document == json.loads(place.read_text(encoding="utf-8"))


def _recorded() -> dict[str, Any]:
    """What the POSIX adapter said of the same tree on another machine."""
    if not REFERENCES:
        pytest.skip("the POSIX adapter doesn't run here, and CONFORMANCE_REFERENCES names no folder of its documents")
    document: dict[str, Any] = json.loads(_reference().read_text(encoding="utf-8"))
    for package in document["packages"]:
        del package["created"]  # as comparable does for Windows
    return document


def comparable(host: Lane, document: dict[str, Any]) -> dict[str, Any]:
    """Without what differs by engine, machine and moment: the clock, free space and volumes, facts of Windows, words of errors, digests of these."""
    document = copy.deepcopy(document)
    for key in ("clock", "language_mode", "host"):
        del document[key]
    document["basis"] = sorted(document["basis"])
    for disk in document["disk"].values():
        del disk["free"], disk["volume"]
    for package in document["packages"] if host.windows else []:
        del package["created"]  # Windows keeps the time, POSIX derives it
    document["reasons"] = {row["path"]: row["message"] for row in document["errors"]}
    document["errors"] = sorted(row["path"] for row in document["errors"])
    document["cluster"]["error"] = re.sub(r" \(line .*", "", document["cluster"]["error"] or "")
    return json.loads(neutral(host, json.dumps(document)))


def neutral(host: Lane, text: str) -> str:
    """Paths below the lane's home, on both sides, as `<home>/…`."""
    places = sorted({json.dumps(str(host.home))[1:-1], json.dumps(host.native(host.home))[1:-1]}, key=len, reverse=True)
    pattern = "(?:" + "|".join(re.escape(place) for place in places) + r')((?:[^"\\]|\\\\|\\u....)*)'
    return re.sub(pattern, lambda match: "<home>" + match[1].replace("\\\\", "/"), text)
