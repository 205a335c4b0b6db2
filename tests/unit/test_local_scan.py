"""The scan of an agent on a POSIX host: what can't be read is noted and hides nothing else, and no link is followed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils import local_files, local_scan
from ansible_collections.dataminer.web.plugins.module_utils.local_items import LINK
from local_kit import APP, Agent, snapshot

DMS = '<DMS><Cluster name="Demo"/></DMS>'


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    agent = Agent(tmp_path)
    agent.fill()
    return agent


def scan(agent: Agent, **more: Any) -> dict[str, Any]:
    request = {
        "root": str(agent.root),
        "work_dir": str(agent.work),
        "backup_dir": str(agent.backups),
        "vendor_backup_dir": str(agent.root / "System Cache/Web/Backups"),
    }
    return agent.host.scan({**request, "host_command": None, "content": None, "max_text": 1024 * 1024, "log_tail": 4096, **more})


def errors(found: dict[str, Any]) -> dict[str, str]:
    return {Path(row["path"]).name: row["message"] for row in found["errors"]}


def unreadable(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Folders that can't be listed, as they are to a process without the right."""
    real = os.scandir

    def scandir(path: str) -> object:
        if Path(path).name in names:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(local_files.os, "scandir", scandir)


def test_a_scan_writes_nothing(agent: Agent) -> None:
    before = snapshot(agent.home)
    scan(agent, content=[{"path": APP, "versions": None}])
    assert snapshot(agent.home) == before


def test_apps_and_dashboards(agent: Agent) -> None:
    agent.write("Applications/loose.txt")
    agent.write("Dashboards/picture.png")
    found = scan(agent)
    assert found["apps"] == [
        {
            "folder": APP.split("/")[1],
            "info": {"text": '{"PublicVersion": 2, "DraftVersion": 1}', "error": None},
            "dirs": ["version_1", "version_2"],
            "files": ["App.info.json"],
        }
    ]
    assert [row["path"] for row in found["dashboards"]] == ["Operations/Alarms.dmadb.json", "Overview.dmadb.json"]
    assert found["loose"] == ["loose.txt"]
    assert found["web"] is False
    assert found["errors"] == []


def test_folders_of_another_case_are_found(agent: Agent) -> None:
    (agent.root / "Applications").rename(agent.root / "applications")
    (agent.root / "Dashboards").rename(agent.root / "DASHBOARDS")
    (agent.root / "web").mkdir()
    found = scan(agent)
    assert (len(found["apps"]), len(found["dashboards"]), found["web"]) == (1, 2, True)


@pytest.mark.parametrize("name", ["Applications", "Dashboards", "Operations", APP.split("/")[1]])
def test_a_folder_that_cannot_be_read_is_noted_and_hides_nothing_else(agent: Agent, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    agent.write("Applications/other/App.info.json", "{}")
    whole = scan(agent)
    unreadable(monkeypatch, name)
    found = scan(agent)
    assert errors(found) == {name: "Permission denied"}
    assert len(found["dashboards"]) == len(whole["dashboards"]) - {"Dashboards": 2, "Operations": 1}.get(name, 0)
    assert len(found["apps"]) == (0 if name == "Applications" else 2)


def test_an_app_that_cannot_be_read_is_not_one_without_an_info(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup leaves out an app whose App.info.json is missing; this one must not be taken for such."""
    unreadable(monkeypatch, APP.split("/")[1])
    assert scan(agent)["apps"][0]["info"] == {"text": None, "error": "unreadable"}


@pytest.mark.parametrize("path", ["Applications", "Dashboards", APP])
def test_links_are_noted_and_not_followed(agent: Agent, path: str) -> None:
    moved = agent.home / "moved"
    (agent.root / path).rename(moved)
    (agent.root / path).symlink_to(moved)
    found = scan(agent)
    assert errors(found) == {Path(path).name: LINK}
    assert found["dashboards" if path == "Dashboards" else "apps"] == []


def test_links_among_the_files_are_not_read(agent: Agent) -> None:
    (agent.home / "secret").write_text("secret")
    for name in ("Dashboards/x.dmadb.json", "Applications/loose", f"{APP}/app.info.json"):
        (agent.root / name).symlink_to(agent.home / "secret")
    (agent.root / "Dashboards/loop").symlink_to(agent.root)
    (agent.root / APP / "App.info.json").unlink()
    found = scan(agent)
    assert len(found["dashboards"]) == 2
    assert found["loose"] == []
    assert found["apps"][0]["info"] == {"text": None, "error": "missing"}
    assert "secret" not in json.dumps(found)


def test_an_agent_that_is_not_there(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    agent.root.rmdir()
    found = scan(agent, content=[{"path": "Dashboards"}])
    assert found["root"] == {"path": str(agent.root), "exists": False}
    assert (found["apps"], found["dashboards"], found["packages"], found["backups"], found["content"]) == ([], [], [], [], [])
    assert found["texts"]["version_history"]["error"] == "missing"
    assert found["disk"]["root"]["free"] > 0


def test_texts(agent: Agent) -> None:
    agent.write("Upgrades/VersionHistory.txt", "2025-03-27 11:16:35;10.5.4.0-15588-20250319-release")
    agent.write("webpages/api/Web.config", "x" * 2000)
    found = scan(agent, max_text=1000)
    assert found["texts"]["version_history"]["text"].endswith("release")
    assert found["texts"]["web_config"] == {"text": None, "error": "too large"}


def test_of_the_cluster_only_names_and_addresses_leave(agent: Agent) -> None:
    agent.write("DMS.xml", '<DMS><Cluster name="Demo" password="hunter2"/></DMS>')
    found = scan(agent)
    assert "hunter2" not in json.dumps(found)
    (agent.root / "DMS.xml").unlink()
    assert scan(agent)["cluster"]["error"] == "DMS.xml is missing"


def test_packages(agent: Agent) -> None:
    base = "Upgrades/Packages/DataMiner 10.5.4 Web Upgrade.dmupgrade-1"
    log = agent.write(f"{base}/progress.log", "x" * 100 + "the end")
    first = agent.write(f"{base}/PreRequisite-Result-Check.dll.json", "{}")
    agent.write("Upgrades/Packages/stray.txt")
    os.utime(log, (1_700_000_100, 1_700_000_100))
    os.utime(first, (1_700_000_000, 1_700_000_000))
    assert scan(agent, log_tail=8)["packages"] == [
        {
            "folder": base.rsplit("/", 1)[1],
            "created": "2023-11-14T22:13:20Z",
            "modified": "2023-11-14T22:15:00Z",
            "log_tail": "xxthe end",  # from an even place on, for UTF-16's sake
            "prerequisites": [{"name": "PreRequisite-Result-Check.dll.json", "text": "{}"}],
        }
    ]


def test_a_package_that_vanishes_meanwhile_is_noted(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    agent.write("Upgrades/Packages/p.dmupgrade-1/progress.log", "x")
    (agent.root / "Upgrades/Packages/q.dmupgrade-1").mkdir()
    (agent.root / "Upgrades/Packages/q.dmupgrade-1/progress.log").symlink_to("nowhere")
    rows = scan(agent)["packages"]
    assert [row["folder"] for row in rows] == ["p.dmupgrade-1", "q.dmupgrade-1"]
    assert rows[1]["log_tail"] is None


# backups


def test_backups_with_the_heads_of_their_manifests(agent: Agent) -> None:
    result = agent.run(agent.backup_spec())
    vendor = agent.write("System Cache/Web/Backups/vendor.ZIP", "zip")
    agent.write("System Cache/Web/Backups/readme.txt")
    (agent.root / "System Cache/Web/Backups/link.zip").symlink_to(result["path"])
    rows = {row["name"]: row for row in scan(agent)["backups"]}
    assert set(rows) == {"one.zip", "vendor.ZIP"}
    assert rows["vendor.ZIP"] == {**rows["vendor.ZIP"], "origin": "vendor", "path": str(vendor), "size": 3, "manifest": None}
    own = rows["one.zip"]
    assert (own["origin"], own["size"]) == ("own", result["zip_size"])
    assert json.loads(own["manifest"]["header"])["agent"] == "dma1"
    assert json.loads(own["manifest"]["trailer"])["zip_sha256"] == result["zip_sha256"]
    assert own["manifest"]["intact"] is True


def damage(data: bytes, how: str) -> bytes:
    lines = data.splitlines(keepends=True)
    return {
        "a byte": data.replace(b"dma1", b"dma2"),
        "cut": data[:-10],
        "a line less": b"".join(lines[:3] + lines[4:]),
        "a line more": b"".join([*lines[:3], lines[2], *lines[3:]]),
        "no sum": b"".join(lines[:-1]),
        "empty": b"",
        "one line": lines[0],
    }[how]


@pytest.mark.parametrize("how", ["a byte", "cut", "a line less", "a line more", "no sum", "empty", "one line"])
def test_a_damaged_manifest_is_not_intact(agent: Agent, how: str) -> None:
    agent.run(agent.backup_spec())
    path = agent.backups / "one.manifest"
    path.write_bytes(damage(path.read_bytes(), how))
    assert scan(agent)["backups"][0]["manifest"]["intact"] is False


def test_one_folder_for_both_kinds_of_backups_is_read_once(agent: Agent) -> None:
    agent.run(agent.backup_spec())
    assert len(scan(agent, vendor_backup_dir=str(agent.backups))["backups"]) == 1


def test_unfinished_backups(agent: Agent) -> None:
    agent.backups.mkdir()
    (agent.backups / "two.zip.partial").write_bytes(b"xyz")
    (agent.backups / "gone.zip.partial").symlink_to("nowhere")
    rows = scan(agent)["partials"]
    assert {Path(row["path"]).name: row["size"] for row in rows}["two.zip.partial"] == 3
    assert scan(agent)["backups"] == []


# the host


def host(agent: Agent, script: str, **more: Any) -> dict[str, Any]:
    command = agent.home / "host"
    command.write_text("#!/bin/sh\n" + script)
    command.chmod(0o755)
    return scan(agent, host_command=[str(command)], **more)


def test_facts_of_the_host(agent: Agent) -> None:
    found = host(agent, """echo '{"processes": [], "x": "'$1'"}'""")
    assert found["host"] == {"processes": [], "x": "facts"}
    assert found["errors"] == []


@pytest.mark.parametrize(("name", "state"), [("W3SVC", "Stopped"), ("other", None)])
def test_the_state_of_the_service(agent: Agent, name: str, state: str | None) -> None:
    found = host(agent, """echo '{"processes": [], "services": {"W3SVC": "Stopped"}}'""", service=name)
    assert found["service"] == {"name": name, "state": state}
    assert found["host"] == {"processes": []}
    assert host(agent, """echo '{"processes": []}'""", service=name)["service"] is None
    assert scan(agent, service=name)["service"] is None


@pytest.mark.parametrize("script", ["exit 1", "echo nonsense", "echo '[1]'; exit 0", "echo '{'", "kill -9 $$"])
def test_a_host_command_that_fails_is_noted(agent: Agent, script: str) -> None:
    found = host(agent, script)
    assert found["host"] is None
    assert len(found["apps"]) == 1
    assert [*errors(found)] == ["host"]


def test_a_host_command_that_hangs_is_noted(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_scan, "HOST_TIMEOUT", 0.2)
    begun = time.monotonic()
    found = host(agent, "exec sleep 120")
    assert time.monotonic() - begun < 60
    assert (found["host"], [*errors(found)]) == (None, ["host"])
    assert "TimeoutExpired" in errors(found)["host"]


def test_a_host_command_that_is_missing_is_noted(agent: Agent) -> None:
    found = scan(agent, host_command=[str(agent.home / "missing")])
    assert (found["host"], [*errors(found)]) == (None, ["missing"])


def test_without_a_host_command_nothing_is_known(agent: Agent) -> None:
    found = scan(agent)
    assert (found["host"], found["errors"]) == (None, [])


# content


def test_an_app_is_a_row_for_each_part_and_everything_else_one_row_per_file(agent: Agent) -> None:
    items = [{"path": APP, "versions": [1]}, {"path": "Dashboards", "versions": None}]
    rows = scan(agent, content=items)["content"]
    dashboards = ["Dashboards/Operations/Alarms.dmadb.json", "Dashboards/Overview.dmadb.json"]
    assert [row["path"] for row in rows] == [APP, f"{APP}/version_1", f"{APP}/version_*", *dashboards]
    skipped = [path for path in (agent.root / APP / "version_2").rglob("*") if path.is_file()]
    assert (rows[2]["files"], rows[2]["bytes"]) == (len(skipped), sum(path.stat().st_size for path in skipped))
    alarms = (agent.root / "Dashboards/Operations/Alarms.dmadb.json").read_bytes()
    assert rows[3] == {"path": rows[3]["path"], "files": 1, "bytes": len(alarms), "sha256": hashlib.sha256(alarms).hexdigest()}


def test_a_version_folder_that_is_left_out_is_not_read(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    real = local_scan.sha256_file
    monkeypatch.setattr(local_scan, "sha256_file", lambda path: read.append(str(path)) or real(path))
    scan(agent, content=[{"path": APP, "versions": [1]}])
    assert any("/version_1/" in path for path in read)
    assert not any("/version_2/" in path for path in read)


@pytest.mark.parametrize(
    ("path", "text", "changed"),
    [
        (f"{APP}/App.info.json", "{}", {"content"}),
        ("Applications/new/x", "x", {"content"}),
        (f"{APP}/version_7/x", "x", {"content"}),
        (f"{APP}/version_1/x", "x", set()),
        ("Dashboards/x.dmadb.json", "x", set()),
        ("Upgrades/VersionHistory.txt", "x", {"versions"}),
        ("Upgrades/Packages/x/progress.log", "x", {"versions"}),
    ],
)
def test_the_basis_changes_with_what_plans_rest_on(agent: Agent, path: str, text: str, changed: set[str]) -> None:
    before = scan(agent)["basis"]
    assert before == scan(agent)["basis"]
    agent.write(path, text)
    after = scan(agent)["basis"]
    assert {name for name in before if after[name] != before[name]} == changed
    assert set(before) == {"content", "versions", "backups", "work"}


def test_the_digest_of_an_app_is_over_its_files_in_the_common_order(agent: Agent) -> None:
    app = "Applications/x"
    for name in ("b", "\U0001f600", "\uffee", "a/c"):
        agent.write(f"{app}/{name}", name)
    lines = [f"{hashlib.sha256(name.encode()).hexdigest()} {len(name.encode())} {app}/{name}\n" for name in ("a/c", "b", "\U0001f600", "\uffee")]
    row = scan(agent, content=[{"path": app, "versions": None}])["content"][0]
    assert row == {"path": app, "files": 4, "bytes": 11, "sha256": hashlib.sha256("".join(lines).encode()).hexdigest()}


def test_content_that_cannot_be_read_is_noted(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    real = local_scan.sha256_file

    def sha256_file(path: str) -> str:
        if str(path).endswith("App.info.json"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(local_scan, "sha256_file", sha256_file)
    found = scan(agent, content=[{"path": APP, "versions": None}, {"path": "Dashboards/gone", "versions": None}])
    assert sum(row["files"] for row in found["content"]) == 4
    assert errors(found) == {"App.info.json": "Permission denied", "gone": "vanished"}


def test_content_behind_links_is_noted_and_not_hashed(agent: Agent) -> None:
    (agent.root / "Dashboards/link.dmadb.json").symlink_to("/etc/passwd")
    found = scan(agent, content=[{"path": "Dashboards", "versions": None}])
    assert len(found["content"]) == 2
    assert errors(found) == {"link.dmadb.json": LINK}


def test_an_empty_request_for_content(agent: Agent) -> None:
    assert scan(agent, content=[])["content"] == []
    assert scan(agent)["content"] is None


# jobs


def test_jobs_and_journals_are_in_the_scan(agent: Agent) -> None:
    agent.run(agent.backup_spec(), "b1")
    agent.prepared(agent.backups / "one.zip")
    agent.run(agent.commit_spec("p1"), "c1")
    found = scan(agent)
    assert {row["run_id"]: row["kind"] for row in found["jobs"]} == {"b1": "backup", "p1": "prepare", "c1": "commit"}
    assert found["journals"] == [{"run_id": "c1", "state": "released"}]
    assert found["last_restore"]["backup"] == "one.zip"
    assert found["job"] is None
    lock = agent.store.take_lock()
    assert lock is not None
    assert scan(agent)["job"]["run_id"] == "unknown"
    os.close(lock)


def test_a_folder_nobody_may_search_does_not_end_the_scan(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.lstat

    def lstat(path: str, **more: Any) -> os.stat_result:
        if "System Cache" in str(path) or "Upgrades" in str(path):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path, **more)

    monkeypatch.setattr(os, "lstat", lstat)
    assert len(scan(agent)["apps"]) == 1
