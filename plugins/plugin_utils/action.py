# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The base of the action plugins: arguments checked, the agent reached by its own kind of host, jobs followed to their end."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils.account import account
from ..module_utils.arguments import ALL, argument_spec
from ..module_utils.case_common import run_id_of
from ..module_utils.cluster import first_line
from ..module_utils.errors import UNREAD, DataMinerError, InvalidInput
from ..module_utils.jobs import ends_by_itself
from ..module_utils.permission import check_permission
from ..module_utils.settings import SETTINGS, in_range, is_unset, undefined, unfit
from .lost import connect_anew, is_local, is_lost, is_refused
from .windows_call import call_windows

display = Display()
NAMESPACE = "dataminer.web"
SAY_EVERY = 15.0  # seconds between lines of progress
LOST_CONNECTIONS = 10  # in a row, before a job that is running is left to itself
COMMIT_PATIENCE = 180.0  # seconds before a commit is, however many tries that are: the web servers of the others stand still meanwhile
COMMIT_PAUSE = 5.0  # seconds at least between two tries beyond that number
LOST = "connection lost, what was begun goes on; connecting again"
UNREADABLE = "no answer that can be read, what was begun goes on; connecting again"
UNKNOWN = "unknown"  # the state of a job whose start wasn't answered
_UNDEFINED = re.compile(r"'(\w+)' is undefined")
GOES_ON = "It goes on by itself on the agent, and nothing is lost"


def checked_arguments(args: dict[str, Any], module: str) -> dict[str, Any]:
    """A module's arguments, converted and with defaults; core checks them for modules only. The empty text, as a survey sends it, means unset."""
    given = {key: value for key, value in args.items() if not is_unset(value)}
    for problem in unfit_values(given, ALL[module]):
        raise AnsibleActionFail(str(problem))
    result = ArgumentSpecValidator(argument_spec(module)).validate(given)
    if result.error_messages:
        raise AnsibleActionFail("; ".join(result.error_messages))
    return dict(result.validated_parameters)


def unfit_values(given: dict[str, Any], spec: dict[str, Any]) -> list[InvalidInput]:
    """An error for each value that its option can't hold."""
    alone = ((key, value, {**spec[key], "required": False}) for key, value in given.items() if key in spec)
    return [unfit(key, value, own) for key, value, own in alone if not _fits(key, value, own)]


def _fits(key: str, value: Any, option: dict[str, Any]) -> bool:
    found = ArgumentSpecValidator({key: option}).validate({key: value})
    return not found.error_messages and in_range(found.validated_parameters[key], option)


def unfit_settings(template: Callable[[Any], Any], variables: Mapping[str, Any]) -> list[InvalidInput]:
    """The same of the roles' variables: a wrong one is told before anything is touched, and not by the role that comes upon it."""
    given, wrong = {}, []
    for name in sorted(SETTINGS.keys() & variables.keys()):
        try:
            given[name] = template(variables[name])
        except AnsibleError as error:  # what the roles register comes to be known later; whoever needs it will say so
            if (missing := _UNDEFINED.search(str(error))) and not missing[1].startswith("dataminer_"):
                wrong.append(undefined(name, missing[1]))
    return wrong + unfit_values({name: value for name, value in given.items() if not is_unset(value)}, SETTINGS)


class AgentAction(ActionBase):  # type: ignore[misc]
    """Work on one agent: here for a Windows host, by the module of the same name elsewhere."""

    _supports_check_mode = True
    _supports_async = False
    module = ""
    changes = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        self.variables = task_vars or {}
        try:
            params = self._parameters()
            outcome = self._followed(params)
        except DataMinerError as error:
            outcome = {"failed": True, "changed": False, "msg": str(error), "error": error.to_dict()}
        except AnsibleError as error:
            if not self._task.delegate_to:
                raise
            # Ansible would take the host that asks for the one that failed, or is unreachable
            outcome = {"failed": True, "changed": False, "msg": f"can't be read: {error}"}
        result.update(outcome)
        return result

    def _agent(self) -> str:
        return str(self.variables.get("inventory_hostname", ""))

    def _parameters(self) -> dict[str, Any]:
        if self._task.delegate_to and self.changes:
            raise AnsibleActionFail(
                f"{NAMESPACE}.{self.module} works on the agent itself; found delegate_to: {self._task.delegate_to}. Run it on that host instead"
            )
        params = self._checked()
        params["agent"] = params.get("agent") or self._agent()
        if self.changes:
            params["owner"] = params.get("owner") or account()
            if not self._task.check_mode:
                check_permission(params.get("gate"), module=self.module, agent=self._agent(), params=params)
            params["gate"] = None
        return params

    def _checked(self) -> dict[str, Any]:
        """The arguments. Where a variable of the roles is what is wrong, the error names that, and not the argument that it became."""
        try:
            return checked_arguments(self._task.args, self.module)
        except AnsibleActionFail:
            if wrong := unfit_settings(self._templar.template, self.variables):
                raise AnsibleActionFail("; ".join(map(str, wrong))) from None
            raise

    def _followed(self, params: dict[str, Any]) -> dict[str, Any]:
        """Call until the job has ended, if the task waits. With `follow`, an earlier result of the same module, go on from there."""
        earlier = params.pop("follow", None)
        if earlier and earlier.get("finished", True):
            return {key: value for key, value in earlier.items() if key != "diff"}  # it was shown with the earlier task
        if earlier:
            params["run_id"] = earlier["job"]["run_id"]
        begun = said = time.monotonic()
        known = earlier["job"] if earlier else _told_of(params)
        outcome = self._again(params, known) if known else self._begun(params)
        while params.get("wait") and not _given_up(outcome) and outcome.get("finished") is False:
            job = outcome["job"]
            if time.monotonic() - begun > params["timeout"]:
                return {**outcome, "failed": True, "msg": _too_long(job, params["timeout"])}
            if time.monotonic() - said > SAY_EVERY:
                said = time.monotonic()
                display.display(f"  {self._agent()}: {job['progress'] or job['state']}")
            outcome = self._again({**params, "run_id": job["run_id"]}, job)
        return outcome

    def _begun(self, params: dict[str, Any]) -> dict[str, Any]:
        """The first call. Where the start of a commit is lost nobody can say whether it runs: its name is chosen here, and so it can be asked for."""
        job = None if self._task.check_mode else _commit_to_begin(params)
        if job is None:
            return self._call(params)
        job["asked"] = time.monotonic()
        outcome, why, vain = self._looked({**params, "commit_id": job["run_id"]})
        if not why:
            return outcome
        # a password that is refused: whoever follows would log on again
        return {**outcome, "changed": True, "finished": vain, "msg": f"{outcome.get('msg') or why}. {_goes_on(job)}", "job": job}

    def _again(self, params: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
        """One more look at a running job. A lost connection says nothing about the job, nor does a call that broke off: connect anew and look again.

        Where no look succeeds, the result tells the job all the same: later steps have to know it.
        """
        begun, attempt, patience = job.get("asked", time.monotonic()), 1, _patience(params, job)
        while True:
            outcome, why, vain = self._looked(params)
            if not why:
                return outcome
            enough = time.monotonic() - begun >= patience if patience else attempt >= LOST_CONNECTIONS
            lost = bool(outcome.get("unreachable"))
            if enough or vain:
                return {**outcome, "changed": True, "finished": False, "msg": (_left_alone if lost else _unread)(job, attempt, why), "job": job}
            display.warning(f"{self._agent()}: {LOST if lost else UNREADABLE} ({_count(attempt, patience)}): {why}")
            connect_anew(self._connection)
            time.sleep(params["poll_interval"] if attempt < LOST_CONNECTIONS else max(params["poll_interval"], COMMIT_PAUSE))
            attempt += 1

    def _looked(self, params: dict[str, Any]) -> tuple[dict[str, Any], str, bool]:
        """A look: its result, why it tells nothing of the job, and whether it mustn't be made again."""
        try:
            outcome = self._call(params)
        except Exception as error:
            if not is_lost(error):
                raise
            # a password that is refused again and again locks the account; what the controller lacks doesn't come by waiting
            return {"unreachable": True, "msg": str(error)}, first_line(error.__cause__ or error), is_refused(error) or is_local(error)
        # a use case tells its error; a module that didn't come so far has none
        told = outcome.get("error") or {"type": UNREAD[0]}
        if not outcome.get("failed") or told["type"] not in UNREAD:
            return outcome, "", False
        return {**outcome, "error": told}, first_line(outcome.get("msg")) or "nothing was said", False

    def _call(self, params: dict[str, Any]) -> dict[str, Any]:
        if getattr(self._connection._shell, "_IS_WINDOWS", False):
            return call_windows(self, self.module, params, self.variables)
        here = {key: value for key, value in params.items() if key != "seen"}  # where the module runs, a look costs no call
        result: dict[str, Any] = self._execute_module(module_name=f"{NAMESPACE}.{self.module}", module_args=here, task_vars=self.variables)
        result.pop("invocation", None)
        return result


def _given_up(outcome: dict[str, Any]) -> bool:
    return bool(outcome.get("failed") or outcome.get("unreachable"))


def _told_of(params: dict[str, Any]) -> dict[str, Any] | None:
    """The commit that is to be told to undo. It may wait for that word behind a connection that is lost for a moment; a word may be sent twice."""
    if params.get("state") != "undone" or not params.get("committed"):
        return None
    return {"run_id": params["committed"], "kind": "commit", "state": "told", "progress": ""}


def _commit_to_begin(params: dict[str, Any]) -> dict[str, Any] | None:
    """None where no commit is to begin: of one that another caller named he knows the name."""
    if params.get("state") != "committed" or params.get("run_id") or not params.get("prepared"):
        return None
    return {"run_id": params.get("commit_id") or run_id_of({}, "commit"), "kind": "commit", "state": UNKNOWN, "progress": ""}


def _patience(params: dict[str, Any], job: dict[str, Any]) -> float:
    """Seconds for which a commit is looked for, 0 for other jobs. Of its deadline most must be left, to undo the others before it comes."""
    return min(COMMIT_PATIENCE, params["deadline"] / 3) if job["kind"] == "commit" else 0.0


def _count(attempt: int, patience: float) -> str:
    return f"{attempt}, until {patience:.0f} s are over" if patience else f"{attempt} of {LOST_CONNECTIONS - 1}"


def _left_alone(job: dict[str, Any], times: int, why: str) -> str:
    goes_on = _goes_on(job, "mend that on the controller, then " if is_local(why) else "make the agent reachable, then ")
    return f"The connection was lost ({times}x) while the agent was asked for the {job['kind']} job {job['run_id']}: {why}. {goes_on}"


def _unread(job: dict[str, Any], times: int, why: str) -> str:
    return f"No answer told of the {job['kind']} job {job['run_id']} ({times}x): {why}. {_goes_on(job, 'mend the cause, then ')}"


def _too_long(job: dict[str, Any], timeout: int) -> str:
    return (
        f"The {job['kind']} job {job['run_id']} hasn't ended after {timeout} s. Last progress: {job['progress'] or job['state']}. "
        f"{_goes_on(job)}; set dataminer_timeout to wait longer"
    )


def _goes_on(job: dict[str, Any], first: str = "") -> str:
    """What becomes of a job that is left to itself."""
    if job["kind"] == "commit" and job["state"] == UNKNOWN:
        return f"Whether the commit {job['run_id']} began isn't known. If it did, and isn't undone, {ends_by_itself()}"
    if job["kind"] == "commit":
        return f"{GOES_ON}: where it isn't undone, {ends_by_itself()}"
    if job["state"] == UNKNOWN:
        return (
            f"Whether the {job['kind']} job {job['run_id']} began isn't known. If it did, it goes on by itself on the agent: "
            f"{first}run the playbook again and it follows this job"
        )
    return f"{GOES_ON}: {first}run the playbook again and it follows this job"
