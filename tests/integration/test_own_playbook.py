"""The roles in playbooks of people's own, with tasks of theirs between the phases."""

from __future__ import annotations

import hashlib
import json

from conftest import MakeSite
from playbook import PLAYBOOKS, installs, own_backups, target

SNAPSHOT = """---
- name: Upgrade, with a snapshot of each machine
  hosts: dataminer
  gather_facts: false
  vars:
    dataminer_purpose: upgrade
  roles:
    - dataminer.web.gate
    - dataminer.web.backup
  tasks:
    - name: Take a snapshot of the machine
      ansible.builtin.assert:
        that: inventory_hostname != 'DMA2'
        fail_msg: no room for a snapshot
    - name: Upgrade
      ansible.builtin.import_role:
        name: dataminer.web.upgrade
"""


def test_nothing_is_installed_where_a_task_of_their_own_failed_on_one_agent(make_site: MakeSite) -> None:
    """That agent has a verified backup, and will not be upgraded: the others wait for it. None is blamed for stopping, one after the other."""
    site = make_site(agents=5)
    (site.dir / "collections").symlink_to(PLAYBOOKS / "collections")
    (site.dir / "own.yml").write_text(SNAPSHOT, "utf-8")

    run = site.play(str(site.dir / "own"), "-f", "1", variables=target(site.cluster))

    assert run.rc != 0
    assert set(site.webs().values()) == {"10.5.6"}, run.text
    assert all(own_backups(agent) and not installs(agent) for agent in site.agents)
    for name in ("DMA1", "DMA3", "DMA4", "DMA5"):
        assert "to stay in step. DMA2: it failed in another task, and left this run. Run the whole playbook" in run.messages(name)[0]


def plays(*several: tuple[str, dict[str, object]]) -> str:
    """A playbook that imports some of ours, each with variables."""
    return json.dumps([{"ansible.builtin.import_playbook": str(PLAYBOOKS / f"{name}.yml"), "vars": told} for name, told in several])


def test_each_play_of_a_run_tells_of_itself(make_site: MakeSite) -> None:
    """What an earlier one found, made and brought is told by that one alone, and decides nothing."""
    site = make_site()
    newer, older = target(site.cluster), target(site.cluster, "10.5.6")
    newer["dataminer_package_sha256"] = hashlib.sha256(site.cluster.package("10.5.9").read_bytes()).hexdigest()
    (site.dir / "site.yml").write_text(plays(("upgrade_web", newer), ("cluster_status", {}), ("downgrade_restore", older)), "utf-8")
    (site.dir / "collections").symlink_to(PLAYBOOKS / "collections")
    site.agent("DMA2").work_dir.mkdir()
    (site.agent("DMA2").work_dir / "staging").write_text("x", "utf-8")  # so that the restore fails before anything is verified

    run = site.play(str(site.dir / "site"))

    assert run.text.count("\nSummary of ") == 3, run.text
    upgraded, status, downgraded = run.text.split("\nSummary of ")[1:]
    (made,) = own_backups(site.agent("DMA1"))
    assert "2 of 2 agents: the upgrade ended well." in upgraded
    assert "2 of 2 agents are in step" in status
    assert made in upgraded
    table, *rest = status.split("\n\n")[1:]
    assert made not in table, status
    assert not [text for text in rest if text.startswith(("Note (", "Processes ("))], status
    assert site.webs() == {"DMA1": "10.5.6", "DMA2": "10.5.6"}, run.text
    assert downgraded.count("10.5.9 (CU0) -> 10.5.6 (CU0)") == 2, downgraded
    assert "items, unchanged" not in downgraded
    assert run.verdicts("pluto") == {"DMA1": "stopped after preparation: another agent failed", "DMA2": "FAILED: preparation"}
