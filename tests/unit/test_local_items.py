"""From the items of a backup to files: which versions, in which order, and that no link is ever followed."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils import local_files
from ansible_collections.dataminer.web.plugins.module_utils.local_items import LINK, SPECIAL, expand, is_app
from ansible_collections.dataminer.web.plugins.module_utils.local_places import Places
from local_kit import APP, Agent


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    agent = Agent(tmp_path)
    agent.fill()
    return agent


def listed(agent: Agent, path: str, versions: list[int] | None = None) -> tuple[list[str], list[tuple[str, str]]]:
    notes: list[tuple[str, str]] = []
    item: dict[str, Any] = {"path": path, "versions": versions}
    files = [file.path for file in expand(Places(agent.root), item, note=lambda at, why: notes.append((at, why)))]
    return files, notes


def test_a_folder_stands_for_everything_in_it(agent: Agent) -> None:
    assert listed(agent, "Dashboards") == (["Dashboards/Operations/Alarms.dmadb.json", "Dashboards/Overview.dmadb.json"], [])


def test_a_file_stands_for_itself(agent: Agent) -> None:
    assert listed(agent, "Dashboards/Overview.dmadb.json") == (["Dashboards/Overview.dmadb.json"], [])


def test_only_the_versions_named_go_in_and_everything_else_does(agent: Agent) -> None:
    agent.write(f"{APP}/version_002/x")
    agent.write(f"{APP}/VERSION_3/y")
    agent.write(f"{APP}/version_old/z")
    agent.write(f"{APP}/assets/version_1/w")
    files, notes = listed(agent, APP, [2])
    assert notes == []
    assert [path.removeprefix(APP + "/") for path in files] == [
        "App.info.json",
        "assets/version_1/w",
        "version_002/x",
        "version_2/App.config.json",
        "version_2/pages/1f.dmadb.json",
        "version_old/z",
    ]


def test_no_versions_leaves_what_is_outside_of_them(agent: Agent) -> None:
    assert listed(agent, APP, [])[0] == [f"{APP}/App.info.json"]


def test_names_keep_the_order_that_every_adapter_can_produce(agent: Agent) -> None:
    for name in ("\U0001f600", "\uffee", "z", "Ä", "a"):
        agent.write(f"Web/{name}")
    assert listed(agent, "Web")[0] == [f"Web/{name}" for name in ("a", "z", "Ä", "\U0001f600", "\uffee")]


@pytest.mark.parametrize("target", ["file", "folder", "loop", "nothing"])
def test_a_link_is_noted_and_not_followed(agent: Agent, tmp_path: Path, target: str) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "passwords.dmadb.json").write_text("secret")
    goals = {"file": tmp_path / "secret/passwords.dmadb.json", "folder": tmp_path / "secret", "loop": agent.root / "Dashboards", "nothing": Path("x")}
    (agent.root / "Dashboards" / "Z").symlink_to(goals[target])
    files, notes = listed(agent, "Dashboards")
    assert len(files) == 2
    assert notes == [("Dashboards/Z", LINK)]


def test_an_app_that_is_a_link_is_noted_and_not_followed(agent: Agent, tmp_path: Path) -> None:
    (agent.root / APP).rename(tmp_path / "moved")
    (agent.root / APP).symlink_to(tmp_path / "moved")
    assert listed(agent, APP) == ([], [(APP, LINK)])
    assert not is_app(Places(agent.root), {"path": APP})


def test_a_link_above_an_item_is_not_followed(agent: Agent, tmp_path: Path) -> None:
    (agent.root / "Applications").rename(tmp_path / "moved")
    (agent.root / "Applications").symlink_to(tmp_path / "moved")
    assert listed(agent, APP) == ([], [(APP, LINK)])
    assert not is_app(Places(agent.root), {"path": APP})


def test_a_special_file_is_noted(agent: Agent) -> None:
    os.mkfifo(agent.root / "Dashboards" / "pipe")
    assert listed(agent, "Dashboards")[1] == [("Dashboards/pipe", SPECIAL)]


def test_what_vanished_is_noted(agent: Agent) -> None:
    assert listed(agent, "Applications/none") == ([], [("Applications/none", "vanished")])


def test_an_item_below_a_file_is_noted_as_what_it_is(agent: Agent) -> None:
    files, notes = listed(agent, "Dashboards/Overview.dmadb.json/x/y")
    assert files == []
    assert "is in the way" in notes[0][1]


def test_a_folder_that_cannot_be_read_is_noted(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("Operations"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(local_files.os, "scandir", scandir)
    assert listed(agent, "Dashboards") == (["Dashboards/Overview.dmadb.json"], [("Dashboards/Operations", "Permission denied")])


def test_items_are_found_whatever_their_case(agent: Agent) -> None:
    assert listed(agent, "dashboards/OVERVIEW.dmadb.json")[0] == ["dashboards/Overview.dmadb.json"]
    assert is_app(Places(agent.root), {"path": APP.lower()})


@pytest.mark.parametrize("path", ["Dashboards", "Dashboards/Operations", f"{APP}/version_1", "Applications", "Applications/none"])
def test_what_is_no_app(agent: Agent, path: str) -> None:
    assert not is_app(Places(agent.root), {"path": path})


def test_a_stamp_changes_with_the_file(agent: Agent) -> None:
    def stamps() -> list[Any]:
        return [file.stamp for file in expand(Places(agent.root), {"path": "Dashboards"}, note=lambda at, why: None)]

    before = stamps()
    assert before == stamps()
    place = agent.root / "Dashboards/Overview.dmadb.json"
    os.utime(place, ns=(0, place.stat().st_mtime_ns + 1))
    assert before != stamps()


def test_paths_of_more_than_260_characters(agent: Agent) -> None:
    deep = "/".join(["Dashboards", *["a folder with a rather long name"] * 12, "x.dmadb.json"])
    agent.write(deep)
    assert len(deep) > 400
    assert deep in listed(agent, "Dashboards")[0]
