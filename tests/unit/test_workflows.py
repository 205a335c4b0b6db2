"""The workflows name what there is, cover what is supported, and take no more rights than they need."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "tools"))

import check
import steps

WORKFLOWS = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))}
JOBS = {f"{workflow}:{name}": job for workflow, document in WORKFLOWS.items() for name, job in document["jobs"].items()}


def matrix(job, key):
    return [row[key] for row in job["strategy"]["matrix"]["include"]]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_reads_only_and_gives_way_to_a_newer_run(name):
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}
    assert WORKFLOWS[name]["concurrency"]["cancel-in-progress"] is True
    assert set(WORKFLOWS[name]["on"]) == {"push", "pull_request", "workflow_dispatch"}


@pytest.mark.parametrize("name", JOBS)
def test_a_job_ends_and_needs_no_secret(name):
    assert JOBS[name]["timeout-minutes"] <= 60
    assert "secrets." not in str(JOBS[name])
    used = [step["uses"] for step in JOBS[name]["steps"] if "uses" in step]
    assert used
    assert [use for use in used if not re.fullmatch(r"actions/[a-z-]+@v\d+", use)] == []


def test_every_step_named_exists_and_none_but_the_tests_is_left_out():
    names = [step.name for step in steps.all_steps()]
    covered = {name for only in matrix(JOBS["check:parts"], "only") for name in check.matching(names, only)}
    left = {name.partition("@")[0] for name in set(names) - covered}
    assert left == {"venv", "unit", "conformance", "coverage", "integration"}


def test_every_supported_ansible_core_is_tested():
    low, high = re.search(r"^ansible-core>=2\.(\d+),<2\.(\d+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE).groups()
    assert matrix(JOBS["check:tests"], "core") == [f"2.{minor}" for minor in range(int(low), int(high))]


def test_both_engines_of_windows_are_tested():
    assert matrix(JOBS["windows:scripts"], "program") == ["powershell.exe", "pwsh.exe"]


@pytest.mark.parametrize("name", ["check:tests", "windows:scripts"])
def test_a_lane_that_was_passed_over_fails_a_workflow(name):
    (command,) = [step["run"] for step in JOBS[name]["steps"] if step.get("name") == "Test"]
    reports = re.findall(r"--junitxml[= ](\S+)", command)
    assert reports
    assert command.splitlines()[-1] == f"python tests/tools/lanes.py {' '.join(reports)}"


@pytest.mark.parametrize("name", ["check:tests", "windows:references", "windows:scripts"])
def test_pytest_gets_one_folder_a_time(name):
    """Several have files of the same name, which pytest refuses."""
    said = "\n".join(step.get("run", "") for step in JOBS[name]["steps"])
    calls = re.findall(r"python -m pytest .*", said)
    assert calls
    assert [call for call in calls if len(re.findall(r"\btests/\w+", call)) != 1] == []


def needed_to_collect():
    """What the tests that run on Windows import from outside the standard library and the checkout, whatever they then skip."""
    files = [ROOT / "tests" / "conftest.py", *(ROOT / "tests" / "conformance").glob("*.py")]
    statements = [node for path in files for node in ast.parse(path.read_text(encoding="utf-8")).body]
    names = {alias.name for node in statements if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in statements if isinstance(node, ast.ImportFrom) and node.module}
    ours = {path.stem for path in (*files, *(ROOT / "tests" / "tools").glob("*.py"))} | {"ansible_collections", "simulator"}
    foreign = {name.partition(".")[0] for name in names} - ours - sys.stdlib_module_names
    return {{"yaml": "pyyaml", "_pytest": "pytest"}.get(name, name) for name in foreign}


@pytest.mark.parametrize("name", ["windows:references", "windows:scripts"])
def test_the_jobs_on_windows_install_what_their_tests_import(name):
    said = " ".join(step.get("run", "") for step in JOBS[name]["steps"])
    installed = {re.match(r"[a-z]+", package)[0] for package in re.findall(r"'([a-z]+>=[^']+)'", said)}
    assert needed_to_collect() == installed
