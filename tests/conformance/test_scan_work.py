"""Digests of what a backup would hold, and the records of jobs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.content import combined
from conftest import Lane, in_an_engine
from test_job_backup import contents, spec
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
    parts = _parts(root, app)
    assert set(parts) == {app, *(f"{app}/version_{number}" for number in ("002", "1", "10", "2"))}
    left_out = {path: parts.pop(path) for path in (f"{app}/version_1", f"{app}/version_10")}
    others = _together(f"{app}/version_*", [_row(path, files, False) for path, files in left_out.items()])
    assert document["content"][:4] == [*(_row(path, files, True) for path, files in sorted(parts.items())), others]
    assert document["content"][4] == {"path": "Applications/ffff", "files": 0, "bytes": 0, "sha256": hashlib.sha256(b"").hexdigest()}
    assert document["content"][5] == {"path": "Applications/loose.txt", "files": 1, "bytes": 5, "sha256": hashlib.sha256(b"loose").hexdigest()}
    assert [row["path"] for row in document["content"][6:]] == [
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
    rows = {row["path"]: row for row in document["content"]}
    for name, named in {"both": [2, 10], "gone": [], "none": [], "broken": [1]}.items():
        app = f"Applications/{name}"
        assert [n for n in (1, 2, 10) if f"{app}/version_{n}" in rows] == named
        parts = {path: files for path, files in sorted(_parts(root, app).items()) if path != app and path not in rows}
        assert rows[f"{app}/version_*"] == _together(f"{app}/version_*", [_row(path, files, versions == "all") for path, files in parts.items()])
    assert ("Web/Themes/theme.json" in rows, "Dashboards/main.dmadb.json" in rows, "Applications/loose.txt" in rows) == (web, True, True)


@pytest.mark.parametrize("guess", ["named", "all"])
@pytest.mark.parametrize("wanted", [[2, 10], None], ids=["two versions", "all versions"])
def test_content_of_a_plan_that_was_not_guessed(host: Lane, guess: str, wanted: list[int] | None) -> None:
    """The rows of any plan come of the one scan. What it hashed counts by its bytes, what it counted by number and size."""
    root = ordinary(host.home)
    app = "Applications/0a1b"
    write(root / app / "App.info.json", '{"PublicVersion": 2, "DraftVersion": 10}')
    items: list[dict[str, Any]] = [{"path": path, "versions": None} for path in ("Applications/loose.txt", "Dashboards", "Web")]
    document = host.scan(likely={"versions": guess, "web": True})
    rows = combined(document["content"], [{"path": app, "versions": wanted}, *items], apps={app})
    parts = _parts(root, app)
    others = _together(f"{app}/version_*", [_row(f"{app}/version_1", parts.pop(f"{app}/version_1"), guess == "all")])
    kept = [_row(path, files, True) for path, files in sorted(parts.items())]
    assert rows[0] == _together(app, [*kept, others] if wanted is None else kept)
    assert rows[1:] == [row for row in document["content"] if not row["path"].startswith(("Applications/0a1b", "Applications/ffff"))]
    write(root / app / "version_1" / "App.config.json", "changed, and longer")
    again = combined(host.scan(likely={"versions": guess, "web": True})["content"], [{"path": app, "versions": wanted}], apps={app})
    assert (again[0] == rows[0]) is (wanted is not None)


def _parts(root: Path, app: str) -> dict[str, dict[str, bytes]]:
    """Files of an app by the part they are in."""
    parts: dict[str, dict[str, bytes]] = {}
    for path in _files(root, app):
        name = path[len(app) + 1 :].partition("/")[0]
        parts.setdefault(f"{app}/{name}" if re.fullmatch(r"version_\d+", name) else app, {})[path] = (root / path).read_bytes()
    return parts


def _row(path: str, files: dict[str, bytes], hashed: bool) -> dict[str, Any]:
    return {"path": path, "files": len(files), "bytes": sum(map(len, files.values())), "sha256": _digest(files) if hashed else None}


def _together(path: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    lines = "".join(f"{row['sha256'] or '-'} {row['files']} {row['bytes']} {row['path']}\n" for row in rows)
    count, size = (sum(row[key] for row in rows) for key in ("files", "bytes"))
    return {"path": path, "files": count, "bytes": size, "sha256": hashlib.sha256(lines.encode()).hexdigest()}


def _files(root: Path, below: str) -> list[str]:
    return [path.relative_to(root).as_posix() for path in (root / below).rglob("*") if path.is_file()]


def _job(work: Path, run_id: str, started: str, **files: Any) -> Path:
    """The records of one that has come to its first line."""
    folder = work / "jobs" / run_id
    record = {"run_id": run_id, "kind": "commit", "owner": "me@there", "started": started, "work": "ab" * 32}
    for name, value in {"state": record, "process": {}, **files}.items():
        write(folder / f"{name}.json", json.dumps(value))
    return folder


def test_jobs_and_journals(host: Lane) -> None:
    work = host.home / "work"
    told = {"backup": "é.zip", "zip_sha256": "ab", "zip_mark": "12 x", "partial": True, "restored_before": "2026-02-01T10:00:00Z"}
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


def test_a_restore_from_before_the_clock_was_set_back_is_not_the_last(host: Lane) -> None:
    work = host.home / "work"
    _job(work, "ahead", "2099-03-01T10:00:00Z", journal={"state": "released", "at": "2099-03-01T11:00:00Z", "backup": "a.zip"})
    document, reference = both(host)
    assert document == reference
    assert document["last_restore"]["run_id"] == "ahead"
    _job(work, "now", "2025-03-01T10:00:00Z", journal={"state": "released", "at": "2025-03-01T11:00:00Z", "backup": "b.zip"})
    assert host.scan()["last_restore"]["run_id"] == "now"


def test_a_job_that_has_told_its_end_has_a_moment_to_let_the_lock_go(host: Lane) -> None:
    """A scan in that moment denied the next step. Held for longer, by what an installer left running, the lock tells of a job still."""
    work = host.home / "work"
    record = {"run_id": "one", "kind": "backup", "owner": "ansible@controller", "started": "2026-03-01T10:00:00Z", "work": "w"}
    _job(work, "one", record["started"], kind="backup", result={"result": {}})
    write(work / "lock.json", json.dumps(record))
    write(work / "lock", "")
    with host.holding(work / "lock"):
        assert host.scan()["job"] == {**record, "until": None}
    if host.windows and host.engine:  # its locks are those of the one engine, which scans
        return
    with contextlib.ExitStack() as held:
        held.enter_context(host.holding(work / "lock"))
        timer = threading.Timer(1, held.close)
        timer.start()
        assert host.scan()["job"] is None
        timer.join()


@pytest.mark.parametrize("until", ["2026-03-01T10:15:00Z", None])
def test_running_job(host: Lane, until: str | None) -> None:
    """A commit that waits tells until when."""
    work = host.home / "work"
    told = {"until": until} if until else {}
    _job(work, "one", "2026-03-01T10:00:00Z", journal={"state": "swapped"}, progress={"text": "swapped", "files": 1, **told})
    record = json.loads((work / "jobs" / "one" / "state.json").read_text())
    write(work / "lock.json", json.dumps(record))
    write(work / "lock", "")
    with host.holding(work / "lock"):
        document = host.scan()
        write(work / "lock.json", json.dumps({**record, "run_id": "no/name"}))
        assert host.scan()["job"]["until"] is None
    assert document["job"] == {**record, "until": until}
    assert [row["state"] for row in document["jobs"]] == ["waiting"]
    assert host.scan()["job"] is None


def test_a_link_in_a_folder_that_is_only_counted(host_here: Lane) -> None:
    """It is noted, and what it leads to isn't counted."""
    root = ordinary(host_here.home)
    (root / "Applications" / "0a1b" / "version_9" / "pages").mkdir(parents=True)
    (root / "Applications" / "0a1b" / "version_9" / "pages" / "elsewhere").symlink_to(root / "Dashboards")
    document, reference = both(host_here, content=[{"path": "Applications/0a1b", "versions": [2]}])
    assert document == reference
    assert [error for error in document["errors"] if "elsewhere" in str(error)]


CULTURE = """
[CmdletBinding(SupportsShouldProcess)] param([string]$name)
[Globalization.CultureInfo]::DefaultThreadCurrentCulture = $(if ($name) { [Globalization.CultureInfo]::GetCultureInfo($name) })
"""


@in_an_engine
def test_an_agent_where_i_and_dotted_i_are_different_letters(host: Lane) -> None:
    """As in Turkish, whose large I is no large i. In a scan and in a job."""
    root = ordinary(host.home)
    write(root / "Applications" / "0a1b" / "VERSION_3" / "x.json", "x")
    assert host.engine is not None
    host.engine.execute(CULTURE, {"name": "tr-TR"}, 2)
    try:
        item = {"path": "Applications/0a1b", "versions": [2]}
        document, reference = both(host, content=[item])
        status = host.run(spec(host) | {"items": [item]})
    finally:
        host.engine.execute(CULTURE, {"name": ""}, 2)
    assert document == reference
    assert status.state == "done", status.error
    assert [path for path in contents(host.home / "backups" / "one.zip") if "VERSION_3" in path] == []
