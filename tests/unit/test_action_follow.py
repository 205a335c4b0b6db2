"""How an action follows a job: what it says meanwhile, when it gives up, and what it says then."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleAuthenticationFailure, AnsibleConnectionFailure, AnsibleError
from ansible_collections.dataminer.web.plugins.plugin_utils import action
from ansible_collections.dataminer.web.plugins.plugin_utils.action import AgentAction

LINE = "installing for 40 s: 12:00:01 Migrating dashboards"
DONE = {"changed": True, "finished": True}


def running(progress: str = LINE) -> dict[str, Any]:
    job = {"run_id": "install-1", "kind": "install", "state": "running", "progress": progress}
    return {"changed": True, "finished": False, "job": job}


class Played(AgentAction):
    """An action on an agent that answers as it is told, each answer after some seconds; the last one stays."""

    def __init__(self, answers: list[Any], clock: list[float]) -> None:
        self.answers, self.clock, self.asked, self.resets = answers, clock, [], 0  # type: ignore[var-annotated]
        self.down = False
        self.variables = {"inventory_hostname": "DMA1"}
        self.named: list[str | None] = []
        self._task = SimpleNamespace(check_mode=False)
        self._connection = SimpleNamespace(reset=self._reset, close=lambda: None)

    def _reset(self) -> None:
        self.resets += 1
        if self.down:
            raise AnsibleConnectionFailure("nobody listens")

    def _call(self, params: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(params.get("run_id"))
        self.named.append(params.get("commit_id"))
        self.clock[0] += 10
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)


Make = Callable[..., Played]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is printed."""
    lines: list[str] = []
    monkeypatch.setattr(action, "display", SimpleNamespace(display=lines.append, warning=lines.append))
    return lines


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, said: list[str]) -> Iterator[Make]:
    clock = [0.0]
    monkeypatch.setattr(action, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=lambda seconds: None))
    yield lambda *answers: Played(list(answers), clock)


def follow(played: Played, earlier: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return played._followed({"wait": True, "timeout": 2700, "poll_interval": 5, "follow": earlier, **more})


def test_a_long_job_is_told_of_every_now_and_then(make: Make, said: list[str]) -> None:
    """With what it is at: for an install, the last line of the installer's log. A job that has no words yet has a state."""
    played = make(running(), running(), running("installing for 50 s: Restarting"), running(""), running(""), DONE)
    assert follow(played, running()) == DONE
    assert said == ["  DMA1: installing for 40 s: 12:00:01 Migrating dashboards", "  DMA1: running"]
    assert played.asked == ["install-1"] * 6


def test_a_short_job_says_nothing(make: Make, said: list[str]) -> None:
    assert follow(make(DONE), running()) == DONE
    assert said == []


def test_a_job_that_takes_too_long_is_left_alone(make: Make) -> None:
    result = follow(make(running()), running(), timeout=35)
    assert result["failed"]
    for part in ("install job install-1 hasn't ended after 35 s", LINE, "goes on by itself", "run the playbook again", "dataminer_timeout"):
        assert part in result["msg"]


def test_a_lost_connection_is_made_anew(make: Make, said: list[str]) -> None:
    """Told with its reason and how often it will be tried."""
    lost = AnsibleConnectionFailure("no route to host\nmore")
    played = make(lost, lost, DONE)
    assert follow(played, running()) == DONE
    assert played.resets == 2
    assert said[1] == "DMA1: connection lost, what was begun goes on; connecting again (2 of 9): no route to host"


@pytest.mark.parametrize("down", [False, True])
def test_an_agent_that_stays_away_is_given_up(make: Make, said: list[str], down: bool) -> None:
    """Not before it was tried often enough: plugins that connect when they are reset fail there already."""
    played = make(AnsibleConnectionFailure("no route to host"))
    played.down = down
    result = follow(played, running())
    assert len(said) == 9
    assert (result["unreachable"], result.get("failed", False), result["job"]) == (True, False, running()["job"])
    for part in ("lost (10x)", "install job install-1", "no route to host", "goes on by itself", "nothing is lost", "run the playbook again"):
        assert part in result["msg"]


COMMIT = {"run_id": "commit-1", "kind": "commit", "state": "running", "progress": ""}


@pytest.mark.parametrize("answer", [AnsibleConnectionFailure("no route"), {"failed": True, "msg": "no memory"}, {"finished": False, "job": COMMIT}])
def test_no_later_run_follows_a_commit(make: Make, answer: Any) -> None:
    """It is another run's then."""
    said = follow(make(answer), {"finished": False, "job": COMMIT}, state="committed", deadline=900, timeout=300)["msg"]
    assert "follows this job" not in said
    assert "where it isn't undone, the agent starts its web server by itself at its deadline (counted from the swap) at the latest, with" in said


@pytest.mark.parametrize(("deadline", "tries"), [(900, 18), (360, 12), (5, 1)])
def test_a_commit_is_tried_for_some_time(make: Make, said: list[str], deadline: int, tries: int) -> None:
    """Only by its run id it can be undone, which later tasks take from the result. Each try takes ten seconds here; some take minutes, and then there
    are few: the web servers of other agents stand still meanwhile.
    """
    played = make(AnsibleConnectionFailure("no route to host"))
    result = follow(played, {"finished": False, "job": COMMIT}, state="committed", deadline=deadline)
    assert (result["unreachable"], result["job"], len(played.asked)) == (True, COMMIT, tries)
    assert len(said) == tries - 1
    assert deadline != 900 or "connecting again (17, until 180 s are over)" in said[-1]


def test_the_word_to_undo_is_sent_again(make: Make, said: list[str]) -> None:
    """A commit waits for it, behind a network that comes back."""
    played = make(AnsibleConnectionFailure("no route to host"), DONE)
    assert follow(played, None, state="undone", committed="commit-1", deadline=900) == DONE
    played = make(AnsibleConnectionFailure("no route to host"))
    result = follow(played, None, state="undone", committed="commit-1", deadline=60)
    assert (result["unreachable"], result["job"]["run_id"], len(played.asked)) == (True, "commit-1", 2)


COMMITTED: dict[str, Any] = {"state": "committed", "prepared": "prepare-1", "deadline": 900, "wait": False}


def test_the_name_of_a_commit_is_known_though_its_start_was_lost(make: Make) -> None:
    """So that whoever follows finds it, and whoever undoes reaches it."""
    lost = follow(make(AnsibleConnectionFailure("no route to host")), None, **COMMITTED)
    assert (lost["unreachable"], lost["finished"]) == (True, False)
    assert lost["msg"].startswith(
        f"no route to host. Whether the commit {lost['job']['run_id']} began isn't known. If it did, and isn't undone, the agent"
    )
    played = make(AnsibleConnectionFailure("no route to host"), DONE)
    assert follow(played, lost, state="committed", deadline=900) == DONE
    assert played.asked == [lost["job"]["run_id"]] * 2


@pytest.mark.parametrize("answer", [AnsibleError("mux_client: ControlPersist broken pipe"), {"failed": True, "msg": "no memory"}])
def test_a_start_that_broke_off_tells_nothing_either(make: Make, answer: Any) -> None:
    """It may have come after the commit had begun."""
    lost = follow(make(answer), None, **COMMITTED)
    assert (lost["finished"], lost["job"]["state"]) == (False, "unknown")
    played = make({**broken("UnknownJob")}, DONE)
    assert follow(played, lost, state="committed", deadline=900) == DONE
    assert played.asked == [lost["job"]["run_id"]] * 2


def test_a_commit_that_failed_to_begin_has_failed(make: Make) -> None:
    assert follow(make(broken("Refused")), None, **COMMITTED) == broken("Refused")


def test_the_time_that_a_start_took_is_counted(make: Make, said: list[str]) -> None:
    """The deadlines of the other agents don't wait: each call takes ten seconds here."""
    lost = follow(make(AnsibleConnectionFailure("no route to host")), None, **{**COMMITTED, "deadline": 60})
    played = make(AnsibleConnectionFailure("no route to host"))
    result = follow(played, lost, state="committed", deadline=60)
    assert len(played.asked) == 1
    name = lost["job"]["run_id"]
    asked = f"The connection was lost (1x) while the agent was asked for the commit job {name}: no route to host."
    assert result["msg"].startswith(f"{asked} Whether the commit {name} began isn't known.")


def test_a_commit_is_started_under_the_name_that_was_chosen(make: Make) -> None:
    """Another one each time, and none in check mode or where the caller chose."""
    played = make(DONE)
    for _ in range(2):
        assert follow(played, None, **COMMITTED) == DONE
    first, second = played.named
    assert first != second
    assert str(first).startswith("commit-")
    follow(played, None, **COMMITTED, run_id="mine")
    played._task.check_mode = True
    follow(played, None, **COMMITTED)
    assert (played.named[2:], played.asked) == ([None, None], [None, None, "mine", None])


def test_a_refused_password_at_the_start_of_a_commit_is_not_tried_again(make: Make) -> None:
    """The word to undo is: it may have begun before."""
    lost = follow(make(AnsibleAuthenticationFailure("no")), None, **COMMITTED)
    played = make(DONE)
    assert follow(played, lost, state="committed", deadline=900)["unreachable"]
    assert played.asked == []
    assert lost["job"]["kind"] == "commit"


def test_a_call_that_is_to_start_something_is_not_sent_again_here(make: Make) -> None:
    played = make(AnsibleConnectionFailure("no route to host"))
    with pytest.raises(AnsibleConnectionFailure):
        follow(played, None, state="undone", committed="", deadline=900)
    assert len(played.asked) == 1


@pytest.mark.parametrize(
    "error", [AnsibleAuthenticationFailure("no"), AnsibleConnectionFailure("basic: the specified credentials were rejected by the server")]
)
def test_a_refused_password_is_not_tried_again(make: Make, said: list[str], error: Exception) -> None:
    """It would lock the account."""
    played = make(error)
    result = follow(played, running())
    assert re.search(rf"lost \(1x\).*{error}.*goes on by itself", result["msg"])
    assert (result["unreachable"], len(played.asked), said) == (True, 1, [])


@pytest.mark.parametrize("earlier", ["job", "start"])
def test_what_the_controller_lacks_is_not_waited_for(make: Make, said: list[str], earlier: str) -> None:
    """Nor is the agent to be made reachable."""
    error = AnsibleConnectionFailure("ntlm: Could not find a suitable TLS CA certificate bundle, invalid path: /etc/pki/ca.pem")
    played = make(error)
    result = follow(played, running()) if earlier == "job" else follow(played, None, **COMMITTED)
    assert (result["unreachable"], len(played.asked), said) == (True, 1, [])
    assert "/etc/pki/ca.pem. " in result["msg"]
    if earlier == "job":
        assert result["msg"].endswith("nothing is lost: mend that on the controller, then run the playbook again and it follows this job")


def broken(kind: str) -> dict[str, Any]:
    """What a call leaves that broke off, or that told an error."""
    error = {"error": {"type": kind, "message": "no memory"}} if kind else {}
    return {"failed": True, "changed": False, "msg": "no memory\nmore", **error}


@pytest.mark.parametrize("kind", ["ScriptFailed", "InvalidScan", ""])
def test_a_look_that_broke_off_is_no_failed_job(make: Make, said: list[str], kind: str) -> None:
    """It is made again; a module that broke off, on a host that isn't Windows, tells no error."""
    played = make(broken(kind), broken(kind), DONE)
    assert follow(played, running()) == DONE
    assert played.resets == 2
    assert said[1] == "DMA1: no answer that can be read, what was begun goes on; connecting again (2 of 9): no memory"


@pytest.mark.parametrize("kind", ["ScriptFailed", ""])
def test_a_job_of_which_nothing_can_be_read_is_given_up(make: Make, kind: str) -> None:
    """As a failure, with its run id and an error that says so: what it does, nobody knows."""
    result = follow(make(broken(kind)), running())
    assert result["error"]["type"] == "ScriptFailed"
    assert (result["failed"], result["finished"], result["job"]) == (True, False, running()["job"])
    for part in ("No answer told of the install job install-1 (10x): no memory", "goes on by itself", "run the playbook again"):
        assert part in result["msg"]


def test_a_job_that_failed_has_failed(make: Make, said: list[str]) -> None:
    played = make(broken("JobFailed"))
    assert follow(played, running()) == broken("JobFailed")
    assert (len(played.asked), said) == (1, [])
