"""The gate's rules of a whole cluster: read, complete, meant, in step."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.agent import AgentState, Member, PackageFile
from ansible_collections.dataminer.web.plugins.module_utils.gate import Reading, Verdict, evaluate
from gate_agents import NOW, agents, cluster, judge, package, reading, request, row, state, verdict

PASS, WARN, DENY, NA = Verdict.PASS, Verdict.WARN, Verdict.DENY, Verdict.NOT_APPLICABLE


def within(**views: Any) -> list[Reading]:
    """Fine agents whose DMS.xml says what is given."""
    return [reading(name, replace(state(), cluster=view)) for name, view in views.items()]


def gate_of(readings: list[Reading], *, purpose: str = "upgrade", **more: Any) -> Any:
    return evaluate(request(purpose, names=tuple(one.name for one in readings), **more), readings)


@pytest.mark.parametrize("problem", ["unreachable", "not read", "failed: DMS.xml is locked"])
@pytest.mark.parametrize("purpose", ["upgrade", "downgrade", "backup", "status"])
def test_an_agent_that_was_not_read_denies(problem: str, purpose: str) -> None:
    gate = gate_of([*agents(state(), state()), reading("a3", None, problem)], purpose=purpose)
    assert verdict(gate, "read", "a3") is DENY
    assert row(gate, "read", "a3").found == problem
    assert verdict(gate, "read", "a1") is PASS
    assert not gate.allowed


def test_an_agent_without_a_reading_at_all_was_not_read() -> None:
    gate = evaluate(request(names=("a1", "a2")), agents(state()))
    assert verdict(gate, "read", "a2") is DENY
    assert gate.directions["a2"].value == "unknown"


def test_an_agent_with_a_problem_is_not_judged_by_its_state() -> None:
    gate = gate_of([reading("a1", state(), "failed: half of it")])
    assert verdict(gate, "read") is DENY
    assert [one.rule for one in gate.rows if one.agent == "a1" and one.rule not in ("read", "dms", "unlisted")] == []


def test_no_agents_at_all_is_no_green_run() -> None:
    gate = evaluate(request(names=()), [])
    assert verdict(gate, "read", None) is DENY
    assert not gate.allowed


@pytest.mark.parametrize(
    ("purpose", "play", "partial", "expected"),
    [
        ("upgrade", ("a1", "a2"), False, PASS),
        ("upgrade", ("a1",), False, DENY),
        ("upgrade", ("a1",), True, WARN),
        ("downgrade", ("a1",), False, DENY),
        ("backup", ("a1",), False, WARN),
        ("status", ("a1",), False, WARN),
    ],
)
def test_a_limit_needs_to_be_allowed(purpose: str, play: tuple[str, ...], partial: bool, expected: Verdict) -> None:
    target = "10.5.3" if purpose == "downgrade" else "10.5.5"
    gate = judge(state(), state(), purpose=purpose, target=target, play_agents=play, allow_partial=partial)
    assert verdict(gate, "limit", None) is expected
    assert gate.allowed is (expected is not DENY)
    if play == ("a1",):
        assert "a2" in row(gate, "limit", None).found


@pytest.mark.parametrize(
    ("purpose", "others", "expected"),
    [("upgrade", ("10.5.5", "10.5.5"), PASS), ("upgrade", ("10.5.5", "10.5.4"), WARN), ("downgrade", ("10.5.5", "10.5.5"), WARN)],
)
def test_agents_that_went_before_are_in_step_once_the_rest_follows(purpose: str, others: tuple[str, str], expected: Verdict) -> None:
    """An upgrade may go in two runs; of a way back the version is known, not whether the content came along."""
    states = (state(web="10.5.4" if purpose == "upgrade" else "10.5.6"), *(state(web=web) for web in others))
    gate = judge(*states, purpose=purpose, target="10.5.5", play_agents=("a1",), allow_partial=True)
    assert verdict(gate, "limit", None) is expected
    assert row(gate, "limit", None).found.startswith("left out of this run: a2, a3")


@pytest.mark.parametrize("partial", [True, False])
def test_a_backup_of_a_part_asks_for_the_other_backups(partial: bool) -> None:
    told = row(judge(state(), state(), purpose="backup", play_agents=("a1",), allow_partial=partial), "limit", None)
    assert told.verdict is WARN
    assert told.found == "left out of this run: a2"
    assert told.remedy == "run it for the others too: a restore needs a backup of every agent"


@pytest.mark.parametrize(("purpose", "expected"), [("upgrade", DENY), ("downgrade", DENY), ("backup", WARN), ("status", WARN)])
def test_an_unread_agent_outside_the_run_denies_changes(purpose: str, expected: Verdict) -> None:
    asked = request(purpose, play_agents=("a1",), cluster_agents=("a1", "a2"), allow_partial=True)
    assert verdict(evaluate(asked, [*agents(state()), reading("a2", None, "not in this run")]), "read", "a2") is expected


@pytest.mark.parametrize(("forks", "expected"), [(1, WARN), (2, PASS), (5, PASS), (None, NA)])
def test_fewer_forks_than_agents_warn(forks: int | None, expected: Verdict) -> None:
    gate = judge(state(), state(), forks=forks)
    assert verdict(gate, "forks", None) is expected
    assert gate.allowed


@pytest.mark.parametrize(
    "view",
    [cluster(error="DMS.xml is unreadable"), cluster(None, None)],
    ids=["unreadable DMS.xml", "neither id nor address"],
)
@pytest.mark.parametrize(("purpose", "expected"), [("upgrade", DENY), ("backup", WARN), ("status", WARN)])
def test_without_dms_xml_nobody_knows_who_is_in_the_cluster(view: Any, purpose: str, expected: Verdict) -> None:
    gate = gate_of(within(a1=view), purpose=purpose)
    assert verdict(gate, "dms") is expected


def test_an_agent_of_dms_xml_that_the_inventory_lacks_denies() -> None:
    gate = gate_of(within(a1=cluster(1, "10.0.0.1", ids=(1, 2, 3)), a2=cluster(2, "10.0.0.2", ids=(1, 2, 3))))
    assert verdict(gate, "missing", None) is DENY
    assert row(gate, "missing", None).found == "id 3 10.0.0.3 (DMS.xml of a1, a2)"


def test_an_agent_that_could_not_be_read_is_missing_too() -> None:
    gate = gate_of([*within(a1=cluster(1, "10.0.0.1", ids=(1, 2))), reading("a2", None, "unreachable")])
    assert verdict(gate, "missing", None) is DENY


LEFT_OUT = "run without --limit, or set dataminer_allow_partial; leave the inventory as it is"
TRIED = "make the agent reachable, or see its error; if it left the cluster, take it out of the inventory"
STATUS = "run without --limit to see this agent as well; leave the inventory as it is"


@pytest.mark.parametrize(
    ("purpose", "play", "partial", "remedy"),
    [
        ("upgrade", ("a1",), False, LEFT_OUT),
        ("backup", ("a1",), False, LEFT_OUT),
        ("upgrade", ("a1",), True, TRIED),
        ("upgrade", ("a1", "a2"), False, TRIED),
        ("status", ("a1",), True, STATUS),
        ("status", ("a1", "a2"), False, TRIED),
    ],
)
def test_an_agent_that_a_limit_leaves_out_stays_in_the_inventory(purpose: str, play: tuple[str, ...], partial: bool, remedy: str) -> None:
    asked = request(purpose, play_agents=play, cluster_agents=("a1", "a2"), allow_partial=partial)
    gate = evaluate(asked, [*agents(state()), reading("a2", None, "not in this run (see --limit)")])
    assert row(gate, "read", "a2").remedy == remedy


def test_an_agent_that_was_not_read_may_be_the_missing_one() -> None:
    one = within(a1=cluster(1, "10.0.0.1", ids=(1, 2)))
    told = row(gate_of([*one, reading("a2", None, "unreachable")]), "missing", None)
    assert told.verdict is DENY
    assert told.remedy == "read a2 first: it may be the agent that nobody read. Add an agent to the inventory only if it is another"
    two = row(gate_of([*one, reading("a2", None, "unreachable"), reading("a3", None, "not in this run (see --limit)")]), "missing", None)
    assert two.remedy == "read a2, a3 first: it may be one of the agents that nobody read. Add an agent to the inventory only if it is none of these"
    dumb = row(gate_of([*one, *within(a2=cluster(error="DMS.xml is unreadable"))]), "missing", None)
    assert "a2" in dumb.remedy
    alone = row(gate_of(one), "missing", None).remedy
    assert alone.startswith("add the agent to the inventory, under the same cluster; where it is there, see what dataminer_hosts selects")


def view(number: int, *members: Member, **more: Any) -> Any:
    return cluster(number, f"10.0.0.{number}", members=members, **more)


def test_members_are_matched_by_address_where_an_id_is_unknown() -> None:
    one, other = Member(id=None, address="10.0.0.1"), Member(id=None, address="10.0.0.2")
    gate = gate_of(within(a1=view(1, Member(id=1, address="10.0.0.1"), other), a2=view(2, one, Member(id=2, address="10.0.0.2"))))
    assert verdict(gate, "missing", None) is PASS
    assert verdict(gate, "unlisted", "a1") is PASS


def test_an_entry_without_an_id_is_the_agent_itself_only_once() -> None:
    own = Member(id=None, address="localhost")
    assert verdict(gate_of(within(a1=view(1, own))), "missing", None) is PASS
    stranger = Member(id=None, address="10.0.0.9")
    assert verdict(gate_of(within(a1=view(1, Member(id=1, address="10.0.0.1"), stranger))), "missing", None) is DENY


def test_addresses_compare_without_case() -> None:
    gate = gate_of(within(a1=cluster(None, "DMA1.local", members=(Member(id=None, address="dma1.LOCAL"),))))
    assert verdict(gate, "missing", None) is PASS


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (cluster(1, "10.0.0.1"), cluster(1, "10.0.0.1")),
        (cluster(1, "10.0.0.1"), cluster(1, "10.0.0.2")),
        (cluster(1, "10.0.0.1"), cluster(None, "10.0.0.1")),
        (cluster(1, "10.0.0.1", failover=True), cluster(1, "10.0.0.1", failover=True)),
        (cluster(1, None, failover=True), cluster(1, "10.0.0.2", failover=True)),
    ],
    ids=["same id and address", "same id", "same address", "a pair under one address", "a pair of unknown addresses"],
)
def test_one_agent_under_two_names_denies(first: Any, second: Any) -> None:
    gate = gate_of(within(a1=first, a2=second))
    assert verdict(gate, "doubled", None) is DENY
    assert "a1 and a2" in row(gate, "doubled", None).found


def test_the_machines_of_a_failover_pair_share_an_id_and_warn() -> None:
    gate = gate_of(within(a1=cluster(1, "10.0.0.1", failover=True), a2=cluster(1, "10.0.0.2", failover=True)))
    assert verdict(gate, "doubled", None) is PASS
    assert verdict(gate, "unlisted", "a2") is PASS
    assert verdict(gate, "failover", None) is WARN
    assert "both physical hosts" in row(gate, "failover", None).remedy
    assert "never the virtual IP" in row(gate, "failover", None).remedy


@pytest.mark.parametrize(("partial", "expected"), [(False, DENY), (True, WARN)])
def test_a_machine_of_a_pair_alone_denies(partial: bool, expected: Verdict) -> None:
    gate = gate_of(within(a1=cluster(1, "10.0.0.1", failover=True, twin="10.0.0.101")), allow_partial=partial)
    assert verdict(gate, "failover", None) is expected
    assert "10.0.0.101" in row(gate, "failover", None).found
    assert "both physical hosts" in row(gate, "failover", None).remedy
    assert gate.allowed is partial


def test_the_other_machine_of_a_pair_may_be_one_that_was_not_read() -> None:
    one = within(a1=cluster(1, "10.0.0.1", failover=True, twin="10.0.0.101"))
    told = row(gate_of([*one, reading("a2", None, "unreachable")]), "failover", None)
    assert told.verdict is DENY
    assert told.remedy.startswith("read a2 first: ")


def test_a_whole_pair_only_warns() -> None:
    one, other = (cluster(1, own, failover=True, twin=twin) for own, twin in (("dma1", "DMA2"), ("dma2", "DMA1")))
    gate = gate_of(within(a1=one, a2=other))
    assert verdict(gate, "failover", None) is WARN
    assert gate.allowed, gate.denials


def test_a_pair_whose_other_machine_is_not_known_only_warns() -> None:
    gate = gate_of(within(a1=cluster(1, "10.0.0.1", failover=True)))
    assert verdict(gate, "failover", None) is WARN
    assert "not known" in row(gate, "failover", None).found


def test_an_agent_that_the_others_do_not_list_denies() -> None:
    gate = gate_of(within(a1=cluster(1, "10.0.0.1", ids=(1, 2)), a2=cluster(2, "10.0.0.2", ids=(1, 2)), a3=cluster(3, "10.0.0.3", ids=(1, 2, 3))))
    assert verdict(gate, "unlisted", "a3") is DENY
    assert row(gate, "unlisted", "a3").found == "not in the DMS.xml of a1, a2"
    assert verdict(gate, "unlisted", "a1") is PASS


IN_STEP = [
    (("10.5.4", "10.5.4"), PASS, PASS),
    (("10.5.4.0-15588", "10.5.4"), PASS, PASS),
    (("10.5.4", "10.5.3"), DENY, WARN),
    (("10.5.4.0-15588", "10.5.4.0-15600"), DENY, WARN),
    (("10.5.4", "10.5.0 [CU1]"), DENY, WARN),
    (("10.5.0.0-15001", "10.5.0 [CU1]"), WARN, WARN),
    (("10.5.4", "10.5.4", "10.5.5"), DENY, WARN),
    (("10.5.4", None), PASS, PASS),
    ((None,), NA, NA),
]


@pytest.mark.parametrize(("versions", "server", "web"), IN_STEP)
def test_one_server_version_and_one_web_version(versions: tuple[str | None, ...], server: Verdict, web: Verdict) -> None:
    gate = judge(*(state(server=text) for text in versions))
    assert verdict(gate, "same-server", None) is server
    assert verdict(judge(*(state(web=text) for text in versions)), "same-version", None) is web
    for text, name in zip(versions, ("a1", "a2", "a3"), strict=False):
        assert text is None or f"{name}: " in row(gate, "same-server", None).found


READ_ONLY = "install one package on all agents: run upgrade_web.yml or downgrade_restore.yml for the whole cluster"
ALL = "expect this run to bring all agents to one web version"
SOME = "expect this run to bring its own agents to one web version, and run it for the others too"


@pytest.mark.parametrize(
    ("purpose", "play", "told"),
    [
        ("status", ("a1", "a2"), READ_ONLY),
        ("backup", ("a1", "a2"), READ_ONLY),
        ("backup", ("a1",), READ_ONLY),
        ("upgrade", ("a1", "a2"), ALL),
        ("downgrade", ("a1", "a2"), ALL),
        ("upgrade", ("a1",), SOME),
    ],
)
def test_only_a_run_that_changes_something_promises_one_web_version(purpose: str, play: tuple[str, ...], told: str) -> None:
    found = row(judge(state(), state(web="10.5.3"), purpose=purpose, play_agents=play, allow_partial=True), "same-version", None)
    assert (found.verdict, found.remedy) == (WARN, f"{told}; where a version was misread, set dataminer_web_version")


@pytest.mark.parametrize(("purpose", "told"), [("status", "set dataminer_web_version"), ("backup", "set dataminer_web_version"), ("upgrade", ALL)])
def test_what_can_not_be_told_for_want_of_a_cu_is_to_be_stated(purpose: str, told: str) -> None:
    found = row(judge(state(web="10.5.0.0-15001"), state(web="10.5.0 [CU1]"), purpose=purpose), "same-version", None)
    assert (found.verdict, found.remedy.startswith(told)) == (WARN, True)


@pytest.mark.parametrize("purpose", ["backup", "status"])
def test_differing_servers_only_warn_where_nothing_changes(purpose: str) -> None:
    assert verdict(judge(state(), state(server="10.5.3"), purpose=purpose), "same-server", None) is WARN


@pytest.mark.parametrize("purpose", ["upgrade", "downgrade"])
@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ((None, None), NA),
        (("C:\\a\\x.dmupgrade", "D:\\b\\X.dmupgrade"), PASS),
        (("C:\\a\\x.dmupgrade", "/a/x.dmupgrade"), PASS),
        (("C:\\a\\x.dmupgrade", "C:\\a\\y.dmupgrade"), DENY),
        (("C:\\a\\x.dmupgrade", None), PASS),
    ],
)
def test_all_agents_get_one_package(purpose: str, paths: tuple[str | None, ...], expected: Verdict) -> None:
    states = [state(package_file=None if path is None else PackageFile(path=path, size=1)) for path in paths]
    version = "10.5.5" if purpose == "upgrade" else "10.5.3"
    gate = judge(*states, purpose=purpose, target=version, package=package(f"{version}.0-1"))
    assert verdict(gate, "one-package", None) is expected
    assert gate.allowed is (expected is not DENY)
    if expected is DENY:
        assert row(gate, "one-package", None).found == "a1: x.dmupgrade; a2: y.dmupgrade"


def test_the_package_of_an_agent_outside_the_run_is_its_own() -> None:
    one, other = (state(package_file=PackageFile(path=path, size=1)) for path in ("x.dmupgrade", "y.dmupgrade"))
    assert verdict(judge(one, other, play_agents=("a1",), allow_partial=True), "one-package", None) is PASS


def clocks(*off: tuple[float, float | None]) -> list[Reading]:
    """Agents whose clock is off by so many seconds, scanned so many seconds from now by the controller's."""
    readings: list[Reading] = []
    for one, (ahead, at) in zip(agents(*(state() for _ in off)), off, strict=True):
        scanned = None if at is None else NOW + timedelta(seconds=at)
        told: AgentState = replace(one.state or state(), utc=NOW + timedelta(seconds=(at or 0) + ahead))
        readings.append(replace(one, state=told, scanned_at=scanned))
    return readings


@pytest.mark.parametrize(
    ("off", "expected"),
    [
        (((0, 0), (0, 300)), PASS),
        (((0, 0), (60, 0)), PASS),
        (((0, 0), (61, 0)), WARN),
        (((-40, 0), (40, 500)), WARN),
        (((3600, 0), (3600, 9)), PASS),
        (((0, 0), (500, None)), NA),
        (((500, 0),), NA),
    ],
)
def test_clocks_are_compared_at_the_moment_of_each_scan(off: tuple[tuple[float, float | None], ...], expected: Verdict) -> None:
    gate = gate_of(clocks(*off))
    assert verdict(gate, "clock", None) is expected
    assert gate.allowed


def test_the_clock_difference_is_told_and_its_limit_can_be_set() -> None:
    assert row(gate_of(clocks((0, 0), (90, 0))), "clock", None).found == "a2 is 90 s ahead of a1"
    assert verdict(gate_of(clocks((0, 0), (90, 0)), clock_skew_seconds=90), "clock", None) is PASS
