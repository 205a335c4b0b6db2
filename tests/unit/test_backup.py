"""What goes into a backup, what it is called, and what rotates out."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.agent import AgentState, BackupFile, Cluster, Dashboard, ManifestHead, VersionFact
from ansible_collections.dataminer.web.plugins.module_utils.apps import App, parse_app
from ansible_collections.dataminer.web.plugins.module_utils.backup import (
    Item,
    LeftOut,
    backup_name,
    header,
    plan_backup,
    plan_rotation,
    problem_of_backup,
)
from ansible_collections.dataminer.web.plugins.module_utils.entry_names import problem_of_path
from ansible_collections.dataminer.web.plugins.module_utils.errors import BackupInvalid, InvalidInput
from ansible_collections.dataminer.web.plugins.module_utils.manifest import format_time, problem_of_header
from ansible_collections.dataminer.web.plugins.module_utils.version import Version
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = datetime(2026, 11, 24, 4, 15, tzinfo=UTC)
ABOVE, BELOW = "10.5.12", "10.5.4"


def app(
    folder: str, info: str | None = None, *, published: object = None, draft: object = None, on_disk: tuple[int, ...] = (), error: str | None = None
) -> App:
    text = info if info is not None or error else json.dumps({"PublicVersion": published, "DraftVersion": draft, "Name": f"App {folder}"})
    return parse_app(folder, info_text=text, info_error=error, dirs=[f"version_{n}" for n in on_disk], files=["App.info.json"])


def state(
    *apps: App, web: str | None = ABOVE, dashboards: int = 1, has_web: bool = True, loose: tuple[str, ...] = (), errors: tuple[str, ...] = ()
) -> AgentState:
    boards = tuple(Dashboard(path=f"d{n}.dmadb.json", size=1, modified=NOW) for n in range(dashboards))
    return AgentState(
        utc=NOW,
        offset_minutes=0,
        language_mode=None,
        root="C:\\Skyline DataMiner",
        root_exists=True,
        server=VersionFact(version=Version.parse("10.5.12"), source="VersionHistory.txt"),
        web=VersionFact(version=Version.parse(web) if web else None, source="a package"),
        web_api=None,
        history=(),
        packages=(),
        cluster=Cluster(name="Ground", self_id=1, self_address="10.0.0.1", members=(), failover=False),
        apps=apps,
        loose=loose,
        dashboards=boards,
        has_web_folder=has_web,
        has_dashboards_folder=bool(boards),
        backups=(),
        partials=(),
        disks={},
        host=None,
        job=None,
        errors=errors,
    )


def versions_of(plan_items: tuple[Item, ...], folder: str) -> tuple[int, ...] | None:
    return next(item.versions for item in plan_items if item.path == f"Applications/{folder}")


SOUND = app("a", published=7, draft=9, on_disk=(1, 2, 7, 8, 9))
NO_INFO = app("noinfo", error="missing", on_disk=(1,))
INVALID = app("invalid", "{", on_disk=(1,))
BOTH_NULL = app("nulls", published=None, draft=None, on_disk=(1,))
BROKEN = (NO_INFO, INVALID, BOTH_NULL)


@pytest.mark.parametrize(
    ("web", "mode"),
    [
        ("10.5.12", "latest"),
        ("10.6.0", "latest"),
        ("10.6.1", "latest"),
        ("10.4.0 [CU21]", "latest"),
        ("10.4.0 [CU22]", "latest"),
        ("10.5.0 [CU9]", "latest"),
        ("10.5.11", "all"),
        ("10.5.4", "all"),
        ("10.4.0 [CU20]", "all"),
        ("10.5.0 [CU8]", "all"),
        ("10.3.0 [CU30]", "all"),
        ("10.4.0.0-14772", "all"),
        (None, "all"),
    ],
)
def test_the_mode_goes_by_the_installed_web_version(web: str | None, mode: str) -> None:
    plan = plan_backup(state(SOUND, web=web))
    assert plan.mode == mode
    assert versions_of(plan.items, "a") == ((7, 9) if mode == "latest" else None)
    assert plan.mode_reason


def test_an_unknown_web_version_is_explained() -> None:
    assert "isn't known: a package" in plan_backup(state(SOUND, web=None)).mode_reason
    assert "can't be told" in plan_backup(state(SOUND, web="10.4.0.0-14772")).mode_reason


@pytest.mark.parametrize("web", [ABOVE, BELOW, None])
@pytest.mark.parametrize(("asked", "expected"), [("all", None), ("latest", (7, 9))])
def test_the_mode_can_be_asked_for(web: str | None, asked: str, expected: tuple[int, ...] | None) -> None:
    plan = plan_backup(state(SOUND, web=web), versions=asked)
    assert (plan.mode, versions_of(plan.items, "a")) == (asked, expected)


@pytest.mark.parametrize("asked", ["", "newest", "ALL"])
def test_another_mode_is_refused(asked: str) -> None:
    with pytest.raises(InvalidInput, match="auto or all or latest"):
        plan_backup(state(SOUND), versions=asked)


@pytest.mark.parametrize(
    ("published", "draft", "on_disk", "expected"),
    [
        (7, 9, (1, 7, 9), (7, 9)),
        (9, 7, (1, 7, 9), (7, 9)),
        (7, 7, (1, 7, 9), (7,)),
        (7, 0, (1, 7, 9), (7,)),
        (0, 9, (1, 7, 9), (9,)),
        (7, None, (1, 7, 9), (7,)),
        (None, 9, (1, 7, 9), (9,)),
        (7, -1, (1, 7, 9), (7,)),
        ("7", 9.0, (1, 7, 9), (7, 9)),
        (0, 0, (), ()),
    ],
)
def test_latest_holds_the_published_version_and_the_draft(
    published: object, draft: object, on_disk: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    plan = plan_backup(state(app("a", published=published, draft=draft, on_disk=on_disk)))
    assert versions_of(plan.items, "a") == expected
    assert plan.left_out == ()
    assert not any("on disk" in warning for warning in plan.warnings)


def test_a_version_missing_on_disk_is_a_warning_and_the_app_goes_in() -> None:
    plan = plan_backup(state(app("a", published=7, draft=9, on_disk=(7,))))
    assert versions_of(plan.items, "a") == (7,)
    assert plan.left_out == ()
    assert plan.warnings == ('App "App a" (a): version 9 is named in App.info.json but isn\'t on disk.',)


def test_zero_and_zero_goes_in_with_a_warning() -> None:
    plan = plan_backup(state(app("a", published=0, draft=0, on_disk=(3, 4))))
    assert versions_of(plan.items, "a") == ()
    assert plan.left_out == ()
    assert len(plan.warnings) == 1
    assert "its 2 version folders don't go in" in plan.warnings[0]


@pytest.mark.parametrize(("published", "draft"), [(0, None), (None, 0), (-1, None)])
def test_zero_is_not_null(published: int | None, draft: int | None) -> None:
    plan = plan_backup(state(app("a", published=published, draft=draft)))
    assert plan.left_out == ()
    assert plan.warnings


def test_broken_apps_are_left_out_where_the_rule_is_in_force() -> None:
    plan = plan_backup(state(SOUND, *BROKEN))
    assert [item.path for item in plan.items] == ["Applications/a", "Dashboards", "Web"]
    assert [(left.folder, left.name) for left in plan.left_out] == [("noinfo", "noinfo"), ("invalid", "invalid"), ("nulls", "App nulls")]
    assert [left.reason.split(":")[0] for left in plan.left_out] == [
        "App.info.json is missing",
        "App.info.json isn't JSON",
        "App.info.json names neither a published version nor a draft (both null)",
    ]
    assert len(plan.warnings) == 3


@pytest.mark.parametrize(("web", "asked"), [(BELOW, "auto"), (None, "auto"), (ABOVE, "all"), (BELOW, "all"), (BELOW, "latest"), (None, "latest")])
def test_broken_apps_go_in_whole_where_it_is_not(web: str | None, asked: str) -> None:
    plan = plan_backup(state(*BROKEN, web=web), versions=asked)
    assert plan.left_out == ()
    assert {item.path: item.versions for item in plan.items if item.path.startswith("Applications/")} == {
        "Applications/noinfo": None,
        "Applications/invalid": None,
        "Applications/nulls": None,
    }
    assert len(plan.warnings) == 3


@pytest.mark.parametrize("error", ["unreadable", "too large"])
def test_an_app_whose_info_could_not_be_read_goes_in_whole(error: str) -> None:
    plan = plan_backup(state(app("a", error=error, on_disk=(1, 2))))
    assert versions_of(plan.items, "a") is None
    assert plan.left_out == ()
    assert error in plan.warnings[0]


def test_the_order_and_the_rest_of_the_items() -> None:
    plan = plan_backup(state(SOUND, app("b", published=1, on_disk=(1,)), loose=("readme.txt", "x.json")))
    assert [item.path for item in plan.items] == [
        "Applications/a",
        "Applications/b",
        "Applications/readme.txt",
        "Applications/x.json",
        "Dashboards",
        "Web",
    ]
    assert [item.to_dict() for item in plan.items][:3] == [
        {"path": "Applications/a", "versions": [7, 9]},
        {"path": "Applications/b", "versions": [1]},
        {"path": "Applications/readme.txt", "versions": None},
    ]
    assert plan.warnings == ()


@pytest.mark.parametrize(("has_web", "include", "expected"), [(True, True, True), (True, False, False), (False, True, False)])
def test_the_shared_web_files(has_web: bool, include: bool, expected: bool) -> None:
    plan = plan_backup(state(SOUND, has_web=has_web), include_web=include)
    assert ("Web" in [item.path for item in plan.items]) is expected


def test_missing_folders_are_warnings() -> None:
    assert any("Dashboards" in warning for warning in plan_backup(state(SOUND, dashboards=0)).warnings)
    plan = plan_backup(state())
    assert [item.path for item in plan.items] == ["Dashboards", "Web"]
    assert any("Applications" in warning for warning in plan.warnings)


def test_nothing_at_all_is_an_error() -> None:
    with pytest.raises(BackupInvalid, match="nothing to back up"):
        plan_backup(state(dashboards=0, has_web=False))


def test_nothing_but_what_is_left_out_is_an_error_that_names_it() -> None:
    with pytest.raises(BackupInvalid, match=r"noinfo \(App\.info\.json is missing\)"):
        plan_backup(state(NO_INFO, dashboards=0, has_web=False))


def test_content_the_scan_could_not_read_is_a_warning() -> None:
    errors = (
        "/opt/dm/Applications/x: Permission denied",
        "C:\\Skyline DataMiner\\Dashboards: denied",
        "Upgrades/VersionHistory.txt: line 3",
        "Webpages/API: x",
    )
    plan = plan_backup(state(SOUND, errors=errors))
    assert plan.warnings == tuple(f"It couldn't be read in the scan: {error}" for error in errors[:2])


APPS = st.builds(
    app,
    st.uuids().map(str),
    info=st.none() | st.sampled_from(["", "{", "[]", "{}"]),
    published=st.none() | st.integers(-1, 5),
    draft=st.none() | st.integers(-1, 5),
    on_disk=st.lists(st.integers(0, 6), unique=True).map(tuple),
    error=st.none() | st.sampled_from(["missing", "unreadable"]),
)


@settings(deadline=None)
@given(apps=st.lists(APPS, max_size=6), web=st.sampled_from([None, BELOW, ABOVE]), asked=st.sampled_from(["auto", "all", "latest"]))
def test_every_app_is_in_or_left_out_with_a_warning(apps: list[App], web: str | None, asked: str) -> None:
    plan = plan_backup(state(*apps, web=web), versions=asked)
    included = {item.path.removeprefix("Applications/"): item for item in plan.items if item.path.startswith("Applications/")}
    left_out = {left.folder for left in plan.left_out}
    assert included.keys() | left_out == {row.folder for row in apps}
    assert not included.keys() & left_out
    assert not left_out or (plan.mode == "latest" and web == ABOVE)
    for row in apps:
        versions = included[row.folder].versions if row.folder in included else None
        assert versions is None or (len(versions) <= 2 and set(versions) <= row.version_folders.keys())
        assert row.folder not in left_out or any(row.folder in warning for warning in plan.warnings)


@pytest.mark.parametrize(
    ("agent", "web", "purpose", "name"),
    [
        ("DMA1", "10.5.4", "backup", "web-backup_DMA1_20261124T041500Z_10.5.4-CU0.zip"),
        ("dma-1.example.com", "10.4.0 [CU21]", "safety", "web-safety_dma-1.example.com_20261124T041500Z_10.4.0-CU21.zip"),
        ("dma 1_a", None, "backup", "web-backup_dma-1-a_20261124T041500Z_unknown.zip"),
        ("fe80::1%eth0", None, "backup", "web-backup_fe80-1-eth0_20261124T041500Z_unknown.zip"),
        ("../..", None, "backup", "web-backup_agent_20261124T041500Z_unknown.zip"),
        ("監視", None, "backup", "web-backup_agent_20261124T041500Z_unknown.zip"),
    ],
)
def test_names(agent: str, web: str | None, purpose: str, name: str) -> None:
    version = Version.parse(web) if web else None
    assert backup_name(agent=agent, web_version=version, when=NOW, purpose=purpose) == name
    assert backup_name(agent=agent, web_version=version, when=NOW.astimezone(timezone(timedelta(hours=5))), purpose=purpose) == name


def test_a_name_has_a_known_purpose() -> None:
    with pytest.raises(InvalidInput, match="backup or safety"):
        backup_name(agent="a", web_version=None, when=NOW, purpose="fun")


@settings(deadline=None)
@given(agent=st.text(), seconds=st.integers(1, 10**9))
def test_any_agent_gives_a_name_windows_holds_and_that_sorts_by_time(agent: str, seconds: int) -> None:
    first = backup_name(agent=agent, web_version=Version.parse("10.10.1"), when=NOW)
    later = backup_name(agent=agent, web_version=Version.parse("10.5.4"), when=NOW + timedelta(seconds=seconds))
    assert problem_of_path(first) is None
    assert re.fullmatch(r"web-backup_[A-Za-z0-9.-]{1,63}_\d{8}T\d{6}Z_10\.10\.1-CU0\.zip", first)
    assert first < later


def test_the_header() -> None:
    live = state(SOUND, NO_INFO)
    plan = plan_backup(live)
    head = header(plan=plan, state=live, agent="DMA1", name="x.zip", when=NOW, purpose="backup")
    assert problem_of_header(head) is None
    assert json.loads(json.dumps(head)) == head
    assert head == {
        "schema": 1,
        "name": "x.zip",
        "created": "2026-11-24T04:15:00Z",
        "agent": "DMA1",
        "cluster": "Ground",
        "server_version": "10.5.12 (CU0)",
        "web_version": "10.5.12 (CU0)",
        "web_version_source": "a package",
        "mode": "latest",
        "purpose": "backup",
        "left_out": [{"folder": "noinfo", "name": "noinfo", "reason": "App.info.json is missing"}],
        "warnings": list(plan.warnings),
    }
    assert plan.left_out == (LeftOut(folder="noinfo", name="noinfo", reason="App.info.json is missing"),)


@pytest.mark.parametrize("web", ["10.5.4", "10.4.0 [CU21]", "10.4.0.0-14772", "10.4.0", "10.5.4.0-15588", "10.4.0.0-15634-CU21", "10.3.9-CU2"])
def test_the_version_in_the_header_can_be_read_back(web: str) -> None:
    live = state(SOUND, web=web)
    head = header(plan=plan_backup(live), state=live, agent="DMA1", name="x.zip", when=NOW)
    assert Version.parse(head["web_version"]) == Version.parse(web)


def test_the_header_of_unknown_versions() -> None:
    live = state(SOUND, web=None)
    assert header(plan=plan_backup(live), state=live, agent="DMA1", name="x.zip", when=NOW)["web_version"] is None


def zip_of_ours(name: str, *, minutes: int = 0, intact: bool = True, size: int = 99, origin: str = "own", **changes: object) -> BackupFile:
    live = state(SOUND)
    head = {**header(plan=plan_backup(live), state=live, agent="DMA1", name=name, when=NOW + timedelta(minutes=minutes)), **changes}
    trailer: dict[str, object] = {"files": 1, "bytes": 1, "zip_size": 99, "zip_sha256": "c" * 64}
    manifest = ManifestHead(header=head, trailer=trailer, intact=intact)
    return BackupFile(origin=origin, path=f"D:\\backups\\{name}", name=name, size=size, modified=NOW - timedelta(minutes=minutes), manifest=manifest)


def foreign(name: str, origin: str = "own") -> BackupFile:
    return BackupFile(origin=origin, path=f"D:\\backups\\{name}", name=name, size=5, modified=NOW)


def test_rotation_goes_by_the_time_in_the_manifest() -> None:
    backups = [zip_of_ours(f"{n}.zip", minutes=n) for n in (3, 1, 5, 2, 4)]
    rotation = plan_rotation(backups, agent="DMA1", new_name="new.zip", keep=3)
    assert rotation.delete == ("1.zip", "2.zip", "3.zip")
    assert rotation.keep == ("new.zip", "5.zip", "4.zip")
    assert rotation.ignored == ()


@pytest.mark.parametrize(("there", "gone"), [(0, 0), (3, 0), (4, 0), (5, 1), (9, 5)])
def test_five_remain_by_default(there: int, gone: int) -> None:
    rotation = plan_rotation([zip_of_ours(f"{n}.zip", minutes=n) for n in range(there)], agent="DMA1", new_name="new.zip")
    assert len(rotation.delete) == gone


def test_keeping_one_keeps_the_new_one() -> None:
    rotation = plan_rotation([zip_of_ours("a.zip")], agent="DMA1", new_name="new.zip", keep=1)
    assert (rotation.delete, rotation.keep) == (("a.zip",), ("new.zip",))


def test_the_new_one_is_the_newest_whatever_the_clock_said() -> None:
    ahead = [zip_of_ours(f"{n}.zip", minutes=10**6 + n) for n in range(3)]
    rotation = plan_rotation([*ahead, zip_of_ours("new.zip", minutes=-5)], agent="DMA1", new_name="NEW.zip", keep=2)
    assert rotation.keep == ("NEW.zip", "2.zip")
    assert rotation.delete == ("0.zip", "1.zip")


@pytest.mark.parametrize("keep", [0, -1, True, None, "5", 2.0])
def test_what_cannot_be_kept(keep: object) -> None:
    with pytest.raises(InvalidInput, match="at least 1"):
        plan_rotation([], agent="DMA1", new_name="new.zip", keep=keep)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("backup", "reason"),
    [
        (foreign("holiday photos.zip"), "no manifest"),
        (zip_of_ours("x.zip", intact=False), "manifest is no use"),
        (zip_of_ours("x.zip", schema=2), "schema version is 2"),
        (zip_of_ours("x.zip", created="?"), "created"),
        (zip_of_ours("x.zip", size=98), "has 98 bytes, but its manifest says 99"),
        (zip_of_ours("x.zip", purpose="safety"), "safety copy"),
        (zip_of_ours("x.zip", agent="DMA2"), "another agent, DMA2"),
        (zip_of_ours("x.zip", cluster="Saturn"), "another cluster, Saturn"),
        (zip_of_ours("x.zip", origin="vendor"), "our backup folder"),
        (foreign("x.zip", origin="vendor"), "no manifest"),
    ],
)
def test_what_does_not_count_stays_and_is_reported(backup: BackupFile, reason: str) -> None:
    rotation = plan_rotation([backup, zip_of_ours("a.zip")], agent="dma1", cluster="ground", new_name="new.zip", keep=2)
    assert rotation.delete == ()
    assert rotation.keep == ("new.zip", "a.zip")
    assert len(rotation.ignored) == 1
    assert rotation.ignored[0][0] == backup.name
    assert reason in rotation.ignored[0][1]


@pytest.mark.parametrize(("said", "known"), [(None, "Ground"), ("Saturn", None)])
def test_a_cluster_that_is_not_known_is_no_other_one(said: str | None, known: str | None) -> None:
    """Where DMS.xml can't be read, or couldn't, backups would pile up."""
    rotation = plan_rotation([zip_of_ours("a.zip", cluster=said)], agent="DMA1", cluster=known, new_name="new.zip", keep=1)
    assert rotation.delete == ("a.zip",)


def test_doubtful_backups_take_turns_among_themselves() -> None:
    """Nights of backups after a failed install never make the last sound one go, nor fill the disk."""
    sound = [zip_of_ours(f"sound{n}.zip", minutes=n) for n in range(2)]
    doubtful = [zip_of_ours(f"doubt{n}.zip", minutes=10 + n, suspect="half migrated") for n in range(3)]
    again = plan_rotation([*sound, *doubtful], agent="DMA1", new_name="new.zip", keep=2, suspect=True)
    assert (again.delete, again.keep) == (("doubt0.zip", "doubt1.zip"), ("new.zip", "doubt2.zip"))
    assert dict(again.ignored) == {f"sound{n}.zip": "it is sound, and the new one may not be" for n in range(2)}
    mended = plan_rotation([*sound, *doubtful], agent="DMA1", new_name="new.zip", keep=2)
    assert (mended.delete, mended.keep) == (("sound0.zip",), ("new.zip", "sound1.zip"))
    assert dict(mended.ignored) == {f"doubt{n}.zip": "half migrated" for n in range(3)}


def test_a_sound_backup_has_no_problem() -> None:
    assert problem_of_backup(zip_of_ours("x.zip")) is None
    assert problem_of_backup(zip_of_ours("x.zip", purpose="safety")) is None


KINDS = st.sampled_from(["sound", "foreign", "damaged", "short", "safety", "other agent", "vendor"])


def of_kind(kind: str, name: str, minutes: int) -> BackupFile:
    if kind == "foreign":
        return foreign(name)
    changes: dict[str, dict[str, object]] = {"safety": {"purpose": "safety"}, "other agent": {"agent": "DMA2"}}
    extra: dict[str, object] = changes.get(kind, {})
    return zip_of_ours(
        name, minutes=minutes, intact=kind != "damaged", size=1 if kind == "short" else 99, origin="vendor" if kind == "vendor" else "own", **extra
    )


@settings(deadline=None)
@given(rows=st.lists(st.tuples(KINDS, st.integers(-100, 100)), max_size=12), keep=st.integers(1, 6))
def test_rotation_never_takes_too_much(rows: list[tuple[str, int]], keep: int) -> None:
    """Deleted are only sound ones, older than all that are kept, and never so many that fewer than `keep` remain with the new one."""
    backups = [of_kind(kind, f"{n}.zip", minutes) for n, (kind, minutes) in enumerate(rows)]
    sound = {backup.name: minutes for backup, (kind, minutes) in zip(backups, rows, strict=True) if kind == "sound"}
    rotation = plan_rotation(backups, agent="DMA1", new_name="new.zip", keep=keep)
    assert set(rotation.delete) <= sound.keys()
    assert len(rotation.delete) == max(0, len(sound) + 1 - keep)
    assert "new.zip" not in rotation.delete
    assert rotation.keep[0] == "new.zip"
    assert sorted([*rotation.delete, *rotation.keep[1:], *(name for name, _ in rotation.ignored)]) == sorted(backup.name for backup in backups)
    assert all(sound[gone] <= sound[kept] for gone in rotation.delete for kept in rotation.keep[1:])
    assert (
        keep == 1 or not sound or max(sound.values()) not in {sound[name] for name in rotation.delete} - {sound[name] for name in rotation.keep[1:]}
    )


def test_times_in_the_fixture_are_what_the_manifest_says() -> None:
    backup = zip_of_ours("x.zip", minutes=7)
    assert backup.manifest is not None
    assert backup.manifest.header["created"] == format_time(NOW + timedelta(minutes=7))
