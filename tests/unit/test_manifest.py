"""The manifest: written, read back, and refused when anything about it is wrong."""

from __future__ import annotations

import hashlib
import io
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.agent import ManifestHead
from ansible_collections.dataminer.web.plugins.module_utils.entry_names import fold, problem_of_path
from ansible_collections.dataminer.web.plugins.module_utils.errors import InvalidManifest
from ansible_collections.dataminer.web.plugins.module_utils.manifest import (
    Comparison,
    FileRow,
    ManifestBuilder,
    compare,
    format_time,
    parse_manifest,
    parse_time,
    problem_of_head,
    read_head,
    row_line,
)
from hypothesis import given, settings
from hypothesis import strategies as st

HEADER: dict[str, object] = {
    "schema": 1,
    "name": "web-backup_DMA1_20261124T041500Z_10.5.4-CU0.zip",
    "created": "2026-11-24T04:15:00Z",
    "agent": "DMA1",
    "cluster": "Ground\u2028 stations",
    "server_version": None,
    "web_version": "10.5.4 (CU0)",
    "web_version_source": "Upgrades/Packages/x",
    "mode": "latest",
    "purpose": "backup",
    "left_out": [{"folder": "f", "name": "n", "reason": "r"}],
    "warnings": ["w"],
}
TRAILER: dict[str, object] = {"files": 2, "bytes": 30, "zip_size": 99, "zip_sha256": "c" * 64}
ROWS = (
    FileRow(path="Applications/a/App.info.json", size=10, sha256="a" * 64),
    FileRow(path="Dashboards/Übersicht 💡\u2028\u00a0x.dmadb.json", size=20, sha256="b" * 64),
)


def written(rows: tuple[FileRow, ...] = ROWS, header: dict[str, object] = HEADER) -> bytes:
    stream = io.BytesIO()
    builder = ManifestBuilder(stream.write, header)
    for row in rows:
        builder.add(row)
    builder.finish(zip_size=99, zip_sha256="c" * 64)
    return stream.getvalue()


def sealed(*lines: str) -> bytes:
    """A manifest of these lines with a right checksum, however wrong they are."""
    body = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
    return body + f"sha256 {hashlib.sha256(body).hexdigest()}\n".encode()


MAGIC = "dataminer.web backup manifest 1"
HEAD = json.dumps(HEADER)
TAIL = json.dumps(TRAILER)
ROW_A = f"{'a' * 64} 10 Applications/a/App.info.json"
ROW_B = f"{'b' * 64} 20 Web/b"


def test_the_format_to_the_byte() -> None:
    data = written()
    lines = data.decode().split("\n")
    assert lines[0] == MAGIC
    assert json.loads(lines[1]) == HEADER
    assert lines[1].isascii()
    assert lines[2] == ROW_A
    assert lines[3] == f"{'b' * 64} 20 Dashboards/Übersicht 💡\u2028\u00a0x.dmadb.json"
    assert lines[4] == '{"files":2,"bytes":30,"zip_size":99,"zip_sha256":"' + "c" * 64 + '"}'
    assert lines[5] == "sha256 " + hashlib.sha256(data[: data.rindex(b"sha256 ")]).hexdigest()
    assert lines[6:] == [""]


@pytest.mark.parametrize("as_lines", [False, True])
def test_what_was_written_is_read_back(as_lines: bool) -> None:
    data = written()
    manifest = parse_manifest(io.BytesIO(data) if as_lines else data)
    assert (manifest.header, manifest.rows, manifest.trailer) == (HEADER, ROWS, TRAILER)


def test_a_manifest_without_files() -> None:
    assert parse_manifest(written(rows=())).rows == ()


def test_finish_returns_the_checksum() -> None:
    stream = io.BytesIO()
    builder = ManifestBuilder(stream.write, HEADER)
    assert builder.finish(zip_size=1, zip_sha256="c" * 64) in stream.getvalue().decode()


PATHS = st.lists(st.text(alphabet=st.characters(exclude_characters="/"), min_size=1, max_size=20), min_size=1, max_size=4).map("/".join)
GOOD_PATHS = PATHS.filter(lambda path: problem_of_path(path) is None)
DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
ANY_ROWS = st.lists(st.builds(FileRow, path=GOOD_PATHS, size=st.integers(0, 2**50), sha256=DIGESTS), max_size=8, unique_by=lambda row: fold(row.path))


@settings(deadline=None)
@given(rows=ANY_ROWS, name=st.text(), warnings=st.lists(st.text()))
def test_any_rows_make_the_round_trip(rows: list[FileRow], name: str, warnings: list[str]) -> None:
    header = {**HEADER, "cluster": name, "warnings": warnings}
    manifest = parse_manifest(written(tuple(rows), header))
    assert manifest.rows == tuple(rows)
    assert manifest.header == header
    assert (manifest.trailer["files"], manifest.trailer["bytes"]) == (len(rows), sum(row.size for row in rows))


@settings(deadline=None)
@given(path=st.text())
def test_any_path_is_written_readably_or_refused(path: str) -> None:
    row = FileRow(path=path, size=1, sha256="a" * 64)
    try:
        data = written((row,))
    except InvalidManifest:
        return
    assert parse_manifest(data).rows == (row,)


@settings(deadline=None)
@given(position=st.integers(0, len(written()) - 1), bit=st.integers(0, 7))
def test_no_flipped_bit_passes(position: int, bit: int) -> None:
    data = bytearray(written())
    data[position] ^= 1 << bit
    with pytest.raises(InvalidManifest):
        parse_manifest(bytes(data))


@settings(deadline=None)
@given(length=st.integers(0, len(written()) - 1))
def test_no_cut_passes(length: int) -> None:
    with pytest.raises(InvalidManifest):
        parse_manifest(written()[:length])


@pytest.mark.parametrize(
    "row",
    [
        FileRow(path="Web/a\nb", size=1, sha256="a" * 64),
        FileRow(path="Web/a\\b", size=1, sha256="a" * 64),
        FileRow(path="../a", size=1, sha256="a" * 64),
        FileRow(path="Web/\ud800", size=1, sha256="a" * 64),
        FileRow(path="", size=1, sha256="a" * 64),
        FileRow(path="Web/a", size=-1, sha256="a" * 64),
        FileRow(path="Web/a", size=1, sha256="A" * 64),
        FileRow(path="Web/a", size=1, sha256="a" * 63),
    ],
)
def test_a_row_that_could_not_be_read_back_is_not_written(row: FileRow) -> None:
    with pytest.raises(InvalidManifest):
        row_line(row)


def test_a_path_is_not_written_twice() -> None:
    builder = ManifestBuilder(io.BytesIO().write, HEADER)
    builder.add(FileRow(path="Web/É", size=1, sha256="a" * 64))
    with pytest.raises(InvalidManifest, match="twice"):
        builder.add(FileRow(path="Web/é", size=1, sha256="a" * 64))


def without(key: str) -> str:
    return json.dumps({name: value for name, value in TRAILER.items() if name != key})


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "begins with"),
        (b"PK\x03\x04", "begins with"),
        (b"dataminer.web backup manifest", "begins with"),
        (sealed("dataminer.web backup manifest 2", HEAD, TAIL), 'schema version is "2"; 1 is supported'),
        (sealed("dataminer.web backup manifest 1 ", HEAD, TAIL), "schema version is"),
        (sealed(MAGIC, HEAD.replace('"schema": 1', '"schema": 2'), TAIL), "schema version is 2; 1 is supported"),
        (sealed(MAGIC, HEAD.replace('"schema": 1', '"schema": true'), TAIL), "schema version is True"),
        (sealed(MAGIC, "{}", TAIL), "schema version is None"),
        (sealed(MAGIC, "[]", TAIL), "header isn't a JSON object"),
        (sealed(MAGIC, "{", TAIL), "header isn't JSON"),
        (sealed(MAGIC, "[" * 100_000, TAIL), "header isn't JSON"),
        (sealed(MAGIC), "header isn't JSON"),
        (sealed(MAGIC, HEAD), "has no trailer"),
        (sealed(MAGIC, HEAD, ROW_A), "has no trailer"),
        (sealed(MAGIC, HEAD, ROW_A, ROW_B, TAIL, ROW_A), "lines follow its trailer"),
        (sealed(MAGIC, HEAD, ROW_A, ROW_B, TAIL, TAIL), "lines follow its trailer"),
        (sealed(MAGIC, HEAD, ROW_A, ROW_B, "{x}"), "trailer isn't JSON"),
        (sealed(MAGIC, HEAD, ROW_A, TAIL), "counts 2 files of 30 bytes, but its rows are 1 files of 10 bytes"),
        (sealed(MAGIC, HEAD, ROW_A, ROW_B.replace(" 20 ", " 21 "), TAIL), "2 files of 31 bytes"),
        (sealed(MAGIC, HEAD, ROW_A, ROW_A, TAIL), "in it twice"),
        (sealed(MAGIC, HEAD, ROW_A, ROW_A.replace("App.info", "APP.INFO"), TAIL), "in it twice"),
        (sealed(MAGIC, HEAD, MAGIC, ROW_A, ROW_B, TAIL), "the row"),
        (sealed(MAGIC, HEAD, "", ROW_A, ROW_B, TAIL), "the row"),
        (sealed(MAGIC, HEAD, ROW_A.replace(" 10 ", " 010 "), ROW_B, TAIL), "the row"),
        (sealed(MAGIC, HEAD, ROW_A.replace(" 10 ", " -10 "), ROW_B, TAIL), "the row"),
        (sealed(MAGIC, HEAD, ROW_A.replace(" 10 ", " " + "1" * 5000 + " "), ROW_B, TAIL), "the row"),
        (sealed(MAGIC, HEAD, ROW_A.upper(), ROW_B, TAIL), "the row"),
        (sealed(MAGIC, HEAD, ROW_A + "\r", ROW_B, TAIL), "can't be a file"),
        (sealed(MAGIC, HEAD, ROW_A, f"{'b' * 64} 20 ../b", TAIL), "can't be a file"),
        (sealed(MAGIC, HEAD, ROW_A, f"{'b' * 64} 20 /b", TAIL), "can't be a file"),
        (sealed(MAGIC, HEAD, ROW_A, f"{'b' * 64} 20 Web/\udcff", TAIL), "isn't UTF-8"),
        (sealed(MAGIC, HEAD, ROW_A, ROW_B, without("files")), "trailer's files is None"),
        (sealed(MAGIC, HEAD, ROW_A, ROW_B, TAIL.replace("99", "-1")), "trailer's zip_size is -1"),
        (sealed(MAGIC, HEAD, ROW_A, ROW_B, TAIL.replace("99", "true")), "trailer's zip_size is True"),
        (sealed(MAGIC, HEAD, ROW_A, ROW_B, TAIL.replace("c" * 64, "c" * 63)), "trailer's zip_sha256"),
        (written()[:-1], "cut off"),
        (written() + b"\n", "lines follow its trailer"),
        (written().replace(b"\n", b"\r\n"), "schema version"),
        (written()[: written().rindex(b"sha256")], "cut off"),
        (written().replace(b" 10 ", b" 11 "), "its checksum is .* changed or damaged"),
        (written().replace(b"App.info", b"App.Info"), "its checksum is [0-9a-f]{64}, but its bytes give [0-9a-f]{64}"),
    ],
)
def test_what_is_wrong_with_a_manifest(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidManifest, match=reason) as caught:
        parse_manifest(data)
    assert len(str(caught.value)) < 700


def test_lines_that_are_not_ended_do_not_pass() -> None:
    lines = written().splitlines(keepends=True)
    with pytest.raises(InvalidManifest, match="isn't ended"):
        parse_manifest([lines[0], lines[1].rstrip(b"\n"), *lines[2:]])


@pytest.mark.parametrize(
    ("rows", "found", "expected"),
    [
        (ROWS, ROWS, ((), (), ())),
        (ROWS, ROWS[::-1], ((), (), ())),
        (ROWS, (), ((), (ROWS[0].path, ROWS[1].path), ())),
        ((), ROWS, ((ROWS[0].path, ROWS[1].path), (), ())),
        (ROWS, (ROWS[0], FileRow(path=ROWS[1].path, size=20, sha256="d" * 64)), ((), (), (ROWS[1].path,))),
        (ROWS, (ROWS[0], FileRow(path=ROWS[1].path, size=21, sha256="b" * 64)), ((), (), (ROWS[1].path,))),
        (ROWS, (ROWS[0], ROWS[0], ROWS[1]), ((ROWS[0].path,), (), ())),
        (ROWS, (ROWS[0], FileRow(path="Web/x", size=1, sha256="b" * 64)), (("Web/x",), (ROWS[1].path,), ())),
    ],
)
def test_extra_missing_and_changed_are_told_apart(
    rows: tuple[FileRow, ...], found: tuple[FileRow, ...], expected: tuple[tuple[str, ...], ...]
) -> None:
    comparison = compare(rows, iter(found))
    assert comparison == Comparison(extra=expected[0], missing=expected[1], changed=expected[2])
    assert comparison.same is not any(expected)


def test_a_head_that_serves() -> None:
    assert read_head(HEAD, TAIL, True) == ManifestHead(header=HEADER, trailer=TRAILER, intact=True)


def test_nullable_fields_of_a_head() -> None:
    header = {**HEADER, "cluster": None, "server_version": None, "web_version": None}
    assert read_head(json.dumps(header), TAIL, True).intact


@pytest.mark.parametrize(
    ("header", "trailer", "intact", "problem"),
    [
        (HEAD, TAIL, False, "checksum"),
        ("", "", True, "header isn't a JSON object"),
        ("[]", TAIL, True, "header isn't a JSON object"),
        (HEAD, "{", True, "trailer isn't a JSON object"),
        ("[" * 100_000, TAIL, True, "header isn't a JSON object"),
        (json.dumps({**HEADER, "schema": 2}), TAIL, True, "schema version is 2; 1 is supported"),
        (json.dumps({**HEADER, "agent": 5}), TAIL, True, "agent"),
        (json.dumps({**HEADER, "web_version": 10.5}), TAIL, True, "web_version"),
        (json.dumps({**HEADER, "left_out": {}}), TAIL, True, "left_out"),
        (json.dumps({**HEADER, "purpose": "fun"}), TAIL, True, "purpose"),
        (json.dumps({**HEADER, "mode": "some"}), TAIL, True, "mode"),
        (json.dumps({**HEADER, "created": "yesterday"}), TAIL, True, "created"),
        (json.dumps({**HEADER, "created": None}), TAIL, True, "created"),
        (json.dumps({**HEADER, "created": "2026-02-30T00:00:00Z"}), TAIL, True, "created"),
        (HEAD, json.dumps({**TRAILER, "zip_size": "99"}), True, "zip_size"),
        (HEAD, json.dumps({**TRAILER, "zip_sha256": None}), True, "zip_sha256"),
    ],
)
def test_a_head_that_does_not_serve_is_not_intact(header: str, trailer: str, intact: bool, problem: str) -> None:
    head = read_head(header, trailer, intact)
    assert not head.intact
    assert problem in (head.problem or "")
    assert problem_of_head(head) == head.problem


def test_a_head_made_elsewhere_is_judged_too() -> None:
    assert problem_of_head(ManifestHead(header=HEADER, trailer=TRAILER, intact=True)) is None
    assert problem_of_head(ManifestHead(header={**HEADER, "agent": None}, trailer=TRAILER, intact=True))
    assert problem_of_head(ManifestHead(header=HEADER, trailer={}, intact=True))
    assert problem_of_head(ManifestHead(header=HEADER, trailer=TRAILER, intact=False))


def test_times() -> None:
    moment = datetime(2026, 11, 24, 5, 15, tzinfo=timezone(timedelta(hours=1)))
    assert format_time(moment) == "2026-11-24T04:15:00Z"
    assert parse_time("2026-11-24T04:15:00Z") == datetime(2026, 11, 24, 4, 15, tzinfo=UTC)
    assert parse_time("2026-11-24 04:15:00") is None
    assert parse_time(None) is None
