"""From a scan document to an AgentState, and back to plain JSON."""

from __future__ import annotations

import copy
import json
from datetime import timedelta
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.agent_result import to_result
from ansible_collections.dataminer.web.plugins.module_utils.agent_versions import DEFAULT_SUCCESS_PATTERN, failed_prerequisites, success_test
from ansible_collections.dataminer.web.plugins.module_utils.errors import InvalidInput, InvalidScan, InvalidVersion
from ansible_collections.dataminer.web.plugins.module_utils.read_agent import read_agent

SUCCESS = "2025-04-01 10:20:00 Upgrade succeeded"
FAILURE = "2025-04-01 10:20:00 Upgrade failed"
HASH = "0123456789abcdef0123456789abcdef"


def text(value: str | None, error: str | None = None) -> dict[str, Any]:
    return {"text": value, "error": error}


def package(
    name: str, ended: str | None, log: str | None = SUCCESS, *, started: str | None = None, checks: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    return {
        "folder": f"{name}.dmupgrade-{HASH}",
        "created": started or ended,
        "modified": ended,
        "log_tail": log,
        "prerequisites": checks or [],
    }


def disk(path: str) -> dict[str, Any]:
    return {"path": path, "free": 10**11, "volume": "C"}


def scan(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = {
        "schema": 1,
        "clock": {"utc": "2025-05-01T12:00:00Z", "offset_minutes": 60},
        "language_mode": "FullLanguage",
        "root": {"path": "C:\\Skyline DataMiner", "exists": True},
        "texts": {"version_history": text("2025-03-27 11:16:35;10.5.4.0-15588-20250319-release"), "web_config": text("<configuration/>")},
        "cluster": {
            "name": "pluto",
            "self_id": 7,
            "self_address": "10.4.2.92",
            "agents": [{"id": None, "address": "10.4.2.92"}, {"id": 35, "address": "10.4.2.93"}],
            "failover": False,
            "error": None,
        },
        "apps": [
            {
                "folder": "a1",
                "info": text('{"Name": "Sales", "PublicVersion": 2, "DraftVersion": 0}'),
                "dirs": ["version_1", "version_2"],
                "files": [],
            }
        ],
        "loose": ["readme.txt"],
        "dashboards": [{"path": "Sub/one.dmadb.json", "size": 12, "modified": "2025-04-01T00:00:00Z"}],
        "dashboards_folder": True,
        "web": False,
        "packages": [],
        "web_api": "10.5.2505.1950",
        "backups": [
            {"origin": "vendor", "path": "C:\\b\\x.zip", "name": "x.zip", "size": 5, "modified": "2025-04-02T00:00:00Z", "manifest": None},
            {
                "origin": "own",
                "path": "D:\\b\\y.zip",
                "name": "y.zip",
                "size": 6,
                "modified": "2025-04-03T00:00:00Z",
                "manifest": {"header": "not json", "trailer": "{}", "intact": True},
            },
        ],
        "partials": [{"path": "D:\\b\\z.partial", "size": 1, "modified": "2025-04-03T00:00:00Z"}],
        "disk": {"backup_dir": disk("D:\\b"), "work_dir": disk("C:\\w"), "root": disk("C:\\Skyline DataMiner")},
        "host": {
            "processes": [{"name": "SLNet", "pid": 4, "started": "2025-04-01T00:00:00Z"}, {"name": "System", "pid": 0, "started": None}],
            "modules": [{"name": "DataMiner GQI", "version": "3.1.0", "code": "{1}"}],
            "runtimes": ["8.0.11"],
            "pending_reboot": [],
            "installer_busy": False,
            "upgrade_running": False,
        },
        "job": {"run_id": "r1", "kind": "backup", "owner": "me", "started": "2025-05-01T11:59:00Z", "work": "ab", "until": "2025-05-01T12:14:00Z"},
        "jobs": [],
        "journals": [{"run_id": "r0", "state": "released"}],
        "content": [{"path": "Applications/a1", "files": 3, "bytes": 10, "sha256": "f" * 64}],
        "errors": [{"path": "C:\\x", "message": "access denied"}],
    }
    return {**document, **changes}


def with_history(history: str | None, *packages: dict[str, Any], error: str | None = None) -> dict[str, Any]:
    return scan(texts={"version_history": text(history, error), "web_config": text(None, "missing")}, packages=list(packages))


def test_a_whole_document() -> None:
    state = read_agent(scan())
    assert str(state.server.version) == "10.5.4 (CU0)"
    assert state.server.source == "Upgrades/VersionHistory.txt, line of 2025-03-27 11:16:35 (local time)"
    assert [(member.id, member.address) for member in state.cluster.members] == [(7, "10.4.2.92"), (35, "10.4.2.93")]
    assert state.apps[0].title == "Sales"
    assert state.utc.isoformat() == "2025-05-01T12:00:00+00:00"
    assert state.host and [process.name for process in state.host.processes] == ["SLNet"]
    assert state.backups[0].manifest is None
    assert state.backups[1].manifest and not state.backups[1].manifest.intact
    assert state.disks["backup_dir"].path == "D:\\b"
    assert state.job and (state.job.kind, state.job.until) == ("backup", "2025-05-01T12:14:00Z")
    assert state.journals == (("r0", "released"),)
    assert state.content and state.content[0].files == 3
    assert state.errors == ("C:\\x: access denied",)


@pytest.mark.parametrize("key", ["host", "job", "content", "language_mode", "web_api"])
def test_what_may_be_null(key: str) -> None:
    assert to_result(read_agent(scan(**{key: None})))[key] is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema", 2),
        ("schema", None),
        ("schema", "1"),
        ("clock", None),
        ("clock.utc", "yesterday"),
        ("clock.utc", None),
        ("clock.offset_minutes", True),
        ("clock.offset_minutes", 60.5),
        ("clock.offset_minutes", 1440),
        ("language_mode", 3),
        ("root.exists", "true"),
        ("texts.version_history.text", 5),
        ("cluster", []),
        ("cluster.failover", None),
        ("cluster.agents[0].id", "7"),
        ("cluster.agents[0].address", None),
        ("apps", {"folder": "x"}),
        ("apps[0].dirs", "version_1"),
        ("apps[0].dirs[1]", 3),
        ("apps[0].info", None),
        ("dashboards[0].size", "12"),
        ("web", None),
        ("dashboards_folder", 1),
        ("packages", None),
        ("web_api", 10.5),
        ("backups[0].origin", "theirs"),
        ("backups[0].modified", "2025-04-02"),
        ("backups[1].manifest.intact", None),
        ("disk.root.free", None),
        ("host.processes[0].pid", "4"),
        ("host.runtimes[0]", 8),
        ("job.run_id", None),
        ("job.until", 900),
        ("content[0].bytes", None),
        ("errors[0].message", None),
    ],
)
def test_a_value_of_the_wrong_type_is_named_by_its_key(path: str, value: Any) -> None:
    document = copy.deepcopy(scan())
    node: Any = document
    *parents, last = path.replace("[", ".").replace("]", "").split(".")
    for key in parents:
        node = node[int(key) if key.isdigit() else key]
    node[int(last) if last.isdigit() else last] = value
    with pytest.raises(InvalidScan) as caught:
        read_agent(document)
    assert f" {path} isn't" in caught.value.message
    assert caught.value.needed


@pytest.mark.parametrize("document", [None, [], "scan", 1])
def test_what_is_no_document(document: Any) -> None:
    with pytest.raises(InvalidScan, match="the document"):
        read_agent(document)


def test_the_inventory_wins_and_says_so() -> None:
    state = read_agent(scan(), server_version="10.4.0 [CU21]", web_version="10.5.6")
    assert str(state.server.version) == "10.4.0 [CU21]"
    assert str(state.web.version) == "10.5.6 (CU0)"
    assert "inventory" in state.server.source
    assert "inventory" in state.web.source
    assert str(read_agent(scan(), server_version="", web_version=None).server.version) == "10.5.4 (CU0)"


def test_an_override_that_is_no_version() -> None:
    with pytest.raises(InvalidVersion, match="'latest'"):
        read_agent(scan(), web_version="latest")


def test_a_pattern_that_is_none() -> None:
    with pytest.raises(InvalidInput, match="dataminer_progress_success_pattern"):
        read_agent(scan(), success_pattern="(")


@pytest.mark.parametrize(
    ("history", "version"),
    [
        ("2025-01-01 00:00:00;10.5.1\n2025-03-01 00:00:00;10.5.3\n2025-02-01 00:00:00;10.5.2", "10.5.3 (CU0)"),
        ("2025-01-01 00:00:00;10.5.1\n2025-01-01 00:00:00;10.5.2", "10.5.2 (CU0)"),
        ("2025-01-01 00:00:00;10.5.1\njunk", "10.5.1 (CU0)"),
    ],
)
def test_the_server_version_is_the_newest_line_by_time_the_last_of_equals(history: str, version: str) -> None:
    assert str(read_agent(with_history(history)).server.version) == version


@pytest.mark.parametrize(
    ("history", "error", "why"),
    [(None, "missing", "is missing"), (None, "too large", "is too large"), ("junk", None, "no line that can be read"), ("", None, "no line")],
)
def test_no_server_version_says_why(history: str | None, error: str | None, why: str) -> None:
    state = read_agent(with_history(history, error=error))
    assert state.server.version is None
    assert why in state.server.source
    assert state.web.version is None
    assert "no completed" in state.web.source


def test_a_thousand_junk_lines_dont_flood_the_result() -> None:
    errors = read_agent(with_history("junk\n" * 1000)).errors
    assert len(errors) == 22
    assert "980 more" in errors[-1]


WEB_5 = "DataMiner 10.5.5.0-15700 Web Upgrade"
WEB_6 = "DataMiner 10.5.6.0-15800 Web Upgrade (rc)"
FULL_4 = "DataMiner 10.5.4.0-15588 Full Upgrade"
FULL_3 = "DataMiner 10.5.3.0-15396 Full Upgrade"
LINE_4 = "2025-03-27 11:16:35;10.5.4.0-15588-20250319-release"  # 10:16:35 UTC, between 09:16:35 and 11:16:35


@pytest.mark.parametrize(
    ("history", "packages", "version"),
    [
        pytest.param(LINE_4, [], "10.5.4 (CU0)", id="full upgrade known by its line"),
        pytest.param(LINE_4, [package(WEB_5, "2025-03-28T00:00:00Z")], "10.5.5 (CU0)", id="web after full"),
        pytest.param(LINE_4, [package(WEB_5, "2025-03-26T00:00:00Z")], "10.5.4 (CU0)", id="full overrides an earlier web upgrade"),
        pytest.param(
            LINE_4, [package(WEB_5, "2025-03-28T00:00:00Z"), package(WEB_6, "2025-03-27T12:00:00Z")], "10.5.5 (CU0)", id="a web downgrade counts"
        ),
        pytest.param(None, [package(FULL_4, "2025-03-28T00:00:00Z"), package(WEB_5, "2025-03-27T00:00:00Z")], "10.5.4 (CU0)", id="full package wins"),
        pytest.param(
            LINE_4,
            [package(FULL_4, "2025-03-27T10:10:00Z"), package(WEB_5, "2025-03-27T10:40:00Z")],
            "10.5.5 (CU0)",
            id="the full package's own moment orders what its line can't",
        ),
        pytest.param(
            LINE_4,
            [package(WEB_5, "2025-03-27T09:50:00Z"), package(FULL_4, "2025-03-27T10:10:00Z")],
            "10.5.4 (CU0)",
            id="and the other way round",
        ),
        pytest.param(LINE_4, [package("DataMiner 10.5.4.0-15588 Web Upgrade", "2025-03-27T10:40:00Z")], "10.5.4 (CU0)", id="no order needed: same"),
        pytest.param(LINE_4, [package("DataMiner 10.5.9.0-16000 Cube Upgrade", "2025-04-27T00:00:00Z")], "10.5.4 (CU0)", id="other kinds don't"),
        pytest.param(LINE_4, [package(WEB_5, "2025-04-27T00:00:00Z", FAILURE)], "10.5.4 (CU0)", id="a failed one doesn't"),
        pytest.param(LINE_4, [package(WEB_5, "2025-03-26T00:00:00Z", None)], "10.5.4 (CU0)", id="an unknown one before doesn't matter"),
    ],
)
def test_the_web_version(history: str | None, packages: list[dict[str, Any]], version: str) -> None:
    state = read_agent(with_history(history, *packages, error=None if history else "missing"))
    assert str(state.web.version) == version, state.web.source


@pytest.mark.parametrize(
    ("history", "packages", "words"),
    [
        pytest.param(LINE_4, [package(WEB_5, "2025-03-27T09:16:35Z")], ["10.5.4 (CU0)", "10.5.5 (CU0)", "can't be told"], id="start of the window"),
        pytest.param(LINE_4, [package(WEB_5, "2025-03-27T11:16:35Z")], ["VersionHistory.txt", "can't be told"], id="end of the window"),
        pytest.param(None, [package(WEB_5, "2025-03-28T00:00:00Z"), package(WEB_6, "2025-03-28T00:00:00Z")], ["can't be told"], id="same second"),
        pytest.param(LINE_4, [package(WEB_5, "2025-04-27T00:00:00Z", None)], ["progress.log", "inventory"], id="a later one without a log"),
    ],
)
def test_where_the_order_cant_be_told_the_web_version_isnt_known(history: str | None, packages: list[dict[str, Any]], words: list[str]) -> None:
    web = read_agent(with_history(history, *packages)).web
    assert web.version is None
    assert all(word in web.source for word in words), web.source


@pytest.mark.parametrize(("ended", "version"), [("2025-03-27T09:16:34Z", "10.5.4 (CU0)"), ("2025-03-27T11:16:36Z", "10.5.5 (CU0)")])
def test_just_outside_the_window_the_order_is_certain(ended: str, version: str) -> None:
    assert str(read_agent(with_history(LINE_4, package(WEB_5, ended))).web.version) == version


ODD_LINE = "2025-04-10 00:00:00;10.6.0.0-16000 custom"


@pytest.mark.parametrize(
    ("history", "packages", "server", "web"),
    [
        (f"{LINE_4}\n{ODD_LINE}", [], None, None),
        (f"{ODD_LINE}\n{LINE_4}", [], None, None),
        (f"{LINE_4}\n{ODD_LINE}", [package(WEB_5, "2025-04-01T00:00:00Z")], None, None),
        (f"{LINE_4}\n{ODD_LINE}", [package(WEB_5, "2025-04-11T00:00:00Z")], None, "10.5.5 (CU0)"),
        (f"{LINE_4}\n{ODD_LINE}", [package(WEB_5, "2025-04-11T00:00:00Z", FAILURE)], None, None),
        (f"{ODD_LINE}\n2025-04-10 00:00:01;10.5.4.0-15588", [], "10.5.4 (CU0)", "10.5.4 (CU0)"),
        (f"{LINE_4}\n2025-03-01 00:00:00;what?", [], "10.5.4 (CU0)", "10.5.4 (CU0)"),
    ],
)
def test_no_older_line_tells_what_runs_where_the_newest_one_cannot_be_read(
    history: str, packages: list[dict[str, Any]], server: str | None, web: str | None
) -> None:
    """It is that of a full upgrade, which overrides every web upgrade before it."""
    state = read_agent(with_history(history, *packages))
    assert (state.server.version and str(state.server.version), state.web.version and str(state.web.version)) == (server, web)
    if server is None:
        assert "'10.6.0.0-16000 custom' is not a DataMiner version; it is the newest line" in state.server.source
    ((earliest, latest),) = state.unread
    assert latest - earliest == timedelta(hours=2)


def test_a_package_without_a_log_whose_check_failed_wasnt_installed() -> None:
    checks = [{"name": "PreRequisite-Result-VerifyDotNet.dll.json", "text": '{"Success": false}'}]
    state = read_agent(with_history(LINE_4, package(WEB_5, None, None, started="2025-04-27T00:00:00Z", checks=checks)))
    assert str(state.web.version) == "10.5.4 (CU0)"
    assert state.packages[0].failed_prerequisites == ("VerifyDotNet",)
    assert state.packages[0].completed is None
    assert state.packages[0].ended is None


def test_a_failed_package_is_told_in_the_source() -> None:
    state = read_agent(with_history(LINE_4, package(WEB_5, "2025-04-01T00:00:00Z"), package(WEB_6, "2025-04-02T00:00:00Z", FAILURE)))
    assert str(state.web.version) == "10.5.5 (CU0)"
    assert f"Upgrades/Packages/{WEB_5}.dmupgrade-{HASH}, completed 2025-04-01T00:00:00Z" in state.web.source
    assert f"{WEB_6}.dmupgrade (2025-04-02T00:00:00Z) shows no success" in state.web.source
    assert [installed.completed for installed in state.packages] == [True, False]


def test_a_folder_that_is_no_package_is_skipped_and_told() -> None:
    state = read_agent(with_history(LINE_4, {**package(WEB_5, "2025-04-01T00:00:00Z"), "folder": "leftover"}))
    assert state.packages == ()
    assert any("Upgrades/Packages/leftover: skipped" in error for error in state.errors)


def test_the_success_pattern_is_the_callers() -> None:
    log = "Step 9: ALL GOOD"
    document = with_history(LINE_4, package(WEB_5, "2025-04-01T00:00:00Z", log))
    assert str(read_agent(document).web.version) == "10.5.4 (CU0)"
    assert str(read_agent(document, success_pattern="all good").web.version) == "10.5.5 (CU0)"


@pytest.mark.parametrize(
    ("log", "success"),
    [
        ("Upgrade succeeded", True),
        ("10:00 UPGRADE finished successfully.", True),
        ("The installation has been completed", True),
        ("Update of agent 10.4.2.92 completed\r\nbye", True),
        ("Upgrade finished without errors", True),
        ("Upgrade finished without any errors", True),
        ("Upgrade completed with 0 errors", True),
        ("Upgrade succeeded. 0 failed, errors: 0", True),
        ("Update of files failed, trying again\nUpdate of files completed\nUpgrade succeeded\nno failures", True),
        ("Upgrade failed", False),
        ("Upgrade was not successful", False),
        ("Upgrade unsuccessful", False),
        ("Upgrade completed with 3 errors", False),
        ("Upgrade finished: 2 steps failed", False),
        ("Update of files completed\nMigrating\nUpgrade failed: disk full", False),
        ("Installation of module GQI completed\nERROR 1603\nUpgrade FAILED", False),
        ("Update of prerequisites finished\r\nAborting", False),
        ("Update of files finished\nSystem.IO.IOException: rolled back", False),
        ("Upgrade completed with 10 errors", False),
        ("Upgrade finished, errors: 10", False),
        ("Upgrade started\nStep 1 completed", False),
        ("", False),
    ],
)
def test_what_the_default_pattern_takes_for_success(log: str, success: bool) -> None:
    assert bool(success_test(DEFAULT_SUCCESS_PATTERN).search(log)) is success


@pytest.mark.parametrize(
    ("content", "failed"),
    [
        ('{"Success": false}', True),
        ('{"Results": [{"IsSuccessful": false}]}', True),
        ('{"Result": "Failed", "Message": "x"}', True),
        ('{"Success": true, "Message": "no error"}', False),
        ('{"RebootNeeded": false}', False),
        ("[]", False),
        ("not json", False),
        ("[" * 100_000, False),
        (None, False),
    ],
)
def test_which_prerequisites_failed(content: str | None, failed: bool) -> None:
    assert failed_prerequisites([("PreRequisite-Result-Check.dll.json", content)]) == (("Check",) if failed else ())


def test_a_result_is_plain_json() -> None:
    result = to_result(read_agent(with_history(LINE_4, package(WEB_5, "2025-04-01T00:00:00Z"))))
    assert json.loads(json.dumps(result)) == result
    assert result["server"] == {
        "version": "10.5.4 (CU0)",
        "build": 15588,
        "source": "Upgrades/VersionHistory.txt, line of 2025-03-27 11:16:35 (local time)",
    }
    assert result["apps"] == [{"name": "Sales", "folder": "a1", "published": 2, "draft": 0, "versions": 2, "problem": None}]
    assert isinstance(result["packages"], list) and result["packages"][0]["ended"] == "2025-04-01T00:00:00Z"
    assert isinstance(result["backups"], list) and [row["name"] for row in result["backups"]] == ["y.zip", "x.zip"]


def test_a_result_of_300_apps_counts_them_all_and_lists_half_below_50_kb() -> None:
    apps = [
        {
            "folder": f"00000000-0000-0000-0000-{number:012d}",
            "info": text(json.dumps({"Name": f"Application {number}", "PublicVersion": 179, "DraftVersion": 180})),
            "dirs": [f"version_{version}" for version in range(50)],
            "files": [],
        }
        for number in range(300)
    ]
    result = to_result(read_agent(scan(apps=apps)))
    assert isinstance(result["apps"], list) and len(result["apps"]) >= 150
    assert isinstance(result["counts"], dict) and (result["counts"]["apps"], result["counts"]["app_versions"]) == (300, 15_000)
    assert len(json.dumps(result)) < 50_000


def test_a_result_stays_below_60_kb_whatever_the_agent_holds() -> None:
    long = "é" * 1000
    document = scan(
        apps=[{"folder": long, "info": text('{"Name": "' + long + '"}'), "dirs": [], "files": []}] * 2000,
        loose=[long] * 2000,
        dashboards=[{"path": long, "size": 1, "modified": "2025-04-01T00:00:00Z"}] * 2000,
        packages=[package(WEB_5, "2025-04-01T00:00:00Z")] * 2000,
        backups=scan()["backups"] * 1000,
        content=[{"path": long, "files": 1, "bytes": 1, "sha256": "f" * 64}] * 2000,
        errors=[{"path": long, "message": long}] * 2000,
    )
    result = to_result(read_agent(document))
    assert len(json.dumps(result)) < 100_000
    assert isinstance(result["counts"], dict) and result["counts"]["content"] == 2000


def test_the_last_restore() -> None:
    ended = {"run_id": "r0", "state": "released", "at": "2025-04-05T00:00:00Z", "backup": "y.zip", "zip_sha256": "ab"}
    assert to_result(read_agent(scan(last_restore=ended)))["last_restore"] == {
        "run_id": "r0",
        "state": "released",
        "at": "2025-04-05T00:00:00Z",
        "backup": "y.zip",
    }
    assert read_agent(scan(last_restore=None)).last_restore is None
    assert read_agent(scan(last_restore={**ended, "at": None})).last_restore is None
