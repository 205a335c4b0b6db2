"""The list that people read before they accept a loss."""

from __future__ import annotations

from typing import Any

from ansible_collections.dataminer.web.plugins.module_utils.losses_text import SHOWN, differing_items, losing, losses_count, losses_text

LOST = {"kind": "dashboard", "title": "Sales", "when": "2026-11-24T04:15:00Z", "author": "ann", "why": "changed"}
LATER = {"kind": "version", "title": "Orders, version 9", "path": "Applications/o/version_9", "why": "made after the backup"}


def chosen(*, lost: list[dict[str, Any]] | None = None, leftovers: list[str] | None = None, **digests: str) -> dict[str, Any]:
    about = {"name": "a.zip", "digests": {"all": "1" * 64, **digests}, "leftovers": leftovers or []}
    return {"chosen": about, "msg": "3 files to replace", "lost": lost or [], "plan": {"stays_behind": [LATER]}}


def test_an_item_stands_once_with_all_its_agents() -> None:
    text = losses_text("pluto", {"DMA1": chosen(lost=[LOST]), "DMA2": chosen(lost=[LOST])}, [], "BCDFGHJK")
    assert "Backups to restore on cluster pluto" in text
    assert "accept with -e dataminer_accept_loss=BCDFGHJK" in text
    assert text.splitlines()[-1] == 'DMA1, DMA2  dashboard "Sales": changed (2026-11-24T04:15:00Z by ann)'


def test_without_a_loss_there_is_no_question() -> None:
    text = losses_text("", {"DMA1": chosen()}, [], "")
    assert "LOST" not in text
    assert "Backups to restore\n" in text


def test_what_is_moved_away_is_told_where_it_goes() -> None:
    text = losses_text("", {"DMA1": chosen(leftovers=[LATER["path"]]), "DMA2": chosen()}, [], "")
    assert "DMA1   version Orders, version 9  made after the backup; it is moved into quarantine" in text
    assert "DMA2   version Orders, version 9  made after the backup\n" in text + "\n"


def test_long_lists_are_cut_with_their_number() -> None:
    many = [{**LOST, "title": f"d{number}"} for number in range(SHOWN + 5)]
    assert "and 5 more" in losses_text("", {"DMA1": chosen(lost=many)}, [], "BCDFGHJK")


def test_backups_that_differ_name_the_items() -> None:
    rows = differing_items({"DMA1": chosen(**{"Applications/o": "1"}), "DMA2": chosen(**{"all": "2" * 64, "Applications/o": "2"})})
    assert any(row.startswith("DMA1: ") for row in rows)
    assert "differs: Applications/o" in rows
    assert differing_items({"DMA1": chosen(), "DMA2": chosen()}) == []


def test_a_change_on_several_agents_counts_once() -> None:
    both = {"DMA1": {**chosen(lost=[LOST]), "lost_count": 1}, "DMA2": {**chosen(lost=[LOST]), "lost_count": 1}, "DMA3": chosen()}
    assert losses_count(both) == "1 change"
    assert losing(both) == ["DMA1", "DMA2"]
    other = {**chosen(lost=[{**LOST, "title": "Orders"}]), "lost_count": 1}
    assert losses_count({**both, "DMA3": other}) == "2 changes"


def test_of_a_list_that_came_cut_the_least_is_told() -> None:
    assert losses_count({"DMA1": {**chosen(lost=[LOST]), "lost_count": 900}}) == "at least 900 changes"
