"""What the Windows adapter makes of answers, whole and broken, and what it sends."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.errors import Busy, DataMinerError, InvalidScan, ScriptFailed
from ansible_collections.dataminer.web.plugins.module_utils.read_agent import read_agent
from ansible_collections.dataminer.web.plugins.plugin_utils.windows_host import WindowsHost, script_text
from harness import Engine

REQUEST: dict[str, Any] = {
    "root": "C:\\Skyline DataMiner",
    "work_dir": "C:\\work",
    "backup_dir": "C:\\backups",
    "vendor_backup_dir": "C:\\vendor",
    "host_command": None,
    "content": None,
    "max_text": 1000,
    "log_tail": 100,
}

WORK = "C:\\work"


def scan(result: Any, **more: Any) -> dict[str, Any]:
    """A scan whose script answers with `result`."""
    return WindowsHost(lambda script, parameters, depth: {"result": result, "changed": False, **more}, WORK).scan(REQUEST)


def test_what_is_sent() -> None:
    calls: list[tuple[str, dict[str, Any], int]] = []

    def execute(*call: Any) -> dict[str, Any]:
        calls.append(call)
        return {"result": {"encoding": "plain", "document": "{}"}}

    WindowsHost(execute, WORK).scan({**REQUEST, "host_command": ["/bin/facts"], "content": [{"path": "Web", "versions": None}]})
    [(script, parameters, depth)] = calls
    assert script == script_text("scan")
    assert parameters == {key: REQUEST[key] for key in ("root", "work_dir", "backup_dir", "vendor_backup_dir", "max_text", "log_tail")} | {
        "content": [{"path": "Web", "versions": None}]
    }
    assert depth >= 1


def test_plain_and_packed() -> None:
    packed = base64.b64encode(gzip.compress('{"schema": "é😀"}'.encode())).decode()
    assert scan({"encoding": "plain", "document": '{"schema": 1}'}) == {"schema": 1}
    assert scan({"encoding": "gzip+base64", "document": packed}) == {"schema": "é😀"}


@pytest.mark.parametrize(
    "result",
    [
        None,
        {},
        "text",
        {"encoding": "plain", "document": None},
        {"encoding": "rot13", "document": "{}"},
        {"encoding": "plain", "document": "{"},
        {"encoding": "plain", "document": "[]"},
        {"encoding": "gzip+base64", "document": "no base64"},
        {"encoding": "gzip+base64", "document": base64.b64encode(b"no gzip").decode()},
        {"encoding": "gzip+base64", "document": base64.b64encode(gzip.compress(b'{"a": 1}')[:-9]).decode()},
        {"encoding": "gzip+base64", "document": base64.b64encode(gzip.compress(b"\xff")).decode()},
    ],
)
def test_answer_that_is_none(result: Any) -> None:
    with pytest.raises(InvalidScan, match="can't be read"):
        scan(result)


def test_error_of_ours_comes_back_as_it_was() -> None:
    told = Busy("Another job runs", found="a backup job", needed="none", remedy="wait")
    with pytest.raises(Busy) as caught:
        scan(None, failed=True, error=[{"exception": {"message": json.dumps(told.to_dict())}}])
    assert caught.value.to_dict() == told.to_dict()


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (
            {"error": [{"exception": {"message": "disk is gone"}, "script_stack_trace": "at Get-Entry, <No file>: line 7\nat x"}]},
            "disk is gone (at Get-Entry, <No file>: line 7)",
        ),
        ({"error": [{"exception": {"message": "{}"}}]}, "{}"),
        ({"error": [], "msg": "win_powershell isn't installed"}, "win_powershell isn't installed"),
        ({"error": [{"exception": None}]}, "nothing was said"),
        ({}, "nothing was said"),
    ],
)
def test_other_failures_are_told(answer: dict[str, Any], found: str) -> None:
    with pytest.raises(ScriptFailed) as caught:
        scan(None, failed=True, **answer)
    assert caught.value.found == found


def test_real_failure(powershell: Engine) -> None:
    with pytest.raises(DataMinerError, match=r"scan\.ps1 failed.*max_text"):
        WindowsHost(powershell.execute, WORK).scan({**REQUEST, "max_text": "many"})


def test_locked_down_powershell_is_told_not_failed(powershell: Engine) -> None:
    def execute(script: str, parameters: dict[str, Any], depth: int) -> dict[str, Any]:
        return powershell.call({"script": script, "parameters": parameters, "depth": depth, "language_mode": "ConstrainedLanguage"})

    document = WindowsHost(execute, WORK).scan(REQUEST)
    state = read_agent(document)
    assert (state.language_mode, state.root_exists, state.host) == ("ConstrainedLanguage", False, None)
    assert "ConstrainedLanguage" in document["errors"][0]["message"]


def test_scan_runs_in_check_mode_and_reports_no_change(powershell: Engine) -> None:
    parameters = dict.fromkeys(("root", "work_dir", "backup_dir", "vendor_backup_dir"), "/nowhere")
    for check in (True, False):
        answer = powershell.call({"script": script_text("scan"), "parameters": parameters, "depth": 2, "check": check})
        assert (answer["failed"], answer["changed"], answer["error"], answer["output"]) == (False, False, [], [])
        assert answer["result"]["encoding"] == "plain"


def test_a_copy_that_cannot_be_discarded_is_told() -> None:
    """One of a zip that the core refuses, for an entry of which nothing was read."""
    read = {"path": "C:\\a.zip", "size": 1, "zip_sha256": "0" * 64, "copied": "C:\\a.zip", "directory": [["Web/a:b", 1, 1, 0, 0, 0, 8, *[None] * 4]]}
    status = {"run_id": "v1", "kind": "verify", "state": "ended", "end": json.dumps({"result": read})}

    def execute(script: str, parameters: dict[str, Any], depth: int) -> dict[str, Any]:
        if script == script_text("poll"):
            return {"result": {"encoding": "plain", "document": json.dumps(status)}}
        assert (script, parameters) == (script_text("discard"), {"path": "C:\\a.zip", "sha256": "0" * 64})
        return {"failed": True, "error": [{"exception": {"message": "Access is denied."}}]}

    error = WindowsHost(execute, WORK).poll("v1").error or {}
    assert error["type"] == "UnsafeEntry"
    assert error["remedy"].endswith(
        "who made this one; delete its copy C:\\a.zip by hand (The script discard.ps1 failed on the agent: Access is denied.)"
    )
