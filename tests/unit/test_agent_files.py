"""Parsers of single files: texts, VersionHistory.txt, DMS.xml, the version of a DLL."""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.agent_files import (
    decode_text,
    file_version,
    parse_dms_xml,
    read_history,
)
from ansible_collections.dataminer.web.plugins.module_utils.version import Version

DMS = """<?xml version="1.0" encoding="utf-8"?>
<DMS errorTime="30000" synchronized="true" xmlns="http://www.skyline.be/config/dms">
  <Cluster name="pluto"/>
  <DMA ip="10.4.2.92" timestamp=""/>
  <DMA ip="dma35.example.org" id="35" timestamp="2023-01-05 01:24:38" contacted_once="TRUE"/>
  <Redirects><Redirect to="10.4.2.93" via="https://10.4.2.93/APIGateway" user="MyUser" pwd="MyPassword"/></Redirects>
</DMS>"""
OWN = '<DataMiner id="7" xmlns="http://www.skyline.be/config/dataminer"><Secret pwd="MyPassword"/></DataMiner>'


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"plain \xc3\xa9", "plain é"),
        (b"\xef\xbb\xbfwith mark", "with mark"),
        (b"\xff\xfe" + "é1".encode("utf-16-le"), "é1"),
        (b"\xfe\xff" + "é1".encode("utf-16-be"), "é1"),
        (b"\xff\xfea\0b", "a\ufffd"),
        (b"bad \xe9 byte", "bad \ufffd byte"),
    ],
)
def test_decoding_goes_by_the_byte_order_mark(data: bytes, text: str) -> None:
    assert decode_text(data) == text


def test_a_history_line_has_bounds_of_an_hour_around_the_offset() -> None:
    (line,) = read_history("2025-03-27 11:16:35;10.5.4.0-15588-20250319-release\r\n", 60)[0]
    assert line.version == Version.parse("10.5.4.0-15588")
    assert line.local == datetime(2025, 3, 27, 11, 16, 35)
    assert (line.earliest, line.latest) == (datetime(2025, 3, 27, 9, 16, 35, tzinfo=UTC), datetime(2025, 3, 27, 11, 16, 35, tzinfo=UTC))


def test_a_negative_offset_lies_west() -> None:
    (line,) = read_history("2025-01-01 20:00:00;10.5.4", -300)[0]
    assert line.earliest == datetime(2025, 1, 2, 0, 0, tzinfo=UTC)


def test_junk_lines_are_left_out_and_told() -> None:
    text = (
        "\ufeff2024-01-01 00:00:00;10.4.0.0-14000\n\nhello\n2024-13-01 00:00:00;10.4.1\n"
        "2024-02-01 10:00:00;not a version\n2024-03-01 00:00:00;10.4.3.0-14100;\n"
    )
    lines, unread = read_history(text, 0)
    assert [str(line.version) for line in lines] == ["10.4.0.0-14000", "10.4.3 (CU0)"]
    problems = [line.problem for line in unread]
    assert [problem.split()[1].rstrip(":") for problem in problems] == ["3", "4", "5"]
    assert "doesn't exist" in problems[1]
    assert "'not a version'" in problems[2]


@pytest.mark.parametrize("moment", ["0001-01-01 00:00:00", "9999-12-31 23:59:59"])
@pytest.mark.parametrize("offset", [840, -720])
def test_the_ends_of_the_calendar_dont_raise(moment: str, offset: int) -> None:
    text = f"{moment};10.5.4"
    lines, unread = read_history(text, offset)
    assert len(lines) + len(unread) == 1


def test_dms_xml_gives_the_cluster_and_nothing_else() -> None:
    cluster = parse_dms_xml(DMS, OWN)
    assert cluster == {
        "name": "pluto",
        "self_id": 7,
        "self_address": "10.4.2.92",
        "agents": [{"id": 7, "address": "10.4.2.92"}, {"id": 35, "address": "dma35.example.org"}],
        "failover": False,
        "twin": None,
        "error": None,
    }
    assert "MyPassword" not in json.dumps(cluster)


def test_names_of_tags_and_attributes_in_any_case_and_namespace() -> None:
    text = '<d:dms xmlns:d="urn:x"><d:CLUSTER NAME="c"/><d:dma IP="a"/><d:Dma ID="2" Ip="b"><d:failover/></d:Dma></d:dms>'
    cluster = parse_dms_xml(text, '<dataminer ID=" 1 "/>')
    assert (cluster["name"], cluster["self_id"], cluster["failover"], cluster["error"]) == ("c", 1, True, None)
    assert cluster["agents"] == [{"id": 1, "address": "a"}, {"id": 2, "address": "b"}]


def test_the_own_entry_may_name_its_id() -> None:
    cluster = parse_dms_xml('<DMS><DMA ip="a" id="1"/><DMA ip="b" id="2"/></DMS>', '<DataMiner id="2"/>')
    assert (cluster["self_address"], cluster["error"]) == ("b", None)


@pytest.mark.parametrize("own", [None, "", "<DataMiner/>", '<DataMiner id="x"/>', '<Other id="7"/>', '<DataMiner id="99999999999"/>', "<DataMiner"])
def test_without_its_own_id_the_rest_is_still_told(own: str | None) -> None:
    cluster = parse_dms_xml(DMS, own)
    assert cluster["self_id"] is None
    assert cluster["self_address"] == "10.4.2.92"
    assert cluster["agents"] == [{"id": None, "address": "10.4.2.92"}, {"id": 35, "address": "dma35.example.org"}]
    assert "DataMiner.xml" in str(cluster["error"])


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('<DMS><DMA ip="a"/><DMA ip="b"/></DMS>', "which of its agents"),
        ('<DMS><DMA ip="a" id="1"/><DMA ip="b" id="2"/></DMS>', "which of its agents"),
        ("<DMS/>", "lists no agent"),
        ('<DMS><DMA ip="a"/><DMA ip="b" id="MyPassword"/></DMS>', "can't be read"),
        ('<DMS><DMA ip="a"/><DMA id="3"/></DMS>', "can't be read"),
        ("<Other/>", "<DMS>"),
        ('<DMS><DMA ip="MyPassword"', "line 1"),
        ("", "well-formed"),
        ("\0\0MyPassword", "DMS.xml"),
        ('<!DOCTYPE x [<!ENTITY a "MyPassword">]><DMS><DMA ip="&a;"/></DMS>', "DOCTYPE"),
        ('<!doctype x SYSTEM "file:///c:/MyPassword"><DMS/>', "DOCTYPE"),
        ('<DMS><DMA ip="&MyPassword;"/></DMS>', "well-formed"),
        ("<DMS>\ud800</DMS>", "DMS.xml"),
    ],
)
def test_what_is_wrong_with_dms_xml_is_told_without_quoting_it(text: str, word: str) -> None:
    error = str(parse_dms_xml(text, OWN)["error"])
    assert word in error
    assert "MyPassword" not in error


def test_nested_documents_dont_overflow() -> None:
    assert parse_dms_xml("<DMS>" + "<a>" * 50_000 + "</a>" * 50_000 + "</DMS>", OWN)["error"] == "DMS.xml lists no agent"


def _fixed(a: int, b: int, c: int, d: int) -> bytes:
    return struct.pack("<LLLLLL", 0xFEEF04BD, 0x00010000, a << 16 | b, c << 16 | d, 9 << 16, 9)


def _resource(*numbers: int) -> bytes:
    return struct.pack("<HHH", 800, 52, 0) + "VS_VERSION_INFO\0".encode("utf-16-le") + b"\0\0" + _fixed(*numbers)


@pytest.mark.parametrize(
    ("data", "version"),
    [
        (b"MZ" + b"\x90" * 301 + _resource(10, 5, 2505, 1950) + b"tail", "10.5.2505.1950"),
        (b"x" + _fixed(1, 2, 3, 65535), "1.2.3.65535"),
        (_fixed(9, 9, 9, 9) + b"code" * 30 + _resource(10, 5, 2505, 1950), "10.5.2505.1950"),
        (b"", None),
        (b"MZ no resource", None),
        (_resource(10, 5, 2505, 1950)[:50], None),
        (struct.pack("<LL", 0xFEEF04BD, 0x00020000) + b"\1" * 50, None),
    ],
)
def test_the_file_version_of_a_dll(data: bytes, version: str | None) -> None:
    assert file_version(data) == version
