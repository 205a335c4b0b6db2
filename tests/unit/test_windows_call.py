"""What a call to a Windows agent does about a connection that fails: how often it asks, and whose fault it tells of."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible_collections.dataminer.web.plugins.module_utils.case_common import Args, Result, follow
from ansible_collections.dataminer.web.plugins.module_utils.case_step import known, running
from ansible_collections.dataminer.web.plugins.module_utils.host import Host
from ansible_collections.dataminer.web.plugins.plugin_utils import action, windows_call
from ansible_collections.dataminer.web.plugins.plugin_utils.action import AgentAction
from ansible_collections.dataminer.web.plugins.plugin_utils.windows_call import _executor
from spnego.exceptions import ErrorCode, SpnegoError


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


BROKEN = {"failed": True, "msg": "Module result deserialization failed: No start of json char found"}
LOST = AnsibleConnectionFailure("no route to host")


def told(state: str, **more: Any) -> dict[str, Any]:
    """What a script answers of the job."""
    document = {"run_id": "install-1", "kind": "install", "state": state, **more}
    return {"result": {"encoding": "plain", "document": json.dumps(document)}}


ENDED = told("ended", end=json.dumps({"result": {"rc": 0}}))


class Played(AgentAction):
    """An action on a Windows agent whose scripts answer as they are told; the last answer stays. What was sent is named by its script."""

    module = "backup"

    def __init__(self, answers: list[Any]) -> None:
        self.answers, self.sent = answers, []  # type: ignore[var-annotated]
        self.variables = {"inventory_hostname": "DMA1"}
        self._task = SimpleNamespace(check_mode=False)
        self._connection = SimpleNamespace(_shell=SimpleNamespace(_IS_WINDOWS=True), become=None, reset=lambda: None)

    def _execute_module(self, *, module_args: dict[str, Any], **call: Any) -> dict[str, Any]:
        self.sent.append("start" if "spec" in module_args["parameters"] else "poll")
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)


def install(host: Host, args: Args, *, check: bool, wait: float) -> Result:
    """A use case as they all are: look at the job of an earlier call, else start it, then look."""
    status = known(host, args, wait) or follow(host, host.start({"kind": args["kind"]}, args.get("run_id") or "install-1"), wait)
    return running(status) if status.active else {"changed": True, "finished": True, "state": status.state}


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(windows_call.CASES, Played.module, install)
    monkeypatch.setattr(action, "time", SimpleNamespace(monotonic=time.monotonic, sleep=lambda seconds: None))

    def call(*answers: Any, kind: str = "install", **more: Any) -> tuple[dict[str, Any], list[str]]:
        agent = Played(list(answers))
        params = {"kind": kind, "work_dir": "C:\\work", "timeout": 2700, "poll_interval": 5, "wait": False, **more}
        return agent._followed(params), agent.sent

    return call


@pytest.mark.parametrize("look", [[BROKEN], [{}], [LOST, LOST]], ids=["broken", "empty", "lost"])
def test_a_first_look_that_tells_nothing_leaves_the_job_that_was_started(played: Any, look: list[Any]) -> None:
    """It runs: whoever follows looks again."""
    result, _sent = played(told("running"), *look)
    assert (result["finished"], result["job"]["run_id"], "failed" in result) == (False, "install-1", False)
    result, _sent = played(told("running"), *look, ENDED, wait=True)
    assert (result["finished"], result["state"]) == (True, "done")


def test_a_start_that_broke_off_after_the_launch_has_started_the_job(played: Any) -> None:
    result, sent = played(BROKEN, told("running"), told("running"))
    assert (result["finished"], result["job"]["run_id"], sent) == (False, "install-1", ["start", "poll", "poll"])


def test_a_start_that_broke_off_before_the_launch_has_failed(played: Any) -> None:
    """As what it is: nothing runs."""
    result, sent = played(BROKEN, told("absent"))
    assert (result["failed"], result["error"]["type"], "job" in result, sent) == (True, "ScriptFailed", False, ["start", "poll"])
    assert "start.ps1" in result["msg"]


@pytest.mark.parametrize("look", [[BROKEN], [LOST, LOST]], ids=["broken", "lost"])
def test_a_job_that_may_have_been_started_keeps_its_name(played: Any, look: list[Any]) -> None:
    """It is looked for, and started by that name where it isn't there."""
    result, _sent = played(BROKEN, *look)
    assert (result["finished"], result["job"]["run_id"], result["job"]["state"]) == (False, "install-1", "unknown")
    ended, sent = played(told("absent"), told("running"), ENDED, follow=result)
    assert (ended["state"], sent) == ("done", ["poll", "start", "poll"])
    gone, _sent = played(BROKEN, follow=result)
    assert (gone["failed"], gone["job"]) == (True, result["job"])
    assert "Whether the install job install-1 began isn't known. If it did, it goes on by itself on the agent: mend the cause" in gone["msg"]


def test_a_log_on_that_could_not_be_tried_leaves_a_commit_its_name(played: Any) -> None:
    """By it the commit is undone."""
    commit = {"run_id": "commit-1", "kind": "commit", "state": "running", "progress": ""}
    away = SpnegoError(ErrorCode.failure, context_msg="Cannot contact any KDC for realm 'X'")
    earlier = {"finished": False, "job": commit}
    result, sent = played(away, kind="commit", follow=earlier, deadline=0.3)
    assert (result["unreachable"], result["job"], len(sent) > 2) == (True, commit, True)
    assert "Cannot contact any KDC" in result["msg"]


def test_whoever_begins_a_commit_knows_its_name(played: Any) -> None:
    """And counts the time from there."""
    result, _sent = played(told("running", kind="commit"), BROKEN, kind="commit")
    assert (result["failed"], result["error"]["type"]) == (True, "ScriptFailed")
