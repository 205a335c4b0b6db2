# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo: a simulated cluster of three agents, upgraded and brought back by the real ansible-playbook.

`python tests/simulator/demo.py [--winrm] [FOLDER]`; the folder is made anew and stays for you to look around. With `--winrm` the agents are
reached as Windows hosts are, over WinRM, and the scripts run in a PowerShell engine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
sys.path.insert(0, str(TESTS))

from simulator.cluster import Cluster, create_cluster
from simulator.schema import readable
from simulator.windows.demo import over_winrm, told
from simulator.windows.engines import EngineMissing, Engines

OLD, NEW = "10.5.6", "10.5.9"


def main(argv: list[str]) -> int:
    """Runs the whole story; the exit status of the first step that fails, else 0, or 2 when it can't begin."""
    folders = [Path(word).resolve() for word in argv if word != "--winrm"]
    folder = folders[0] if folders else ROOT / f"demo-{time.strftime('%Y%m%d-%H%M%S')}"
    if folder.exists():
        print(f"demo: {folder} exists. Name a folder that doesn't, or none", file=sys.stderr)
        return 2
    if "--winrm" not in argv:
        return tell(created(folder))
    try:
        engines = Engines.posix()
    except EngineMissing as error:
        print(f"demo: {error}. Install PowerShell 7, or name an engine: PWSH=/path/to/pwsh make demo-winrm", file=sys.stderr)
        return 2
    return tell_over_winrm(created(folder), engines)


def created(folder: Path) -> Cluster:
    say(f"A simulated cluster of three agents, in {folder}")
    return create_cluster(folder, server=OLD, packages=(NEW, OLD), install_seconds=1.0)


def tell_over_winrm(cluster: Cluster, engines: Engines) -> int:
    with over_winrm(cluster, engines) as played:
        ports = ", ".join(f"{name} on port {one.server.port}" for name, one in played.agents.items())
        print(f"Played as Windows hosts that speak WinRM: {ports}. Their scripts run in {engines.command[0]}")
        status = tell(cluster)
        print("\nOver the wire:", *(f"  {line}" for line in told(played)), sep="\n")
    return status


def tell(cluster: Cluster) -> int:
    before = show(cluster, f"All three run web {OLD}. Their content:")
    for story in (upgrade, back):
        if status := story(cluster):
            print(f"\nThe demo stopped: the playbook ended with status {status}. What it printed is above.", file=sys.stderr)
            return status
    end(cluster, before)
    return 0


def upgrade(cluster: Cluster) -> int:
    say(f"Upgrade the web apps to {NEW}: gate all, back up all, install on all, prove that all agree")
    status = play(cluster, "upgrade_web.yml", dataminer_package=cluster.package(NEW))
    if status == 0:
        show(cluster, f"Migrated: every file carries its new version, and web {OLD} can no longer read it:")
    return status


def back(cluster: Cluster) -> int:
    say(f"Something is wrong with {NEW}: go back to {OLD}, with the content of before the upgrade")
    return play(cluster, "downgrade_restore.yml", dataminer_target_version=OLD, dataminer_package=cluster.package(OLD))


def play(cluster: Cluster, playbook: str, **variables: object) -> int:
    """Prints the command as a person would type it, and runs it."""
    path = ROOT / "playbooks" / playbook
    given = [word for name, value in variables.items() for word in ("-e", f"{name}='{value}'")]
    command = [str(Path(sys.executable).with_name("ansible-playbook")), str(path), "-i", str(cluster.inventory), *given]
    print("$ ansible-playbook", *(f'"{word}"' if " " in word else word for word in command[1:]), "\n", flush=True)
    settings = {
        "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false",
        "ANSIBLE_HOME": str(cluster.inventory.parent / "ansible"),
        "ANSIBLE_DEPRECATION_WARNINGS": "false",
    }
    return subprocess.run(command, env={**os.environ, **settings}, check=False).returncode


def show(cluster: Cluster, text: str) -> dict[str, dict[str, str]]:
    """What a web version of before the upgrade can read on each agent; gives the content's digests."""
    print(f"\n{text}")
    for agent in cluster.agents:
        unreadable = len(readable(agent.root, OLD))
        files = len(cluster.digest(agent.name))
        web = cluster.state(agent.name)["web"]
        print(f"  {agent.name}: web {web}, {files} files, {unreadable} that web {OLD} can't read")
    return {agent.name: cluster.digest(agent.name) for agent in cluster.agents}


def end(cluster: Cluster, before: dict[str, dict[str, str]]) -> None:
    after = show(cluster, "The content is back:")
    for name, digests in after.items():
        same = sum(before[name].get(path) == digest for path, digest in digests.items())
        print(f"  {name}: {same} of {len(before[name])} files are byte for byte as before the upgrade")
    first = cluster.agents[0]
    say("Where to look next")
    print(f"""  backups, each with its manifest   {first.backup_dir}
  jobs, journals and safety copies  {first.work_dir}
  an agent's content                {first.root}
  a dry run of the next upgrade     ansible-playbook playbooks/upgrade_web.yml -i "{cluster.inventory}" --check --diff \\
                                      -e dataminer_package="'{cluster.package(NEW)}'"
  your own agents                   README.md, "Use it on real agents"
  remove the demo                   rm -r "{cluster.inventory.parent}\"""")


def say(text: str) -> None:
    print(f"\n{'=' * 100}\n{text}\n{'=' * 100}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
