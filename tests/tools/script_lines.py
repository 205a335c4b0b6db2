# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which lines of the PowerShell scripts the conformance suite ran, over all lanes, and why the others were missed.

    python tests/tools/script_lines.py            the report on the last run of the suite
    python tests/tools/script_lines.py --update   and the list of missed lines brought up to date: stale entries go, new ones wait for their reasons

The list is tests/conformance/missed.toml. It names functions and texts, no numbers of lines: those move. A block within a line counts as a line
more, whose text has a sign where the block's first statement is. Missed lines that the list doesn't explain, and entries that explain nothing, are
failures. tests/conformance/lines.py tells how lines are counted. Standard library only.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "output" / "lines"
LIST = ROOT / "tests" / "conformance" / "missed.toml"
VARIABLE = "SCRIPT_LINES"
INDEX = "index.json"
UNKNOWN = "?"
INSIDE = "»"  # before the first statement of a block that opens within a line


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a script on which a statement starts, or a block within one. `text` is stripped, `place` is the file and the function, if any."""

    file: str
    number: int
    function: str
    text: str
    ran: bool = False

    @property
    def place(self) -> str:
        return f"{self.file} {self.function}".strip()


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why lines of one place are missed: those with one of these texts, or without texts all that are there. `at_times`: some runs reach them."""

    place: str
    lines: tuple[str, ...] = ()
    reason: str
    at_times: bool = False

    def explains(self, line: Line) -> bool:
        return line.place == self.place and (not self.lines or line.text in self.lines)


def numbers_ran(folder: Path) -> set[int]:
    """What all processes have counted by now: the bytes that are set in any of their files."""
    return {number for path in folder.iterdir() if not path.suffix for number, byte in enumerate(path.read_bytes()) if byte}


def read_lines(folder: Path) -> list[Line]:
    """What all processes of a run counted. Raises OSError or ValueError where there is no such run."""
    rows = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    ran = numbers_ran(folder)
    return [Line(file=row[0], number=row[1], function=row[2], text=row[3], ran=number in ran) for number, row in enumerate(rows) if row is not None]


def read_reasons(path: Path) -> list[Reason]:
    """The list. Raises KeyError, TypeError or ValueError for one that is none."""
    rows = tomllib.loads(path.read_text(encoding="utf-8")).get("missed", [])
    return [
        Reason(place=str(row["place"]), lines=tuple(map(str, row.get("lines", ()))), reason=str(row["reason"]), at_times=bool(row.get("at_times")))
        for row in rows
    ]


def problems(lines: Sequence[Line], reasons: Sequence[Reason]) -> list[str]:
    """Missed lines without a reason, and entries of the list that explain nothing any more."""
    known = [reason for reason in reasons if reason.reason.strip(UNKNOWN + " ")]
    bare = [line for line in lines if not line.ran and not any(reason.explains(line) for reason in known)]
    found = [f"{line.file}:{line.number}: missed, without a reason: {line.text}" for line in bare]
    return found + [problem for reason in reasons for problem in stale(reason, lines)]


def stale(reason: Reason, lines: Sequence[Line]) -> list[str]:
    """What an entry names that isn't so. One without texts stands for a place where nothing runs."""
    there = [line for line in lines if line.place == reason.place]
    missed = {line.text for line in there if reason.at_times or not line.ran}
    if not there:
        return [f"{reason.place}: there is no such function or file, but a reason for it"]
    if reason.lines:
        return [f"{reason.place}: not missed, or not there, but with a reason: {text}" for text in reason.lines if text not in missed]
    ran = [line.number for line in there if line.ran and not reason.at_times]
    return [f"{reason.place}: line {ran[0]} runs; the reason must name the lines that are missed"] if ran else []


def summary(lines: Sequence[Line]) -> str:
    return f"{100 * sum(line.ran for line in lines) / max(len(lines), 1):.1f} % of {len(lines)} lines and inner blocks of the PowerShell scripts ran"


def report(lines: Sequence[Line], reasons: Sequence[Reason]) -> list[str]:
    """The total, and each reason with the lines it is for."""
    missed = [line for line in lines if not line.ran]
    text = [f"{summary(lines)}, {len(missed)} were missed"]
    for reason in reasons:
        numbers = [line.number for line in missed if reason.explains(line)]
        if numbers:
            text.append(f"  {reason.place} ({spans(numbers)}): {reason.reason}")
    return text


def spans(numbers: Sequence[int]) -> str:
    """`3, 5-9` for numbers in order."""
    groups: list[list[int]] = []
    for number in sorted(numbers):
        if groups and number == groups[-1][1] + 1:
            groups[-1][1] = number
        else:
            groups.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in groups)


def updated(lines: Sequence[Line], reasons: Sequence[Reason]) -> list[Reason]:
    """The list as it should be: reasons stay with what they are still true for; what has none gets `?`."""
    found: list[Reason] = [reason for reason in reasons if reason.at_times and not stale(reason, lines)]
    lines = [line for line in lines if not any(reason.explains(line) for reason in found)]
    for place in dict.fromkeys(line.place for line in lines if not line.ran):
        there = [line for line in lines if line.place == place]
        missed = [line for line in there if not line.ran]
        because = {line: next((reason.reason for reason in reasons if reason.explains(line)), UNKNOWN) for line in missed}
        if len(missed) == len(there) and len(set(because.values())) == 1:
            found.append(Reason(place=place, reason=because[missed[0]]))
            continue
        for reason in dict.fromkeys(because.values()):
            texts = tuple(dict.fromkeys(line.text for line in missed if because[line] == reason))
            found.append(Reason(place=place, lines=texts, reason=reason))
    return sorted(found, key=lambda reason: reason.place)


def write_reasons(path: Path, reasons: Sequence[Reason]) -> None:
    """The list anew, below the comment it starts with."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    head = old.partition("[[missed]]")[0].rstrip("\n")
    path.write_text(head + "\n" + "".join(f"\n{entry(reason)}" for reason in reasons), encoding="utf-8")


def entry(reason: Reason) -> str:
    """One entry as TOML; its basic strings are those of JSON."""
    quoted = [json.dumps(text, ensure_ascii=False) for text in reason.lines]
    texts = "lines = [\n" + "".join(f"    {text},\n" for text in quoted) + "]\n" if quoted else ""
    at_times = "at_times = true\n" if reason.at_times else ""
    return f"[[missed]]\nplace = {json.dumps(reason.place)}\n{texts}reason = {json.dumps(reason.reason, ensure_ascii=False)}\n{at_times}"


def main(argv: Sequence[str]) -> int:
    if argv not in ([], ["--update"]):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        lines, reasons = read_lines(FOLDER), read_reasons(LIST)
    except (OSError, KeyError, TypeError, ValueError) as error:
        print(f"{type(error).__name__}: {error}\nNeeded: tests/conformance/missed.toml, and a run of check.py --only conformance", file=sys.stderr)
        return 1
    if argv:
        reasons = updated(lines, reasons)
        write_reasons(LIST, reasons)
    found = problems(lines, reasons)
    print("\n".join([*report(lines, reasons), *found]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
