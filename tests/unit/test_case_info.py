"""What `agent_info` hands over: small enough for AWX, whole enough for the gate."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.case_common import state_of, unpack
from ansible_collections.dataminer.web.plugins.module_utils.case_info import agent_info, grouped
from ansible_collections.dataminer.web.plugins.module_utils.local_items import likely_items

ARGS: dict[str, Any] = {"root": "/dm", "work_dir": "/work", "backup_dir": "/backups", "content": True, "versions": "auto", "include_web": True}
LIMIT = 100_000


def guid(number: int) -> str:
    return str(uuid.UUID(bytes=hashlib.md5(str(number).encode()).digest()))


def app(number: int, versions: int) -> dict[str, Any]:
    history = [
        {"Version": n, "CreatedAt": 1768383193493 + n * number, "CreatedBy": f"DOMAIN\\user{n}", "Type": "Published"} for n in range(1, versions + 1)
    ]
    info = {"ID": guid(number), "Name": f"Application {number}", "PublicVersion": versions, "DraftVersion": 0, "Versions": history}
    dirs = [f"version_{n}" for n in range(1, versions + 1)]
    return {"folder": guid(number), "info": {"text": json.dumps(info), "error": None}, "dirs": dirs, "files": []}


def rows(count: int, path: str) -> list[dict[str, Any]]:
    return [{"path": path.format(guid(n)), "files": 9, "bytes": 123456, "sha256": hashlib.sha256(str(n).encode()).hexdigest()} for n in range(count)]


def document(*, apps: int, versions: int, files: int) -> dict[str, Any]:
    missing = {"text": None, "error": "missing"}
    package = "DataMiner 10.5.6.0-15848 Web Upgrade.dmupgrade-" + "a" * 32
    log = "copying a file\n" * 300 + "Upgrade succeeded\n"
    moment = "2026-09-01T10:00:00Z"
    return {
        "schema": 1,
        "clock": {"utc": "2026-11-24T04:00:00Z", "offset_minutes": 60},
        "language_mode": None,
        "root": {"path": "/dm", "exists": True},
        "texts": {"version_history": {"text": "2026-08-01 11:16:35;10.5.6.0-15848-20250319-release\n", "error": None}, "web_config": missing},
        "cluster": {"name": "pluto", "self_id": 1, "self_address": "10.0.0.1", "agents": [], "failover": False, "error": None},
        "apps": [app(number, versions) for number in range(apps)],
        "loose": [],
        "dashboards": [{"path": f"Folder/{guid(n)}.dmadb.json", "size": 1000, "modified": moment} for n in range(files)],
        "dashboards_folder": True,
        "web": True,
        "packages": [{"folder": package, "created": moment, "modified": moment, "log_tail": log[-4096:], "prerequisites": []}] * 40,
        "web_api": "10.5.2505.1950",
        "backups": [],
        "partials": [],
        "disk": {name: {"path": f"/{name}", "free": 10**12, "volume": "1"} for name in ("backup_dir", "work_dir", "root")},
        "host": None,
        "job": None,
        "jobs": [],
        "journals": [],
        "last_restore": None,
        "content": None,
        "errors": [],
    }


class FakeHost:
    """Answers with one document; with content rows where content is asked for."""

    def __init__(self, scan: dict[str, Any], content: list[dict[str, Any]]) -> None:
        self.document, self.rows, self.calls = scan, content, 0

    def scan(self, request: dict[str, Any]) -> dict[str, Any]:
        self.calls += 1
        asked = request["content"]
        if asked is None and request["likely"]:
            asked = likely_items(self.document, request["likely"])
        return {**self.document, "asked": asked, "content": self.rows if asked is not None else None}


@pytest.mark.parametrize(("apps", "versions", "files"), [(300, 50, 500), (300, 5, 5000), (1000, 3, 100)])
def test_the_result_of_a_large_agent_stays_below_what_awx_cuts(apps: int, versions: int, files: int) -> None:
    content = [*rows(apps, "Applications/{}"), *rows(files, "Dashboards/Folder/{}.dmadb.json"), *rows(files, "Web/Images/{}.png")]
    result = agent_info(FakeHost(document(apps=apps, versions=versions, files=files), content), ARGS)  # type: ignore[arg-type]
    assert len(json.dumps(result)) < LIMIT


def test_the_packed_scan_gives_the_gate_what_the_scan_gave() -> None:
    content = [*rows(3, "Applications/{}"), *rows(2, "Dashboards/{}.dmadb.json")]
    whole = document(apps=3, versions=4, files=2)
    result = agent_info(FakeHost(whole, content), ARGS)  # type: ignore[arg-type]
    seen, packed = state_of({**whole, "content": content}, ARGS), state_of(unpack(result["scan"]), result["overrides"])
    assert (packed.server, packed.web, packed.cluster, packed.disks, packed.packages) == (
        seen.server,
        seen.web,
        seen.cluster,
        seen.disks,
        seen.packages,
    )
    assert [(a.title, a.info and a.info.published) for a in packed.apps] == [(a.title, a.info and a.info.published) for a in seen.apps]
    assert sum(row.bytes for row in packed.content or ()) == sum(row.bytes for row in seen.content or ())


def test_a_change_in_one_of_many_files_still_shows() -> None:
    whole, content = document(apps=0, versions=0, files=3000), rows(3000, "Web/Images/{}.png")
    changed = [*content[:-1], {**content[-1], "sha256": "0" * 64}]
    first, second = (unpack(agent_info(FakeHost(whole, given), ARGS)["scan"])["content"] for given in (content, changed))  # type: ignore[arg-type]
    assert first != second


@pytest.mark.parametrize("changed", [0, 799, 800, 1499, 1500, 2499, 2500])
def test_no_app_and_no_folder_of_very_many_is_lost(changed: int) -> None:
    """Neither for free space nor for the comparison."""
    given = [*rows(1500, "Applications/{}"), *rows(1000, "Dashboards/{}/a.dmadb.json"), *rows(1, "Web/{}.png")]
    other = [{**row, "sha256": "0" * 64} if number == changed else row for number, row in enumerate(given)]
    first, second = grouped(given), grouped(other)
    assert sum(row["bytes"] for row in first) == sum(row["bytes"] for row in given)
    assert sum(row["files"] for row in first) == sum(row["files"] for row in given)
    assert [row["path"] for row in first] == [row["path"] for row in second]
    assert sum(a != b for a, b in zip(first, second, strict=True)) == 1


def test_the_inventory_overrides_what_was_read() -> None:
    result = agent_info(FakeHost(document(apps=1, versions=1, files=1), []), {**ARGS, "web_version": "10.5.0.0-15000-CU3"})  # type: ignore[arg-type]
    state = state_of(unpack(result["scan"]), result["overrides"])
    assert state.web.version is not None
    assert (state.web.version.cu, state.web.version.build) == (3, 15000)
    assert "inventory" in state.web.source


@pytest.mark.parametrize(
    ("asked", "scans"),
    [
        ({"likely_version": "10.5.6"}, 1),  # as installed: everything goes in
        ({}, 2),  # taken for a newer one, whose backups hold two versions of an app
        ({"likely_version": "10.6.2"}, 2),
        ({"likely_version": 10.1}, 2),  # whoever needs it as a version refuses it
        ({"versions": "all"}, 1),
        ({"versions": "latest"}, 1),
        ({"include_web": False, "web_version": "10.6.2"}, 1),
        ({"content": False}, 1),
    ],
)
def test_a_right_guess_spares_the_second_scan(asked: dict[str, Any], scans: int) -> None:
    content = [*rows(3, "Applications/{}"), *rows(2, "Dashboards/{}.dmadb.json"), *rows(2, "Web/{}.png")]
    host = FakeHost(document(apps=3, versions=4, files=2), content)
    result = agent_info(host, {**ARGS, **asked})  # type: ignore[arg-type]
    assert host.calls == scans
    found = unpack(result["scan"])["content"]
    assert found is None if asked == {"content": False} else {row["path"].split("/")[0] for row in found} >= {"Applications", "Dashboards"}


def test_a_guess_beyond_the_plan_is_left_out() -> None:
    """An app that a backup leaves out isn't measured, though it was read."""
    whole, content = document(apps=3, versions=4, files=0), rows(3, "Applications/{}")
    whole["apps"][1]["info"]["text"] = "{"
    host = FakeHost(whole, content)
    result = agent_info(host, {**ARGS, "web_version": "10.6.2"})  # type: ignore[arg-type]
    assert host.calls == 1
    assert [row["path"] for row in unpack(result["scan"])["content"]] == [f"Applications/{guid(n)}" for n in (0, 2)]
