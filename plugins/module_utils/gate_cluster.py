"""The rules of a whole cluster: is every agent of it known, read, meant, and in step?

Agents are matched by the ids and addresses that DMS.xml and DataMiner.xml tell, never by inventory names.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import combinations

from .agent import AgentState, Cluster, Member, VersionFact
from .entry_names import fold
from .gate_values import (
    BACKUP,
    CHANGES,
    PURPOSES,
    STATUS,
    UPGRADE,
    WORK,
    ClusterCase,
    ClusterRule,
    Finding,
    Request,
    denied,
    not_applicable,
    passed,
    warned,
)
from .readiness import has_reached
from .version import same_release

Findings = list[tuple[str | None, Finding]]  # pylint: disable=unsupported-binary-operation
_PAIR = 2


def _once(finding: Finding) -> Findings:
    return [(None, finding)]


def _read(case: ClusterCase) -> Findings:
    """One row per agent: one that nobody read can't be judged. Where nothing is installed, only those of the play matter."""
    answers: Findings = []
    for reading in case.readings:
        needed = case.request.purpose in CHANGES or reading.name in case.request.play_agents
        problem = None if reading.state is not None and reading.problem is None else reading.problem or "not read"
        remedy = _left_out(case.request) if reading.name not in case.request.play_agents else ""
        unread = denied if needed else warned
        answers.append((reading.name, passed("read") if problem is None else unread(problem, remedy=remedy)))
    return answers or _once(denied("the cluster has no agents"))


def _left_out(request: Request) -> str:
    """What to do about an agent that nobody tried to read, since --limit leaves it out; "" where it was tried. Nothing is wrong with it."""
    if request.purpose == STATUS:
        return "run without --limit to see this agent as well; leave the inventory as it is"
    return "" if request.allow_partial else "run without --limit, or set dataminer_allow_partial; leave the inventory as it is"


def _limit(case: ClusterCase) -> Findings:
    left_out = sorted(set(case.request.cluster_agents) - set(case.request.play_agents))
    if not left_out:
        return _once(passed("the run covers the whole cluster"))
    found = f"left out of this run: {', '.join(left_out)}"
    if case.request.purpose == STATUS:
        return _once(warned(found, remedy="run it for all: whether they are in step with the others isn't known"))
    if case.request.purpose == BACKUP:
        return _once(warned(found, remedy="run it for the others too: a restore needs a backup of every agent"))
    if not case.request.allow_partial:
        return _once(denied(found))
    if case.request.purpose == UPGRADE and all(_runs_goal(case, name) for name in left_out):
        return _once(passed(f"{found}; they run {case.request.goal} already"))
    return _once(warned(found, remedy="run it for the others too: all agents of a cluster must run the same web version"))


def _runs_goal(case: ClusterCase, name: str) -> bool:
    state, goal = case.states.get(name), case.request.goal
    return state is not None and goal is not None and has_reached(state, goal)


def _forks(case: ClusterCase) -> Findings:
    forks, agents = case.request.forks, len(case.request.play_agents)
    if forks is None:
        return _once(not_applicable("the number of forks isn't known"))
    found = f"{forks} forks, {agents} agents"
    return _once(passed(found) if forks >= agents else warned(found))


def _dms(case: ClusterCase) -> Findings:
    return [(name, _readable(state.cluster)) for name, state in case.states.items()]


def _readable(cluster: Cluster) -> Finding:
    if cluster.error is not None:
        return denied(cluster.error)
    if cluster.self_id is None and cluster.self_address is None:
        return denied("neither the id nor the address of the agent itself is told")
    return passed(f"cluster {cluster.name or 'without a name'}, {_member(Member(id=cluster.self_id, address=cluster.self_address or ''))}")


def _member(member: Member) -> str:
    return " ".join(([f"id {member.id}"] if member.id is not None else []) + ([member.address] if member.address else []))


def _told(case: ClusterCase) -> dict[str, Cluster]:
    """What the readable agents say of the cluster, by name."""
    return {name: state.cluster for name, state in case.states.items() if state.cluster.error is None}


def _is(cluster: Cluster, member: Member) -> bool:
    """Whether a member of DMS.xml is the agent that tells `cluster`: by id where both are known, else by address."""
    if member.id is not None and cluster.self_id is not None:
        return member.id == cluster.self_id
    return _same_address(member.address, cluster.self_address)


def _same_address(a: str | None, b: str | None) -> bool:
    return bool(a) and bool(b) and (a or "").strip().lower() == (b or "").strip().lower()


def _own(cluster: Cluster, member: Member) -> bool:
    """Whether a member is the agent itself. An entry that names no id is, unless another one is known to be."""
    return _is(cluster, member) or (member.id is None and not any(_is(cluster, other) for other in cluster.members))


def _missing(case: ClusterCase) -> Findings:
    """Members of DMS.xml that no agent of the inventory claims to be."""
    told = _told(case)
    lacking: dict[str, list[str]] = {}
    for name, cluster in told.items():
        for member in cluster.members:
            if not _own(cluster, member) and not any(_is(other, member) for other in told.values()):
                lacking.setdefault(_member(member), []).append(name)
    if not lacking:
        return _once(passed("every agent of DMS.xml is in the inventory and was read") if told else not_applicable("no DMS.xml was read"))
    found = "; ".join(f"{member} (DMS.xml of {', '.join(names)})" for member, names in sorted(lacking.items()))
    return _once(denied(found, remedy=_perhaps(case)))


def _perhaps(case: ClusterCase) -> str:
    """An agent of the inventory that can't tell who it is may be the one that is missed; "" where all can."""
    told = _told(case)
    silent = [reading.name for reading in case.readings if reading.name not in told]
    if not silent:
        return ""
    which, it = ("the agent", "it is another") if len(silent) == 1 else ("one of the agents", "it is none of these")
    return f"read {', '.join(silent)} first: it may be {which} that nobody read. Add an agent to the inventory only if {it}"


def _doubled(case: ClusterCase) -> Findings:
    told = _told(case)
    same = [f"{a} and {b} are both {_member(_self(told[a]))}" for a, b in combinations(told, 2) if _same_agent(told[a], told[b])]
    return _once(denied("; ".join(same)) if same else passed("each agent is in the inventory once"))


def _self(cluster: Cluster) -> Member:
    return Member(id=cluster.self_id, address=cluster.self_address or "")


def _same_agent(a: Cluster, b: Cluster) -> bool:
    """The two machines of a Failover pair share an id, but not their address."""
    if _same_address(a.self_address, b.self_address):
        return True
    if a.self_id is None or a.self_id != b.self_id:
        return False
    pair = a.failover and b.failover and bool(a.self_address) and bool(b.self_address)
    return not pair


def _unlisted(case: ClusterCase) -> Findings:
    """Agents of the inventory that the DMS.xml of another one doesn't list: they are of another cluster."""
    told = _told(case)
    answers: Findings = []
    for name, cluster in told.items():
        others = [other for other, view in told.items() if other != name and not _lists(view, cluster)]
        answers.append((name, denied(f"not in the DMS.xml of {', '.join(others)}") if others else passed("listed by all")))
    return answers


def _lists(view: Cluster, cluster: Cluster) -> bool:
    if view.self_id is not None and view.self_id == cluster.self_id:
        return True
    return any(not _own(view, member) and _is(cluster, member) for member in view.members)


def _failover(case: ClusterCase) -> Findings:
    """The other machine of a pair must be there too, where DMS.xml tells which one it is. What the tag Failover holds isn't documented."""
    told = _told(case)
    pairs = [(name, cluster.twin) for name, cluster in told.items() if cluster.failover]
    if not pairs:
        return _once(passed("no Failover pair"))
    alone = [(name, twin) for name, twin in pairs if twin and not any(_same_address(twin, other.self_address) for other in told.values())]
    found = "; ".join(f"{name}: its other machine is {twin or 'not known'}" for name, twin in pairs)
    if not alone or case.request.allow_partial:
        return _once(warned(found))
    missed = "; ".join(f"{name}: its other machine {twin} isn't in the inventory, or wasn't read" for name, twin in alone)
    return _once(denied(missed, remedy=_perhaps(case)))


def _server(case: ClusterCase) -> Findings:
    return _in_step(case, lambda state: state.server, differing=denied)


def _web(case: ClusterCase) -> Findings:
    bring = f"{_bring(case.request)}; where a version was misread, set dataminer_web_version"
    return _in_step(case, lambda state: state.web, differing=warned, remedy=bring, unsure=bring if case.request.purpose in CHANGES else _CU)


def _bring(request: Request) -> str:
    """How the agents come to one web version: only a run that installs brings them there, and only those that it works on."""
    if request.purpose not in CHANGES:
        return "install one package on all agents: run upgrade_web.yml or downgrade_restore.yml for the whole cluster"
    if set(request.cluster_agents) - set(request.play_agents):
        return "expect this run to bring its own agents to one web version, and run it for the others too"
    return "expect this run to bring all agents to one web version"


def _in_step(
    case: ClusterCase, fact: Callable[[AgentState], VersionFact], *, differing: Callable[..., Finding], remedy: str = "", unsure: str = ""
) -> Findings:
    """Unknown versions are left to the rules that deny them."""
    known = {name: version for name, state in case.states.items() if (version := fact(state).version) is not None}
    if not known:
        return _once(not_applicable("no version is known"))
    answers = {same_release(a, b) for a, b in combinations(known.values(), 2)}
    found = "; ".join(f"{name}: {version}" + (f" build {version.build}" if version.build is not None else "") for name, version in known.items())
    if False in answers:
        return _once(differing(found, remedy=remedy))
    if None in answers:
        return _once(warned(f"{found}: whether these are one release can't be told, a CU isn't stated", remedy=unsure))
    return _once(passed(found))


def _package(case: ClusterCase) -> Findings:
    """By the names of the files: each agent may have its own folder. Where none was looked for, nothing is going to be installed."""
    files = {name: state.package_file.path for name, state in case.states.items() if state.package_file and name in case.request.play_agents}
    names = {name: path.replace("\\", "/").rsplit("/", 1)[-1] for name, path in files.items()}
    if not names:
        return _once(not_applicable("no package was looked for on the agents"))
    found = "; ".join(f"{name}: {file}" for name, file in names.items())
    return _once(denied(found) if len({fold(file) for file in names.values()}) > 1 else passed(next(iter(names.values()))))


def _clocks(case: ClusterCase) -> Findings:
    """Scans aren't simultaneous, so each clock is compared with the controller's at the moment of its answer, and then with one another."""
    ahead = {r.name: r.state.utc - r.scanned_at for r in case.readings if r.state is not None and r.scanned_at is not None}
    if len(ahead) < _PAIR:
        return _once(not_applicable("fewer than two clocks can be compared"))
    first, last = min(ahead, key=lambda name: ahead[name]), max(ahead, key=lambda name: ahead[name])
    apart = ahead[last] - ahead[first]
    found = f"{last} is {apart.total_seconds():.0f} s ahead of {first}"
    return _once(warned(found) if apart > timedelta(seconds=case.request.clock_skew_seconds) else passed(found))


_READ = "make the agent reachable, or see its error; if it left the cluster, take it out of the inventory"
_LIMIT = "run without --limit, or set dataminer_allow_partial to change only a part of the cluster"
_FORKS = "set forks to the number of agents at least, so that each phase runs on all agents at once"
_DMS = "give the account access to DMS.xml and DataMiner.xml, or mend them: without them nobody can tell who is in the cluster"
_MISSING = "add the agent to the inventory, under the same cluster; where it is there, see what dataminer_hosts selects, and that AWX slices no job"
_DOUBLED = "keep one inventory name per agent"
_UNLISTED = "give the agent its own dataminer_cluster in the inventory, or see why the cluster doesn't list it"
_FAILOVER = "list both physical hosts of each pair in the inventory, never the virtual IP, and change both together"
_IN_STEP = "bring all agents to one server version first; where a version was misread, set dataminer_server_version"
_CU = "set dataminer_web_version for these agents, as their About box shows it, with its CU: '10.5.0 [CU1]'"
_ONE_PACKAGE = "name one file in dataminer_package for all agents of the cluster; its folder may differ"
_CLOCKS = "synchronise the clocks: DataMiner decides by time which file is newer"

CLUSTER_RULES = (
    ClusterRule("read", "every agent of the cluster is read", "collection", _read, _READ, denies=PURPOSES),
    ClusterRule("limit", "the whole cluster in one run", "collection", _limit, _LIMIT),
    ClusterRule("forks", "as many forks as agents", "collection", _forks, _FORKS, purposes=WORK),
    ClusterRule("dms", "DMS.xml and DataMiner.xml are readable", "collection", _dms, _DMS),
    ClusterRule("missing", "every agent of DMS.xml is in the inventory", "collection", _missing, _MISSING),
    ClusterRule("doubled", "every agent is in the inventory once", "collection", _doubled, _DOUBLED),
    ClusterRule("unlisted", "every agent is in the DMS.xml of the others", "collection", _unlisted, _UNLISTED),
    ClusterRule("failover", "both hosts of a Failover pair, not the virtual IP", "docs", _failover, _FAILOVER),
    ClusterRule("same-server", "one server version on all agents", "docs", _server, _IN_STEP),
    ClusterRule("same-version", "one web version on all agents", "docs", _web),
    ClusterRule("one-package", "all agents get the same package", "docs", _package, _ONE_PACKAGE, purposes=CHANGES),
    ClusterRule("clock", "clocks in step", "docs", _clocks, _CLOCKS),
)
