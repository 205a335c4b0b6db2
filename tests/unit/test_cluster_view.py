"""What an action makes of the other agents' results: missing, failed and unreachable ones are answers, not errors."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ansible")

from ansible.plugins.action import ActionBase
from ansible_collections.dataminer.web.plugins.action.cluster_verify import _unread as unread
from ansible_collections.dataminer.web.plugins.action.restore_gate import ActionModule as RestoreGate
from ansible_collections.dataminer.web.plugins.module_utils.agent import AgentState
from ansible_collections.dataminer.web.plugins.module_utils.gate_values import Reading
from ansible_collections.dataminer.web.plugins.plugin_utils.cluster_view import ClusterView, problem_of
from gate_agents import NOW, state


class Explodes(dict[str, Any]):
    """A host whose variables can't be templated."""

    def get(self, key: str, default: Any = None) -> Any:
        raise RuntimeError(key)


def view(cluster: str = "pluto", **hosts: Any) -> ClusterView:
    variables = {"hostvars": hosts, "ansible_play_hosts_all": [name for name in hosts if not name.startswith("out")]}
    return ClusterView(variables, cluster=cluster, members=list(hosts))


def agent_with(mark: str) -> AgentState:
    """Whose facts of the host bear a mark."""
    return state(host={"runtimes": (mark,)})


def host(cluster: str = "pluto", **results: Any) -> dict[str, Any]:
    return {"dataminer_cluster": cluster, **results}


def test_agents_are_those_of_the_same_cluster_within_and_outside_the_run() -> None:
    seen = view(a=host(), b=host("mars"), out1=host(), out2=host("mars"))
    assert seen.agents == ("a", "out1")
    assert seen.here == ("a",)


def test_agents_that_failed_have_left_the_run() -> None:
    """Ansible names those that are still in it; where it names none, in a test or by hand, all are."""
    variables = {"hostvars": {"a": host(), "b": host()}, "ansible_play_hosts_all": ["a", "b"]}
    assert ClusterView({**variables, "ansible_play_hosts": ["a"]}, cluster="pluto", members=()).gone == ("b",)
    assert ClusterView({**variables, "ansible_play_hosts": []}, cluster="pluto", members=()).gone == ("a", "b")
    assert ClusterView(variables, cluster="pluto", members=()).gone == ()


def test_what_was_read_of_an_agent_that_left_the_run_does_not_tell_that_it_is_in_step() -> None:
    """With few forks the verdict comes to some agents first: those didn't leave before it."""
    readings = {name: Reading(name=name, state=None) for name in "abd"} | {"c": Reading(name="c", state=None, problem="failed: boom")}
    results = {"d": {"failed": True}}
    seen: Any = SimpleNamespace(reading=lambda name, _key: readings[name], gone=("b", "c", "d"), result=lambda name, _key: results.get(name))
    told = {name: unread(seen, name, "dataminer_after") for name in "abcd"}
    assert told == {"a": None, "b": "it failed in another task, and left this run", "c": "failed: boom", "d": None}


@pytest.mark.parametrize(
    ("restarted", "started"),
    [
        (None, "since the morning"),
        (Reading(name="a", state=agent_with("since the restart"), scanned_at=NOW + timedelta(minutes=5)), "since the restart"),
        (Reading(name="a", state=agent_with("since a restart of an earlier play"), scanned_at=NOW - timedelta(hours=1)), "since the morning"),
        (Reading(name="a", state=None, problem="unreachable"), "since the morning"),
    ],
    ids=["not restarted", "restarted", "restarted in an earlier play", "silent since"],
)
def test_processes_of_an_agent_that_the_run_restarted_are_compared_with_those_since(
    monkeypatch: pytest.MonkeyPatch, restarted: Reading | None, started: str
) -> None:
    """Else the change would seem to have restarted all there are."""
    readings = {"dataminer_scan": Reading(name="a", state=agent_with("since the morning"), scanned_at=NOW), "dataminer_reboot_scan": restarted}
    monkeypatch.setattr(ClusterView, "reading", lambda _view, _name, key: readings[key] or Reading(name="a", state=None, problem="never read"))
    before = view(a=host()).before("a")
    assert before is not None
    assert before.host is not None
    assert before.host.runtimes == (started,)


def test_a_result_that_the_gate_forgot_is_none() -> None:
    seen = view(a=host(dataminer_after={}))
    assert seen.result("a", "dataminer_after") is None
    assert seen.reading("a", "dataminer_after").problem == problem_of(None)


def test_hosts_without_a_cluster_are_one_cluster() -> None:
    assert view("", a={}, b={}, c=host()).agents == ("a", "b")


def test_a_cluster_that_yaml_made_a_number_is_the_one_that_modules_are_told_of() -> None:
    """They get a text; with no agents in it, every barrier would let all pass."""
    assert view("7", a={"dataminer_cluster": 7}, b=host("7"), c={"dataminer_cluster": None}).here == ("a", "b")


def test_why_an_agent_was_never_asked() -> None:
    """What stopped it before it could be read is told; that nobody knows is told else."""
    seen = view(a=host(dataminer_package_checked={"failed": True, "msg": "no such file"}), b=host(dataminer_package_checked={"changed": False}))
    assert seen.reading("a", "dataminer_scan").problem == "failed: no such file"
    assert seen.reading("b", "dataminer_scan").problem == problem_of(None)


def test_an_agent_that_failed_before_it_was_asked_is_not_taken_for_a_silent_one() -> None:
    recovered = {"a": {"failed": True, "msg": "W3SVC didn't start"}, "b": {"unreachable": True, "msg": "no route"}, "c": {"changed": False}}
    hosts: dict[str, Any] = {name: host(dataminer_recovered=result) for name, result in recovered.items()}
    hosts["b"]["dataminer_restore_chosen"] = {"skipped": True}
    hosts["d"] = host(dataminer_recovered={"changed": True}, dataminer_restore_chosen={"changed": True})
    variables = {"hostvars": hosts, "ansible_play_hosts_all": list(hosts), "ansible_play_hosts": ["b", "d"]}
    seen = ClusterView(variables, cluster="pluto", members=())
    assert {name: seen.problem(name, "dataminer_restore_chosen", before="dataminer_recovered") for name in hosts} == {
        "a": "failed: W3SVC didn't start",
        "b": "unreachable: no route",
        "c": "it failed in another task, and left this run",
        "d": None,
    }
    assert seen.reading("c", "dataminer_scan").problem == "it failed in another task, and left this run"


def test_who_asks_about_losses_is_told_what_really_failed_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ActionBase, "run", lambda *_: {})
    gate = object.__new__(RestoreGate)
    gate._task = SimpleNamespace(args={"cluster": "pluto"}, check_mode=False)
    hosts = {"a": host(dataminer_restore_chosen={"changed": True}), "b": host(dataminer_recovered={"failed": True, "msg": "W3SVC didn't start"})}
    told = gate.run(None, {"hostvars": hosts, "ansible_play_hosts_all": ["a", "b"], "ansible_play_hosts": ["a"], "inventory_hostname": "a"})
    assert (told["failed"], told["stopped"]) == (True, True)
    assert told["msg"] == "No backup was chosen on every agent of the cluster, nothing was restored. b: failed: W3SVC didn't start"


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        (None, "unreachable, or the task was skipped"),
        ({"unreachable": True, "msg": "no route to host\nmore"}, "unreachable: no route to host"),
        ({"failed": True, "msg": "boom"}, "failed: boom"),
        ({"failed": True}, "failed: no message"),
        ({"skipped": True}, "skipped"),
        ({"changed": False}, None),
    ],
)
def test_why_a_result_is_no_success(result: dict[str, Any] | None, problem: str | None) -> None:
    found = problem_of(result)
    assert found == problem if problem is None or found is None else problem in found


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        (None, "unreachable"),
        ("not a result", "unreachable"),
        ({"failed": True, "msg": "boom"}, "failed: boom"),
        ({"changed": False}, "can't be used"),
        ({"scan": "not packed", "overrides": {}}, "can't be used"),
    ],
)
def test_an_agent_that_was_not_read_is_a_reading_with_a_problem(result: Any, problem: str) -> None:
    reading = view(a=host(scan=result)).reading("a", "scan")
    assert reading.state is None
    assert problem in str(reading.problem)


def test_an_agent_outside_the_run_is_told_to_be() -> None:
    assert "--limit" in str(view(a=host(), out1=host()).reading("out1", "scan").problem)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"item": "out1", "skipped": True}, "--limit"),
        ({"item": "out2", "scan": "packed"}, "--limit"),
        ({"item": "out1", "unreachable": True, "msg": "no route to host"}, "unreachable: no route to host"),
        ({"item": "out1", "failed": False, "msg": "boom"}, "failed: boom"),
        ({"item": "out1", "scan": "not packed", "overrides": {}}, "can't be used"),
    ],
    ids=["skipped", "another agent", "unreachable", "failed, which was passed over", "read, but not usable"],
)
def test_the_scan_of_an_agent_outside_the_run_is_one_that_another_asked_for(row: dict[str, Any], problem: str) -> None:
    seen = view(a=host(), b=host(dataminer_scan_left_alone={"results": [row]}), out1=host())
    assert problem in str(seen.reading("out1", "dataminer_scan").problem)


def test_variables_that_cannot_be_read_are_none() -> None:
    seen = view(a=host())
    seen.hostvars = {"a": Explodes()}
    assert seen.result("a", "scan") is None
    assert seen.result("nobody", "scan") is None
