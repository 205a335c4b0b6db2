"""No password ever turns up in what is printed or written, however much is asked for."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from conftest import MakeSite, WebServer
from playbook import Run, Site, target
from simulator.tree import SECRETS

PLANTED = {"ansible_password": "C0nnect-Pa55!z9", "ansible_become_password": "B3come-Pa55!y8", "vault_smtp_password": "V4ult-Pa55!w7"}
ADDRESS = ("C4ller-Pa55!v6", "T0ken-Pa55.u5")  # of the user, of the query


@pytest.mark.each_core
def test_no_secret_anywhere(make_site: MakeSite, web_server: WebServer) -> None:
    """All playbooks at -vvvv, in earnest: output, reports, and every file that the collection left on the agent."""
    site = make_site(web="10.5.9", vendor_backups=2)
    agent = site.agents[0]
    text = site.inventory.read_text("utf-8")
    package = site.cluster.package("10.5.10")
    plain = f"{web_server(package.parent)}/{quote(package.name)}"
    address = plain.replace("://", f"://user:{ADDRESS[0]}@") + f"?token={ADDRESS[1]}"
    planted = {**PLANTED, "dataminer_package": address}
    rows = "".join(f'    {name}: "{value}"\n' for name, value in planted.items())
    site.inventory.write_text(text.replace("  vars:\n", f"  vars:\n{rows}", 1), "utf-8")
    assert SECRETS[0] in (agent.root / "DMS.xml").read_text("utf-8")
    assert SECRETS[1] in (agent.root / "DataMiner.xml").read_text("utf-8")

    runs = [
        site.play("cluster_status", "-vvvv"),
        site.play("backup_web", "-vvvv"),
        site.play("upgrade_web", "-vvvv", "--diff", variables={"dataminer_target_version": "10.5.10"}),
        site.play("downgrade_restore", "-vvvv", "--diff", variables=target(site.cluster, "10.5.9")),
    ]

    assert [run.rc for run in runs] == [0, 0, 0, 0], runs[-1].text
    assert f"comes from {plain} to" in runs[2].said
    for run in runs:
        for secret in (*SECRETS, *PLANTED.values(), *ADDRESS):
            assert secret not in run.text
    for path in _left_behind(site, runs):
        for secret in (*SECRETS, *PLANTED.values(), *ADDRESS):
            assert secret.encode() not in path.read_bytes(), path


def _left_behind(site: Site, runs: list[Run]) -> list[Path]:
    folders = [site.dir / "reports", site.dir / "ansible", *(folder for agent in site.agents for folder in (agent.work_dir, agent.backup_dir))]
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert len(found) > len(runs)
    return found
