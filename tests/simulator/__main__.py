# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m simulator create|package|show|digest|readable`, with `PYTHONPATH=tests`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from .cluster import Agent, Cluster, create_cluster
from .content import Size
from .packages import make_package
from .schema import read_json, readable

Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Carries out one command; returns its exit code."""
    arguments = _parser().parse_args(argv)
    command: Command = arguments.command
    try:
        return command(arguments)
    except (OSError, ValueError) as error:
        print(f"simulator: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="simulator", description="Simulated DataMiner clusters.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _create_parser(commands.add_parser("create", help="create a cluster with inventory and packages"))
    _package_parser(commands.add_parser("package", help="make an upgrade package"))
    show = _cluster_parser(commands.add_parser("show", help="what is on the agents"), _show)
    show.add_argument("--json", action="store_true", help="the agents' state as JSON")
    digest = _cluster_parser(commands.add_parser("digest", help="SHA-256 of the content's files"), _digest)
    digest.add_argument("--all", action="store_true", help="everything there is of an agent, with times and modes")
    can_read = _cluster_parser(commands.add_parser("readable", help="what a web version can't read; exit code 1 if anything"), _readable)
    can_read.add_argument("--version", help="default: the web version that is installed")
    can_read.add_argument("--live", action="store_true", help="only dashboards, published and draft versions")
    return parser


def _cluster_parser(parser: argparse.ArgumentParser, command: Command) -> argparse.ArgumentParser:
    parser.set_defaults(command=command)
    parser.add_argument("dir", type=Path, help="the cluster's folder")
    parser.add_argument("--agent", help="only this one")
    return parser


def _create_parser(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_create)
    parser.add_argument("dir", type=Path)
    parser.add_argument("--agents", type=int, default=3)
    parser.add_argument("--name", default="pluto")
    parser.add_argument("--server", default="10.5.6")
    parser.add_argument("--web", help="default: the server's")
    parser.add_argument("--package", action="append", metavar="VERSION", help="web package to make (default: 10.5.9 and 10.5.6)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--vendor-backups", type=int, default=2)
    parser.add_argument("--five-from", metavar="VERSION", help="five vendor backups, the oldest made on this web version")
    parser.add_argument("--failed", action="store_true", help="the newest package folder is of a failed install")
    parser.add_argument("--failover", action="store_true")
    parser.add_argument("--install-seconds", type=float, default=1.0)
    parser.add_argument("--interpreter", help="Python of the launchers (default: this one)")
    parser.add_argument("--files", type=int, default=0, help="this many more files an agent, for benchmarks")
    parser.add_argument("--megabytes", type=float, default=0, help="their size in all")


def _create(arguments: argparse.Namespace) -> int:
    same = ("agents", "name", "server", "web", "seed", "vendor_backups", "five_from", "failed", "failover", "install_seconds", "interpreter")
    options = {name: getattr(arguments, name) for name in same}
    size = Size(files=arguments.files, megabytes=arguments.megabytes)
    cluster = create_cluster(arguments.dir, size=size, packages=arguments.package or ("10.5.9", "10.5.6"), **options)
    print(cluster.inventory)
    return 0


def _package_parser(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_package)
    parser.add_argument("dir", type=Path, help="where to write it")
    parser.add_argument("version", help="such as 10.5.9 or '10.5.0 [CU9]'")
    parser.add_argument("--build", type=int)
    parser.add_argument("--kind", default="Web", help="Web, Full or another word")
    parser.add_argument("--extra", default="", help="such as '(rc)'")


def _package(arguments: argparse.Namespace) -> int:
    print(make_package(arguments.dir, arguments.version, build=arguments.build, kind=arguments.kind, extra=arguments.extra))
    return 0


def _chosen(arguments: argparse.Namespace) -> tuple[Cluster, list[Agent]]:
    cluster = Cluster.load(arguments.dir)
    return cluster, [cluster.agent(arguments.agent)] if arguments.agent else list(cluster.agents)


def _show(arguments: argparse.Namespace) -> int:
    cluster, agents = _chosen(arguments)
    if arguments.json:
        print(json.dumps({agent.name: cluster.state(agent.name) for agent in agents}, ensure_ascii=False, indent=1))
        return 0
    for agent in agents:
        print("\n".join(_summary(cluster, agent)))
    return 0


def _summary(cluster: Cluster, agent: Agent) -> list[str]:
    state = cluster.state(agent.name)
    problems = readable(agent.root, state["web"])
    modules = [f"{row['name']} {row['version']}" for row in state["modules"]]
    web_server = next((f"pid {p['pid']} since {p['started']}" for p in state["processes"] if p["name"] == "W3SVC"), "stopped")
    return [
        f"{agent.name}  id {agent.id}  {agent.address}  cluster {cluster.name}",
        f"  server {state['server']}  web {state['web']}  W3SVC {web_server}",
        f"  modules {', '.join(modules) or 'none'}",
        *(f"  app {line}" for line in _apps(agent.root)),
        *(f"  package {path.name}" for path in sorted(agent.packages.iterdir())),
        *(f"  vendor backup {path.name}" for path in sorted(agent.vendor_backup_dir.glob("*.zip"), key=lambda path: path.stat().st_mtime)),
        f"  {len(cluster.digest(agent.name))} files of content, {len(problems)} problems for the web version installed",
    ]


def _apps(root: Path) -> list[str]:
    lines = []
    for folder in sorted((root / "Applications").iterdir()):
        try:
            info = read_json((folder / "App.info.json").read_bytes())
            about = f"{info.get('Name') or '(no name)'}: published {info['PublicVersion']}, draft {info['DraftVersion']}"
        except (OSError, ValueError) as error:
            about = f"App.info.json can't be read ({type(error).__name__})"
        lines.append(f"{folder.name} {about}, {len(list(folder.glob('version_*')))} versions")
    return lines


def _digest(arguments: argparse.Namespace) -> int:
    cluster, agents = _chosen(arguments)
    for agent in agents:
        rows = cluster.tree_digest(agent.name) if arguments.all else cluster.digest(agent.name)
        print("\n".join(f"{agent.name} {value}  {path}" for path, value in rows.items()))
    return 0


def _readable(arguments: argparse.Namespace) -> int:
    cluster, agents = _chosen(arguments)
    found = 0
    for agent in agents:
        version = arguments.version or cluster.state(agent.name)["web"]
        problems = readable(agent.root, version, live_only=arguments.live)
        found += len(problems)
        print(f"{agent.name}: {len(problems)} files that {version} can't read")
        print("\n".join(f"  {problem}" for problem in problems))
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
