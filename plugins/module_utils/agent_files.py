# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parsers of single files of an agent: from the file's text or bytes to values.

They take what is broken as it comes: a file of an agent is never a reason to fail, it is a reason to say so.
"""

from __future__ import annotations

import codecs
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

from .agent import HistoryLine
from .errors import InvalidVersion
from .version import Version

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_LOCAL_TIME = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}", re.ASCII)
_ONE_HOUR = timedelta(hours=1)
_DECLARATIONS = re.compile(r"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)
_MAX_ID = 2**31 - 1

_FIXED_FILE_INFO = struct.pack("<LL", 0xFEEF04BD, 0x00010000)
_VERSION_RESOURCE = "VS_VERSION_INFO".encode("utf-16-le")
_RESOURCE_HEADER = 40  # bytes from the start of a VS_VERSIONINFO to its VS_FIXEDFILEINFO


def decode_text(data: bytes) -> str:
    """The text of a file by its byte order mark (UTF-8, UTF-16 LE or BE), else as UTF-8. What can't be decoded becomes U+FFFD."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    return data.decode("utf-8", "replace")


@dataclass(frozen=True, kw_only=True)
class UnreadLine:
    """A line of VersionHistory.txt that can't be read: what is wrong with it, naming its number, and where its time can be read, that time.

    `local` is as in the file, `earliest` and `latest` are its bounds in UTC.
    """

    problem: str
    local: datetime | None
    earliest: datetime | None
    latest: datetime | None


def read_history(text: str, offset_minutes: int) -> tuple[tuple[HistoryLine, ...], tuple[UnreadLine, ...]]:
    """The lines of `Upgrades/VersionHistory.txt` that can be read, and those that can't, each in the order of the file.

    `2025-03-27 11:16:35;10.5.4.0-15588-20250319-release` is logged in local time at the first start after a full upgrade (docs). `offset_minutes` is
    the clock's offset from UTC *now*; when the line was written, daylight saving may have made it an hour more or less, so a moment has bounds.
    """
    stripped = ((number, line.strip("\ufeff\0 \t")) for number, line in enumerate(text.splitlines(), start=1))
    rows = [_history_line(line, number, offset_minutes) for number, line in stripped if line]
    return tuple(row for row in rows if isinstance(row, HistoryLine)), tuple(row for row in rows if isinstance(row, UnreadLine))


def unread_version(history: Iterable[HistoryLine], unread: Iterable[UnreadLine]) -> UnreadLine | None:
    """The newest line, where its time can be read and its version can't: then no older line tells what was installed last."""
    newest = max((line.local for line in history), default=datetime.min)
    found = None
    for line in unread:
        if line.local is not None and line.latest is not None and line.local >= newest:
            newest, found = line.local, line
    return found


def _history_line(line: str, number: int, offset_minutes: int) -> HistoryLine | UnreadLine:
    time, separator, version = line.partition(";")
    problem = f"line {number} isn't '<yyyy-mm-dd hh:mm:ss>;<version>'"
    local = earliest = latest = None
    if _LOCAL_TIME.fullmatch(time.strip()):
        try:
            local = datetime.strptime(time.strip(), "%Y-%m-%d %H:%M:%S")
            utc = (local - timedelta(minutes=offset_minutes)).replace(tzinfo=UTC)
            earliest, latest = utc - _ONE_HOUR, utc + _ONE_HOUR
            if separator:
                return HistoryLine(version=Version.parse(version.strip(" \t;")), local=local, earliest=earliest, latest=latest)
        except InvalidVersion as error:
            problem = f"line {number}: {error.message}"
        except (ValueError, OverflowError):
            problem = f"line {number} holds a date or time that doesn't exist" if separator else problem
    return UnreadLine(problem=problem, local=local, earliest=earliest, latest=latest)


def parse_dms_xml(dms_text: str, dataminer_xml_text: str | None) -> dict[str, object]:
    """The scan document's `cluster` from DMS.xml and DataMiner.xml (None where that one couldn't be read).

    The shape is {name, self_id, self_address, agents: [{id, address}], failover, twin, error}. The files hold credentials (Redirect/@pwd): only
    names, ids and addresses leave, and an error never quotes them. The entry without an id is the agent itself; its id is the root's in
    DataMiner.xml.
    Documents with a DOCTYPE are refused: neither file has one, and expanding entities can take all memory.
    """
    root = _xml_root(dms_text)
    if isinstance(root, str):
        return unknown_cluster(f"DMS.xml {root}")
    if _tag(root) != "dms":
        return unknown_cluster("DMS.xml is no list of agents: its root isn't <DMS>")
    self_id, problem = _own_id(dataminer_xml_text)
    entries = [_entry(element) for element in root.iter() if _tag(element) == "dma"]
    own = _own_entry(entries, self_id)
    problem = _entries_problem(entries, own) or problem
    agents = [{"id": self_id if entry is own else _known(entry["id"]), "address": entry["address"]} for entry in entries if entry["address"]]
    return _cluster(
        name=next((_attribute(element, "name") for element in root.iter() if _tag(element) == "cluster"), None),
        self_id=self_id,
        self_address=own["address"] if own else None,
        agents=agents,
        failover=any(_tag(element) == "failover" for element in root.iter()),
        twin=next((twin for element in root.iter() if _tag(element) == "failover" and (twin := _twin(element, own))), None),
        error=problem,
    )


def unknown_cluster(why: str) -> dict[str, object]:
    """The cluster of an agent whose DMS.xml can't be read."""
    return _cluster(error=why)


def _cluster(**known: object) -> dict[str, object]:
    empty: dict[str, object] = {"name": None, "self_id": None, "self_address": None, "agents": [], "failover": False, "twin": None, "error": None}
    return {**empty, **known}


def _twin(failover: ElementTree.Element, own: Mapping[str, object] | None) -> str | None:
    """The other one of two addresses, where the first is the agent's. The docs name the tag only, so whatever else it holds tells nothing."""
    inside = [element for element in failover.iter() if element is not failover and "virtual" not in _tag(element)]
    found = {address.lower(): address for element in inside if (address := _attribute(element, "ip"))}
    self_address = str(own["address"]).lower() if own else ""
    others = [address for key, address in found.items() if key != self_address]
    return others[0] if len(found) == 2 and len(others) == 1 else None


def _xml_root(text: str) -> ElementTree.Element | str:
    """The root element, or what is wrong, without a word of the document."""
    if _DECLARATIONS.search(text):
        return "holds a DOCTYPE or an ENTITY, which it must not"
    try:
        return ElementTree.fromstring(text.lstrip("\ufeff \t\r\n"))
    except ElementTree.ParseError as error:
        line, column = error.position
        return f"isn't well-formed XML (line {line}, column {column})"
    except (ValueError, LookupError):
        return "isn't readable as XML"


def _tag(element: ElementTree.Element) -> str:
    """The tag's name in lower case, without its namespace; comments and instructions have none."""
    return element.tag.rpartition("}")[2].lower() if isinstance(element.tag, str) else ""


def _attribute(element: ElementTree.Element, name: str) -> str | None:
    """An attribute whatever the case of its name; None where it is absent or blank."""
    values = [value.strip() for key, value in element.attrib.items() if key.rpartition("}")[2].lower() == name]
    return values[0] if values and values[0] else None


def _known(number: int | str | None) -> int | str | None:
    return None if number == -1 else number


def _entry(element: ElementTree.Element) -> dict[str, int | str | None]:
    """`id` is None where the entry names none; -1 where what it names is no id."""
    text = _attribute(element, "id")
    return {"id": None if text is None else _number(text), "address": _attribute(element, "ip")}


def _number(text: str) -> int:
    number = int(text) if re.fullmatch(r"[0-9]{1,10}", text) else -1
    return number if number <= _MAX_ID else -1


def _own_id(text: str | None) -> tuple[int | None, str | None]:
    """The agent's id from DataMiner.xml, and what is wrong where it can't be read."""
    root = "couldn't be read" if text is None else _xml_root(text)
    if isinstance(root, str):
        return None, f"DataMiner.xml {root}, so the agent's own id isn't known"
    number = _number(_attribute(root, "id") or "")
    if _tag(root) != "dataminer" or number < 0:
        return None, "DataMiner.xml names no id, so the agent's own id isn't known"
    return number, None


def _own_entry(entries: list[dict[str, int | str | None]], self_id: int | None) -> dict[str, int | str | None] | None:
    """The agent's own entry: the only one without an id, else the only one with the agent's own."""
    nameless = [entry for entry in entries if entry["id"] is None]
    same = [entry for entry in entries if self_id is not None and entry["id"] == self_id]
    candidates = nameless or same
    return candidates[0] if len(candidates) == 1 else None


def _entries_problem(entries: list[dict[str, int | str | None]], own: Mapping[str, object] | None) -> str | None:
    if not entries:
        return "DMS.xml lists no agent"
    if any(entry["id"] == -1 or not entry["address"] for entry in entries):
        return "DMS.xml lists an agent whose id or address can't be read"
    return None if own else "DMS.xml doesn't tell which of its agents this one is: exactly one entry should have no id"


def file_version(data: bytes) -> str | None:
    """The file version `a.b.c.d` of a DLL from its bytes, or None where they hold no version resource.

    The numbers stand in the resource's VS_FIXEDFILEINFO, found by its signature. A DLL may hold the same bytes elsewhere, so a place behind the
    resource's name goes before one that isn't.
    """
    fallback = None
    start = data.find(_FIXED_FILE_INFO)
    while start >= 0:
        numbers = data[start + 8 : start + 16]
        if len(numbers) == 8:
            high, low = struct.unpack("<LL", numbers)
            version = f"{high >> 16}.{high & 0xFFFF}.{low >> 16}.{low & 0xFFFF}"
            if _VERSION_RESOURCE in data[max(start - _RESOURCE_HEADER, 0) : start]:
                return version
            fallback = fallback or version
        start = data.find(_FIXED_FILE_INFO, start + 1)
    return fallback
