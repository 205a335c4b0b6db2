"""One tree, one document: whatever adapter reads it, in whatever engine."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.read_agent import read_agent
from ansible_collections.dataminer.web.plugins.plugin_utils import windows_host
from conftest import Lane, local_scan
from trees import DMS, MOMENT, both, dll, manifest, ordinary, write

SECRET = "Hunter2Geheim"
CONTENT = "$document.content = $("


def test_ordinary_agent(host: Lane) -> None:
    ordinary(host.home)
    document, reference = both(host)
    assert document == reference
    assert [app["folder"] for app in document["apps"]] == ["0a1b", "ffff"]
    assert document["apps"][0]["dirs"] == ["version_1", "version_10", "version_2"]
    assert document["apps"][1]["info"] == {"text": None, "error": "missing"}
    assert document["loose"] == ["loose.txt"]
    assert [row["path"] for row in document["dashboards"]] == ["Sales/north.dmadb.json", "main.dmadb.json"]
    assert document["dashboards"][0] == {"path": "Sales/north.dmadb.json", "size": 12, "modified": "2026-03-01T12:30:15Z"}
    assert document["web_api"] == "10.5.2505.1950"
    assert document["web"] is True
    assert document["packages"][1]["prerequisites"] == [{"name": "PreRequisite-Result-VerifyDotNet10.dll.json", "text": '{"Result": "Failed"}'}]
    assert document["packages"][1]["modified"] == "2026-03-01T12:29:15Z"
    assert document["errors"] == []


def test_document_is_what_the_core_reads(host: Lane) -> None:
    ordinary(host.home)
    document = host.scan(content=[{"path": "Applications/0a1b", "versions": None}])
    state = read_agent(document)
    assert state.root_exists
    assert state.cluster.self_id == 69
    assert [app.title for app in state.apps] == ["Orders", "ffff"]
    assert abs((datetime.now(tz=UTC) - state.utc).total_seconds()) < 60
    assert all(disk.free > 0 and disk.volume for disk in state.disks.values())
    assert len({disk.volume for disk in state.disks.values()}) == 1
    assert (state.language_mode, state.host is not None) == {
        "posix": (None, False),
        "powershell": ("FullLanguage", False),
        "windows": ("FullLanguage", True),
    }[host.name]


def test_the_clock_is_read_last(host: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the content takes: the time is compared with that of the answer."""
    ordinary(host.home)
    if host.engine is None:
        read = local_scan._Scan.content
        monkeypatch.setattr(local_scan._Scan, "content", lambda one, items: time.sleep(2.1) or read(one, items))
    else:
        text = windows_host.script_text("scan")
        assert text.count(CONTENT) == 1
        monkeypatch.setattr(windows_host, "script_text", lambda _name: text.replace(CONTENT, f"[Threading.Thread]::Sleep(2100); {CONTENT}"))
    begun = datetime.now(tz=UTC)
    document = host.scan(content=[{"path": "Dashboards", "versions": None}])
    assert document["content"]
    assert read_agent(document).utc - begun >= timedelta(seconds=1)  # whole seconds are told


def test_empty_agent(host: Lane) -> None:
    (host.home / "agent").mkdir()
    document, reference = both(host)
    assert document == reference
    assert document["root"] == {"path": "<home>/agent", "exists": True}
    assert document["cluster"]["error"] == "DMS.xml is missing"
    assert (document["apps"], document["backups"], document["job"], document["content"]) == ([], [], None, None)
    assert (document["package"], sorted(document["disk"])) == (None, ["backup_dir", "root", "work_dir"])
    assert document["vendor_folder"] == {"path": "<home>/agent/System Cache/Web/Backups", "exists": False}


def test_root_is_missing(host: Lane) -> None:
    document, reference = both(host, content=[{"path": "Applications/a", "versions": None}])
    assert document == reference
    assert document["root"] == {"path": "<home>/agent", "exists": False}
    assert document["errors"] == ["Applications/a"]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b'\xef\xbb\xbf{"Name": "caf\xc3\xa9"}', id="UTF-8 with mark"),
        pytest.param(b"\xff\xfe" + '{"Name": "café 😀"}'.encode("utf-16-le"), id="UTF-16 LE"),
        pytest.param(b"\xfe\xff" + '{"Name": "café 😀"}'.encode("utf-16-be"), id="UTF-16 BE"),
        pytest.param(b'{"Name": "caf\xe9 \xff\xf0\x9f\x98"}', id="invalid UTF-8"),
        pytest.param(b"\xff\xfe{\0\x3d\xd8}\0\x00\xdc!", id="invalid UTF-16"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\xef\xbb", id="half a mark"),
        pytest.param('\0\x01\x1f"\\/\b\f\r\n\t\u007f\u2028\u2029\ufeff\ufffe\U0001f600'.encode(), id="characters that JSON escapes"),
    ],
)
def test_texts_are_decoded_alike(host: Lane, data: bytes) -> None:
    write(host.home / "agent" / "Applications" / "a" / "App.info.json", data)
    write(host.home / "agent" / "Upgrades" / "VersionHistory.txt", data)
    document, reference = both(host)
    assert document == reference
    assert document["apps"][0]["info"]["error"] is None
    mark = next((name for start, name in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")) if data.startswith(start)), "utf-8-sig")
    assert document["apps"][0]["info"]["text"] == data.decode(mark, "replace")


@pytest.mark.parametrize(("size", "error"), [(1000, None), (1001, "too large")])
def test_large_text_is_not_read(host: Lane, size: int, error: str | None) -> None:
    write(host.home / "agent" / "Applications" / "a" / "App.info.json", "x" * size)
    write(host.home / "agent" / "DMS.xml", DMS + " " * 1000)
    document, reference = both(host, max_text=1000)
    assert document == reference
    assert document["apps"][0]["info"] == {"text": None if error else "x" * size, "error": error}
    assert document["cluster"]["error"] == "DMS.xml is too large"


LONG = "a rather long name of a folder, fifty characters"


def test_names_beyond_ascii_and_long_paths(host: Lane) -> None:
    root = host.home / "agent"
    deep = Path(*[f"{LONG} {number}" for number in range(7)])
    write(root / "Dashboards" / deep / "Ünïcode 😀.dmadb.json", "deep")
    write(root / "Applications" / "приложение" / "version_1" / deep / "page.json", "{}")
    write(root / "Applications" / "приложение" / "App.info.json", "{}")
    document, reference = both(host, content=[{"path": "Applications/приложение", "versions": None}])
    assert document == reference
    assert document["errors"] == []
    assert len(document["dashboards"][0]["path"]) > 340
    assert document["dashboards"][0]["size"] == 4
    assert [row["files"] for row in document["content"]] == [1, 1]


def test_order_is_that_of_utf16_code_units(host: Lane) -> None:
    names = ["a", "B", "_", "é", "\uff5e", "\U0001f600"]
    for name in names:
        write(host.home / "agent" / "Applications" / name / "App.info.json", name)
        write(host.home / "agent" / "Dashboards" / f"{name}.dmadb.json", name)
    document, reference = both(host, content=[{"path": "Dashboards", "versions": None}])
    assert document == reference
    assert [app["folder"] for app in document["apps"]] == ["B", "_", "a", "é", "\U0001f600", "\uff5e"]


def test_names_that_differ_by_case(host_here: Lane) -> None:
    root = host_here.home / "agent"
    for name in ("App.info.json", "APP.INFO.JSON"):
        write(root / "applications" / "app" / name, name)
    write(root / "applications" / "APP" / "app.Info.json", "upper")
    write(root / "dms.XML", DMS)
    write(root / "UPGRADES" / "versionhistory.txt", "history")
    document, reference = both(host_here, content=[{"path": "Applications/App", "versions": None}, {"path": "Applications/app", "versions": None}])
    assert document == reference
    assert [app["folder"] for app in document["apps"]] == ["APP", "app"]
    assert document["apps"][1]["info"]["text"] == "APP.INFO.JSON"
    assert document["texts"]["version_history"]["text"] == "history"
    assert [row["files"] for row in document["content"]] == [1, 2]


PACKAGE = "DataMiner 10.5.6.0-15973 Web Upgrade.dmupgrade-1"


def test_links_are_not_followed(host_here: Lane) -> None:
    root = ordinary(host_here.home)
    outside = write(host_here.home / "outside" / "secret.dmadb.json", SECRET).parent
    (root / "Applications" / "linked").symlink_to(outside)
    (root / "Applications" / "0a1b" / "version_3").symlink_to(outside)
    (root / "Applications" / "ffff" / "App.info.json").symlink_to(outside / "secret.dmadb.json")
    (root / "Applications" / "broken").symlink_to(outside / "nothing")
    (root / "Dashboards" / "linked").symlink_to(outside)
    (root / "Dashboards" / "loop").symlink_to(root / "Dashboards")
    write(host_here.home / "backups" / "real.zip", "zip")
    (host_here.home / "backups" / "linked.zip").symlink_to(host_here.home / "backups" / "real.zip")
    items = [{"path": path, "versions": None} for path in ("Applications/0a1b", "Applications/linked", "Dashboards")]
    document, reference = both(host_here, content=items)
    assert document == reference
    assert SECRET not in json.dumps(document)
    assert document["apps"][0]["files"] == ["App.info.json", "version_3"]
    assert [app["folder"] for app in document["apps"]] == ["0a1b", "ffff"]
    assert document["loose"] == ["loose.txt"]
    assert len(document["dashboards"]) == 2
    assert [row["name"] for row in document["backups"]] == ["real.zip"]
    noted = ["<home>/agent/Applications/broken", "<home>/agent/Applications/linked"]
    assert document["errors"] == [*noted, *(f"Applications/{name}" for name in ("0a1b/version_3", "linked")), "Dashboards/linked", "Dashboards/loop"]


@pytest.mark.parametrize(
    "linked", ["Upgrades", "Upgrades/Packages", f"Upgrades/Packages/{PACKAGE}/progress.log", "Upgrades/VersionHistory.txt", "Webpages/API", "DMS.xml"]
)
def test_links_below_the_root_are_not_followed(host_here: Lane, linked: str) -> None:
    """Files that the scan knows by name, and folders on the way to them; the root itself may be a link."""
    root = host_here.home / "elsewhere"
    write(root / "Upgrades" / "VersionHistory.txt", SECRET)
    write(root / "Upgrades" / "Packages" / PACKAGE / "progress.log", SECRET)
    write(root / "Webpages" / "API" / "Web.config", SECRET)
    write(root / "DMS.xml", f'<DMS><Cluster name="{SECRET}"/></DMS>')
    (host_here.home / "agent").symlink_to(root)
    assert json.dumps(both(host_here)[0]).count(SECRET) == 4
    (root / linked).rename(host_here.home / "moved")
    (root / linked).symlink_to(host_here.home / "moved")

    document, reference = both(host_here)

    assert document == reference
    assert json.dumps(document).count(SECRET) == (2 if linked == "Upgrades" else 3)
    assert document["errors"] == [f"<home>/agent/{linked}"]


def test_content_behind_links_is_not_followed(host_here: Lane) -> None:
    outside = ordinary(host_here.home / "outside")
    root = host_here.home / "agent"
    root.mkdir()
    for name in ("Applications", "Dashboards"):
        (root / name).symlink_to(outside / name)
    write(root / "Web" / "file", "x")
    items = [{"path": path, "versions": None} for path in ("Applications/0a1b", "Dashboards/main.dmadb.json", "Web/file/below", "Dashboards")]
    document, reference = both(host_here, content=items)
    assert document == reference
    assert (document["apps"], document["loose"], document["dashboards"], document["content"]) == ([], [], [], [])
    links = ["<home>/agent/Applications", "<home>/agent/Dashboards", *(item["path"] for item in items)]
    assert document["errors"] == sorted(links)


def test_backups(host: Lane) -> None:
    backups, whole = host.home / "backups", manifest()
    manifests = {
        "intact": whole,
        "damaged": whole.replace(b"0000001 1 ", b"0000002 1 "),
        "cut off": whole[:-40],
        "cut off at a line": whole[: whole.rfind(b"sha256")],
        "without the last line feed": whole[:-1],
        "empty": b"",
        "one line": b"dataminer.web backup manifest 1\n",
        "two lines": b"dataminer.web backup manifest 1\n{}\n",
        "other bytes": b"\xff\xfe\r\xff\n\r\r\n\xe9\r",
        "large": manifest(20000),
    }
    for number, (name, data) in enumerate(manifests.items()):
        write(backups / f"{name}.zip", "zip", age=number)
        write(backups / f"{name}.manifest", data)
    write(backups / "no manifest.ZIP", "zip")
    write(backups / "alone.manifest", whole)
    write(backups / "new.zip.partial", "part")
    write(host.home / "agent" / "System Cache" / "Web" / "Backups" / "vendor.zip", "zip")
    (backups / "folder.zip").mkdir()
    document, reference = both(host)
    assert document == reference
    rows = {row["name"].removesuffix(".zip"): row for row in document["backups"]}
    assert {name for name in manifests if rows[name]["manifest"]["intact"]} == {"intact", "large", "without the last line feed"}
    assert json.loads(rows["intact"]["manifest"]["header"])["agent"] == "dma-é-1"
    assert json.loads(rows["large"]["manifest"]["trailer"])["files"] == 20000
    assert rows["intact"] | {"manifest": None} == {
        "origin": "own",
        "path": "<home>/backups/intact.zip",
        "name": "intact.zip",
        "size": 3,
        "modified": "2026-03-01T12:30:15Z",
        "manifest": None,
    }
    assert (rows["vendor"]["origin"], rows["no manifest.ZIP"]["manifest"]) == ("vendor", None)
    assert document["vendor_folder"]["exists"] is True
    assert document["partials"] == [{"path": "<home>/backups/new.zip.partial", "size": 4, "modified": "2026-03-01T12:30:15Z"}]


def test_backups_that_the_working_folder_keeps_are_listed(host: Lane) -> None:
    """Those that a restore put aside, and safety copies: nothing else holds them."""
    write(host.home / "work" / "aside" / "a.zip", "zip")
    write(host.home / "work" / "safety" / "s.zip", "zip")
    document, reference = both(host)
    assert [(row["origin"], row["name"]) for row in document["backups"]] == [("aside", "a.zip"), ("safety", "s.zip")]
    assert document == reference


def test_backups_in_the_folder_of_the_vendor_are_listed_once(host: Lane) -> None:
    folder = host.home / "agent" / "System Cache" / "Web" / "Backups"
    write(folder / "a.zip", "zip")
    document, reference = both(host, backup_dir=folder)
    assert [row["origin"] for row in document["backups"]] == ["own"]
    assert document == reference


def test_the_installer_is_looked_for(host: Lane) -> None:
    """A folder is none."""
    write(host.home / "tool" / "x.exe", b"x" * 7)
    for inside, size in (("tool/x.exe", 7), ("tool", None), ("nowhere/x.exe", None)):
        document, reference = both(host, installer=host.home / inside)
        assert document == reference
        assert document["installer"] == {"path": f"<home>/{inside}", "size": size}
        assert document["errors"] == []


def test_nothing_answers_for_a_service_but_windows(host: Lane) -> None:
    document, reference = both(host, service="W3SVC")
    assert reference["service"] is None
    assert document["service"] == ({"name": "W3SVC", "state": None} if host.windows else None)
    assert document["errors"] == []


@pytest.mark.parametrize(("inside", "size"), [("packages/x.dmupgrade", 70), ("nowhere/below/x.dmupgrade", None), ("packages", None)])
def test_a_package_that_is_going_to_be_installed(host: Lane, inside: str, size: int | None) -> None:
    """Its size, and the room where it is or will be brought to."""
    write(host.home / "packages" / "x.dmupgrade", b"x" * 70)
    document, reference = both(host, package=host.home / inside)
    assert document == reference
    assert document["package"] == {"path": f"<home>/{inside}", "size": size}
    assert document["disk"]["package"]["path"] == f"<home>/{inside}".rpartition("/")[0]
    assert document["errors"] == []


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"short", id="short"),
        pytest.param(b"x" * 90 + "éé".encode() + b"y" * 97, id="within a character"),
        pytest.param(b"\xff\xfe" + ("start " + "ü€😀" * 40).encode("utf-16-le"), id="UTF-16 LE"),
        pytest.param(b"\xfe\xff" + ("start " + "ü€😀" * 40).encode("utf-16-be") + b"\0", id="UTF-16 BE and a byte"),
        pytest.param(b"\xef\xbb\xbf" + b"z" * 300, id="UTF-8 with mark"),
        pytest.param(b"", id="empty"),
    ],
)
def test_tails_of_logs(host: Lane, data: bytes) -> None:
    write(host.home / "agent" / "Upgrades" / "Packages" / "a.dmupgrade-1" / "Progress.log", data)
    (host.home / "agent" / "Upgrades" / "Packages" / "b.dmupgrade-2").mkdir()
    document, reference = both(host, log_tail=100)
    assert [row["log_tail"] for row in document["packages"]] == [row["log_tail"] for row in reference["packages"]]
    tail = document["packages"][0]["log_tail"]
    assert tail is not None
    assert len(tail) <= 101
    assert (document["packages"][1]["log_tail"], document["packages"][1]["modified"]) == (None, None)


@pytest.mark.parametrize(
    ("data", "version"),
    [
        (dll((10, 5, 2505, 1950)), "10.5.2505.1950"),
        (dll((65535, 0, 1, 65535)), "65535.0.1.65535"),
        (dll((1, 1, 1, 1), decoy=True) + dll((2, 2, 2, 2)), "2.2.2.2"),
        (dll((1, 1, 1, 1), decoy=True) + dll((2, 2, 2, 2), decoy=True), "1.1.1.1"),
        (dll((1, 2, 3, 4))[:-70], None),
        (b"MZ", None),
        (b"", None),
    ],
)
def test_version_of_the_web_api(host: Lane, data: bytes, version: str | None) -> None:
    write(host.home / "agent" / "Webpages" / "API" / "bin" / "WebApiLib.dll", data)
    document, reference = both(host)
    assert document["web_api"] == reference["web_api"] == version


def test_scan_changes_nothing(host: Lane) -> None:
    root = ordinary(host.home)
    write(host.home / "backups" / "a.zip", "zip")
    before = _snapshot(host.home)
    host.scan(content=[{"path": "Applications/0a1b", "versions": [2]}])
    assert _snapshot(host.home) == before
    assert (root / "DMS.xml").stat().st_mtime == MOMENT


def _snapshot(home: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in home.rglob("*")}
