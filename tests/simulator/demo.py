# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo: a simulated cluster of three agents, upgraded and brought back by the real ansible-playbook.

`python tests/simulator/demo.py [--winrm] [--agents N] [FOLDER]`; the folder is made anew and stays for you to look around. With `--winrm` the agents
are reached as Windows hosts are, over WinRM, and the scripts run in a PowerShell engine: in the Windows that Wine plays where PWSH_WINDOWS names one
for it, else on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
sys.path.insert(0, str(TESTS))

from simulator.cluster import Cluster, create_cluster
from simulator.schema import readable
from simulator.windows.demo import found_engines, home, native, over_winrm, told
from simulator.windows.engines import EngineMissing, Engines

OLD, NEW = "10.5.6", "10.5.9"
PROGRAM = Path(sys.executable).with_name("ansible-playbook")  # of the environment that runs this: it needn't be on PATH
Native = Callable[[Path], str]


def main(argv: list[str]) -> int:
    """Runs the whole story; the exit status of the first step that fails, else 0, or 2 when it can't begin."""
    options = _options(argv)
    folder = Path(options.folder or ROOT / f"demo-{time.strftime('%Y%m%d-%H%M%S')}").resolve()
    try:
        engines, which = found_engines() if options.winrm else (None, "")
    except EngineMissing as error:
        print(f"demo: {error}. Install PowerShell 7, or name an engine: PWSH=/path/to/pwsh make demo-winrm", file=sys.stderr)
        return 2
    folder = home(folder, engines) if engines else folder
    if folder.exists():
        print(f"demo: {folder} exists. Name a folder that doesn't, or none", file=sys.stderr)
        return 2
    say(f"A simulated cluster of {options.agents} agents, in {folder}")
    cluster = create_cluster(folder, agents=options.agents, server=OLD, packages=(NEW, OLD), install_seconds=1.0)
    return tell_over_winrm(cluster, engines, which) if engines else tell(cluster, str)


def _options(argv: list[str]) -> argparse.Namespace:
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--winrm", action="store_true", help="reach the agents as Windows hosts are")
    parser.add_argument("--agents", type=int, default=3)
    return parser.parse_args(argv)


def tell_over_winrm(cluster: Cluster, engines: Engines, which: str) -> int:
    with over_winrm(cluster, engines) as played:
        ports = ", ".join(f"{name} on port {one.server.port}" for name, one in played.agents.items())
        print(f"Played as Windows hosts that speak WinRM: {ports}.\nTheir scripts run in {which}")
        status = tell(cluster, partial(native, engines=engines))
        print("\nOver the wire:", *(f"  {line}" for line in told(played)), sep="\n")
    return status


def tell(cluster: Cluster, native: Native) -> int:
    before = show(cluster, f"All run web {OLD}. Their content:")
    for story in (upgrade, back):
        if status := story(cluster, native):
            print(f"\nThe demo stopped: the playbook ended with status {status}. What it printed is above.", file=sys.stderr)
            return status
    end(cluster, before)
    return 0


def upgrade(cluster: Cluster, native: Native) -> int:
    say(f"Upgrade the web apps to {NEW}: gate all, back up all, install on all, prove that all agree")
    status = play(cluster, "upgrade_web.yml", dataminer_package=native(cluster.package(NEW)))
    if status == 0:
        show(cluster, f"Migrated: every file carries its new version, and web {OLD} can no longer read it:")
    return status


def back(cluster: Cluster, native: Native) -> int:
    say(f"Something is wrong with {NEW}: go back to {OLD}, with the content of before the upgrade")
    return play(cluster, "downgrade_restore.yml", dataminer_target_version=OLD, dataminer_package=native(cluster.package(OLD)))


def play(cluster: Cluster, playbook: str, **variables: object) -> int:
    """Prints the command as a person would type it, and runs it."""
    path = ROOT / "playbooks" / playbook
    given = [word for name, value in variables.items() for word in ("-e", _assigned(name, value))]
    command = [str(PROGRAM), str(path), "-i", str(cluster.inventory), *given]
    print("$", *(_typed(word) for word in (_near(PROGRAM), *command[1:])), "\n", flush=True)
    settings = {
        "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false",
        "ANSIBLE_HOME": str(cluster.inventory.parent / "ansible"),
        "ANSIBLE_DEPRECATION_WARNINGS": "false",
    }
    return subprocess.run(command, env={**os.environ, **settings}, check=False).returncode


def _assigned(name: str, value: object) -> str:
    """A variable for `-e`: as JSON where it has backslashes, which Ansible would take for the beginning of something else."""
    return json.dumps({name: value}) if "\\" in str(value) else f"{name}='{value}'"


def _near(path: Path) -> str:
    """As a person would type it where the demo was started."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _typed(word: str) -> str:
    return shlex.quote(word) if '"' in word else f'"{word}"' if " " in word else word


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
    program, playbook = (_typed(_near(path)) for path in (PROGRAM, ROOT / "playbooks" / "upgrade_web.yml"))
    say("Where to look next")
    print(f"""  backups, each with its manifest   {first.backup_dir}
  jobs, journals and safety copies  {first.work_dir}
  an agent's content                {first.root}
  a dry run of the next upgrade     {program} {playbook} -i "{cluster.inventory}" --check --diff \\
                                      -e dataminer_package="'{cluster.package(NEW)}'"
  your own agents                   README.md, "Use it on real agents"
  remove the demo                   rm -r "{cluster.inventory.parent}\"""")


def say(text: str) -> None:
    print(f"\n{'=' * 100}\n{text}\n{'=' * 100}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
