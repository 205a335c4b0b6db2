"""What the end of a run says of each agent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.agent import AgentState, ContentRow, InstalledPackage, Module, PackageFile, Process
from ansible_collections.dataminer.web.plugins.module_utils.cluster import NO_RESULT
from ansible_collections.dataminer.web.plugins.module_utils.outcome import cluster_paragraphs, failed_phase, is_good, summarise
from ansible_collections.dataminer.web.plugins.module_utils.outcome_news import AgentRun, Names
from ansible_collections.dataminer.web.plugins.module_utils.status import facts, status_text
from gate_agents import NOW, cluster, installed, job, package, state

OK: dict[str, Any] = {"changed": False}
MADE = {"changed": True, "finished": True, "backup": {"name": "a.zip", "zip_size": 2_500_000}}
UPGRADED = {"changed": True, "finished": True, "web_before": "10.5.6 (CU0)", "web_after": "10.5.9 (CU0)"}
FULL = {"dataminer_scan": OK, "dataminer_gate": OK, "dataminer_backup_result": MADE, "dataminer_upgrade_result": UPGRADED, "dataminer_verified": OK}
BACK = {"directions": {"DMA1": "downgrade"}}
FAILED = {"failed": True, "msg": "The installer ended with code 1 | Found: no room\nall of the log"}


def content(*digests: str) -> tuple[ContentRow, ...]:
    return tuple(ContentRow(path=f"Dashboards/{number}.dmadb.json", files=1, bytes=1000, sha256=digest) for number, digest in enumerate(digests))


BEFORE, AFTER = state(web="10.5.6", content=content("a", "b")), state(web="10.5.9", content=content("a", "c"))


def run(name: str = "DMA1", before: AgentState | None = BEFORE, after: AgentState | None = AFTER, **results: Any) -> AgentRun:
    return AgentRun(name=name, results={**FULL, **results}, before=before, after=after)


def text(*runs: AgentRun, purpose: str = "upgrade", check: bool = False) -> str:
    return "\n\n".join(cluster_paragraphs("pluto", runs, purpose=purpose, check=check))


def test_an_agent_that_was_upgraded() -> None:
    row = summarise(run(), purpose="upgrade", check=False)
    assert (row.web_before, row.web_after, row.verdict) == ("10.5.6 (CU0)", "10.5.9 (CU0)", "done")
    assert row.backup == "verified, 2.5 MB: a.zip"
    assert row.content == "1 of 2 items changed"


@pytest.mark.parametrize(
    ("results", "verdict"),
    [
        pytest.param(
            {"dataminer_gate": {**FAILED, "rows": [{"rule": "daas", "agent": None, "verdict": "deny"}]}}, "denied by the gate, unchanged", id="denied"
        ),
        pytest.param({"dataminer_gate": {"failed": True, "msg": "dataminer_timeout can't be"}}, "not judged, unchanged", id="wrong value"),
        pytest.param({"dataminer_upgrade_result": FAILED}, "FAILED: install", id="failed"),
        pytest.param({"dataminer_after": {"unreachable": True, "msg": "no route"}}, "UNREACHABLE", id="unreachable"),
        pytest.param({"dataminer_scan": None}, "NOT READ", id="never read"),
        pytest.param({"dataminer_package_result": FAILED}, "FAILED: package", id="no package"),
        pytest.param({"dataminer_reboot_result": FAILED}, "FAILED: restart", id="not back"),
        pytest.param({"dataminer_loss": {**FAILED, "stopped": True}}, "stopped after choice of the backup: another agent failed", id="no choice"),
        pytest.param(
            {"dataminer_barrier": {"failed": True, "phase": "backup", "problems": [f"DMA1: {NO_RESULT}", f"DMA2: {NO_RESULT}"]}},
            "stopped: the phase backup wasn't run",
            id="left out by tags",
        ),
        pytest.param({"dataminer_barrier": {"failed": True, "phase": "install"}}, "stopped after install: another agent failed", id="stopped"),
        pytest.param({"dataminer_verified": None}, "NOT FINISHED", id="cut off"),
        pytest.param({"dataminer_backup_result": OK, "dataminer_upgrade_result": OK}, "unchanged", id="nothing to do"),
    ],
)
def test_the_verdict_names_what_stopped_an_agent(results: dict[str, Any], verdict: str) -> None:
    assert summarise(run(**results), purpose="upgrade", check=False).verdict == verdict


def test_check_mode_says_would() -> None:
    row = summarise(run(after=BEFORE, dataminer_upgrade_result={**UPGRADED, "would": True}), purpose="upgrade", check=True)
    assert (row.web_after, row.verdict) == ("10.5.9 (CU0)", "would change")
    assert row.content == "2 items, 2.0 KB"
    assert "nothing was changed" in text(run(), check=True)


def test_an_agent_that_was_installed_but_not_read_again_shows_the_new_version() -> None:
    assert summarise(run(after=None), purpose="upgrade", check=False).web_after == "10.5.9 (CU0)"


@pytest.mark.parametrize("key", ["dataminer_gate", "dataminer_upgrade_result", "dataminer_restore_released", "dataminer_verified"])
def test_a_failure_in_any_phase_is_no_good_end(key: str) -> None:
    results = {**FULL, key: FAILED}
    assert not is_good(results, purpose="upgrade")
    assert (failed_phase(results) or ("", ""))[1] == "The installer ended with code 1 | Found: no room"


def test_the_last_sentence_tells_the_end() -> None:
    assert text(run(), run("DMA2")).splitlines()[-1] == "2 of 2 agents: the upgrade ended well."
    last = text(run(), run("DMA2", dataminer_upgrade_result=FAILED)).splitlines()[-1]
    assert "NOT DONE on DMA2 (1 of 2 agents ended well)" in last
    assert "run the same playbook again" in last
    assert text(run(dataminer_gate=denials(("daas", None)))).splitlines()[-1].startswith("DENIED: nothing was changed")


def test_a_run_on_a_part_of_a_cluster_says_that_it_is_out_of_step() -> None:
    row = {"rule": "limit", "verdict": "warn", "found": "left out of this run: DMA2"}
    last = text(run(dataminer_gate={**OK, "rows": [row]})).splitlines()[-1]
    assert last == "1 of 1 agents: the upgrade ended well. The cluster is OUT OF STEP until the others follow: left out of this run: DMA2."


def test_a_backup_that_was_not_made_says_why() -> None:
    """Of an upgrade it is no news."""
    why = {"changed": False, "finished": True, "backup": None, "msg": "No backup made: the agent already runs 10.5.6 (CU0)"}
    note = "Note (DMA1, DMA2): No backup made: the agent already runs 10.5.6 (CU0)"
    runs = [run(name, dataminer_backup_result=why) for name in ("DMA1", "DMA2")]
    assert note in text(*runs, purpose="backup").splitlines()
    assert "Note" not in text(*runs)
    assert "Note" not in text(run(), purpose="backup")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({}, ""),
        ({"limit": "left out of this run: DMA2", "missing": "id 2 10.0.0.2"}, "; NOTHING IS KNOWN of others (left out of this run: DMA2)"),
        ({"missing": "id 2 10.0.0.2"}, "; NOTHING IS KNOWN of others (in DMS.xml, and not read: id 2 10.0.0.2)"),
        ({"clock": "DMA1 is 90 s ahead"}, ""),
    ],
)
def test_a_status_of_a_part_of_a_cluster_says_of_whom_it_knows_nothing(rows: dict[str, str], words: str) -> None:
    """A limit, or a slice of a job in AWX, whose inventory has no more agents than those of the slice."""
    told = [{"rule": rule, "agent": None, "verdict": "warn", "found": found} for rule, found in rows.items()]
    last = text(run(dataminer_gate={**OK, "rows": told}), purpose="status").splitlines()[-1]
    assert last.startswith(f"1 of 1 agents are in step{words}. Before")


LOST = {
    "kind": "dashboard",
    "title": "Sales",
    "path": "Dashboards/Sales.dmadb.json",
    "when": "2026-11-24T04:15:00Z",
    "author": "ann",
    "why": "changed",
}
UNACCEPTED = {**OK, "lost": [LOST], "unaccepted": {"code": "BFDYWHHK", "changes": "1 change", "agents": ["DMA1", "DMA2"]}}


def test_a_dry_run_with_a_loss_that_nobody_accepted_says_that_it_would_stop() -> None:
    runs = run(dataminer_loss=UNACCEPTED), run("DMA2", dataminer_loss=UNACCEPTED)
    said = text(*runs, purpose="downgrade", check=True)
    assert said.splitlines()[-1] == (
        "The downgrade would STOP: 1 change would be lost on DMA1, DMA2; to accept it, run it with -e dataminer_accept_loss=BFDYWHHK."
    )
    assert 'Lost (DMA1, DMA2): dashboard "Sales": changed (2026-11-24T04:15:00Z by ann)' in said
    assert summarise(runs[0], purpose="downgrade", check=True).verdict == "would STOP: the loss isn't accepted"
    assert not is_good(runs[0].results, purpose="downgrade")


REFUSED = {**UNACCEPTED, "failed": True, "msg": "1 change made since the backups would be lost"}


def test_a_run_that_a_loss_stops_says_that_nothing_was_installed() -> None:
    runs = run(dataminer_loss=REFUSED), run("DMA2", dataminer_loss=REFUSED)
    assert text(*runs, purpose="downgrade").splitlines()[-1] == (
        "STOPPED, with nothing installed or restored by this run: 1 change would be lost on DMA1, DMA2; "
        "to accept it, run it with -e dataminer_accept_loss=BFDYWHHK."
    )


def test_a_loss_is_not_the_end_of_the_story_where_an_agent_failed_otherwise() -> None:
    runs = run(dataminer_loss=REFUSED), run("DMA2", dataminer_restore_chosen=FAILED)
    assert text(*runs, purpose="downgrade").splitlines()[-1].startswith("NOT DONE on DMA1, DMA2")


def test_a_dry_run_with_an_accepted_loss_ends_well() -> None:
    accepted = run(dataminer_loss={**UNACCEPTED, "unaccepted": {}})
    said = text(accepted, purpose="downgrade", check=True)
    assert said.splitlines()[-1] == "1 of 1 agents: the downgrade would end well."
    assert "Lost (" not in said


def test_a_dry_run_in_which_something_else_failed_says_that_first() -> None:
    said = text(run(dataminer_loss=UNACCEPTED, dataminer_upgrade_result=FAILED), purpose="downgrade", check=True)
    assert said.splitlines()[-1].startswith("NOT DONE on DMA1")


def test_a_status_of_an_agent_that_the_gate_denies_is_not_well() -> None:
    one = run(dataminer_gate=denials(("journal", "DMA1")))
    assert summarise(one, purpose="status", check=False).verdict == "NOT WELL: see the gate's table"
    assert text(one, purpose="status").splitlines()[-1] == "0 of 1 agents are in step; look at DMA1. Nothing was changed."


WRONG = "Nothing was changed. dataminer_timeout can't be what it is | Found: 'soon', a str | Needed: a whole number | What to do: correct it"


@pytest.mark.parametrize("purpose", ["upgrade", "downgrade", "backup", "status"])
def test_a_value_that_the_gate_can_not_use_is_told_below_the_table(purpose: str) -> None:
    gate = {"failed": True, "msg": f"Task failed: {WRONG}"}
    said = text(run(dataminer_gate=gate), run("DMA2", dataminer_gate=gate), purpose=purpose)
    assert f"DMA1, DMA2 failed (gate): {WRONG}" in said
    assert said.splitlines()[-1] == "NOT STARTED: nothing was changed on this cluster. Correct what is named above, then run again."
    assert "gate's table" not in said


@pytest.mark.parametrize("more", [{}, {"rows": [{"rule": "daas", "agent": None, "verdict": "deny", "found": "x"}]}])
def test_a_value_of_one_agent_stops_the_others_at_the_gate(more: dict[str, Any]) -> None:
    """Also where the gate denies that agent alone: the table that was printed is that of another one."""
    stopped = run(dataminer_barrier={"failed": True, "phase": "gate"}, dataminer_verified=None)
    said = text(stopped, run("DMA2", dataminer_gate={"failed": True, "msg": WRONG, **more}))
    assert summarise(stopped, purpose="upgrade", check=False).verdict == "stopped at the gate, unchanged"
    assert f"DMA2 failed (gate): {WRONG}" in said
    assert said.splitlines()[-1].startswith("NOT STARTED: nothing was changed on this cluster.")


def test_a_backup_of_a_part_of_a_cluster_says_who_has_none() -> None:
    row = {"rule": "limit", "verdict": "warn", "found": "left out of this run: DMA1, DMA3"}
    last = text(run("DMA2", dataminer_gate={**OK, "rows": [row]}), purpose="backup").splitlines()[-1]
    assert last == "1 of 1 agents: the backup ended well. The others have no new backup: DMA1, DMA3."


def denials(*pairs: tuple[str, str | None]) -> dict[str, Any]:
    """The result of a gate that denies, by rule and agent."""
    return {**FAILED, "rows": [{"rule": rule, "agent": agent, "verdict": "deny", "found": "x"} for rule, agent in pairs]}


def test_a_status_while_a_restore_is_at_work_says_so_last() -> None:
    """In step, but with the web servers held down: nobody is to take that for well, or to start them."""
    waits, installs = replace(BEFORE, job=job("commit")), state(host={"upgrade_running": True})
    runs = [run(before=waits), run("DMA2", before=waits), run("DMA3", before=installs), run("DMA4")]
    assert [summarise(one, purpose="status", check=False).verdict for one in runs] == [
        "in step; a restore is at work",
        "in step; a restore is at work",
        "in step; a DataMiner upgrade is at work",
        "in step",
    ]
    work = "a restore is at work on DMA1, DMA2; a DataMiner upgrade is at work on DMA3. Leave it alone, and run this again once it has ended."
    assert text(*runs, purpose="status").splitlines()[-1] == f"4 of 4 agents are in step, but {work}"
    differs = run("DMA4", dataminer_verified=FAILED)
    assert text(*runs[:3], differs, purpose="status").splitlines()[-1] == (
        f"3 of 4 agents are in step; look at DMA4. Nothing was changed, but {work}"
    )


def test_a_status_blames_no_agent_for_another_one() -> None:
    gate = denials(("read", "DMA3"))
    lost = run("DMA3", before=None, dataminer_scan={"unreachable": True, "msg": "no route"}, dataminer_gate=gate)
    runs = [run(dataminer_gate=gate), run("DMA2", dataminer_gate=gate), lost]
    verdicts = [summarise(one, purpose="status", check=False).verdict for one in runs]
    assert verdicts == ["read; not compared: DMA3 wasn't read"] * 2 + ["UNREACHABLE"]
    last = text(*runs, purpose="status").splitlines()[-1]
    assert last == "0 of 3 agents are in step; look at DMA3. DMA1, DMA2 were read, but not compared. Nothing was changed."


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ([("journal", "DMA1"), ("read", "DMA3")], "NOT WELL: see the gate's table"),
        ([("daas", None)], "NOT WELL: see the gate's table"),
        ([("journal", "DMA2")], "read; not compared: DMA2 is not well"),
        ([("journal", "DMA2"), ("read", "DMA3"), ("read", "DMA4")], "read; not compared: DMA3, DMA4 weren't read; DMA2 is not well"),
    ],
)
def test_a_status_is_not_well_only_by_what_is_its_own(rows: list[tuple[str, str | None]], verdict: str) -> None:
    assert summarise(run(dataminer_gate=denials(*rows)), purpose="status", check=False).verdict == verdict


def older(hours_ago: float, version: str) -> InstalledPackage:
    return replace(installed("Web", hours_ago), package=package(version))


@pytest.mark.parametrize(
    ("direction", "packages", "told"),
    [
        ("downgrade", (), True),
        ("reinstall", (older(9, "10.5.9.0-1"), older(2, "10.5.6.0-1")), True),  # an earlier run went back, this one finished
        ("reinstall", (older(9, "10.5.6.0-1"), older(2, "10.5.9.0-1")), False),  # content of the version that runs
        ("reinstall", (), False),
    ],
)
def test_modules_are_told_of_where_something_older_was_installed(direction: str, packages: tuple[InstalledPackage, ...], told: bool) -> None:
    now = replace(AFTER, packages=packages)
    gate = {**OK, "target": "10.5.6.0-1", "directions": {"DMA1": direction}}
    said = text(run(after=now, dataminer_gate=gate, dataminer_restore_committed=OK), purpose="downgrade")
    assert ("NOT reinstalled" in said) is told


@pytest.mark.parametrize(
    ("key", "result", "told"),
    [
        ("dataminer_recovered", FAILED, False),  # a restore of another run is at work
        ("dataminer_restore_committed", {"unreachable": True, "msg": "no route"}, False),
        ("dataminer_restore_undone", FAILED, False),
        ("dataminer_restore_released", FAILED, False),
        ("dataminer_restore_prepared", FAILED, True),
        ("dataminer_verified", FAILED, True),
    ],
)
def test_nobody_is_told_to_restart_a_web_server_that_a_restore_may_hold_down(key: str, result: dict[str, Any], told: bool) -> None:
    """The older package may have been installed by the run that is still at it."""
    now = replace(AFTER, packages=(older(9, "10.5.9.0-1"), older(2, "10.5.6.0-1")))
    said = text(run("DMA1", after=now), run("DMA2", after=now, **{key: result}), purpose="downgrade")
    assert ("restart W3SVC" in said) is told
    assert ("What is left to do by hand is told by the run that ends the restore." in said) is not told


def test_a_failure_is_told_with_its_reason() -> None:
    assert "DMA2 failed (install): The installer ended with code 1 | Found: no room" in text(run("DMA2", dataminer_upgrade_result=FAILED))


def test_a_note_stands_once_with_all_its_agents() -> None:
    noted = {**MADE, "notes": ["an app was left out"]}
    assert "Note (DMA1, DMA2): an app was left out" in text(run(dataminer_backup_result=noted), run("DMA2", dataminer_backup_result=noted))


def test_differences_between_agents_are_told() -> None:
    rows = [{"what": "app x differs on DMA2", "values": {"DMA1": "aa", "DMA2": "bb"}, "severity": "news"}]
    assert "News: app x differs on DMA2 (DMA1: aa; DMA2: bb)" in text(run(dataminer_verified={"differences": rows}))


def test_a_process_that_was_restarted_beside_the_web_server_is_named() -> None:
    old = [Process(name="SLNet", pid=1, started=NOW), Process(name="W3SVC", pid=2, started=NOW)]
    new = [Process(name="SLNet", pid=7, started=NOW), Process(name="W3SVC", pid=8, started=NOW)]
    before, after = state(host={"processes": tuple(old)}), state(host={"processes": tuple(new)})
    assert "Processes (DMA1): restarted beside the web server: SLNet" in text(run(before=before, after=after))
    assert "Processes" not in text(run(before=before, after=after), check=True)
    all_web = Names(modules={}, web_processes=["slnet.exe", "w3svc"])
    said = "\n\n".join(cluster_paragraphs("pluto", [run(before=before, after=after)], purpose="upgrade", check=False, names=all_web))
    assert "Processes (DMA1): no process beside the web server restarted" in said


def test_that_no_other_process_restarted_is_told_and_that_nobody_looked() -> None:
    unread = replace(AFTER, host=None)
    said = text(run(), run("DMA2"), run("DMA3", after=unread), run("DMA4", before=None, after=None))
    assert "Processes (DMA1, DMA2): no process beside the web server restarted" in said
    assert "Processes (DMA3): whether a process beside the web server restarted wasn't read" in said
    assert "DMA4):" not in said


def with_modules(*names: str) -> AgentState:
    modules = tuple(Module(name=name, version="10.5.9", code=f"{{{name}}}") for name in names)
    return replace(AFTER, host=replace(state().host, modules=modules))  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("target", "gqi", "dcm"),
    [
        ("10.5.11 (CU0)", r"the MSI of 10.5.11 (CU0) is in Tools\ModuleInstallers\Web", r"the MSI of 10.5.11 (CU0) is in Tools\ModuleInstallers,"),
        ("10.5.0 [CU8]", r"the MSI of 10.5.0 [CU8] is in Tools\ModuleInstallers\Web", r"the MSI of 10.5.0 [CU8] is in Tools\ModuleInstallers,"),
        ("10.5.4 (CU0)", "make sure that the MSI of 10.5.4 (CU0) is in", "uninstall it only. There is no MSI of it for 10.5.4 (CU0)"),
        ("10.5.1 (CU0)", "uninstall it only. There is no MSI of it for 10.5.1 (CU0)", "uninstall it only. There is no MSI of it for 10.5.1 (CU0)"),
        ("10.4.0 [CU20]", "uninstall it only.", "uninstall it only."),
        ("10.5.0", "make sure that the MSI of 10.5.0", "10.5.0 doesn't state its CU). If it is in"),
        (None, "no target version is known). If it is in", "no target version is known). If it is in"),
    ],
)
def test_what_to_do_about_each_module_goes_by_the_target(target: str | None, gqi: str, dcm: str) -> None:
    after = with_modules("DataMiner GQI", "DataMiner Web")
    said = text(run(after=after, dataminer_gate={**OK, "target": target, **BACK}), purpose="downgrade").splitlines()
    assert gqi in next(line for line in said if line.startswith("  GQI DxM: "))
    assert dcm in next(line for line in said if line.startswith("  Web DcM: "))


def test_a_changed_web_config_is_news_and_its_former_one_named() -> None:
    before, after = replace(BEFORE, web_config="aaa"), replace(AFTER, web_config="bbb")
    said = text(run(before=before, after=after, dataminer_upgrade_result={**UPGRADED, "web_config_before": "/work/jobs/i1/web.config.before"}))
    assert "News (DMA1): Webpages/API/Web.config changed. Compare it with the former one: /work/jobs/i1/web.config.before" in said
    assert "no copy" in text(run(before=before, after=after))
    assert "Web.config" not in text(run(before=before, after=replace(after, web_config="aaa")))
    assert "Web.config" not in text(run(before=replace(before, web_config=None), after=after))


def test_a_web_config_that_was_edited_before_this_run_looked_is_news_all_the_same() -> None:
    """The run took up an install of a controller that is gone: only the job has a copy from before."""
    before, after = replace(BEFORE, web_config="bbb"), replace(AFTER, web_config="bbb")
    job = {"run_id": "i1", "kind": "install", "state": "done", "started": "2026-11-24T04:15:00Z"}
    followed = {**UPGRADED, "job": job, "web_config_before": "/work/jobs/i1/web.config.before"}

    def said(result: dict[str, Any], **more: Any) -> str:
        return text(run(**{"before": before, "after": after, **more}, dataminer_upgrade_result=result))

    changed = "News (DMA1): Webpages/API/Web.config changed. Compare it with the former one: /work/jobs/i1/web.config.before"
    assert changed in said({**followed, "web_config_changed": True})
    assert changed in said({**followed, "web_config_changed": True}, after=None)
    assert "Web.config" not in said({**followed, "web_config_changed": False})
    unknown = "Webpages/API/Web.config wasn't compared, for its install was under way when this run began. Compare it with the former one: "
    assert f"{unknown}/work/jobs/i1/web.config.before" in said({**followed, "web_config_changed": None})
    lost = {**UPGRADED, "job": {**job, "state": "dead"}, "web_config_before": None}
    assert f"{unknown}web.config.before in the folder jobs/i1 of the working folder" in said(lost)
    begun_here = {**followed, "web_config_changed": None, "job": {**job, "started": "2100-01-01T00:00:00Z"}}
    assert "Web.config" not in said(begun_here), "the run looked before the install and after it"


def test_a_downgrade_says_what_is_no_longer_available() -> None:
    gate = {**OK, "target": "10.5.6.0-15848", **BACK}
    lost = "What needs web apps newer than 10.5.6 (CU0) is no longer available"
    assert lost in text(run(dataminer_gate=gate), purpose="downgrade")
    assert lost not in text(run(dataminer_gate=gate))
    assert lost not in text(run(dataminer_gate=gate, dataminer_upgrade_result=None), purpose="downgrade")


def test_a_restore_says_that_modules_were_not_reinstalled_and_which_are_there() -> None:
    host = replace(state().host, modules=(Module(name="DataMiner GQI", version="10.5.9", code="{1}"),))  # type: ignore[type-var]
    said = text(run(after=replace(AFTER, host=host), dataminer_gate={**OK, **BACK}), run("DMA2", before=None, after=None), purpose="downgrade")
    assert "NOT reinstalled" in said
    assert "DMA1: GQI DxM 10.5.9" in said
    assert "DMA2: module versions weren't read" in said


def test_nobody_is_told_to_uninstall_what_no_agent_has() -> None:
    gqi = with_modules("DataMiner GQI")
    gate = {**OK, "target": "10.5.6 (CU0)", **BACK}
    both = text(run(after=gqi, dataminer_gate=gate), run("DMA2", after=gqi, dataminer_gate=gate), purpose="downgrade")
    assert "  Web DcM: none was found to uninstall (by dataminer_module_names), and there is no MSI of it for 10.5.6 (CU0)" in both
    assert "  GQI DxM: make sure that the MSI of 10.5.6 (CU0) is in" in both
    one = text(run(after=gqi, dataminer_gate=gate), run("DMA2", after=with_modules("DataMiner Web"), dataminer_gate=gate), purpose="downgrade")
    assert "  Web DcM: uninstall it only." in one
    unread = text(run(after=gqi, dataminer_gate=gate), run("DMA2", before=None, after=None), purpose="downgrade")
    assert "  Web DcM: uninstall it only." in unread


def test_the_status_tells_where_each_fact_was_read() -> None:
    said = status_text([("DMA1", BEFORE)])
    assert "the test says so (dataminer_web_version)" in said.replace("\n", " ")
    assert "2.0 KB in 2 files" in said
    assert "0 low-code apps, 2 dashboards" in said


def cells(one: AgentState) -> dict[str, tuple[str, str]]:
    return {fact: (found, where) for fact, found, where in facts(one, {"GQI DxM": "DataMiner Query"})}


def test_the_status_tells_what_is_inferred_or_found_nowhere() -> None:
    """An operator compares these with the first agent, and sees which variable corrects each."""
    host = {"processes": (Process(name="w3wp", pid=1, started=NOW), Process(name="SLNet", pid=2, started=NOW)), "runtimes": ()}
    told = cells(state(host=host, packages=(replace(installed("Web", 1), said="Upgrade succeeded"),), vendor_folder=("/dm/Backups", False)))
    assert told["last package"][0].endswith('Web Upgrade.dmupgrade: succeeded, by the line "Upgrade succeeded"')
    assert "dataminer_progress_success_pattern" in told["last package"][1]
    assert told["vendor's backups"] == ("no such folder", "/dm/Backups (dataminer_vendor_backup_dir)")
    assert told["modules"][1] == "Uninstall entries; compared: GQI DxM (DataMiner Query…) (dataminer_module_names)"
    assert told["processes"] == ("SLNet, w3wp", "those in dataminer_web_processes may restart")
    assert told["web server"] == ("not asked for its service", "the state of its service (dataminer_web_service)")
    assert told["installer"] == ("not looked for", "dataminer_installer")
    assert told[".NET"][0] == "none"
    assert told["free space"][0] == ", ".join(["/srv/dm: 1000.0 GB"] * 3)
    assert told["DataMiner"] == ("C:\\Skyline DataMiner", "dataminer_root")


@pytest.mark.parametrize(
    ("completed", "facts", "said"),
    [
        (False, {}, "didn't succeed"),
        (False, {"job": job("install")}, "an install is running"),
        (None, {"job": job("install")}, "an install is running"),
        (False, {"host": {"upgrade_running": True}}, "an install is running"),
        (True, {"host": {"upgrade_running": True}}, "succeeded"),  # it counts as running for some minutes after its end
        (False, {"job": job("backup")}, "didn't succeed"),
    ],
)
def test_the_status_of_the_last_package(completed: bool | None, facts: dict[str, Any], said: str) -> None:
    """How the log ends tells nothing while somebody writes it."""
    packages = (replace(installed("Web", 0.1, completed=completed), said="Copying files"),)
    assert cells(state(packages=packages, **facts))["last package"][0].endswith(f'Upgrade.dmupgrade: {said}, by the line "Copying files"')


@pytest.mark.parametrize(("found", "said"), [("Stopped", "W3SVC: Stopped"), (None, "there is no service W3SVC")])
def test_the_status_of_the_web_server(found: str | None, said: str) -> None:
    assert cells(state(web_service=("W3SVC", found)))["web server"][0] == said


@pytest.mark.parametrize(("size", "said"), [(7, "there"), (None, "no such file")])
def test_the_status_of_the_installer(size: int | None, said: str) -> None:
    assert cells(state(installer_file=PackageFile(path="/x.exe", size=size)))["installer"] == (said, "/x.exe (dataminer_installer)")


def test_the_status_of_a_bare_agent() -> None:
    pair = cluster(1, "10.0.0.1", failover=True)
    told = cells(state(root_exists=False, has_web_folder=False, cluster=pair, vendor_folder=("/dm/Backups", True)))
    assert told["DataMiner"][0] == "C:\\Skyline DataMiner doesn't exist"
    assert told["folder Web"][0] == "none"
    assert told["vendor's backups"][0] == "none"
    assert told["cluster"][0].endswith("a Failover pair, its other machine is not known")
    assert cells(replace(state(), host=None))["processes"][0] == "not read"
