# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Web content to measure with: apps, versions, pages, pictures and dashboards of mixed sizes, the same for the same seed.

python tests/bench/corpus.py FOLDER FILES BYTES
"""

from __future__ import annotations

import json
import random
import sys
import uuid
from pathlib import Path
from typing import Any

FILES_PER_VERSION = 40  # real apps have 20 to 60
VERSIONS_PER_APP = 12
PICTURES = 0.08  # of the files; they don't compress
DASHBOARDS = 0.1
SPREAD = 1.3  # of the logarithm of a file's size: most are small, a few hold megabytes
LARGEST = 12 * 1024 * 1024
_WIDGETS = ("table", "line & area chart", "node edge graph", "state", "gauge", "text", "query filter", "form", "timeline", "button")
_WORDS = (
    "alarm",
    "service",
    "element",
    "parameter",
    "protocol",
    "booking",
    "resource",
    "satellite",
    "uplink",
    "carrier",
    "level",
    "bandwidth",
    "view",
)


def make(root: Path, *, files: int, size: int, seed: int = 1) -> dict[str, int]:
    """Fill `root` with about `size` bytes in `files` files; gives the exact `files` and `bytes`."""
    rng = random.Random(seed)
    blocks = [_component(rng) for _ in range(4000)]
    weights = [rng.lognormvariate(0, SPREAD) for _ in range(files)]
    unit = size / sum(weights)
    total = 0
    for number, weight in enumerate(weights):
        picture = rng.random() < PICTURES
        path = root / _path(number, files, picture)
        path.parent.mkdir(parents=True, exist_ok=True)
        length = min(LARGEST, int(weight * unit))
        total += path.write_bytes(rng.randbytes(length) if picture else _page(rng, blocks, length))
    return {"files": files, "bytes": total}


def _path(number: int, files: int, picture: bool) -> str:
    name = f"{uuid.UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128)}"
    if number < files * DASHBOARDS:
        return f"Dashboards/Folder {number % 17}/{'_IMAGES/' if picture else ''}{name}{'.png' if picture else '.dmadb.json'}"
    version, place = divmod(number, FILES_PER_VERSION)
    app, version = divmod(version, VERSIONS_PER_APP)
    base = f"Applications/{uuid.UUID(int=app + 1)}"
    if place == version == 0:
        return f"{base}/App.info.json"
    return f"{base}/version_{version + 1}/" + (f"assets/favicon-{name}.png" if picture else f"pages/{name}.dmadb.json")


def _component(rng: random.Random) -> str:
    """One part of a page, as text: names, numbers and ids, of which only the ids can't be foreseen."""
    guid = uuid.UUID(int=rng.getrandbits(128), version=4)
    value: dict[str, Any] = {
        "__type": "Skyline.DataMiner.Web.Common.v1.Dashboards.DMADashboardComponent",
        "ID": rng.randrange(1, 400),
        "Type": rng.choice(_WIDGETS),
        "Position": {"x": rng.randrange(24), "y": rng.randrange(60), "w": rng.randrange(1, 24), "h": rng.randrange(1, 20)},
        "Title": {"Text": " ".join(rng.choices(_WORDS, k=4)), "Visible": rng.random() < 0.5},
        "Settings": {word: rng.choice([None, True, False, rng.randrange(1000), rng.choice(_WORDS)]) for word in rng.sample(_WORDS, 6)},
        "Query": {"ID": str(guid), "Name": " ".join(rng.choices(_WORDS, k=2)), "Columns": rng.choices(_WORDS, k=5)},
        "Theme": None,
    }
    return json.dumps(value, separators=(",", ":"))


def _page(rng: random.Random, blocks: list[str], length: int) -> bytes:
    count = max(1, length // len(blocks[0]) + 1)
    text = '{"__type":"Skyline.DataMiner.Web.Common.v1.Dashboards.DMADashboard","Version":1,"Components":[' + ",".join(rng.choices(blocks, k=count))
    return text.encode()[: max(2, length - 2)] + b"]}"


if __name__ == "__main__":
    print(json.dumps(make(Path(sys.argv[1]), files=int(sys.argv[2]), size=int(sys.argv[3]))))
