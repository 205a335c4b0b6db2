"""Known defects of the vendor's releases that a change would run into. Each is a warning, never a denial."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .gate_checks import runtime_of
from .gate_rules import DOTNET_10_MODULES, GQI
from .gate_values import CHANGES, Case, Direction, Finding, Rule, not_applicable, passed, warned
from .version import Threshold, Version

INSTALL_WAIT_MINUTES = 45
"""How long to wait for the installer at least: its module installers may take over 15 minutes, the vendor's own limit is 30 (RN 42659)."""

_NEWTONSOFT_SINCE = Threshold.parse("10.5.0 [CU1]", "10.5.4")
_NEWTONSOFT_UNTIL = Threshold.parse("10.5.0 [CU15]", "10.6.0 [CU3]", "10.6.6")
_MODULE_FOLDER_FIXED = Threshold.parse("10.4.0 [CU20]")


@dataclass(frozen=True)
class KnownIssue:
    """`applies` is True, False, or None where that depends on a CU which isn't stated: then the warning says "may"."""

    id: str
    says: str
    source: str
    cure: str
    applies: Callable[[Case], bool | None]


def _newtonsoft(case: Case) -> bool | None:
    if case.web is None or case.target is None or case.direction is Direction.DOWNGRADE:
        return False
    ends = _NEWTONSOFT_UNTIL.reached(case.target)
    return _all(_newtonsoft_from(case.web), _NEWTONSOFT_SINCE.reached(case.target), None if ends is None else not ends)


def _newtonsoft_from(web: Version) -> bool | None:
    if web.baseline != (10, 5):
        return False
    if web.track == "FR":
        return web.patch in (2, 3)
    return None if web.cu is None else web.cu == 0


def _all(*answers: bool | None) -> bool | None:
    """Like `all`, where None is unknown."""
    return False if False in answers else None if None in answers else True


def _module_folder(case: Case) -> bool | None:
    """A later full upgrade within 10.4 finds the folder gone. A server that is past the fix has only fixed ones ahead of it."""
    if case.server is None or case.target is None or case.server.baseline != (10, 4) or case.target.baseline < (10, 5):
        return False
    fixed = _MODULE_FOLDER_FIXED.reached(case.server)
    return None if fixed is None else not fixed


def _timeline(case: Case) -> bool | None:
    """10.6.0 [CU0] is of the same month as those named, and the fix is said to come in 10.6.0 [CU1]."""
    target = case.target
    if target is None or case.direction is Direction.DOWNGRADE:
        return False
    if target.track == "FR":
        return (*target.baseline, target.patch) == (10, 6, 3)
    affected = {(10, 5): 12, (10, 6): 0}.get(target.baseline)
    return False if affected is None else None if target.cu is None else target.cu == affected


def _other_dotnet(case: Case) -> bool | None:
    """The target's modules run on another .NET than the installed ones."""
    if case.web is None or case.target is None:
        return None if case.target and GQI.reached(case.target) is not False else False
    if GQI.reached(case.target) is False:
        return False
    before = runtime_of(case.web, DOTNET_10_MODULES)
    after = case.request.target_runtime or runtime_of(case.target, DOTNET_10_MODULES)
    return None if before is None or after is None else before != after


def _impatient(case: Case) -> bool | None:
    minutes = case.request.install_wait_minutes
    return minutes is not None and minutes < INSTALL_WAIT_MINUTES


_GQI_WITHOUT = "a direct web upgrade from 10.5.0 [CU0], 10.5.2 or 10.5.3 leaves the GQI DxM without Newtonsoft.Json"
_FOLDER_GONE = "after a web upgrade to 10.5, a 10.4 full upgrade before 10.4.0 [CU20] fails: ModuleInstallers\\Web does not exist"
_HIGHLIGHT = "10.5.0 [CU12] / 10.6.3 breaks the timeline's highlight setting of dashboards when it migrates them"
_THEMES = "10.5.0 [CU12] / 10.6.3 drops Themes.json"
_FIXED = "go to 10.5.0 [CU13] / 10.6.0 [CU1] / 10.6.4 or later instead"
_FOLDER_CURE = "let the next full upgrade within 10.4 be 10.4.0 [CU20] or later"
_SLOW = f"the module installer may take over 15 minutes: wait {INSTALL_WAIT_MINUTES} minutes at least"
_REPAIR = "afterwards repair the MSI of the GQI DxM, or go to 10.5.0 [CU15] / 10.6.0 [CU3] / 10.6.6 or later"

KNOWN_ISSUES = (
    KnownIssue("gqi-newtonsoft", _GQI_WITHOUT, "RN 45146", _REPAIR, _newtonsoft),
    KnownIssue("full-after-web", _FOLDER_GONE, "RN 43676", _FOLDER_CURE, _module_folder),
    KnownIssue("timeline-highlight", _HIGHLIGHT, "RN 45060", _FIXED, _timeline),
    KnownIssue("themes-dropped", _THEMES, "RN 44930", _FIXED, _timeline),
    KnownIssue("dotnet-reboot", "a change of .NET may need a reboot", "docs", "plan a reboot of the agent after the change", _other_dotnet),
    KnownIssue("slow-installer", _SLOW, "RN 42659", f"wait {INSTALL_WAIT_MINUTES} minutes or more for the installer", _impatient),
)


def _check(issue: KnownIssue) -> Callable[[Case], Finding]:
    def check(case: Case) -> Finding:
        applies = issue.applies(case)
        found = f"web {case.web or 'unknown'}, server {case.server or 'unknown'}, target {case.target or 'none'}"
        if applies is False:
            return passed(found) if case.target else not_applicable(found)
        return warned(f"{found}: {'affected' if applies else 'may be affected, a version is not fully known'}")

    return check


ISSUE_RULES = tuple(Rule(issue.id, issue.says, issue.source, _check(issue), issue.cure, purposes=CHANGES) for issue in KNOWN_ISSUES)
