"""A value that can't be used is told by the name of the variable that somebody set, not by that of the argument it became."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ansible")

from ansible.errors import AnsibleActionFail, AnsibleUndefinedVariable
from ansible.plugins.action import ActionBase
from ansible_collections.dataminer.web.plugins.action.version_gate import ActionModule as VersionGate
from ansible_collections.dataminer.web.plugins.plugin_utils.action import AgentAction, unfit_settings


def action(kind: type[Any], args: dict[str, Any], variables: dict[str, Any]) -> Any:
    made = object.__new__(kind)
    made._task = SimpleNamespace(args=args, check_mode=False, delegate_to=None)
    made._templar = SimpleNamespace(template=lambda value: value)
    made.variables = variables
    return made


def test_the_gate_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ActionBase, "run", lambda *_: {})
    variables = {"dataminer_timeout": "soon"}
    with pytest.raises(AnsibleActionFail, match=r"^Nothing was changed. dataminer_timeout can't be what it is \| Found: 'soon'"):
        action(VersionGate, {"purpose": "upgrade", "timeout": "soon"}, variables).run(None, variables)


def test_a_role_s_module_names_the_variable() -> None:
    class Info(AgentAction):
        module = "agent_info"

    with pytest.raises(AnsibleActionFail, match=r"^dataminer_include_web can't be what it is"):
        action(Info, {"include_web": "maybe"}, {"dataminer_include_web": "maybe"})._checked()
    with pytest.raises(AnsibleActionFail, match=r"^include_web can't be what it is"):
        action(Info, {"include_web": "maybe"}, {})._checked()


def test_a_value_that_names_a_variable_which_is_none_is_told() -> None:
    """What the roles register comes to be known later."""

    def template(value: str) -> str:
        raise AnsibleUndefinedVariable(f"Error while resolving value: '{value}' is undefined")

    variables = {"dataminer_backup_keep": "kept", "dataminer_verify_expected": "dataminer_gate"}
    (problem,) = unfit_settings(template, variables)
    assert str(problem).startswith("dataminer_backup_keep can't be what it is | Found: an expression with kept, which is undefined")
