"""The simulated cluster behaves as the field's documentation says: what it writes, what its installer does, how it fails."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from ansible_collections.dataminer.web.plugins.module_utils.package import parse_package_name
from ansible_collections.dataminer.web.plugins.module_utils.version import Threshold, Version
from simulator import content, edits, hostcmd, releases, schema, taskbar, timeline, tree, vendor, webfiles
from simulator import state as machine
from simulator.__main__ import main as command_line
from simulator.cluster import Agent, Cluster, create_cluster, write_inventory
from simulator.packages import make_package, open_package

SUCCESS = re.compile(r"(?i)upgrade (succeeded|completed|finished)")
DMS = "{http://www.skyline.be/config/dms}"
NOW = time.time()  # one moment for all clusters, so that their content is made up once
FEW = [spec for spec in content.APPS if spec.name in ("Überwachung Köln & Réseau", "Ticket Triage", "Broken Info")]  # small trees are quick ones
TESTS = Path(__file__).resolve().parents[1]

Make = Callable[..., Cluster]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Creates a cluster of one agent that installs in no time, unless told otherwise. Its thousands of files don't stay."""
    usual: dict[str, object] = {"agents": 1, "install_seconds": 0, "packages": (), "now": NOW, "apps": FEW}

    def create(folder: str = "pluto", **options: object) -> Cluster:
        return create_cluster(tmp_path / folder, **{**usual, **options})  # type: ignore[arg-type]

    yield create
    shutil.rmtree(tmp_path)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """The usual cluster, for tests that only read."""
    return create_cluster(tmp_path_factory.mktemp("cluster") / "pluto", failed=True)


def install(cluster: Cluster, version: str, kind: str = "Web", agent: str = "DMA1") -> int:
    return taskbar.run(["-upgrade", str(cluster.package(version, kind))], home=str(cluster.agent(agent).home))


def newest_log(agent: Agent) -> str:
    logs = sorted(agent.packages.glob("*/progress.log"), key=lambda path: path.stat().st_mtime_ns)
    return logs[-1].read_text("utf-8")


def zips(agent: Agent) -> list[Path]:
    return sorted(agent.vendor_backup_dir.glob("*.zip"), key=lambda path: path.stat().st_mtime_ns)


def stamps(files: dict[str, bytes]) -> set[str]:
    return {schema.stamp_of(data).label for path, data in files.items() if schema.is_stamped(path)}


def unzipped(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def on_disk(agent: Agent) -> dict[str, bytes]:
    return {path: (agent.root / path).read_bytes() for path in schema.content_files(agent.root)}


# Releases


@pytest.mark.parametrize(
    ("text", "label", "ordinal"),
    [
        ("10.5.4.0-15588-20250319-release", "10.5.4", 64),
        ("10.5.0 [CU1]", "10.5.0 [CU1]", 64),
        ("10.4.0.0(CU13)-15600", "10.4.0 [CU13]", 64),
        ("DataMiner 10.5.9.0-16238 Web Upgrade.dmupgrade", "10.5.9", 69),
        ("10.3.9-CU2", "10.3.9 (CU2)", 45),
    ],
)
def test_release_is_read_and_placed_in_its_month(text: str, label: str, ordinal: int) -> None:
    release = releases.Release.parse(text)
    assert (release.label, release.ordinal) == (label, ordinal)
    assert releases.Release.parse(release.label).label == label
    assert releases.Release.parse(release.package_version) == releases.Release.parse(release.package_version)
    assert releases.Release.parse(release.package_version).build == release.build


def test_text_without_a_release_is_refused() -> None:
    with pytest.raises(ValueError, match="names no release"):
        releases.Release.parse("latest")


@pytest.mark.parametrize(
    ("text", "months", "expected"),
    [
        ("10.5.4", -1, "10.5.3"),
        ("10.5.1", -1, "10.4.12"),
        ("10.5.12", 1, "10.6.1"),
        ("10.5.0 [CU2]", -2, "10.5.0 [CU0]"),
        ("10.5.0 [CU0]", -1, "10.4.0 [CU11]"),
    ],
)
def test_months_lead_to_the_neighbours_on_the_same_track(text: str, months: int, expected: str) -> None:
    assert releases.Release.parse(text).shifted(months).label == expected


@pytest.mark.parametrize(
    ("ours", "texts"),
    [
        (releases.TWO_VERSIONS, ("10.4.0 [CU21]", "10.5.0 [CU9]", "10.5.12")),
        (releases.WEB_FOLDER, ("10.5.0 [CU11]", "10.6.2")),
        (releases.DOTNET_10_DEMANDED, ("10.7.0", "10.6.5")),
        (releases.AUTOMATIC_BACKUP, ("10.3.0 [CU8]", "10.3.11")),
    ],
)
def test_thresholds_agree_with_those_of_the_collection(ours: releases.Since, texts: tuple[str, ...]) -> None:
    theirs = Threshold.parse(*texts)
    feature = [f"10.{minor}.{patch}" for minor in range(3, 8) for patch in range(1, 13)]
    # A branch ends some twenty CUs on: beyond the CU named for another branch there is nothing to agree about.
    main = [f"10.{minor}.0 [CU{cu}]" for minor in range(3, 8) for cu in range(0, 23)]
    for text in feature + main:
        assert ours.reached(releases.Release.parse(text)) == theirs.reached(Version.parse(text)), text


@pytest.mark.parametrize(
    ("web", "server", "fits"),
    [("10.5.9", "10.4.0", True), ("10.5.9", "10.3.12", False), ("10.6.1", "10.5.0", True), ("10.6.1", "10.4.12", False), ("10.4.2", "10.3.2", False)],
)
def test_server_baseline(web: str, server: str, fits: bool) -> None:
    assert releases.server_fits(releases.Release.parse(web), releases.Release.parse(server)) is fits


# The tree


def test_cluster_is_small_and_made_quickly(tmp_path: Path) -> None:
    started = time.process_time()
    cluster = create_cluster(tmp_path / "pluto")
    assert time.process_time() - started < 3
    for agent in cluster.agents:
        sizes = [path.stat().st_size for path in agent.home.rglob("*") if path.is_file()]
        assert len(sizes) < 400
        assert sum(sizes) < 3_000_000


def test_same_seed_and_moment_make_the_same_tree_and_another_seed_another(make: Make) -> None:
    first, again, other = (make(folder, seed=seed, now=1.8e9) for folder, seed in (("a", 1), ("b", 1), ("c", 2)))
    files = [
        {p.relative_to(c.agents[0].root): (p.read_bytes(), p.stat().st_mtime) for p in c.agents[0].root.rglob("*") if p.is_file()}
        for c in (first, again, other)
    ]
    assert files[0] == files[1]
    assert files[0] != files[2]


def test_agents_show_the_same_content_at_the_same_times(three: Cluster) -> None:
    digests = [three.digest(agent.name) for agent in three.agents]
    assert digests[0] == digests[1] == digests[2]
    times = [{path: (agent.root / path).stat().st_mtime for path in digests[0]} for agent in three.agents]
    assert times[0] == times[1] == times[2]
    assert not {path.name for path in three.agents[0].packages.iterdir()} & {path.name for path in three.agents[1].packages.iterdir()}


def test_cluster_is_found_again_on_disk(three: Cluster) -> None:
    assert Cluster.load(three.dir) == three
    assert [(agent.name, agent.id, agent.address) for agent in three.agents] == [
        ("DMA1", 111, "10.11.12.1"),
        ("DMA2", 112, "10.11.12.2"),
        ("DMA3", 113, "10.11.12.3"),
    ]


def test_cluster_is_not_written_over_another(make: Make) -> None:
    cluster = make()
    before = cluster.tree_digest("DMA1")
    with pytest.raises(FileExistsError, match="remove it first"):
        make()
    assert cluster.tree_digest("DMA1") == before


def test_folder_without_a_cluster_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no simulated cluster"):
        Cluster.load(tmp_path)


def test_dms_xml_lists_the_own_agent_first_and_without_id(three: Cluster) -> None:
    for agent in three.agents:
        document = ElementTree.fromstring((agent.root / "DMS.xml").read_bytes())
        assert document.attrib == {"errorTime": "30000", "synchronized": "true"}
        assert document.find(f"{DMS}Cluster").attrib["name"] == "pluto"  # type: ignore[union-attr]
        rows = [(row.get("ip"), row.get("id")) for row in document.iter(f"{DMS}DMA")]
        assert rows[0] == (agent.address, None)
        assert sorted(rows[1:]) == sorted((other.address, str(other.id)) for other in three.agents if other != agent)
        assert document.find(f"{DMS}Failover") is None
        assert ElementTree.fromstring((agent.root / "DataMiner.xml").read_bytes()).get("id") == str(agent.id)


def test_secrets_stand_in_both_configuration_files_and_nowhere_else(three: Cluster) -> None:
    agent = three.agents[0]
    holding = {}
    for path in filter(Path.is_file, agent.home.rglob("*")):
        found = [secret for secret in tree.SECRETS if secret.encode() in path.read_bytes()]
        holding.update({path.name: found} if found else {})
    assert holding == {"DMS.xml": [tree.SECRETS[0]], "DataMiner.xml": [tree.SECRETS[1]]}


def test_failover_pair_is_in_dms_xml(make: Make) -> None:
    document = ElementTree.fromstring((make(failover=True).agents[0].root / "DMS.xml").read_bytes())
    assert len(list(document.iter(f"{DMS}Agent"))) == 2


def test_version_history_holds_full_upgrades_in_local_time(three: Cluster) -> None:
    agent = three.agents[0]
    lines = (agent.root / "Upgrades" / "VersionHistory.txt").read_text("utf-8").splitlines()
    assert lines[-1].endswith(";10.5.4.0-15588-20250319-release")
    assert len(lines) == len(list(agent.packages.glob("* Full Upgrade.*"))) == 4
    moments = [datetime.strptime(line.split(";")[0], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) for line in lines]
    assert moments == sorted(moments)
    log = next(agent.packages.glob("DataMiner 10.5.4.0-15588 Full*/progress.log"))
    ended = datetime.fromtimestamp(log.stat().st_mtime, UTC)
    assert moments[-1] - ended == timedelta(minutes=62)  # an offset of 60 minutes, and the first start two minutes later


def test_no_time_is_in_the_future(three: Cluster) -> None:
    now = time.time()
    for agent in three.agents:
        assert all(path.stat().st_mtime < now - 15 * content.DAY for path in agent.root.rglob("*") if path.is_file())
        assert all(row["started"] < machine.utc_text(now) for row in three.state(agent.name)["processes"])


def test_newest_completed_package_tells_the_web_version(three: Cluster) -> None:
    agent = three.agents[0]
    logs = sorted(agent.packages.glob("*/progress.log"), key=lambda path: path.stat().st_mtime)
    named = [(parse_package_name(log.parent.name), bool(SUCCESS.search(log.read_text("utf-8")))) for log in logs]
    assert all(re.fullmatch(r"DataMiner .*\.dmupgrade-[0-9a-f]{32}", log.parent.name) for log in logs)
    assert [done for _, done in named] == [True] * 7 + [False]
    assert [package.kind for package, _ in named] == ["Full", "Full", "Full", "Web", "Full", "Web", "Web", "Web"]
    assert str(named[-2][0].version) == "10.5.6 (CU0)"
    assert [path.name for path in logs[-1].parent.glob("*.json")] == ["PreRequisite-Result-VerifyFreeDiskSpace.dll.json"]
    assert not list(agent.packages.glob("*/PreRequisite-Result-*"))[1:]


def test_history_texts_are_versions_the_collection_reads(make: Make) -> None:
    cluster = make(server="10.5.0 [CU3]", web="10.5.0 [CU5]")
    lines = (cluster.agents[0].root / "Upgrades" / "VersionHistory.txt").read_text("utf-8").splitlines()
    assert [Version.parse(line.split(";")[1]).track for line in lines] == ["MR"] * 4
    assert {parse_package_name(path.name).version.track for path in cluster.agents[0].packages.iterdir()} == {"MR"}


def test_library_names_its_build(three: Cluster) -> None:
    data = (three.agents[0].root / webfiles.DLL).read_bytes()
    assert webfiles.library_version(data) == releases.Release.parse("10.5.6").api_version == "10.5.2506.5848"
    assert webfiles.library_version(b"MZ" + bytes(5000)) is None
    assert data.find(b"\xbd\x04\xef\xfe\x00\x00\x01\x00") > 1000


def test_apps_cover_the_odd_cases(three: Cluster) -> None:
    root = three.agents[0].root / "Applications"
    seen, encodings = {}, set()
    for spec in content.APPS:
        folder = root / three.app_folder(spec.name)
        assert {int(path.name[8:]) for path in folder.glob("version_*")} == set(spec.versions)
        info = folder / "App.info.json"
        if spec.flaw:
            assert info.exists() is (spec.flaw == "truncated")
            continue
        value = schema.read_json(info.read_bytes())
        encodings.add(schema.encoding_of(info.read_bytes()))
        seen[spec.name] = (value["PublicVersion"], value["DraftVersion"])
        assert ("Versions" in value, "ID" in value) == (not spec.old_shape, not spec.old_shape)
    assert len(list(root.iterdir())) == len(content.APPS) == 10
    assert encodings == {"utf-8", "utf-8-sig", "utf-16"}
    assert set(seen.values()) == {(23, 24), (178, 179), (5, 0), (None, 2), (2, None), (None, None), (0, 0), (7, 9)}
    with pytest.raises(ValueError, match="Unterminated string"):
        schema.read_json((root / three.app_folder("Broken Info") / "App.info.json").read_bytes())
    assert sum(len(spec.versions) for spec in content.APPS) > 40


def test_app_version_holds_what_it_lists(three: Cluster) -> None:
    folder = three.agents[0].root / "Applications" / three.app_folder("Satellite Booking") / "version_24"
    config = schema.read_json((folder / "App.config.json").read_bytes())
    assert {path.name for path in (folder / "pages").iterdir()} == {f"{page['ID']}.dmadb.json" for page in config["Pages"]}
    favicon = next((folder / "assets").glob("favicon-*.png"))
    assert favicon.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_dashboards_have_folders_pictures_themes_and_foreign_letters(three: Cluster) -> None:
    paths = [path for path in three.digest("DMA1") if path.startswith("Dashboards/")]
    assert "Dashboards/Themes.json" in paths
    assert "Dashboards/_IMAGES/Gebäude.png" in paths
    assert "Dashboards/Playout/東京/チャンネル.dmadb.json" in paths
    assert (three.agents[0].root / "Dashboards/Overview.dmadb.json").read_bytes().startswith(b"\xef\xbb\xbf")


@pytest.mark.parametrize(("web", "there"), [("10.6.1", False), ("10.6.2", True), ("10.5.0 [CU10]", False), ("10.5.0 [CU11]", True)])
def test_folder_web_is_there_from_its_release_on(make: Make, web: str, there: bool) -> None:
    cluster = make(server="10.5.0", web=web)
    assert (cluster.agents[0].root / "Web").is_dir() is there
    assert any(path.startswith("Web/") for path in cluster.digest("DMA1")) is there


def test_older_release_writes_app_info_in_the_old_shape_only(make: Make) -> None:
    agent = make(server="10.4.6", web="10.5.1").agents[0]
    texts = [path.read_bytes().decode(schema.encoding_of(path.read_bytes())) for path in agent.root.glob("Applications/*/App.info.json")]
    assert texts
    assert not any("Versions" in text for text in texts)


def test_large_tree_has_the_files_and_bytes_asked_for(make: Make) -> None:
    small, large = make("small"), make("large", size=content.Size(files=802, megabytes=3))
    extra = set(large.digest("DMA1")) - set(small.digest("DMA1"))
    assert len(extra) == 802
    assert 2.4e6 < sum((large.agents[0].root / path).stat().st_size for path in extra) < 3.6e6
    assert schema.readable(large.agents[0].root, "10.5.6") == []  # two whole apps of 401 files


def test_facts_of_one_agent_may_differ(make: Make) -> None:
    cluster = make(agents=2, per_agent={"DMA2": {"web": "10.5.4", "runtimes": ["10.0.1"]}})
    assert [cluster.state(name)["web"] for name in ("DMA1", "DMA2")] == ["10.5.6.0-15848", "10.5.4.0-15588"]
    assert cluster.state("DMA2")["runtimes"] == ["10.0.1"]
    assert cluster.digest("DMA1") != cluster.digest("DMA2")


# The vendor's backups


def test_backups_fit_the_history_and_hold_the_content_of_then(three: Cluster) -> None:
    for agent in three.agents:
        found = zips(agent)
        assert len(found) == 2
        for path, version, package in zip(found, ("10.5.4", "10.5.5"), ("10.5.5", "10.5.6"), strict=True):
            files = unzipped(path)
            assert stamps(files) == {version}
            assert {name.split("/")[0] for name in files} == {"Applications", "Dashboards"}
            assert re.fullmatch(r"[0-9a-f-]{36}\.zip", path.name)
            folder = next(agent.packages.glob(f"DataMiner {package}.0-* Web*"))
            assert folder.stat().st_mtime < path.stat().st_mtime < (folder / "progress.log").stat().st_mtime


def test_five_backups_with_the_oldest_made_on_a_given_version(make: Make) -> None:
    cluster = make(server="10.5.6", web="10.5.9", five=True)
    found = [stamps(unzipped(path)) for path in zips(cluster.agents[0])]
    assert found == [{"10.5.6"}, {"10.5.7"}, {"10.5.8"}, {"10.5.8"}, {"10.5.9"}]
    assert stamps(on_disk(cluster.agents[0])) == {"10.5.9"}
    assert stamps(unzipped(zips(make("b", server="10.5.4", web="10.5.9", five_from="10.5.8").agents[0])[0])) == {"10.5.8"}


def test_five_backups_can_not_begin_after_the_web_version() -> None:
    with pytest.raises(ValueError, match="is older"):
        timeline.steps(releases.Release.parse("10.5.4"), releases.Release.parse("10.5.6"), five_from=releases.Release.parse("10.5.7"))


@pytest.mark.parametrize(
    ("version", "two"), [("10.5.11", False), ("10.5.12", True), ("10.5.0 [CU8]", False), ("10.5.0 [CU9]", True), ("10.4.0 [CU21]", True)]
)
def test_selection_follows_the_web_version(three: Cluster, version: str, two: bool) -> None:
    chosen = vendor.select(vendor.DiskSource(three.agents[0].root), two_versions=releases.TWO_VERSIONS.reached(releases.Release.parse(version)))
    total = len(three.digest("DMA1"))
    assert (len(chosen.paths) < total) is two
    assert bool(chosen.warnings) is two
    expected = {three.app_folder(name) for name in ("Broken Info", "No Info", "Abandoned Draft")} if two else set()
    assert set(chosen.excluded) == expected


def test_two_versions_keep_the_published_one_and_the_draft(three: Cluster) -> None:
    chosen = vendor.select(vendor.DiskSource(three.agents[0].root), two_versions=True)
    kept: dict[str, set[int]] = {spec.name: set() for spec in content.APPS}
    folders = {three.app_folder(spec.name): spec.name for spec in content.APPS}
    for match in filter(None, (re.match(r"Applications/([^/]+)/version_(\d+)/", path) for path in chosen.paths)):
        kept[folders[match[1]]].add(int(match[2]))
    assert kept == {
        "Satellite Booking": {23, 24},
        "Überwachung Köln & Réseau": {178, 179},
        "Equipment Inventory": {5},
        "Ticket Triage": {2},
        "放送スケジュール": {2},
        "Abandoned Draft": set(),
        "Zero and Zero": set(),
        "Broken Info": set(),
        "No Info": set(),
        "Version Missing": {7},
    }
    assert f"Applications/{three.app_folder('Zero and Zero')}/App.info.json" in chosen.paths
    assert f"Applications/{three.app_folder('Satellite Booking')}/Thumbnail.png" in chosen.paths
    assert any("version 9 is missing" in text for text in chosen.warnings)


@pytest.mark.parametrize(
    ("style", "name"),
    [
        (vendor.ZipStyle(lower_roots=True), "dashboards/Operations/Alarms.dmadb.json"),
        (vendor.ZipStyle(backslashes=True), "Dashboards\\Operations\\Alarms.dmadb.json"),
        (vendor.ZipStyle(folders=True), "Dashboards/Operations/"),
    ],
)
def test_zip_in_another_style(make: Make, style: vendor.ZipStyle, name: str) -> None:
    cluster = make(vendor_backups=0)
    path = cluster.make_vendor_backup("DMA1", "10.5.6", 1.7e9, style=style)
    assert name in unzipped(path)


def test_made_backup_holds_the_content_as_it_was_on_a_version(make: Make) -> None:
    cluster = make(vendor_backups=0, web="10.5.6")
    agent, before = cluster.agents[0], on_disk(cluster.agents[0])
    assert install(cluster, "10.5.9") == 0
    path = cluster.make_vendor_backup("DMA1", "10.5.6", 1.7e9)
    assert path.stat().st_mtime == 1.7e9
    assert unzipped(path) == before
    assert stamps(unzipped(cluster.make_vendor_backup("DMA1", "10.5.12", 1.7e9))) == {"10.5.12"}
    assert stamps(on_disk(agent)) == {"10.5.9"}


def test_five_newest_are_kept(make: Make) -> None:
    cluster = make(server="10.5.6", web="10.5.6", five=True)
    agent = cluster.agents[0]
    before = zips(agent)
    assert install(cluster, "10.5.6") == 0
    after = zips(agent)
    assert len(before) == len(after) == 5
    assert after[:4] == before[1:]
    assert f"Deleted the old backup {before[0].name}" in newest_log(agent)


# Reading content of another release


def test_older_release_can_not_read_newer_content(three: Cluster) -> None:
    root = three.agents[0].root
    assert schema.readable(root, "10.5.6") == []
    assert schema.readable(root, "10.5.0 [CU3]") == []
    problems = schema.readable(root, "10.5.5")
    assert len(problems) == len([path for path in three.digest("DMA1") if schema.is_stamped(path)])
    assert all("10.5.6" in problem for problem in problems)
    assert 0 < len(schema.readable(root, "10.5.5", live_only=True)) < len(problems)


def test_missing_page_and_broken_file_are_problems(make: Make) -> None:
    cluster = make()
    root = cluster.agents[0].root
    folder = root / "Applications" / cluster.app_folder("Ticket Triage") / "version_2"
    gone = sorted((folder / "pages").iterdir())[0]
    gone.unlink()
    (root / "Dashboards/Overview.dmadb.json").write_text("{", "utf-8")
    problems = schema.readable(root, "10.5.6")
    assert len(problems) == 2
    assert f"page {gone.name.split('.')[0]} is missing" in problems[0]
    assert problems[1].startswith("Dashboards/Overview.dmadb.json: can't be read")


def test_migration_keeps_the_encoding_and_can_be_told_back(three: Cluster) -> None:
    data = (three.agents[0].root / "Dashboards/Overview.dmadb.json").read_bytes()
    newer = schema.migrated(data, releases.Release.parse("10.6.2"))
    assert newer is not None
    assert newer.startswith(b"\xef\xbb\xbf")
    assert schema.stamp_of(newer).label == "10.6.2"
    assert schema.migrated(newer, releases.Release.parse("10.5.9")) is None
    assert schema.restamp(newer, releases.Release.parse("10.5.6")) == data


# The installer


def test_upgrade_does_what_a_web_upgrade_does(make: Make) -> None:
    cluster = make(server="10.5.6", web=None)
    agent, before, state = cluster.agents[0], on_disk(cluster.agents[0]), cluster.state("DMA1")
    history = (agent.root / "Upgrades" / "VersionHistory.txt").read_bytes()
    config, started = (agent.root / webfiles.CONFIG).read_text("utf-8"), time.time()
    known = set(zips(agent))
    assert install(cluster, "10.5.9") == 0
    after, now = on_disk(agent), cluster.state("DMA1")
    assert stamps(after) == {"10.5.9"}
    changed = [path for path in after if after[path] != before[path]]
    assert changed == [path for path in before if schema.is_stamped(path)]
    assert all(abs((agent.root / path).stat().st_mtime - started) < 60 for path in changed)
    (made,) = set(zips(agent)) - known
    assert unzipped(made) == before
    assert SUCCESS.search(newest_log(agent).splitlines()[-1])
    assert (agent.root / "Upgrades" / "VersionHistory.txt").read_bytes() == history
    assert webfiles.library_version((agent.root / webfiles.DLL).read_bytes()) == "10.5.2509.6238"
    edited = (agent.root / webfiles.CONFIG).read_text("utf-8")
    assert edited == config.replace("10.5.2506.5848", "10.5.2509.6238") != config
    assert (now["web"], now["server"]) == ("10.5.9.0-16238", state["server"])
    assert _processes(state).items() - _processes(now).items() == {("W3SVC", _processes(state)["W3SVC"])}
    assert _processes(now)["W3SVC"][1] >= machine.utc_text(started - 1)


def _processes(state: dict[str, object]) -> dict[str, tuple[int, str]]:
    return {row["name"]: (row["pid"], row["started"]) for row in state["processes"]}  # type: ignore[attr-defined]


def test_package_folder_bears_the_files_name_and_a_random_end(make: Make) -> None:
    cluster = make()
    known = set(cluster.agents[0].packages.iterdir())
    assert install(cluster, "10.5.9") == install(cluster, "10.5.9") == 0
    made = [path.name for path in set(cluster.agents[0].packages.iterdir()) - known]
    assert len(made) == 2
    assert all(re.fullmatch(r"DataMiner 10\.5\.9\.0-16238 Web Upgrade\.dmupgrade-[0-9a-f]{32}", name) for name in made)


def test_downgrade_leaves_content_migrated_and_backs_it_up_so(make: Make) -> None:
    cluster = make(server="10.5.6", web="10.5.9")
    agent, before = cluster.agents[0], on_disk(cluster.agents[0])
    modules, known = cluster.state("DMA1")["modules"], set(zips(agent))
    assert install(cluster, "10.5.6") == 0
    assert on_disk(agent) == before
    (made,) = set(zips(agent)) - known
    assert stamps(unzipped(made)) == {"10.5.9"}
    assert cluster.state("DMA1")["web"] == "10.5.6.0-15848"
    assert webfiles.library_version((agent.root / webfiles.DLL).read_bytes()) == "10.5.2506.5848"
    assert cluster.state("DMA1")["modules"] == modules
    assert len(schema.readable(agent.root, "10.5.6")) == sum(map(schema.is_stamped, before))


@pytest.mark.parametrize(
    ("installed", "package", "names"),
    [
        ("10.5.1", "10.5.2", ["DataMiner GQI"]),
        ("10.4.12", "10.5.1", []),
        ("10.5.9", "10.5.11", ["DataMiner GQI", "DataMiner Web"]),
        ("10.5.0 [CU7]", "10.5.0 [CU8]", ["DataMiner GQI", "DataMiner Web"]),
    ],
)
def test_modules_come_with_the_packages_that_bring_them(make: Make, installed: str, package: str, names: list[str]) -> None:
    cluster = make(server="10.4.6", web=installed, vendor_backups=0)
    assert install(cluster, package) == 0
    rows = cluster.state("DMA1")["modules"]
    assert [row["name"] for row in rows] == names
    version = releases.Release.parse(package).api_version
    assert all(row["version"] == version and re.fullmatch(r"\{[0-9A-F-]{36}\}", row["code"]) for row in rows)
    assert sorted(path.name for path in (cluster.agents[0].root / webfiles.INSTALLERS).glob("*")) == [f"{name} {version}.msi" for name in names]


def test_assistant_is_updated_only_where_it_is(make: Make) -> None:
    release = releases.Release.parse("10.6.2")
    old = {"name": "DataMiner Assistant", "version": "1.0.0.0", "code": "{A}"}
    assert "DataMiner Assistant" not in {row["name"] for row in webfiles.upgraded_modules([], release)}
    assert webfiles.upgraded_modules([old], release)[0]["version"] == release.api_version


@pytest.mark.parametrize(
    ("installed", "package", "all_versions"), [("10.5.11", "10.5.12", True), ("10.5.12", "10.6.1", False), ("10.5.0 [CU9]", "10.5.0 [CU10]", False)]
)
def test_automatic_backup_goes_by_the_installed_version(make: Make, installed: str, package: str, all_versions: bool) -> None:
    cluster = make(server="10.5.0", web=installed, vendor_backups=0)
    before = on_disk(cluster.agents[0])
    assert install(cluster, package) == 0
    held = unzipped(zips(cluster.agents[0])[0])
    assert (set(held) == set(before)) is all_versions
    assert {name: before[name] for name in held} == held
    assert ("Warning: " in newest_log(cluster.agents[0])) is not all_versions


def test_no_automatic_backup_before_there_were_any(make: Make) -> None:
    cluster = make(server="10.3.6", web="10.3.8", vendor_backups=0)
    assert install(cluster, "10.3.11") == 0
    assert zips(cluster.agents[0]) == []
    assert install(cluster, "10.3.12") == 0
    assert len(zips(cluster.agents[0])) == 1


def test_folder_web_is_made_by_the_upgrade_and_stays_out_of_the_backup(make: Make) -> None:
    cluster = make(server="10.5.6", web="10.6.2", vendor_backups=0)
    assert install(cluster, "10.6.3") == 0
    assert not any(name.startswith("Web/") for name in unzipped(zips(cluster.agents[0])[0]))
    cluster.set_state("DMA1", vendor_zip_holds_web=True)
    assert install(cluster, "10.6.3") == 0
    assert "Web/Images/logo.png" in unzipped(zips(cluster.agents[0])[-1])


def test_upgrade_to_the_release_of_the_folder_web_makes_it(make: Make) -> None:
    cluster = make(server="10.5.6", web="10.6.1")
    assert install(cluster, "10.6.2") == 0
    assert (cluster.agents[0].root / "Web").is_dir()


def test_full_package_writes_the_history_and_restarts_everything(make: Make) -> None:
    cluster = make(server="10.5.6", web=None)
    before = cluster.state("DMA1")
    assert install(cluster, "10.5.9", "Full") == 0
    after = cluster.state("DMA1")
    assert not set(_processes(before).values()) & set(_processes(after).values())
    assert _processes(before).keys() == _processes(after).keys()
    line = (cluster.agents[0].root / "Upgrades" / "VersionHistory.txt").read_text("utf-8").splitlines()[-1]
    moment, text = line.split(";")
    assert text == after["server"] == "10.5.9.0-16238-20250819-release"
    local = datetime.strptime(moment, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    assert abs(local - datetime.now(UTC) - timedelta(minutes=60)) < timedelta(seconds=30)


@pytest.mark.parametrize(
    ("options", "version", "kind", "result"),
    [
        ({"server": "10.3.12", "web": None}, "10.5.1", "Web", "VerifyServerVersion"),
        ({"server": "10.4.12", "web": None}, "10.6.1", "Web", "VerifyServerVersion"),
        ({"server": "10.6.1", "web": None}, "10.6.5", "Web", "VerifyDotNetRuntime"),
        ({"server": "10.6.0", "web": None}, "10.7.0", "Web", "VerifyDotNetRuntime"),
        ({}, "10.5.9", "Hotfix", "VerifyPackageKind"),
    ],
)
def test_prerequisites_refuse_and_leave_the_agent_alone(make: Make, options: dict[str, str], version: str, kind: str, result: str) -> None:
    cluster = make(**options)
    agent, digest, state = cluster.agents[0], cluster.tree_digest("DMA1"), cluster.state("DMA1")
    assert install(cluster, version, kind) == taskbar.FAILED
    after = cluster.tree_digest("DMA1")
    added = {path for path in after if path not in digest}
    assert {path.rsplit("/", 1)[-1] for path in added if "." in path.rsplit("-", 1)[-1]} == {"progress.log", f"PreRequisite-Result-{result}.dll.json"}
    assert {path for path in digest if digest[path] != after[path]} == {"Skyline DataMiner/Upgrades/Packages"}
    assert not SUCCESS.search(newest_log(agent))
    assert "Upgrade failed" in newest_log(agent)
    assert cluster.state("DMA1") == state


@pytest.mark.parametrize(("server", "version"), [("10.6.1", "10.6.5"), ("10.6.0", "10.7.0")])
def test_runtime_that_is_there_lets_the_package_in(make: Make, server: str, version: str) -> None:
    cluster = make(server=server, web=None)
    cluster.set_state("DMA1", runtimes=["8.0.11", "10.0.1"])
    assert install(cluster, version) == 0


def test_main_release_needing_dotnet_10_is_installed_unchecked(make: Make) -> None:
    cluster = make(server="10.5.0 [CU9]", web=None)
    assert cluster.state("DMA1")["runtimes"] == ["8.0.11"]
    assert install(cluster, "10.5.0 [CU14]") == 0


@pytest.mark.parametrize("point", ["prerequisites", "backup", "migration", "end"])
def test_failure_at_each_point_shows_in_code_and_log_and_is_used_up(make: Make, point: str) -> None:
    cluster = make()
    agent, before = cluster.agents[0], on_disk(cluster.agents[0])
    cluster.set_state("DMA1", fail_at=point)
    assert install(cluster, "10.5.9") == taskbar.FAILED
    assert not SUCCESS.search(newest_log(agent))
    migrated = sum(data != before[path] for path, data in on_disk(agent).items())
    total = sum(map(schema.is_stamped, before))
    assert migrated == {"prerequisites": 0, "backup": 0, "migration": total // 2, "end": total}[point]
    assert len(zips(agent)) == (2 if point in ("prerequisites", "backup") else 3)
    assert (agent.vendor_backup_dir / "Temp").exists() is (point == "backup")
    assert install(cluster, "10.5.9") == 0
    assert not (agent.vendor_backup_dir / "Temp").exists()
    assert stamps(on_disk(agent)) == {"10.5.9"}


def test_lasting_failure_lasts(make: Make) -> None:
    cluster = make()
    cluster.set_state("DMA1", fail_at="end", fail_persistent=True)
    assert [install(cluster, "10.5.9") for _ in range(2)] == [taskbar.FAILED] * 2


def test_second_upgrade_at_the_same_time_is_refused(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = make()
    package = cluster.package("10.5.9")
    with cluster.upgrade_running("DMA1"):
        assert machine.facts(cluster.agents[0].home)["upgrade_running"] is True
        digest = cluster.tree_digest("DMA1")
        assert taskbar.run(["-upgrade", str(package)], home=str(cluster.agents[0].home)) == taskbar.REFUSED
        assert cluster.tree_digest("DMA1") == digest
    assert "another upgrade is running" in capsys.readouterr().err
    assert machine.facts(cluster.agents[0].home)["upgrade_running"] is False
    assert install(cluster, "10.5.9") == 0


def test_call_that_can_not_be_meant_touches_nothing(make: Make, tmp_path: Path) -> None:
    cluster = make()
    torn = tmp_path / "DataMiner 10.5.9.0-16238 Web Upgrade.dmupgrade"
    shutil.copy(cluster.package("10.5.9"), torn)
    torn.write_bytes(torn.read_bytes()[:-40])
    plain = tmp_path / "plain.dmupgrade"
    with zipfile.ZipFile(plain, "w") as archive:
        archive.writestr("Description.txt", "Version: 10.5.9.0-16238")
    digest, home = cluster.tree_digest("DMA1"), str(cluster.agents[0].home)
    for argv in ([], ["-upgrade"], ["/?", "x"], ["-upgrade", "missing"], ["-upgrade", str(torn)], ["-upgrade", str(plain)]):
        assert taskbar.run(argv, home=home) == taskbar.MISUSED
    assert cluster.tree_digest("DMA1") == digest


def test_renamed_package_is_what_it_holds(make: Make, tmp_path: Path) -> None:
    cluster = make()
    renamed = tmp_path / "web.dmupgrade"
    shutil.copy(cluster.package("10.5.9"), renamed)
    assert taskbar.run(["-upgrade", str(renamed)], home=str(cluster.agents[0].home)) == 0
    assert cluster.state("DMA1")["web"] == "10.5.9.0-16238"


def test_only_the_local_agent_is_upgraded_without_upgrade_info(make: Make, tmp_path: Path) -> None:
    cluster = make(agents=3)
    assert install(cluster, "10.5.9") == 0
    webs = [cluster.state(agent.name)["web"][:6] for agent in cluster.agents]
    assert webs == ["10.5.9", "10.5.6", "10.5.6"]
    info = tmp_path / "UpgradeInfo.xml"
    info.write_text('<UpgradeInfo IsCluster="true"><Agent ip="10.11.12.1"/><Agent ip="10.11.12.3"/></UpgradeInfo>', "utf-8")
    argv = ["-upgrade", str(cluster.package("10.5.9")), str(info)]
    assert taskbar.run(argv, home=str(cluster.agents[0].home)) == 0
    assert [cluster.state(agent.name)["web"][:6] for agent in cluster.agents] == ["10.5.9", "10.5.6", "10.5.9"]


def test_wrong_clock_shows_in_what_is_written(make: Make) -> None:
    cluster = make()
    cluster.set_state("DMA1", clock_offset_seconds=-7200)
    assert install(cluster, "10.5.9") == 0
    made = (cluster.agents[0].root / "Dashboards/Overview.dmadb.json").stat().st_mtime
    assert abs(time.time() - 7200 - made) < 60
    assert _processes(cluster.state("DMA1"))["W3SVC"][1] < machine.utc_text(time.time() - 7000)


# The launchers, as processes


def test_log_grows_while_the_upgrade_runs_and_a_hang_up_does_not_end_it(make: Make) -> None:
    cluster = make(install_seconds=60)
    agent, known = cluster.agents[0], set(cluster.agents[0].packages.iterdir())
    argv = [str(agent.installer), "-upgrade", str(cluster.package("10.5.9"))]
    running = subprocess.Popen(argv, env={**os.environ, taskbar.SECONDS: "1"}, start_new_session=True, stdout=subprocess.PIPE, text=True)
    sizes: list[int] = []
    while running.poll() is None:
        logs = [path / "progress.log" for path in set(agent.packages.iterdir()) - known]
        size = logs[0].stat().st_size if logs and logs[0].exists() else 0
        if size and len(sizes) < 1:
            running.send_signal(signal.SIGHUP)
            assert machine.upgrade_running(agent.home)
            assert taskbar.run(argv[1:], home=str(agent.home)) == taskbar.REFUSED
        sizes += [size] if size and size not in sizes else []
        time.sleep(0.02)
    output, _ = running.communicate()
    assert running.returncode == 0
    assert len(sizes) >= 3
    assert SUCCESS.search(output)


def test_upgrade_goes_on_when_nobody_reads_its_output(make: Make) -> None:
    cluster = make(install_seconds=0.2)
    running = subprocess.Popen([str(cluster.agents[0].installer), "-upgrade", str(cluster.package("10.5.9"))], stdout=subprocess.PIPE)
    assert running.stdout is not None
    running.stdout.close()
    running.wait(60)
    assert SUCCESS.search(newest_log(cluster.agents[0]))


def test_host_command_gives_facts_and_acts_on_services(make: Make) -> None:
    cluster = make()
    agent = cluster.agents[0]

    def call(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(agent.host_command), *argv], capture_output=True, text=True, check=False, cwd="/")

    facts = json.loads(call("facts").stdout)
    assert set(facts) == {"processes", "modules", "runtimes", "pending_reboot", "installer_busy", "upgrade_running", "services"}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row["started"]) for row in facts["processes"])
    before = _processes(facts)
    assert call("stop", "W3SVC").returncode == 0
    assert _processes(json.loads(call("facts").stdout)).keys() == before.keys() - {"W3SVC"}
    assert call("start", "W3SVC").returncode == 0
    after = _processes(json.loads(call("facts").stdout))
    assert after["W3SVC"][0] > before["W3SVC"][0]
    assert after.items() - before.items() == {("W3SVC", after["W3SVC"])}
    assert [(row["argv"], row["rc"]) for row in cluster.host_calls("DMA1")][1:3] == [(["stop", "W3SVC"], 0), (["facts"], 0)]


def test_starting_what_runs_and_stopping_what_stands_changes_nothing(make: Make) -> None:
    cluster = make()
    home = str(cluster.agents[0].home)
    before = cluster.state("DMA1")
    assert hostcmd.main(["start", "W3SVC"], home=home) == 0
    assert cluster.state("DMA1") == before
    assert [hostcmd.main(["stop", "W3SVC"], home=home) for _ in range(2)] == [0, 0]


@pytest.mark.parametrize("verb", ["stop", "start"])
def test_service_can_be_told_to_fail(make: Make, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = make()
    cluster.set_state("DMA1", service_fails=[verb])
    before = cluster.state("DMA1")
    assert hostcmd.main([verb, "W3SVC"], home=str(cluster.agents[0].home)) == 1
    assert cluster.state("DMA1") == before
    assert f"did not {verb}" in capsys.readouterr().err
    assert cluster.host_calls("DMA1")[-1]["rc"] == 1


@pytest.mark.parametrize(("argv", "code"), [(["stop", "Nothing"], 1), (["restart", "W3SVC"], 2), ([], 2)])
def test_host_command_refuses_what_it_does_not_know(make: Make, argv: list[str], code: int) -> None:
    assert hostcmd.main(argv, home=str(make().agents[0].home)) == code


def test_facts_follow_the_state(make: Make) -> None:
    cluster = make()
    cluster.set_state("DMA1", busy=True, pending_reboot=["Windows Update"])
    facts = machine.facts(cluster.agents[0].home)
    assert (facts["installer_busy"], facts["pending_reboot"]) == (True, ["Windows Update"])
    with pytest.raises(KeyError, match="no such fact"):
        cluster.set_state("DMA1", bussy=True)


def test_state_is_kept_when_a_change_fails(make: Make) -> None:
    home = make().agents[0].home
    with pytest.raises(RuntimeError), machine.changing(home) as state:
        state["busy"] = True
        raise RuntimeError
    assert machine.load(home)["busy"] is False


# Packages, inventories, digests, edits


@pytest.mark.parametrize(
    ("version", "options", "name", "shown"),
    [
        ("10.5.4", {}, "DataMiner 10.5.4.0-15588 Web Upgrade.dmupgrade", "10.5.4 (CU0)"),
        ("10.4.0", {"build": 15634, "extra": "(internal)"}, "DataMiner 10.4.0.0-15634 Web Upgrade (internal).dmupgrade", "10.4.0.0-15634"),
        ("10.5.0 [CU9]", {"kind": "Full", "build": 16300}, "DataMiner 10.5.0.0(CU9)-16300 Full Upgrade.dmupgrade", "10.5.0 [CU9]"),
    ],
)
def test_package_is_named_as_the_vendor_names_it(tmp_path: Path, version: str, options: dict[str, object], name: str, shown: str) -> None:
    path = make_package(tmp_path, version, **options)  # type: ignore[arg-type]
    assert path.name == name
    read = parse_package_name(path.name)
    assert (str(read.version), read.kind) == (shown, options.get("kind", "Web"))
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == ["Description.txt", "SLUpgrade.dll", "Update.zip"]
    opened = open_package(path)
    assert (opened.release.build, opened.kind) == (read.version.build, read.kind)
    before = path.read_bytes()
    assert make_package(tmp_path, version, **options).read_bytes() == before  # type: ignore[arg-type]


def test_inventory_says_where_everything_is(three: Cluster) -> None:
    value = yaml.safe_load(three.inventory.read_text("utf-8"))
    group = value["dataminer"]
    assert group["vars"] == {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    assert list(group["hosts"]) == ["DMA1", "DMA2", "DMA3"]
    for agent in three.agents:
        row = group["hosts"][agent.name]
        assert row["dataminer_cluster"] == "pluto"
        assert os.access(row["dataminer_installer"], os.X_OK)
        assert os.access(row["dataminer_host_command"], os.X_OK)
        assert agent.installer.read_text("utf-8").startswith(f"#!{sys.executable} -SE\n")
        assert (Path(row["dataminer_root"]) / "DMS.xml").is_file()
        assert Path(row["dataminer_work_dir"]) == agent.home / "Web Work"
        assert Path(row["dataminer_backup_dir"]) == agent.home / "Web Backups"
        assert not agent.work_dir.exists()
    packages = sorted(path.name for path in Path(group["hosts"]["DMA1"]["dataminer_packages_dir"]).iterdir())
    assert packages == ["DataMiner 10.5.6.0-15848 Web Upgrade.dmupgrade", "DataMiner 10.5.9.0-16238 Web Upgrade.dmupgrade"]


def test_several_clusters_share_an_inventory(make: Make, tmp_path: Path) -> None:
    pluto, mars = make("plüto 'a' \"b\""), make("mars", agents=["MARS1"], name="mars", first_id=211, network="10.12.0")
    write_inventory(tmp_path / "both.yml", [pluto, mars])
    hosts = yaml.safe_load((tmp_path / "both.yml").read_text("utf-8"))["dataminer"]["hosts"]
    assert {name: row["dataminer_cluster"] for name, row in hosts.items()} == {"DMA1": "pluto", "MARS1": "mars"}
    assert Path(hosts["DMA1"]["dataminer_root"]) == pluto.agents[0].root
    with pytest.raises(ValueError, match="one name"):
        write_inventory(tmp_path / "both.yml", [pluto, pluto])


@pytest.mark.parametrize("action", ["touch", "write", "chmod", "folder", "state"])
def test_digest_of_everything_sees_each_change(make: Make, action: str) -> None:
    cluster = make()
    agent = cluster.agents[0]
    before = cluster.tree_digest("DMA1")
    hostcmd.main(["facts"], home=str(agent.home))
    assert cluster.tree_digest("DMA1") == before
    target = agent.root / "Dashboards/Themes.json"
    about = target.stat()
    if action == "touch":
        os.utime(target)
    elif action == "write":
        target.write_bytes(target.read_bytes().swapcase())
        os.utime(target, ns=(about.st_atime_ns, about.st_mtime_ns))
    elif action == "chmod":
        target.chmod(0o600)
    elif action == "folder":
        agent.work_dir.mkdir()
    else:
        cluster.set_state("DMA1", busy=True)
    assert cluster.tree_digest("DMA1") != before


def test_users_edits_reach_all_agents_and_drift_only_one(make: Make) -> None:
    cluster = make(agents=2)
    path = edits.add_dashboard(cluster, "Operations/Neu")
    number = edits.add_draft(cluster, "Überwachung Köln & Réseau")
    assert number == 180
    assert cluster.digest("DMA1") == cluster.digest("DMA2")
    assert path in cluster.digest("DMA2")
    folder = cluster.agents[1].root / "Applications" / cluster.app_folder("Überwachung Köln & Réseau")
    info = schema.read_json((folder / "App.info.json").read_bytes())
    assert (info["DraftVersion"], info["Versions"][-1]["Version"]) == (180, 180)
    assert schema.readable(cluster.agents[1].root, "10.5.6") == []
    drifted = edits.drift(cluster, "DMA2")
    first, second = cluster.digest("DMA1"), cluster.digest("DMA2")
    assert [name for name in first if first[name] != second[name]] == [drifted]


# The command line


def test_command_line_creates_the_demonstration(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    argv = [sys.executable, "-m", "simulator", "create", str(tmp_path / "demo"), "--agents", "1"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=environment, cwd=tmp_path)
    assert done.stdout.strip() == str(tmp_path / "demo" / "inventory.yml")
    cluster = Cluster.load(tmp_path / "demo")
    state = cluster.state("DMA1")
    assert (state["server"][:6], state["web"][:6]) == ("10.5.6", "10.5.6")
    assert sorted(path.name[10:16] for path in cluster.packages_dir.iterdir()) == ["10.5.6", "10.5.9"]


def test_command_line_shows_digests_and_reads(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = make()
    folder = str(cluster.dir)
    assert command_line(["show", folder]) == 0
    shown = capsys.readouterr().out
    assert "Überwachung Köln & Réseau: published 178, draft 179" in shown
    assert "0 problems" in shown
    assert command_line(["show", folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["DMA1"]["id"] == 111
    assert command_line(["digest", folder, "--agent", "DMA1"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(cluster.digest("DMA1"))
    assert command_line(["digest", folder, "--all"]) == 0
    assert "state.json" in capsys.readouterr().out
    assert command_line(["readable", folder]) == 0
    assert command_line(["readable", folder, "--version", "10.5.5", "--live"]) == 1
    assert "which 10.5.5 can't read" in capsys.readouterr().out
    assert command_line(["package", folder, "10.5.10", "--kind", "Full"]) == 0
    assert capsys.readouterr().out.strip().endswith("DataMiner 10.5.10.0-16368 Full Upgrade.dmupgrade")
    assert command_line(["show", folder, "--agent", "DMA9"]) == 1
    assert "no agent DMA9" in capsys.readouterr().err
