"""Which names may stand in a backup."""

from __future__ import annotations

import hashlib
import random
import stat
from dataclasses import replace
from pathlib import PureWindowsPath

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.entry_names import (
    ROOTS,
    Entry,
    Limits,
    check_entries,
    fold,
    names_digest,
    problem_of_path,
    shown,
)
from ansible_collections.dataminer.web.plugins.module_utils.errors import BackupInvalid, UnsafeEntry
from hypothesis import given, settings
from hypothesis import strategies as st

GOOD = "Applications/0f5c8a1e-7d0b-4d3a-9a39-3a6f5f2a1c11/version_7/pages/a.dmadb.json"


def entry(name: str, **changes: int) -> Entry:
    folder = name.endswith(("/", "\\"))
    plain = Entry(name=name, size=0, compressed=0, method=0) if folder else Entry(name=name, size=10, compressed=8)
    return replace(plain, **changes)  # type: ignore[arg-type]


def paths(*names: str) -> list[str]:
    return [safe.path for safe in check_entries([entry(name) for name in names])]


@pytest.mark.parametrize(
    "path",
    [
        GOOD,
        "Dashboards/_IMAGES/logo (1).png",
        "Dashboards/Übersicht/Maß & Größe.dmadb.json",
        "Dashboards/監視/💡.dmadb.json",
        "Dashboards/ leading space.json",
        "Dashboards/.hidden",
        "Dashboards/a..b.json",
        "Dashboards/console.json",
        "Dashboards/COM10.json",
        "Dashboards/nul_.json",
        "Dashboards/xNUL",
        "Dashboards/CON-1",
        "Web/" + "x" * 255,
        "Web/" + "é" * 255,
        "/".join(["Web"] + ["d" * 50] * 60),
    ],
)
def test_a_name_windows_can_hold(path: str) -> None:
    assert problem_of_path(path) is None
    assert paths(path) == [path]


BAD_PATHS = [
    ("", "empty"),
    ("../x", '".."'),
    ("Web/../../x", '".."'),
    ("Web/..", '".."'),
    ("Web/./x", '"."'),
    ("Web//x", 'part ""'),
    ("/Web/x", "absolute"),
    ("//server/share/x", "absolute"),
    ("C:/Web/x", "drive"),
    ("c:x", "drive"),
    ("Web/x:stream", "':'"),
    ("Web/x::$DATA", "':'"),
    ("Web/NUL", "device"),
    ("Web/nul.json", "device"),
    ("Web/NUL .json", "device"),
    ("Web/Nul.tar.gz", "device"),
    ("Web/CON/x.json", "device"),
    ("Web/prn", "device"),
    ("Web/aux.h", "device"),
    ("Web/COM0", "device"),
    ("Web/com1.txt", "device"),
    ("Web/LPT9", "device"),
    ("Web/COM\u00b9", "device"),
    ("Web/lpt\u00b2.x", "device"),
    ("Web/COM\u00b3 .x", "device"),
    ("Web/CONIN$", "device"),
    ("Web/conout$.x", "device"),
    ("Web/CLOCK$", "device"),
    ("Web/x.", "dot or a space"),
    ("Web/x ", "dot or a space"),
    ("Web/x /y", "dot or a space"),
    ("Web/x./y", "dot or a space"),
    ("Web/...", "dot or a space"),
    ("Web/ ", "dot or a space"),
    ("Web/a\0b", "x00"),
    ("Web/a\nb", "'\\n'"),
    ("Web/a\x1fb", "x1f"),
    ("Web/a\x7fb", "x7f"),
    ("Web/a\x85b", "x85"),
    ("Web/a<b", "<"),
    ("Web/a>b", ">"),
    ('Web/a"b', '"'),
    ("Web/a|b", "|"),
    ("Web/a?b", "?"),
    ("Web/a*b", "*"),
    ("Web/a\ud800b", "ud800"),
    ("Web/" + "x" * 256, "longer than 255"),
    ("Web/" + "💡" * 128, "longer than 255"),
    ("Web/" + "x/" * 16_000 + "x", "longer than 32000"),
]


@pytest.mark.parametrize(("path", "reason"), BAD_PATHS, ids=range(len(BAD_PATHS)))
def test_a_name_windows_cannot_hold(path: str, reason: str) -> None:
    assert reason in (problem_of_path(path) or "")
    with pytest.raises(UnsafeEntry) as caught:
        paths(GOOD, path)
    assert reason in caught.value.found


def test_a_backslash_is_no_separator_on_this_side() -> None:
    assert "\\" in (problem_of_path("Web/a\\b") or "")


def test_the_plain_path_agrees_with_the_thorough_check() -> None:
    """Most paths pass by one pattern; a device name in any part must not."""
    for device in ("CON", "PRN", "AUX", "NUL", "COM1", "LPT9"):
        for spelt in (device, device.lower(), device + ".json", device.title() + ".a.b"):
            assert problem_of_path(spelt)
            assert problem_of_path(f"Applications/{spelt}")
            assert problem_of_path(f"Applications/{spelt}/x.json")


def test_backslashes_of_old_dotnet_are_separators() -> None:
    assert paths("Applications\\a\\App.info.json", "Dashboards\\", "Web\\x\\") == ["Applications/a/App.info.json"]


@pytest.mark.parametrize("name", ["..\\x", "Web\\..\\..\\x", "\\\\server\\share", "\\Web\\x", "C:\\Web\\x", "Web\\NUL", "Web\\\\x", "\\\\?\\C:\\x"])
def test_backslashes_hide_nothing(name: str) -> None:
    with pytest.raises(UnsafeEntry):
        paths(GOOD, name)


def test_roots_are_met_in_any_case_and_spelt_our_way() -> None:
    safe = check_entries([entry("applications/a/x"), entry("DASHBOARDS\\x"), entry("wEb/x")])
    assert [row.path for row in safe] == ["Applications/a/x", "Dashboards/x", "Web/x"]
    assert [row.name for row in safe] == ["applications/a/x", "DASHBOARDS\\x", "wEb/x"]


@pytest.mark.parametrize("name", ["DMS.xml", "System Cache/x", "Webpages/API/Web.config", "Applications.bak/x", "Files/", "Application/x"])
def test_nothing_beside_the_roots(name: str) -> None:
    with pytest.raises(UnsafeEntry, match="beneath Applications, Dashboards, Web"):
        paths(GOOD, name)


@pytest.mark.parametrize("names", [[], ["Description.txt", "Update.zip"], ["content/Applications/x"]])
def test_a_zip_without_any_root_is_no_backup(names: list[str]) -> None:
    with pytest.raises(BackupInvalid, match="no backup of web content"):
        paths(*names)


def test_a_dangerous_zip_without_any_root_is_called_dangerous() -> None:
    with pytest.raises(UnsafeEntry, match=r"\.\."):
        paths("../../Windows/System32/x.dll")


def test_a_root_must_be_a_folder() -> None:
    with pytest.raises(UnsafeEntry, match="need a folder of this name"):
        paths(GOOD, "Web")


def test_folder_entries_are_accepted_and_dropped() -> None:
    assert paths("Applications/", "Applications/a/", "Applications/a/", "Applications/a/x") == ["Applications/a/x"]
    assert paths("Dashboards/") == []


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("Web/a", "Web/a"),
        ("Web/a", "web/A"),
        ("Web/a", "Web\\a"),
        ("Web/é.json", "Web/É.json"),
        ("Web/я/x", "Web/Я/X"),
        ("Web/\u1f80.json", "Web/\u1f88.json"),
        ("Web/\u1f97.json", "Web/\u1f9f.json"),
        ("Web/\u1fa4.json", "Web/\u1fac.json"),
        ("Web/\u1fb3.json", "Web/\u1fbc.json"),
    ],
)
def test_two_entries_of_one_file(one: str, two: str) -> None:
    with pytest.raises(UnsafeEntry, match="same file"):
        paths(one, two)


@pytest.mark.parametrize(("one", "two"), [("Web/straße", "Web/STRASSE"), ("Web/a\u0301", "Web/\u00e1"), ("Web/\u212a", "Web/k")])
def test_names_windows_tells_apart(one: str, two: str) -> None:
    assert paths(one, two) == [one, two]


@pytest.mark.parametrize("names", [("Web/a", "Web/a/b"), ("Web/a/b/c", "Web/A"), ("Web/a", "Web/A/"), ("Web/a/b", "Web/a/B/c/d")])
def test_a_file_that_is_also_a_folder(names: tuple[str, ...]) -> None:
    with pytest.raises(UnsafeEntry, match="need a folder of this name"):
        paths(*names)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"flags": 0x1}, "encrypted"),
        ({"flags": 0x1 | 0x800}, "encrypted"),
        ({"flags": 0x40}, "encrypted"),
        ({"flags": 0x2000}, "encrypted"),
        ({"flags": 0x20}, "patched"),
        ({"method": 9}, "method is 9"),
        ({"method": 12}, "method is 12"),
        ({"method": 93}, "method is 93"),
        ({"method": 0}, "two sizes differ"),
        ({"external_attr": (stat.S_IFLNK | 0o777) << 16, "create_system": 3}, "symbolic link"),
        ({"external_attr": (stat.S_IFLNK | 0o777) << 16, "create_system": 0}, "symbolic link"),
        ({"external_attr": (stat.S_IFIFO | 0o600) << 16, "create_system": 3}, "special file"),
        ({"external_attr": (stat.S_IFCHR | 0o600) << 16, "create_system": 3}, "special file"),
        ({"external_attr": (stat.S_IFBLK | 0o600) << 16, "create_system": 3}, "special file"),
        ({"external_attr": (stat.S_IFSOCK | 0o600) << 16, "create_system": 3}, "special file"),
        ({"external_attr": (stat.S_IFDIR | 0o755) << 16, "create_system": 3}, "marked as a folder"),
        ({"external_attr": 0x10}, "marked as a folder"),
        ({"external_attr": 0x420}, "link or a device"),
    ],
)
def test_what_is_no_plain_file(changes: dict[str, int], reason: str) -> None:
    with pytest.raises(UnsafeEntry, match=reason):
        check_entries([entry(GOOD), entry("Web/x", **changes)])


@pytest.mark.parametrize("changes", [{"external_attr": 0x20}, {"external_attr": (stat.S_IFREG | 0o644) << 16, "create_system": 3}, {"flags": 0x808}])
def test_what_is_a_plain_file(changes: dict[str, int]) -> None:
    assert len(check_entries([entry("Web/x", **changes)])) == 1


@pytest.mark.parametrize(
    "changes", [{"size": 5, "compressed": 5}, {"external_attr": (stat.S_IFREG | 0o644) << 16}, {"external_attr": (stat.S_IFLNK | 0o777) << 16}]
)
def test_a_folder_entry_must_be_a_folder(changes: dict[str, int]) -> None:
    with pytest.raises(UnsafeEntry, match=r"folder by name|special file"):
        check_entries([entry(GOOD), entry("Web/x/", **changes)])


def test_a_folder_entry_with_attributes() -> None:
    attributes = (stat.S_IFDIR | 0o755) << 16 | 0x10
    assert check_entries([entry("Web/x/", external_attr=attributes, create_system=3)]) == []


def test_too_many_entries() -> None:
    with pytest.raises(UnsafeEntry, match="has 3 entries, and 2 is the limit"):
        check_entries([entry(f"Web/{n}") for n in range(3)], Limits(entries=2))


def test_too_many_bytes() -> None:
    with pytest.raises(UnsafeEntry, match="would take 30 bytes extracted, and 29 is the limit"):
        check_entries([entry(f"Web/{n}") for n in range(3)], Limits(total=29))


def test_a_bomb_of_one_entry() -> None:
    with pytest.raises(UnsafeEntry, match="more than 200 times"):
        check_entries([entry("Web/x", size=10**9, compressed=10**6), entry("Web/y", size=10**8, compressed=10**8)])


def test_a_bomb_of_many_entries() -> None:
    with pytest.raises(UnsafeEntry, match="more than 200 times"):
        check_entries([entry(f"Web/{n}", size=10**6, compressed=1000) for n in range(100)])


def test_nothing_compresses_to_nothing() -> None:
    with pytest.raises(UnsafeEntry, match="more than"):
        check_entries([entry("Web/x", size=2**21, compressed=0)])


def test_a_small_file_may_compress_well() -> None:
    assert len(check_entries([entry("Web/x", size=10**6, compressed=1000)])) == 1


def test_a_negative_size_can_hide_no_large_one() -> None:
    with pytest.raises(UnsafeEntry, match="negative"):
        check_entries([entry("Web/x", size=2**40, compressed=2**38), entry("Web/y", size=-(2**40), compressed=0)])


def test_ten_offenders_are_named_and_the_rest_counted() -> None:
    with pytest.raises(UnsafeEntry) as caught:
        paths(GOOD, *[f"Web/{n}?" for n in range(25)])
    assert caught.value.found.count("'?'") == 10
    assert "and 15 more" in caught.value.found
    assert "25 entries" in caught.value.message


def test_a_message_shows_no_raw_control_character() -> None:
    with pytest.raises(UnsafeEntry) as caught:
        paths(GOOD, "Web/\x1b[31m\u202e\ud800" + "y" * 500)
    assert "\x1b" not in str(caught.value)
    assert "\u202e" not in str(caught.value)
    str(caught.value).encode()
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize(
    ("text", "folded"),
    [("aé", "AÉ"), ("straße", "STRAßE"), ("𐐨", "𐐨"), ("ŉ", "ŉ"), ("µ", "\u039c"), ("\u1f80", "\u1f88"), ("\u1fb7", "\u1fb7")],
)
def test_fold(text: str, folded: str) -> None:
    assert fold(text) == folded


def test_the_digest_of_names_sorts_by_utf16() -> None:
    names = ["Web/\uff5e", "Web/💡", "Web/a", "Web\\b", "applications/z"]
    ordered = ["Web/a", "Web/💡", "Web/\uff5e", "Web\\b", "applications/z"]  # 💡 begins with U+D83D, below U+FF5E
    assert names_digest(names) == hashlib.sha256("".join(f"{name}\n" for name in ordered).encode()).hexdigest()


@settings(deadline=None)
@given(st.lists(st.text(), unique=True))
def test_the_digest_of_names_goes_by_the_set(names: list[str]) -> None:
    shuffled = names[:]
    random.Random(1).shuffle(shuffled)
    assert names_digest(names) == names_digest(shuffled)
    assert names_digest(names) != names_digest([*names, "one more"]) or "one more" in names


PARTS = st.one_of(
    st.sampled_from(
        ["..", ".", "", "C:", "NUL", "con.txt", "Applications", "web", "a", "A", "x ", "x.", "\\", "..\\..", "version_7", "\ud800", "COM¹"]
    ),
    st.text(max_size=8),
    st.text(alphabet="ab./\\: ", max_size=8),
)
NAMES = st.builds(
    lambda root, parts, end: "/".join([root, *parts]) + end,
    st.sampled_from([*ROOTS, "web", "", "..", "C:"]),
    st.lists(PARTS, max_size=4),
    st.sampled_from(["", "/", "\\"]),
)


@settings(deadline=None)
@given(st.lists(NAMES, max_size=6))
def test_what_is_accepted_stays_beneath_the_roots(names: list[str]) -> None:
    """Whatever the names: an accepted path is relative, beneath a known root, and one file of its own to Windows."""
    try:
        safe = check_entries([entry(name) for name in names])
    except (UnsafeEntry, BackupInvalid):
        return
    for row in safe:
        windows = PureWindowsPath(row.path)
        assert windows.parts[0] in ROOTS
        assert len(windows.parts) > 1
        assert "/".join(windows.parts) == row.path
        assert not windows.is_absolute()
        assert not windows.drive
        assert not windows.is_reserved()
        assert not {"..", "."} & set(windows.parts)
        assert not any(part.endswith((" ", ".")) for part in windows.parts)
    keys = [fold(row.path) for row in safe]
    assert len(set(keys)) == len(keys)
    assert not any(other.startswith(key + "/") for key in keys for other in keys)


@settings(deadline=None)
@given(st.text())
def test_a_shown_name_prints(name: str) -> None:
    assert all(char.isprintable() for char in shown(name))
    shown(name).encode()


@settings(deadline=None)
@given(NAMES)
def test_a_path_found_good_is_accepted_in_a_zip(name: str) -> None:
    path = "Web/" + name
    if problem_of_path(path) is None:
        assert paths(path) == [path]
