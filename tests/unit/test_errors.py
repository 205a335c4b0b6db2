"""Messages that are cut where there is little room."""

from __future__ import annotations

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.cluster import first_line
from ansible_collections.dataminer.web.plugins.module_utils.errors import InvalidInput, shortened

REMEDY = "make room, or move dataminer_backup_dir to another volume"


def error(found: str, message: str = "The installer failed", needed: str = "code 0") -> str:
    return str(InvalidInput(message, found=found, needed=needed, remedy=REMEDY))


@pytest.mark.parametrize("found", ["x" * 1000, " | ".join(["rc 3: the log says"] * 60), "Needs more: " * 90])
def test_what_was_found_is_cut_and_what_to_do_is_not(found: str) -> None:
    said = first_line(f"Task failed: {error(found)}")
    assert len(said) <= 300
    assert said.endswith(f"… | Needed: code 0 | What to do: {REMEDY}")
    assert said.startswith("The installer failed | Found: ")


def test_what_else_is_long_is_cut_next() -> None:
    said = shortened(error("x" * 500, message="m" * 500, needed="n" * 500), 300)
    assert len(said) <= 300
    assert said.endswith(f"What to do: {REMEDY}")
    assert [part[:3] for part in said.split(" | ")] == ["mmm", "Fou", "Nee", "Wha"]


def test_two_errors_on_one_line_keep_both_of_their_remedies() -> None:
    said = shortened("; ".join([error("x" * 400), error("y" * 400)]), 300)
    assert said.count(f"What to do: {REMEDY}") == 2
    assert said.count("…") == 2
    assert said.startswith("The installer failed | Found: x")


def test_what_fits_stays_and_what_has_no_remedy_is_cut_at_its_end() -> None:
    assert shortened(error("x"), 300) == error("x")
    assert shortened("x" * 400, 300) == "x" * 299 + "…"
