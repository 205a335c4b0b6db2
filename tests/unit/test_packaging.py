"""What the packaging says agrees with what is in the checkout."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


def load(path):
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def modules():
    return {path.stem for path in (ROOT / "plugins" / "modules").glob("[!_]*.py")}


def members(name):
    """The modules of an action group, with those of the groups it extends."""
    found = set()
    for entry in load("meta/runtime.yml")["action_groups"][name]:
        if isinstance(entry, str):
            found.add(entry)
        else:
            found |= {module for group in entry["metadata"]["extend_group"] for module in members(group.removeprefix("dataminer.web."))}
    return found


def test_the_action_group_web_has_every_module_and_no_other():
    assert members("web") == modules()


def test_the_action_group_agents_has_the_modules_that_share_the_options_of_an_agent():
    shares = re.compile(r"^ *- dataminer\.web\.agent$", re.MULTILINE)
    assert members("agents") == {name for name in modules() if shares.search((ROOT / f"plugins/modules/{name}.py").read_text())}


def test_every_module_has_a_runtime_entry_point_for_the_controller():
    assert modules() <= {path.stem for path in (ROOT / "plugins" / "action").glob("[!_]*.py")}


def test_the_oldest_ansible_is_the_same_everywhere():
    required = load("meta/runtime.yml")["requires_ansible"]
    assert required == ">=2.19.0"
    assert "ansible-core>=2.19,<2.22" in (ROOT / "requirements.txt").read_text().splitlines()


def test_the_version_is_one_that_the_changelog_knows_or_will_release():
    version = load("galaxy.yml")["version"]
    released = load("changelogs/changelog.yaml")["releases"]
    assert version in released or list((ROOT / "changelogs" / "fragments").glob("*.yml"))


def test_python_is_the_same_for_modules_and_tools():
    assert load("tests/config.yml")["modules"]["python_requires"] == ">=3.11"
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert (tools["ruff"]["target-version"], tools["mypy"]["python_version"]) == ("py311", "3.11")


@pytest.mark.parametrize("path", sorted((ROOT / "roles").glob("*/tasks/main.yml")), ids=lambda path: path.parents[1].name)
def test_every_role_declares_its_arguments(path):
    specs = yaml.safe_load((path.parents[1] / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    assert specs["argument_specs"]["main"]["short_description"]


@pytest.mark.parametrize("path", sorted((ROOT / "roles").glob("*/defaults/main.yml")), ids=lambda path: path.parents[1].name)
def test_every_variable_is_named_after_the_collection_and_has_one_default(path):
    own = set(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    others = {name for other in (ROOT / "roles").glob("*/defaults/main.yml") if other != path for name in yaml.safe_load(other.read_text()) or {}}
    assert not {name for name in own if not name.startswith("dataminer_")}
    assert not own & others


DEFAULTS = [*(ROOT / "roles").glob("*/defaults/main.yml")]


@pytest.mark.parametrize("path", sorted((ROOT / "playbooks").glob("*.yml")), ids=lambda path: path.stem)
def test_every_variable_of_a_playbook_is_one_that_a_role_has(path):
    """With a default and an argument, so that it is documented and checked."""
    expressions = re.findall(r"\{\{.*?\}\}|when: .*", path.read_text(encoding="utf-8"))
    used = set(re.findall(r"dataminer_\w+", " ".join(expressions)))
    known = {name for defaults in DEFAULTS for name in yaml.safe_load(defaults.read_text(encoding="utf-8")) or {}}
    specs = (yaml.safe_load((defaults.parents[1] / "meta" / "argument_specs.yml").read_text(encoding="utf-8")) for defaults in DEFAULTS)
    declared = {name for spec in specs for entry in spec["argument_specs"].values() for name in entry["options"]}
    assert used
    assert used <= known & declared


@pytest.mark.parametrize("path", sorted((ROOT / "playbooks").glob("*.yml")), ids=lambda path: path.stem)
def test_the_readme_names_every_playbook(path):
    assert f"`{path.name}`" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_names_no_variable_that_does_not_exist():
    known = {name for path in (ROOT / "roles").glob("*/defaults/main.yml") for name in yaml.safe_load(path.read_text()) or {}}
    named = set(re.findall(r"`(dataminer_\w+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert named <= known


def test_the_link_that_makes_names_resolve_in_a_checkout_is_relative():
    link = ROOT / "playbooks" / "collections" / "ansible_collections" / "dataminer" / "web"
    assert link.readlink() == Path("../../../..")
