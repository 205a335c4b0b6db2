"""Which backup is restored."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.agent import BackupFile, HistoryLine, InstalledPackage, LastRestore, ManifestHead
from ansible_collections.dataminer.web.plugins.module_utils.candidates import Background, list_candidates
from ansible_collections.dataminer.web.plugins.module_utils.choice import Chosen, choose
from ansible_collections.dataminer.web.plugins.module_utils.errors import AmbiguousBackup, BackupInvalid, InvalidInput, NoBackup
from ansible_collections.dataminer.web.plugins.module_utils.manifest import format_time
from ansible_collections.dataminer.web.plugins.module_utils.package import Package
from ansible_collections.dataminer.web.plugins.module_utils.version import Version, same_release
from hypothesis import given, settings
from hypothesis import strategies as st

DAY = datetime(2026, 3, 1, tzinfo=UTC)
FULL_10_5_3, WEB_10_5_4, WEB_10_5_6 = "10.5.3.0-15396", "10.5.4.0-15588", "10.5.6.0-15900"


def at(day: float, minutes: float = 0) -> datetime:
    return DAY + timedelta(days=day, minutes=minutes)


def package(
    version: str, day: float, *, kind: str = "Web", completed: bool | None = True, minutes: float = 10, blocked: bool = False, ended: bool = True
) -> InstalledPackage:
    name = f"DataMiner {version} {kind} Upgrade.dmupgrade"
    return InstalledPackage(
        package=Package(version=Version.parse(version), kind=kind, tags=(), file_name=name),
        folder=f"{name}-{'x' * 32}",
        started=at(day),
        ended=at(day, minutes) if ended else None,
        completed=completed,
        failed_prerequisites=("VerifyNet10",) if blocked else (),
    )


def line(version: str, day: float, minutes: float = 12) -> HistoryLine:
    """A line of an agent whose clock is at UTC."""
    moment = at(day, minutes)
    hour = timedelta(hours=1)
    return HistoryLine(version=Version.parse(version), local=moment.replace(tzinfo=None), earliest=moment - hour, latest=moment + hour)


def vendor(name: str, day: float, minutes: float = 0, origin: str = "vendor") -> BackupFile:
    folder = "C:\\Skyline DataMiner\\System Cache\\Web\\Backups" if origin == "vendor" else "D:\\web backups"
    return BackupFile(origin=origin, path=f"{folder}\\{name}", name=name, size=3 * 1024**2, modified=at(day, minutes))


def ours(name: str, day: float, web: str | None, *, intact: bool = True, size: int = 99, **changes: object) -> BackupFile:
    header: dict[str, object] = {
        "schema": 1,
        "name": name,
        "created": format_time(at(day)),
        "agent": "DMA1",
        "cluster": None,
        "server_version": None,
        "web_version": web,
        "web_version_source": "somewhere",
        "mode": "all",
        "purpose": "backup",
        "left_out": [],
        "warnings": [],
        **changes,
    }
    manifest = ManifestHead(header=header, trailer={"files": 1, "bytes": 1, "zip_size": 99, "zip_sha256": "c" * 64}, intact=intact)
    return BackupFile(origin="own", path=f"D:\\web backups\\{name}", name=name, size=size, modified=at(-500), manifest=manifest)


HISTORY = (line(FULL_10_5_3, 0),)
PACKAGES = (package(FULL_10_5_3, 0, kind="Full"), package(WEB_10_5_4, 10), package(WEB_10_5_6, 20))


def pick(
    *backups: BackupFile,
    wanted: str = "target",
    target: str | None = "10.5.4",
    history: tuple[HistoryLine, ...] = HISTORY,
    packages: tuple[InstalledPackage, ...] = PACKAGES,
    last_restore: LastRestore | None = None,
) -> Chosen:
    background = Background(history=history, packages=packages, agent="DMA1", cluster="Pluto", last_restore=last_restore)
    return choose(backups, wanted=wanted, target=Version.parse(target) if target else None, background=background)


def version_at(
    day: float,
    minutes: float = 0,
    *,
    history: tuple[HistoryLine, ...] = HISTORY,
    packages: tuple[InstalledPackage, ...] = PACKAGES,
    unread: tuple[tuple[datetime, datetime], ...] = (),
) -> str:
    candidate = list_candidates([vendor("x.zip", day, minutes)], Background(history=history, packages=packages, unread=unread))[0]
    return str(candidate.version) if candidate.version else f"unknown: {candidate.how}"


# Copies put aside


def aside(original: BackupFile, **changes: object) -> BackupFile:
    return replace(original, origin="aside", path=f"C:\\work\\aside\\{original.name}", **changes)  # type: ignore[arg-type]


def test_a_copy_put_aside_serves_once_the_original_is_gone() -> None:
    """Installing the older package made a sixth backup, and the vendor's installer keeps five."""
    wanted, later = vendor("wanted.zip", 19), vendor("later.zip", 29)
    assert pick(aside(wanted), later).backup.path == "C:\\work\\aside\\wanted.zip"


def test_a_copy_put_aside_is_no_second_backup_beside_its_original() -> None:
    wanted = vendor("wanted.zip", 19)
    chosen = pick(aside(wanted), wanted)
    assert chosen.backup == wanted
    assert [row.backup for row in chosen.candidates] == [wanted]


def test_a_file_of_the_same_name_that_differs_is_another_backup() -> None:
    wanted = vendor("wanted.zip", 19)
    assert len(pick(aside(wanted, size=1), wanted).candidates) == 2


# By manifest


def test_the_newest_of_the_target_release() -> None:
    chosen = pick(ours("old.zip", 11, "10.5.4 (CU0)"), ours("new.zip", 15, "10.5.4 (CU0)"), ours("newest.zip", 25, "10.5.6 (CU0)"))
    assert chosen.backup.name == "new.zip"
    assert chosen.web_version == Version.parse("10.5.4")
    assert chosen.warnings == ()
    assert [row.backup.name for row in chosen.candidates] == ["newest.zip", "new.zip", "old.zip"]


def test_the_release_itself_before_the_same_content() -> None:
    chosen = pick(ours("mr.zip", 16, "10.5.0 [CU1]"), ours("fr.zip", 11, "10.5.4 (CU0)"))
    assert chosen.backup.name == "fr.zip"


def test_the_same_content_is_a_warning() -> None:
    chosen = pick(ours("mr.zip", 16, "10.5.0 [CU1]"), ours("other.zip", 17, "10.5.3 (CU0)"))
    assert chosen.backup.name == "mr.zip"
    assert chosen.web_version == Version.parse("10.5.0 [CU1]")
    assert len(chosen.warnings) == 1
    assert "made on 10.5.0 [CU1], not on 10.5.4 (CU0): it has the same content" in chosen.warnings[0]


def test_below_the_promise_nothing_is_the_same_content() -> None:
    with pytest.raises(NoBackup):
        pick(ours("mr.zip", 16, "10.3.0 [CU9]"), target="10.3.11", packages=(), history=())


def test_a_manifest_before_a_vendor_zip() -> None:
    """As our own upgrade leaves them. Where days lie between, what was edited then would be taken for migrated: nobody chooses silently."""
    automatic = vendor("auto.zip", 20, 5)
    assert pick(automatic, ours("fr.zip", 19.5, "10.5.4")).backup.name == "fr.zip"
    with pytest.raises(AmbiguousBackup, match=r"fr\.zip is the newest backup that says .*auto\.zip was made later.*dataminer_backup to latest"):
        pick(automatic, ours("fr.zip", 11, "10.5.4"))
    assert pick(automatic, ours("fr.zip", 11, "10.5.4"), wanted="latest").backup is automatic


def test_the_release_itself_by_time_before_the_same_content_by_manifest() -> None:
    chosen = pick(vendor("auto.zip", 20, 5), ours("mr.zip", 11, "10.5.0 [CU1]"))
    assert chosen.backup.name == "auto.zip"
    assert "by its time" in chosen.how


def test_a_build_is_one_release() -> None:
    """Two builds of a version are two packages: the backup of the wanted one, not the newer one of the other."""
    wanted, other = ours("wanted.zip", 15, "10.5.4.0-15588"), ours("other.zip", 16, "10.5.4.0-15600")
    assert pick(other, wanted, target="10.5.4.0-15588").backup.name == "wanted.zip"
    assert any("made on 10.5.4 (CU0)" in warning for warning in pick(other, target="10.5.4.0-15588").warnings)


def test_the_agents_own_backup_before_another_agents() -> None:
    """In a folder that agents share."""
    mine, other = ours("mine.zip", 15, "10.5.4", agent="dma1"), ours("other.zip", 16, "10.5.4", agent="DMA2")
    assert pick(other, mine).backup.name == "mine.zip"
    assert pick(ours("old.zip", 11, "10.5.4", agent="DMA2"), vendor("auto.zip", 20, 5)).backup.name == "auto.zip"
    chosen = pick(other)
    assert chosen.backup.name == "other.zip"
    assert "other.zip: it is of another agent, DMA2." in chosen.warnings


def test_another_clusters_backup_is_taken_only_when_named() -> None:
    foreign = ours("foreign.zip", 15, "10.5.4", cluster="Saturn")
    with pytest.raises(NoBackup, match="it is of another cluster, Saturn"):
        pick(foreign)
    with pytest.raises(NoBackup):
        pick(foreign, wanted="latest")
    named = pick(foreign, wanted="foreign.zip")
    assert "foreign.zip: it is of another cluster, Saturn." in named.warnings
    assert pick(ours("own.zip", 15, "10.5.4", cluster="pluto")).backup.name == "own.zip"


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        (ours("bad.zip", 15, "10.5.4", intact=False), "manifest is no use"),
        (ours("bad.zip", 15, "10.5.4", size=98), "has 98 bytes, but its manifest says 99"),
        (ours("bad.zip", 15, "10.5.4", schema=9), "schema version is 9"),
        (vendor("web-backup_DMA1_20260316T000000Z_10.5.4-CU0.zip", 15, origin="own"), "no manifest of ours"),
    ],
)
def test_what_cannot_be_used_is_listed_with_the_reason(damaged: BackupFile, reason: str) -> None:
    with pytest.raises(NoBackup) as caught:
        pick(damaged)
    assert damaged.name in caught.value.found
    assert reason in caught.value.found
    good = ours("good.zip", 11, "10.5.4")
    assert pick(damaged, good).backup is good


def test_a_safety_copy_is_taken_by_name_only() -> None:
    copy = ours("web-safety_x.zip", 15, "10.5.4", purpose="safety")
    with pytest.raises(NoBackup):
        pick(copy)
    with pytest.raises(NoBackup):
        pick(copy, wanted="latest")
    chosen = pick(copy, wanted="web-safety_x.zip")
    assert chosen.backup is copy
    assert any("safety copy" in warning for warning in chosen.warnings)


def test_a_manifest_without_version_is_judged_by_its_time() -> None:
    chosen = pick(ours("x.zip", 15, None))
    assert chosen.backup.name == "x.zip"
    assert "by its time" in chosen.how


def test_one_made_after_a_failed_install_comes_last() -> None:
    suspect = ours("suspect.zip", 16, "10.5.4", suspect="made after a failed install of 10.5.6")
    good = ours("good.zip", 12, "10.5.0 [CU1]")
    chosen = pick(suspect, good)
    assert chosen.backup is good
    assert any("suspect.zip is newer, but was passed over: made after a failed install" in warning for warning in chosen.warnings)
    assert any("made after a failed install of 10.5.6" in warning for warning in pick(suspect).warnings)


# By time


@pytest.mark.parametrize(
    ("day", "minutes", "version"),
    [
        (5, 0, "10.5.3 (CU0)"),
        (10, 0, "10.5.3 (CU0)"),
        (10, 5, "10.5.3 (CU0)"),
        (10, 10, "10.5.3 (CU0)"),
        (10, 10.1, "10.5.4 (CU0)"),
        (15, 0, "10.5.4 (CU0)"),
        (20, 5, "10.5.4 (CU0)"),
        (20, 11, "10.5.6 (CU0)"),
        (0, 11, "10.5.3 (CU0)"),
        (0, 5, "unknown: it is older than every install on record"),
        (-1, 0, "unknown: it is older than every install on record"),
    ],
)
def test_the_version_in_force_changes_when_an_install_ends(day: float, minutes: float, version: str) -> None:
    assert version_at(day, minutes) == version


@pytest.mark.parametrize(
    ("day", "version"),
    [(11, "10.5.4 (CU0)"), (12, "unknown"), (15, "unknown"), (20, "unknown"), (20.1, "10.5.6 (CU0)")],
)
def test_a_line_that_cannot_be_read_may_tell_of_any_version(day: float, version: str) -> None:
    """From its moment on, which is known to within an hour, until an install that is known."""
    hour = timedelta(hours=1)
    said = version_at(day, unread=((at(12) - hour, at(12) + hour),))
    assert said.split(":")[0] == version
    assert ("by a line of VersionHistory.txt that can't be read" in said) is (version == "unknown")


def test_the_automatic_backup_of_the_next_upgrade_is_the_one() -> None:
    zips = [vendor("a.zip", 10, 5), vendor("b.zip", 20, 5), vendor("c.zip", 30, 5)]
    chosen = pick(*zips, packages=(*PACKAGES, package(WEB_10_5_4, 30)))
    assert chosen.backup.name == "b.zip"
    assert chosen.web_version == Version.parse(WEB_10_5_4)
    assert any("no manifest" in warning for warning in chosen.warnings)


def test_the_newest_of_several_vendor_zips_on_the_target() -> None:
    assert pick(vendor("a.zip", 12), vendor("b.zip", 14), vendor("c.zip", 25)).backup.name == "b.zip"


def test_a_vendor_zip_of_the_same_content() -> None:
    chosen = pick(vendor("a.zip", 12), vendor("b.zip", 25), target="10.5.0 [CU1]")
    assert chosen.backup.name == "a.zip"
    assert any("same content" in warning for warning in chosen.warnings)


def test_none_fits() -> None:
    with pytest.raises(NoBackup) as caught:
        pick(vendor("a.zip", 12), ours("b.zip", 25, "10.5.6 (CU0)"), vendor("c.zip", -5), target="10.5.2")
    error = caught.value
    assert "10.5.2 (CU0)" in error.message
    assert "a.zip (2026-03-13T00:00:00Z, 3.0 MiB, web version 10.5.4 (CU0): by its time" in error.found
    assert "b.zip (2026-03-26T00:00:00Z, 0.0 MiB, web version 10.5.6 (CU0): its manifest" in error.found
    assert "c.zip (2026-02-24T00:00:00Z, 3.0 MiB, web version unknown: it is older than every install" in error.found
    assert "dataminer_backup" in error.remedy


def test_no_zip_at_all() -> None:
    with pytest.raises(NoBackup, match="no zip at all"):
        pick()


def test_no_record_of_any_install() -> None:
    with pytest.raises(NoBackup, match="no install is on record"):
        pick(vendor("a.zip", 12), history=(), packages=())


def test_a_failed_install_changes_no_version() -> None:
    assert version_at(15, packages=(*PACKAGES, package("10.5.5.0-15700", 14, completed=False))) == "10.5.4 (CU0)"


def test_a_zip_from_after_a_failed_install_comes_last() -> None:
    """The first attempt's automatic backup is whole; the second attempt's may hold what the first one migrated."""
    packages = (*PACKAGES[:2], package(WEB_10_5_6, 19, completed=False), package(WEB_10_5_6, 20))
    first, second = vendor("first.zip", 19, 5), vendor("second.zip", 20, 5)
    chosen = pick(first, second, packages=packages)
    assert chosen.backup is first
    assert any("second.zip is newer, but was passed over" in warning for warning in chosen.warnings)
    assert any("may be half migrated" in warning for warning in pick(second, packages=packages).warnings)


def test_an_install_its_prerequisites_stopped_touched_nothing() -> None:
    packages = (*PACKAGES[:2], package(WEB_10_5_6, 19, completed=False, blocked=True), package(WEB_10_5_6, 20))
    assert pick(vendor("first.zip", 19, 5), vendor("second.zip", 20, 5), packages=packages).backup.name == "second.zip"


def test_a_success_ends_the_suspicion() -> None:
    packages = (*PACKAGES[:2], package(WEB_10_5_6, 19, completed=False), package(WEB_10_5_6, 20))
    assert pick(vendor("x.zip", 25), target="10.5.6", packages=packages).warnings == (
        "x.zip has no manifest: what it should hold, and the version it was made on, can't be proved.",
    )


@pytest.mark.parametrize("unknown", [package(WEB_10_5_6, 14, completed=None), package(WEB_10_5_6, 14, ended=False)])
def test_after_an_install_of_unknown_outcome_nothing_is_sure(unknown: InstalledPackage) -> None:
    packages = (*PACKAGES[:2], unknown)
    assert version_at(15, packages=packages).startswith("unknown: its version can't be told")
    assert version_at(13, packages=packages) == "10.5.4 (CU0)"
    with pytest.raises(AmbiguousBackup, match=r"a\.zip"):
        pick(vendor("a.zip", 15), packages=packages)
    assert pick(vendor("a.zip", 15), vendor("b.zip", 12), packages=packages).backup.name == "b.zip"


def test_an_unknown_install_of_the_same_release_changes_nothing() -> None:
    assert version_at(15, packages=(*PACKAGES[:2], package(WEB_10_5_4, 14, completed=None))) == "10.5.4 (CU0)"


def test_other_kinds_of_package_set_no_version() -> None:
    assert version_at(15, packages=(*PACKAGES, package("10.5.5.0-15700", 14, kind="Cube"))) == "10.5.4 (CU0)"


def test_a_full_upgrade_overrides_web_upgrades() -> None:
    history = (*HISTORY, line("10.5.3.0-15396", 14))
    assert version_at(16, history=history) == "10.5.3 (CU0)"
    assert version_at(13, history=history) == "10.5.4 (CU0)"


@pytest.mark.parametrize(("minutes", "known"), [(-61, True), (-47, False), (12, False), (71, False), (73, True)])
def test_within_the_window_of_a_history_line_nothing_is_sure(minutes: float, known: bool) -> None:
    history = (*HISTORY, line(WEB_10_5_6, 14))
    version = version_at(14, minutes, history=history, packages=PACKAGES[:2])
    assert version.startswith("unknown") is not known


def test_a_package_makes_the_window_of_its_history_line_sure() -> None:
    history, packages = (*HISTORY, line(WEB_10_5_6, 14)), (*PACKAGES[:2], package(WEB_10_5_6, 14, kind="Full"))
    assert version_at(14, 5, history=history, packages=packages) == "10.5.4 (CU0)"
    assert version_at(14, 11, history=history, packages=packages) == "10.5.6 (CU0)"


def test_the_only_one_within_the_window_is_ambiguous() -> None:
    history = (*HISTORY, line("10.5.5.0-15700", 14))
    with pytest.raises(AmbiguousBackup) as caught:
        pick(vendor("a.zip", 14), vendor("b.zip", 25), history=history)
    assert "a.zip (2026-03-15T00:00:00Z" in caught.value.found
    assert "10.5.4 (CU0) by DataMiner 10.5.4.0-15588 Web Upgrade.dmupgrade or 10.5.5 (CU0) by the line of 2026-03-15 00:12:00" in caught.value.found
    assert "b.zip" not in caught.value.found
    assert "dataminer_backup" in caught.value.remedy


def test_one_within_a_window_of_other_versions_is_no_candidate() -> None:
    history = (*HISTORY, line("10.5.5.0-15700", 14))
    with pytest.raises(NoBackup, match=r"a\.zip"):
        pick(vendor("a.zip", 14), target="10.5.2", history=history)


def test_two_that_cannot_be_told_apart_are_ambiguous() -> None:
    history = (*HISTORY, line("10.5.5.0-15700", 14))
    with pytest.raises(AmbiguousBackup, match=r"but 2 may have been.*b\.zip.*a\.zip"):
        pick(vendor("a.zip", 14), vendor("b.zip", 14, 30), history=history)


def test_history_and_packages_that_contradict_each_other() -> None:
    """VersionHistory.txt says another release than the Full package of the same hour."""
    history, packages = (*HISTORY, line("10.5.7.0-16000", 14)), (*PACKAGES[:2], package(WEB_10_5_6, 14, kind="Full"))
    assert version_at(15, history=history, packages=packages).startswith("unknown: its version can't be told")
    for target in ("10.5.6", "10.5.7"):
        with pytest.raises(AmbiguousBackup):
            pick(vendor("a.zip", 15), target=target, history=history, packages=packages)


def test_a_full_package_that_history_does_not_know() -> None:
    packages = (*PACKAGES[:2], package(WEB_10_5_6, 14, kind="Full"))
    assert "of which VersionHistory.txt says nothing" in version_at(15, packages=packages)
    assert version_at(15, history=(), packages=packages) == "10.5.6 (CU0)"


def test_a_package_explains_one_line_only() -> None:
    """The same full upgrade once more, its folder long removed, still overrides the web upgrade in between."""
    history = (line(FULL_10_5_3, 0), line(FULL_10_5_3, 14))
    assert version_at(15, history=history, packages=PACKAGES[:2]) == "10.5.3 (CU0)"
    assert version_at(12, history=history, packages=PACKAGES[:2]) == "10.5.4 (CU0)"


def test_a_package_from_before_another_line_explains_none_after_it() -> None:
    history = (line(WEB_10_5_6, 5), line(FULL_10_5_3, 10))
    packages = (package(FULL_10_5_3, 0, kind="Full"), package(WEB_10_5_6, 5, kind="Full"))
    assert version_at(12, history=history, packages=packages) == "10.5.3 (CU0)"


def test_within_the_window_of_the_first_line_what_was_before_is_unknown() -> None:
    history = (line(WEB_10_5_4, 0),)
    assert version_at(0, 30, history=history, packages=()).endswith(", or older")
    assert version_at(0, 73, history=history, packages=()) == "10.5.4 (CU0)"
    with pytest.raises(AmbiguousBackup):
        pick(vendor("a.zip", 0, 30), history=history, packages=())


def test_lines_of_the_history_are_in_the_order_of_their_own_time() -> None:
    history = (line("10.5.3.0-15396", 0), line("10.5.5.0-15700", 0, 60))
    assert version_at(1, history=history, packages=()) == "10.5.5 (CU0)"
    assert version_at(1, history=history[::-1], packages=()) == "10.5.5 (CU0)"


DOWNGRADED = (*PACKAGES, package(WEB_10_5_4, 30))


def restored(day: float, *, state: str = "released", partial: bool = False) -> LastRestore:
    return LastRestore(run_id="commit-1", state=state, at=at(day), backup="b.zip", partial=partial)


@pytest.mark.parametrize("last", [None, restored(25), restored(40), restored(31, state="undone"), restored(31, partial=True)])
def test_what_was_made_after_a_downgrade_without_a_restore_is_migrated_content(last: LastRestore | None) -> None:
    """The older package's own automatic backup, and every later one, until the content was restored."""
    chosen = pick(vendor("b.zip", 20, 5), vendor("d.zip", 35), packages=DOWNGRADED, last_restore=last)
    assert chosen.backup.name == "b.zip"
    assert any("d.zip is newer, but was passed over: made after a downgrade from 10.5.6 (CU0) to 10.5.4" in warning for warning in chosen.warnings)
    alone = pick(ours("d.zip", 35, "10.5.4"), packages=DOWNGRADED, last_restore=last)
    assert any("it may be migrated content" in warning for warning in alone.warnings)


@pytest.mark.parametrize(("day", "name"), [(31, "d.zip"), (25, "b.zip")])
def test_a_backup_tells_of_the_restore_before_it(day: float, name: str) -> None:
    """An agent knows of its last restore only: after a second one the first, on which this backup rests, isn't on record any more."""
    backups = vendor("b.zip", 20, 5), ours("d.zip", 35, "10.5.4", restored=f"{at(day):%Y-%m-%dT%H:%M:%SZ}")
    assert pick(*backups, packages=DOWNGRADED, last_restore=restored(40)).backup.name == name


@pytest.mark.parametrize(
    "later",
    [
        (package(WEB_10_5_4, 30), package(WEB_10_5_4, 31)),  # once more, for the dashboards were broken
        (package(FULL_10_5_3, 30, kind="Full"), package(WEB_10_5_4, 31)),  # a Full package overrides the web apps (RN 43676)
    ],
)
def test_content_stays_migrated_whatever_is_installed_after_a_downgrade(later: tuple[InstalledPackage, ...]) -> None:
    good, migrated = ours("good.zip", 19, "10.5.4"), ours("migrated.zip", 35, "10.5.4")
    history = (*HISTORY, line(FULL_10_5_3, 30)) if later[0].package.kind == "Full" else HISTORY
    chosen = pick(good, migrated, packages=(*PACKAGES, *later), history=history)
    assert chosen.backup is good
    assert any("migrated.zip is newer, but was passed over: made after a downgrade from 10.5.6 (CU0)" in warning for warning in chosen.warnings)
    again = (*PACKAGES, *later, package(WEB_10_5_6, 40))
    assert pick(good, vendor("migrated.zip", 40, 3), packages=again, history=history).backup is good, "what that install found was migrated before"


def test_an_older_version_migrates_nothing_back_that_a_failed_install_did() -> None:
    good, migrated = ours("good.zip", 19, "10.5.4"), ours("migrated.zip", 35, "10.5.4")
    packages = (*PACKAGES[:2], package(WEB_10_5_6, 20, completed=False), package(WEB_10_5_4, 25))
    assert pick(good, migrated, packages=packages).backup is good
    mended = ours("mended.zip", 35, "10.5.4", restored=format_time(at(22)))
    assert pick(good, mended, packages=packages).backup is mended, "all of the content was restored after it failed"


@pytest.mark.parametrize("last", [restored(40, partial=True), restored(40, state="undone")])
def test_a_restore_of_some_things_or_one_that_was_undone_forgets_no_earlier_one(last: LastRestore) -> None:
    whole = replace(last, restored_before=at(31))
    assert pick(vendor("b.zip", 20, 5), vendor("d.zip", 50), packages=DOWNGRADED, last_restore=whole).backup.name == "d.zip"
    assert pick(vendor("b.zip", 20, 5), vendor("d.zip", 50), packages=DOWNGRADED, last_restore=last).backup.name == "b.zip"


def test_after_a_downgrade_and_a_restore_the_content_is_right() -> None:
    chosen = pick(vendor("b.zip", 20, 5), vendor("d.zip", 35), packages=DOWNGRADED, last_restore=restored(31))
    assert chosen.backup.name == "d.zip"
    assert not any("downgrade" in warning for warning in chosen.warnings)


def test_a_main_release_of_unknown_cu_is_ambiguous_and_not_chosen() -> None:
    packages = (package("10.4.0.0-14772", 1),)
    with pytest.raises(AmbiguousBackup, match=r"a\.zip"):
        pick(vendor("a.zip", 5), target="10.4.0 [CU7]", history=(), packages=packages)
    assert pick(vendor("a.zip", 5), target="10.4.0.0-14772", history=(), packages=packages).backup.name == "a.zip"


# The latest, and one by name


def test_the_latest_of_all() -> None:
    zips = [ours("a.zip", 12, "10.5.4"), vendor("b.zip", 20, 5), ours("c.zip", 19, "10.5.4")]
    chosen = pick(*zips, wanted="latest")
    assert chosen.backup.name == "b.zip"
    assert chosen.web_version == Version.parse(WEB_10_5_4)


def test_the_latest_on_another_version_is_a_warning() -> None:
    chosen = pick(vendor("b.zip", 5), wanted="latest")
    assert any("made on 10.5.3 (CU0), not on 10.5.4 (CU0): it may need another migration" in warning for warning in chosen.warnings)
    chosen = pick(vendor("b.zip", -5), wanted="latest")
    assert any("Whether b.zip was made on 10.5.4 (CU0) isn't known" in warning for warning in chosen.warnings)
    assert chosen.web_version is None


def test_the_latest_is_none_of_a_newer_version_than_the_target() -> None:
    """The installer of the older package made one of migrated content before it changed the version; the first run had chosen the other."""
    installed = (*PACKAGES, package(WEB_10_5_4, 30))
    automatic, unsure = vendor("automatic.zip", 30, 5), vendor("unsure.zip", 19.5)
    chosen = pick(ours("a.zip", 12, "10.5.4"), automatic, wanted="latest", packages=installed)
    assert (chosen.backup.name, chosen.how) == ("a.zip", "the newest that can be gone back to, as was asked for")
    assert "automatic.zip is newer, but was passed over: it was made on 10.5.6 (CU0), newer than 10.5.4 (CU0)." in chosen.warnings
    assert pick(automatic, wanted="latest", target=None, packages=installed).backup is automatic
    tried = (*PACKAGES[:2], package(WEB_10_5_6, 19, completed=None, ended=False))
    chosen = pick(ours("a.zip", 12, "10.5.4"), unsure, wanted="latest", packages=tried)
    assert "unsure.zip is newer, but was passed over: it may have been made on 10.5.6 (CU0), newer than 10.5.4 (CU0)." in chosen.warnings
    with pytest.raises(NoBackup, match=r"may have been made, on a newer web version than 10\.5\.4.*automatic\.zip.*Name the one to restore"):
        pick(automatic, wanted="latest", packages=installed)


def test_the_latest_is_of_doubtful_content_only_where_there_is_no_other() -> None:
    good, doubtful = ours("good.zip", 12, "10.5.4"), ours("doubtful.zip", 13, "10.5.4", suspect="its content may be migrated in part")
    chosen = pick(good, doubtful, wanted="latest")
    assert chosen.backup is good
    assert "doubtful.zip is newer, but was passed over: its content may be migrated in part." in chosen.warnings
    assert pick(doubtful, wanted="latest").backup is doubtful


def test_the_latest_that_can_be_used() -> None:
    chosen = pick(ours("bad.zip", 30, "10.5.4", intact=False), ours("good.zip", 12, "10.5.4"), wanted="latest")
    assert chosen.backup.name == "good.zip"
    assert any("bad.zip is newer, but can't be used" in warning for warning in chosen.warnings)


@pytest.mark.parametrize("wanted", ["A.zip", "a.ZIP", "d:\\WEB backups\\A.zip", "D:/web backups/a.zip", " a.zip "])
def test_one_by_name_or_path(wanted: str) -> None:
    chosen = pick(ours("a.zip", 12, "10.5.6"), ours("b.zip", 13, "10.5.4"), wanted=wanted)
    assert chosen.backup.name == "a.zip"
    assert any("not on 10.5.4" in warning for warning in chosen.warnings)


def test_one_by_name_needs_no_target() -> None:
    assert pick(ours("a.zip", 12, "10.5.6"), wanted="a.zip", target=None).warnings == ()


def test_one_name_in_two_folders() -> None:
    zips = [vendor("a.zip", 12), vendor("a.zip", 13, origin="own")]
    with pytest.raises(AmbiguousBackup, match="2 backups are called"):
        pick(*zips, wanted="a.zip")
    assert pick(*zips, wanted=zips[0].path).backup is zips[0]


def test_a_path_that_is_gone_leads_to_the_copy_put_aside() -> None:
    """The vendor's installer keeps five, and the older package made one more: the same command again finds what the first run chose."""
    wanted = vendor("wanted.zip", 19)
    chosen = pick(aside(wanted), vendor("later.zip", 29), wanted=wanted.path)
    assert chosen.backup.path == "C:\\work\\aside\\wanted.zip"
    assert chosen.how == f"the copy that was put aside of {wanted.path}, which is gone"
    with pytest.raises(NoBackup):
        pick(vendor("wanted.zip", 19, origin="own"), wanted=wanted.path)


def test_a_name_that_is_not_there_lists_what_is() -> None:
    with pytest.raises(NoBackup, match=r'no backup "c\.zip".*a\.zip'):
        pick(vendor("a.zip", 12), wanted="c.zip")


def test_a_damaged_one_is_not_taken_by_name_either() -> None:
    with pytest.raises(BackupInvalid, match=r"a\.zip can't be used: its manifest is no use"):
        pick(ours("a.zip", 12, "10.5.4", intact=False), wanted="a.zip")


def test_one_that_lost_its_manifest_can_be_named() -> None:
    chosen = pick(vendor("web-backup_DMA1_x.zip", 15, origin="own"), wanted="web-backup_DMA1_x.zip")
    assert any("has no manifest" in warning for warning in chosen.warnings)


@pytest.mark.parametrize(("wanted", "target"), [("target", None), ("", "10.5.4"), ("  ", None)])
def test_what_cannot_be_asked_for(wanted: str, target: str | None) -> None:
    with pytest.raises(InvalidInput):
        pick(ours("a.zip", 12, "10.5.4"), wanted=wanted, target=target)


def test_the_rows_of_the_table() -> None:
    chosen = pick(vendor("b.zip", 20, 5))
    row = chosen.candidates[0].row(offset_minutes=60)
    assert row == {
        "name": "b.zip",
        "path": "C:\\Skyline DataMiner\\System Cache\\Web\\Backups\\b.zip",
        "origin": "vendor",
        "made": "2026-03-21T00:05:00Z",
        "local": "2026-03-21 01:05",
        "size": "3.0 MiB",
        "version": "10.5.4 (CU0)",
        "note": "by its time: 10.5.4 (CU0) by DataMiner 10.5.4.0-15588 Web Upgrade.dmupgrade",
    }


def test_a_long_list_is_cut() -> None:
    with pytest.raises(NoBackup) as caught:
        pick(*[vendor(f"{n}.zip", -n) for n in range(1, 41)])
    assert "and 10 more" in caught.value.found


EVENTS = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from([WEB_10_5_4, WEB_10_5_6, FULL_10_5_3]), st.sampled_from([True, False, None])), max_size=6
)
ZIPS = st.lists(st.tuples(st.integers(-1, 31), st.sampled_from([None, "10.5.4", "10.5.6", "10.5.0 [CU1]"]), st.booleans()), max_size=6)


@settings(deadline=None)
@given(events=EVENTS, zips=ZIPS)
def test_by_target_only_the_target_or_its_content_is_chosen(
    events: list[tuple[int, str, bool | None]], zips: list[tuple[int, str | None, bool]]
) -> None:
    packages = tuple(package(version, day, completed=completed) for day, version, completed in events)
    backups = [ours(f"{n}.zip", day, web, intact=intact) if web else vendor(f"{n}.zip", day) for n, (day, web, intact) in enumerate(zips)]
    try:
        chosen = pick(*backups, history=(), packages=packages)
    except (NoBackup, AmbiguousBackup) as error:
        assert "was made later" in str(error) or not any(web == "10.5.4" and intact for _, web, intact in zips)
        return
    assert chosen.web_version is not None
    assert chosen.web_version in (Version.parse("10.5.4"), Version.parse(WEB_10_5_4), Version.parse("10.5.0 [CU1]"))
    assert chosen.backup.manifest is None or chosen.backup.manifest.intact
    exact = [row for row in chosen.candidates if row.by_manifest and not row.problem and not row.suspect and row.version == Version.parse("10.5.4")]
    if exact:
        assert chosen.backup is exact[0].backup
        assert same_release(chosen.web_version, Version.parse("10.5.4"))


@settings(deadline=None)
@given(events=EVENTS, day=st.integers(-1, 31))
def test_a_version_by_time_is_the_last_completed_before_it(events: list[tuple[int, str, bool | None]], day: int) -> None:
    """Against a plain reading: with every outcome known, the last install that ended before the moment."""
    unique = {row[0]: row for row in events if row[2] is not None}
    packages = tuple(package(version, start, completed=completed) for start, version, completed in unique.values())
    done = sorted((start, version) for start, version, completed in unique.values() if completed and start < day)
    expected = str(Version.parse(done[-1][1])) if done else "unknown"
    assert version_at(day, history=(), packages=packages).split(":")[0] == expected
