"""Digests of what a backup would hold, and the records of jobs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Lane
from trees import both, ordinary, write


def _digest(files: dict[str, bytes]) -> str:
    """The digest of a folder, as docs/architecture.md has it."""
    lines = [(path, f"{hashlib.sha256(data).hexdigest()} {len(data)} {path}\n") for path, data in files.items()]
    lines.sort(key=lambda pair: pair[0].encode("utf-16-be"))
    return hashlib.sha256("".join(line for _path, line in lines).encode()).hexdigest()


def test_content_digests(host: Lane) -> None:
    root = ordinary(host.home)
    app = "Applications/0a1b"
    for name in ("\uff5e.json", "\U0001f600.json", "Z.json", "a.json"):
        write(root / app / "version_2" / "pages" / name, name)
    write(root / app / "version_002" / "x.json", "x")
    write(root / app / "assets" / "version_9" / "kept.png", b"\0\xff")
    items: list[dict[str, Any]] = [
        {"path": app, "versions": [2, 99]},
        {"path": "Applications/ffff", "versions": None},
        {"path": "Applications/loose.txt", "versions": None},
        {"path": "Dashboards", "versions": None},
        {"path": "Web", "versions": None},
        {"path": "Dashboards/gone.dmadb.json", "versions": None},
    ]
    document, reference = both(host, content=items)
    assert document == reference
    wanted = {path: (root / path).read_bytes() for path in _files(root, app) if not path.startswith((f"{app}/version_1/", f"{app}/version_10/"))}
    assert f"{app}/version_002/x.json" in wanted
    assert document["content"][0] == {"path": app, "files": len(wanted), "bytes": sum(map(len, wanted.values())), "sha256": _digest(wanted)}
    assert document["content"][1] == {"path": "Applications/ffff", "files": 0, "bytes": 0, "sha256": hashlib.sha256(b"").hexdigest()}
    assert document["content"][2] == {"path": "Applications/loose.txt", "files": 1, "bytes": 5, "sha256": hashlib.sha256(b"loose").hexdigest()}
    assert [row["path"] for row in document["content"][3:]] == [
        "Dashboards/Sales/north.dmadb.json",
        "Dashboards/Themes.json",
        "Dashboards/main.dmadb.json",
        "Web/Themes/theme.json",
    ]
    assert document["errors"] == ["Dashboards/gone.dmadb.json"]


@pytest.mark.parametrize("versions", ["named", "all"])
@pytest.mark.parametrize("web", [True, False])
def test_content_that_is_guessed(host: Lane, versions: str, web: bool) -> None:
    """What a guess gives is what asking for the same items gives."""
    root = ordinary(host.home)
    infos = {
        "both": '{"PublicVersion": 2, "DraftVersion": "10"}',
        "gone": '{"PublicVersion": 99, "DraftVersion": 0}',
        "none": '{"PublicVersion": null}',
        "broken": '{"PublicVersion": 1, ',
    }
    for name, info in infos.items():
        write(root / "Applications" / name / "App.info.json", info)
        for version in (1, 2, 10):
            write(root / "Applications" / name / f"version_{version}" / "x.json", f"{name} {version}")
    document, reference = both(host, likely={"versions": versions, "web": web})
    assert document == reference
    asked = {item["path"]: item["versions"] for item in document["asked"]}
    named = {"both": [2, 10], "gone": [], "none": [], "broken": [1]}
    assert {name: asked[f"Applications/{name}"] for name in infos} == (named if versions == "named" else dict.fromkeys(infos))
    assert ("Web" in asked, asked["Dashboards"], asked["Applications/loose.txt"]) == (web, None, None)
    assert host.scan(content=document["asked"])["content"] == document["content"]


def _files(root: Path, below: str) -> list[str]:
    return [path.relative_to(root).as_posix() for path in (root / below).rglob("*") if path.is_file()]


def _job(work: Path, run_id: str, started: str, **files: Any) -> Path:
    folder = work / "jobs" / run_id
    record = {"run_id": run_id, "kind": "commit", "owner": "me@there", "started": started, "work": "ab" * 32}
    for name, value in {"state": record, **files}.items():
        write(folder / f"{name}.json", json.dumps(value))
    return folder


def test_jobs_and_journals(host: Lane) -> None:
    work = host.home / "work"
    told = {"backup": "é.zip", "zip_sha256": "ab", "zip_mark": "12 x", "partial": True}
    closed = {
        "state": "released",
        "at": "2026-03-02T10:00:00Z",
        **told,
        "more": {"a": [1]},
    }
    _job(work, "one", "2026-03-01T10:00:00Z", result={"result": {"files": 1}}, journal=closed)
    _job(
        work,
        "two",
        "2026-03-01T10:00:00Z",
        result={"error": {"type": "Busy", "message": "m"}},
        journal={**closed, "state": "undone", "at": "2026-03-03T10:00:00Z"},
    )
    _job(work, "three", "2026-03-01T11:00:00Z", journal={"state": "committing"})
    write(_job(work, "half", "2026-03-01T12:00:00Z") / "state.json", '{"run_id": "ha')
    write(_job(work, "list", "2026-03-01T12:00:00Z") / "state.json", "[]")
    write(work / "jobs" / "no folder", "")
    write(work / "lock", "")
    write(work / "lock.json", json.dumps({"run_id": "three"}))
    for number in range(25):
        _job(work, f"old-{number:02}", f"2026-02-01T10:00:{number:02}Z", result={"result": {}})
    document, reference = both(host)
    assert document == reference
    assert document["job"] is None
    assert [(row["run_id"], row["state"]) for row in document["jobs"][:4]] == [
        ("three", "dead"),
        ("two", "failed"),
        ("one", "done"),
        ("old-24", "done"),
    ]
    assert len(document["jobs"]) == 20
    assert document["journals"] == [
        {"run_id": name, "state": state} for name, state in (("three", "committing"), ("two", "undone"), ("one", "released"))
    ]
    assert document["last_restore"] == {
        "run_id": "two",
        "state": "undone",
        "at": "2026-03-03T10:00:00Z",
        **told,
    }


def test_running_job(host: Lane) -> None:
    work = host.home / "work"
    _job(work, "one", "2026-03-01T10:00:00Z", journal={"state": "swapped"})
    record = json.loads((work / "jobs" / "one" / "state.json").read_text())
    write(work / "lock.json", json.dumps(record))
    write(work / "lock", "")
    with host.holding(work / "lock"):
        document = host.scan()
    assert document["job"] == record
    assert [row["state"] for row in document["jobs"]] == ["waiting"]
    assert host.scan()["job"] is None
