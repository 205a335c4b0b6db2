"""Text for people."""

from __future__ import annotations

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.gate_values import Row, Verdict
from ansible_collections.dataminer.web.plugins.module_utils.report import AgentSummary, gate_table, summary, table


def test_a_table_is_aligned() -> None:
    assert table(("agent", "web"), [("dma1", "10.5.4 (CU0)"), ("a-longer-name", None)]) == (
        "agent          web\n-------------  ------------\ndma1           10.5.4 (CU0)\na-longer-name  -"
    )


def test_a_table_without_rows_has_its_headers() -> None:
    assert table(("a", "bb"), []) == "a  bb\n-  --"


@pytest.mark.parametrize("width", [40, 80, 150])
def test_long_cells_wrap_to_the_width_and_lose_no_word(width: int) -> None:
    words = [f"word{number}" for number in range(120)]
    text = table(("agent", "found", "do next"), [("dma1", " ".join(words), "x" * 400)], width=width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert all(word in text.split() for word in words)
    assert text.count("x") == 400 + "do next".count("x")


def test_many_columns_dont_hang_or_fail() -> None:
    text = table([f"column {number}" for number in range(30)], [["value " * 10] * 30], width=60)
    assert "column" in text


def test_cells_cant_send_escape_sequences_and_may_have_lines() -> None:
    text = table(("a", "b"), [("\x1b[31mred\x1b[0m", "one\r\ntwo\tthree")])
    assert "\x1b" not in text
    assert "?[31mred" in text
    assert text.splitlines()[-1].strip() == "two three"


def test_wide_characters_keep_the_columns_aligned() -> None:
    lines = table(("name", "n"), [("売上", "1"), ("e\u0301te", "2")]).splitlines()
    assert lines[2] == "売上  1"
    assert lines[3] == "e\u0301te   2"


def test_wide_characters_wrap() -> None:
    assert all(len(line) <= 20 for line in table(("name",), [("売" * 100,)], width=40).splitlines()[2:])


def test_the_summary_of_a_run() -> None:
    text = summary(
        [
            AgentSummary(agent="dma1", server="10.5.4 (CU0)", web_before="10.5.4 (CU0)", web_after="10.5.5 (CU0)", backup="x.zip", verdict="ok"),
            AgentSummary(agent="dma2", web_before="10.5.4 (CU0)", web_after="10.5.4 (CU0)", verdict="failed: disk full"),
            AgentSummary(agent="dma3", web_before="10.5.4 (CU0)", verdict="unreachable"),
        ]
    )
    assert [line.rstrip() for line in text.splitlines()] == [
        "agent  server        web                           backup  verdict",
        "-----  ------------  ----------------------------  ------  -----------------",
        "dma1   10.5.4 (CU0)  10.5.4 (CU0) -> 10.5.5 (CU0)  x.zip   ok",
        "dma2   -             10.5.4 (CU0)                  -       failed: disk full",
        "dma3   -             10.5.4 (CU0) -> ?             -       unreachable",
    ]


def test_a_run_without_agents() -> None:
    assert summary([]) == "No agent took part."


def row(verdict: Verdict, rule: str, agent: str | None, found: str = "10.4", required: str = "10.5", remedy: str = "upgrade") -> Row:
    return Row(rule=rule, agent=agent, verdict=verdict, found=found, required=required, source="docs", remedy=remedy)


def test_denials_come_first_then_warnings_then_a_count() -> None:
    text = gate_table(
        [
            row(Verdict.PASS, "separate", "dma1"),
            row(Verdict.WARN, "clock", "dma1", remedy=""),
            row(Verdict.DENY, "baseline", "dma1"),
            row(Verdict.NOT_APPLICABLE, "maps", "dma1"),
            row(Verdict.DENY, "baseline", "dma2"),
            row(Verdict.DENY, "members", None, found="3 agents"),
        ]
    )
    blocks = text.split("\n\n")
    assert [line.split()[0] for line in blocks[0].splitlines()[2:]] == ["DENY", "DENY"]
    assert blocks[0].splitlines()[2].split() == ["DENY", "dma1,", "dma2", "baseline", "10.4", "10.5", "upgrade"]
    assert "cluster" in blocks[0].splitlines()[3]
    assert blocks[1].splitlines()[2].split() == ["WARN", "dma1", "clock", "10.4", "10.5", "-"]
    assert blocks[2] == "Checks: 3 denied, 1 warned, 1 passed, 1 not applicable."


def test_a_gate_that_passes_is_one_line() -> None:
    assert gate_table([row(Verdict.PASS, "separate", "dma1")]) == "Checks: 0 denied, 0 warned, 1 passed, 0 not applicable."


def test_a_gate_table_fits_a_terminal() -> None:
    text = gate_table(
        [row(Verdict.DENY, "baseline", f"dma{n}", found="found " * 60, required="needed " * 60, remedy="next " * 60) for n in range(40)]
    )
    assert max(len(line) for line in text.splitlines()) <= 150
