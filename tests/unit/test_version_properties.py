"""Properties of versions that hold for all of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.errors import DataMinerError, InvalidVersion
from ansible_collections.dataminer.web.plugins.module_utils.package import parse_package_name
from ansible_collections.dataminer.web.plugins.module_utils.version import Content, Threshold, Version, same_release, web_content
from hypothesis import given
from hypothesis import strategies as st

cus = st.none() | st.integers(0, 99)
builds = st.none() | st.integers(0, 9_999_999)
versions = st.builds(Version, st.integers(8, 11), st.integers(0, 12), st.integers(0, 13), cus, builds)
promised = st.one_of(
    st.builds(Version, st.just(10), st.integers(4, 12), st.just(0), st.integers(0, 30)),
    st.builds(Version, st.just(10), st.integers(4, 12), st.integers(1, 12)),
)
thresholds = st.builds(lambda fr, mr: Threshold.parse(str(fr), str(mr)), promised.filter(lambda v: v.patch), promised.filter(lambda v: not v.patch))


@given(versions)
def test_the_canonical_text_reads_back_as_the_release(version: Version) -> None:
    """Where a CU is known it names the release, and the build isn't shown."""
    shown = version if version.cu is None else replace(version, build=None)
    assert Version.parse(str(version)) == shown
    assert same_release(Version.parse(str(version)), version) in (True, None)
    assert str(Version.parse(str(version))) == str(version)


@given(versions)
def test_the_spelling_loses_nothing(version: Version) -> None:
    assert Version.parse(version.spelling) == version


@given(versions)
def test_equal_values_hash_alike_and_nothing_is_less_than_itself(version: Version) -> None:
    twin = Version(version.major, version.minor, version.patch, version.cu, version.build)
    assert hash(twin) == hash(version)
    assert twin == version
    assert not twin < version


@given(versions, versions, versions)
def test_the_order_is_total(a: Version, b: Version, c: Version) -> None:
    assert (a < b) + (a == b) + (a > b) == 1
    assert not (a < b < c) or a < c
    assert sorted([a, b, c]) == sorted([c, b, a])


@given(versions, versions)
def test_same_release_is_symmetric(a: Version, b: Version) -> None:
    assert same_release(a, b) is same_release(b, a)
    assert web_content(a, b) is web_content(b, a)


@given(versions, versions)
def test_one_release_has_one_content(a: Version, b: Version) -> None:
    if same_release(a, b):
        assert web_content(a, b) is Content.SAME


@given(versions)
def test_a_release_is_never_another_than_itself(version: Version) -> None:
    """An MR with neither CU nor build may be any: it can't even be told to equal itself."""
    unknown = version.cu is None and version.build is None
    assert same_release(version, version) is (None if unknown else True)


@given(st.integers(4, 20), st.integers(3, 12))
def test_fr_10_y_z_is_mr_10_y_0_cu_z_minus_3(minor: int, month: int) -> None:
    """FR 10.Y.Z = MR 10.Y.0 [CU Z-3] = MR 10.(Y-1).0 [CU Z+9]."""
    fr, same = Version(10, minor, month), Version(10, minor, 0, month - 3)
    assert web_content(fr, same) is Content.SAME
    if minor > 4:
        assert web_content(fr, Version(10, minor - 1, 0, month + 9)) is Content.SAME


@given(promised, promised)
def test_within_the_promise_content_is_always_comparable(a: Version, b: Version) -> None:
    assert web_content(a, b) is not Content.NOT_COMPARABLE


@given(thresholds, versions, versions)
def test_what_reached_a_threshold_keeps_it(threshold: Threshold, a: Version, b: Version) -> None:
    """Along one track, or one branch of the MR, nothing is taken back."""
    earlier, later = sorted([a, b])
    if a.track == b.track and (a.patch or a.baseline == b.baseline) and threshold.reached(earlier):
        assert threshold.reached(later) is True


@given(thresholds, versions)
def test_only_an_unknown_cu_leaves_a_threshold_open(threshold: Threshold, version: Version) -> None:
    reached = threshold.reached(version)
    if version.cu is not None:
        assert reached is not None
    else:
        possible = {threshold.reached(replace(version, cu=cu)) for cu in range(100)}
        assert reached is None or possible == {reached}


@given(st.text(max_size=60) | st.from_regex(r"\A(HF_)?[0-9]{1,3}(\.[0-9]{1,4}){1,4}[-_ \[(CU0-9)\]]{0,12}\Z"))
def test_any_text_is_a_version_or_refused(text: str) -> None:
    try:
        version = Version.parse(text)
    except InvalidVersion as error:
        assert repr(text) in str(error)
    else:
        assert Version.parse(str(version)).baseline == version.baseline


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.lists(st.integers()))
def test_nothing_but_a_text_is_a_version(value: object) -> None:
    with pytest.raises(InvalidVersion):
        Version.parse(value)


@given(st.text(max_size=80) | st.from_regex(r"\ADataMiner [0-9.()CU -]{3,20} (Web|Full|X) Upgrade( \(rc\))?\.dmupgrade(-[a-z0-9]{30,34})?\Z"))
def test_any_text_is_a_package_or_refused(text: str) -> None:
    try:
        package = parse_package_name(text)
    except DataMinerError as error:
        assert repr(text) in str(error)
    else:
        assert package.file_name.lower().endswith(".dmupgrade")
        assert parse_package_name(package.file_name) == package
