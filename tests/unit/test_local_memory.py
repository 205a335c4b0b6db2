"""The memory of a job doesn't grow with the size of the files."""

from __future__ import annotations

import random
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils import local_host
from ansible_collections.dataminer.web.plugins.module_utils.local_jobs import Job
from local_kit import Agent

SIZE = 120_000_000
BOUND_KB = 50_000  # what a job may take on top of what the process had before it


def measured(runner: Callable[[Job], dict[str, Any]]) -> Callable[[Job], dict[str, Any]]:
    def run(job: Job) -> dict[str, Any]:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        result = runner(job)
        return {**result, "grown": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before}

    return run


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Agent:
    """An agent with one large file, mostly a hole: it takes the disk no room and is quick to read."""
    for kind in ("backup", "verify", "prepare", "commit"):
        monkeypatch.setitem(local_host.RUNNERS, kind, measured(local_host.RUNNERS[kind]))
    agent = Agent(tmp_path)
    place = agent.write("Web/large.bin", random.Random(1).randbytes(8_000_000))
    with place.open("r+b") as stream:
        stream.truncate(SIZE)
    return agent


def test_one_large_file_takes_no_more_memory_than_a_small_one(agent: Agent) -> None:
    backup = agent.follow(agent.backup_spec("Web"), "b1")
    assert backup.state == "done", backup.error
    verify = agent.follow({"kind": "verify", "path": backup.result["path"], "manifest": None, "copy_to": str(agent.work / "aside")}, "v1")
    with (agent.root / "Web/large.bin").open("r+b") as stream:
        stream.write(b"changed")
    names = verify.result["names_sha256"]
    spec = {"kind": "prepare", "zip": verify.result["copied"], "zip_sha256": verify.result["zip_sha256"], "names_sha256": names, "include": None}
    prepare = agent.follow({**spec, "root": str(agent.root), "safety": None, "mtime": "now"}, "p1")
    commit = agent.follow(agent.commit_spec("p1"), "c1")
    assert commit.result["verified"] == 1
    with zipfile.ZipFile(backup.result["path"]) as read:
        assert read.infolist()[0].file_size == SIZE
    grown = {job.kind: job.result["grown"] for job in (backup, verify, prepare, commit)}
    assert max(grown.values()) < BOUND_KB, grown
