"""The stand-in keeps what the adapter relies on of `ansible.windows.win_powershell`."""

from __future__ import annotations

import pytest
from harness import Engine, EngineFailed, posix_engine

PARAM = "[CmdletBinding(SupportsShouldProcess)] param($a, $b)\n"


def test_changed_unless_set(engine: Engine) -> None:
    assert engine.execute("1", {}, 2)["changed"] is True
    assert engine.execute("$Ansible.Changed = $false", {}, 2)["changed"] is False


def test_what_a_script_is_told_and_what_else_it_tells(engine: Engine) -> None:
    """Names don't tell case, neither those of parameters nor those in them. A diff goes one level deeper than a result."""
    script = PARAM + "$Ansible.Diff = @{ after = @{ c = @{ d = @{ e = @{ f = 1 } } } } }; $Ansible.Failed = $b.NAME -eq 'y'\n"
    script += "$Ansible.Result = @{ verbosity = $Ansible.Verbosity; tmpdir = $Ansible.Tmpdir; a = $a }"
    answer = engine.call({"script": script, "parameters": {"A": 1, "B": {"Name": "y"}}, "verbosity": 3, "tmpdir": "/ünd"})
    assert answer["result"] == {"verbosity": 3, "tmpdir": "/ünd", "a": 1}
    assert answer["diff"] == {"after": {"c": {"d": {"e": "System.Collections.Hashtable"}}}}
    assert (answer["failed"], answer["error"]) == (True, [])


def test_check_mode_gate(engine: Engine) -> None:
    script = "$Ansible.Result = @{ check = $Ansible.CheckMode; whatif = [bool]$WhatIfPreference }"
    skipped = engine.call({"script": script, "check": True})
    assert (skipped["msg"], skipped["result"]) == ("skipped, running in check mode", {})
    assert engine.call({"script": PARAM + script, "check": True})["result"] == {"check": True, "whatif": True}
    assert engine.call({"script": PARAM + script})["result"] == {"check": False, "whatif": False}


def test_undeclared_parameters_are_refused(engine: Engine) -> None:
    answer = engine.execute(PARAM, {"other": 1}, 2)
    assert answer["failed"]
    assert "other" in answer["error"][0]["exception"]["message"]
    assert "msg" not in answer


def test_kinds_of_parameters(engine: Engine) -> None:
    script = PARAM + "$Ansible.Result = @(foreach ($v in $a) { if ($null -eq $v) { 'null' } else { $v.GetType().Name } }) + $b.Name"
    values = [1, 2**40, 1.5, True, None, "x", [], [[1]], {"Name": "y"}, " "]
    answer = engine.execute(script, {"a": values, "b": {"Name": " é\t😀", "a b": 1}}, 2)
    assert answer["result"] == ["Int32", "Int64", "Double", "Boolean", "null", "String", "Object[]", "Object[]", "Hashtable", "String", " é\t😀"]


def test_depth(engine: Engine) -> None:
    script = "$Ansible.Result = @{ a = @{ b = @{ c = @{ d = 1 } } } }"
    assert engine.execute(script, {}, 4)["result"] == {"a": {"b": {"c": {"d": 1}}}}
    assert engine.execute(script, {}, 2)["result"] == {"a": {"b": {"c": "System.Collections.Hashtable"}}}


def test_failure_keeps_what_was_set(engine: Engine) -> None:
    answer = engine.execute("$Ansible.Changed = $false; $Ansible.Result = @{ a = 1 }; throw 'no way'", {}, 2)
    assert (answer["failed"], answer["changed"], answer["result"]) == (True, False, {"a": 1})
    assert answer["error"][0]["exception"]["message"] == "no way"


def test_error_action(engine: Engine) -> None:
    script = "Write-Error 'said'; $Ansible.Result = @{ went = 'on' }"
    stopped = engine.call({"script": script, "error_action": "stop"})
    went_on = engine.call({"script": script, "error_action": "continue"})
    assert (stopped["failed"], stopped["result"]) == (True, {})
    assert (went_on["failed"], went_on["result"], went_on["error"][0]["exception"]["message"]) == (False, {"went": "on"}, "said")


def test_every_run_is_fresh(engine: Engine) -> None:
    engine.execute("$global:left = 1; function global:Get-Left { 2 }", {}, 2)
    assert engine.execute("$Ansible.Result = @{ left = $global:left }", {}, 2)["result"] == {"left": None}
    assert engine.execute("Get-Left", {}, 2)["failed"]
    counting = "$script:runs++; function Get-Run { $script:runs }; $Ansible.Result = @{ runs = Get-Run }"
    assert [engine.execute(counting, {}, 2)["result"] for _ in range(2)] == [{"runs": 1}] * 2


def test_a_script_that_cannot_be_read(engine: Engine) -> None:
    for _ in range(2):
        answer = engine.execute("$Ansible.Result = @{ went = 'on' }; if (", {}, 2)
        assert (answer["failed"], answer["result"]) == (True, {})
        assert "condition in if statement" in answer["error"][0]["exception"]["message"]


@pytest.mark.powershell
def test_engine_that_hangs_is_killed(powershell: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.FIRST_ANSWER", 3.0)
    engine = Engine(posix_engine())
    with pytest.raises(EngineFailed, match="no answer"):
        engine.execute("while ($true) { }", {}, 2)
    assert engine.process is None
