"""What the played Windows host makes of the calls that arrive; it must never guess."""

from __future__ import annotations

from typing import Any

import pytest
from played_calls import NAME, line, manifest, stdin
from simulator.windows.payload import SEPARATOR, Command, ModuleCall, UnknownShape, decode


def test_module_call() -> None:
    call = decode(line(), stdin())

    assert isinstance(call, ModuleCall)
    assert (call.name, call.check, call.wrappers) == (NAME, True, ())
    assert call.args == {"script": "param($a)", "parameters": {"a": "Grüße"}}
    assert call.internal["verbosity"] == 2


def test_module_call_over_psrp() -> None:
    """The script itself comes, and the input in lines of Windows or not."""
    call = decode("bootstrap\nof Ansible", stdin().replace(b"\n", b"\r\n"))

    assert isinstance(call, ModuleCall)


def test_wrappers_are_told() -> None:
    call = decode(line(), stdin(manifest(before=("async_wrapper.ps1",))))

    assert isinstance(call, ModuleCall)
    assert call.wrappers == ("async_wrapper.ps1",)


@pytest.mark.parametrize(
    ("text", "given", "what"),
    [
        ("sudo -H -S -n -u root whoami", b"", Command(text="sudo -H -S -n -u root whoami", powershell=False)),
        (line("whoami"), b"", Command(text="whoami", powershell=True)),
        (
            line(),
            stdin({**manifest(), "actions": [{"name": "winrm_put_file.ps1"}]}),
            Command(text="winrm_put_file.ps1 of ansible-core", powershell=True, action="winrm_put_file.ps1"),
        ),
    ],
)
def test_other_commands(text: str, given: bytes, what: Command) -> None:
    assert decode(text, given) == what


def without(*path: str) -> dict[str, Any]:
    """A manifest that lacks one thing."""
    value = manifest()
    place: Any = value
    for key in path[:-1]:
        place = place[int(key)] if key.isdigit() else place[key]
    del place[path[-1]]
    return value


@pytest.mark.parametrize(
    ("text", "given", "why"),
    [
        (line(), b'#!/usr/bin/python\n"AnsiballZ"', "input without a manifest"),
        (line(), b'{"actions": []}', "input without a manifest"),
        ("PowerShell -EncodedCommand a?b", stdin(), "isn't base64"),
        (line(), b"{}" + SEPARATOR + b"no JSON", "without actions and scripts"),
        (line(), stdin(without("actions")), "without actions and scripts"),
        (line(), stdin(without("scripts")), "without actions and scripts"),
        (line(), stdin({**manifest(), "actions": []}), "no action"),
        (line(), stdin(without("actions", "0", "params")), "without its arguments"),
        (line(), stdin(without("actions", "0", "params", "Variables")), "without its arguments"),
        (line(), stdin(without("scripts", "x.ps1")), "without its arguments or its script"),
        (line(), stdin(manifest({"script": ""})), "without its arguments"),
        (line(), stdin(manifest(script="#!/usr/bin/python")), "no PowerShell module"),
    ],
)
def test_unknown_shapes_fail_loudly(text: str, given: bytes, why: str) -> None:
    with pytest.raises(UnknownShape, match=why):
        decode(text, given)
