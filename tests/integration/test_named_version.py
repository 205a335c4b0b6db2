"""A version that the inventory names, because none could be read or the wrong one was."""

from __future__ import annotations

from playbook import Site, manifest_header, own_backups, target


def test_a_version_that_the_inventory_names_is_told_to_be_taken_out(site: Site) -> None:
    """It wins over what is read, whatever is installed. A backup that is made under it later doesn't pass for one from before the install."""
    for agent in site.agents:
        site.tell(agent.name, dataminer_web_version="10.5.6")

    for _run in range(2):
        run = site.play("upgrade_web", variables=target(site.cluster))
        assert run.rc != 0, run.text
        assert "take dataminer_web_version out of the inventory" in run.messages("DMA1")[0]

    assert site.webs() == {"DMA1": "10.5.9", "DMA2": "10.5.9"}
    for agent in site.agents:
        before, after = (manifest_header(agent, name) for name in own_backups(agent))
        assert "suspect" not in before
        assert "the inventory named web version 10.5.6 (CU0), where 10.5.9 (CU0) was read" in str(after["suspect"])
