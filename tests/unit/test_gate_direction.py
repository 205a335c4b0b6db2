"""Where a change goes, which purposes allow it, and the shape of the gate's answer."""

from __future__ import annotations

import json

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.errors import InvalidInput
from ansible_collections.dataminer.web.plugins.module_utils.gate import AGENT_RULES, WHOLE_RULES, Direction, Request, Verdict, evaluate
from ansible_collections.dataminer.web.plugins.module_utils.gate_checks import direction_of
from gate_agents import V, agents, judge, package, reading, request, row, state, verdict

PASS, WARN, DENY, NA = Verdict.PASS, Verdict.WARN, Verdict.DENY, Verdict.NOT_APPLICABLE
UP, RE, DOWN, UNKNOWN = Direction.UPGRADE, Direction.REINSTALL, Direction.DOWNGRADE, Direction.UNKNOWN

DIRECTIONS = [
    ("10.5.4", "10.5.5", UP),
    ("10.5.5", "10.5.4", DOWN),
    ("10.5.4", "10.5.4 (CU0)", RE),
    ("10.5.4", "10.5.4 (CU1)", UP),
    ("10.5.4.0-15588", "10.5.4.0-15600", UP),
    ("10.5.4.0-15600", "10.5.4.0-15588", DOWN),
    ("10.5.4", "10.5.0 [CU9]", UP),
    ("10.5.0 [CU9]", "10.5.4", DOWN),
    ("10.5.4", "10.5.0 [CU1]", RE),
    ("10.4.0 [CU13]", "10.5.4", RE),
    ("10.4.0 [CU21]", "10.5.0 [CU0]", DOWN),
    ("10.4.0 [CU4]", "10.4.0 [CU5]", UP),
    ("10.4.0.0-14772", "10.4.0.0-15634", UP),
    ("10.4.0.0-14772", "10.4.0", UNKNOWN),
    ("10.4.0", "10.4.0", UNKNOWN),
    ("10.4.0", "10.4.0 [CU21]", UNKNOWN),
    ("10.4.0", "10.5.4", UNKNOWN),
    ("10.5.4", "10.6.0", UP),
    ("10.6.0", "10.5.4", DOWN),
    ("10.3.5", "10.3.6", UP),
    ("10.2.5", "10.3.0 [CU1]", UP),
    ("10.3.11", "10.3.0 [CU8]", UNKNOWN),
    ("10.3.0 [CU20]", "10.4.0 [CU0]", UNKNOWN),
    ("10.3.9", "10.3.9-CU2", UP),
    ("10.5.4", "11.0.1", UP),
]


@pytest.mark.parametrize(("web", "target", "expected"), DIRECTIONS)
def test_the_direction_goes_by_content(web: str, target: str, expected: Direction) -> None:
    assert direction_of(V(web), V(target)) is expected
    assert judge(state(web=web), target=target).directions == {"a1": expected}


def test_without_a_version_there_is_no_direction() -> None:
    assert direction_of(None, V("10.5.4")) is UNKNOWN
    assert direction_of(V("10.5.4"), None) is UNKNOWN


PURPOSES = [
    ("upgrade", "10.5.4", PASS),
    ("upgrade", "10.5.5", PASS),
    ("upgrade", "10.5.6", DENY),
    ("upgrade", "10.5.0 [CU9]", DENY),
    ("upgrade", "10.5.0.0-15000", WARN),
    ("downgrade", "10.5.6", PASS),
    ("downgrade", "10.5.5", WARN),
    ("downgrade", "10.5.4", DENY),
    ("downgrade", "10.5.0.0-15000", WARN),
]


@pytest.mark.parametrize(("purpose", "web", "expected"), PURPOSES)
def test_an_upgrade_goes_forward_and_a_restore_back_or_nowhere(purpose: str, web: str, expected: Verdict) -> None:
    gate = judge(state(server="10.5.6", web=web), purpose=purpose, target="10.5.5", package=package() if purpose == "downgrade" else None)
    assert verdict(gate, "direction") is expected
    assert gate.allowed is (expected is not DENY)


def test_a_denied_direction_names_the_other_playbook() -> None:
    assert "downgrade_restore.yml" in row(judge(state(web="10.5.6")), "direction").remedy
    assert "upgrade_web.yml" in row(judge(state(web="10.5.3"), purpose="downgrade"), "direction").remedy


def test_content_does_not_go_back_before_the_software_does() -> None:
    """Content restored under newer web apps is migrated again."""
    denied = row(judge(state(web="10.5.9"), purpose="downgrade", target="10.5.6"), "direction")
    assert denied.verdict is DENY
    assert "no package is named" in denied.found
    assert "migrated again" in denied.remedy
    older = package("10.5.6.0-15848")
    assert verdict(judge(state(web="10.5.9"), purpose="downgrade", target="10.5.6", package=older), "direction") is PASS
    assert verdict(judge(state(web="10.5.6"), purpose="downgrade", target="10.5.6"), "direction") is WARN


STEPS = [
    ("10.6.4", "10.5.4", PASS),
    ("10.6.4", "10.4.4", WARN),
    ("10.5.4", "10.5.3", PASS),
    ("11.0.1", "10.6.4", WARN),
    ("10.5.3", "10.5.4", NA),
]


@pytest.mark.parametrize(("web", "target", "expected"), STEPS)
def test_going_back_over_several_major_versions_goes_step_by_step(web: str, target: str, expected: Verdict) -> None:
    assert verdict(judge(state(web=web), purpose="downgrade", target=target), "step-by-step") is expected


def test_a_downgrade_takes_new_functions_away() -> None:
    told = row(judge(state(server="10.6.1", web="10.6.4"), purpose="downgrade", target="10.5.4"), "core-features")
    assert told.verdict is WARN
    assert "no longer available" in told.remedy
    assert told.found == "web 10.6.4 (CU0), target 10.5.4 (CU0), server 10.6.1 (CU0)"


def test_a_target_is_told_from_what_is_installed() -> None:
    assert row(judge(state(server="10.5.4", web="10.5.4"), target="10.5.6"), "core-features").found == "target 10.5.6 (CU0), server 10.5.4 (CU0)"
    status = judge(state(server="10.5.4", web="10.5.6"), purpose="status", target=None)
    assert row(status, "core-features").found == "web 10.5.6 (CU0), server 10.5.4 (CU0)"


@pytest.mark.parametrize(("web", "expected"), [("10.5.5", WARN), ("10.5.4", PASS)])
def test_a_status_tells_that_the_web_is_newer_than_the_server(web: str, expected: Verdict) -> None:
    assert verdict(judge(state(server="10.5.4", web=web), purpose="status", target=None), "core-features") is expected


def test_a_fine_cluster_is_allowed_to_upgrade() -> None:
    gate = judge(state(), state(), package=package())
    assert gate.allowed, gate.denials
    assert gate.agents == ("a1", "a2")
    assert gate.directions == {"a1": UP, "a2": UP}


@pytest.mark.parametrize("purpose", ["backup", "status"])
def test_backup_and_status_need_no_target(purpose: str) -> None:
    gate = judge(state(), purpose=purpose, target=None)
    assert gate.allowed, gate.denials
    assert not {"kind", "direction", "baseline-10.5", "dotnet-10", "gqi-newtonsoft"} & {one.rule for one in gate.rows}


def test_a_status_never_denies_but_for_what_was_not_read_and_what_broke_off() -> None:
    bad = state(server=None, web=None, root_exists=False, language_mode="ConstrainedLanguage", errors=("x",))
    assert judge(bad, state(server="10.6.1"), purpose="status", target=None).allowed
    gate = evaluate(request("status", None), [reading("a1", None, "unreachable")])
    assert [one.rule for one in gate.denials] == ["read"]
    broken_off = judge(state(journals=(("c1", "swapped"),)), purpose="status", target=None)
    assert [one.rule for one in broken_off.denials] == ["journal"]


def test_rows_come_in_a_fixed_order_the_clusters_first() -> None:
    readings = agents(state(), state(web="10.5.3"), state())
    asked = request(names=("a3", "a1", "a2"))
    gate = evaluate(asked, readings)
    assert gate.rows == evaluate(asked, list(reversed(readings))).rows
    whole = [one.agent for one in gate.rows]
    first = whole.index("a1")
    assert first > 0
    assert whole[:first] == [None] * first
    assert None not in whole[first:]
    assert [name for name in whole if name] == sorted(name for name in whole if name)
    order = [rule.id for rule in (*WHOLE_RULES, *AGENT_RULES)]
    for agent in (None, "a1", "a2", "a3"):
        rules = [one.rule for one in gate.rows if one.agent == agent]
        assert rules == sorted(rules, key=order.index)


def test_the_answer_is_plain_json_and_says_the_same() -> None:
    gate = judge(state(), state(web=None), package=package())
    result = json.loads(json.dumps(gate.to_result()))
    assert result == gate.to_result()
    assert result["allowed"] is False
    assert result["target"] == "10.5.5.0-15700"
    assert result["package"] == "DataMiner 10.5.5.0-15700 Web Upgrade.dmupgrade"
    assert result["agents"] == ["a1", "a2"]
    assert result["directions"] == {"a1": "upgrade", "a2": "unknown"}
    denied = [one for one in result["rows"] if one["verdict"] == "deny"]
    assert [(one["rule"], one["agent"]) for one in denied] == [("web-version", "a2")]
    assert set(denied[0]) == {"rule", "agent", "verdict", "found", "required", "source", "remedy"}


def test_every_warning_and_denial_says_what_to_do() -> None:
    bad = state(
        server="10.2.1",
        web="10.6.6",
        root_exists=False,
        language_mode="NoLanguage",
        journals=(("c1", "swapped"),),
        errors=("DMS.xml: denied",),
        host={"pending_reboot": ("x",), "installer_busy": True, "upgrade_running": True, "runtimes": ()},
        disks={},
    )
    gates = [judge(bad, state(), purpose=purpose, target="10.6.5", forks=1) for purpose in ("upgrade", "downgrade", "backup", "status")]
    for one in (one for gate in gates for one in gate.rows):
        assert one.found
        assert one.required
        assert one.source
        assert one.remedy or one.verdict in (PASS, NA), one


def test_every_rule_has_an_id_of_its_own() -> None:
    ids = [rule.id for rule in (*WHOLE_RULES, *AGENT_RULES)]
    assert len(set(ids)) == len(ids)


def test_a_purpose_nobody_knows_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'install'"):
        Request(purpose="install")
