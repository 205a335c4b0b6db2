# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What users do to a cluster's content: save a dashboard, draft a new version of an app, and edit a file behind DataMiner's back."""

from __future__ import annotations

import random
import time

from .cluster import Cluster
from .content import page, version_files, version_row
from .releases import Release
from .schema import dump, encoding_of, read_json


def _web(cluster: Cluster) -> Release:
    return Release.parse(cluster.state(cluster.agents[0].name)["web"])


def _write(cluster: Cluster, path: str, data: bytes) -> None:
    """Writes a file on all agents, as DataMiner's synchronisation would."""
    for agent in cluster.agents:
        target = agent.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def add_dashboard(cluster: Cluster, title: str) -> str:
    """Saves a new dashboard, `title` being its path below Dashboards; returns its path relative to the root."""
    path = f"Dashboards/{title}.dmadb.json"
    _write(cluster, path, dump(page(random.Random(title), name=title, release=_web(cluster))).encode())
    return path


def add_draft(cluster: Cluster, app: str) -> int:
    """Starts a new draft of an app and returns its version number."""
    folder, first = f"Applications/{cluster.app_folder(app)}", cluster.agents[0].root
    data = (first / folder / "App.info.json").read_bytes()
    info = read_json(data)
    number = 1 + max(int(place.name.removeprefix("version_")) for place in (first / folder).glob("version_*"))
    info["DraftVersion"] = number
    if "Versions" in info:
        info["Versions"].append(version_row(number, created=time.time(), published=False))
    for path, content in version_files(random.Random(f"{app}/{number}"), name=app, number=number, release=_web(cluster)):
        _write(cluster, f"{folder}/version_{number}/{path}", content)
    _write(cluster, f"{folder}/App.info.json", dump(info).encode(encoding_of(data)))
    return number


def drift(cluster: Cluster, agent: str, path: str = "Dashboards/Overview.dmadb.json") -> str:
    """Edits a dashboard on one agent only; returns its path relative to the root."""
    target = cluster.agent(agent).root / path
    data = target.read_bytes()
    target.write_bytes(dump({**read_json(data), "Note": "edited by hand"}).encode(encoding_of(data)))
    return path
