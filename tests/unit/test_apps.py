"""What App.info.json and the folders beside it tell, in all the shapes they are met in."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.apps import AppInfo, AppVersion, InvalidAppInfo, parse_app, parse_app_info
from hypothesis import given, settings
from hypothesis import strategies as st

SINCE_10_5_2 = """{"__type":"Skyline.DataMiner.Web.Common.v1.DMADynamicApplicationVersionInfo",
"Versions":[{"__type":"Skyline.DataMiner.Web.Common.v1.DMADynamicApplicationVersion","Version":179,"CreatedAt":1768383193493,
"CreatedBy":"DOMAIN\\\\user","Type":"Published"}],"PublicVersion":179,"DraftVersion":0,"Sections":null,"Security":null,
"ID":"0f5c8a1e-7d0b-4d3a-9a39-3a6f5f2a1c11","Name":"Ground stations","Description":null,"Color":"rgb(71,38,210)","Icon":"Satellite"}"""
BEFORE_10_5_2 = """{"__type":"Skyline.DataMiner.Web.Common.v1.DMAApplicationVersionInfo","PublicVersion":3,"DraftVersion":4,
"Sections":[],"Security":{"AllowView":[]}}"""


def test_an_info_with_version_history() -> None:
    info = parse_app_info(SINCE_10_5_2)
    created = datetime(2026, 1, 14, 9, 33, 13, 493000, tzinfo=UTC)
    assert info == AppInfo(
        id="0f5c8a1e-7d0b-4d3a-9a39-3a6f5f2a1c11",
        name="Ground stations",
        published=179,
        draft=0,
        versions=(AppVersion(number=179, created=created, author="DOMAIN\\user"),),
    )


def test_an_info_of_an_older_release() -> None:
    assert parse_app_info(BEFORE_10_5_2) == AppInfo(id=None, name=None, published=3, draft=4, versions=None)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("179", 179),
        ('"179"', 179),
        ('" 7 "', 7),
        ("5.0", 5),
        ("1e2", 100),
        ("0", 0),
        ("-1", -1),
        ('"-1"', -1),
        ("null", None),
        ("2147483647", 2147483647),
    ],
)
def test_numbers_in_any_dress(value: str, number: int | None) -> None:
    info = parse_app_info(f'{{"PublicVersion":{value},"DraftVersion":{value}}}')
    assert (info.published, info.draft) == (number, number)


def test_a_missing_key_is_null() -> None:
    info = parse_app_info("{}")
    assert (info.published, info.draft, info.versions) == (None, None, None)


@pytest.mark.parametrize(
    "value", ["true", "false", "1.5", '"x"', '""', '"1.0"', "[]", "{}", "[1]", "1e400", "-1e400", "NaN", "9" * 30, "2147483648", '"٣"']
)
@pytest.mark.parametrize("key", ["PublicVersion", "DraftVersion"])
def test_what_is_no_version_number(key: str, value: str) -> None:
    with pytest.raises(InvalidAppInfo, match=key):
        parse_app_info(f'{{"{key}":{value}}}')


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        (" \r\n", "is empty"),
        ("\ufeff", "is empty"),
        ("\0\0\0\0", "NUL"),
        (BEFORE_10_5_2[:60] + "\0" * 40, "NUL"),
        (SINCE_10_5_2[:150], "isn't JSON: .* line 2"),
        ("<xml/>", "isn't JSON"),
        (SINCE_10_5_2 + "}", "isn't JSON"),
        ("[" + SINCE_10_5_2 + "]", "is a list, not an object"),
        ('"text"', "is a text .*, not an object"),
        ("null", "is null, not an object"),
        ("true", "is a boolean .*, not an object"),
        ("12", "is a number .*, not an object"),
        ("[" * 200_000, "nested too deeply"),
        ('{"Sections":' * 200_000, "nested too deeply"),
        ('{"PublicVersion":' + "1" * 5000 + "}", "number of thousands of digits"),
        ('{"Versions":{}}', "an object for Versions, not a list"),
        ('{"Versions":"1"}', "a text .* for Versions, not a list"),
        ('{"Versions":[1]}', r"a number \(1\) in Versions, not an object"),
        ('{"Versions":[null]}', "null in Versions, not an object"),
        ('{"Versions":[{"Version":true}]}', "a boolean .* for Version"),
    ],
)
def test_an_invalid_info_says_why(text: str, reason: str) -> None:
    with pytest.raises(InvalidAppInfo, match=reason) as caught:
        parse_app_info(text)
    assert len(str(caught.value)) < 300


def test_a_byte_order_mark_is_tolerated() -> None:
    assert parse_app_info("\ufeff" + BEFORE_10_5_2).published == 3


def test_of_a_repeated_key_the_last_counts() -> None:
    assert parse_app_info('{"PublicVersion":1,"PublicVersion":2}').published == 2


def test_line_breaks_within_texts_are_tolerated() -> None:
    assert parse_app_info('{"Name":"two\nlines","PublicVersion":1}').name == "two\nlines"


def test_half_a_character_never_leaves() -> None:
    info = parse_app_info('{"Name":"x\\ud800y"}')
    assert info.name == "x\ufffdy"


@pytest.mark.parametrize("key", ["ID", "Name"])
@pytest.mark.parametrize("value", ["null", "5", "[]", "{}", '""', "true"])
def test_a_label_that_is_no_text_is_no_fault(key: str, value: str) -> None:
    info = parse_app_info(f'{{"{key}":{value},"PublicVersion":1}}')
    assert (info.id, info.name, info.published) == (None, None, 1)


@pytest.mark.parametrize(
    ("created", "moment"),
    [
        ("0", datetime(1970, 1, 1, tzinfo=UTC)),
        ('"1000"', datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
        ("-1000", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("null", None),
        ("9e300", None),
        ("-99999999999999999", None),
        ("1" * 40, None),
        ('"yesterday"', None),
        ("true", None),
        ("1.5", None),
        ("[]", None),
    ],
)
def test_the_moment_a_version_was_created(created: str, moment: datetime | None) -> None:
    info = parse_app_info(f'{{"Versions":[{{"Version":1,"CreatedAt":{created},"CreatedBy":7}}]}}')
    assert info.versions == (AppVersion(number=1, created=moment, author=None),)


def test_a_history_row_without_number_is_skipped() -> None:
    info = parse_app_info('{"Versions":[{"Version":null},{},{"Version":"2"}]}')
    assert info.versions == (AppVersion(number=2, created=None, author=None),)


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_an_info_or_a_typed_error(text: str) -> None:
    app = parse_app("f", info_text=text, info_error=None, dirs=[], files=[])
    assert (app.info is None) is (app.info_problem is not None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["Version", "CreatedAt", "CreatedBy", "x"]), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["PublicVersion", "DraftVersion", "Versions", "ID", "Name", "Sections"]), JSON))
def test_any_values_are_an_info_or_a_typed_error(data: dict[str, object]) -> None:
    app = parse_app("f", info_text=json.dumps(data), info_error=None, dirs=[], files=[])
    assert (app.info is None) is (app.info_problem is not None)
    if app.info:
        json.dumps([app.info.id, app.info.name]).encode()
        assert all(number is None or type(number) is int for number in (app.info.published, app.info.draft))


def test_an_app_and_its_folders() -> None:
    app = parse_app(
        "guid",
        info_text=SINCE_10_5_2,
        info_error=None,
        dirs=[
            "version_179",
            "Version_2",
            "VERSION_10",
            "assets",
            "version_",
            "version_x",
            "version_1a",
            "my version_1",
            "version_-1",
            "version_1.bak",
        ],
        files=["app.info.JSON", "notes.txt", "version_5"],
    )
    assert app.version_folders == {2: "Version_2", 10: "VERSION_10", 179: "version_179"}
    assert list(app.version_folders) == [2, 10, 179]
    assert set(app.others) == {
        "assets",
        "version_",
        "version_x",
        "version_1a",
        "my version_1",
        "version_-1",
        "version_1.bak",
        "notes.txt",
        "version_5",
    }
    assert app.title == "Ground stations"
    assert (app.info_problem, app.info_unread) == (None, False)


@pytest.mark.parametrize(
    ("dirs", "folder", "others"),
    [
        (["version_007"], "version_007", ()),
        (["version_007", "version_7"], "version_7", ("version_007",)),
        (["version_7", "Version_07", "Version_7"], "version_7", ("Version_07", "Version_7")),
        (["Version_7", "version_7"], "version_7", ("Version_7",)),
    ],
)
def test_several_folders_of_one_number(dirs: list[str], folder: str, others: tuple[str, ...]) -> None:
    app = parse_app("guid", info_text="{}", info_error=None, dirs=dirs, files=[])
    assert app.version_folders == {7: folder}
    assert app.others == others


@pytest.mark.parametrize(
    ("text", "error", "problem", "unread"),
    [
        (None, "missing", "App.info.json is missing", False),
        (None, None, "App.info.json is missing", False),
        (None, "unreadable", "App.info.json is unreadable", True),
        (None, "too large", "App.info.json is too large", True),
        ("[]", None, "App.info.json is a list, not an object", False),
    ],
)
def test_an_app_without_a_valid_info(text: str | None, error: str | None, problem: str, unread: bool) -> None:
    app = parse_app("guid", info_text=text, info_error=error, dirs=["version_1"], files=[])
    assert (app.info, app.info_problem, app.info_unread, app.title) == (None, problem, unread, "guid")
    assert app.version_folders == {1: "version_1"}
