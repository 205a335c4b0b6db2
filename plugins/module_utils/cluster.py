# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster as a whole: whether its agents are in step, what restarted, and whether a phase may go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from .agent import AgentState, HostFacts, VersionFact
from .entry_names import fold
from .errors import shortened
from .version import Content, Version, same_release, web_content

FAIL: Literal["fail"] = "fail"
NEWS: Literal["news"] = "news"
Severity = Literal["fail", "news"]

MODULES: Mapping[str, str] = MappingProxyType({"GQI DxM": "DataMiner GQI", "Web DcM": "DataMiner Web"})
"""What a module's DisplayName begins with: inferred, the vendor documents no names. The default of dataminer_module_names."""

WEB_PROCESSES = ("W3SVC", "w3wp", "DataMiner GQI", "DataMiner Web")
"""Processes that a web upgrade may restart: the web server's workers and the modules it brings. The default of dataminer_web_processes."""

MISSING = "missing"
_UNREAD = "not read"
_APPLICATIONS = fold("Applications")
_DASHBOARD = fold(".dmadb.json")
NO_RESULT = "no result (unreachable or skipped)"
LEFT = "it failed in another task, and left this run"
_SHORT = 12  # characters of a digest that people compare
_OVERRIDE = "look at Upgrades/VersionHistory.txt and Upgrades/Packages on the agent, and name its version in dataminer_web_version"


@dataclass(frozen=True, kw_only=True)
class AgentRow:
    """What one agent runs; modules are their versions, several joined by a comma. None where it isn't known."""

    agent: str
    server: str | None
    web: str | None
    web_source: str
    web_api: str | None
    modules: dict[str, str | None]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Something the agents don't agree on: `values` by agent. `fail` means that the cluster isn't in step."""

    what: str
    values: dict[str, str]
    severity: Severity


@dataclass(frozen=True, kw_only=True)
class InStep:
    """`ok` when no difference fails."""

    ok: bool
    rows: tuple[AgentRow, ...]
    differences: tuple[Difference, ...]

    def to_result(self) -> dict[str, Any]:
        """Plain JSON types."""
        rows = [{**vars(row), "modules": dict(row.modules)} for row in self.rows]
        return {"ok": self.ok, "rows": rows, "differences": [{**vars(item), "values": dict(item.values)} for item in self.differences]}


@dataclass(frozen=True, kw_only=True)
class Barrier:
    """Whether every agent of a cluster ended a phase well; `problems` are (agent, what)."""

    ok: bool
    cluster: str
    phase: str
    problems: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What was put in place alike on every agent, and so must be alike right after. Paths are folded.

    `items`: apps and roots of which the agents' backups held the same, None for all; `behind`: what the backups didn't hold.
    """

    items: frozenset[str] | None
    behind: tuple[str, ...]

    def covers(self, path: str) -> bool:
        """Whether a folded path of an app or dashboard is such a thing, with nothing in it that the backups didn't hold."""
        root = path.partition("/")[0]
        if any(other == path or other.startswith(f"{path}/") for other in self.behind):
            return False
        if root == _APPLICATIONS:
            return self.items is None or path in self.items
        return path.endswith(_DASHBOARD) and (self.items is None or root in self.items)


def restored_alike(chosen: Mapping[str, Mapping[str, Any] | None]) -> Restored | None:
    """From the agents' results of choosing a backup. None where they tell nothing: restored in part, not at all, or not all is listed that stays."""
    plans = [(result or {}).get("plan") or {} for result in chosen.values()]
    digests = [((result or {}).get("chosen") or {}).get("digests") or {} for result in chosen.values()]
    whole = all(plan and not plan.get("limited") and len(plan["stays_behind"]) == plan["stays_behind_count"] for plan in plans)
    if not plans or not whole or not all(digests):
        return None
    behind = tuple(sorted({fold(str(row["path"])) for plan in plans for row in plan["stays_behind"]}))
    if len({found["all"] for found in digests}) == 1:
        return Restored(items=None, behind=behind)
    alike = {key for key in digests[0] if key != "all" and len({found.get(key) for found in digests}) == 1}
    return Restored(items=frozenset(map(fold, alike)), behind=behind)


def in_step(
    readings: Mapping[str, AgentState],
    *,
    expected: Version | None = None,
    expected_content_equal: bool = False,
    restored: Restored | None = None,
    expected_modules_equal: bool = True,
    modules: Mapping[str, str] = MODULES,
    comparable: Callable[[str], object] = str,
) -> InStep:
    """Whether all agents run one web version, the `expected` one if given, with the same modules and content.

    In step means the same release: the same content from another package fails, and so does what can't be told. Content (`state.content`) is
    migrated at install *and* when somebody opens it (RN 36435), so differing content is news after an upgrade; right after a restore it fails
    (`expected_content_equal`, or what of it `restored` covers). Differing server versions are news: the gate judges those. Differing modules fail,
    but not right after a downgrade (`expected_modules_equal`): an older package leaves newer modules in place, and only hands can mend that.
    `modules`: what the DisplayName of each begins with. `comparable` makes one value of versions of modules that are spelt in different ways.
    """
    states = dict(sorted(readings.items()))
    differences = [
        *_web_differences({name: state.web for name, state in states.items()}, expected),
        *_plain("server version", {name: _text(state.server.version) for name, state in states.items()}, NEWS),
        *_plain("web API (file version of WebApiLib.dll)", {name: state.web_api for name, state in states.items()}, FAIL),
        *(found for module in modules.items() for found in _module_difference(module, states, FAIL if expected_modules_equal else NEWS, comparable)),
        *_content_differences(states, FAIL if expected_content_equal else NEWS, restored),
    ]
    if not states:
        differences.append(Difference(what="no agent could be read", values={}, severity=FAIL))
    rows = tuple(_row(name, state, modules) for name, state in states.items())
    return InStep(ok=all(found.severity != FAIL for found in differences), rows=rows, differences=tuple(differences))


def _row(name: str, state: AgentState, modules: Mapping[str, str]) -> AgentRow:
    return AgentRow(
        agent=name,
        server=_text(state.server.version),
        web=_text(state.web.version),
        web_source=state.web.source,
        web_api=state.web_api,
        modules={what: None if state.host is None else module_versions(state.host, prefix) for what, prefix in modules.items()},
    )


def _text(version: Version | None) -> str | None:
    return None if version is None else str(version)


def _web_differences(facts: Mapping[str, VersionFact], expected: Version | None) -> Iterator[Difference]:
    known = {name: fact.version for name, fact in facts.items() if fact.version is not None}
    values = {name: _told(fact) for name, fact in facts.items()}
    if len(known) < len(facts):
        unknown = {name: values[name] for name in facts if name not in known}
        yield Difference(what=f"the web version isn't known on {', '.join(unknown)}: {_OVERRIDE}", values=unknown, severity=FAIL)
    if what := _disagreement(list(known.values())):
        yield Difference(what=what, values={name: values[name] for name in known}, severity=FAIL)
    if expected is not None:
        yield from _unexpected(known, values, expected)


def _disagreement(versions: Sequence[Version]) -> str | None:
    """What speaks against all versions being one release; every pair is looked at, as an unknown CU agrees with nothing for certain."""
    distinct = sorted(set(versions))
    pairs = [(a, b) for number, a in enumerate(distinct) for b in distinct[number + 1 :]]
    differing = [(a, b) for a, b in pairs if same_release(a, b) is False]
    if differing and all(web_content(a, b) is Content.SAME for a, b in differing):
        return "the web versions differ: the same content by the month of release, but from different packages. Install one package on all agents"
    if differing:
        return "the web versions differ. Install one package on all agents"
    if any(same_release(a, b) is None for a, b in pairs):
        return f"whether the web versions are the same can't be told, for the CU or build isn't known everywhere: {_OVERRIDE}"
    return None


def _unexpected(known: Mapping[str, Version], values: Mapping[str, str], expected: Version) -> Iterator[Difference]:
    answers = {name: same_release(version, expected) for name, version in known.items()}
    wrong = {name: values[name] for name, same in answers.items() if same is False}
    unsure = {name: values[name] for name, same in answers.items() if same is None}
    if wrong:
        equal = all(web_content(known[name], expected) is Content.SAME for name in wrong)
        note = ": the same content by the month of release, but from another package" if equal else ""
        yield Difference(what=f"the web version isn't {_full(expected)}{note}", values=wrong, severity=FAIL)
    if unsure:
        yield Difference(what=f"whether the web version is {_full(expected)} can't be told: {_OVERRIDE}", values=unsure, severity=FAIL)


def _full(version: Version) -> str:
    """With the build, which may be all that tells two versions apart."""
    text = str(version)
    return text if version.build is None or f"-{version.build}" in text else f"{text} build {version.build}"


def _told(fact: VersionFact) -> str:
    return f"{_full(fact.version)}, by {fact.source}" if fact.version else f"unknown: {fact.source}"


def _plain(what: str, values: Mapping[str, str | None], severity: Severity) -> Iterator[Difference]:
    """A difference where the values aren't all the same; where none is known there is nothing to compare."""
    if len(set(values.values())) > 1:
        yield Difference(what=f"{what}: differ", values={name: value or _UNREAD for name, value in values.items()}, severity=severity)


def module_versions(host: HostFacts, prefix: str) -> str:
    """Versions of the modules whose name begins with `prefix`, joined by a comma; "missing" where there is none."""
    return ", ".join(sorted(_versions(host, prefix))) or MISSING


def _versions(host: HostFacts, prefix: str) -> list[str]:
    return [module.version for module in host.modules if fold(module.name).startswith(fold(prefix))]


def _module_difference(
    module: tuple[str, str], states: Mapping[str, AgentState], severity: Severity, comparable: Callable[[str], object]
) -> Iterator[Difference]:
    what, prefix = module
    installed = {name: None if state.host is None else _versions(state.host, prefix) for name, state in states.items()}
    if not any(installed.values()):
        return
    missing = [name for name, versions in installed.items() if versions == []]
    note = f", missing on {', '.join(missing)}" if missing else ""
    distinct = {None if versions is None else frozenset(map(comparable, versions)) for versions in installed.values()}
    if len(distinct) > 1:
        shown = {name: _UNREAD if state.host is None else module_versions(state.host, prefix) for name, state in states.items()}
        yield Difference(what=f"versions of {what} differ{note}", values=shown, severity=severity)


def _content_differences(states: Mapping[str, AgentState], severity: Severity, restored: Restored | None) -> Iterator[Difference]:
    """One difference for each app, dashboard or file, naming the agents that differ from most."""
    read = {name: {fold(row.path): row for row in state.content} for name, state in states.items() if state.content is not None}
    unread = [name for name in states if name not in read]
    if unread and (read or severity == FAIL):
        yield Difference(what="content wasn't read on every agent", values=dict.fromkeys(unread, _UNREAD), severity=severity)
    spelled = {key: row.path for rows in read.values() for key, row in rows.items()}
    titles = {fold(app.folder): app.title for state in states.values() for app in state.apps}
    folders = {name: {above for key in rows for above in _above(key)} for name, rows in read.items()}
    # of very much content folders count as one: what is a row here is then a folder there, or in one
    apart = {
        key
        for name, rows in read.items()
        for key in spelled.keys() - rows.keys()
        if key in folders[name] or any(above in rows for above in _above(key))
    }
    if apart:
        counted = {name: f"{len(rows)} rows" for name, rows in read.items()}
        yield Difference(
            what="content that is counted by folder on one agent, and by file on another, wasn't compared", values=counted, severity=severity
        )
    for key in sorted(spelled.keys() - apart):
        digests = {name: rows[key].sha256[:_SHORT] if key in rows else MISSING for name, rows in read.items()}
        if len({rows[key].sha256 if key in rows else None for rows in read.values()}) > 1:
            worse = FAIL if restored and restored.covers(key) else severity
            yield Difference(what=f"{_item(spelled[key], titles)} {_odd_ones(digests)}", values=digests, severity=worse)


def _above(path: str) -> Iterator[str]:
    """The folders that a path is in."""
    while path := path.rpartition("/")[0]:
        yield path


def _item(path: str, titles: Mapping[str, str]) -> str:
    root, _slash, rest = path.partition("/")
    if root == "Applications" and fold(rest) in titles:
        title = titles[fold(rest)]
        return f'app "{title}"' + (f" ({rest})" if title != rest else "")
    if root == "Dashboards" and rest.lower().endswith(".dmadb.json"):
        return f'dashboard "{rest[: -len(".dmadb.json")]}"'
    return path


def _odd_ones(digests: Mapping[str, str]) -> str:
    """On which agents it is another than on most; with no majority all are named by the differing values alone."""
    (most, count), *others = Counter(digests.values()).most_common()
    if others and others[0][1] == count:
        return "differs between the agents"
    missing = [name for name, digest in digests.items() if digest == MISSING != most]
    odd = [name for name, digest in digests.items() if digest != most and name not in missing]
    parts = [f"differs on {', '.join(odd)}"] if odd else []
    return " and ".join(parts + ([f"is missing on {', '.join(missing)}"] if missing else []))


def restarted(before: HostFacts | None, after: HostFacts | None, *, except_for: Iterable[str] = WEB_PROCESSES) -> tuple[str, ...] | None:
    """Names of processes that ran before and don't run any more as the same process (id and start), sorted; None where it can't be told.

    A web upgrade restarts only the web server; `except_for` names those that may. Names compare without case and `.exe`.
    """
    if before is None or after is None:
        return None
    allowed = {_process_name(name) for name in except_for}
    running = {(_process_name(process.name), process.pid, process.started) for process in after.processes}
    gone = {p.name for p in before.processes if (_process_name(p.name), p.pid, p.started) not in running and _process_name(p.name) not in allowed}
    return tuple(sorted(gone))


def processes_text(names: tuple[str, ...] | None) -> str:
    """What `restarted` found, in words: that nothing was found is told as well, and that nobody looked."""
    if names is None:
        return "whether a process beside the web server restarted wasn't read"
    return f"restarted beside the web server: {', '.join(names)}" if names else "no process beside the web server restarted"


def _process_name(name: str) -> str:
    return name.casefold().removesuffix(".exe")


def barrier(
    *, cluster: str, agents: Iterable[str], results: Mapping[str, Mapping[str, Any] | None], phase: str, gone: Collection[str] = ()
) -> Barrier:
    """Whether every one of `agents` has a successful result of the phase, and is there for the next one.

    An agent without a result has none: unreachable or skipped, not well. Those that are `gone` will do no more in this play, whatever they succeeded
    in before.
    """
    problems = tuple((name, problem) for name in agents if (problem := _problem(results.get(name)) or (LEFT if name in gone else None)))
    return Barrier(ok=not problems, cluster=cluster, phase=phase, problems=problems)


_SIGNS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("unreachable", bool, "unreachable"),
    ("failed", bool, "failed"),
    ("skipped", bool, "skipped"),
    ("finished", lambda value: value in (False, 0), "not finished"),
)


def _problem(result: Mapping[str, Any] | None) -> str | None:
    if result is None:
        return NO_RESULT
    for key, bad, word in _SIGNS:
        if key in result and bad(result[key]) and not (key == "finished" and _waits(result)):
            line = first_line(result.get("msg") or result.get("skip_reason"))
            return f"{word}: {line}" if line else word
    return None


def _waits(result: Mapping[str, Any]) -> bool:
    """A commit that has swapped its files and waits for a word has done its part of the phase."""
    job = result.get("job")
    return isinstance(job, Mapping) and job.get("state") == "waiting"


def first_line(text: object) -> str:
    """What a failed task said, cut but for what to do, without the words that Ansible puts before."""
    lines = str(text or "").strip().removeprefix("Task failed: ").splitlines()
    return shortened(lines[0].strip(), 300) if lines else ""


def differing_backups(digests: Mapping[str, str | None]) -> tuple[tuple[str, str, str], ...]:
    """Rows (agent, short digest, remark) where the agents' chosen backups don't all hold the same; empty where they do.

    `digests` are of what a backup holds, not of the zip: two zips of one content never are the same. None: no backup was chosen.
    """
    if len(set(digests.values())) <= 1:
        return ()
    (most, count), *others = Counter(digests.values()).most_common()
    majority = most if others[0][1] < count else None
    return tuple((name, (digest or "-")[:_SHORT], _remark(digest, majority)) for name, digest in sorted(digests.items()))


def _remark(digest: str | None, majority: str | None) -> str:
    if digest is None:
        return "no backup"
    if majority is None:
        return "differs"
    return "as on most agents" if digest == majority else "differs from most agents"
