"""What a call to a Windows agent does about a connection that fails: how often it asks, and whose fault it tells of."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible_collections.dataminer.web.plugins.plugin_utils.windows_call import _executor


def failed(error: Exception) -> tuple[str, int]:
    """What is said of an error that every call meets, and how many calls were made."""
    calls: list[Any] = []

    def execute(**call: Any) -> dict[str, Any]:
        calls.append(call)
        raise error

    action: Any = SimpleNamespace(_execute_module=execute, _connection=SimpleNamespace(reset=lambda: None))
    with pytest.raises(AnsibleConnectionFailure) as met:
        _executor(action, {})("exit", {}, 2)
    return str(met.value), len(calls)


@pytest.mark.parametrize(
    "error",
    [
        AnsibleError("winrm or requests is not installed: No module named 'winrm'"),
        AnsibleConnectionFailure("ntlm: Could not find a suitable TLS CA certificate bundle, invalid path: /etc/pki/ca.pem"),
        OSError("Could not find a suitable TLS CA certificate bundle, invalid path: /etc/pki/ca.pem"),
        AnsibleConnectionFailure("failed to authenticate with the server: GSSAPIProxy requires the Python gssapi library: No module named 'gssapi'"),
    ],
    ids=str,
)
def test_what_the_controller_lacks_is_told_as_that(error: Exception) -> None:
    """At once, and with the agent unreachable, by whatever error a connection tells it."""
    said, calls = failed(error)
    assert calls == 1
    assert said.startswith("The controller can't connect to the agent; jobs that run there go on by themselves. Mend that on the controller")
    assert said.endswith(str(error))
    assert "doesn't answer" not in said


def test_an_agent_that_is_silent_is_asked_twice() -> None:
    said, calls = failed(AnsibleConnectionFailure("no route to host"))
    assert (calls, said.partition(",")[0]) == (2, "The agent doesn't answer")


def test_a_refused_log_on_is_not_tried_again() -> None:
    said, calls = failed(AnsibleConnectionFailure("basic: the specified credentials were rejected by the server"))
    assert (calls, said.partition(",")[0]) == (1, "The agent refuses the log-on")
