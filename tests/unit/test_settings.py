"""Every variable of the roles: what it may hold, and what the empty text comes to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("ansible")

from ansible.errors import AnsibleActionFail
from ansible_collections.dataminer.web.plugins.module_utils.arguments import ALL, argument_spec
from ansible_collections.dataminer.web.plugins.module_utils.settings import SETTINGS
from ansible_collections.dataminer.web.plugins.plugin_utils.action import checked_arguments, unfit_values

ROOT = Path(__file__).resolve().parents[2]
# set by playbooks, not by people
WIRING = {"dataminer_play_hosts", "dataminer_purpose", "dataminer_upgrade_after_phase", "dataminer_upgrade_after_results"}
MARK = re.compile(r"\b(dataminer_\w+) \| default\((?:'([^']*)'|(\w+)), true\)")


def options() -> dict[str, dict[str, Any]]:
    """What the roles say that can be set."""
    specs = [yaml.safe_load(path.read_text("utf-8"))["argument_specs"] for path in ROOT.glob("roles/*/meta/argument_specs.yml")]
    return {name: option for spec in specs for entry in spec.values() for name, option in entry["options"].items()}


def defaults() -> dict[str, Any]:
    files = [yaml.safe_load(path.read_text("utf-8")) for path in ROOT.glob("roles/*/defaults/main.yml")]
    return {name: value for found in files for name, value in found.items()}


def test_every_variable_is_known() -> None:
    assert options().keys() - WIRING == SETTINGS.keys() == defaults().keys() - WIRING


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_what_a_role_says_of_its_default_is_so(name: str) -> None:
    """And the empty text passes through what Ansible itself checks."""
    option = options()[name]
    assert option.get("default", defaults()[name]) == defaults()[name]
    assert option["type"] in ("str", "path", "raw")
    assert "" in option.get("choices", [""])
    assert [choice for choice in option.get("choices", [""]) if choice] == SETTINGS[name].get("choices", [])


@pytest.mark.parametrize("name", sorted(name for name, spec in SETTINGS.items() if "default" in spec))
def test_a_module_takes_the_same_default(name: str) -> None:
    """It gets the empty text as it is, and takes its own default then."""
    assert SETTINGS[name]["default"] == defaults()[name]


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_the_default_fits(name: str) -> None:
    assert unfit_values({name: defaults()[name]} if defaults()[name] != "" else {}, SETTINGS) == []


def test_ansible_checks_nothing_of_what_the_roles_share() -> None:
    """It would in each play, for it can't be told not to where a role depends on another, and the gate couldn't say why an agent left the run."""
    specs = yaml.safe_load((ROOT / "roles/common/meta/argument_specs.yml").read_text("utf-8"))["argument_specs"]
    assert "main" not in specs


@pytest.mark.parametrize("number", [0, "9"])
def test_the_ends_of_a_range_fit(number: object) -> None:
    assert unfit_values({"dataminer_compression_level": number}, SETTINGS) == []


@pytest.mark.parametrize("module", sorted(ALL))
def test_empty_texts_are_as_good_as_nothing(module: str) -> None:
    spec = argument_spec(module)
    needed = {name: option.get("choices", ["x"])[0] for name, option in spec.items() if option.get("required")}
    assert checked_arguments({**dict.fromkeys(spec, ""), **needed}, module) == checked_arguments(needed, module)


@pytest.mark.parametrize("word", ["false", "no", "False", False])
def test_booleans_may_be_words(word: object) -> None:
    given = {name: word for name, spec in SETTINGS.items() if spec["type"] == "bool"}
    assert len(given) > 5
    assert unfit_values(given, SETTINGS) == []
    assert checked_arguments({"include_web": word}, "agent_info")["include_web"] is False


@pytest.mark.parametrize(
    ("name", "value", "needed"),
    [
        ("dataminer_timeout", "long", "a whole number of at least 1"),
        ("dataminer_retries", "-1", "a whole number of at least 0"),
        ("dataminer_compression_level", "99", "a whole number from 0 to 9"),
        ("dataminer_package_rate", "fast", "a number of at least 0.001"),
        ("dataminer_package_rate", "0", "a number of at least 0.001"),
        ("dataminer_daas", "maybe", "true or false"),
        ("dataminer_restore_on_failure", "undone", "one of undo, stop"),
        ("dataminer_installer_success_codes", "0,x", "a list of whole numbers"),
        ("dataminer_module_names", "GQI", "a mapping"),
    ],
)
def test_a_wrong_value_is_told_with_what_is_needed(name: str, value: object, needed: str) -> None:
    (problem,) = unfit_values({name: value}, SETTINGS)
    assert (problem.found, problem.needed) == (f"{value!r}, a str", needed)
    assert name in str(problem)


@pytest.mark.parametrize(("value", "found"), [("x", "'x', a str"), (10, "10, an int")])
def test_an_option_of_a_module_tells_the_same(value: object, found: str) -> None:
    with pytest.raises(AnsibleActionFail, match=f"compression_level can't be what it is .* Found: {found} .* Needed: a whole number from 0 to 9"):
        checked_arguments({"compression_level": value}, "backup")


def test_expressions_take_the_default_for_an_empty_text() -> None:
    """Where a role or playbook computes with a variable, it names the default a second time."""
    files = [*ROOT.glob("roles/*/*/*.yml"), *ROOT.glob("roles/*/tasks/*/*.yml"), *ROOT.glob("playbooks/*.yml")]
    marks = [mark for path in files for mark in MARK.findall(path.read_text("utf-8"))]
    found = {(name, text or word) for name, text, word in marks if defaults().get(name) not in ("", None) and (text or word)}
    assert len(found) >= 5
    for name, value in found:
        assert value.replace("\\\\", "\\") == str(defaults()[name]).replace("False", "false"), name
