"""The gate's rules by version and package, each named by its source, and what becomes of their findings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.agent import VersionFact
from ansible_collections.dataminer.web.plugins.module_utils.gate import Verdict
from gate_agents import V, history, installed, job, judge, package, row, state, verdict, version_fact

PASS, WARN, DENY, NA = Verdict.PASS, Verdict.WARN, Verdict.DENY, Verdict.NOT_APPLICABLE

# (rule, source, server, target, verdict): just below, at, and above each threshold, on both tracks and on a newer branch
BY_SERVER = [
    ("separate", "docs", "10.3.2", "10.4.1", DENY),
    ("separate", "docs", "10.3.3", "10.4.1", PASS),
    ("separate", "docs", "10.3.4", "10.4.1", PASS),
    ("separate", "docs", "10.2.0 [CU20]", "10.4.1", DENY),
    ("separate", "docs", "10.2.12", "10.4.1", DENY),
    ("separate", "docs", "10.3.0 [CU0]", "10.4.1", PASS),
    ("separate", "docs", "10.3.0.0-12752", "10.4.1", PASS),
    ("separate", "docs", "10.4.0", "10.4.1", PASS),
    ("baseline-10.5", "RN 41395", "10.3.12", "10.5.4", DENY),
    ("baseline-10.5", "RN 41395", "10.3.0 [CU21]", "10.5.4", DENY),
    ("baseline-10.5", "RN 41395", "10.4.0 [CU0]", "10.5.4", PASS),
    ("baseline-10.5", "RN 41395", "10.4.0.0-14772", "10.5.0 [CU9]", PASS),
    ("baseline-10.5", "RN 41395", "10.4.1", "10.5.4", PASS),
    ("baseline-10.5", "RN 41395", "10.4.12", "10.5.0", PASS),
    ("baseline-10.5", "RN 41395", "10.6.0", "10.5.4", PASS),
    ("baseline-10.5", "RN 41395", "10.3.12", "10.4.4", NA),
    ("baseline-10.5", "RN 41395", "10.3.12", "10.6.1", NA),
    ("baseline-10.6", "RN 44103", "10.4.12", "10.6.1", DENY),
    ("baseline-10.6", "RN 44103", "10.4.0 [CU24]", "10.6.0 [CU1]", DENY),
    ("baseline-10.6", "RN 44103", "10.5.0 [CU0]", "10.6.1", PASS),
    ("baseline-10.6", "RN 44103", "10.5.0", "10.6.0", PASS),
    ("baseline-10.6", "RN 44103", "10.5.1", "10.6.1", PASS),
    ("baseline-10.6", "RN 44103", "10.6.2", "10.6.3", PASS),
    ("baseline-10.6", "RN 44103", "10.4.12", "10.5.4", NA),
    ("baseline-next", "docs", "10.5.12", "10.7.1", DENY),
    ("baseline-next", "docs", "10.5.0 [CU14]", "10.7.0", DENY),
    ("baseline-next", "docs", "10.6.0", "10.7.1", PASS),
    ("baseline-next", "docs", "10.6.1", "10.7.0", PASS),
    ("baseline-next", "docs", "10.8.12", "10.10.1", DENY),
    ("baseline-next", "docs", "10.9.1", "10.10.1", PASS),
    ("baseline-next", "docs", "10.3.3", "10.4.1", NA),
    ("baseline-next", "docs", "10.3.3", "10.6.1", NA),
    ("baseline-next", "docs", "10.9.1", "11.0.1", WARN),
    ("web-dcm", "RN 43439", "10.4.0 [CU20]", "10.5.11", WARN),
    ("web-dcm", "RN 43439", "10.4.12", "10.5.0 [CU8]", WARN),
    ("web-dcm", "RN 43439", "10.4.12", "10.5.0.0-15000", WARN),
    ("web-dcm", "RN 43439", "10.5.0", "10.5.11", PASS),
    ("web-dcm", "RN 43439", "10.5.1", "10.5.12", PASS),
    ("web-dcm", "RN 43439", "10.4.12", "10.5.10", NA),
    ("web-dcm", "RN 43439", "10.4.12", "10.5.0 [CU7]", NA),
    ("web-dcm", "RN 43439", "10.4.12", "10.4.0 [CU20]", NA),
    ("core-features", "docs", "10.5.4", "10.5.5", WARN),
    ("core-features", "docs", "10.5.5", "10.5.5", PASS),
    ("core-features", "docs", "10.5.6", "10.5.5", PASS),
    ("core-features", "docs", "10.5.5", "10.5.0 [CU2]", PASS),
    ("core-features", "docs", "10.5.4", "10.5.0 [CU9]", WARN),
    ("core-features", "docs", "10.4.0.0-14772", "10.5.4", WARN),
]


@pytest.mark.parametrize(
    ("rule", "server", "target", "expected"), [pytest.param(rule, s, t, v, id=f"{rule} ({src}): {t} on {s}") for rule, src, s, t, v in BY_SERVER]
)
def test_rules_by_server_and_target(rule: str, server: str, target: str, expected: Verdict) -> None:
    gate = judge(state(server=server, web="10.3.12"), target=target)
    assert verdict(gate, rule) is expected
    assert gate.allowed is (not gate.denials)
    assert expected is not DENY or not gate.allowed


def test_a_web_upgrade_to_10_5_11_is_allowed_on_a_10_4_server_rn_43439() -> None:
    assert judge(state(server="10.4.0 [CU20]", web="10.5.9"), target="10.5.11", package=package("10.5.11.0-16000")).allowed


# each row: rule, source, target, installed runtimes, expected verdict
BY_RUNTIME = [
    ("dotnet-10", "RN 44906", "10.6.4", ("8.0.11",), NA),
    ("dotnet-10", "RN 44906", "10.6.5", ("8.0.11",), DENY),
    ("dotnet-10", "RN 44906", "10.6.6", ("8.0.11",), DENY),
    ("dotnet-10", "RN 44906", "10.6.5", ("8.0.11", "10.0.1"), PASS),
    ("dotnet-10", "RN 44906", "10.6.5", (), DENY),
    ("dotnet-10", "RN 44906", "10.6.5", ("8.0.10", "8.10.0"), DENY),
    ("dotnet-10", "RN 44906", "10.6.5", ("Microsoft.AspNetCore.App 10.0.1",), PASS),
    ("dotnet-10", "RN 44906", "10.6.0 [CU2]", ("8.0.11",), NA),
    ("dotnet-10", "RN 44906", "10.5.0 [CU14]", ("8.0.11",), NA),
    ("dotnet-10", "RN 44906", "10.6.0 [CU20]", ("8.0.11",), NA),
    ("dotnet-10", "RN 44906", "10.7.0 [CU0]", ("8.0.11",), DENY),
    ("dotnet-10", "RN 44906", "10.7.0", ("8.0.11",), DENY),
    ("dotnet-10", "RN 44906", "10.8.0", ("8.0.11",), DENY),
    ("dotnet-modules", "RN 44800", "10.5.0 [CU13]", ("10.0.1",), WARN),
    ("dotnet-modules", "RN 44800", "10.5.0 [CU13]", ("8.0.11",), PASS),
    ("dotnet-modules", "RN 44800", "10.5.0 [CU14]", ("8.0.11",), WARN),
    ("dotnet-modules", "RN 44800", "10.5.0 [CU14]", ("10.0.1",), PASS),
    ("dotnet-modules", "RN 44820", "10.6.0 [CU1]", ("8.0.11",), PASS),
    ("dotnet-modules", "RN 44820", "10.6.0 [CU2]", ("8.0.11",), WARN),
    ("dotnet-modules", "RN 44820", "10.6.4", ("8.0.11",), PASS),
    ("dotnet-modules", "RN 44820", "10.6.4", ("10.0.1",), WARN),
    ("dotnet-modules", "RN 44820", "10.6.5", ("8.0.11",), WARN),
    ("dotnet-modules", "RN 44820", "10.7.0", ("8.0.11",), WARN),
    ("dotnet-modules", "RN 44820", "10.5.0.0-15000", ("8.0.11",), WARN),
    ("dotnet-modules", "docs", "10.5.1", (), NA),
    ("dotnet-modules", "docs", "10.4.0 [CU21]", (), NA),
]


@pytest.mark.parametrize(
    ("rule", "target", "runtimes", "expected"), [pytest.param(r, t, rt, v, id=f"{r} ({s}): {t} with {','.join(rt)}") for r, s, t, rt, v in BY_RUNTIME]
)
@pytest.mark.parametrize(("purpose", "web"), [("upgrade", "10.4.1"), ("downgrade", "10.9.1")])
def test_rules_by_runtime_in_both_directions(purpose: str, web: str, rule: str, target: str, runtimes: tuple[str, ...], expected: Verdict) -> None:
    gate = judge(state(server="10.7.1", web=web, host={"runtimes": runtimes}), target=target, purpose=purpose)
    assert verdict(gate, rule) is expected
    if expected is DENY:
        assert "install the .NET 10 hosting bundle" in row(gate, rule).remedy
        assert row(gate, rule).required == f".NET 10 for {V(target)}"


def test_unread_runtimes_warn() -> None:
    gate = judge(replace(state(server="10.6.1"), host=None), target="10.6.5")
    for rule in ("dotnet-10", "dotnet-modules"):
        assert verdict(gate, rule) is WARN
        assert ".NET 10 hosting bundle" in row(gate, rule).remedy
        assert "nobody looked, so this only warns" in row(gate, rule).remedy


def test_a_runtime_that_is_there_says_which_part_of_the_bundle_was_read() -> None:
    gate = judge(state(server="10.6.1", host={"runtimes": ("10.0.1",)}), target="10.6.5")
    assert "Microsoft.NETCore.App is read, Microsoft.AspNetCore.App isn't" in row(gate, "dotnet-10").found


def test_a_runtime_that_is_known_better_goes_before_the_rule() -> None:
    only_8 = state(host={"runtimes": ("8.0.1",)})
    assert verdict(judge(only_8, target="10.5.5", target_runtime=10), "dotnet-modules") is WARN
    assert verdict(judge(only_8, target="10.5.5"), "dotnet-modules") is PASS
    assert verdict(judge(state(server="10.6.1", host={"runtimes": ("8.0.1",)}), target="10.6.5", target_runtime=8), "dotnet-10") is DENY


MODULES = [
    ("gqi", "RN 39145, 41811", {"10.5.1": False, "10.5.2": True, "10.4.0 [CU21]": False, "10.5.0": True, "10.6.0": True}),
    ("dcm", "RN 43439", {"10.5.10": False, "10.5.11": True, "10.5.0 [CU7]": False, "10.5.0 [CU8]": True, "10.4.0 [CU20]": False, "10.6.0": True}),
    ("assistant", "RN 44291, 44441", {"10.6.1": False, "10.6.2": True, "10.6.0 [CU9]": False, "10.7.0": True}),
    ("maps", "RN 45521", {"10.6.6": False, "10.6.7": True, "10.6.0 [CU9]": False, "10.7.0": True}),
]


@pytest.mark.parametrize(
    ("rule", "target", "part"),
    [pytest.param(rule, t, part, id=f"{rule} ({source}): {t}") for rule, source, rows in MODULES for t, part in rows.items()],
)
def test_modules_of_a_package_are_news(rule: str, target: str, part: bool) -> None:
    told = row(judge(state(), target=target), rule, None)
    assert told.verdict is PASS
    assert told.found.startswith("is part of" if part else "is no part of")


def test_a_module_that_depends_on_an_unknown_cu_says_so() -> None:
    assert "may be part of" in row(judge(state(), target="10.5.0"), "dcm", None).found


def test_the_assistant_is_reported_and_left_alone_rn_44441() -> None:
    assert "never downgraded" in row(judge(state(), target="10.6.4"), "assistant", None).found


@pytest.mark.parametrize(
    ("target", "folders"), [("10.4.1", {"Jobs", "Ticketing"}), ("10.5.1", {"Ticketing"}), ("10.6.1", {"Ticketing"}), ("10.6.2", set())]
)
@pytest.mark.parametrize(("gateway", "said"), [(None, "if there is one: "), (True, "")])
def test_a_dashboard_gateway_is_refreshed_by_hand(target: str, folders: set[str], gateway: bool | None, said: str) -> None:
    told = row(judge(state(), target=target, dashboard_gateway=gateway), "dashboard-gateway", None)
    assert told.verdict is WARN
    assert told.remedy.startswith(f"{said}afterwards, copy these folders of Webpages")
    assert {name for name in ("Jobs", "Ticketing") if name in told.remedy} == folders
    assert "API (keep its web.config), App, Auth, Dashboard, Monitoring, SharedComponents" in told.remedy
    assert told.remedy.endswith("if there is none, set dataminer_dashboard_gateway to false") == (gateway is None)


def test_without_a_dashboard_gateway_there_is_nothing_to_say() -> None:
    assert verdict(judge(state(), dashboard_gateway=False), "dashboard-gateway", None) is NA


@pytest.mark.parametrize("purpose", ["upgrade", "downgrade", "backup", "status"])
def test_a_daas_system_is_refused_clearly(purpose: str) -> None:
    gate = judge(state(), purpose=purpose, daas=True)
    assert verdict(gate, "daas", None) is DENY
    assert verdict(judge(state(), purpose=purpose), "daas", None) is PASS


@pytest.mark.parametrize(("kind", "expected"), [("Web", PASS), ("Full", DENY), ("Cube", DENY)])
@pytest.mark.parametrize(("purpose", "web"), [("upgrade", "10.5.4"), ("downgrade", "10.5.6")])
def test_only_web_packages(kind: str, expected: Verdict, purpose: str, web: str) -> None:
    gate = judge(state(web=web), package=package(kind=kind), purpose=purpose)
    assert verdict(gate, "kind", None) is expected
    assert gate.allowed is (expected is PASS)


@pytest.mark.parametrize(
    ("purpose", "known", "expected"), [("upgrade", True, DENY), ("upgrade", False, WARN), ("downgrade", True, NA), ("downgrade", False, WARN)]
)
def test_without_a_package_its_kind_is_open(purpose: str, known: bool, expected: Verdict) -> None:
    assert verdict(judge(state(), purpose=purpose, package_known=known), "kind", None) is expected


def test_an_upgrade_without_a_package_is_denied_before_anything_is_backed_up() -> None:
    gate = judge(state(web="10.5.5"), state(web="10.5.4"), package_known=True)
    told = row(gate, "kind", None)
    assert not gate.allowed
    assert (told.found, told.required) == ("no package", "a Web package (.dmupgrade)")
    assert told.remedy == "set dataminer_package (check its spelling)"


def test_agents_that_an_upgrade_finds_at_its_target_need_no_package() -> None:
    gate = judge(state(web="10.5.5"), state(web="10.5.5"), package_known=True)
    assert verdict(gate, "kind", None) is NA
    assert gate.allowed
    one_only = judge(state(web="10.5.5"), state(web="10.5.4"), package_known=True, play_agents=("a1",), allow_partial=True)
    assert verdict(one_only, "kind", None) is NA
    assert verdict(judge(state(web="10.5.5"), target=None, package_known=True), "kind", None) is DENY


@pytest.mark.parametrize("purpose", ["backup", "status"])
def test_nobody_is_asked_for_a_package_where_none_is_installed(purpose: str) -> None:
    assert [one for one in judge(state(), purpose=purpose).rows if one.rule == "kind"] == []


@pytest.mark.parametrize(("server", "target"), [("10.5.0 [CU1]", "10.5.5"), ("10.5.4", "10.5.0 [CU9]")])
def test_the_other_track_is_never_a_denial(server: str, target: str) -> None:
    gate = judge(state(server=server, web=server), target=target, package=package(f"{V(target).major}.{V(target).minor}.{V(target).patch}.0-1"))
    assert verdict(gate, "track", None) is PASS
    assert gate.allowed


TARGETS = [
    ("10.5.5", None, PASS, "10.5.5 (CU0)"),
    (None, "10.5.5.0-15700", PASS, "10.5.5 (CU0)"),
    ("10.5.5", "10.5.5.0-15700", PASS, "10.5.5 (CU0)"),
    ("10.5.6", "10.5.5.0-15700", DENY, "10.5.5 (CU0)"),
    ("10.5.0 [CU9]", "10.5.0.0-16001", WARN, "10.5.0 [CU9]"),
    ("10.5.0 [CU9]", "10.5.0.0(CU9)-16001", PASS, "10.5.0 [CU9]"),
    ("10.5.0", "10.5.0.0(CU9)-16001", WARN, "10.5.0 [CU9]"),
    (None, None, DENY, None),
]


@pytest.mark.parametrize(("target", "packed", "expected", "goal"), TARGETS)
def test_target_and_package_are_of_one_release(target: str | None, packed: str | None, expected: Verdict, goal: str | None) -> None:
    gate = judge(state(), target=target, package=None if packed is None else package(packed))
    assert verdict(gate, "target", None) is expected
    assert (None if gate.target is None else str(gate.target)) == goal


def test_the_target_takes_the_packages_build() -> None:
    gate = judge(state(), target="10.5.0 [CU9]", package=package("10.5.0.0-16001"))
    assert gate.target is not None
    assert (gate.target.cu, gate.target.build) == (9, 16001)


@pytest.mark.parametrize("purpose", ["upgrade", "downgrade"])
@pytest.mark.parametrize(
    ("expected", "target", "answer"),
    [
        ("10.5.6", "10.5.4", DENY),
        ("10.5.4", "10.5.4", PASS),
        ("10.5.0 [CU9]", "10.5.0", PASS),
        (None, "10.5.4", NA),
        ("10.5.4", None, NA),
    ],
)
def test_what_the_verification_can_not_find_is_denied_first(purpose: str, expected: str | None, target: str | None, answer: Verdict) -> None:
    gate = judge(state(), purpose=purpose, target=target, expected=None if expected is None else V(expected))
    told = row(gate, "expected", None)
    assert told.verdict is answer
    if answer is DENY:
        assert not gate.allowed
        assert told.found == f"the verification expects {V(str(expected))}, the target is {V(str(target))}"
        assert "take dataminer_verify_expected out of the inventory" in told.remedy


@pytest.mark.parametrize("purpose", ["backup", "status"])
def test_nothing_is_verified_where_nothing_changes(purpose: str) -> None:
    assert all(one.rule != "expected" for one in judge(state(), purpose=purpose, expected=V("10.5.6")).rows)


@pytest.mark.parametrize(
    ("fact", "rule", "variable"), [("server", "server-version", "dataminer_server_version"), ("web", "web-version", "dataminer_web_version")]
)
@pytest.mark.parametrize(("purpose", "expected"), [("upgrade", DENY), ("downgrade", DENY), ("backup", WARN), ("status", WARN)])
def test_an_unknown_version_names_the_variable_to_set(fact: str, rule: str, variable: str, purpose: str, expected: Verdict) -> None:
    gate = judge(state(**{fact: None}), purpose=purpose)
    assert verdict(gate, rule) is expected
    assert variable in row(gate, rule).remedy
    assert "VersionHistory.txt is missing" in row(gate, rule).found


@pytest.mark.parametrize(
    ("named", "read", "purpose", "expected", "words"),
    [
        ("10.5.4", "10.5.4", "upgrade", WARN, "once the target is installed"),
        ("10.5.4", None, "upgrade", WARN, "read: none"),
        ("10.5.4", "10.5.5", "upgrade", WARN, "read: 10.5.5"),
        ("10.5.5", "10.5.5", "upgrade", PASS, "the inventory"),
        ("10.5.5", "10.5.4", "upgrade", WARN, "unless the About box shows what it says"),
        ("10.5.4", "10.5.5", "status", WARN, "unless the About box shows what it says"),
        ("10.5.4", "10.5.4", "status", PASS, "the inventory"),
    ],
)
def test_a_version_that_the_inventory_names_stays_whatever_is_installed(
    named: str, read: str | None, purpose: str, expected: Verdict, words: str
) -> None:
    fact = VersionFact(version=V(named), source="the inventory names the web version", read=version_fact(read))
    gate = judge(replace(state(), web=fact), purpose=purpose)
    assert verdict(gate, "web-version") is expected
    assert words in f"{row(gate, 'web-version').found} {row(gate, 'web-version').remedy}"


def doubtful(version: str = "10.5.5.0-15700") -> dict[str, Any]:
    """An install's folder is there, and its progress.log can't be read."""
    begun = installed("Web", 0.1, completed=None)
    return {"web": None, "packages": (replace(begun, package=package(version)),)}


@pytest.mark.parametrize("purpose", ["upgrade", "downgrade"])
@pytest.mark.parametrize("facts", [doubtful(), {"web": None}])
def test_a_version_that_can_not_be_read_while_the_own_install_is_at_work_denies_nothing(purpose: str, facts: dict[str, Any]) -> None:
    """The inventory isn't to be told a version that the install changes in a moment."""
    busy = {"installer_busy": True, "upgrade_running": True}
    gate = judge(state(job=job("install"), host=busy, **facts), package=package(), purpose=purpose)
    assert gate.allowed, gate.denials
    told = row(gate, "web-version")
    assert (told.verdict, told.found) == (WARN, "unknown while install job install-1 is at work")
    assert told.remedy == "nothing: this run attaches to that job"


@pytest.mark.parametrize(
    ("purpose", "facts", "expected", "found"),
    [
        ("upgrade", {"job": job("install"), **doubtful("10.5.6.0-15800")}, DENY, "install job install-1"),
        ("upgrade", {"host": {"upgrade_running": True}, **doubtful()}, DENY, "a DataMiner upgrade"),
        ("status", {"job": job("install"), **doubtful()}, WARN, "install job install-1"),
        ("status", {"host": {"upgrade_running": True}, **doubtful()}, WARN, "a DataMiner upgrade"),
    ],
)
def test_nor_is_it_to_be_told_while_another_one_is(purpose: str, facts: dict[str, Any], expected: Verdict, found: str) -> None:
    told = row(judge(state(**facts), package=package(), purpose=purpose), "web-version")
    assert (told.verdict, told.found) == (expected, f"unknown while {found} is at work")
    assert told.remedy == "wait until it has ended, then run again"


HISTORIES: list[tuple[str, dict[str, Any], Verdict]] = [
    ("a web package after the full upgrade", {"history": (history("10.5.4", 50),), "packages": (installed("Web", 10),)}, PASS),
    ("a full upgrade after the web package", {"history": (history("10.5.4", 5),), "packages": (installed("Web", 10),)}, PASS),
    ("within the hour of doubt", {"history": (history("10.5.4", 10.3),), "packages": (installed("Web", 10),)}, WARN),
    ("a full package after the web package", {"packages": (installed("Web", 10), installed("Full", 5))}, PASS),
    ("a failed full package", {"packages": (installed("Web", 10), installed("Full", 5, completed=False))}, PASS),
    ("a failed web package", {"history": (history("10.5.4", 5),), "packages": (installed("Web", 10, completed=False),)}, NA),
    ("no web package", {"history": (history("10.5.4", 5),)}, NA),
]


@pytest.mark.parametrize(("facts", "expected"), [pytest.param(facts, expected, id=f"RN 43676: {name}") for name, facts, expected in HISTORIES])
def test_a_full_upgrade_overrides_earlier_web_upgrades(facts: dict[str, Any], expected: Verdict) -> None:
    assert verdict(judge(state(**facts)), "full-overrides") is expected
