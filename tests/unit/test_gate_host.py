"""The gate's rules of an agent's machine."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.agent import AgentState, ContentRow, Disk, LastRestore, PackageFile
from ansible_collections.dataminer.web.plugins.module_utils.gate import Verdict
from ansible_collections.dataminer.web.plugins.module_utils.gate_host import at_work, no_restart, restart_order, restarts
from gate_agents import NOW, backup, cluster, installed, job, judge, package, reading, request, row, state, verdict

PASS, WARN, DENY, NA = Verdict.PASS, Verdict.WARN, Verdict.DENY, Verdict.NOT_APPLICABLE
GB = 10**9
WORK = ["upgrade", "downgrade", "backup"]


def for_purpose(purpose: str, one: AgentState, two: AgentState | None = None, **more: Any) -> Any:
    """Judged with a target that the purpose allows."""
    older = {"package": package("10.5.3.0-15400")} if purpose == "downgrade" else {}
    return judge(
        *([one, two] if two else [one]), purpose=purpose, target={"upgrade": "10.5.5", "downgrade": "10.5.3"}.get(purpose), **{**older, **more}
    )


@pytest.mark.parametrize("purpose", WORK)
@pytest.mark.parametrize(
    ("rule", "facts", "told"),
    [
        ("root", {"root_exists": False}, "C:\\Skyline DataMiner doesn't exist"),
        ("root", {"root": "D:\\"}, "D:\\ is a whole volume"),
        ("language-mode", {"language_mode": "ConstrainedLanguage"}, "ConstrainedLanguage"),
        ("job", {"job": job("other")}, "other job other-1 of ann@controller since 2026-11-24T04:00:00Z"),
        ("journal", {"journals": (("c2", "released"), ("c1", "swapped"))}, "restore c1 is swapped"),
        ("journal", {"journals": (("c1", "committing"),)}, "restore c1 is committing"),
        ("journal", {"journals": (("c1", "undoing"),)}, "restore c1 is undoing"),
        ("journal", {"journals": (("c1", "swapped"),), "job": job("backup")}, "restore c1 is swapped"),
        ("upgrade-running", {"host": {"upgrade_running": True}}, "a DataMiner upgrade is at work"),
    ],
)
def test_what_closes_the_gate_for_all_work(purpose: str, rule: str, facts: dict[str, Any], told: str) -> None:
    gate = for_purpose(purpose, state(**facts))
    assert verdict(gate, rule) is DENY
    assert told in row(gate, rule).found
    assert row(gate, rule).remedy
    assert not gate.allowed


@pytest.mark.parametrize("purpose", ["upgrade", "downgrade"])
@pytest.mark.parametrize(
    ("rule", "host", "told"),
    [
        ("installer-busy", {"installer_busy": True}, "a Windows Installer is at work"),
        ("pending-reboot", {"pending_reboot": ("Windows Update", "file renames")}, "pending: Windows Update; file renames"),
    ],
)
def test_what_closes_the_gate_for_changes(purpose: str, rule: str, host: dict[str, Any], told: str) -> None:
    gate = for_purpose(purpose, state(host=host))
    assert verdict(gate, rule) is DENY
    assert told in row(gate, rule).found


@pytest.mark.parametrize("mode", [None, "FullLanguage"])
def test_a_full_language_or_no_powershell_at_all_is_fine(mode: str | None) -> None:
    assert verdict(judge(state(language_mode=mode)), "language-mode") is PASS


@pytest.mark.parametrize("purpose", WORK)
def test_unread_facts_of_the_host_warn(purpose: str) -> None:
    gate = for_purpose(purpose, replace(state(), host=None))
    assert verdict(gate, "host-facts") is WARN
    assert verdict(gate, "upgrade-running") is NA
    assert gate.allowed


PENDING: dict[str, Any] = {"pending_reboot": ("file renames",)}


@pytest.mark.parametrize("purpose", ["upgrade", "downgrade"])
def test_a_pending_reboot_may_be_seen_to_by_this_run(purpose: str) -> None:
    gate = for_purpose(purpose, state(host=PENDING), allow_reboot=True)
    assert verdict(gate, "pending-reboot") is WARN
    assert "this run restarts the agent" in row(gate, "pending-reboot").remedy
    assert restarts(request(purpose, allow_reboot=True), state(host=PENDING))


@pytest.mark.parametrize(("purpose", "web", "expected"), [("upgrade", "10.5.5", WARN), ("downgrade", "10.5.3", DENY)])
def test_a_reboot_that_an_install_left_pending_does_not_keep_the_others_from_theirs(purpose: str, web: str, expected: Verdict) -> None:
    """After an install nothing is rebooted. Of a downgrade the restore is still to come."""
    gate = for_purpose(purpose, state(web=web, host=PENDING), package=None)
    assert verdict(gate, "pending-reboot") is expected
    assert gate.allowed is (expected is WARN)
    assert ("nothing left to do on it" in row(gate, "pending-reboot").remedy) is gate.allowed


def test_the_machines_of_a_pair_are_restarted_one_right_after_the_other() -> None:
    """Others keep their place; those with nothing pending, or not read, have none."""
    ids, twins = {"a1": 7, "a2": 2, "a3": 9, "a4": 2, "a5": 7}, ("a1", "a3", "a5")
    found = [
        reading(name, replace(state(host=PENDING), cluster=cluster(number, f"10.0.0.{name[1]}", failover=name in twins)))
        for name, number in ids.items()
    ]
    order = restart_order(request(allow_reboot=True), [*found, reading("a6", state()), reading("a7", None, "unreachable")])
    assert order == ("a1", "a5", "a2", "a3", "a4")
    assert restart_order(request(), found) == ()


@pytest.mark.parametrize(
    ("purpose", "allowed", "one"),
    [
        ("upgrade", False, state(host=PENDING)),
        ("upgrade", True, state()),
        ("backup", True, state(host=PENDING)),
        ("status", True, state(host=PENDING)),
        ("upgrade", True, state(host=PENDING, language_mode=None)),
        ("upgrade", True, replace(state(), host=None)),
        *(("upgrade", True, state(host=PENDING, job=job(kind))) for kind in ("backup", "install")),
        *(("downgrade", True, state(host=PENDING, job=job(kind))) for kind in ("verify", "prepare", "commit", "undo")),
        ("upgrade", True, state(host={**PENDING, "upgrade_running": True})),
        ("upgrade", True, state(host={**PENDING, "installer_busy": True})),
        *(("downgrade", True, state(host=PENDING, journals=(("c1", journal),))) for journal in ("committing", "swapped", "undoing")),
    ],
)
def test_no_agent_is_restarted_unasked_needlessly_or_at_work(purpose: str, allowed: bool, one: AgentState) -> None:
    assert not restarts(request(purpose, allow_reboot=allowed), one)
    gate = for_purpose(purpose, one, allow_reboot=allowed)
    assert "this run restarts" not in " ".join(found.remedy for found in gate.rows)


@pytest.mark.parametrize(
    ("purpose", "facts", "told"),
    [
        ("upgrade", {}, "reboot the agent first, or let this run do it with dataminer_allow_reboot=true"),
        ("downgrade", {"journals": (("c1", "swapped"),)}, "reboot the agent first, or let this run do it with dataminer_allow_reboot=true"),
        ("status", {}, "reboot the agent before the next change, or let that run do it with dataminer_allow_reboot=true"),
        ("status", {"job": job("install")}, "don't reboot the agent before this has ended, and see again then: install job install-1"),
        ("status", {"job": job("commit")}, "don't reboot the agent before this has ended, and see again then: commit job commit-1"),
        ("upgrade", {"job": job("prepare")}, "don't reboot the agent before this has ended, and see again then: prepare job prepare-1"),
    ],
)
def test_a_pending_reboot_waits_for_what_is_at_work_and_no_status_restarts(purpose: str, facts: dict[str, Any], told: str) -> None:
    found = row(for_purpose(purpose, state(host=PENDING, **facts), recover=purpose == "downgrade"), "pending-reboot")
    assert (found.verdict, found.remedy) == (WARN if purpose == "status" else DENY, told)


def test_a_pending_reboot_waits_for_a_foreign_upgrade() -> None:
    told = row(judge(state(host={**PENDING, "upgrade_running": True, "installer_busy": True})), "pending-reboot").remedy
    assert told.endswith("see again then: a Windows Installer at work; a DataMiner upgrade at work")


def test_what_speaks_against_a_restart_is_told() -> None:
    assert no_restart(state(host=PENDING)) == ()
    assert no_restart(
        state(host={"installer_busy": True, "upgrade_running": True}, job=job("backup"), journals=(("c1", "swapped"), ("c0", "undone")))
    ) == (
        "backup job backup-1",
        "a Windows Installer at work",
        "a DataMiner upgrade at work",
        "restore c1, which is swapped",
    )
    (said,) = no_restart(replace(state(), host=None))
    assert "nothing on the host answered" in said


@pytest.mark.parametrize("purpose", ["upgrade", "downgrade"])
def test_an_install_of_this_collection_is_attached_to(purpose: str) -> None:
    busy = {"installer_busy": True, "upgrade_running": True, "pending_reboot": ("file renames",)}
    gate = for_purpose(purpose, state(job=job("install"), host=busy, packages=(installed("Web", 0.1, completed=False),)))
    assert gate.allowed, gate.denials
    for rule in ("job", "installer-busy", "upgrade-running"):
        assert verdict(gate, rule) is WARN
        assert "attaches" in row(gate, rule).remedy
    assert verdict(gate, "last-package") is NA


@pytest.mark.parametrize(
    ("purpose", "kind", "expected"),
    [
        ("upgrade", "backup", WARN),
        ("upgrade", "install", WARN),
        ("upgrade", "commit", DENY),
        ("upgrade", "prepare", DENY),
        ("downgrade", "install", WARN),
        ("downgrade", "prepare", WARN),
        ("downgrade", "commit", WARN),
        ("downgrade", "undo", WARN),
        ("backup", "backup", WARN),
        ("backup", "verify", WARN),
        ("backup", "install", DENY),
        ("backup", "commit", DENY),
        ("status", "commit", WARN),
    ],
)
def test_a_run_attaches_to_its_own_kinds_of_job_only(purpose: str, kind: str, expected: Verdict) -> None:
    assert verdict(for_purpose(purpose, state(job=job(kind))), "job") is expected


@pytest.mark.parametrize(("kind", "attaches"), [("prepare", True), ("undo", True), ("commit", False)])
def test_no_run_attaches_to_a_commit(kind: str, attaches: bool) -> None:
    """Its own controller releases it, or the deadline does."""
    remedy = row(for_purpose("downgrade", state(job=job(kind))), "job").remedy
    assert ("attaches" in remedy, "starts its web server by itself at its deadline" in remedy) == (attaches, not attaches)


def test_an_upgrade_that_runs_during_a_backup_denies_even_where_it_is_ours() -> None:
    assert verdict(for_purpose("backup", state(job=job("install"), host={"upgrade_running": True})), "upgrade-running") is DENY


@pytest.mark.parametrize("kind", ["commit", "undo"])
def test_a_journal_that_is_being_written_is_no_broken_restore(kind: str) -> None:
    gate = for_purpose("downgrade", state(journals=(("c1", "swapped"),), job=job(kind)))
    assert verdict(gate, "journal") is PASS


@pytest.mark.parametrize("closed", ["released", "undone"])
def test_a_restore_that_ended_is_no_broken_one(closed: str) -> None:
    assert verdict(judge(state(journals=(("c1", closed),))), "journal") is PASS


def test_a_run_that_is_to_recover_a_broken_restore_may() -> None:
    gate = for_purpose("downgrade", state(journals=(("c1", "swapped"),)), recover=True)
    assert verdict(gate, "journal") is WARN
    assert gate.allowed


@pytest.mark.parametrize(
    ("packages", "expected"),
    [
        ((), NA),
        ((installed("Web", 5),), PASS),
        ((installed("Web", 5, completed=None),), NA),
        ((installed("Web", 5, completed=False),), WARN),
        ((installed("Web", 9, completed=False), installed("Web", 5)), PASS),
        ((installed("Web", 5, completed=False), installed("Web", 9)), WARN),
    ],
)
def test_a_failed_last_package_warns_rn_37033(packages: tuple[Any, ...], expected: Verdict) -> None:
    assert verdict(judge(state(packages=packages)), "last-package") is expected


@pytest.mark.parametrize("purpose", ["upgrade", "downgrade", "backup", "status"])
@pytest.mark.parametrize("facts", [{"job": job("install")}, {"host": {"upgrade_running": True}}])
@pytest.mark.parametrize("completed", [False, None])
def test_a_package_that_is_being_installed_has_not_failed(purpose: str, facts: dict[str, Any], completed: bool | None) -> None:
    """By whomever it is installed, and whoever asks."""
    gate = for_purpose(purpose, state(packages=(installed("Web", 0.1, completed=completed), installed("Web", 5)), **facts))
    assert verdict(gate, "last-package") is NA
    assert row(gate, "last-package").found.endswith("an install is running")


def test_a_failed_last_package_names_its_prerequisites_rn_37033() -> None:
    gate = judge(state(packages=(installed("Web", 5, completed=False, failed=("VerifyDotNet",)),)))
    assert "VerifyDotNet" in row(gate, "last-package").found


def content(size: int) -> tuple[ContentRow, ...]:
    return (ContentRow(path="Applications/a", files=1, bytes=size - 1, sha256="0"), ContentRow(path="Dashboards/b", files=1, bytes=1, sha256="0"))


def disks(**free: int) -> dict[str, Disk]:
    """Each on a volume of its own."""
    return {name: Disk(path=f"/{name}", free=size, volume=name) for name, size in free.items()}


def one_volume(free: int) -> dict[str, Disk]:
    return {name: Disk(path=f"/{name}", free=free, volume="1") for name in ("backup_dir", "work_dir", "root")}


SPACE = [
    pytest.param("upgrade", one_volume(31 * GB), PASS, id="upgrade: content x 3 + package fits exactly"),
    pytest.param("upgrade", one_volume(31 * GB - 1), DENY, id="upgrade: a byte short"),
    pytest.param("downgrade", one_volume(21 * GB), PASS, id="restore: content x 2 + package fits exactly"),
    pytest.param("downgrade", one_volume(21 * GB - 1), DENY, id="restore: a byte short"),
    pytest.param("backup", one_volume(10 * GB), PASS, id="backup: content fits exactly"),
    pytest.param("backup", one_volume(10 * GB - 1), DENY, id="backup: a byte short"),
    pytest.param("upgrade", disks(backup_dir=10 * GB, work_dir=0, root=21 * GB), PASS, id="upgrade: our zip here, the vendor's there"),
    pytest.param("upgrade", disks(backup_dir=10 * GB - 1, work_dir=0, root=99 * GB), DENY, id="upgrade: no room for our zip"),
    pytest.param("upgrade", disks(backup_dir=99 * GB, work_dir=0, root=21 * GB - 1), DENY, id="upgrade: no room for the vendor's"),
    pytest.param("downgrade", disks(backup_dir=0, work_dir=20 * GB, root=GB), PASS, id="restore: only the working folder grows"),
    pytest.param("downgrade", disks(backup_dir=0, work_dir=20 * GB, root=GB - 1), DENY, id="restore: no room for the package"),
]


@pytest.mark.parametrize(("purpose", "free", "expected"), SPACE)
def test_free_space_by_volume(purpose: str, free: dict[str, Disk], expected: Verdict) -> None:
    gate = for_purpose(purpose, state(content=content(10 * GB), disks=free), package_size=GB)
    assert verdict(gate, "free-space") is expected
    assert gate.allowed is (expected is PASS)


def there(size: int | None) -> PackageFile:
    return PackageFile(path="C:\\p\\x.dmupgrade", size=size)


@pytest.mark.parametrize(
    ("file", "brought", "size", "expected", "needed"),
    [
        pytest.param(there(GB), False, None, PASS, 31, id="on the agent"),
        pytest.param(there(None), True, GB, PASS, 32, id="to be brought from the controller"),
        pytest.param(there(GB - 1), True, GB, PASS, 32, id="another one of that name is there"),
        pytest.param(there(GB), True, GB, PASS, 31, id="brought before"),
        pytest.param(there(GB), True, None, PASS, 31, id="brought from a share before"),
        pytest.param(there(None), True, None, WARN, 30, id="to be brought from a share"),
        pytest.param(None, False, None, WARN, 30, id="not looked for"),
    ],
)
def test_free_space_for_the_package(file: PackageFile | None, brought: bool, size: int | None, expected: Verdict, needed: int) -> None:
    def space(free: int) -> Any:
        one = state(content=content(10 * GB), disks={**one_volume(free), "package": one_volume(free)["root"]}, package_file=file)
        return row(judge(one, package=package(), package_size=size, package_brought=brought), "free-space")

    assert space(needed * GB).verdict is expected
    assert space(needed * GB - 1).verdict is DENY
    assert ("the size of the package isn't known yet" in space(needed * GB).found) is (expected is WARN)


def test_the_copy_of_the_package_takes_room_in_its_own_folder() -> None:
    free = disks(backup_dir=99 * GB, work_dir=0, root=99 * GB, package=GB - 1)
    one = state(content=content(GB), disks=free, package_file=there(None))
    assert verdict(judge(one, package=package(), package_size=GB, package_brought=True), "free-space") is DENY


@pytest.mark.parametrize(
    ("file", "more", "expected"),
    [
        (there(1), {}, PASS),
        (there(None), {}, DENY),
        (there(None), {"package_brought": True}, NA),
        (there(None), {"target": "10.5.4"}, NA),
        (None, {}, NA),
    ],
)
def test_a_package_that_should_be_there_is_looked_for_first(file: PackageFile | None, more: dict[str, Any], expected: Verdict) -> None:
    gate = judge(state(package_file=file), **more)
    assert verdict(gate, "package-there") is expected
    assert gate.allowed is (expected is not DENY)


@pytest.mark.parametrize("purpose", ["upgrade", "downgrade"])
@pytest.mark.parametrize(("size", "reached", "expected"), [(1, False, PASS), (None, False, DENY), (None, True, NA)])
def test_the_installer_is_looked_for_first(purpose: str, size: int | None, reached: bool, expected: Verdict) -> None:
    """An agent that runs the target already needs none."""
    brought = package({"upgrade": "10.5.5.0-15900", "downgrade": "10.5.3.0-15400"}[purpose])
    one = state(installer_file=there(size), **({"web": "10.5.5" if purpose == "upgrade" else "10.5.3"} if reached else {}))
    gate = for_purpose(purpose, one, package=brought)
    assert verdict(gate, "installer-there") is expected
    assert gate.allowed is (expected is not DENY)
    assert verdict(for_purpose(purpose, one, package=None), "installer-there") is NA  # nothing to install


@pytest.mark.parametrize(
    ("service", "expected", "told"),
    [
        (("W3SVC", "Running"), PASS, "W3SVC is Running"),
        (("W3SVC", "Stopped"), WARN, "W3SVC is Stopped"),
        (("W3SCV", None), DENY, "there is no service W3SCV"),
        (None, NA, "no service was asked for"),
    ],
)
def test_the_web_server_is_looked_for_before_a_restore_would_stop_it(service: tuple[str, str | None] | None, expected: Verdict, told: str) -> None:
    one = state(web_service=service)
    gate = for_purpose("downgrade", one)
    assert verdict(gate, "web-service") is expected
    assert told in row(gate, "web-service").found
    assert gate.allowed is (expected is not DENY)
    assert verdict(judge(one, purpose="status"), "web-service") is (WARN if expected is DENY else expected)
    assert all(each.rule != "web-service" for each in for_purpose("upgrade", one).rows)


BY_HAND = "find out why, and start it"
AT_LATEST = "the agent starts its web server by itself at 2026-11-24T04:30:00Z at the latest"


@pytest.mark.parametrize("purpose", ["status", "downgrade"])
@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"job": job("commit", until="2026-11-24T04:30:00Z"), "journals": (("commit-1", "swapped"),)}, AT_LATEST),
        ({"job": job("commit")}, "starts its web server by itself at its deadline"),
        ({"job": job("undo")}, "undo job undo-1 starts it at its end"),
        ({"job": job("install")}, "an install is running"),
        ({"host": {"upgrade_running": True}}, "an install is running"),
        ({}, BY_HAND),
    ],
)
def test_nobody_is_told_to_start_a_web_server_that_is_held_down_on_purpose(purpose: str, facts: dict[str, Any], told: str) -> None:
    """Users would write into what can still be undone."""
    gate = for_purpose(purpose, state(web_service=("W3SVC", "Stopped"), **facts), recover=purpose == "downgrade")
    assert verdict(gate, "web-service") is WARN
    said = row(gate, "web-service").remedy
    assert told in said
    assert (BY_HAND in said, said.startswith("leave it alone")) == (not facts, bool(facts))


@pytest.mark.parametrize(
    ("purpose", "told"),
    [
        ("status", "leave it alone: run downgrade_restore.yml, which recovers the restore first and starts it"),
        ("downgrade", "leave it alone: this run recovers the restore first and starts it"),
    ],
)
@pytest.mark.parametrize("journal", ["committing", "swapped", "undoing"])
def test_a_restore_that_broke_off_is_recovered_before_the_web_server_starts(purpose: str, told: str, journal: str) -> None:
    one = state(web_service=("W3SVC", "Stopped"), journals=(("c1", journal),), job=job("backup") if purpose == "status" else None)
    assert row(for_purpose(purpose, one, recover=purpose == "downgrade"), "web-service").remedy == told


@pytest.mark.parametrize("purpose", ["upgrade", "backup", "status"])
def test_who_meets_a_commit_is_told_when_it_ends(purpose: str) -> None:
    said = row(for_purpose(purpose, state(job=job("commit", until="2026-11-24T04:30:00Z"))), "job").remedy
    assert said.startswith("let that run end, then run again; where it is gone, " + AT_LATEST)


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({}, ""),
        ({"job": job("commit")}, "a restore"),
        ({"job": job("undo")}, "the undoing of a restore"),
        ({"job": job("install"), "host": {"upgrade_running": True}}, "an install"),
        ({"host": {"upgrade_running": True}}, "a DataMiner upgrade"),
        ({"job": job("backup")}, "a backup job"),
        ({"job": job("unknown")}, "an unknown job"),
    ],
)
def test_what_is_at_work_is_told_in_words(facts: dict[str, Any], told: str) -> None:
    assert at_work(state(**facts)) == told
    assert at_work(replace(state(), host=None)) == ""


DONE, ATTACHED = "10.5.5 (CU0) is installed already", "install job install-1 has begun"


def released(hours_ago: float, **more: Any) -> LastRestore:
    return LastRestore(run_id="c1", state="released", at=NOW - timedelta(hours=hours_ago), backup="b.zip", **more)


@pytest.mark.parametrize(
    ("purpose", "free", "facts", "expected"),
    [
        pytest.param("upgrade", 0, {"web": "10.5.5.0-15700"}, NA, id="upgrade: it has ended well, and its zips are there"),
        pytest.param("upgrade", 0, {"job": job("install")}, NA, id="upgrade: an install that is only followed"),
        pytest.param("upgrade", 30, {"job": job("backup")}, DENY, id="upgrade: a backup that is followed comes before an install"),
        pytest.param("upgrade", 30, {"web": "10.5.5.0-15701"}, DENY, id="upgrade: another build"),
        pytest.param("downgrade", 20, {"web": "10.5.5.0-15700"}, PASS, id="downgrade: installed"),
        pytest.param("downgrade", 19, {"web": "10.5.5.0-15700"}, DENY, id="downgrade: installed, no room to restore"),
        pytest.param("downgrade", 20, {"job": job("install")}, PASS, id="downgrade: an install that is only followed"),
        pytest.param("downgrade", 0, {"web": "10.5.5.0-15700", "last_restore": released(1)}, WARN, id="downgrade: restored"),
        pytest.param("downgrade", 20, {"last_restore": released(1)}, DENY, id="downgrade: restored, before another one is installed"),
        pytest.param("downgrade", 19, {"web": "10.5.5.0-15700", "last_restore": released(1, partial=True)}, DENY, id="downgrade: restored in part"),
        pytest.param(
            "downgrade",
            19,
            {"web": "10.5.5.0-15700", "last_restore": released(3), "packages": (installed("Web", 2),)},
            DENY,
            id="downgrade: restored, before it was installed again",
        ),
    ],
)
def test_an_agent_that_has_its_share_behind_it_needs_no_room(purpose: str, free: int, facts: dict[str, Any], expected: Verdict) -> None:
    """What ended well on it has filled its volume, and the others wait for what is left to do."""
    usual = {"web": {"upgrade": "10.5.4", "downgrade": "10.5.6"}[purpose], "content": content(10 * GB), "package_file": there(GB)}
    behind, needy = state(**{**usual, "disks": one_volume(free * GB), **facts}), state(**usual, disks=one_volume(40 * GB))
    gate = judge(behind, needy, purpose=purpose, package=package())
    assert verdict(gate, "free-space") is expected
    assert verdict(gate, "free-space", "a2") is PASS
    assert gate.allowed is (expected is not DENY)


def test_why_no_room_is_needed_is_told() -> None:
    assert row(judge(state(web="10.5.5.0-15700"), package=package()), "free-space").found == DONE
    assert row(judge(state(job=job("install")), package=package()), "free-space").found.startswith(ATTACHED)
    restored = state(web="10.5.5", content=content(GB), disks=one_volume(0), last_restore=released(1))
    assert "only where it is restored once more" in row(judge(restored, purpose="downgrade"), "free-space").remedy


def test_a_backup_from_before_a_failed_install_takes_no_more_room() -> None:
    """It is kept; what the installer writes itself is still to come. Beside an old one another is made."""
    packages = (installed("Web", 1, completed=False),)
    found = (("a1", 1.5, 21), ("a2", 1.5, 31), ("a1", 15, 31))
    for backups, needed in (((), 31), *(((backup("10.5.4", hours_ago=hours, owner=owner),), room) for owner, hours, room in found)):
        for free, expected in ((needed * GB, PASS), (needed * GB - 1, DENY)):
            one = state(content=content(10 * GB), disks=one_volume(free), package_file=there(GB), packages=packages, backups=backups)
            assert verdict(judge(one, package=package()), "free-space") is expected


def test_free_space_tells_both_sizes() -> None:
    told = row(judge(state(content=content(10 * GB), disks=one_volume(5 * GB)), package_size=GB), "free-space")
    assert "5.0 GB free" in told.found
    assert "31.0 GB" in told.required


@pytest.mark.parametrize(("factor", "expected"), [(1, PASS), (1.5, DENY)])
def test_the_factor_can_be_given(factor: float, expected: Verdict) -> None:
    assert verdict(judge(state(content=content(10 * GB), disks=one_volume(10 * GB)), content_factor=factor), "free-space") is expected


def test_unknown_content_warns_that_it_is_checked_again() -> None:
    gate = judge(state(content=None))
    assert verdict(gate, "free-space") is WARN
    assert "checked again when the job starts" in row(gate, "free-space").remedy
    assert verdict(judge(state(content=None, disks=one_volume(GB - 1)), package_size=GB), "free-space") is DENY


def test_unread_disks_warn_and_are_named() -> None:
    told = row(judge(state(content=content(GB), disks=disks(root=99 * GB))), "free-space")
    assert told.verdict is WARN
    assert "backup_dir" in told.found


@pytest.mark.parametrize(("count", "told"), [(1, "e0"), (3, "e0; e1; e2"), (5, "e0; e1; e2 and 2 more")])
def test_what_could_not_be_read_is_told(count: int, told: str) -> None:
    gate = judge(state(errors=tuple(f"e{number}" for number in range(count))))
    assert row(gate, "scan-errors").found == told
    assert verdict(gate, "scan-errors") is WARN


def test_outside_a_partial_run_an_agents_own_trouble_only_warns() -> None:
    trouble = state(host={"upgrade_running": True}, root_exists=False)
    gate = judge(state(), trouble, play_agents=("a1",), allow_partial=True)
    assert verdict(gate, "upgrade-running", "a2") is WARN
    assert verdict(gate, "root", "a2") is WARN
    assert gate.allowed, gate.denials
    assert not judge(state(), trouble, play_agents=("a1", "a2")).allowed


@pytest.mark.parametrize("purpose", WORK)
def test_of_an_agent_that_is_left_alone_nobody_asks_what_only_work_there_needs(purpose: str) -> None:
    """Neither installer nor service are read there, by the names that are its own."""
    bare = state(installer_file=there(None), package_file=there(None), web_service=("W3SVC", None), host={**PENDING, "installer_busy": True})
    gate = for_purpose(purpose, state(), two=bare, play_agents=("a1",), allow_partial=True, allow_reboot=True)
    needed = {"package-there", "installer-there", "web-service", "free-space", "pending-reboot", "installer-busy"}
    assert {each.rule for each in gate.rows if each.agent == "a2"} & needed == set()
    assert {each.rule for each in gate.rows if each.agent == "a2"} > {"root", "journal", "job", "last-package"}
    assert {each.rule for each in gate.rows if each.agent == "a1"} & needed


@pytest.mark.parametrize(
    ("purpose", "rule", "facts", "told"),
    [
        ("upgrade", "job", {"job": job("install")}, "wait until it has ended, then run again"),
        ("upgrade", "upgrade-running", {"job": job("install"), "host": {"upgrade_running": True}}, "wait until it has ended; never abort it"),
        ("downgrade", "job", {"job": job("undo")}, "wait until it has ended, then run again"),
        ("downgrade", "job", {"job": job("commit")}, "let that run end, then run again"),
        ("downgrade", "journal", {"journals": (("c1", "swapped"),)}, "run downgrade_restore.yml for that version again"),
    ],
)
def test_a_run_promises_nothing_of_an_agent_that_it_leaves_alone(purpose: str, rule: str, facts: dict[str, Any], told: str) -> None:
    gate = for_purpose(purpose, state(), two=state(**facts), play_agents=("a1",), allow_partial=True, recover=purpose == "downgrade")
    found = row(gate, rule, "a2")
    assert (found.verdict, found.remedy.startswith(told)) == (WARN, True), found.remedy
