"""cluster_status.yml reads, compares and says; it never changes anything."""

from __future__ import annotations

import pytest
from conftest import MakeSite
from playbook import Site
from simulator import edits


def test_in_step(make_site: MakeSite) -> None:
    site = make_site(agents=3)
    before = site.trees()

    run = site.play("cluster_status")

    assert run.rc == 0, run.text
    assert run.changed == 0
    assert site.trees() == before
    assert run.verdicts() == {"DMA1": "in step", "DMA2": "in step", "DMA3": "in step"}
    assert "10.5.6 (CU0)" in run.summary
    assert "10.5.4 (CU0)" in run.summary
    for fact in ("server version", "web version", "web API", "last package", "modules", "processes", "web server", "cluster", "vendor's backups"):
        assert run.summary.count(f"\n{fact} ") == 3, fact
    package = next(line for line in run.summary.split("\n") if line.startswith("last package "))
    assert "10.5.6" in package, run.summary
    assert "Upgrade succeeded" in run.summary


def test_out_of_step(make_site: MakeSite) -> None:
    """Which agent runs what, in one message."""
    site = make_site(per_agent={"DMA2": {"web": "10.5.9"}})
    before = site.trees()

    run = site.play("cluster_status")

    assert run.rc != 0
    assert site.trees() == before
    said = run.messages("DMA1")[0]
    for part in ("NOT in step", "DMA1: 10.5.6 (CU0)", "DMA2: 10.5.9 (CU0)"):
        assert part in said


@pytest.mark.each_core
def test_content_that_differs_is_named(site: Site) -> None:
    """A dashboard edited on one agent only: news by default, a failure when equal content is asked for."""
    edits.drift(site.cluster, "DMA2")

    news = site.play("cluster_status")
    failure = site.play("cluster_status", variables={"dataminer_verify_content_equal": True})

    assert news.rc == 0, news.text
    assert 'dashboard "Overview"' in news.said.replace('\\"', '"')
    assert failure.rc != 0
    assert 'dashboard "Overview" differs' in failure.messages("DMA1")[0]


def test_one_agent_unreachable(site: Site) -> None:
    """The others are told about all the same; the run has failed."""
    site.switch_off("DMA2", module="agent_info")

    run = site.play("cluster_status")

    assert run.rc != 0
    assert run.verdicts()["DMA2"] == "UNREACHABLE"
    assert "10.5.6 (CU0)" in run.summary
