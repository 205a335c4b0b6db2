"""What `agent_info` hands over: small enough for AWX, whole enough for the gate."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.backup import plan_backup
from ansible_collections.dataminer.web.plugins.module_utils.case_common import state_of, unpack
from ansible_collections.dataminer.web.plugins.module_utils.case_info import agent_info, grouped
from ansible_collections.dataminer.web.plugins.module_utils.content import combined

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
        "basis": {name: hashlib.sha256(name.encode()).hexdigest() for name in ("content", "versions", "backups", "work")},
    }


def parts(apps: int, versions: int) -> list[dict[str, Any]]:
    """Rows of apps as a scan has them: what is outside of the version folders, the newest of these, all others."""
    found = []
    for n in range(apps):
        path = f"Applications/{guid(n)}"
        for part, files in ((path, 1), (f"{path}/version_{versions}", 1), (f"{path}/version_*", versions - 1)):
            found.append({"path": part, "files": files, "bytes": 5 * files, "sha256": hashlib.sha256(part.encode()).hexdigest()})
    return found


def busy(number: int) -> dict[str, Any]:
    """What else a scan says of an agent that was upgraded and restored for years: backups, jobs, processes of the product, trouble with files."""
    moment, digest = "2026-09-01T10:00:00Z", hashlib.sha256(str(number).encode()).hexdigest()
    left_out = [{"folder": guid(n), "name": f"Application {n}", "reason": "App.info.json is missing"} for n in range(10)]
    header = {
        "schema": 1,
        "created": moment,
        "agent": "dma-1",
        "cluster": "pluto",
        "server_version": "10.5.4.0-15588",
        "web_version": "10.5.6.0-15848",
    }
    header |= {"mode": "all", "purpose": "backup", "left_out": left_out, "warnings": [f"version_{n} of {guid(n)} is missing" for n in range(5)]}
    trailer = {"files": 600_000, "bytes": 10**10, "zip_size": 10**9, "zip_sha256": digest}
    name = f"DataMiner Web {digest[:8]}.zip"
    origin = ("own", "vendor", "aside", "safety")[number % 4]
    run_id = f"backup-20260901T100000Z-{digest[:8]}"
    return {
        "backup": {
            "origin": origin,
            "path": f"C:\\Backups\\{name}",
            "name": name,
            "size": 10**9 + number,
            "modified": moment,
            "manifest": None
            if origin == "vendor"
            else {"header": json.dumps(header | {"name": name}), "trailer": json.dumps(trailer), "intact": True},
        },
        "process": {"name": f"SL{digest[:8]}", "pid": number, "started": moment},
        "module": {"name": f"DataMiner {digest[:8]}", "version": f"10.5.{number}.0", "code": guid(number)},
        "job": {"run_id": run_id, "kind": "backup", "state": "done", "started": moment},
        "journal": {"run_id": run_id, "state": "released"},
        "error": {"path": f"C:\\Skyline DataMiner\\Applications\\{guid(number)}\\version_1", "message": f"Access to {guid(number)} is denied."},
    }


def filled(scan: dict[str, Any], *, errors: int) -> dict[str, Any]:
    rows = {kind: [busy(n)[kind] for n in range(20)] for kind in ("backup", "process", "module", "job", "journal")}
    facts = {"processes": rows["process"] * 3, "modules": rows["module"], "runtimes": ["8.0.14", "10.0.1"] * 10, "pending_reboot": ["Windows Update"]}
    more = {"backups": rows["backup"], "jobs": rows["job"], "journals": rows["journal"], "errors": [busy(n)["error"] for n in range(errors)]}
    return {**scan, **more, "host": {**facts, "installer_busy": False, "upgrade_running": False}}


class FakeHost:
    """Answers with one document; with content rows where content is asked for."""

    def __init__(self, scan: dict[str, Any], content: list[dict[str, Any]]) -> None:
        self.document, self.rows, self.requests = scan, content, list[dict[str, Any]]()

    def scan(self, request: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        return {**self.document, "content": self.rows if request["likely"] else None}


@pytest.mark.parametrize(
    ("apps", "versions", "files", "trouble"), [(300, 50, 500, 50), (300, 5, 5000, 50), (300, 50, 500, 15_000), (1000, 3, 100, None)]
)
def test_the_result_of_a_large_agent_stays_below_what_awx_cuts(apps: int, versions: int, files: int, trouble: int | None) -> None:
    content = [*parts(apps, versions), *rows(files, "Dashboards/Folder/{}.dmadb.json"), *rows(files, "Web/Images/{}.png")]
    whole = document(apps=apps, versions=versions, files=files)
    result = agent_info(FakeHost(whole if trouble is None else filled(whole, errors=trouble), content), ARGS)  # type: ignore[arg-type]
    assert len(json.dumps(result)) < LIMIT


@pytest.mark.parametrize("count", [100, 101])
def test_of_trouble_with_every_folder_the_beginning_and_the_number_stay(count: int) -> None:
    whole = filled(document(apps=0, versions=0, files=0), errors=count)
    kept = unpack(agent_info(FakeHost(whole, []), ARGS)["scan"])["errors"]  # type: ignore[arg-type]
    assert kept[:100] == whole["errors"][:100]
    assert [row["message"] for row in kept[100:]] == ["1 more couldn't be read"][: count - 100]


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


@pytest.mark.parametrize("after", ["", "x" * 3000])
def test_how_a_package_ended_is_the_same_in_the_packed_scan(after: str) -> None:
    """Whatever the installer writes after the word of success, up to what the scan reads."""
    whole = document(apps=0, versions=0, files=0)
    whole["packages"] = [{**whole["packages"][0], "log_tail": f"copying\nUpgrade succeeded\n{after}\n"}]
    packed = state_of(unpack(agent_info(FakeHost(whole, []), {**ARGS, "content": False})["scan"]), ARGS)  # type: ignore[arg-type]
    assert [(row.completed, row.said) for row in packed.packages] == [(True, "Upgrade succeeded")]


def test_web_config_leaves_a_digest_and_no_word() -> None:
    """It may hold secrets; whether it changed is all that is asked later."""
    digests = []
    for secret in ("Hunter2Geheim", "Hunter3Geheim"):
        whole = document(apps=0, versions=0, files=0)
        whole["texts"]["web_config"] = {"text": f"<add value='{secret}'/>", "error": None}
        result = agent_info(FakeHost(whole, []), ARGS)  # type: ignore[arg-type]
        assert secret not in json.dumps(result) + json.dumps(unpack(result["scan"]))
        state = state_of(unpack(result["scan"]), ARGS)
        assert state.web_config == state_of(whole, ARGS).web_config == result["agent"]["web_config"]
        digests.append(state.web_config)
    assert digests[0]
    assert len(set(digests)) == 2


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


@pytest.mark.parametrize("path", ["Dashboards/Top.dmadb.json", "Web/logo.png", "Applications/loose.txt"])
def test_a_file_in_no_folder_has_one_row_whatever_else_there_is(path: str) -> None:
    """Else it would differ between an agent of just so many rows and one with a row more."""
    few, many = rows(799, "Dashboards/F/{}.dmadb.json"), rows(800, "Dashboards/F/{}.dmadb.json")
    (row,) = rows(1, path)
    assert row in grouped([*few, row])
    assert row in grouped([*many, row])


def test_the_inventory_overrides_what_was_read() -> None:
    result = agent_info(FakeHost(document(apps=1, versions=1, files=1), []), {**ARGS, "web_version": "10.5.0.0-15000-CU3"})  # type: ignore[arg-type]
    state = state_of(unpack(result["scan"]), result["overrides"])
    assert state.web.version is not None
    assert (state.web.version.cu, state.web.version.build) == (3, 15000)
    assert "inventory" in state.web.source


@pytest.mark.parametrize(
    ("asked", "guess"),
    [
        ({"likely_version": "10.5.6"}, "all"),
        ({}, "named"),
        ({"likely_version": "10.6.2"}, "named"),
        ({"likely_version": 10.1}, "named"),  # whoever needs it as a version refuses it
        ({"versions": "all"}, "all"),
        ({"versions": "latest", "likely_version": "10.5.6"}, "named"),
        ({"include_web": False, "web_version": "10.6.2"}, "named"),
        ({"web_version": "10.5.6"}, "named"),  # or the apps of the one agent whose version the inventory names would differ from all others
    ],
)
def test_one_look_whatever_was_guessed(asked: dict[str, Any], guess: str) -> None:
    """The rows are those of the plan: the installed version holds all versions in its backups, unless it is told otherwise."""
    content = [*parts(3, 4), *rows(2, "Dashboards/{}.dmadb.json"), *rows(2, "Web/{}.png")]
    host = FakeHost(document(apps=3, versions=4, files=2), content)
    result = agent_info(host, {**ARGS, **asked})  # type: ignore[arg-type]
    assert [request["likely"]["versions"] for request in host.requests] == [guess]
    found = unpack(result["scan"])["content"]
    two = asked.get("versions") == "latest" or asked.get("web_version") == "10.6.2"
    assert [row["path"] for row in found[:3]] == [f"Applications/{guid(n)}" for n in range(3)]
    assert [row["files"] for row in found[:3]] == [2 if two else 5] * 3
    assert len(found) == (5 if asked.get("include_web") is False else 7)


@pytest.mark.parametrize(("wanted", "told"), [([2], False), ([1, 2], True), (None, True)])
def test_a_change_in_other_versions_shows_where_they_may_go_in(wanted: list[int] | None, told: bool) -> None:
    """Version 1 has no row of its own: what is planned by another reading of App.info.json than the guess's isn't called equal for that."""
    given = parts(1, 2)
    changed = [*given[:2], {**given[2], "sha256": "0" * 64}]
    path = given[0]["path"]
    first, second = (combined(each, [{"path": path, "versions": wanted}], apps={path}) for each in (given, changed))
    assert (first != second) is told
    assert first[0]["files"] == (3 if wanted is None else 2)


def test_without_content_nothing_is_measured() -> None:
    host = FakeHost(document(apps=3, versions=4, files=2), parts(3, 4))
    result = agent_info(host, {**ARGS, "content": False})  # type: ignore[arg-type]
    assert unpack(result["scan"])["content"] is None
    assert [request["likely"] for request in host.requests] == [None]


def test_an_app_that_the_plan_leaves_out_is_left_out() -> None:
    whole = document(apps=3, versions=4, files=0)
    whole["apps"][1]["info"]["text"] = "{"
    result = agent_info(FakeHost(whole, parts(3, 4)), {**ARGS, "web_version": "10.6.2"})  # type: ignore[arg-type]
    assert [row["path"] for row in unpack(result["scan"])["content"]] == [f"Applications/{guid(n)}" for n in (0, 2)]


BROKEN = ["{", "", "\0\0\0", '{"PublicVersion": true}', '{"PublicVersion": 1, "Versions": 3}', "[1]", None]


@pytest.mark.parametrize("versions", ["auto", "all", "latest"])
@pytest.mark.parametrize("web", ["10.5.6", "10.6.2"])
def test_a_backup_is_planned_alike_from_the_packed_scan(versions: str, web: str) -> None:
    whole = document(apps=20, versions=4, files=2)
    whole["loose"] = ["a.txt", "b.txt"]
    odd = ["\ufeff" + whole["apps"][0]["info"]["text"], '{"Name":\t"a\tb", "PublicVersion": "3", "DraftVersion": 2.0, "PublicVersion": 1}', "{}"]
    for app, text in zip(whole["apps"], [*BROKEN, *odd], strict=False):
        app["info"] = {"text": text, "error": "unreadable" if text is None else None}
    whole["apps"][15]["info"]["error"], whole["apps"][15]["info"]["text"] = "missing", None
    args = {**ARGS, "web_version": web, "content": False, "versions": versions}
    packed = unpack(agent_info(FakeHost(whole, []), args)["scan"])  # type: ignore[arg-type]
    assert packed["basis"] == whole["basis"]
    assert plan_backup(state_of(packed, args), versions=versions) == plan_backup(state_of(whole, args), versions=versions)


@pytest.mark.parametrize("change", ["apps", "loose", "info"])
def test_nothing_is_planned_from_a_list_that_was_cut(change: str) -> None:
    whole = document(apps=401 if change == "apps" else 1, versions=1, files=0)
    whole["loose"] = [f"{n}.txt" for n in range(201)] if change == "loose" else []
    if change == "info":
        whole["apps"][0]["info"]["text"] = "{" * 1001
    packed = unpack(agent_info(FakeHost(whole, []), ARGS)["scan"])  # type: ignore[arg-type]
    assert set(packed["basis"]) == {"versions", "backups", "work"}
