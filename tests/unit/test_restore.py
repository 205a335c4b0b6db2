"""The plan of a restore: what changes, what is lost, what stays behind, and the code that accepts a loss."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.agent import (
    AgentState,
    Cluster,
    Dashboard,
    InstalledPackage,
    LastRestore,
    VersionFact,
)
from ansible_collections.dataminer.web.plugins.module_utils.apps import App, parse_app
from ansible_collections.dataminer.web.plugins.module_utils.errors import InvalidInput
from ansible_collections.dataminer.web.plugins.module_utils.package import parse_package_name
from ansible_collections.dataminer.web.plugins.module_utils.restore import (
    Lost,
    RestorePlan,
    diff_text,
    loss_code,
    losses_digest,
    plan_restore,
    plan_result,
    quarantine_paths,
)
from ansible_collections.dataminer.web.plugins.module_utils.restore_text import lost_line

BACKUP = datetime(2025, 4, 1, 12, 0, tzinfo=UTC)
BEFORE = "2025-03-30T00:00:00Z"
AFTER = "2025-04-03T08:00:00Z"
CREATED = 1743665400000  # 2025-04-03T07:30:00Z


def info(name: str, published: int | None, draft: int | None, versions: list[int] | None = None, **more: Any) -> str:
    rows = None if versions is None else [{"Version": number, "CreatedAt": CREATED, "CreatedBy": "DOMAIN\\ann"} for number in versions]
    return json.dumps({"ID": "x", "Name": name, "PublicVersion": published, "DraftVersion": draft, "Versions": rows, **more})


def row(path: str, state: str = "same", modified: str | None = BEFORE, size: int = 10) -> list[Any]:
    return [path, path, size, "a" * 64, state, None if state == "create" else modified, None]


def app(folder: str, text: str | None, *versions: int) -> App:
    return parse_app(folder=folder, info_text=text, info_error=None if text else "missing", dirs=[f"version_{n}" for n in versions], files=[])


def state(*apps: App, dashboards: tuple[str, ...] = ()) -> AgentState:
    return AgentState(
        utc=BACKUP,
        offset_minutes=0,
        language_mode=None,
        root="/srv",
        root_exists=True,
        server=VersionFact(version=None, source=""),
        web=VersionFact(version=None, source=""),
        web_api=None,
        history=(),
        packages=(),
        cluster=Cluster(name=None, self_id=None, self_address=None, members=(), failover=False),
        apps=apps,
        loose=(),
        dashboards=tuple(Dashboard(path=path, size=1, modified=BACKUP) for path in dashboards),
        has_web_folder=False,
        backups=(),
        partials=(),
        disks={},
        host=None,
        job=None,
    )


def install(started: str, ended: str | None, name: str = "DataMiner 10.5.5.0-15700 Web Upgrade.dmupgrade") -> InstalledPackage:
    return InstalledPackage(
        package=parse_package_name(name),
        folder=name,
        started=datetime.fromisoformat(started),
        ended=datetime.fromisoformat(ended) if ended else None,
        completed=True,
    )


def plan(entries: list[list[Any]], infos: dict[str, list[str | None]] | None = None, agent: AgentState | None = None, **more: Any) -> RestorePlan:
    return plan_restore(entries, infos or {}, agent or state(), backup_created=BACKUP, **more)


SALES = [
    row("Applications/a1/App.info.json", "replace", AFTER),
    row("Applications/a1/version_2/App.config.json"),
    row("Applications/a1/version_2/pages/p.dmadb.json"),
]


def test_the_numbers() -> None:
    found = plan(
        [
            row("Applications/a1/App.info.json"),
            row("Applications/a1/version_1/x", "create"),
            row("Dashboards/S/d.dmadb.json", "replace", size=7),
            row("Web/i.png", "create", size=5),
        ],
        {"a1": [info("Sales", 1, 0), info("Sales", 1, 0)]},
        state(app("a1", info("Sales", 1, 0))),
    )
    assert (found.create, found.replace, found.same, found.bytes) == (2, 1, 1, 22)
    assert [(item.title, item.creates, item.replaces, item.same) for item in found.apps] == [("Sales", 1, 0, 1)]
    assert [(item.title, item.path) for item in found.dashboards] == [("S/d", "Dashboards/S/d.dmadb.json")]
    assert [(item.title, item.creates) for item in found.files] == [("Web", 1)]
    assert found.include is None


def test_nothing_differs_nothing_is_lost() -> None:
    text = info("Sales", 2, 0, [1, 2])
    found = plan([row("Applications/a1/App.info.json"), row("Applications/a1/version_2/x")], {"a1": [text, text]}, state(app("a1", text, 2)))
    assert found.lost == ()
    assert found.stays_behind == ()
    assert found.warnings == ()


def test_versions_made_since_are_lost_with_when_and_by_whom() -> None:
    disk = info("Sales", 4, 0, [1, 2, 3, 4])
    found = plan(SALES, {"a1": [info("Sales", 2, 0, [1, 2]), disk]}, state(app("a1", disk, 1, 2, 3, 4)))
    assert [(lost.path, lost.why) for lost in found.lost] == [
        ("Applications/a1/App.info.json", "published version goes from 4 to 2"),
        ("Applications/a1/version_3", "version 3 isn't known to the backup"),
        ("Applications/a1/version_4", "version 4 isn't known to the backup"),
    ]
    assert {(lost.title, lost.author, lost.when) for lost in found.lost} == {("Sales", "DOMAIN\\ann", datetime(2025, 4, 3, 7, 30, tzinfo=UTC))}


def test_a_moved_draft_is_lost_and_zero_null_and_negative_are_all_none() -> None:
    disk = info("Sales", -1, 3)
    found = plan(SALES, {"a1": [info("Sales", 0, None), disk]}, state(app("a1", disk)))
    assert [lost.why for lost in found.lost] == ["draft goes from 3 to none"]


def test_a_backup_of_before_the_history_loses_only_what_was_made_later() -> None:
    disk = json.loads(info("Sales", 2, 0, [1, 2, 3]))
    disk["Versions"][0]["CreatedAt"] = 1_600_000_000_000
    disk["Versions"][2]["CreatedAt"] = None
    text = json.dumps(disk)
    found = plan(SALES, {"a1": [info("Sales", 2, 0), text]}, state(app("a1", text, 1, 2, 3)))
    assert [lost.path for lost in found.lost] == ["Applications/a1/version_3"]


def test_an_app_info_that_isnt_replaced_loses_nothing() -> None:
    disk = info("Sales", 4, 0, [4])
    found = plan([row("Applications/a1/version_2/x")], {}, state(app("a1", disk, 2, 4)))
    assert found.lost == ()
    assert [behind.unlisted for behind in found.stays_behind] == [False]
    assert "no App.info.json" in found.warnings[0]


def test_a_broken_app_info_over_a_good_one_is_a_loss() -> None:
    disk = info("Sales", 4, 0, [4])
    found = plan(SALES, {"a1": ["{", disk]}, state(app("a1", disk, 2, 4)))
    assert any("can't be read" in lost.why for lost in found.lost)
    assert quarantine_paths(found) == ()


@pytest.mark.parametrize(
    ("zipped", "disk", "lost"),
    [
        (info("Sales", 2, 0, Sections=None), info("Sales", 2, 0, Sections=["x"]), True),
        (info("Sales", 2, 0, [1, 2]), info("Sales", 2, 0, [1, 2]) + " ", False),
        (info("Old", 2, 0), info("New", 2, 0), True),
    ],
)
def test_settings_of_an_app_count_where_more_than_the_history_differs(zipped: str, disk: str, lost: bool) -> None:
    found = plan(SALES, {"a1": [zipped, disk]}, state(app("a1", disk, 2)))
    assert [item.why for item in found.lost] == (["its settings (name, access, sections…) changed"] if lost else [])


@pytest.mark.parametrize(
    ("modified", "installs", "lost"),
    [
        pytest.param(AFTER, [], True, id="written after the backup"),
        pytest.param("2025-04-01T12:00:00Z", [], True, id="in its very second"),
        pytest.param("2025-04-01T11:55:00Z", [], True, id="while it was made"),
        pytest.param("2025-03-31T00:00:00Z", [], False, id="before it"),
        pytest.param(None, [], True, id="nobody knows when"),
        pytest.param(AFTER, [("2025-04-03T07:50:00+00:00", "2025-04-03T07:55:00+00:00")], False, id="in the minutes after an install"),
        pytest.param(AFTER, [("2025-04-03T07:40:00+00:00", "2025-04-03T07:49:59+00:00")], True, id="later than that"),
        pytest.param(AFTER, [("2025-04-03T08:00:01+00:00", "2025-04-03T08:30:00+00:00")], True, id="just before an install"),
        pytest.param(AFTER, [("2025-04-03T07:50:00+00:00", None)], True, id="an install without an end explains nothing"),
        pytest.param(AFTER, [("2025-04-01T00:00:00+00:00", "2025-04-09T00:00:00+00:00")], True, id="nor does one of days"),
    ],
)
def test_a_differing_file_is_lost_unless_an_install_wrote_it(modified: str | None, installs: list[tuple[str, str | None]], lost: bool) -> None:
    found = plan([row("Dashboards/Sub/one.dmadb.json", "replace", modified)], installs=[install(*window) for window in installs])
    assert [(item.kind, item.title) for item in found.lost] == ([("dashboard", "Sub/one")] if lost else [])
    assert any("files were last written" in warning.replace("differing ", "") for warning in found.warnings) is not lost


@pytest.mark.parametrize(("at", "status", "lost"), [("07:57", "released", 1), ("07:57", "undone", 0), ("07:53", "released", 0)])
def test_what_a_restore_wrote_after_an_install_is_no_migration(at: str, status: str, lost: int) -> None:
    """Nor is what people wrote since. What an undo put back is what the install had left."""
    last = LastRestore(run_id="commit-1", state=status, at=datetime.fromisoformat(f"2025-04-03T{at}:00+00:00"), backup="b.zip")
    window = install("2025-04-03T07:50:00+00:00", "2025-04-03T07:55:00+00:00")
    found = plan([row("Dashboards/one.dmadb.json", "replace", AFTER)], agent=replace(state(), last_restore=last), installs=[window])
    assert len(found.lost) == lost


def test_what_was_written_while_the_last_restore_was_carried_out_is_told_apart() -> None:
    """It counts: who wrote it isn't known. What was changed before and since comes first."""
    entries = [
        row("Applications/a1/App.info.json", "replace", "2025-04-03T08:00:05Z"),
        *(row(f"Applications/a1/version_2/pages/{n}.dmadb.json", "replace", f"2025-04-03T08:00:0{n}Z") for n in (5, 6)),
        row("Applications/a1/version_2/pages/7.dmadb.json", "replace", "2025-04-03T09:00:00Z"),
        row("Dashboards/A restored one.dmadb.json", "replace", "2025-04-03T08:00:05Z"),
        row("Dashboards/Edited before.dmadb.json", "replace", "2025-04-03T07:30:00Z"),
        row("Dashboards/Edited since.dmadb.json", "replace", "2025-04-03T08:00:08Z"),
    ]
    last = LastRestore(run_id="commit-20250403T080003Z-0a1b2c3d", state="released", at=datetime(2025, 4, 3, 8, 0, 7, tzinfo=UTC), backup="b.zip")
    apps = state(app("a1", info("Sales", 1, 0), 2))
    infos: dict[str, list[str | None]] = {"a1": [info("Sales", 2, 0), info("Sales", 1, 0)]}
    changed, restored = "changed, or migrated when opened", "written while the last restore was carried out"
    found = plan(entries, infos, replace(apps, last_restore=last))
    assert [(lost.title, lost.why) for lost in found.lost] == [
        ("Sales", f"version 2: 1 file {changed}"),
        ("Edited before", changed),
        ("Edited since", changed),
        ("Sales", f"published version goes from 1 to 2 (App.info.json was {restored})"),
        ("Sales", f"version 2: 2 files {restored}"),
        ("A restored one", restored),
    ]
    for other in (replace(last, state="undone"), replace(last, run_id="mine")):
        assert not any(lost.restored for lost in plan(entries, infos, replace(apps, last_restore=other)).lost)


def test_the_package_of_another_kind_explains_nothing() -> None:
    window = install("2025-04-03T07:50:00+00:00", "2025-04-03T08:10:00+00:00", "DataMiner 10.5.5.0-15700 Cube Upgrade.dmupgrade")
    assert len(plan([row("Dashboards/one.dmadb.json", "replace", AFTER)], installs=[window]).lost) == 1


def test_files_of_one_version_are_told_together() -> None:
    entries = [row(f"Applications/a1/version_2/pages/{n}.dmadb.json", "replace", f"2025-04-0{n}T00:00:00Z") for n in (3, 5, 4)]
    found = plan([*entries, row("Web/theme.json", "replace", AFTER)], {}, state(app("a1", info("Sales", 2, 0), 2)))
    assert [(lost.kind, lost.path, lost.why) for lost in found.lost] == [
        ("app", "Applications/a1/version_2", "version 2: 3 files changed, or migrated when opened"),
        ("file", "Web/theme.json", "changed, or migrated when opened"),
    ]
    assert found.lost[0].when == datetime(2025, 4, 5, tzinfo=UTC)


def test_what_stays_behind() -> None:
    disk = info("Sales", 4, 0, [1, 2, 3, 4])
    found = plan(
        [*SALES, row("Dashboards/kept.dmadb.json")],
        {"a1": [info("Sales", 2, 0, [1, 2]), disk]},
        state(app("A1", disk, 1, 2, 3, 4), app("b2", info("Later", 1, 0), 1), dashboards=("KEPT.dmadb.json", "new.dmadb.json")),
    )
    assert [(behind.kind, behind.title, behind.path, behind.unlisted) for behind in found.stays_behind] == [
        ("app", "Later", "Applications/b2", False),
        ("version", "Sales, version 1", "Applications/A1/version_1", False),
        ("version", "Sales, version 3", "Applications/A1/version_3", True),
        ("version", "Sales, version 4", "Applications/A1/version_4", True),
        ("dashboard", "new", "Dashboards/new.dmadb.json", False),
    ]
    assert "may stay migrated" in found.stays_behind[1].why
    assert quarantine_paths(found) == ("Applications/A1/version_3", "Applications/A1/version_4")


def test_without_a_history_the_newest_version_of_the_zip_tells_older_from_later() -> None:
    found = plan(SALES, {"a1": [info("Sales", 2, 0), info("Sales", 2, 0)]}, state(app("a1", info("Sales", 2, 0), 1, 2, 3)))
    assert [(behind.path, behind.unlisted) for behind in found.stays_behind] == [
        ("Applications/a1/version_1", False),
        ("Applications/a1/version_3", True),
    ]


@pytest.mark.parametrize(("on_disk", "words"), [((2, 3), "may stay migrated"), ((2,), "not on disk either")])
def test_a_version_in_use_that_the_zip_lacks_is_a_warning(on_disk: tuple[int, ...], words: str) -> None:
    text = info("Sales", 2, 3, [2, 3])
    found = plan([row("Applications/a1/App.info.json"), row("Applications/a1/version_2/x")], {"a1": [text, text]}, state(app("a1", text, *on_disk)))
    assert len(found.warnings) == 1
    assert "draft 3" in found.warnings[0]
    assert words in found.warnings[0]


def test_an_app_that_comes_back_is_a_warning() -> None:
    found = plan([row("Applications/a1/App.info.json", "create"), row("Applications/a1/version_2/x", "create")], {"a1": [info("Sales", 2, 0), None]})
    assert "comes back" in found.warnings[0]
    assert found.apps[0].was is None
    assert found.apps[0].becomes == "published 2, draft none"
    assert found.lost == ()


TWO = [
    row("Applications/a1/App.info.json", "replace", AFTER),
    row("Applications/b2/App.info.json", "replace", AFTER),
    row("Applications/b2/version_1/x", "replace", AFTER),
    row("Applications/loose.txt", "replace", AFTER),
    row("Dashboards/Sub/one.dmadb.json", "replace", AFTER),
    row("Dashboards/other/one.dmadb.json", "replace", AFTER),
    row("Dashboards/two.dmadb.json", "replace", AFTER),
    row("Dashboards/_IMAGES/i.png", "create"),
]
TWO_INFOS: dict[str, list[str | None]] = {"a1": [info("Sales", 1, 0), info("Renamed", 1, 0)], "b2": [info("Stock", 1, 0), info("Stock", 1, 0)]}


@pytest.mark.parametrize(
    ("apps", "dashboards", "include"),
    [
        (["Sales"], [], ("Applications/a1",)),
        (["renamed"], [], ("Applications/a1",)),
        (["B2"], [], ("Applications/b2",)),
        ([], ["two"], ("Dashboards/two.dmadb.json",)),
        ([], ["Dashboards\\SUB\\one.dmadb.json"], ("Dashboards/Sub/one.dmadb.json",)),
        (["stock"], ["Sub/one"], ("Applications/b2", "Dashboards/Sub/one.dmadb.json")),
    ],
)
def test_a_restore_limited_to_what_is_named(apps: list[str], dashboards: list[str], include: tuple[str, ...]) -> None:
    agent = state(app("a1", info("Renamed", 1, 0), 1), app("b2", info("Stock", 1, 0), 1, 2), app("c3", None), dashboards=("elsewhere.dmadb.json",))
    found = plan(TWO, TWO_INFOS, agent, only_apps=apps, only_dashboards=dashboards)
    assert found.include == include
    assert found.create == 0
    assert found.replace == sum(any(entry[1].startswith(path) for path in include) for entry in TWO)
    touched = [*(lost.path for lost in found.lost), *(behind.path for behind in found.stays_behind)]
    assert all(path.startswith(include) for path in touched)


@pytest.mark.parametrize(
    ("only", "words"),
    [
        ({"only_apps": ["Nothing"]}, ["Nothing", "Sales (a1)", "Stock (b2)"]),
        ({"only_apps": [""]}, ["Sales (a1)"]),
        ({"only_dashboards": ["three"]}, ["three", "Sub/one", "two"]),
        ({"only_dashboards": ["one"]}, ["names 2 dashboards", "Dashboards/Sub/one.dmadb.json"]),
    ],
)
def test_an_unknown_or_ambiguous_name_lists_what_there_is(only: dict[str, list[str]], words: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        plan(TWO, TWO_INFOS, **only)
    assert all(word in str(caught.value) for word in words)


def test_a_name_that_two_apps_have_asks_for_the_folder() -> None:
    infos: dict[str, list[str | None]] = {"a1": [info("Stock", 1, 0), None], "b2": [info("Stock", 1, 0), None]}
    with pytest.raises(InvalidInput, match=r"names 2 apps.*a1, b2"):
        plan(TWO, infos, only_apps=["stock"])


@pytest.mark.parametrize("bad", [[], ["a"] * 7, row("x", "unknown"), ["x", "x", 1, "a", None, None, None], row("x", "same", "yesterday"), None])
def test_rows_of_another_shape_are_refused(bad: Any) -> None:
    with pytest.raises(InvalidInput, match="compared"):
        plan([bad])


def test_digests_tell_content_apart_and_not_order_or_state() -> None:
    one = [row("Applications/a1/x"), row("Applications/a1/y"), row("Dashboards/d.dmadb.json"), row("Applications/loose.txt")]
    other = [[*entry[:4], "create", None, None] for entry in reversed(one)]
    assert plan(one).digests == plan(other).digests
    assert set(plan(one).digests) == {"all", "Applications", "Applications/a1", "Dashboards"}
    other[0][3] = "b" * 64
    differing = {path for path, digest in plan(one).digests.items() if plan(other).digests[path] != digest}
    assert differing == {"all", "Applications"}


def lost(path: str = "Dashboards/one.dmadb.json", when: datetime | None = BACKUP, why: str = "changed") -> Lost:
    return Lost(kind="dashboard", title="one", path=path, when=when, author=None, why=why)


def test_the_code_of_a_loss() -> None:
    code = loss_code({"dma1": [lost(), lost("Dashboards/two.dmadb.json")], "dma2": [lost()]})
    assert len(code) == 8
    assert set(code) <= set("BCDFGHJKMNPQRSTVWXYZ")
    assert loss_code({"dma2": [lost()], "dma3": [], "dma1": [lost("Dashboards/two.dmadb.json"), lost()]}) == code
    assert loss_code({"dma2": losses_digest([lost()]), "dma1": losses_digest([lost("Dashboards/two.dmadb.json"), lost()]), "dma4": ""}) == code


@pytest.mark.parametrize(
    "other",
    [
        {"dma1": [lost(why="another")]},
        {"dma1": [lost(when=None)]},
        {"dma1": [lost("Dashboards/two.dmadb.json")]},
        {"dma2": [lost()]},
        {"dma1": [lost()], "dma2": [lost()]},
        {"dma1": [lost(), lost()]},
    ],
)
def test_another_loss_has_another_code(other: dict[str, list[Lost]]) -> None:
    assert loss_code(other) != loss_code({"dma1": [lost()]})


@pytest.mark.parametrize("nothing", [{}, {"dma1": []}, {"dma1": ""}])
def test_no_loss_no_code(nothing: Any) -> None:
    assert loss_code(nothing) == ""


def large() -> RestorePlan:
    entries, infos, apps = [], {}, []
    for number in range(400):
        folder = f"00000000-0000-0000-0000-{number:012d}"
        entries += [row(f"Applications/{folder}/App.info.json", "replace", AFTER), row(f"Applications/{folder}/version_1/x", "replace", AFTER)]
        infos[folder] = [info(f"App {number}", 1, 0, [1]), info(f"App {number}", 3, 0, [1, 2, 3])]
        apps.append(app(folder, info(f"App {number}", 3, 0, [1, 2, 3]), 1, 2, 3))
    entries += [row(f"Dashboards/{number}.dmadb.json", "replace", AFTER) for number in range(1000)]
    return plan(entries, infos, state(*apps))


def test_a_result_is_plain_json_below_100_kb_with_its_true_counts() -> None:
    found = large()
    result = plan_result(found)
    assert json.loads(json.dumps(result)) == result
    assert len(json.dumps(result)) + len(json.dumps(diff_text(found))) + len(json.dumps(found.digests)) < 100_000
    assert result["lost_count"] == len(found.lost) == 400 * 4 + 1000
    assert result["plan"]["stays_behind_count"] == 800
    assert 0 < len(result["lost"]) < result["lost_count"]
    assert loss_code({"dma1": result["lost_digest"]}) == loss_code({"dma1": found.lost})


def test_the_text_says_what_changes_what_is_lost_and_what_stays() -> None:
    disk = info("Sales", 4, 0, [1, 2, 4])
    text = diff_text(plan(SALES, {"a1": [info("Sales", 2, 0, [1, 2]), disk]}, state(app("a1", disk, 1, 2, 4))))
    assert text.splitlines() == [
        "files: 1 replaced, 0 created, 2 the same",
        "changes (1), 0 more the same",
        '  app "Sales": 1 replaced, 0 created, 2 the same; published 4, draft none -> published 2, draft none',
        "LOST: changed since the backup (2)",
        '  app "Sales": published version goes from 4 to 2 (2025-04-03T07:30:00Z by DOMAIN\\ann)',
        '  app "Sales": version 4 isn\'t known to the backup (2025-04-03T07:30:00Z by DOMAIN\\ann)',
        "stays behind (2)",
        "  Sales, version 1: a version that the backup doesn't hold: it may stay migrated",
        "  Sales, version 4: made after the backup, and not listed once it is restored",
    ]


@pytest.mark.parametrize(
    ("when", "author", "made"),
    [(AFTER, "ann", f" ({AFTER} by ann)"), (AFTER, None, f" ({AFTER})"), (None, "ann", " (by ann)"), (None, None, "")],
)
def test_a_loss_tells_what_is_known_of_it(when: str | None, author: str | None, made: str) -> None:
    row = {"kind": "app", "title": "Sales", "path": "Applications/a1/version_4", "when": when, "author": author, "why": "it would go"}
    assert lost_line(row) == f'app "Sales": it would go{made}'


def test_a_long_text_is_cut_with_the_number_left_out() -> None:
    text = diff_text(large())
    assert "  … and 2540 more\n" in text
    assert len(text.splitlines()) < 300
