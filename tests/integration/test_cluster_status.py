"""cluster_status.yml reads, compares and says; it never changes anything."""

from __future__ import annotations

from conftest import MakeSite
from playbook import scenarios
from simulator import edits


def test_in_step(make_site: MakeSite) -> None:
    """All facts of each agent; a dashboard that was edited on one agent only is news."""
    site = make_site(*scenarios(equal={"agents": 3}, edited={}))
    edits.drift(site.named("edited"), "edited-2")
    before = site.trees()

    run = site.play("cluster_status")

    assert run.rc == 0, run.text
    assert run.changed == 0
    assert site.trees() == before
    assert run.verdicts("equal") == {"equal-1": "in step", "equal-2": "in step", "equal-3": "in step"}
    assert "10.5.6 (CU0)" in run.summary
    assert "10.5.4 (CU0)" in run.summary
    for fact in (
        "server version",
        "web version",
        "web API",
        "last package",
        "modules",
        "processes",
        "web server",
        "installer",
        "cluster",
        "vendor's backups",
    ):
        assert run.summary.count(f"\n{fact} ") == 5, fact
    assert run.summary.count("W3SVC: Running") == 5
    package = next(line for line in run.summary.split("\n") if line.startswith("last package "))
    assert "10.5.6" in package, run.summary
    assert "Upgrade succeeded" in run.summary
    assert 'dashboard "Overview"' in run.said.replace('\\"', '"')


def test_not_in_step(make_site: MakeSite) -> None:
    """Each cluster is told in one message which agent runs what, or differs in what; equal content was asked for."""
    other = scenarios(
        edited={},
        versions={"per_agent": {"versions-2": {"web": "10.5.9"}}},
        another_package={"web": "10.5.9", "per_agent": {"another_package-2": {"web": "10.5.0 [CU6]"}}},
        silent={},
    )
    site = make_site(*other)
    edits.drift(site.named("edited"), "edited-2")
    site.switch_off("silent-2", module="agent_info")
    before = site.trees()

    run = site.play("cluster_status", variables={"dataminer_verify_content_equal": True})

    assert run.rc != 0
    assert site.trees() == before
    assert 'dashboard "Overview" differs' in run.messages("edited-1")[0]
    said = run.messages("versions-1")[0]
    for part in ("NOT in step", "versions-1: 10.5.6 (CU0)", "versions-2: 10.5.9 (CU0)"):
        assert part in said
    # in step means the same web version: 10.5.0 [CU6] has what 10.5.9 has, but isn't it
    (said,) = run.messages("another_package-1")
    assert "NOT in step" in said
    assert "web versions differ" in said
    # the others of an agent that doesn't answer are told about all the same
    assert run.verdicts("silent") == {"silent-1": "read; not compared: silent-2 wasn't read", "silent-2": "UNREACHABLE"}
    assert "0 of 2 agents are in step; look at silent-2. silent-1 was read, but not compared." in run.summary
    assert "10.5.6 (CU0)" in run.summary[run.summary.index("Summary of cluster silent") :]
