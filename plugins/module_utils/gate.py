"""The gate: nothing is touched on any agent until every agent of the cluster has passed it.

`evaluate` asks every rule that matters for the purpose and answers with rows: `gate_rules` (what the vendor documents), `known_issues`, `gate_host`
(the agent's machine), `gate_cluster` (the cluster). A row that denies closes the gate for all agents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .gate_checks import direction_of
from .gate_cluster import CLUSTER_RULES
from .gate_host import HOST_RULES
from .gate_rules import REQUEST_RULES, RULES
from .gate_values import Case, ClusterCase, ClusterRule, Direction, Finding, Gate, Reading, Request, Row, Rule, Verdict
from .known_issues import ISSUE_RULES

__all__ = ["AGENT_RULES", "WHOLE_RULES", "Direction", "Gate", "Reading", "Request", "Row", "Verdict", "evaluate"]

WHOLE_RULES: tuple[ClusterRule, ...] = (*CLUSTER_RULES, *REQUEST_RULES)
AGENT_RULES: tuple[Rule, ...] = (*RULES, *ISSUE_RULES, *HOST_RULES)


def evaluate(request: Request, readings: Iterable[Reading]) -> Gate:
    """The verdict on a request, from what was read of the agents. Rows come in a fixed order: the cluster's, then each agent's by name.

    An agent of the request that has no reading counts as unread, and so denies. For one inventory name the last reading counts. Outside the play
    (`--limit`) an agent's own rules only warn, since nothing is changed there, and those of work aren't asked; that it was read, and the rules of the
    cluster, hold for it too.
    """
    by_name = {reading.name: reading for reading in readings}
    names = sorted({*request.cluster_agents, *request.play_agents, *by_name})
    whole = tuple(by_name.get(name) or Reading(name=name, state=None, problem="not read") for name in names)
    cases = [_case(request, reading) for reading in whole]
    rows = [*_cluster_rows(ClusterCase(request=request, readings=whole))]
    for case in cases:
        rows += [] if case is None else _agent_rows(case)
    return Gate(
        purpose=request.purpose,
        target=request.goal,
        package=request.package,
        agents=tuple(sorted(request.play_agents)),
        rows=tuple(sorted(rows, key=lambda row: (row.agent is not None, row.agent or ""))),
        directions={r.name: Direction.UNKNOWN if case is None else case.direction for r, case in zip(whole, cases, strict=True)},
    )


def _case(request: Request, reading: Reading) -> Case | None:
    if reading.state is None or reading.problem is not None:
        return None
    direction = direction_of(reading.state.web.version, request.goal)
    return Case(request=request, name=reading.name, state=reading.state, target=request.goal, direction=direction)


def _cluster_rows(case: ClusterCase) -> Iterator[Row]:
    for rule in WHOLE_RULES:
        if case.request.purpose in rule.purposes:
            for agent, finding in rule.check(case):
                yield _row(rule, agent, finding, denies=case.request.purpose in rule.denies)


def _agent_rows(case: Case) -> Iterator[Row]:
    for rule in AGENT_RULES:
        if case.request.purpose in rule.purposes and (case.worked_on or not rule.of_work):
            yield _row(rule, case.name, rule.check(case), denies=case.worked_on and case.request.purpose in rule.denies)


def _row(rule: Rule | ClusterRule, agent: str | None, finding: Finding, *, denies: bool) -> Row:
    softened = finding.verdict is Verdict.DENY and not denies
    verdict = Verdict.WARN if softened else finding.verdict
    told = finding.remedy or (rule.remedy if verdict in (Verdict.WARN, Verdict.DENY) else "")
    required = finding.required or rule.says
    return Row(rule=rule.id, agent=agent, verdict=verdict, found=finding.found, required=required, source=rule.source, remedy=told)
