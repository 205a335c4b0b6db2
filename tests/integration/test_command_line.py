"""What people do to a playbook with the command line: --limit, tags, --start-at-task, inventories and patterns that select nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import MakeSite
from playbook import Run, Site, installs, own_backups, target


def refused(site: Site, *options: str, untouched: bool = True, **variables: object) -> Run:
    before = site.trees()
    run = site.play("upgrade_web", *options, variables={**target(site.cluster), **variables})
    assert run.rc != 0, run.text
    assert set(site.webs().values()) == {"10.5.6"}
    assert not any(installs(agent) for agent in site.agents)
    if untouched:
        assert site.trees() == before
    return run


def test_limit_is_denied(site: Site) -> None:
    """A part of a cluster isn't upgraded by accident."""
    run = refused(site, "--limit", "DMA1")

    (said,) = run.messages("DMA1")
    assert "limit: found left out of this run: DMA2; needed the whole cluster in one run" in said
    assert "dataminer_allow_partial" in said
    assert run.verdicts() == {"DMA1": "denied by the gate, unchanged"}


def test_limit_with_leave(site: Site) -> None:
    """The others are left alone, and the run says that the cluster isn't whole."""
    before = site.trees()["DMA2"]

    run = site.play("upgrade_web", "--limit", "DMA1", "-e", "dataminer_allow_partial=true", variables=target(site.cluster))

    assert site.webs() == {"DMA1": "10.5.9", "DMA2": "10.5.6"}, run.text
    assert site.trees()["DMA2"] == before
    assert "left out of this run: DMA2" in run.said
    assert "run it for the others too" in " ".join(run.said.split())
    assert "installer-there" not in run.gate, "its installer isn't where the default says, which is no matter of this run"


def test_limit_with_leave_where_the_others_do_not_answer(site: Site) -> None:
    """Leave to change a part isn't leave to be blind: nobody knows what the others run."""
    text = site.inventory.read_text("utf-8")
    nowhere = {
        "ansible_connection": "winrm",
        "ansible_host": "127.0.0.1",
        "ansible_port": "1",
        "ansible_user": "nobody",
        "ansible_password": "nothing",
    }
    rows = "".join(f'      {name}: "{value}"\n' for name, value in nowhere.items())
    site.inventory.write_text(text.replace('    "DMA2":\n', f'    "DMA2":\n{rows}'), "utf-8")

    run = refused(site, "--limit", "DMA1", dataminer_allow_partial=True)

    assert run.verdicts() == {"DMA1": "denied by the gate, unchanged"}
    assert "DMA2: read: found failed: can't be read: " in run.messages("DMA1")[-1]


def test_limit_with_an_empty_leave_is_denied(site: Site) -> None:
    """What -e name=false sends is a text, which gives no leave, and neither does a survey's empty answer. Nor is it one for other things."""
    run = refused(site, "--limit", "DMA1", "-e", "dataminer_allow_partial=false dataminer_daas=no")

    assert "limit: found left out of this run: DMA2" in run.messages("DMA1")[0]
    assert "DaaS" not in run.gate


@pytest.fixture
def one(make_site: MakeSite) -> Site:
    """A cluster of one agent: what is said here is said of each."""
    return make_site(agents=1)


def test_only_the_upgrade_by_tags(one: Site) -> None:
    """Without backups nothing is installed."""
    run = refused(one, "--tags", "upgrade")

    assert "Gate" in run.tasks
    assert "Start the backup" not in run.tasks
    said = run.messages("DMA1")[0]
    assert "Stopped after the phase backup" in said
    assert "Run the whole playbook, without --tags and --skip-tags" in said


def test_backup_skipped_by_tags(one: Site) -> None:
    said = refused(one, "--skip-tags", "backup").messages("DMA1")[0]

    assert "Stopped after the phase backup" in said
    assert "without --tags and --skip-tags" in said


def test_only_the_backup_by_tags(one: Site) -> None:
    """That is harmless, and what was asked for."""
    run = one.play("upgrade_web", "--tags", "backup", variables=target(one.cluster))

    assert run.rc == 0, run.text
    assert [len(own_backups(agent)) for agent in one.agents] == [1]
    assert one.webs() == {"DMA1": "10.5.6"}
    assert run.verdicts() == {"DMA1": "NOT FINISHED"}


@pytest.mark.parametrize("task", ["Start the backup", "Start the install"])
def test_start_past_the_gate(one: Site, task: str) -> None:
    """A role that changes an agent wants the gate's verdict."""
    run = refused(one, "--start-at-task", task)

    assert "Gate" not in run.tasks
    said = run.messages("DMA1")[0]
    assert "changes nothing without a verdict of the gate" in said
    assert "--start-at-task" in said


@pytest.mark.parametrize("task", ["Choose the backup", "Prepare", "Start the web server"])
def test_start_of_a_restore_past_the_gate(one: Site, task: str) -> None:
    before = one.trees()

    run = one.play("downgrade_restore", "--start-at-task", task, variables=target(one.cluster, "10.5.5"))

    assert run.rc != 0
    assert one.trees() == before
    assert "restore changes nothing without a verdict of the gate" in run.messages("DMA1")[0]


@pytest.mark.parametrize("playbook", [pytest.param("upgrade_web", marks=pytest.mark.each_core), "backup_web", "cluster_status", "downgrade_restore"])
def test_empty_inventory(one: Site, playbook: str) -> None:
    """An inventory without hosts is an error, not a green job."""
    empty = one.dir / "empty.yml"
    empty.write_text("---\nall: {}\n", "utf-8")
    one.inventory = empty

    run = one.play(playbook)

    assert run.rc != 0, run.text
    assert "No DataMiner agent is selected, so nothing would be done" in run.said


def test_pattern_that_matches_nothing(one: Site) -> None:
    run = refused(one, dataminer_hosts="nope")

    assert 'Found 0 hosts for \\"nope\\" in the inventory' in run.said
    assert "-e dataminer_hosts=" in run.said


def test_pattern_in_the_inventory(site: Site) -> None:
    """The play doesn't see it: it would work on other agents than were meant, and on none with a green job where no group has the usual name."""
    site.tell("DMA2", dataminer_hosts="DMA2")
    run = refused(site)
    assert "Found DMA2; the run would work on dataminer" in run.said

    text = site.inventory.read_text("utf-8")
    site.inventory.write_text(text.replace("\ndataminer:\n", "\nproduction:\n"), "utf-8")
    (site.dir / "group_vars").mkdir()
    (site.dir / "group_vars" / "all.yml").write_text("dataminer_hosts: production\n", "utf-8")
    run = refused(site)
    assert "dataminer_hosts is set in the inventory, where a play doesn't see it" in run.said

    run = site.play("cluster_status", variables={"dataminer_hosts": "production"})
    assert run.rc == 0, run.text


def test_limit_that_matches_no_agent(one: Site) -> None:
    """Here by a limit to a host that is no agent; Ansible itself refuses one that matches no host at all."""
    with one.inventory.open("a", encoding="utf-8") as stream:
        stream.write("others:\n  hosts:\n    mail:\n      ansible_connection: local\n")
    run = refused(one, "--limit", "mail")

    assert "none of them within --limit" in run.said
    assert refused(one, "--limit", "DMA9").text


def test_inventory_in_another_folder_and_relative(make_site: MakeSite, tmp_path: Path) -> None:
    """From another current folder, with the agents in a group of another name."""
    site = make_site(agents=1)
    text = site.inventory.read_text("utf-8").replace("\ndataminer:\n", "\nproduction:\n")
    site.inventory.write_text(text, "utf-8")
    site.inventory = Path(site.inventory.name)

    run = site.play("upgrade_web", "--check", variables={**target(site.cluster), "dataminer_hosts": "production"})

    assert run.rc == 0, run.text
    assert run.verdicts() == {"DMA1": "would change"}
