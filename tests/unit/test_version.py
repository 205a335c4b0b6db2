"""Versions: spellings, tracks, order, months and thresholds, each example by its source."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.errors import InvalidVersion
from ansible_collections.dataminer.web.plugins.module_utils.version import Content, Threshold, Version, least_month, same_release, web_content

V = Version.parse

SPELLINGS = [
    ("10.4.0.0-14772-20240821-release", Version(10, 4, 0, None, 14772), "10.4.0.0-14772"),
    ("10.5.4.0-15588-20250319-release", Version(10, 5, 4, 0, 15588), "10.5.4 (CU0)"),
    ("10.5.3.0-15396", Version(10, 5, 3, 0, 15396), "10.5.3 (CU0)"),
    ("10.2.0.0-11897-CU4", Version(10, 2, 0, 4, 11897), "10.2.0 [CU4]"),
    ("10.3.0.0 - 12752", Version(10, 3, 0, None, 12752), "10.3.0.0-12752"),
    ("10.4.0-CU4", Version(10, 4, 0, 4, None), "10.4.0 [CU4]"),
    ("10.3.9-CU2", Version(10, 3, 9, 2, None), "10.3.9 (CU2)"),
    ("10.5.0 CU16", Version(10, 5, 0, 16, None), "10.5.0 [CU16]"),
    ("10.4.0 [CU21]", Version(10, 4, 0, 21, None), "10.4.0 [CU21]"),
    ("10.5 (CU1)", Version(10, 5, 0, 1, None), "10.5.0 [CU1]"),
    ("10.6.2 (CU0)", Version(10, 6, 2, 0, None), "10.6.2 (CU0)"),
    ("10.0.3.0-CU0", Version(10, 0, 3, 0, None), "10.0.3 (CU0)"),
    ("HF_10.0.7.0(CU0)_20200520-135714", Version(10, 0, 7, 0, None), "10.0.7 (CU0)"),
    ("10.4.0.0(CU3)-15634", Version(10, 4, 0, 3, 15634), "10.4.0 [CU3]"),
    ("10.5.4", Version(10, 5, 4, 0, None), "10.5.4 (CU0)"),
    ("10.4.0", Version(10, 4, 0, None, None), "10.4.0"),
    ("  10.4.0 [cu13]\n", Version(10, 4, 0, 13, None), "10.4.0 [CU13]"),
]


@pytest.mark.parametrize(("text", "version", "canonical"), SPELLINGS, ids=[row[0].strip() for row in SPELLINGS])
def test_every_spelling_is_read_and_shown_in_the_vendors_notation(text: str, version: Version, canonical: str) -> None:
    assert V(text) == version
    assert str(V(text)) == canonical


MALFORMED = [
    "",
    " ",
    "10",
    "10.5",
    "10.5-15588",
    "10.5.4.1",
    "10.5.2505.1950",
    "10.5.4.0.0",
    "10.5.4.0-15588-CU1-CU2",
    "10.5.4-release",
    "10.4.0-100",
    "10.5.4.0-15588-20250319-20250319",
    "10.5.4.0-20250319",
    "10.5.4 (CU100)",
    "10.100.0 [CU1]",
    "10.5.4 [CU1)",
    "010.5.4",
    "-10.5.4",
    "v10.5.4",
    "10,5,4",
    "10.5.4 and more",
    "\u0661\u0660.5.4",
    "10.5.0 [CU]",
    "HF_10.0.7.0",
    "HF_10.0.7.0-1234_20200520-135714",
    "latest",
    "9" * 5000,
    "10.5.0 [CU" + "9" * 5000 + "]",
]


@pytest.mark.parametrize("text", MALFORMED, ids=lambda text: text[:30] or "empty")
def test_anything_else_is_refused_and_quoted(text: str) -> None:
    with pytest.raises(InvalidVersion) as error:
        V(text)
    assert repr(text[:190])[1:-1] in str(error.value)
    assert "10.4.0 [CU21]" in error.value.needed


@pytest.mark.parametrize("value", [None, True, False, 10, 0, b"10.5.4", ["10.5.4"], pytest.param(object(), id="object"), V("10.5.4")], ids=repr)
def test_what_is_no_text_is_refused_and_quoted(value: object) -> None:
    with pytest.raises(InvalidVersion) as error:
        V(value)
    assert repr(value)[:100] in str(error.value)
    assert type(value).__name__ in str(error.value)


@pytest.mark.parametrize("value", [10.1, 10.5, float("nan"), float("inf")])
def test_a_float_is_refused_with_what_yaml_did(value: float) -> None:
    with pytest.raises(InvalidVersion) as error:
        V(value)
    text = str(error.value)
    assert repr(value) in text
    assert "YAML" in text
    assert "10.10 becomes 10.1" in text
    assert "quotes" in text


def test_a_huge_number_is_refused() -> None:
    with pytest.raises(InvalidVersion, match="huge number"):
        V(10**6000)


@pytest.mark.parametrize(
    "arguments",
    [
        (-1, 5, 4),
        (10, 5, 100),
        (10, 5, 4, -1),
        (10, 5, 4, 100),
        (10, 5, 0, 1, 10_000_000),
        (10, 5, 0, 1, -1),
        (10.5, 5, 4),
        (True, 5, 4),
        (10, 10**6000, 4),
    ],
    ids=lambda arguments: str(len(arguments)),
)
def test_numbers_that_no_release_has_are_refused(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(InvalidVersion, match="no part of a DataMiner version"):
        Version(*arguments)


def test_an_fr_without_a_cu_is_cu0_as_the_about_box_shows_it() -> None:
    assert V("10.5.3.0-15396").cu == 0
    assert Version(10, 5, 3, None, None) == V("10.5.3 (CU0)")


def test_an_mr_without_a_cu_is_never_taken_for_cu0() -> None:
    assert V("10.4.0.0-14772-20240821").cu is None
    assert V("10.4.0") != V("10.4.0 [CU0]")


def test_a_version_is_frozen() -> None:
    with pytest.raises(AttributeError):
        V("10.5.4").cu = 3  # type: ignore[misc]


@pytest.mark.parametrize(("text", "track", "baseline"), [("10.5.4", "FR", (10, 5)), ("10.4.0 [CU13]", "MR", (10, 4)), ("10.6.0", "MR", (10, 6))])
def test_track_and_baseline(text: str, track: str, baseline: tuple[int, int]) -> None:
    assert V(text).track == track
    assert V(text).baseline == baseline


IN_ORDER = [
    "9.6.13",
    "10.2.0",
    "10.2.0.0-11897",
    "10.2.0 [CU0]",
    "10.3.0 [CU8]",
    "10.3.9",
    "10.3.9-CU2",
    "10.3.12",
    "10.4.0",
    "10.4.0.0-14772",
    "10.4.0.0-15634",
    "10.4.0 [CU0]",
    "10.4.0 [CU9]",
    "10.4.0 [CU21]",
    "10.4.1",
    "10.5.0 [CU9]",
    "10.5.4",
    "10.5.4.0-15588",
    "10.5.10",
    "10.10.0 [CU1]",
    "11.0.0",
]


@pytest.mark.parametrize(("smaller", "greater"), list(pairwise(IN_ORDER)))
def test_servers_are_ordered_by_number_and_what_is_unknown_comes_first(smaller: str, greater: str) -> None:
    assert V(smaller) < V(greater)
    assert V(greater) > V(smaller)
    assert V(smaller) != V(greater)


def test_a_version_has_no_order_with_other_things() -> None:
    with pytest.raises(TypeError):
        assert V("10.5.4") < "10.5.5"  # type: ignore[operator]
    assert V("10.5.4") != "10.5.4 (CU0)"


ORDINALS = [
    ("10.5.4", 64),
    ("10.4.0 [CU13]", 64),
    ("10.5.0 [CU1]", 64),
    ("10.5.0 [CU9]", 72),
    ("10.5.12", 72),
    ("10.4.0 [CU21]", 72),
    ("10.6.3", 75),
    ("10.6.0 [CU0]", 75),
    ("10.3.12", 48),
    ("10.4.0 [CU0]", 51),
    ("10.4.1", 49),
    ("10.5.4.0-15588", 64),
    ("10.5.4 (CU3)", 64),
    ("10.3.11", None),
    ("10.3.0 [CU20]", None),
    ("10.4.0", None),
    ("10.4.0.0-14772", None),
    ("9.6.13", None),
    ("11.5.4", None),
    ("11.5.0 [CU1]", None),
]


@pytest.mark.parametrize(("text", "ordinal"), ORDINALS)
def test_the_month_of_the_web_content(text: str, ordinal: int | None) -> None:
    assert V(text).web_ordinal == ordinal


CONTENT = [
    ("10.5.4", "10.4.0 [CU13]", Content.SAME),
    ("10.5.4", "10.5.0 [CU1]", Content.SAME),
    ("10.4.0 [CU13]", "10.5.0 [CU1]", Content.SAME),
    ("10.5.0 [CU9]", "10.5.4", Content.DIFFERENT),
    ("10.5.4", "10.5.5", Content.DIFFERENT),
    ("10.3.11", "10.3.0 [CU8]", Content.NOT_COMPARABLE),
    ("10.3.11", "10.3.12", Content.NOT_COMPARABLE),
    ("10.3.12", "10.3.0 [CU9]", Content.NOT_COMPARABLE),
    ("10.3.11", "10.3.11", Content.SAME),
    ("10.3.0 [CU8]", "10.3.0 [CU8]", Content.SAME),
    ("10.4.0.0-14772", "10.4.0.0-14772-20240821-release", Content.SAME),
    ("10.4.0", "10.4.0", Content.NOT_COMPARABLE),
    ("10.4.0", "10.5.4", Content.NOT_COMPARABLE),
    ("11.0.4", "11.0.0 [CU1]", Content.NOT_COMPARABLE),
]


@pytest.mark.parametrize(("a", "b", "content"), CONTENT)
def test_web_content_is_comparable_only_where_the_vendor_promises_it(a: str, b: str, content: Content) -> None:
    assert web_content(V(a), V(b)) is content
    assert web_content(V(b), V(a)) is content


RELEASES = [
    ("10.5.4", "10.5.4 (CU0)", True),
    ("10.5.4", "10.5.4 (CU1)", False),
    ("10.5.4.0-15588", "10.5.4", True),
    ("10.5.4.0-15588", "10.5.4.0-15600", False),
    ("10.4.0 [CU4]", "10.4.0-CU4", True),
    ("10.4.0 [CU4]", "10.4.0 [CU5]", False),
    ("10.4.0", "10.4.0", None),
    ("10.4.0", "10.4.0 [CU4]", None),
    ("10.4.0.0-14772", "10.4.0 [CU4]", None),
    ("10.4.0.0-14772", "10.4.0.0-14772-20240821-release", True),
    ("10.4.0.0-14772", "10.4.0.0(CU6)-14772", True),
    ("10.4.0.0-14772", "10.4.0.0-15634", False),
    ("10.4.0", "10.5.0", False),
    ("10.4.0 [CU13]", "10.5.4", False),
    ("10.4.0.0-15588", "10.5.4.0-15588", False),
]


@pytest.mark.parametrize(("a", "b", "same"), RELEASES)
def test_one_release_or_not_or_not_to_be_told(a: str, b: str, same: bool | None) -> None:
    assert same_release(V(a), V(b)) is same
    assert same_release(V(b), V(a)) is same


AUTOMATIC_BACKUP = ("10.3.11", "10.3.0 [CU8]")
TWO_VERSIONS = ("10.5.12", "10.4.0 [CU21]", "10.5.0 [CU9]")
DOTNET_10 = ("10.6.5", "10.7.0")
MODULES = ("10.5.0 [CU14]", "10.6.0 [CU2]", "10.6.5")

REACHED = [
    (
        "RN 37413",
        AUTOMATIC_BACKUP,
        {
            "10.3.10": False,
            "10.3.11": True,
            "10.3.12": True,
            "10.3.0 [CU7]": False,
            "10.3.0 [CU8]": True,
            "10.3.0 [CU9]": True,
            "10.3.0": None,
            "10.2.0 [CU30]": False,
            "10.2.0": False,
            "10.4.0": True,
            "10.4.0 [CU0]": True,
            "10.4.1": True,
        },
    ),
    (
        "RN 43906",
        TWO_VERSIONS,
        {
            "10.5.11": False,
            "10.5.12": True,
            "10.6.1": True,
            "10.4.0 [CU20]": False,
            "10.4.0 [CU21]": True,
            "10.5.0 [CU8]": False,
            "10.5.0 [CU9]": True,
            "10.4.0.0-14772": None,
            "10.5.0": None,
            "10.3.0 [CU33]": False,
            "10.6.0": True,
            "10.6.0 [CU0]": True,
        },
    ),
    (
        "RN 44906",
        DOTNET_10,
        {
            "10.6.4": False,
            "10.6.5": True,
            "10.6.6": True,
            "10.6.0 [CU2]": False,
            "10.6.0 [CU12]": False,
            "10.6.0": False,
            "10.7.0": True,
            "10.7.0 [CU0]": True,
            "10.8.0": True,
            "10.7.1": True,
        },
    ),
    (
        "RN 44800",
        MODULES,
        {
            "10.5.0 [CU13]": False,
            "10.5.0 [CU14]": True,
            "10.6.0 [CU1]": False,
            "10.6.0 [CU2]": True,
            "10.6.4": False,
            "10.6.5": True,
            "10.5.0": None,
            "10.6.0": None,
            "10.7.0": True,
            "10.4.0 [CU26]": False,
            "10.5.12": False,
        },
    ),
    ("one FR", ("10.6.5",), {"10.6.4": False, "10.6.5": True, "10.6.0 [CU1]": False, "10.6.0 [CU2]": True, "10.6.0": None, "10.5.0 [CU14]": True}),
    (
        "one MR",
        ("10.5.0 [CU9]",),
        {"10.5.0 [CU8]": False, "10.5.0 [CU9]": True, "10.5.11": False, "10.5.12": True, "10.4.0 [CU21]": False, "10.6.0": True},
    ),
    ("a CU of an FR", ("10.3.9-CU2",), {"10.3.9": False, "10.3.9-CU1": False, "10.3.9-CU2": True, "10.3.10": True}),
    ("between two branches", ("10.4.0 [CU20]", "10.6.0 [CU3]", "10.5.11"), {"10.5.0 [CU7]": False, "10.5.0 [CU8]": True, "10.5.0": None}),
    ("another generation", ("10.6.5", "10.7.0"), {"11.0.1": True, "11.0.0": True, "9.6.13": False, "9.6.0 [CU20]": False}),
]


@pytest.mark.parametrize(
    ("named", "text", "reached"),
    [pytest.param(named, text, answer, id=f"{source}: {text}") for source, named, rows in REACHED for text, answer in rows.items()],
)
def test_thresholds_by_track(named: tuple[str, ...], text: str, reached: bool | None) -> None:
    assert Threshold.parse(*named).reached(V(text)) is reached


def test_a_threshold_reads_as_release_notes_write_it() -> None:
    assert str(Threshold.parse("10.5.12", "10.5.0 [CU9]", "10.4.0 [CU21]")) == "10.4.0 [CU21] / 10.5.0 [CU9] / 10.5.12"
    assert str(Threshold.parse("10.6.5", "10.7.0")) == "10.7.0 / 10.6.5"


@pytest.mark.parametrize("texts", [(), ("10.5.1", "10.5.2"), ("10.5.0 [CU1]", "10.5.0 [CU2]"), ("10.5",)])
def test_a_threshold_names_one_release_per_branch(texts: tuple[str, ...]) -> None:
    with pytest.raises(InvalidVersion):
        Threshold.parse(*texts)


def test_the_raw_month_takes_an_unknown_cu_for_the_first() -> None:
    assert least_month(V("10.4.0")) == least_month(V("10.4.0 [CU0]")) < least_month(V("10.4.4"))
    assert least_month(V("9.6.13")) < least_month(V("10.0.2"))
