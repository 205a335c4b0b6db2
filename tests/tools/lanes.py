# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lanes that were skipped although what they need is there: on a build server that is a failure, not an absence.

    python tests/tools/lanes.py REPORT…      JUnit files of pytest; the exit status is 1 when a lane was passed over

A test that skips for want of an engine or a library says `lane NAME: why`. Standard library only.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

_WHOLE_FILE = re.compile(r", \d+, (['\"].*['\"])\)\s*\Z", re.DOTALL)
_SKIPPED = re.compile(r"lane (\w+): (.+)", re.DOTALL)


def on_build_server(environ: Mapping[str, str]) -> bool:
    return environ.get("CI", "").lower() not in ("", "0", "false", "no")


def passed_over(reasons: Iterable[str], environ: Mapping[str, str]) -> list[str]:
    """A sentence for each lane, and each reason, that should not have been skipped here."""
    found = Counter(match.groups() for match in map(_SKIPPED.match, reasons) if match)
    rows = ((lane, why, count, there(lane, environ)) for (lane, why), count in found.items())
    return [f"lane {lane}: {count} skipped although {claim}: {why}" for lane, why, count, claim in rows if claim]


def there(lane: str, environ: Mapping[str, str]) -> str:
    """What promises that a lane can run here; empty where nothing does."""
    if lane == "windows":
        return _named("PWSH_WINDOWS", environ)
    if lane == "powershell":
        return _named("PWSH", environ) or _on_path("pwsh", environ)
    if lane == "openssh":
        return _on_path("ssh", environ)
    return "tests/requirements.txt brings what it needs"


def _on_path(name: str, environ: Mapping[str, str]) -> str:
    program = shutil.which(name, path=environ.get("PATH"))
    return f"{program} is on PATH" if program else ""


def _named(variable: str, environ: Mapping[str, str]) -> str:
    return f"{variable} names {environ[variable]}" if environ.get(variable) else ""


def skipped(report: Path) -> list[str]:
    """The reasons of the tests that a pytest run skipped. For a file as a whole the reason stands in the text: ('path', line, 'Skipped: reason')."""
    return [_reason(skip.get("message") or "no reason given", skip.text or "") for skip in ET.parse(report).getroot().iter("skipped")]


def _reason(message: str, text: str) -> str:
    match = _WHOLE_FILE.search(text) if message == "collection skipped" else None
    return str(ast.literal_eval(match[1])).removeprefix("Skipped: ") if match else message


def main(argv: Sequence[str]) -> int:
    if not argv:
        print(__doc__, file=sys.stderr)
        return 2
    problems = passed_over([reason for path in argv for reason in skipped(Path(path))], os.environ)
    print("\n".join(problems or ["no lane was skipped that can run here"]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
