"""Versions of MSI packages."""

from __future__ import annotations

import pytest
from ansible_collections.dataminer.web.plugins.plugin_utils import installed_versions
from ansible_collections.dataminer.web.plugins.plugin_utils.installed_versions import comparable


@pytest.mark.parametrize(("one", "other"), [("10.5.9", "10.5.9.0"), ("10.05.9", "10.5.9"), ("1", "1.0.0.0")])
def test_two_spellings_of_one_version(one: str, other: str) -> None:
    assert comparable(one) == comparable(other)
    assert len({comparable(one), comparable(other)}) == 1


@pytest.mark.parametrize(("one", "other"), [("10.5.9", "10.5.10"), ("10.5.9", "10.5.9.1"), ("10.5.9", ""), ("", "beta"), ("10.5.9", "10.5.9 rc x")])
def test_two_versions(one: str, other: str) -> None:
    assert comparable(one) != comparable(other)


def test_without_packaging_versions_are_compared_as_they_are_spelt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed_versions, "Version", None)
    assert comparable("10.5.9") == "10.5.9"
