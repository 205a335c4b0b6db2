"""Who starts a job or writes a report, also where the account has a number only, as in many containers."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("ansible")

from ansible_collections.dataminer.web.plugins.module_utils.local_jobs import _record
from ansible_collections.dataminer.web.plugins.plugin_utils.action import AgentAction
from ansible_collections.dataminer.web.plugins.plugin_utils.report_files import write_report

NUMBER = f"uid {os.getuid()}@{socket.gethostname()}"


@pytest.fixture(params=[KeyError("getpwuid(): uid not found: 54321"), OSError("No username set in the environment")], ids=["before_3_13", "since"])
def nameless(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def getuser() -> str:
        raise request.param

    monkeypatch.setattr("getpass.getuser", getuser)


class Backup(AgentAction):
    module = "backup"

    def __init__(self) -> None:
        self._task = SimpleNamespace(args={}, check_mode=True, delegate_to=None)
        self.variables = {"inventory_hostname": "DMA1"}


def test_an_account_with_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "anna")
    assert Backup()._parameters()["owner"] == f"anna@{socket.gethostname()}"


@pytest.mark.usefixtures("nameless")
def test_an_account_with_a_number_only(tmp_path: Path) -> None:
    assert Backup()._parameters()["owner"] == NUMBER
    assert _record({"kind": "backup"}, "b1")["owner"] == NUMBER
    (written,) = write_report(str(tmp_path / "run.html"), {"purpose": "upgrade", "check_mode": False}, [])
    assert NUMBER in Path(written).read_text("utf-8")
