"""The page of a run, and the files a report is written to."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.errors import InvalidInput
from ansible_collections.dataminer.web.plugins.module_utils.page import ClusterPage, report_page
from ansible_collections.dataminer.web.plugins.module_utils.report import AgentSummary
from ansible_collections.dataminer.web.plugins.plugin_utils.report_files import check_place, write_report

DONE = AgentSummary(agent="DMA1", verdict="done", server="10.5.4 (CU0)", web_before="10.5.6 (CU0)", web_after="10.5.9 (CU0)", backup="a.zip")
HOSTILE = '<script>alert("x")</script>'
DENIED = {"rule": "kind", "agent": None, "verdict": "deny", "found": HOSTILE, "required": "a Web package", "source": "docs", "remedy": "name it"}
PASSED = {**DENIED, "rule": "track", "verdict": "pass"}
DOCUMENT: dict[str, Any] = {"purpose": "upgrade", "check_mode": False, "clusters": {"pluto": [vars(DONE)]}}


class Tags(HTMLParser):
    """Checks that tags nest, and keeps texts by tag."""

    VOID = ("meta", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not any(name in ("src", "href") for name, _value in attrs), "the page must be self-contained"
        self.seen.setdefault(tag, [])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.seen[self.open[-1]].append(data)


def page(*clusters: ClusterPage, **more: Any) -> Tags:
    tags = Tags()
    tags.feed(report_page(clusters, **{"purpose": "upgrade", "check": False, "made": "2026-11-24 04:15 UTC", "by": "ann@controller", **more}))
    assert tags.open == []
    return tags


def cluster(**more: Any) -> ClusterPage:
    facts = {
        "name": "pluto",
        "agents": [DONE],
        "end": "1 of 1 agents: the upgrade ended well.",
        "good": True,
        "gate": [PASSED, DENIED],
        "notes": ["Note: x"],
    }
    return ClusterPage(**{**facts, **more})


def test_a_page_tells_everything_once() -> None:
    seen = page(cluster(), cluster(name="saturn", good=False, gate=[])).seen
    assert seen["h2"] == ["Cluster pluto", "Cluster saturn"]
    assert "10.5.6 (CU0) → 10.5.9 (CU0)" in seen["td"]
    assert seen["pre"] == ["Note: x", "Note: x"]
    assert seen["p"][0] == "2026-11-24 04:15 UTC, by ann@controller"
    assert "1 more checks passed or didn't apply." in seen["p"]
    assert "DENY" in seen["td"]


def test_whatever_agents_say_is_text() -> None:
    told = page(
        cluster(name=HOSTILE, agents=[AgentSummary(agent=HOSTILE, verdict=HOSTILE)], end=HOSTILE, notes=[HOSTILE]), by=HOSTILE, purpose=HOSTILE
    )
    assert "script" not in told.seen
    assert HOSTILE in told.seen["td"]


def test_check_mode_is_told() -> None:
    assert page(cluster(), check=True).seen["p"][0].endswith("check mode: nothing was changed")


@pytest.mark.parametrize(("name", "page_wanted"), [("run.html", True), ("deep/er/run.HTML", True), ("run.json", False), ("run", False)])
def test_a_file_is_what_its_name_says(tmp_path: Path, name: str, page_wanted: bool) -> None:
    (written,) = write_report(str(tmp_path / name), DOCUMENT, [cluster()])
    text = Path(written).read_text("utf-8")
    assert written == str(tmp_path / name)
    assert text.startswith("<!DOCTYPE html>") if page_wanted else json.loads(text) == DOCUMENT
    assert [path.name for path in Path(written).parent.iterdir()] == [Path(name).name]


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_gets_both(tmp_path: Path, there: bool) -> None:
    folder = tmp_path / "reports"
    if there:
        folder.mkdir()
    written = write_report(str(folder) + ("" if there else "/"), DOCUMENT, [cluster()])
    assert sorted(Path(path).suffix for path in written) == [".html", ".json"]
    assert all(Path(path).name.startswith("dataminer-web_upgrade_20") for path in written)


@pytest.mark.parametrize("name", ["run.json", "deep/er/run.html", "reports/"])
def test_a_place_that_takes_the_report_is_only_looked_at(tmp_path: Path, name: str) -> None:
    check_place(f"{tmp_path}/{name}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["file/run.json", "file/", "file/deep/er/run.html"])
def test_a_place_that_takes_no_report_is_named_with_what_to_do(tmp_path: Path, name: str) -> None:
    """Before the run as at its end."""
    (tmp_path / "file").touch()
    place = f"{tmp_path}/{name}"
    for attempt in (lambda: check_place(place), lambda: write_report(place, DOCUMENT, [cluster()])):
        with pytest.raises(InvalidInput) as caught:
            attempt()
        assert caught.value.message == f"The report can't be written to {place}"
        assert str(tmp_path / "file") in caught.value.found
        assert "dataminer_report_path" in caught.value.remedy


def test_a_folder_of_somebody_else_takes_no_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(InvalidInput, match=f"Found: this account may not write into {re.escape(str(tmp_path))} "):
        check_place(str(tmp_path / "run.json"))
