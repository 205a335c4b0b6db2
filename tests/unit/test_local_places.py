"""Relative paths on a POSIX disk: found as Windows finds them, never through a link."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.dataminer.web.plugins.module_utils import local_places
from ansible_collections.dataminer.web.plugins.module_utils.errors import Refused
from ansible_collections.dataminer.web.plugins.module_utils.local_places import Places


def make(root: Path, *names: str) -> Places:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return Places(root)


def test_a_file_is_found_by_its_name(tmp_path: Path) -> None:
    place = make(tmp_path, "Dashboards/A/one.json").find("Dashboards/A/one.json")
    assert place is not None
    assert place.path == f"{tmp_path}/Dashboards/A/one.json"
    assert (place.is_file, place.is_folder, place.is_link) == (True, False, False)


def test_a_file_is_found_whatever_the_case_of_each_part(tmp_path: Path) -> None:
    places = make(tmp_path, "dashboards/Réseau/ONE.json")
    place = places.find("Dashboards/RÉSEAU/one.JSON")
    assert place is not None
    assert places.relative(place) == "dashboards/Réseau/ONE.json"


def test_the_exact_name_goes_first(tmp_path: Path) -> None:
    places = make(tmp_path, "Web/a.json", "Web/A.json")
    for name in ("a.json", "A.json"):
        place = places.find(f"Web/{name}")
        assert place is not None
        assert place.path.endswith(f"/{name}")


def test_what_is_not_there(tmp_path: Path) -> None:
    places = make(tmp_path, "Web/a.json")
    assert places.find("Web/b.json") is None
    assert places.find("Dashboards/x/y.json") is None
    assert places.folder("Dashboards") is None


def test_a_target_has_the_spelling_of_the_folders_that_exist(tmp_path: Path) -> None:
    places = make(tmp_path, "dashBOARDS/operations/x.json")
    assert places.target("Dashboards/Operations/New/y.json") == "dashBOARDS/operations/New/y.json"
    assert places.target("Web/y.json") == "Web/y.json"


def test_a_link_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "inner").mkdir(parents=True)
    (tmp_path / "elsewhere" / "inner" / "file").touch()
    (tmp_path / "root" / "Web").mkdir(parents=True)
    (tmp_path / "root" / "Web" / "link").symlink_to(tmp_path / "elsewhere")
    places = Places(tmp_path / "root")
    with pytest.raises(Refused) as raised:
        places.find("Web/link/inner/file")
    assert raised.value.found == "a link"
    link = places.find("Web/link")
    assert link is not None
    assert link.is_link


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    places = make(tmp_path, "Web/file")
    with pytest.raises(Refused) as raised:
        places.target("Web/file/inner/x")
    assert raised.value.found == "a file"


def test_listings_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_places, "FOLDERS_KEPT", 3)
    places = make(tmp_path, *(f"Web/{number}/File" for number in range(10)))
    for number in range(10):
        place = places.find(f"Web/{number}/file")
        assert place is not None
        assert place.path.endswith("/File")
        assert len(places._listings) <= 3
