# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Low-code apps and dashboards as they lie on an agent: valid, odd and broken ones, the same for the same seed."""

from __future__ import annotations

import random
import struct
import uuid
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .releases import VERSION_HISTORY_IN_INFO, WEB_FOLDER, Release
from .schema import dump, is_stamped, migrated

DAY = 86400.0
_TYPES = "Skyline.DataMiner.Web.Common.v1."
_WIDGETS = ("table", "line & area chart", "node edge graph", "state", "gauge", "text", "query filter", "form", "timeline", "button")
_AUTHORS = ("PLUTO\\anna", "PLUTO\\jürgen", "PLUTO\\mei")


@dataclass(frozen=True)
class Entry:
    """A file: its bytes and its last write time (seconds since the epoch)."""

    data: bytes
    mtime: float


Tree = dict[str, Entry]  # by path relative to the root, with "/"


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much beside the usual content: none by default, thousands of files for a benchmark."""

    files: int = 0
    megabytes: float = 0


@dataclass(frozen=True, kw_only=True)
class AppSpec:
    """An app: what its App.info.json says, and which version folders it has. `flaw` is `truncated` or `missing`, of App.info.json."""

    name: str
    published: int | None
    draft: int | None
    versions: tuple[int, ...]
    old_shape: bool = False
    encoding: str = "utf-8"
    flaw: str = ""
    picture: bool = False


def _numbers(first: int, last: int) -> tuple[int, ...]:
    return tuple(range(first, last + 1))


APPS = (
    AppSpec(name="Satellite Booking", published=23, draft=24, versions=_numbers(1, 24), picture=True),
    AppSpec(name="Überwachung Köln & Réseau", published=178, draft=179, versions=_numbers(176, 179), encoding="utf-8-sig"),
    AppSpec(name="Equipment Inventory", published=5, draft=0, versions=_numbers(2, 5), old_shape=True),
    AppSpec(name="Ticket Triage", published=None, draft=2, versions=_numbers(1, 2), old_shape=True),
    AppSpec(name="放送スケジュール", published=2, draft=None, versions=_numbers(1, 2), encoding="utf-16"),
    AppSpec(name="Abandoned Draft", published=None, draft=None, versions=(1,)),
    AppSpec(name="Zero and Zero", published=0, draft=0, versions=(1,), old_shape=True),
    AppSpec(name="Broken Info", published=2, draft=0, versions=_numbers(1, 2), flaw="truncated"),
    AppSpec(name="No Info", published=1, draft=0, versions=(1,), flaw="missing"),
    AppSpec(name="Version Missing", published=7, draft=9, versions=_numbers(5, 7)),
)
_DASHBOARDS = (
    "Overview",
    "Operations/Alarms",
    "Operations/Capacity",
    "Operations/Site Map",
    "Réseau Köln/Bandbreite",
    "Réseau Köln/Störungen heute",
    "Playout/東京/チャンネル",
)


def guid(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def app_id(seed: int, name: str) -> str:
    """The folder of the app of that name in the content of a seed."""
    return guid(random.Random(f"{seed}/app/{name}"))


def png(rng: random.Random, side: int = 16) -> bytes:
    """A small valid picture of noise, which doesn't compress."""
    rows = b"".join(b"\0" + rng.randbytes(3 * side) for _ in range(side))
    parts = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in parts)


def page(rng: random.Random, *, name: str, release: Release, identity: str | None = None, bulk: int = 0) -> dict[str, Any]:
    """A dashboard, or a page of an app. `bulk` adds about that many characters."""
    components = [
        {"ID": number, "Type": rng.choice(_WIDGETS), "Position": {"x": rng.randrange(24), "y": rng.randrange(60), "w": 6, "h": 4}, "Query": guid(rng)}
        for number in range(1, rng.randrange(6, 14))
    ]
    value = {"SchemaVersion": release.label, "Migrations": [], "ID": identity or guid(rng), "Name": name, "Components": components}
    return {**value, "Settings": rng.randbytes(bulk // 2).hex()} if bulk else value


def version_files(rng: random.Random, *, name: str, number: int, release: Release, pages: int = 2, bulk: int = 0) -> Iterator[tuple[str, bytes]]:
    """The files of one version of an app, by path below its `version_<n>`."""
    listed = [{"ID": guid(rng), "Name": f"{name} {chr(65 + index % 26)}{index}"} for index in range(pages)]
    config = {"SchemaVersion": release.label, "Migrations": [], "Name": name, "Version": number, "Pages": listed, "Theme": rng.randrange(9)}
    yield "App.config.json", dump(config).encode()
    for row in listed:
        yield f"pages/{row['ID']}.dmadb.json", dump(page(rng, name=row["Name"], release=release, identity=row["ID"], bulk=bulk)).encode()
    yield f"assets/favicon-{rng.randrange(16**8):08x}.png", png(rng)


def app_info(spec: AppSpec, *, identity: str, old_shape: bool, newest: float) -> dict[str, Any]:
    """App.info.json. The shape since 10.5.2 holds the version history and the name, the one before doesn't."""
    if old_shape:
        kind = _TYPES + "DMAApplicationVersionInfo"
        return {"__type": kind, "PublicVersion": spec.published, "DraftVersion": spec.draft, "Sections": None, "Security": None}
    count = len(spec.versions)
    history = [version_row(n, created=newest - DAY * (count - i), published=n != spec.draft) for i, n in enumerate(spec.versions)]
    return {
        "__type": _TYPES + "DMADynamicApplicationVersionInfo",
        "Versions": history,
        "PublicVersion": spec.published,
        "DraftVersion": spec.draft,
        "Sections": None,
        "Security": None,
        "ID": identity,
        "Name": spec.name,
        "Description": None,
        "Color": "rgb(71,38,210)",
        "Icon": "Satellite",
    }


def version_row(number: int, *, created: float, published: bool) -> dict[str, Any]:
    """A row of the version history; `CreatedAt` is in milliseconds."""
    kind, author = _TYPES + "DMADynamicApplicationVersion", _AUTHORS[number % len(_AUTHORS)]
    word = "Published" if published else "Draft"
    return {"__type": kind, "Version": number, "CreatedAt": int(created * 1000), "CreatedBy": author, "Type": word}


def generate(*, seed: int, written_by: Release, shown_by: Release, before: float, apps: Sequence[AppSpec] = APPS) -> Tree:
    """The content a release wrote, all of it before a moment. `shown_by`, the release now installed, decides on the shape of App.info.json."""
    rng = random.Random(f"{seed}/content")
    files: dict[str, bytes] = {}
    for spec in apps:
        files.update(_app(rng, spec, seed=seed, release=written_by, shape_of=shown_by, before=before))
    files.update(_dashboards(rng, written_by))
    if WEB_FOLDER.reached(shown_by):
        files.update({"Web/Images/logo.png": png(rng), "Web/Themes/Corporate.json": dump({"Name": "Corporate", "Colors": ["#4726d2"]}).encode()})
    return {path: Entry(data, float(int(before - rng.uniform(1, 300) * DAY))) for path, data in files.items()}


def _app(rng: random.Random, spec: AppSpec, *, seed: int, release: Release, shape_of: Release, before: float) -> Iterator[tuple[str, bytes]]:
    identity = app_id(seed, spec.name)
    folder = f"Applications/{identity}"
    old_shape = spec.old_shape or not VERSION_HISTORY_IN_INFO.reached(shape_of)
    info = dump(app_info(spec, identity=identity, old_shape=old_shape, newest=before - DAY)).encode(spec.encoding)
    if spec.flaw != "missing":
        yield f"{folder}/App.info.json", info[: len(info) * 2 // 3] if spec.flaw == "truncated" else info
    if spec.picture:
        yield f"{folder}/Thumbnail.png", png(rng)
    for number in spec.versions:
        for path, data in version_files(rng, name=spec.name, number=number, release=release):
            yield f"{folder}/version_{number}/{path}", data


def _dashboards(rng: random.Random, release: Release) -> Iterator[tuple[str, bytes]]:
    for path in _DASHBOARDS:
        encoding = "utf-8-sig" if path == "Overview" else "utf-8"
        yield f"Dashboards/{path}.dmadb.json", dump(page(rng, name=path.rsplit("/", 1)[-1], release=release)).encode(encoding)
    yield "Dashboards/_IMAGES/antenna.png", png(rng)
    yield "Dashboards/_IMAGES/Gebäude.png", png(rng)
    yield "Dashboards/Themes.json", dump([{"Name": "Light", "Background": "#ffffff"}, {"Name": "Nacht", "Background": "#101018"}]).encode()


def migrate_tree(tree: Tree, release: Release, when: float) -> Tree:
    """The tree after a release migrated it at a moment: what it rewrote bears that time."""
    changed = {path: migrated(entry.data, release) for path, entry in tree.items() if is_stamped(path)}
    return {**tree, **{path: Entry(data, when) for path, data in changed.items() if data is not None}}


def filler(*, seed: int, size: Size, release: Release, before: float) -> Iterator[tuple[str, Entry]]:
    """Many more apps, one file after the other, for a benchmark: `size.files` files of `size.megabytes` in all, 40 a version, 10 versions an app."""
    rng = random.Random(f"{seed}/filler")
    bulk = int(size.megabytes * 1e6 / max(size.files, 1)) - 1000
    made = 0
    for number in range(-(-size.files // 401)):
        spec = AppSpec(name=f"Bulk {number}", published=10, draft=9, versions=_numbers(1, 10))
        for path, data in _bulk_app(rng, spec, seed=seed, release=release, bulk=max(bulk, 0), before=before):
            if made == size.files:
                return
            made += 1
            yield path, Entry(data, before - DAY * rng.uniform(1, 300))


def _bulk_app(rng: random.Random, spec: AppSpec, *, seed: int, release: Release, bulk: int, before: float) -> Iterator[tuple[str, bytes]]:
    identity = app_id(seed, spec.name)
    yield f"Applications/{identity}/App.info.json", dump(app_info(spec, identity=identity, old_shape=False, newest=before)).encode()
    for number in spec.versions:
        for path, data in version_files(rng, name=spec.name, number=number, release=release, pages=38, bulk=bulk):
            yield f"Applications/{identity}/version_{number}/{path}", data
