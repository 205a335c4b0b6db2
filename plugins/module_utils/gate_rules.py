# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of web upgrades: what the vendor documents, one line each. `gate_checks` says what the sentences mean, `gate` asks them.

Verdicts: a rule that is broken denies or warns, as its check says; rules of a module a package holds are news and always pass.
The rules of an agent's machine are in `gate_host`, those of the cluster in `gate_cluster`, known defects in `known_issues`.
"""

from __future__ import annotations

from . import gate_checks as check
from .gate_values import CHANGES, PURPOSES, STATUS, ClusterRule, Rule, once
from .version import Threshold

SEPARATE = Threshold.parse("10.3.0", "10.3.3")
SERVER_10_4 = Threshold.parse("10.4.0", "10.4.1")
SERVER_10_5 = Threshold.parse("10.5.0", "10.5.1")
DOTNET_10_REFUSAL = Threshold.parse("10.7.0", "10.6.5")
DOTNET_10_MODULES = Threshold.parse("10.5.0 [CU14]", "10.6.0 [CU2]", "10.6.5")
GQI = Threshold.parse("10.5.0", "10.5.2")
DCM = Threshold.parse("10.5.0 [CU8]", "10.5.11")
ASSISTANT = Threshold.parse("10.7.0", "10.6.2")
MAPS = Threshold.parse("10.7.0", "10.6.7")
WITHOUT_JOBS = Threshold.parse("10.5.0", "10.5.1")
WITHOUT_TICKETING = Threshold.parse("10.6.2")

_FULL = "upgrade the DataMiner server first, with a full upgrade"
_SERVER = "set dataminer_server_version for this agent in the inventory, as its About box shows it"
_WEB = "set dataminer_web_version for this agent in the inventory, as its About box shows it, with its CU: '10.4.0 [CU21]'"
_TARGET = "set dataminer_target_version, dataminer_package, or both"
_EXPECTED = "take dataminer_verify_expected out of the inventory, or set it to the target"
_NOT_WEB = "take the Web Upgrade package of this version; full upgrades aren't done here"
_DAAS = "nothing can be done from outside: DaaS systems are upgraded by the vendor"
_BOX = "a Dashboard Gateway is outside the package and is refreshed by hand"
_REFUSES = f"packages from {DOTNET_10_REFUSAL} on refuse to install without .NET 10"
_RUNTIME = f"GQI DxM and Web DcM run on .NET 10 since {DOTNET_10_MODULES}, on .NET 8 before"
_ASSISTANT = "updated only where an older one is present, never downgraded since 10.6.3; left alone here"
_NO_DCM = "web packages never hold it on 10.4.0"

REQUEST_RULES = (
    ClusterRule("target", "a target version, a package, or both of one release", "collection", once(check.target), _TARGET, purposes=CHANGES),
    ClusterRule("expected", "what the verification expects is the target", "collection", once(check.expected), _EXPECTED, purposes=CHANGES),
    ClusterRule("daas", "an agent whose server can be reached: DaaS gives no access", "docs", once(check.daas), _DAAS, denies=PURPOSES),
    ClusterRule("kind", "web upgrades take Web packages only", "docs", check.kind, _NOT_WEB, purposes=CHANGES),
    ClusterRule("track", "a web package of either track will do", "docs", once(check.track), purposes=CHANGES),
    ClusterRule("gqi", f"GQI DxM: since {GQI}", "docs, RN 39145, 41811", once(check.module(GQI)), purposes=CHANGES),
    ClusterRule("dcm", f"Web DcM: since {DCM}, {_NO_DCM}", "RN 43439, docs", once(check.module(DCM)), purposes=CHANGES),
    ClusterRule("assistant", f"Assistant DxM: since {ASSISTANT}", "RN 44291, 44441", once(check.module(ASSISTANT, _ASSISTANT)), purposes=CHANGES),
    ClusterRule("maps", f"Maps module: since {MAPS}", "RN 45521", once(check.module(MAPS)), purposes=CHANGES),
    ClusterRule("dashboard-gateway", _BOX, "docs", once(check.dashboard_gateway(WITHOUT_JOBS, WITHOUT_TICKETING)), purposes=CHANGES),
)

RULES = (
    Rule("server-version", "a known server version", "collection", check.server_known, _SERVER, purposes=PURPOSES, denies=CHANGES),
    Rule("web-version", "a known web version", "collection", check.web_known, _WEB, purposes=PURPOSES, denies=CHANGES),
    Rule("separate", f"web-only upgrades exist from server {SEPARATE} on", "docs", check.server_at_least(SEPARATE), _FULL),
    Rule("baseline-10.5", f"web 10.5 needs server {SERVER_10_4} or later", "RN 41395", check.baseline(5, SERVER_10_4), _FULL),
    Rule("baseline-10.6", f"web 10.6 needs server {SERVER_10_5} or later", "RN 44103", check.baseline(6, SERVER_10_5), _FULL),
    Rule("baseline-next", "from 10.5 on, web 10.N needs server 10.(N-1) or later", "docs", check.baseline_next(own_rule=(5, 6)), _FULL),
    Rule("web-dcm", f"the Web DcM needs server {SERVER_10_5} or later", "RN 43439", check.web_dcm(DCM, SERVER_10_5), _FULL + ", or do without it"),
    Rule("dotnet-10", _REFUSES, "RN 44906", check.dotnet_refusal(DOTNET_10_REFUSAL)),
    Rule("dotnet-modules", _RUNTIME, "RN 44800, 44820", check.dotnet_modules(DOTNET_10_MODULES, GQI)),
    Rule("core-features", "what needs new core features comes with the server only", "docs", check.core_features, purposes=(*CHANGES, STATUS)),
    Rule("full-overrides", "a full upgrade overrides every earlier web upgrade", "docs, RN 43676", check.full_overrides, _WEB, purposes=PURPOSES),
    Rule("direction", "an upgrade goes forward, a restore goes back", "collection", check.direction),
    Rule("step-by-step", "going back over several major versions goes step by step", "docs", check.steps, "go back one major version at a time"),
)
# Two more rules are judged elsewhere: same-version in gate_cluster; no-restart, once the upgrade is done, by cluster.restarted.
