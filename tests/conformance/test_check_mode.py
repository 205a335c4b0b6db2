"""Scripts in check mode, where they run because they say that they may: none of them writes anything, whatever it is asked."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.errors import DataMinerError
from ansible_collections.dataminer.web.plugins.plugin_utils.windows_host import WindowsHost
from conftest import Lane, in_an_engine
from test_job_verify import spec as verify
from trees import write

pytestmark = in_an_engine
RECORD = {"run_id": "c1", "kind": "commit", "owner": "me@there", "started": "2026-03-01T12:30:15Z", "work": "ab" * 32}
BACKUP = {"kind": "backup", "root": "there", "items": [], "dest_dir": "there"}


def digest(host: Lane) -> str:
    return hashlib.sha256((host.home / "a.zip").read_bytes()).hexdigest()


ASKED: dict[str, tuple[Callable[[Lane, WindowsHost], Any], str]] = {
    "start": (lambda host, agent: agent.start(BACKUP, "b1").state, "Refused: Nothing is started in check mode"),
    "start of a job that is known": (lambda host, agent: agent.start(BACKUP, "c1").state, "Refused: Nothing is started in check mode"),
    "poll": (lambda host, agent: agent.poll("c1").state, "waiting"),
    "release": (lambda host, agent: agent.signal("c1", "release").state, "waiting"),
    "undo": (lambda host, agent: agent.signal("c1", "undo").state, "waiting"),
    "undo of a commit that nobody knows": (lambda host, agent: agent.signal("c2", "undo").state, "NoSuchJob: No job c2 on this agent"),
    "inspect": (lambda host, agent: agent.inspect(host.told(verify(host, host.home / "a.zip")))["entries"][0][0], "Dashboards/a.dmadb.json"),
    "discard": (lambda host, agent: agent._discard({"copied": host.native(host.home / "a.zip"), "zip_sha256": digest(host)}, {}), "None"),
}


@pytest.mark.parametrize("asked", ASKED)
def test_nothing_is_written(host: Lane, asked: str) -> None:
    """A commit waits for a word, and there is a backup to look at."""
    for name in ("lock.json", "jobs/c1/state.json"):  # of now: it is about to begin
        write(host.home / "work" / name, json.dumps(RECORD)).touch()
    write(host.home / "work" / "jobs" / "c1" / "journal.json", '{"state": "swapped"}')
    with zipfile.ZipFile(host.home / "a.zip", "w") as archive:
        archive.writestr("Dashboards/a.dmadb.json", "{}")
    before = {path: path.lstat().st_mtime_ns for path in host.home.rglob("*")}
    changed = []

    def execute(script: str, parameters: dict[str, Any], depth: int) -> dict[str, Any]:
        assert host.engine
        answer = host.engine.call({"script": script, "parameters": parameters, "depth": depth, "error_action": "stop", "check": True})
        changed.append(answer["changed"])
        return answer

    call, said = ASKED[asked]
    try:
        found = str(call(host, WindowsHost(execute, host.native(host.home / "work"))))
    except DataMinerError as error:
        found = f"{type(error).__name__}: {error.message}"
    assert found == said
    assert changed == [False]
    assert {path: path.lstat().st_mtime_ns for path in host.home.rglob("*")} == before
