# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the collection, looks into what was built, installs it and uses it as a user would."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from outcome import Outcome, Run, execute
from venvs import Environment, SetupFailed

SHIPPED = ("plugins/**/*", "roles/**/*", "playbooks/*.yml", "meta/*.yml", "README.md", "LICENSE", "requirements.txt", "docs/*.md")
NEVER = (
    ".git*",
    ".ci*",
    ".venv*",
    ".cache*",
    ".ansible/*",
    "playbooks/collections*",
    "tests/*.py",
    "demo-*",
    "dist/*",
    "*__pycache__*",
    "*.pyc",
    "*.gz",
)


def built(run: Run) -> Path:
    """The artifact of this run."""
    found = sorted((run.temp / "artifact").glob("*.tar.gz"))
    if len(found) != 1:
        raise SetupFailed(f"One artifact was expected, {len(found)} were built")
    return found[0]


def installed(run: Run) -> Path:
    """The folder of collections into which the artifact is installed."""
    return run.temp / "installed"


def collection(collections: Path) -> Path:
    """Where the collection lies in a folder of collections."""
    return collections / "ansible_collections" / "dataminer" / "web"


def succeed(argv: Sequence[str], log: Path, *, cwd: Path, env: Mapping[str, str]) -> None:
    """Run a command that the rest depends on."""
    status = execute(argv, log, cwd=cwd, env=env)
    if status:
        raise SetupFailed(f"{Path(argv[0]).name} ended with {status}")


def build(env: Environment, run: Run, log: Path, environ: Mapping[str, str]) -> Path:
    """The artifact, built from the checkout as it is."""
    target = run.temp / "artifact"
    succeed([env.tool("ansible-galaxy"), "collection", "build", "--output-path", str(target), str(run.root)], log, cwd=run.root, env=environ)
    return built(run)


def install(env: Environment, artifact: Path, collections: Path, log: Path, environ: Mapping[str, str]) -> None:
    """Install the artifact alone: what it depends on is in the environment."""
    options = ["--offline", "--no-deps", "--force", "--collections-path", str(collections)]
    succeed([env.tool("ansible-galaxy"), "collection", "install", str(artifact), *options], log, cwd=collections.parent, env=environ)


def problems(root: Path, artifact: Path) -> list[str]:
    """What is wrong with an artifact: links, what must stay out, what is missing."""
    with tarfile.open(artifact) as archive:
        members = archive.getmembers()
    names = {member.name for member in members}
    links = [f"{member.name}: a link, neither a file nor a folder" for member in members if not (member.isfile() or member.isdir())]
    unwanted = [f"{name}: doesn't belong into the artifact" for name in sorted(names) if any(fnmatchcase(name, pattern) for pattern in NEVER)]
    missing = [f"{name}: missing from the artifact" for name in sorted(expected(root) - names)]
    return [*links, *unwanted, *missing]


def expected(root: Path) -> set[str]:
    """The files of the checkout that a user needs."""
    files = (path for pattern in SHIPPED for path in root.glob(pattern) if path.is_file())
    return {path.relative_to(root).as_posix() for path in files if "__pycache__" not in path.parts}


def plugin_names(folder: Path) -> list[str]:
    """The plugins in a folder of the collection, sorted."""
    return sorted(path.stem for path in folder.glob("[!_]*.py"))


def check_docs(env: Environment, collections: Path, log: Path, environ: Mapping[str, str]) -> Outcome:
    """Every module, role and playbook documents itself, and the documentation follows Ansible's rules."""
    root = collection(collections)
    modules = plugin_names(root / "plugins" / "modules")
    if not modules:
        return Outcome(skipped=1, reasons=("the collection has no modules",))
    doc = ["sh", "-c", '"$0" "$@" >/dev/null', env.tool("ansible-doc"), "--json"]  # what it finds wrong goes to the other output
    commands = [
        [*doc, "-t", "module", *(f"dataminer.web.{name}" for name in modules)],
        *([*doc, "-t", "role", f"dataminer.web.{role}"] for role in roles(root)),
        [env.tool("antsibull-docs"), "lint-collection-docs", "--plugin-docs", "--validate-collection-refs=self", "--skip-rstcheck", str(root)],
    ]
    return every(commands, log, cwd=root, env={**environ, "ANSIBLE_COLLECTIONS_PATH": str(collections)})


def roles(root: Path) -> list[str]:
    """The roles that document arguments."""
    return sorted(path.parent.parent.name for path in root.glob("roles/*/meta/argument_specs.yml"))


def check_playbooks(env: Environment, collections: Path, log: Path, environ: Mapping[str, str]) -> Outcome:
    """Ansible finds every playbook by its installed name, and everything a playbook names."""
    playbooks = sorted(path.stem for path in (collection(collections) / "playbooks").glob("*.yml"))
    if not playbooks:
        return Outcome(skipped=1, reasons=("the collection has no playbooks",))
    commands = [[env.tool("ansible-playbook"), "--syntax-check", "-i", "localhost,", f"dataminer.web.{name}"] for name in playbooks]
    return every(commands, log, cwd=collections.parent, env={**environ, "ANSIBLE_COLLECTIONS_PATH": str(collections)})


def every(commands: Iterable[Sequence[str]], log: Path, *, cwd: Path, env: Mapping[str, str]) -> Outcome:
    """All commands are run; one that fails makes the step fail."""
    statuses = [execute(argv, log, cwd=cwd, env=env) for argv in commands]
    return Outcome(failed=1) if any(statuses) else Outcome(passed=1)
