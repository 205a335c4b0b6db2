"""The roles in playbooks of people's own, with tasks of theirs between the phases."""

from __future__ import annotations

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
