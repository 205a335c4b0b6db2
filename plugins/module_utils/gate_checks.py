# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks behind the rules of `gate_rules`: functions from an agent's case, or from the request, to a finding."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

from .agent import VersionFact
from .gate_values import (
    ATTACHES,
    CHANGES,
    DOWNGRADE,
    STATUS,
    UPGRADE,
    Case,
    ClusterCase,
    Direction,
    Finding,
    Request,
    denied,
    not_applicable,
    passed,
    warned,
)
from .package import FULL, WEB
from .readiness import has_reached, latest_attempt
from .version import Threshold, Version, least_month, same_release

Check = Callable[[Case], Finding]
RequestCheck = Callable[[Request], Finding]

_DOTNET_OLD, _DOTNET_NEW = 8, 10
_KNOWN_MAJOR = 10
_NO_SERVER = "the server version is unknown"
_NO_TARGET = "no target version is given"
_CU_UNKNOWN = "its CU isn't stated"


# What is asked for


def target(request: Request) -> Finding:
    """Something to go to is named, and target and package don't contradict each other."""
    named, package = request.target, request.package
    if request.goal is None:
        return denied("neither a target version nor a package")
    if named is None or package is None:
        return passed(f"{request.goal}")
    same = same_release(named, package.version)
    if same is False:
        return denied(f"target {named}, but {package.file_name}", remedy="name a target and a package of one release")
    if same is None:
        return warned(f"target {named}; {package.file_name} doesn't state its CU", remedy="make sure that this is the package of the target version")
    return passed(f"{named}, {package.file_name}")


def expected(request: Request) -> Finding:
    """The verification says what it expects of the agents once all are changed: too late, where that can't come true."""
    if request.expected is None or request.goal is None:
        return not_applicable("the verification expects what the run goes to" if request.goal else _NO_TARGET)
    found = f"the verification expects {request.expected}, the target is {request.goal}"
    return denied(found) if same_release(request.expected, request.goal) is False else passed(found)


def daas(request: Request) -> Finding:
    return denied("a DaaS system") if request.daas else passed("not said to be a DaaS system")


def kind(case: ClusterCase) -> list[tuple[str | None, Finding]]:
    """Only Web packages; a restore may do without any, and so may agents that an upgrade finds at its target."""
    package = case.request.package
    if package is None:
        return [(None, _without_package(case))]
    found = f"{package.kind} package {package.file_name}"
    return [(None, passed(found) if package.kind == WEB else denied(found))]


def _without_package(case: ClusterCase) -> Finding:
    """It is denied as early as here: else it would be told once every agent is backed up."""
    request, goal = case.request, case.request.goal
    if not request.package_known:
        return warned("no package is named yet", remedy="name the package: its kind is judged by its file name")
    if request.purpose == DOWNGRADE:
        return not_applicable("no package is installed")
    worked_on = [state for name, state in case.states.items() if name in request.play_agents]
    if goal is not None and worked_on and all(has_reached(state, goal) for state in worked_on):
        return not_applicable(f"no package is named, and none is needed: the agents run {goal}")
    return denied("no package", required="a Web package (.dmupgrade)", remedy="set dataminer_package (check its spelling)")


def track(request: Request) -> Finding:
    return passed(f"{request.goal} is of the {request.goal.track} track") if request.goal else not_applicable(_NO_TARGET)


def module(since: Threshold, note: str = "") -> RequestCheck:
    """Whether the target's package holds a module: news, not a judgement."""

    def check(request: Request) -> Finding:
        if request.goal is None:
            return not_applicable(_NO_TARGET)
        reached = since.reached(request.goal)
        answer = {True: "is part of", False: "is no part of", None: f"may be part of (since {since}, {_CU_UNKNOWN})"}[reached]
        return passed(f"{answer} {request.goal}" + (f"; {note}" if note and reached is not False else ""))

    return check


def dashboard_gateway(without_jobs: Threshold, without_ticketing: Threshold) -> RequestCheck:
    """A Dashboard Gateway is a web server of its own, which no package reaches."""

    def check(request: Request) -> Finding:
        if request.dashboard_gateway is False or request.goal is None:
            return not_applicable("no Dashboard Gateway" if request.goal else _NO_TARGET)
        folders = ["API (keep its web.config)", "App", "Auth", "Dashboard", "Monitoring", "SharedComponents"]
        folders += [name for name, gone in (("Jobs", without_jobs), ("Ticketing", without_ticketing)) if not gone.reached(request.goal)]
        remedy = f"afterwards, copy these folders of Webpages to a Dashboard Gateway by hand: {', '.join(folders)}"
        if request.dashboard_gateway is None:
            silenced = "if there is none, set dataminer_dashboard_gateway to false"
            return warned("not known whether there is a Dashboard Gateway", remedy=f"if there is one: {remedy}; {silenced}")
        return warned("there is a Dashboard Gateway", remedy=remedy)

    return check


# What is installed


def server_known(case: Case) -> Finding:
    return _known(case.state.server)


def web_known(case: Case) -> Finding:
    """What the inventory names stays, whatever is installed: then the agent never seems to run the target, and its backups bear the wrong version."""
    fact, target = case.state.web, case.target
    if fact.version is None and (at_work := _install_at_work(case)):
        return _unknown_meanwhile(case, at_work)
    finding = _known(fact)
    if fact.read is None or fact.version is None:
        return finding
    read = fact.read.version
    found = f"{finding.found}; read: {read or 'none'} ({fact.read.source})"
    if case.request.purpose in CHANGES and target is not None and same_release(fact.version, target) is not True:
        return warned(found, remedy="once the target is installed, take dataminer_web_version out of the inventory, or set it to the target")
    if read is not None and same_release(read, fact.version) is False:
        return warned(found, remedy="take dataminer_web_version out of the inventory, unless the About box shows what it says")
    return passed(found)


def _install_at_work(case: Case) -> str:
    """Ours, whatever the run is for, or somebody else's."""
    job, host = case.state.install, case.state.host
    if job is not None:
        return f"install job {job.run_id}"
    return "a DataMiner upgrade" if host is not None and host.upgrade_running else ""


def _unknown_meanwhile(case: Case, at_work: str) -> Finding:
    """An installer may let nobody read its progress.log, and what the inventory is told now would soon be wrong."""
    found, last = f"unknown while {at_work} is at work", latest_attempt(case.state)
    other = last is not None and case.target is not None and same_release(last.package.version, case.target) is False
    return warned(found, remedy=ATTACHES) if case.own_install and not other else denied(found, remedy="wait until it has ended, then run again")


def _known(fact: VersionFact) -> Finding:
    if fact.version is None:
        return denied(f"unknown: {fact.source}")
    build = f", build {fact.version.build}" if fact.version.build is not None else ""
    return passed(f"{fact.version}{build} ({fact.source})")


def server_at_least(threshold: Threshold) -> Check:
    """Any target needs a server that has reached the threshold."""
    return lambda case: _server(case, threshold)


def baseline(minor: int, threshold: Threshold) -> Check:
    """A target of 10.`minor` needs a server that has reached the threshold."""

    def check(case: Case) -> Finding:
        if case.target is not None and case.target.baseline != (_KNOWN_MAJOR, minor):
            return not_applicable(f"the target is {case.target}")
        return _server(case, threshold)

    return check


def baseline_next(*, own_rule: tuple[int, ...]) -> Check:
    """The general rule: a target of 10.N needs a server of 10.(N-1). `own_rule`: the first values of N, each with its own."""

    def check(case: Case) -> Finding:
        if case.target is None:
            return not_applicable(_NO_TARGET)
        major, minor = case.target.baseline
        if major != _KNOWN_MAJOR:
            return warned(f"the target is {case.target}", remedy=f"no rule is known here: read which server web {major}.{minor} needs")
        if minor < min(own_rule) or minor in own_rule:
            return not_applicable(f"the target is {case.target}")
        return _server(case, Threshold.parse(f"10.{minor - 1}.1", f"10.{minor - 1}.0"))

    return check


def _server(case: Case, threshold: Threshold) -> Finding:
    if case.server is None or case.target is None:
        return not_applicable(_NO_SERVER if case.target else _NO_TARGET)
    reached = threshold.reached(case.server)
    found, required = f"server {case.server}, target {case.target}", f"server {threshold} or later for web {case.target}"
    if reached is None:
        return warned(f"{found}: {_CU_UNKNOWN}", required=required)
    return passed(found, required=required) if reached else denied(found, required=required)


def web_dcm(since: Threshold, server: Threshold) -> Check:
    """The Web DcM that a target brings does nothing on an older server. The upgrade itself is allowed."""

    def check(case: Case) -> Finding:
        if case.server is None or case.target is None:
            return not_applicable(_NO_SERVER if case.target else _NO_TARGET)
        if since.reached(case.target) is False:
            return not_applicable(f"{case.target} has no Web DcM")
        found = f"server {case.server}, target {case.target}"
        return passed(found) if server.reached(case.server) else warned(found)

    return check


def dotnet_refusal(since: Threshold) -> Check:
    """Packages that don't install without .NET 10."""

    def check(case: Case) -> Finding:
        if case.target is None or not since.reached(case.target):
            return not_applicable(f"{case.target} installs without .NET {_DOTNET_NEW}" if case.target else _NO_TARGET)
        return _runtime(case, _DOTNET_NEW, missing=denied)

    return check


def dotnet_modules(since: Threshold, modules: Threshold) -> Check:
    """The runtime that the target's modules run on. Packages of a Main Release install without it; then the modules don't start."""

    def check(case: Case) -> Finding:
        if case.target is None or modules.reached(case.target) is False:
            return not_applicable(f"{case.target} has neither module" if case.target else _NO_TARGET)
        needed = case.request.target_runtime or runtime_of(case.target, since)
        if needed is None:
            remedy = f"install .NET {_DOTNET_OLD} and .NET {_DOTNET_NEW}, or name the CU of the target"
            return warned(f"{case.target}: {_CU_UNKNOWN}", remedy=remedy)
        return _runtime(case, needed, missing=warned)

    return check


def runtime_of(version: Version, since: Threshold) -> int | None:
    """The major version of .NET that the modules of a version run on; None where its CU would tell."""
    reached = since.reached(version)
    return None if reached is None else _DOTNET_NEW if reached else _DOTNET_OLD


def _runtime(case: Case, major: int, *, missing: Callable[..., Finding]) -> Finding:
    """What isn't known is no denial. Of the hosting bundle one part is looked for: Microsoft.NETCore.App, which the others need."""
    required = f".NET {major} for {case.target}"
    remedy = f"install the .NET {major} hosting bundle on the agent first; it may need a reboot"
    if case.state.host is None:
        unread = f"make sure that the .NET {major} hosting bundle is installed: nobody looked, so this only warns"
        return warned("the installed .NET runtimes weren't read", required=required, remedy=unread)
    found = f"installed: {', '.join(case.state.host.runtimes) or 'none'}"
    present = any(re.search(r"(?<![0-9.])" + str(major) + r"\.[0-9]", runtime) for runtime in case.state.host.runtimes)
    if present:
        return passed(f"{found} (of the hosting bundle Microsoft.NETCore.App is read, Microsoft.AspNetCore.App isn't)", required=required)
    return missing(found, required=required, remedy=remedy)


def core_features(case: Case) -> Finding:
    """A web newer than its server works, without what needs the newer core; going back takes away what the newer web brought."""
    what, web = ("web", case.web) if case.request.purpose == STATUS else ("target", case.target)
    if web is None or case.server is None:
        return not_applicable("the server version or the web version is unknown")
    found = f"{what} {web}, server {case.server}"
    if case.direction is Direction.DOWNGRADE:
        gone = f"expect that what came after {web} is no longer available, and that users notice"
        return warned(f"web {case.web}, {found}", required="what newer web apps brought goes with them", remedy=gone)
    newer = direction_of(case.server, web)
    if newer is Direction.UPGRADE:
        return warned(found, remedy="expect that what needs a newer core isn't available until the server is upgraded too")
    if newer is Direction.UNKNOWN:
        return warned(f"{found}: which has newer content can't be told", remedy="expect that what needs a newer core may not be available")
    return passed(found)


def full_overrides(case: Case) -> Finding:
    """Whether a full upgrade came after the last web package, so that the web version is the full upgrade's."""
    webs = [row.end_or_start for row in case.state.packages if row.package.kind == WEB and row.completed is not False]
    if not webs:
        return not_applicable("no web package was ever installed, as far as its folders tell")
    last = max(webs)
    fulls = [row.end_or_start for row in case.state.packages if row.package.kind == FULL and row.completed is not False]
    lines = case.state.history
    found = f"last web package {_shown(last)}"
    if any(moment > last for moment in fulls) or any(line.earliest > last for line in lines):
        text = f"{found}; a full upgrade came after it and overrode it"
        return warned(text) if case.web is None else passed(f"{text}: the web version is {case.web}")
    if any(line.latest >= last for line in lines):
        return warned(f"{found}; a full upgrade within the hour: which came last can't be told from local times")
    return passed(f"{found}; no full upgrade after it")


def _shown(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")


# Where it goes


def direction_of(installed: Version | None, goal: Version | None) -> Direction:
    """Where the web content goes, by its month. Outside the vendor's promise only where the months and the numbers agree, else UNKNOWN."""
    if installed is None or goal is None:
        return Direction.UNKNOWN
    if same_release(installed, goal):
        return Direction.REINSTALL
    if (installed.major, installed.minor, installed.patch) == (goal.major, goal.minor, goal.patch):
        return _within_branch(installed, goal)
    if installed.web_ordinal is not None and goal.web_ordinal is not None:
        return _compared(installed.web_ordinal, goal.web_ordinal)
    older = min(installed, goal)
    agree = least_month(older) < least_month(max(installed, goal))
    if older.cu is None or not agree:
        return Direction.UNKNOWN
    return Direction.UPGRADE if older is installed else Direction.DOWNGRADE


def _within_branch(installed: Version, goal: Version) -> Direction:
    """By CU, else by build: the builds of one branch are numbered in the order they were made."""
    for before, after in ((installed.cu, goal.cu), (installed.build, goal.build)):
        if before is not None and after is not None and before != after:
            return _compared(before, after)
    return Direction.UNKNOWN


def _compared(before: int, after: int) -> Direction:
    return Direction.REINSTALL if before == after else Direction.UPGRADE if before < after else Direction.DOWNGRADE


_SOFTWARE_FIRST = (
    "name the older package in dataminer_package, or install it before: content that is restored under newer web apps is migrated again, "
    "when a page is opened at the latest"
)


def direction(case: Case) -> Finding:
    """An upgrade doesn't go back, a restore doesn't go forward; the software goes back before the content does."""
    if case.web is None or case.target is None:
        return not_applicable("the installed web version is unknown" if case.target else _NO_TARGET)
    found = f"web {case.web}, target {case.target}: {case.direction.value}"
    if case.direction is Direction.UNKNOWN:
        return warned(found, remedy=f"compare {case.web} with the target yourself, or state the CU of both: dataminer_web_version: '10.4.0 [CU21]'")
    if case.request.purpose == UPGRADE:
        back = case.direction is Direction.DOWNGRADE
        return denied(found, remedy="go back with the playbook downgrade_restore.yml") if back else passed(found)
    if case.direction is Direction.UPGRADE:
        return denied(found, remedy="go forward with the playbook upgrade_web.yml")
    if case.direction is Direction.REINSTALL:
        return warned(found, remedy="content is restored without a downgrade: changes made since the backup are lost")
    return passed(found) if case.request.package else denied(f"{found}, and no package is named", remedy=_SOFTWARE_FIRST)


def steps(case: Case) -> Finding:
    """Going back over more than one major version (10.6 to 10.4)."""
    if case.web is None or case.target is None or case.direction is not Direction.DOWNGRADE:
        return not_applicable("nothing goes back")
    (major, minor), (to_major, to_minor) = case.web.baseline, case.target.baseline
    found = f"from {case.web} to {case.target}"
    return warned(found) if major != to_major or minor - to_minor > 1 else passed(found)
