"""The tasks of the role gate: a play begins with nothing of an earlier one."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from ansible_collections.dataminer.web.plugins.module_utils.outcome import PHASES

ROOT = Path(__file__).resolve().parents[2]


def test_the_gate_begins_by_forgetting_all_that_roles_and_playbooks_register() -> None:
    """On all hosts, whatever tags were asked for: registered results outlive their play."""
    first = yaml.safe_load((ROOT / "roles" / "gate" / "tasks" / "main.yml").read_text("utf-8"))[0]
    texts = [path.read_text("utf-8") for pattern in ("roles/*/tasks/**/*.yml", "playbooks/*.yml") for path in ROOT.glob(pattern)]
    registered = {name for text in texts for name in re.findall(r"^ *register: (\w+)$", text, re.MULTILINE)}
    assert registered >= set(PHASES)
    assert first["ansible.builtin.set_fact"] == {name: {} for name in registered}
    assert (first["run_once"], first["tags"]) == (True, ["always"])
