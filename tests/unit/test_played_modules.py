"""How the played Windows host carries out its one module."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from played_calls import NAME
from simulator.windows import modules
from simulator.windows.files import FileModules
from simulator.windows.payload import ModuleCall


class FakeEngines:
    launcher = ("pwsh",)

    def __init__(self, result: Any = None) -> None:
        self.requests: list[dict[str, Any]] = []
        self.result = result

    def call(self, request: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        return {"changed": False, "result": self.result}


def played(engines: FakeEngines) -> Callable[[ModuleCall], dict[str, Any]]:
    return modules.PlayedModules(engines, lambda: {"runtimes": ["8.0.11"]}, FileModules(Path))  # type: ignore[arg-type]


def called(**args: Any) -> ModuleCall:
    return ModuleCall(name=NAME, args=args, internal={"check_mode": True, "verbosity": 3})


def test_what_the_engine_is_given() -> None:
    engines = FakeEngines()

    played(engines)(called(script="param($a)", parameters={"a": 1}, depth=3, error_action="stop"))

    (request,) = engines.requests
    assert (request["script"], request["parameters"], request["depth"], request["error_action"]) == ("param($a)", {"a": 1}, 3, "stop")
    assert (request["check"], request["verbosity"]) == (True, 3)


def test_a_script_that_launches_gets_a_launcher() -> None:
    engines = FakeEngines()
    script = "param(\n    [string]$a,\n    [string[]]$launcher = @()\n)"

    played(engines)(called(script=script, parameters={"a": "x"}))

    assert engines.requests[0]["parameters"] == {"a": "x", "launcher": ("pwsh",)}


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ({"script": "1", "chdir": "C:\\"}, "Unsupported parameters for (ansible.windows.win_powershell) module: chdir"),
        ({}, "one of the following is required: path, script"),
        ({"script": "1", "error_action": "ignore"}, "value of error_action must be one of"),
        ({"script": "1", "parameters": "a=1"}, "unable to convert to dict"),
    ],
)
def test_arguments_that_the_module_refuses(args: dict[str, Any], why: str) -> None:
    engines = FakeEngines()

    result = played(engines)(called(**args))

    assert result["failed"]
    assert why in result["msg"]
    assert not engines.requests


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("nested", [False, True])
def test_scans_tell_of_the_simulated_machine(packed: bool, nested: bool) -> None:
    """Wherever a script hands one over, plain or packed."""
    place = hand_over({"language_mode": "FullLanguage", "host": None}, packed)
    result = {**hand_over({"state": "done"}, packed), "scan": place} if nested else place

    answer = played(FakeEngines(result))(called(script="1"))["result"]

    found = read(answer["scan"] if nested else answer)
    assert found == {"language_mode": "FullLanguage", "host": {"runtimes": ["8.0.11"]}}
    if nested:
        assert read(answer) == {"state": "done"}


def hand_over(document: dict[str, Any], packed: bool) -> dict[str, Any]:
    text = json.dumps(document)
    if not packed:
        return {"encoding": "plain", "document": text}
    return {"encoding": "gzip+base64", "document": base64.b64encode(gzip.compress(text.encode())).decode()}


def read(place: dict[str, Any]) -> Any:
    text = place["document"]
    return json.loads(gzip.decompress(base64.b64decode(text)) if place["encoding"] == "gzip+base64" else text)


def test_other_results_stay_as_they_are() -> None:
    for result in (None, "text", {"document": 1}, {"encoding": "gzip+base64", "document": "?"}, {"encoding": "plain", "document": "[]"}):
        assert played(FakeEngines(result))(called(script="1"))["result"] == result
