"""backup_web.yml: verified backups on demand, and which of them stay."""

from __future__ import annotations

import zipfile

import pytest
from conftest import MakeSite
from playbook import Site, manifest_header, own_backups
from simulator import edits


def test_six_backups_are_rotated_to_five(make_site: MakeSite) -> None:
    """The oldest of ours goes, after the new one stands; what isn't a whole backup of ours neither counts nor goes."""
    site = make_site(agents=1)
    (agent,) = site.agents
    foreign, partial = agent.backup_dir / "holiday pictures.zip", agent.backup_dir / "web-backup_DMA1_20200101T000000Z_10.5.6-CU0.zip.partial"
    agent.backup_dir.mkdir()
    with zipfile.ZipFile(foreign, "w") as archive:
        archive.writestr("beach.txt", "sand")
    partial.write_bytes(b"PK\x03\x04 half of")

    runs = [site.play("backup_web") for _ in range(6)]

    assert [run.rc for run in runs] == [0] * 6, runs[-1].text
    ours = [name for name in own_backups(agent) if name != foreign.name]
    made = [next(name for name in ours if name in run.summary) for run in runs[1:]]
    assert ours == made, "the five newest stay"
    assert foreign.exists()
    assert len(list(agent.backup_dir.glob("*.manifest"))) == 5
    assert all(run.verdicts() == {"DMA1": "done"} for run in runs)
    assert f"{ours[-1]}" in runs[-1].summary
    assert "verified" in runs[-1].summary


@pytest.mark.each_core
def test_a_backup_that_does_not_verify_never_counts(make_site: MakeSite) -> None:
    """With one to keep, and the one that is there damaged: it isn't taken for one of ours, and says so."""
    site = make_site(agents=1)
    (agent,) = site.agents
    assert site.play("backup_web").rc == 0
    (first,) = own_backups(agent)
    manifest = (agent.backup_dir / first).with_suffix(".manifest")
    manifest.write_text(manifest.read_text("utf-8").replace('"agent":', '"agenT":', 1), "utf-8")

    run = site.play("backup_web", variables={"dataminer_backup_keep": 1})

    assert run.rc == 0, run.text
    assert first in own_backups(agent)
    assert len(own_backups(agent)) == 2


def test_what_is_left_out_is_said(make_site: MakeSite) -> None:
    """On a web version that backs up two versions of an app, broken ones are left out, by name and with the reason."""
    site = make_site(agents=1, web="10.5.12", server="10.5.6")
    (agent,) = site.agents
    edits.add_dashboard(site.cluster, "Operations/New one")

    run = site.play("backup_web")

    assert run.rc == 0, run.text
    (name,) = own_backups(agent)
    header = manifest_header(agent, name)
    assert header["mode"] == "latest"
    left_out = {row["folder"]: row["reason"] for row in header["left_out"]}
    assert set(left_out) == {site.cluster.app_folder(app) for app in ("Abandoned Draft", "Broken Info", "No Info")}
    for folder, reason in left_out.items():
        assert folder in run.summary
        assert reason
    with zipfile.ZipFile(agent.backup_dir / name) as archive:
        names = archive.namelist()
    assert "Dashboards/Operations/New one.dmadb.json" in names
    booking = site.cluster.app_folder("Satellite Booking")
    assert {path.split("/")[2] for path in names if path.startswith(f"Applications/{booking}/version_")} == {"version_23", "version_24"}
    assert not [path for path in names if any(path.startswith(f"Applications/{folder}/") for folder in left_out)]


def test_denied_while_an_upgrade_runs(site: Site) -> None:
    before = site.trees()
    with site.cluster.upgrade_running("DMA2"):
        run = site.play("backup_web")

    assert run.rc != 0
    assert site.trees() == before
    assert "upgrade-running" in run.messages("DMA1")[0]


def test_one_agent_too_full(site: Site) -> None:
    """An agent that can't be backed up fails the run; the other's backup is good all the same."""
    target = site.cluster.agent("DMA2")
    target.backup_dir.write_text("a file where the folder should be", "utf-8")

    run = site.play("backup_web")

    assert run.rc != 0
    assert len(own_backups(site.cluster.agent("DMA1"))) == 1
    assert run.verdicts()["DMA2"].startswith("FAILED")
