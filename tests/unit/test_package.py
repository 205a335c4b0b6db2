"""Names of packages: the vendor's, and what is none."""

from __future__ import annotations

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.errors import InvalidInput
from ansible_collections.dataminer.web.plugins.module_utils.package import FULL, WEB, Package, parse_package_name
from ansible_collections.dataminer.web.plugins.module_utils.version import Version

TAIL = "0123456789abcdef0123456789ABCDEF"

NAMES = [
    ("DataMiner 10.4.0.0-15634 Web Upgrade (internal).dmupgrade", Version(10, 4, 0, None, 15634), WEB, ("internal",)),
    ("DataMiner 10.5.4.0-15588 Full Upgrade.dmupgrade", Version(10, 5, 4, 0, 15588), FULL, ()),
    ("DataMiner 10.4.0.0(CU13)-15634 Web Upgrade.dmupgrade", Version(10, 4, 0, 13, 15634), WEB, ()),
    ("DataMiner 10.5.4.0-15588 Web Upgrade (rc).dmupgrade", Version(10, 5, 4, 0, 15588), WEB, ("rc",)),
    ("DataMiner 10.5.4.0-15588 Web Upgrade (rc) copy (1).dmupgrade", Version(10, 5, 4, 0, 15588), WEB, ("rc", "1")),
    ("DataMiner 10.5.4.0-15588 Cube Upgrade.dmupgrade", Version(10, 5, 4, 0, 15588), "Cube", ()),
    ("dataminer 10.5.4.0-15588 web upgrade.DMUPGRADE", Version(10, 5, 4, 0, 15588), WEB, ()),
]


@pytest.mark.parametrize(("name", "version", "kind", "tags"), NAMES)
@pytest.mark.parametrize("folder", ["", "/srv/packages/", "C:\\Install\\", "\\\\share\\packages\\"])
def test_names_of_packages(name: str, version: Version, kind: str, tags: tuple[str, ...], folder: str) -> None:
    assert parse_package_name(folder + name) == Package(version=version, kind=kind, tags=tags, file_name=name)


@pytest.mark.parametrize(("name", "version", "kind", "tags"), NAMES)
def test_names_of_package_folders(name: str, version: Version, kind: str, tags: tuple[str, ...]) -> None:
    assert parse_package_name(f"{name}-{TAIL}") == Package(version=version, kind=kind, tags=tags, file_name=name)


def test_a_package_without_a_cu_leaves_that_of_a_main_release_unknown() -> None:
    assert parse_package_name("DataMiner 10.4.0.0-15634 Web Upgrade.dmupgrade").version.cu is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x.dmupgrade",
        "DataMiner 10.5.4.0-15588 Web Upgrade.zip",
        "DataMiner 10.5.4.0-15588 Web Upgrade",
        "DataMiner 10.5.4.0-15588 Upgrade.dmupgrade",
        "DataMiner Web Upgrade.dmupgrade",
        "DataMiner latest Web Upgrade.dmupgrade",
        "DataMiner 10.5 Web Upgrade.dmupgrade",
        "DataMiner 10.5.4.7-15588 Web Upgrade.dmupgrade",
        "Other 10.5.4.0-15588 Web Upgrade.dmupgrade",
        "DataMiner 10.5.4.0-15588 Web Upgrades.dmupgrade",
        f"DataMiner 10.5.4.0-15588 Web Upgrade.dmupgrade-{TAIL[1:]}",
        f"DataMiner 10.5.4.0-15588 Web Upgrade.dmupgrade-{TAIL}0",
        "DataMiner 10.5.4.0-15588 Web Upgrade.dmupgrade/progress.log",
    ],
)
def test_other_names_are_refused_and_quoted(name: str) -> None:
    with pytest.raises(InvalidInput) as error:
        parse_package_name(name)
    assert repr(name) in str(error.value)
    assert ".dmupgrade" in error.value.needed


@pytest.mark.parametrize("value", [None, 10.5, b"x"])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match="not the name of an upgrade package"):
        parse_package_name(value)


def test_the_reason_is_told_where_the_version_is_at_fault() -> None:
    with pytest.raises(InvalidInput) as error:
        parse_package_name("DataMiner 10.5 Web Upgrade.dmupgrade")
    assert "'10.5' is not a DataMiner version" in error.value.found
