"""A cluster as a whole: in step, restarts, the barrier, differing backups."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.agent import (
    AgentState,
    Cluster,
    ContentRow,
    HostFacts,
    Module,
    Process,
    VersionFact,
)
from ansible_collections.dataminer.web.plugins.module_utils.apps import parse_app
from ansible_collections.dataminer.web.plugins.module_utils.cluster import (
    Difference,
    InStep,
    Restored,
    barrier,
    differing_backups,
    in_step,
    restarted,
    restored_alike,
)
from ansible_collections.dataminer.web.plugins.module_utils.version import Version
from ansible_collections.dataminer.web.plugins.plugin_utils.installed_versions import comparable

NOW = datetime(2025, 5, 1, 12, 0, tzinfo=UTC)
APP = parse_app(folder="a1", info_text='{"Name": "Sales"}', info_error=None, dirs=[], files=[])


def facts(*modules: tuple[str, str], processes: tuple[Process, ...] = ()) -> HostFacts:
    return HostFacts(
        processes=processes,
        modules=tuple(Module(name=name, version=version, code="{1}") for name, version in modules),
        runtimes=(),
        pending_reboot=(),
        installer_busy=False,
        upgrade_running=False,
    )


def agent(
    web: str | None = "10.5.4.0-15588",
    *,
    server: str | None = "10.5.4",
    web_api: str | None = "10.5.2505.1950",
    host: HostFacts | None = None,
    content: dict[str, str] | None = None,
) -> AgentState:
    return AgentState(
        utc=NOW,
        offset_minutes=0,
        language_mode=None,
        root="/srv",
        root_exists=True,
        server=VersionFact(version=Version.parse(server) if server else None, source="a line"),
        web=VersionFact(version=Version.parse(web) if web else None, source="a folder"),
        web_api=web_api,
        history=(),
        packages=(),
        cluster=Cluster(name=None, self_id=None, self_address=None, members=(), failover=False),
        apps=(APP,),
        loose=(),
        dashboards=(),
        has_web_folder=False,
        backups=(),
        partials=(),
        disks={},
        host=host,
        job=None,
        content=None if content is None else tuple(ContentRow(path=path, files=1, bytes=1, sha256=sha) for path, sha in content.items()),
    )


def only(found: InStep) -> Difference:
    (difference,) = found.differences
    return difference


def test_agents_in_step() -> None:
    modules = facts(("DataMiner GQI", "3.1.0"), ("DataMiner Web", "1.0.2"), ("Other", "9"))
    found = in_step({"b": agent(host=modules), "a": agent(host=modules)}, expected=Version.parse("10.5.4"))
    assert found.ok
    assert found.differences == ()
    assert [row.agent for row in found.rows] == ["a", "b"]
    assert found.rows[0].modules == {"GQI DxM": "3.1.0", "Web DcM": "1.0.2"}
    assert json.loads(json.dumps(found.to_result()))["rows"][0]["web"] == "10.5.4 (CU0)"


def test_no_agent_is_not_in_step() -> None:
    assert not in_step({}).ok


@pytest.mark.parametrize(
    ("versions", "words"),
    [
        (["10.5.4", "10.5.5"], ["differ", "Install one package"]),
        (["10.5.4", "10.4.0 [CU13]"], ["differ", "same content", "different packages"]),
        (["10.5.4.0-15588", "10.5.4.0-15600"], ["differ"]),
        (["10.5.4", "10.4.0 [CU13]", "10.5.5"], ["differ. Install"]),
        (["10.4.0.0-14772", "10.4.0 [CU13]"], ["can't be told", "dataminer_web_version", "VersionHistory.txt"]),
        (["10.5.4", None], ["isn't known on dma1", "dataminer_web_version"]),
    ],
)
def test_web_versions_that_arent_one_release(versions: list[str | None], words: list[str]) -> None:
    found = in_step({f"dma{number}": agent(version) for number, version in enumerate(versions)})
    assert not found.ok
    assert all(word in only(found).what for word in words), only(found).what
    assert only(found).severity == "fail"


def test_values_name_version_build_and_source() -> None:
    found = in_step({"a": agent("10.5.4.0-15588"), "b": agent("10.5.4.0-15600")})
    assert only(found).values == {"a": "10.5.4 (CU0) build 15588, by a folder", "b": "10.5.4 (CU0) build 15600, by a folder"}


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ("10.5.5", ["isn't 10.5.5 (CU0)"]),
        ("10.4.0 [CU13]", ["isn't 10.4.0 [CU13]", "another package"]),
        ("10.5.4.0-15600", ["isn't 10.5.4 (CU0) build 15600", "another package"]),
    ],
)
def test_all_on_another_version_than_expected(expected: str, words: list[str]) -> None:
    found = in_step({"a": agent(), "b": agent()}, expected=Version.parse(expected))
    assert not found.ok
    assert all(word in only(found).what for word in words), only(found).what
    assert set(only(found).values) == {"a", "b"}


def test_whether_it_is_the_expected_one_may_be_unknown() -> None:
    found = in_step({"a": agent("10.4.0.0-14772")}, expected=Version.parse("10.4.0 [CU13]"))
    assert not found.ok
    assert "can't be told" in only(found).what


@pytest.mark.parametrize(("one", "other", "shown"), [("10.5.1.1", "10.5.1.2", "10.5.1.2"), ("10.5.1.1", None, "not read")])
def test_the_web_api_differs(one: str, other: str | None, shown: str) -> None:
    found = in_step({"a": agent(web_api=one), "b": agent(web_api=other)})
    assert not found.ok
    assert "WebApiLib.dll" in only(found).what
    assert only(found).values["b"] == shown


def test_differing_servers_are_news() -> None:
    found = in_step({"a": agent(), "b": agent(server="10.5.5")})
    assert found.ok
    assert (only(found).what, only(found).severity) == ("server version: differ", "news")


@pytest.mark.parametrize(
    ("one", "other", "what", "value"),
    [
        ([("DataMiner GQI", "3.1")], [("DataMiner GQI 3.2", "3.2")], "versions of GQI DxM differ", "3.2"),
        ([("DataMiner Web", "1.0")], [], "versions of Web DcM differ, missing on b", "missing"),
        ([("dataminer gqi", "3.1")], [("DataMiner GQI", "3.1"), ("DataMiner GQI", "3.0")], "versions of GQI DxM differ", "3.0, 3.1"),
        ([("DataMiner GQI", "3.1")], None, "versions of GQI DxM differ", "not read"),
    ],
)
def test_modules_differ(one: list[tuple[str, str]], other: list[tuple[str, str]] | None, what: str, value: str) -> None:
    found = in_step({"a": agent(host=facts(*one)), "b": agent(host=None if other is None else facts(*other))})
    assert not found.ok
    assert (only(found).what, only(found).values["b"]) == (what, value)


def test_modules_that_differ_right_after_a_downgrade_are_news() -> None:
    """An older package leaves newer modules in place; running again would not mend it."""
    found = in_step(
        {"a": agent(host=facts(("DataMiner GQI", "3.1"))), "b": agent(host=facts(("DataMiner GQI", "3.2")))}, expected_modules_equal=False
    )
    assert found.ok
    assert only(found).what == "versions of GQI DxM differ"


def test_two_spellings_of_one_version_of_a_module_are_no_difference() -> None:
    readings = {"a": agent(host=facts(("DataMiner GQI", "10.5.9"))), "b": agent(host=facts(("DataMiner GQI", "10.5.9.0")))}
    assert in_step(readings, comparable=comparable).ok
    assert not in_step(readings).ok
    newer = {**readings, "c": agent(host=facts(("DataMiner GQI", "10.5.9.1")))}
    assert only(in_step(newer, comparable=comparable)).values == {"a": "10.5.9", "b": "10.5.9.0", "c": "10.5.9.1"}


def test_modules_go_by_the_names_that_are_given() -> None:
    readings = {"a": agent(host=facts(("DataMiner Query", "1"))), "b": agent(host=facts(("DataMiner Query", "2")))}
    assert in_step(readings).ok
    found = in_step(readings, modules={"GQI DxM": "DataMiner Query"})
    assert only(found).what == "versions of GQI DxM differ"
    assert [row.modules for row in found.rows] == [{"GQI DxM": "1"}, {"GQI DxM": "2"}]


def test_modules_that_nobody_has_are_no_difference() -> None:
    assert in_step({"a": agent(host=facts()), "b": agent(host=None)}).differences == ()


@pytest.mark.parametrize(("equal", "severity"), [(False, "news"), (True, "fail")])
def test_content_says_which_app_differs_on_which_agent(equal: bool, severity: str) -> None:
    same = {"Applications/a1": "1" * 64, "Dashboards/Sub/one.dmadb.json": "2" * 64, "Web/t.json": "3" * 64}
    states = {
        "dma1": agent(content=same),
        "dma2": agent(content={**same, "Applications/a1": "9" * 64}),
        "dma3": agent(content={key: value for key, value in same.items() if not key.startswith("Dash")}),
        "dma4": agent(content={**same, "Web/t.json": "4" * 64}),
    }
    found = in_step(states, expected_content_equal=equal)
    assert [difference.what for difference in found.differences] == [
        'app "Sales" (a1) differs on dma2',
        'dashboard "Sub/one" is missing on dma3',
        "Web/t.json differs on dma4",
    ]
    assert {difference.severity for difference in found.differences} == {severity}
    assert found.ok is not equal
    assert found.differences[0].values == {"dma1": "1" * 12, "dma2": "9" * 12, "dma3": "1" * 12, "dma4": "1" * 12}


def test_content_without_a_majority() -> None:
    found = in_step({"a": agent(content={"Applications/a1": "1" * 64}), "b": agent(content={"Applications/a1": "2" * 64})})
    assert only(found).what == 'app "Sales" (a1) differs between the agents'


def test_paths_compare_as_windows_does() -> None:
    found = in_step({"a": agent(content={"Applications/A1": "1" * 64}), "b": agent(content={"Applications/a1": "1" * 64})})
    assert found.differences == ()


@pytest.mark.parametrize(("equal", "severity"), [(False, "news"), (True, "fail")])
def test_content_that_is_counted_by_folder_on_one_agent_alone_is_missing_nowhere(equal: bool, severity: str) -> None:
    """It is where an agent has more than its result may tell one by one. Right after a restore each of its dashboards would fail the verification."""
    by_file = {"Applications/a1": "1" * 64, "Dashboards/Sub/one.dmadb.json": "2" * 64, "Dashboards/two.dmadb.json": "3" * 64}
    by_folder = {"Applications/a1": "9" * 64, "Dashboards/Sub": "4" * 64, "Dashboards/two.dmadb.json": "3" * 64}
    found = in_step(
        {"dma1": agent(content=by_file), "dma2": agent(content=by_folder)},
        expected_content_equal=equal,
        restored=Restored(items=frozenset({"DASHBOARDS"}), behind=()),
    )
    assert [(difference.what, difference.severity) for difference in found.differences] == [
        ("content that is counted by folder on one agent, and by file on another, wasn't compared", severity),
        ('app "Sales" (a1) differs between the agents', severity),
    ]


@pytest.mark.parametrize(("contents", "equal", "count"), [([None, {}], False, 1), ([None, None], False, 0), ([None, None], True, 1)])
def test_content_that_wasnt_read(contents: list[dict[str, str] | None], equal: bool, count: int) -> None:
    found = in_step({f"dma{number}": agent(content=content) for number, content in enumerate(contents)}, expected_content_equal=equal)
    assert len(found.differences) == count
    assert found.ok is not equal


def process(name: str, pid: int, second: int = 0) -> Process:
    return Process(name=name, pid=pid, started=NOW.replace(second=second))


@pytest.mark.parametrize(
    ("before", "after", "gone"),
    [
        ([process("SLNet", 1)], [process("SLNet", 1)], ()),
        ([process("SLNet", 1)], [process("SLNet", 2)], ("SLNet",)),
        ([process("SLNet", 1)], [process("SLNet", 1, 5)], ("SLNet",)),
        ([process("SLNet", 1)], [], ("SLNet",)),
        ([process("SLNet", 1)], [process("slnet.exe", 1), process("SLLog", 7)], ()),
        ([process("W3WP.exe", 1), process("SLA", 4), process("SLB", 5)], [process("w3wp", 2), process("SLB", 6)], ("SLA", "SLB")),
        ([process("SLProtocol", 1), process("SLProtocol", 2)], [process("SLProtocol", 1), process("SLProtocol", 3)], ("SLProtocol",)),
    ],
)
def test_which_processes_restarted(before: list[Process], after: list[Process], gone: tuple[str, ...]) -> None:
    assert restarted(facts(processes=tuple(before)), facts(processes=tuple(after))) == gone


def test_restarts_that_are_allowed_or_unknown() -> None:
    one, other = facts(processes=(process("GQI", 1),)), facts(processes=(process("GQI", 2),))
    assert restarted(one, other, except_for=["gqi"]) == ()
    assert restarted(one, other) == ("GQI",)
    assert restarted(one, None) is None
    assert restarted(None, other) is None


@pytest.mark.parametrize(
    ("result", "what"),
    [
        (None, "no result (unreachable or skipped)"),
        ({"failed": True, "msg": "Disk full\nlong story"}, "failed: Disk full"),
        ({"failed": True}, "failed"),
        ({"unreachable": True, "failed": True, "msg": "timed out"}, "unreachable: timed out"),
        ({"skipped": True, "skip_reason": "Conditional result was False"}, "skipped: Conditional result was False"),
        ({"finished": False, "job": {"state": "running"}}, "not finished"),
        ({"finished": False, "job": {"state": "waiting"}}, None),
        ({"finished": True, "changed": True, "msg": "made"}, None),
        ({"failed": False, "changed": False}, None),
        ({}, None),
    ],
)
def test_the_barrier_asks_every_agent_for_a_success(result: dict[str, Any] | None, what: str | None) -> None:
    judged = barrier(cluster="pluto", agents=["dma1", "dma2"], results={"dma1": {"changed": True}, "dma2": result}, phase="backup")
    assert judged.problems == ((("dma2", what),) if what else ())
    assert judged.ok is (what is None)


def test_the_barrier_counts_no_success_of_an_agent_that_left_the_run() -> None:
    """Nothing that comes after the barrier will happen there."""
    results = {"dma1": {"changed": True}, "dma2": {"changed": True}, "dma3": {"failed": True, "msg": "Disk full"}}
    judged = barrier(cluster="pluto", agents=["dma1", "dma2", "dma3"], results=results, phase="backup", gone=["dma2", "dma3"])
    assert judged.problems == (("dma2", "it failed in another task, and left this run"), ("dma3", "failed: Disk full"))


def test_the_barrier_misses_an_agent_without_a_result_and_ignores_other_clusters() -> None:
    judged = barrier(cluster="pluto", agents=["dma1"], results={"other": {"failed": True}}, phase="backup")
    assert judged.problems == (("dma1", "no result (unreachable or skipped)"),)


@pytest.mark.parametrize(
    ("digests", "rows"),
    [
        ({}, ()),
        ({"a": "1" * 64, "b": "1" * 64}, ()),
        ({"a": None, "b": None}, ()),
        ({"b": "2" * 64, "a": "1" * 64}, (("a", "1" * 12, "differs"), ("b", "2" * 12, "differs"))),
        (
            {"a": "1" * 64, "b": "1" * 64, "c": "2" * 64, "d": None},
            (
                ("a", "1" * 12, "as on most agents"),
                ("b", "1" * 12, "as on most agents"),
                ("c", "2" * 12, "differs from most agents"),
                ("d", "-", "no backup"),
            ),
        ),
    ],
)
def test_differing_backups(digests: dict[str, str | None], rows: tuple[tuple[str, str, str], ...]) -> None:
    assert differing_backups(digests) == rows


def chosen(digests: dict[str, str], *behind: str, limited: bool = False, more: int = 0) -> dict[str, Any]:
    rows = [{"path": path} for path in behind]
    return {"chosen": {"digests": digests}, "plan": {"stays_behind": rows, "stays_behind_count": len(rows) + more, "limited": limited}}


ALIKE = {"all": "x", "Applications/a": "1", "Dashboards": "2"}
APPLE, BOARD = "Applications/a", "Dashboards/b.dmadb.json"


@pytest.mark.parametrize(
    ("plans", "fails"),
    [
        ([chosen(ALIKE), chosen(ALIKE)], {APPLE, BOARD}),
        ([chosen(ALIKE), chosen({**ALIKE, "all": "y", "Dashboards": "3"})], {APPLE}),
        ([chosen(ALIKE, "Applications/A/version_9"), chosen(ALIKE)], {BOARD}),
        ([chosen(ALIKE), chosen(ALIKE, "Dashboards/B.dmadb.json")], {APPLE}),
        ([chosen(ALIKE, limited=True), chosen(ALIKE)], set()),
        ([chosen(ALIKE, more=1), chosen(ALIKE)], set()),
        ([chosen(ALIKE), {"chosen": {"done": True}, "plan": None}], set()),
        ([chosen(ALIKE), None], set()),
    ],
)
def test_what_was_restored_alike_has_to_be_alike_right_after(plans: list[dict[str, Any] | None], fails: set[str]) -> None:
    """But for what the backups didn't hold, and for files that nobody tells of."""
    there = [{APPLE: digit, BOARD: digit, "Dashboards/_IMAGES/c.png": digit, "Web/d.png": digit} for digit in "pq"]
    found = in_step(
        {f"dma{number}": agent(content=content) for number, content in enumerate(there)},
        restored=restored_alike({f"dma{number}": plan for number, plan in enumerate(plans)}),
    )
    names = {APPLE: APPLE, "dashboard": BOARD}
    failed = {names.get(difference.what.split(" ")[0]) for difference in found.differences if difference.severity == "fail"}
    assert failed == fails
    assert len(found.differences) == 4
    assert found.ok is not bool(fails)
