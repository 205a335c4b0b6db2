"""backup_web.yml: verified backups on demand, and which of them stay."""

from __future__ import annotations

import zipfile
from datetime import timedelta

import pytest
import shortcut
from ansible_collections.dataminer.web.plugins.module_utils import case_backup
from ansible_collections.dataminer.web.plugins.module_utils.case_common import now
from conftest import MakeSite
from playbook import Site, manifest_header, own_backups, scenarios
from simulator import edits
from simulator.cluster import Agent


def test_six_backups_are_rotated_to_five(make_site: MakeSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest of ours goes, after the new one stands; what isn't a whole backup of ours neither counts nor goes."""
    site = make_site(agents=1)
    (agent,) = site.agents
    foreign, partial = agent.backup_dir / "holiday pictures.zip", agent.backup_dir / "web-backup_DMA1_20200101T000000Z_10.5.6-CU0.zip.partial"
    agent.backup_dir.mkdir()
    with zipfile.ZipFile(foreign, "w") as archive:
        archive.writestr("beach.txt", "sand")
    partial.write_bytes(b"PK\x03\x04 half of")
    earlier = []
    for days in range(5, 0, -1):
        monkeypatch.setattr(case_backup, "now", lambda days=days: now() - timedelta(days=days))
        earlier.append(shortcut.backed_up(agent)["backup"]["name"])

    run = site.play("backup_web")

    assert run.rc == 0, run.text
    ours = [name for name in own_backups(agent) if name != foreign.name]
    (made,) = (name for name in ours if name in run.summary)
    assert ours == [*earlier[1:], made], "the five newest stay"
    assert foreign.exists()
    assert len(list(agent.backup_dir.glob("*.manifest"))) == 5
    assert run.verdicts() == {"DMA1": "done"}
    assert "verified" in run.summary
    _one_that_does_not_verify_never_counts(site, agent)


def _one_that_does_not_verify_never_counts(site: Site, agent: Agent) -> None:
    """With one to keep, and one that is damaged: it isn't taken for one of ours, and stays."""
    damaged, *_others = [name for name in own_backups(agent) if name.startswith("web-backup_")]
    manifest = (agent.backup_dir / damaged).with_suffix(".manifest")
    manifest.write_text(manifest.read_text("utf-8").replace('"agent":', '"agenT":', 1), "utf-8")

    run = site.play("backup_web", variables={"dataminer_backup_keep": 1})

    assert run.rc == 0, run.text
    assert damaged in own_backups(agent)
    assert len([name for name in own_backups(agent) if name.startswith("web-backup_")]) == 2


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


def test_denied_while_an_upgrade_runs_and_one_agent_too_full(make_site: MakeSite) -> None:
    """An agent that can't be backed up fails the run; the other's backup is good all the same."""
    site = make_site(*scenarios(upgrading={}, full={}))
    upgrading = {agent.name for agent in site.named("upgrading").agents}
    site.agent("full-2").backup_dir.write_text("a file where the folder should be", "utf-8")
    before = site.trees()
    with site.named("upgrading").upgrade_running("upgrading-2"):
        run = site.play("backup_web")

    assert run.rc != 0
    after = site.trees()
    assert {name for name in before if after[name] == before[name]} >= upgrading
    assert "upgrade-running" in run.messages("upgrading-1")[0]
    assert len(own_backups(site.agent("full-1"))) == 1
    assert run.verdicts("full")["full-2"].startswith("FAILED")
