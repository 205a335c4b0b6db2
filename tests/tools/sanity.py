# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs `ansible-test sanity` on the installed collection, with nothing but a package index.

ansible-test makes an environment for each of its tests with a script it downloads, and passes pip no environment variables. So it gets a
home folder inside the checkout: with such a script that uses the pip that comes with Python, and with pip's settings of this machine.
"""

from __future__ import annotations

import ast
import configparser
import os
import re
from collections.abc import Mapping
from pathlib import Path

from outcome import Outcome, execute
from venvs import ROOT, Environment, run

BOOTSTRAP = "import ensurepip\nensurepip.bootstrap(upgrade=True, default_pip=True)\n"
PIP_VERSION = """
from types import SimpleNamespace
from ansible_test._internal.python_requirements import get_venv_packages
print(get_venv_packages(SimpleNamespace(version="{version}"))["pip"])
"""
# its own requirements don't come from a package index but from PowerShell's
LEFT_OUT = {"pslint": "it installs PowerShell modules from the network"}


def check(env: Environment, version: str, collection: Path, log: Path) -> Outcome:
    """One test, with what ansible-test itself had to skip."""
    home = prepared_home(env, version)
    skips = [word for name in LEFT_OUT for word in ("--skip-test", name)]
    argv = [env.tool("ansible-test"), "sanity", "--local", "--python", version, "--color", "no", *skips]
    status = execute(argv, log, cwd=collection, env=environment(env, home))
    if status:
        return Outcome(failed=1)
    reasons = [f"{name}: {reason}" for name, reason in LEFT_OUT.items()] + skipped_tests(log)
    return Outcome(passed=1, skipped=len(reasons), reasons=tuple(reasons))


def skipped_tests(log: Path) -> list[str]:
    """What ansible-test says it skipped, but for platforms nobody asked about."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    found = (re.match(r"WARNING: (Skipping sanity test .*|Required program .*)", line) for line in lines)
    return [match[1] for match in found if match]


def prepared_home(env: Environment, version: str) -> Path:
    """The home folder for ansible-test; the environments it makes there serve the next run too."""
    home = ROOT / ".cache" / f"ansible-test-{env.core()}-{version}"
    pip = env.ask(PIP_VERSION.format(version=version))
    script = home / ".ansible" / "test" / "cache" / f"get_pip_{pip.replace('.', '_')}.py"
    if not script.exists():
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(BOOTSTRAP, encoding="utf-8")
    write_pip_settings(home / ".config" / "pip" / "pip.conf", pip_settings(env))
    return home


def environment(env: Environment, home: Path) -> Mapping[str, str]:
    path = f"{env.path / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "XDG_"))}
    return {**kept, "HOME": str(home), "PATH": path}


def pip_settings(env: Environment) -> dict[str, str]:
    """pip's settings as this machine has them, those of environment variables before those of files."""
    lines = run([str(env.python), "-m", "pip", "config", "list", "--disable-pip-version-check"]).splitlines()
    pairs = [line.partition("=")[::2] for line in lines if line.startswith((":env:.", "global.", "install."))]
    ranked = sorted(pairs, key=lambda pair: pair[0].startswith(":env:."))
    return {key.rpartition(".")[2]: str(ast.literal_eval(value)) for key, value in ranked}


def write_pip_settings(path: Path, settings: Mapping[str, str]) -> None:
    """A file only its owner may read: an index can carry a password."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parser = configparser.RawConfigParser()
    parser["global"] = {**settings, "quiet": "1"}
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
        parser.write(stream)
