# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of the check.

Those without a suffix run in `.venv`; those with one, like `unit@2.21`, in the environment at the other end of the supported range of
ansible-core.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import artifact
import lanes
import sanity
import script_lines
from outcome import Outcome, Run, Step, execute, from_junit
from venvs import LANE, PYTHONS, ROOT, TEST, Environment, ensure, main_environment, other_environment, python_version, unfit_pythons

PACKAGE = "ansible_collections.dataminer.web.plugins"
WORKERS = "4"  # on two cores: tests wait for processes, too
DISTRIBUTION = {"integration": ("--dist", "load", "--maxschedchunk", "1")}  # few tests, of which the long ones come first
NOT_CORE = ("artifact", "bench", "docs", "packaging", "script_lines", "simulator", "tools", "workflows")
PLAYED = ("-m", "each_core and powershell")
# What runs on the other end of the range: scripts and the adapter don't see ansible-core, and most scenarios are the same there. Between the ends
# only the form in which module calls travel may differ. What is about this checkout is so on every Python.
OTHER_END = {
    "unit": tuple(f"--ignore=tests/unit/test_{name}.py" for name in NOT_CORE),
    "conformance": ("-k", "windows_host"),
    "integration": ("-m", "each_core"),
}
BETWEEN = {"integration": PLAYED}
Commands = Callable[[Environment], list[list[str]]]


def other_cores() -> tuple[str, str]:
    """The end of the range that `.venv` doesn't cover, and what is between: on Python 3.11 that has ansible-core 2.19, later ones have 2.21."""
    return "2.21" if sys.version_info < (3, 12) else "2.19", "2.20"


def all_steps() -> list[Step]:
    """Every step, in the order in which they are started: what is quick or slow alone first, what takes all cores last."""
    end, between = other_cores()
    main = main_environment
    return [
        Step("venv", "the environment .venv", partial(make_main, main)),
        *(Step(f"venv@{core}", f"the environment for ansible-core {core}", partial(make_other, core)) for core in (end, between)),
        Step("ruff", "ruff check", tool(main, ruff), needs=("venv",)),
        Step("format", "ruff format --check", tool(main, formatting), needs=("venv",)),
        Step("build", "the artifact holds what it should", artifact_step, needs=("venv",)),
        Step("sanity", "ansible-test sanity on the installed artifact", sanity_step(main), needs=("build",)),
        Step(f"sanity@{end}", f"the same on ansible-core {end}", sanity_step(partial(other_environment, end)), needs=("build", f"venv@{end}")),
        Step("mypy", "mypy --strict on plugins, simulator and tools", tool(main, types), needs=("venv",)),
        Step("yamllint", "yamllint --strict", tool(main, yaml), needs=("venv",)),
        Step("ansible-lint", "ansible-lint, profile production", tool(main, ansible_lint), needs=("venv",)),
        Step("changelog", "antsibull-changelog lint", tool(main, changelog), needs=("venv",)),
        Step("shell", "bash -n on shell scripts", tool(main, shell), needs=("venv",)),
        Step("docs", "documentation of every plugin and role", docs_step, needs=("build",)),
        Step("installed", "playbooks by their installed names", installed_step, needs=("build",)),
        Step("unit", "tests/unit", partial(pytest_step, "unit", main), cores=2, needs=("venv",)),
        Step("conformance", "tests/conformance", conformance_step, cores=2, needs=("venv",)),
        Step("coverage", "lines of the PowerShell scripts that ran", coverage_step, needs=("conformance",)),
        Step("integration", "tests/integration", partial(pytest_step, "integration", main), cores=2, needs=("venv",)),
        *(selection(name, end, select) for name, select in OTHER_END.items()),
        *(selection(name, between, select) for name, select in BETWEEN.items()),
    ]


def selection(name: str, core: str, select: tuple[str, ...]) -> Step:
    """Tests of a folder on another ansible-core. Played hosts have this machine's engine there: how near they are to Windows, `.venv` shows."""
    more = {"PWSH_WINDOWS": ""} if name == "integration" else {}
    about = f"tests/{name} on ansible-core {core}" + (", a selection" if select else "")
    return Step(
        f"{name}@{core}",
        about,
        partial(pytest_step, name, partial(other_environment, core), select=select, more=more),
        cores=2,
        needs=(f"venv@{core}",),
    )


def conformance_step(run: Run, log: Path) -> Outcome:
    """The whole suite, which counts the lines of the scripts on the way."""
    shutil.rmtree(script_lines.FOLDER, ignore_errors=True)
    return pytest_step("conformance", main_environment, run, log, more={script_lines.VARIABLE: str(script_lines.FOLDER)})


def coverage_step(run: Run, log: Path) -> Outcome:
    """Judged only where both engines ran: some lines are for Windows alone, and some are for what Wine doesn't show."""
    missing = [lane for lane in ("powershell", "windows") if not (script_lines.FOLDER / f"{lane}.lane").exists()]
    if missing:
        return Outcome(skipped=1, reasons=(f"lines count over the lanes powershell and windows; not run: {', '.join(missing)}",))
    lines, reasons = script_lines.read_lines(script_lines.FOLDER), script_lines.read_reasons(script_lines.LIST)
    problems = script_lines.problems(lines, reasons)
    log.write_text("".join(f"{problem}\n" for problem in problems), encoding="utf-8")
    return Outcome(passed=int(not problems), failed=len(problems), notes=tuple(script_lines.report(lines, reasons)))


def make_main(env: Callable[[], Environment], run: Run, log: Path) -> Outcome:
    ensure(env(), TEST)
    return Outcome()


def make_other(core: str, run: Run, log: Path) -> Outcome:
    env = other_environment(core)
    if env is None:
        unfit = unfit_pythons(core) if lanes.on_build_server(os.environ) else []
        if unfit:
            log.write_text(f"ansible-core {core} isn't tested, for these can't make environments: {', '.join(map(str, unfit))}\n", encoding="utf-8")
            return Outcome(failed=1)
        found = f"no Python {' or '.join(PYTHONS[core])} that can make environments, on PATH or under pyenv"
        return Outcome(unavailable=True, reasons=(f"ansible-core {core}: {found}",))
    ensure(env, LANE, core=core)
    return Outcome()


def environ(env: Environment, **more: str) -> Mapping[str, str]:
    """The environment of a step: the tools of the virtual environment first, Ansible's own files inside the checkout."""
    path = f"{env.path / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**os.environ, "PATH": path, "ANSIBLE_HOME": str(ROOT / ".cache" / "ansible"), "NO_COLOR": "1", "PY_COLORS": "0", **more}


def tool(env: Callable[[], Environment], commands: Commands) -> Callable[[Run, Path], Outcome]:
    """A step of commands that all have to end with 0."""

    def action(run: Run, log: Path) -> Outcome:
        statuses = [execute(argv, log, cwd=run.root, env=environ(env())) for argv in commands(env())]
        return Outcome(failed=1) if any(statuses) else Outcome(passed=1)

    return action


def ruff(env: Environment) -> list[list[str]]:
    return [[env.tool("ruff"), "check", "--no-fix", "."]]


def formatting(env: Environment) -> list[list[str]]:
    return [[env.tool("ruff"), "format", "--check", "."]]


def types(env: Environment) -> list[list[str]]:
    """The plugins under the name they are imported by; the scripts of the tests, and what tests share, as the scripts they are."""
    plugins = [env.tool("mypy"), "-p", PACKAGE]
    return [plugins, [env.tool("mypy"), "tests/tools", "tests/simulator", "tests/integration"]]


def yaml(env: Environment) -> list[list[str]]:
    return [[env.tool("yamllint"), "--strict", "."]]


def ansible_lint(env: Environment) -> list[list[str]]:
    """Roles are read on their own, away from playbooks/collections: so its link is named."""
    return [["env", f"ANSIBLE_COLLECTIONS_PATH={ROOT / 'playbooks' / 'collections'}", env.tool("ansible-lint"), "--offline", "--nocolor", "-q"]]


def changelog(env: Environment) -> list[list[str]]:
    tool_name = env.tool("antsibull-changelog")
    return [[tool_name, "lint"], [tool_name, "lint-changelog-yaml", "changelogs/changelog.yaml"]]


def shell(env: Environment) -> list[list[str]]:
    scripts = [ROOT / ".ci" / "run", *(path for folder in ("tests", "playbooks", "plugins") for path in ROOT.glob(f"{folder}/**/*.sh"))]
    return [["bash", "-n", str(path)] for path in scripts if path.is_file()]


def pytest_step(
    name: str, env: Callable[[], Environment | None], run: Run, log: Path, *, select: tuple[str, ...] = (), more: Mapping[str, str] | None = None
) -> Outcome:
    """One folder of tests, or a selection of them. `more`: variables of the environment."""
    found = env()
    assert found  # the step that made the environment came before
    if not list(run.root.glob(f"tests/{name}/**/test_*.py")):
        return Outcome(skipped=1, reasons=(f"tests/{name} holds no tests",))
    report = run.temp / f"{log.stem}.xml"
    spread = ("-n", WORKERS, *DISTRIBUTION.get(name, ("--dist", "worksteal")))
    options = [*spread, "-q", "-rs", "--tb=short", f"--junitxml={report}", "-p", "no:cacheprovider", *select]
    status = execute([str(found.python), "-m", "pytest", f"tests/{name}", *options], log, cwd=run.root, env=environ(found, **(more or {})))
    return all_lanes(from_junit(report, status), log)


def all_lanes(outcome: Outcome, log: Path) -> Outcome:
    """On a build server, a failure for each lane that was skipped although it could have run."""
    problems = lanes.passed_over(outcome.reasons, os.environ) if lanes.on_build_server(os.environ) else []
    with log.open("a", encoding="utf-8") as stream:
        stream.writelines(f"{problem}\n" for problem in problems)
    return replace(outcome, failed=outcome.failed + len(problems))


def artifact_step(run: Run, log: Path) -> Outcome:
    env = main_environment()
    built = artifact.build(env, run, log, environ(env))
    problems = artifact.problems(run.root, built)
    with log.open("a", encoding="utf-8") as stream:
        stream.writelines(f"{problem}\n" for problem in problems)
    artifact.install(env, built, artifact.installed(run), log, environ(env))
    return Outcome(failed=1) if problems else Outcome(passed=1)


def sanity_step(env: Callable[[], Environment | None]) -> Callable[[Run, Path], Outcome]:
    def action(run: Run, log: Path) -> Outcome:
        found = env()
        assert found  # the step that made the environment came before
        version = python_version(found.base)
        assert version
        folder = run.temp / log.stem
        artifact.install(found, artifact.built(run), folder, log, environ(found))
        return sanity.check(found, version, artifact.collection(folder), log)

    return action


def docs_step(run: Run, log: Path) -> Outcome:
    env = main_environment()
    return artifact.check_docs(env, artifact.installed(run), log, environ(env))


def installed_step(run: Run, log: Path) -> Outcome:
    env = main_environment()
    return artifact.check_playbooks(env, artifact.installed(run), log, environ(env))
