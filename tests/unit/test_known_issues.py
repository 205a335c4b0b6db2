"""Known defects of the vendor's releases: when the gate warns of them, each by its release note."""

from __future__ import annotations

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.gate import Verdict
from ansible_collections.dataminer.web.plugins.module_utils.known_issues import INSTALL_WAIT_MINUTES, KNOWN_ISSUES
from gate_agents import judge, row, state, verdict

PASS, WARN = Verdict.PASS, Verdict.WARN

# each row: installed web, target, expected
NEWTONSOFT = [
    ("10.5.0 [CU0]", "10.5.0 [CU1]", WARN),
    ("10.5.2", "10.5.4", WARN),
    ("10.5.3", "10.5.4", WARN),
    ("10.5.3", "10.5.12", WARN),
    ("10.5.3", "10.6.0 [CU0]", WARN),
    ("10.5.3", "10.6.0 [CU2]", WARN),
    ("10.5.3", "10.6.0 [CU3]", PASS),
    ("10.5.3", "10.6.5", WARN),
    ("10.5.3", "10.6.6", PASS),
    ("10.5.3", "10.6.7", PASS),
    ("10.5.0 [CU0]", "10.5.0 [CU14]", WARN),
    ("10.5.0 [CU0]", "10.5.0 [CU15]", PASS),
    ("10.5.0 [CU0]", "10.5.0 [CU0]", PASS),
    ("10.5.2", "10.5.3", PASS),
    ("10.5.1", "10.5.4", PASS),
    ("10.5.4", "10.5.5", PASS),
    ("10.5.0 [CU1]", "10.5.0 [CU2]", PASS),
    ("10.4.0 [CU11]", "10.5.4", PASS),
    ("10.5.0.0-15000", "10.5.5", WARN),
    ("10.5.3", "10.5.0.0-15000", WARN),
    ("10.5.3", "10.7.0", PASS),
]


@pytest.mark.parametrize(("web", "target", "expected"), NEWTONSOFT)
def test_rn_45146_a_direct_upgrade_leaves_the_gqi_dxm_without_newtonsoft_json(web: str, target: str, expected: Verdict) -> None:
    gate = judge(state(server="10.6.1", web=web), target=target)
    assert verdict(gate, "gqi-newtonsoft") is expected
    assert ("repair the MSI" in row(gate, "gqi-newtonsoft").remedy) is (expected is WARN)


def test_rn_45146_is_of_upgrades_only() -> None:
    gate = judge(state(web="10.5.3"), target="10.5.2", purpose="downgrade")
    assert verdict(gate, "gqi-newtonsoft") is PASS


FOLDER = [
    ("10.4.0 [CU19]", "10.5.4", WARN),
    ("10.4.0 [CU20]", "10.5.4", PASS),
    ("10.4.0 [CU21]", "10.5.4", PASS),
    ("10.4.0.0-14772", "10.5.4", WARN),
    ("10.4.12", "10.5.0 [CU1]", WARN),
    ("10.4.0 [CU19]", "10.4.1", PASS),
    ("10.5.0", "10.5.4", PASS),
    ("10.3.12", "10.4.1", PASS),
]


@pytest.mark.parametrize(("server", "target", "expected"), FOLDER)
def test_rn_43676_a_later_10_4_full_upgrade_fails_after_a_10_5_web_upgrade(server: str, target: str, expected: Verdict) -> None:
    gate = judge(state(server=server, web="10.3.12"), target=target)
    assert verdict(gate, "full-after-web") is expected
    assert ("10.4.0 [CU20]" in row(gate, "full-after-web").remedy) is (expected is WARN)


MIGRATION = [
    ("10.6.2", PASS),
    ("10.6.3", WARN),
    ("10.6.3.0-18000", WARN),
    ("10.6.4", PASS),
    ("10.5.0 [CU11]", PASS),
    ("10.5.0 [CU12]", WARN),
    ("10.5.0 [CU13]", PASS),
    ("10.6.0 [CU0]", WARN),
    ("10.6.0 [CU1]", PASS),
    ("10.5.0.0-15000", WARN),
    ("10.5.12", PASS),
    ("10.4.0 [CU24]", PASS),
]


@pytest.mark.parametrize(("target", "expected"), MIGRATION)
@pytest.mark.parametrize(("issue", "source"), [("timeline-highlight", "RN 45060"), ("themes-dropped", "RN 44930")])
def test_rn_45060_and_rn_44930_the_migration_of_one_release(target: str, expected: Verdict, issue: str, source: str) -> None:
    gate = judge(state(server="10.5.4", web="10.4.4"), target=target)
    assert verdict(gate, issue) is expected
    assert row(gate, issue).source == source


def test_rn_45060_is_of_upgrades_only() -> None:
    gate = judge(state(web="10.6.5"), target="10.6.3", purpose="downgrade")
    assert verdict(gate, "timeline-highlight") is PASS


DOTNET = [
    ("10.6.4", "10.6.5", "upgrade", WARN),
    ("10.6.5", "10.6.4", "downgrade", WARN),
    ("10.5.0 [CU13]", "10.5.0 [CU14]", "upgrade", WARN),
    ("10.6.4", "10.6.4", "upgrade", PASS),
    ("10.6.5", "10.6.6", "upgrade", PASS),
    ("10.5.4", "10.5.5", "upgrade", PASS),
    ("10.6.5", "10.5.1", "downgrade", PASS),
    ("10.5.0.0-15000", "10.6.5", "upgrade", WARN),
    (None, "10.6.5", "upgrade", WARN),
    (None, "10.5.1", "upgrade", PASS),
]


@pytest.mark.parametrize(("web", "target", "purpose", "expected"), DOTNET)
def test_a_change_of_dotnet_may_need_a_reboot(web: str | None, target: str, purpose: str, expected: Verdict) -> None:
    assert verdict(judge(state(server="10.6.1", web=web), target=target, purpose=purpose), "dotnet-reboot") is expected


def test_a_change_of_dotnet_is_only_possible_where_a_cu_is_unknown() -> None:
    assert "may be affected" in row(judge(state(server="10.6.1", web="10.5.0.0-15000"), target="10.6.5"), "dotnet-reboot").found
    assert "may be affected" not in row(judge(state(server="10.6.1", web="10.6.4"), target="10.6.5"), "dotnet-reboot").found


@pytest.mark.parametrize(("minutes", "expected"), [(None, PASS), (INSTALL_WAIT_MINUTES - 1, WARN), (INSTALL_WAIT_MINUTES, PASS), (60, PASS)])
def test_rn_42659_the_module_installer_takes_its_time(minutes: int | None, expected: Verdict) -> None:
    assert verdict(judge(state(), install_wait_minutes=minutes), "slow-installer") is expected


def test_an_issue_is_a_warning_and_never_a_denial() -> None:
    gate = judge(state(server="10.5.4", web="10.5.3"), target="10.6.3", install_wait_minutes=1)
    mine = [row(gate, issue.id) for issue in KNOWN_ISSUES]
    assert {one.verdict for one in mine} == {PASS, WARN}
    assert gate.allowed


def test_what_depends_on_an_unstated_cu_only_may_apply() -> None:
    told = row(judge(state(web="10.5.0.0-15000"), target="10.5.5"), "gqi-newtonsoft")
    assert "may be affected" in told.found
    sure = row(judge(state(web="10.5.3"), target="10.5.5"), "gqi-newtonsoft")
    assert "may" not in sure.found
