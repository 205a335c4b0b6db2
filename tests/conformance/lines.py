"""Which lines of the scripts ran: marks before their statements, in the texts that an engine gets.

Marked is the first statement of each line, and that of each block that opens within a line, such as `throw` in `if ($late) { throw }`. A script of
which a test changed one place counts in all others.

A mark sets one byte of a file that its process has mapped into memory. So lines count in every runspace, in texts that scripts hand on to others,
and in jobs, which are processes of their own and may be killed; and what a script does stays the same. `SCRIPT_LINES` names the folder where the
files are left, with `index.json`, which tells what each byte stands for. tests/tools/script_lines.py makes a report of them.

A line that ran once, in any process, needs no mark any more: the longer a run lasts, the less it costs to count.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from typing import Any
from unittest import mock

from ansible_collections.dataminer.web.plugins.plugin_utils import windows_host
from harness import ON_WINDOWS, Engine

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from script_lines import INDEX, INSIDE, VARIABLE, numbers_ran

STATEMENTS = Path(__file__).with_name("statements.ps1")
LOOK_FIRST = 15.0  # seconds until what ran elsewhere is looked at; twice as long until the next time, and so on, for engines keep what they compiled
_script_text = windows_host.script_text.__wrapped__  # tests put others in its place, and scripts are marked anew at any time
_NAME = "dataminer.web.lines"
_PACKED = "H4sI"  # how a packed text begins
_HEAD = 250  # characters by which scripts differ: a license, and what this one is for
_STORE = f"[AppDomain]::CurrentDomain.GetData('{_NAME}')"
_MARK = _STORE + ".Write({number},$true);"
_OPENING = (
    f"if ($null -eq {_STORE}) {{{{ [AppDomain]::CurrentDomain.SetData('{_NAME}', [IO.MemoryMappedFiles.MemoryMappedFile]::CreateFromFile("
    f"[IO.Path]::Combine([Environment]::GetEnvironmentVariable('{VARIABLE}'), [Guid]::NewGuid().ToString('n')), [IO.FileMode]::CreateNew, "
    "[NullString]::Value, {size}).CreateViewAccessor()) }}\n"
)
_INSERTED = re.compile(rf"{re.escape(_STORE)}\.Write\(\d+,\$true\);|if \(\$null -eq {re.escape(_STORE)}\) .*\n")


@dataclass(frozen=True, kw_only=True)
class Statement:
    """The first statement that starts on a line of a file, or a later one: the first of a block (`inside`). `offset`: where in the file's text."""

    file: str
    line: int
    offset: int
    function: str
    inside: bool = False


Numbered = tuple[int, Statement]


class LineCounter:
    """Puts marks into requests. `folder` is where processes of the engines leave what they counted; it is looked at after `every` so many seconds."""

    def __init__(self, engine: Engine, folder: Path, scripts: Path = windows_host.SCRIPTS, *, every: float = LOOK_FIRST) -> None:
        self._folder, self._scripts, self._every = folder, scripts, every
        self._texts = {path.relative_to(scripts).as_posix(): path.read_text(encoding="utf-8") for path in scripts.rglob("*.ps1")}
        self._found = _statements(engine, self._texts)
        _write_index(folder, self._texts, self._found)
        self._ran: set[int] = set()
        self._looked = time.monotonic()
        self._mark()

    def _mark(self) -> None:
        """Marks before all lines that aren't known to have run."""
        found = [(number, one) for number, one in enumerate(self._found) if number not in self._ran]
        size, top = len(self._found), _tops(self._found)
        self._marked = _with_marks(self._scripts, self._texts, found, size, top)
        opening = _OPENING.format(size=size)
        self._parts = {text: opening + _marked_text(file, text, found, size, None) for file, text in self._texts.items() if "/" in file}

    def _look(self) -> None:
        if time.monotonic() - self._looked < self._every:
            return
        self._looked, self._every = time.monotonic(), 2 * self._every
        ran = numbers_ran(self._folder)
        if ran != self._ran:
            self._ran = ran
            self._mark()

    def told(self, request: dict[str, Any]) -> dict[str, Any]:
        """The request with marks in every script of ours, packed ones too. Where .NET is locked away there can be none."""
        self._look()
        return request if "language_mode" in request else {key: self._told(value) for key, value in request.items()}

    def _told(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._told(inner) for key, inner in value.items()}
        if not isinstance(value, str):
            return value
        return self._marked.get(value) or self._composed(value)

    def _composed(self, text: str) -> str:
        """A text of a test's own, packed or not: a script of which one place was changed, or one that holds whole libraries."""
        if text.startswith(_PACKED):
            plain = gzip.decompress(base64.b64decode(text)).decode("utf-8", "surrogatepass")
            composed = self._composed(plain)
            return text if composed == plain else windows_host._pack(composed)
        for known, marked in self._marked.items():
            if known[:_HEAD] == text[:_HEAD] and not known.startswith(_PACKED):
                return _changed(known, marked, text)
        for part, marked in self._parts.items():
            text = text.replace(part, marked, 1) if len(text) > len(part) else text
        return text


def environment(folder: Path, *, wine: bool) -> dict[str, str]:
    """What the processes of an engine need to know. Wine's drive Z: is all of this machine."""
    return {VARIABLE: str(PureWindowsPath(f"Z:{folder}") if wine and not ON_WINDOWS else folder)}


def _statements(engine: Engine, texts: dict[str, str]) -> list[Statement]:
    answer = engine.execute(STATEMENTS.read_text(encoding="utf-8"), {"texts": texts}, 2)
    assert not answer["failed"], answer["error"]
    rows = [row.split("\t") for row in answer["result"]["rows"].splitlines()]
    found = [Statement(file=file, line=int(line), offset=int(offset), function=function) for file, line, offset, function in rows]
    found.sort(key=lambda one: (one.file, one.offset))
    first = {(one.file, one.line): one for one in reversed(found)}
    return [replace(one, inside=one is not first[one.file, one.line]) for one in found]


def _is_library(text: str, offset: int) -> bool:
    """Whether a library's text takes the place of the statement."""
    return windows_host._LIBRARY.match(text, offset) is not None


def _tops(found: list[Statement]) -> dict[str, int]:
    """Where whole scripts begin to do something, by their files."""
    tops: dict[str, int] = {}
    for one in found:
        if "/" not in one.file and not one.function:
            tops.setdefault(one.file, one.offset)
    return tops


def _with_marks(scripts: Path, texts: dict[str, str], found: list[Numbered], size: int, tops: dict[str, int]) -> dict[str, str]:
    """Whole scripts with marks, by the scripts without, each as it is and packed."""
    marked: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as place:
        for file, text in texts.items():
            path = Path(place, file)
            path.parent.mkdir(exist_ok=True)
            path.write_text(_marked_text(file, text, found, size, tops.get(file)), encoding="utf-8")
        for name in (file.removesuffix(".ps1") for file in texts if "/" not in file):
            plain, counted = _whole(scripts, name), _whole(Path(place), name)
            marked |= {plain: counted, windows_host._pack(plain): windows_host._pack(counted)}
    return marked


def _marked_text(file: str, text: str, found: list[Numbered], size: int, top: int | None) -> str:
    """A mark before each statement, from the last one on so that offsets stay true. At `top`, before all a script does, it opens the store."""
    marks = {one.offset: _MARK.format(number=number) for number, one in found if one.file == file and not _is_library(text, one.offset)}
    if top is not None:
        marks[top] = _OPENING.format(size=size) + marks.get(top, "")
    for offset in sorted(marks, reverse=True):
        text = text[:offset] + marks[offset] + text[offset:]
    return text


def _alike(one: str, other: str) -> int:
    """How many characters they begin with alike."""
    return next((number for number, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), min(len(one), len(other)))


def _changed(known: str, marked: str, text: str) -> str:
    """The script `known`, changed into `text` in one place, with the marks of all lines but those that were changed."""
    before = _alike(known, text)
    behind = min(_alike(known[::-1], text[::-1]), len(known) - before, len(text) - before)
    first, last, more = known.rfind("\n", 0, before) + 1, len(known) - behind, len(text) - len(known)
    parts: list[str] = []
    at = done = offset = 0  # in the marked script, in `text`, in `known`
    for found in _INSERTED.finditer(marked):
        offset, at = offset + found.start() - at, found.end()
        if not first <= offset < last:
            place = offset + more * (offset >= last)
            parts += [text[done:place], found[0]]
            done = place
    return "".join([*parts, text[done:]])


def _whole(scripts: Path, name: str) -> str:
    with mock.patch.object(windows_host, "SCRIPTS", scripts):
        return str(_script_text(name))


def _row(text: str, one: Statement) -> list[Any] | None:
    """File, line, function and text of what is counted: that of its line, with a sign before a statement inside."""
    if _is_library(text, one.offset):
        return None
    before, after = text[: one.offset].rpartition("\n")[2], text[one.offset :].partition("\n")[0]
    return [one.file, one.line, one.function, (before + INSIDE * one.inside + after).strip()]


def _write_index(folder: Path, texts: dict[str, str], found: list[Statement]) -> None:
    """The same by every process of a run; whoever is last leaves it."""
    rows = [_row(texts[one.file], one) for one in found]
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=folder, suffix=".tmp", delete=False) as stream:
        json.dump(rows, stream, indent=0)
    Path(stream.name).replace(folder / INDEX)
