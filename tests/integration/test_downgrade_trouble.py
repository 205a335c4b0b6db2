"""downgrade_restore.yml where something goes wrong on one agent: the others stay in step with it, and running again finishes.

Each trouble has a cluster of its own, upgraded before; one run meets them all, another one mends them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import shortcut
from conftest import MakeSite
from playbook import Playing, Run, Site, changed_paths, jobs, own_backups, scenarios, target, until
from shortcut import Contents
from test_downgrade_restore import NEW, OLD, back

# a job of the restore that is at work while the agent falls silent, and the phase after which the cluster stops
SILENT = {"silent_verify": ("verify", ""), "silent_prepare": ("prepare", "preparation"), "silent_commit": ("commit", "restore")}
DEADLINE = 5  # seconds
LATE = "undone_late-2"
UNBEGUN = "unbegun-2"


@pytest.mark.long
def test_trouble_on_one_agent(make_site: MakeSite) -> None:
    site = make_site(*scenarios(**{name: {"agents": 1 if name == "no_stop_alone" else 2} for name in (*TROUBLES, *SILENT)}))
    site.named("half_upgraded").set_state("half_upgraded-2", fail_at="prerequisites")
    contents = shortcut.upgraded(site, NEW)
    migrated = {name: site.cluster_of(name).digest(name) for name in contents}
    make_trouble(site)

    playing = downgrade(site, looked_at_often=[LATE, *(f"{name}-2" for name in SILENT)])
    until(lambda: "Put back what was there before" in playing.text() or playing.process.poll() is not None, what="the word to undo", seconds=300)
    for name in (LATE, UNBEGUN):
        site.switch_on(name)
    run = playing.finish()

    assert run.rc != 0
    until(lambda: all(runs_web(site, name) for name in contents), what="the web servers, after the deadline")
    for trouble in TROUBLES.values():
        trouble(site, run, contents, migrated)
    for name in SILENT:
        falls_silent(name, site, run, migrated)
    mend(site)
    again = downgrade(site).finish()
    assert again.rc == 0, again.text
    back(site, contents)


def downgrade(site: Site, looked_at_often: Sequence[str] = ()) -> Playing:
    """Of all clusters at once. Where an agent falls silent while it is followed, there has to be a second look at it."""
    wait = f"{{{{ 0 if inventory_hostname in {list(looked_at_often)} else 15 }}}}"
    return site.begin("downgrade_restore", "--forks", "20", variables=target(site.cluster, OLD, dataminer_poll_interval=wait))


def make_trouble(site: Site) -> None:
    for name in ("no_stop-2", "no_stop_others_stay-2", "no_stop_alone-1"):
        site.cluster_of(name).set_state(name, service_fails=["stop"])
    site.tell_agents_of("no_stop_others_stay", dataminer_restore_on_failure="stop", dataminer_restore_deadline=DEADLINE)
    (site.agent("no_staging-2").work_dir / "staging").write_text("in the way", "utf-8")
    site.tell_agents_of("undone_late", dataminer_restore_deadline=8 * DEADLINE)  # a third of it is for looking
    site.switch_off(LATE, module="restore", once=str(site.agent(LATE).work_dir / "jobs" / "commit-*"))
    site.tell_agents_of("unbegun", dataminer_restore_deadline=3 * DEADLINE)
    site.switch_off(UNBEGUN, module="restore", once=str(site.agent(UNBEGUN).work_dir / "jobs" / "prepare-*" / "result.json"))
    for name, (job, _phase) in SILENT.items():
        site.tell_agents_of(name, dataminer_restore_deadline=DEADLINE)
        second = site.agent(f"{name}-2")
        site.switch_off(second.name, module="restore", once=str(second.work_dir / "jobs" / f"{job}-*"))


def mend(site: Site) -> None:
    for name in ("no_stop-2", "no_stop_others_stay-2", "no_stop_alone-1"):
        site.cluster_of(name).set_state(name, service_fails=[])
    (site.agent("no_staging-2").work_dir / "staging").unlink()
    for name in SILENT:
        site.switch_on(f"{name}-2")


def runs_web(site: Site, name: str) -> bool:
    return bool(site.cluster_of(name).state(name)["services"]["W3SVC"] == "Running")


def holds(site: Site, name: str, content: dict[str, str]) -> bool:
    return changed_paths(content, site.cluster_of(name).digest(name)) == []


def fails_to_stop_its_web_server(site: Site, run: Run, contents: Contents, migrated: Contents) -> None:
    """The other one is put back as it was, so that nobody sees a half-restored cluster."""
    assert run.verdicts("no_stop")["no_stop-2"].startswith("FAILED")
    assert "no_stop-1: put back as it was before; its web server runs" in run.messages("no_stop-1")[-1]
    assert "no_stop-2: failed: " in run.messages("no_stop-1")[-1]
    for name in ("no_stop-1", "no_stop-2"):
        assert not holds(site, name, contents[name]), "restored on none"


def fails_and_the_others_are_to_stop(site: Site, run: Run, contents: Contents, migrated: Contents) -> None:
    """dataminer_restore_on_failure=stop: the others keep what was restored, and start their web servers after the deadline."""
    first, second = "no_stop_others_stay-1", "no_stop_others_stay-2"
    assert run.verdicts("no_stop_others_stay")[second].startswith("FAILED")
    assert holds(site, first, contents[first])
    assert holds(site, second, migrated[second])


def fails_alone_and_is_backed_up(site: Site, run: Run, contents: Contents, migrated: Contents) -> None:
    """The content is migrated still: a backup of it, made now, isn't the one of that version, however new it is."""
    agent = site.agent("no_stop_alone-1")
    assert site.webs()[agent.name] == OLD
    assert shortcut.backed_up(agent)["changed"]
    assert len(own_backups(agent)) == 2


def fails_to_prepare(site: Site, run: Run, contents: Contents, migrated: Contents) -> None:
    """Nothing is committed anywhere, no web server stops."""
    stopped = "stopped after preparation: another agent failed"
    assert run.verdicts("no_staging") == {"no_staging-1": stopped, "no_staging-2": "FAILED: preparation"}
    cluster = site.named("no_staging")
    assert [jobs(agent, "commit") for agent in cluster.agents] == [[], []]
    assert all(holds(site, agent.name, migrated[agent.name]) for agent in cluster.agents)
    assert not any("stop" in call["argv"] for agent in cluster.agents for call in cluster.host_calls(agent.name))


def was_upgraded_half(site: Site, run: Run, contents: Contents, migrated: Contents) -> None:
    """The agent whose upgrade had failed keeps its older module, the other its newer one: that is told, and is no failure of the way back."""
    names = ("half_upgraded-1", "half_upgraded-2")
    assert run.verdicts("half_upgraded") == dict.fromkeys(names, "done")
    back(site, {name: contents[name] for name in names})
    assert "versions of GQI DxM differ" in run.summary
    assert "The GQI DxM and the Web DcM were NOT reinstalled" in run.summary


def is_back_in_time_to_be_undone(site: Site, run: Run, contents: Contents, migrated: Contents) -> None:
    """It was given up while its files were swapped; what it has to put back is known all the same."""
    assert run.verdicts("undone_late")[LATE] == "UNREACHABLE"
    said = run.messages("undone_late-1")[-1]
    assert f"{LATE}: unreachable" in said
    assert f"{LATE}: put back as it was before" in said
    for name in ("undone_late-1", LATE):
        assert holds(site, name, migrated[name])


def is_back_in_time_to_be_called_off(site: Site, run: Run, contents: Contents, migrated: Contents) -> None:
    """The start of its commit never arrived: it begins no more, and the other one is put back."""
    said = run.messages("unbegun-1")[-1]
    assert "unbegun-1: put back as it was before" in said
    assert f"{UNBEGUN}: unchanged: its commit never began" in said
    (called_off,) = (site.agent(UNBEGUN).work_dir / "jobs").glob("commit-*/result.json")
    assert "NotBegun" in called_off.read_text("utf-8")
    for name in ("unbegun-1", UNBEGUN):
        assert holds(site, name, migrated[name])


TROUBLES: dict[str, Callable[[Site, Run, Contents, Contents], None]] = {
    "no_stop": fails_to_stop_its_web_server,
    "no_stop_others_stay": fails_and_the_others_are_to_stop,
    "no_stop_alone": fails_alone_and_is_backed_up,
    "no_staging": fails_to_prepare,
    "half_upgraded": was_upgraded_half,
    "undone_late": is_back_in_time_to_be_undone,
    "unbegun": is_back_in_time_to_be_called_off,
}


def falls_silent(name: str, site: Site, run: Run, migrated: Contents) -> None:
    """While a job of the restore is at work there: the other agent keeps what it had."""
    phase = SILENT[name][1]
    assert run.verdicts(name)[f"{name}-2"] == "UNREACHABLE"
    said = run.messages(f"{name}-1")[-1]
    assert (f"Stopped after the phase {phase}, for the cluster" if phase else "No backup was chosen on every agent of the cluster") in said
    assert f"{name}-2: unreachable" in said
    assert holds(site, f"{name}-1", migrated[f"{name}-1"])
    assert site.webs()[f"{name}-1"] == (OLD if phase else NEW)
