"""What the gate prints, and which values of an agent, or of its play, it can't work with."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ansible")

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.dataminer.web.plugins.action import version_gate
from ansible_collections.dataminer.web.plugins.module_utils.agent import PackageFile
from ansible_collections.dataminer.web.plugins.plugin_utils.cluster_view import ClusterView
from gate_agents import agents, state

PACKAGE = "DataMiner 10.5.5.0-15700 Web Upgrade.dmupgrade"
MISNAMED = state(package_file=PackageFile(path="C:\\Packages\\newest.dmupgrade", size=1))


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    texts: list[str] = []
    monkeypatch.setattr(version_gate, "display", SimpleNamespace(display=texts.append))
    monkeypatch.setattr(ActionBase, "run", lambda *_: {})
    return texts


def asked(monkeypatch: pytest.MonkeyPatch, hostvars: dict[str, dict[str, Any]], states: dict[str, Any], **args: Any) -> dict[str, str]:
    """Every agent asks, as in a play; gives what each was told, "" where it was allowed. `states`: of those that aren't fine."""
    readings = {one.name: one for one in agents(*(states.get(name) or state() for name in hostvars))}
    monkeypatch.setattr(ClusterView, "reading", lambda _view, name, _key: readings[name])
    told = {}
    for name, own in hostvars.items():
        made: Any = object.__new__(version_gate.ActionModule)
        target = own.get("dataminer_target_version", "10.5.5")
        given = {"purpose": "upgrade", "target": target, "package": own.get("dataminer_package", PACKAGE), "package_brought": True, **args}
        made._task = SimpleNamespace(args=given, check_mode=False)
        made._templar = SimpleNamespace(template=lambda value: value)
        try:
            result = made.run(None, {"hostvars": hostvars, "inventory_hostname": name, "ansible_play_hosts_all": list(hostvars), **own})
            told[name] = str(result.get("msg", ""))
        except AnsibleActionFail as error:
            told[name] = str(error)
    return told


@pytest.mark.parametrize(
    ("own", "states", "said"),
    [
        ({}, {}, ""),
        ({"dataminer_timeout": "soon"}, {}, "dataminer_timeout can't be what it is"),
        ({"dataminer_target_version": "latest"}, {}, "dataminer_target_version isn't a version"),
        ({"dataminer_package": "C:\\Packages\\newest.dmupgrade"}, {"a1": MISNAMED}, "'newest.dmupgrade' is not the name of an upgrade package"),
    ],
    ids=["nothing", "a setting", "the version", "the package"],
)
def test_one_table_is_printed_by_the_first_agent_that_comes_to_a_verdict(
    shown: list[str], monkeypatch: pytest.MonkeyPatch, own: dict[str, Any], states: dict[str, Any], said: str
) -> None:
    states["a2"] = state(host={"pending_reboot": ("Windows Update",)})
    told = asked(monkeypatch, {"a1": own, "a2": {}, "a3": {}}, states)
    assert said in told["a1"]
    assert told["a3"].startswith("The gate denies the upgrade")
    (table,) = shown
    assert "DENIED, nothing was changed" in table
    assert "Windows Update" in table


def test_values_of_the_play_which_win_over_those_of_the_inventory_leave_a_table(shown: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of other agents only the inventory's are seen."""
    monkeypatch.setattr(version_gate, "_is_unfit", lambda *_: True)
    told = asked(monkeypatch, {"a1": {}, "a2": {}}, {})
    assert set(told.values()) == {""}
    assert len(shown) == 1


def test_an_agent_whose_play_names_another_cluster_than_its_inventory_is_told_so(shown: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of other agents a play sees no variable of its own: there would be no agent in that cluster."""
    told = asked(monkeypatch, {"a1": {}, "a2": {}}, {}, cluster="pluto")
    assert set(told.values()) == {
        "Nothing was changed. dataminer_cluster can't be a variable of the play | Found: 'pluto' in the play, '' in the inventory | "
        "Needed: the same, for of other agents a play sees the inventory's variables only | "
        "What to do: set dataminer_cluster in the inventory, or for all agents with -e"
    }
    assert shown == []


@pytest.mark.parametrize("purpose", ["upgrade", "status"])
def test_a_report_that_could_not_be_written_is_told_before_anything_is_changed(
    shown: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, purpose: str
) -> None:
    """A status changes nothing: it is told first, and the end tells of the report."""
    (tmp_path / "file").touch()
    more = {"package": "", "target": None} if purpose == "status" else {}
    told = asked(monkeypatch, {"a1": {}}, {}, purpose=purpose, report_path=str(tmp_path / "file" / "run.json"), **more)
    assert told["a1"].startswith("Nothing was changed. The report can't be written to ") == (purpose == "upgrade")
    assert len(shown) == (purpose == "status")
