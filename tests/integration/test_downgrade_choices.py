"""What an operator may choose in downgrade_restore.yml, and what must hold for clusters, limits and strategies."""

from __future__ import annotations

import shutil
from pathlib import Path

import shortcut
from conftest import MakeSite
from playbook import TIMEOUT, changed_paths, scenarios, target
from simulator import edits
from simulator.cluster import Agent
from test_downgrade_restore import NEW, OLD, code_of, five, zip_digests

WEB_SERVER = "W3SVC"


def safety_copies(agent: Agent) -> list[Path]:
    return list((agent.work_dir / "safety").glob("*.zip"))


def test_same_version_again_and_by_name(make_site: MakeSite) -> None:
    """Migration went wrong, no downgrade: left-overs go to quarantine, no safety copy; what is edited later is never overwritten silently."""
    site = make_site(agents=1, web=NEW)
    (agent,) = site.agents
    backup = shortcut.backed_up(agent)["backup"]["name"]
    content = site.cluster.digest("DMA1")
    draft = edits.add_draft(site.cluster, "Satellite Booking")
    chosen: dict[str, object] = {
        "dataminer_target_version": NEW,
        "dataminer_restore_leftovers": "quarantine",
        "dataminer_safety_copy": "no",
        "dataminer_backup": "latest",
    }

    refused = site.play("downgrade_restore", variables=chosen)

    assert refused.rc != 0
    assert f"version {draft} isn't known to the backup" in refused.text
    wrong = site.play("downgrade_restore", variables={**chosen, "dataminer_accept_loss": "yes"})
    assert "the code yes, which is of another list" in wrong.messages("DMA1")[0]
    run = site.play("downgrade_restore", variables={**chosen, "dataminer_accept_loss": code_of(refused)})
    assert run.rc == 0, run.text
    assert changed_paths(content, site.cluster.digest("DMA1")) == []
    assert [path.name for path in (agent.work_dir / "quarantine").rglob(f"version_{draft}")] == [f"version_{draft}"]
    assert safety_copies(agent) == []

    edited = edits.drift(site.cluster, "DMA1")
    later = site.cluster.digest("DMA1")
    silent = site.play("downgrade_restore", variables=chosen)
    assert (silent.rc, silent.changed) == (0, 0), silent.text
    assert "set dataminer_restore_again to do it once more" in silent.said
    assert site.cluster.digest("DMA1") == later

    by_name: dict[str, object] = {"dataminer_target_version": NEW, "dataminer_backup": backup, "dataminer_restore_again": "true"}
    asked = site.play("downgrade_restore", variables=by_name)
    assert asked.rc != 0
    assert site.cluster.digest("DMA1")[edited] == later[edited]
    last = site.play("downgrade_restore", variables={**by_name, "dataminer_accept_loss": code_of(asked)})
    assert last.rc == 0, last.text
    assert changed_paths(content, site.cluster.digest("DMA1")) == []
    assert len(safety_copies(agent)) == 1


def test_two_clusters_one_agent_after_the_other(make_site: MakeSite) -> None:
    """And whatever strategy is the usual one: each agent goes back to its own oldest zip."""
    mars = {"name": "mars", "agents": ("M1",), "first_id": 211, "network": "10.99.1"}
    site = make_site({}, mars, server="10.5.4", web=NEW, five=True, five_from=OLD)
    wanted = {agent.name: zip_digests(min(agent.vendor_backup_dir.glob("*.zip"), key=lambda path: path.stat().st_mtime)) for agent in site.agents}

    playing = site.begin("downgrade_restore", "--forks", "1", variables=target(site.cluster, OLD), env={"ANSIBLE_STRATEGY": "free"})
    run = playing.finish(3 * TIMEOUT)

    assert run.rc == 0, run.text
    assert set(site.webs().values()) == {OLD}
    for cluster in site.clusters:
        assert set(run.verdicts(cluster.name).values()) == {"done"}
        for agent in cluster.agents:
            after = cluster.digest(agent.name)
            assert {path: after[path] for path in wanted[agent.name]} == wanted[agent.name]
            assert cluster.state(agent.name)["services"][WEB_SERVER] == "Running"


def test_value_of_one_agent_stops_its_whole_cluster_at_the_gate(make_site: MakeSite) -> None:
    """Nothing is verified, put aside or undone on the others. Other clusters go back."""
    site = make_site(*scenarios(pluto={}, mars={}))
    contents = shortcut.upgraded(site, NEW)
    for cluster in site.clusters:
        site.tell_agents_of(cluster.name, **target(cluster, OLD))
    site.tell("pluto-2", **target(site.cluster, OLD, dataminer_restore_deadline=0))
    before = site.trees()

    run = site.play("downgrade_restore", "--forks", "20")

    assert run.rc != 0
    after = site.trees()
    assert [name for name in before if before[name] == after[name]] == ["pluto-1", "pluto-2"]
    problem = "dataminer_restore_deadline can't be what it is | Found: 0, an int | Needed: a whole number of at least 1 | What to do: correct"
    assert f"for the cluster to stay in step. pluto-2: failed: Nothing was changed. {problem}" in run.messages("pluto-1")[0]
    assert run.verdicts("pluto") == {"pluto-1": "stopped at the gate, unchanged", "pluto-2": "not judged, unchanged"}
    assert set(run.verdicts("mars").values()) == {"done"}
    assert all(changed_paths(contents[name], site.named("mars").digest(name)) == [] for name in ("mars-1", "mars-2"))


def test_restored_before_but_another_agent_was_upgraded_since(make_site: MakeSite) -> None:
    """Its migrated content comes to the agent that never left the old version: that one isn't passed over as restored before."""
    site = make_site()
    shortcut.upgraded(site, NEW)
    variables = target(site.cluster, OLD)
    assert site.play("downgrade_restore", variables=variables).rc == 0
    one, other = site.agents
    only = {"dataminer_target_version": NEW, "dataminer_package": str(site.cluster.package(NEW)), "dataminer_allow_partial": True}
    assert site.play("upgrade_web", "--limit", one.name, variables=only).rc == 0
    for folder in ("Applications", "Dashboards"):
        shutil.copytree(one.root / folder, other.root / folder, dirs_exist_ok=True)

    run = site.play("downgrade_restore", variables=variables)

    assert run.rc != 0
    assert code_of(run)
    assert run.verdicts()[other.name] == "FAILED: acceptance of the loss"
    assert f"but {one.name} installed {NEW}" in run.said
    last = site.play("downgrade_restore", variables={**variables, "dataminer_accept_loss": code_of(run)})
    assert last.rc == 0, last.text
    assert set(last.verdicts().values()) == {"done"}
    assert site.cluster.digest(one.name) == site.cluster.digest(other.name)


def test_limit(make_site: MakeSite) -> None:
    """Denied; with leave the others are left as they are."""
    site, _oldest = five(make_site)
    before = site.trees()
    variables = target(site.cluster, OLD)

    denied = site.play("downgrade_restore", "--limit", "DMA1", variables=variables)

    assert denied.rc != 0
    assert "limit: found left out of this run: DMA2" in denied.messages("DMA1")[0]
    assert site.trees() == before
    run = site.play("downgrade_restore", "--limit", "DMA1", "-e", "dataminer_allow_partial=true", variables=variables)
    assert site.webs() == {"DMA1": OLD, "DMA2": NEW}, run.text
    assert run.verdicts() == {"DMA1": "done"}
    assert site.trees()["DMA2"] == before["DMA2"]
    assert all(site.cluster.state(name)["services"][WEB_SERVER] == "Running" for name in ("DMA1", "DMA2"))
