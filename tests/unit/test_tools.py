"""The check itself: what it selects, how it counts, and that nothing that went wrong can look like success."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "tools"))

import check
import lanes
import outcome
import sanity
import steps
import venvs
from outcome import Outcome, Run, Step


def step(name, action=None, *, needs=(), cores=1):
    return Step(name, f"about {name}", action or (lambda run, log: Outcome(passed=1)), cores=cores, needs=needs)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(check, "ROOT", tmp_path)
    logs = tmp_path / "logs"
    logs.mkdir()
    return Run(root=tmp_path, temp=tmp_path, logs=logs)


CHAIN = [step("venv"), step("build", needs=("venv",)), step("sanity", needs=("build",)), step("sanity@2.21", needs=("build",)), step("ruff")]


@pytest.mark.parametrize(
    ("only", "skip", "names"),
    [
        ("", "", ["venv", "build", "sanity", "sanity@2.21", "ruff"]),
        ("ruff", "", ["ruff"]),
        ("sanity", "", ["venv", "build", "sanity"]),
        ("sanity*", "", ["venv", "build", "sanity", "sanity@2.21"]),
        ("ruff, build", "", ["venv", "build", "ruff"]),
        ("", "sanity*", ["venv", "build", "ruff"]),
        ("", "venv,ruff", ["venv", "build", "sanity", "sanity@2.21"]),
    ],
)
def test_a_selection_brings_what_it_needs(only, skip, names):
    assert [found.name for found in check.select(CHAIN, only=only, skip=skip)] == names


@pytest.mark.parametrize("option", ["only", "skip"])
def test_a_name_that_matches_no_step_is_an_error(option):
    with pytest.raises(SystemExit, match=r"No step is called 'rufff'.*ruff"):
        check.select(CHAIN, **{"only": "", "skip": "", option: "rufff"})


def test_every_step_needs_only_steps_that_come_before_it():
    known: set[str] = set()
    for found in steps.all_steps():
        assert set(found.needs) <= known
        assert found.name not in known
        known.add(found.name)


def test_an_exception_in_a_step_is_a_failure_with_its_reason_in_the_log(run, capsys):
    def fails(run, log):
        raise ValueError("no such thing")

    outcomes = check.run_all([step("one", fails), step("two")], run, cores=1)
    assert (outcomes["one"].failed, outcomes["two"].passed) == (1, 1)
    assert "ValueError: no such thing" in capsys.readouterr().out


def test_steps_wait_for_what_they_need_and_never_take_more_cores_than_there_are(run):
    busy, most, finished, lock = 0, 0, [], threading.Lock()

    def action(name, cores):
        def work(run, log):
            nonlocal busy, most
            with lock:
                busy += cores
                most = max(most, busy)
            time.sleep(0.02)
            with lock:
                busy -= cores
                finished.append(name)
            return Outcome(passed=1)

        return work

    plan = [("a", 1, ()), ("b", 1, ("a",)), ("c", 2, ()), ("d", 1, ("c",)), ("e", 1, ())]
    outcomes = check.run_all([step(name, action(name, cores), needs=needs, cores=cores) for name, cores, needs in plan], run, cores=2)
    assert set(outcomes) == set("abcde")
    assert most == 2
    assert finished.index("a") < finished.index("b")
    assert finished.index("c") < finished.index("d")


def test_a_step_bigger_than_the_machine_still_runs(run):
    assert check.run_all([step("big", cores=8)], run, cores=1)["big"].passed == 1


def test_a_step_is_skipped_with_the_reason_of_what_is_unavailable(run):
    there_is_none = step("venv@2.21", lambda run, log: Outcome(unavailable=True, reasons=("no Python 3.12",)))
    outcomes = check.run_all([there_is_none, step("unit@2.21", needs=("venv@2.21",))], run, cores=2)
    assert outcomes["unit@2.21"] == replace(Outcome(skipped=1, reasons=("no Python 3.12",)), seconds=outcomes["unit@2.21"].seconds)


def test_a_step_is_not_run_when_what_it_needs_failed(run):
    outcomes = check.run_all([step("build", lambda run, log: Outcome(failed=1)), step("sanity", needs=("build",))], run, cores=2)
    assert outcomes["sanity"].reasons == ("needs build, which failed",)
    assert check.conclude(outcomes) == 1


@pytest.mark.parametrize(
    ("outcomes", "line", "status"),
    [
        ([Outcome(passed=3, skipped=1, reasons=("why",)), Outcome(passed=1)], "4 passed, 0 failed, 1 skipped", 0),
        ([Outcome(passed=3), Outcome(failed=2)], "3 passed, 2 failed, 0 skipped", 1),
        ([Outcome(skipped=1, reasons=("why",))], "0 passed, 0 failed, 1 skipped", 1),
        ([], "0 passed, 0 failed, 0 skipped", 1),
    ],
)
def test_the_last_line_counts_and_the_status_follows(outcomes, line, status, capsys):
    assert check.conclude({f"step {number}": found for number, found in enumerate(outcomes)}) == status
    assert capsys.readouterr().out.splitlines()[-1] == line


def test_reasons_of_skipped_tests_are_listed_once_with_their_number(capsys):
    check.conclude({"unit": Outcome(passed=1, skipped=3, reasons=("no engine", "other", "no engine"))})
    assert capsys.readouterr().out.splitlines()[2:4] == ["  unit: 2x no engine", "  unit: 1x other"]


def test_what_failed_is_named_once_more_at_the_end(capsys):
    broken = ("tests.unit.test_a::test_b: assert 1 == 2", "tests.unit.test_a::test_c: KeyError")
    check.conclude({"unit": Outcome(passed=1, failed=2, broken=broken), "mypy": Outcome(failed=1), "ruff": Outcome(passed=1)})
    assert capsys.readouterr().out.splitlines()[1:5] == ["failed:", *(f"  unit: {line}" for line in broken), "  mypy: its log says why"]


JUNIT = """<testsuites><testsuite errors="{errors}" failures="{failures}" skipped="1" tests="{tests}">
<testcase name="a"><skipped type="pytest.skip" message="PWSH names no engine">x</skipped></testcase></testsuite></testsuites>"""


@pytest.mark.parametrize(
    ("tests", "failures", "errors", "status", "counts"),
    [
        (5, 0, 0, 0, (4, 0, 1)),
        (5, 1, 1, 1, (2, 2, 1)),
        (1, 0, 0, 0, (0, 0, 1)),
        (5, 0, 0, 3, (4, 1, 1)),  # pytest itself broke after the tests
    ],
)
def test_counts_come_from_the_report_of_pytest(tmp_path, tests, failures, errors, status, counts):
    report = tmp_path / "report.xml"
    report.write_text(JUNIT.format(tests=tests, failures=failures, errors=errors))
    found = outcome.from_junit(report, status)
    assert (found.passed, found.failed, found.skipped) == counts
    assert found.reasons == ("PWSH names no engine",)


def test_the_report_of_pytest_names_what_failed(tmp_path):
    report = tmp_path / "report.xml"
    case = '<testcase classname="tests.unit.test_a" name="test_b[x]"><{kind} message="{message}">long</{kind}></testcase>'
    cases = [case.format(kind="failure", message="assert 1 == 2&#10;where"), case.format(kind="error", message=""), '<testcase name="good"/>']
    report.write_text(f'<testsuites><testsuite errors="1" failures="1" skipped="0" tests="3">{"".join(cases)}</testsuite></testsuites>')
    assert outcome.from_junit(report, 1).broken == (
        "tests.unit.test_a::test_b[x]: assert 1 == 2",
        "tests.unit.test_a::test_b[x]: it says nothing",
    )


def test_a_pytest_that_left_no_report_failed(tmp_path):
    assert outcome.from_junit(tmp_path / "none.xml", 0).failed == 1


def ended_within(seconds, pid):
    """Whether a process of that id is gone, or dead and not yet collected, before the time is over."""
    stat = Path(f"/proc/{pid}/stat")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


def test_a_command_past_its_time_is_ended_with_its_children(tmp_path, monkeypatch):
    monkeypatch.setattr(outcome, "TIME_LIMIT", 1)
    log = tmp_path / "log"
    started = time.monotonic()
    assert outcome.execute(["sh", "-c", "sleep 120 & echo $!; sleep 120"], log, cwd=tmp_path, env={"PATH": "/bin:/usr/bin"}) == 124
    assert time.monotonic() - started < 60
    child = int(log.read_text().splitlines()[1])
    assert ended_within(30, child)


def test_a_command_gets_no_input_and_leaves_its_output_in_the_log(tmp_path):
    log = tmp_path / "log"
    assert outcome.execute(["sh", "-c", "cat; echo out; echo err >&2; exit 7"], log, cwd=tmp_path, env={"PATH": "/bin:/usr/bin"}) == 7
    assert log.read_text().splitlines()[1:] == ["out", "err"]


def test_settings_of_pip_reach_ansible_test_environment_first(monkeypatch, tmp_path):
    text = "\n".join([":env:.index-url='there'", "global.cert='/etc/ca.crt'", "global.index-url='here'", "download.dest='no'"])
    monkeypatch.setattr(sanity, "run", lambda argv: text)
    settings = sanity.pip_settings(venvs.Environment(path=tmp_path, base=tmp_path))
    assert settings == {"cert": "/etc/ca.crt", "index-url": "there"}
    target = tmp_path / "home" / "pip.conf"
    sanity.write_pip_settings(target, settings)
    assert target.read_text().splitlines()[:3] == ["[global]", "cert = /etc/ca.crt", "index-url = there"]
    assert target.stat().st_mode & 0o077 == 0


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    """Environments that only note what would be made and installed."""
    calls: list[object] = []
    monkeypatch.setattr(venvs, "ROOT", tmp_path)
    monkeypatch.setattr(venvs, "create", lambda env: (calls.append("create"), env.path.mkdir(exist_ok=True)))
    monkeypatch.setattr(venvs, "install", lambda env, names, pins: calls.append([*names, *pins]))
    for name in ("run.txt", "test.txt"):
        (tmp_path / name).write_text(name)

    def ensure(*files, core=None):
        calls.clear()
        venvs.ensure(venvs.Environment(path=tmp_path / ".venv", base=Path(sys.executable)), files, core=core)
        return list(calls)

    return ensure


def test_an_environment_is_made_once_and_extended_in_place(workshop):
    assert workshop("run.txt") == ["create", ["run.txt"]]
    assert workshop("run.txt") == []
    assert workshop("run.txt", "test.txt") == [["test.txt"]]
    assert workshop("run.txt") == []


def test_an_environment_is_made_again_when_its_requirements_change(workshop, tmp_path):
    workshop("run.txt", "test.txt", core="2.19")
    (tmp_path / "run.txt").write_text("other")
    assert workshop("run.txt", "test.txt", core="2.19") == ["create", ["run.txt", "test.txt", "ansible-core", "ansible-core==2.19.*"]]
    assert workshop("run.txt", core="2.21") == ["create", ["run.txt", "ansible-core", "ansible-core==2.21.*"]]


def test_an_environment_that_was_moved_or_half_made_is_made_again(workshop, tmp_path):
    workshop("run.txt")
    stamp = tmp_path / ".venv" / venvs.STAMP
    stamp.write_text(stamp.read_text().replace(str(tmp_path), "/elsewhere"))
    assert workshop("run.txt") == ["create", ["run.txt"]]
    stamp.write_text("{")
    assert workshop("run.txt") == ["create", ["run.txt"]]


def test_an_interpreter_that_does_not_start_is_no_python(tmp_path):
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\necho 'pyenv: python3.12: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    assert venvs.python_version(shim) is None
    assert venvs.python_version(Path(sys.executable)) == f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.mark.parametrize(("ci", "failed"), [("true", 1), ("", 0)])
@pytest.mark.parametrize("there", [True, False])
def test_a_python_that_is_there_and_of_no_use_fails_a_build_server(run, monkeypatch, ci, failed, there):
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PATH", str(run.temp))
    monkeypatch.setenv("PYENV_ROOT", str(run.temp))
    monkeypatch.setitem(venvs.PYTHONS, "2.20", ("9.9",))
    if there:
        executable(run.temp / "python9.9")
    found = steps.make_other("2.20", run, run.logs / "venv.log")
    assert (found.failed, found.unavailable) == (failed * there, not failed * there)


def test_the_check_lists_its_steps_without_doing_anything():
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "tools" / "check.py"), "--list", "--only", "unit"], capture_output=True, text=True, check=True
    )
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["venv", "unit"]


def executable(path):
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


REQUIRED = "tests/requirements.txt brings what it needs"
NOT_RUN = "lane powershell: PWSH names /no/pwsh, which can't be run"


@pytest.mark.parametrize(
    ("reasons", "environ", "found"),
    [
        ([NOT_RUN] * 3, {"PWSH": "/no/pwsh"}, [f"lane powershell: 3 skipped although PWSH names /no/pwsh: {NOT_RUN.partition(': ')[2]}"]),
        (["lane windows: no Wine"], {"PWSH_WINDOWS": "/wine"}, ["lane windows: 1 skipped although PWSH_WINDOWS names /wine: no Wine"]),
        (["lane psrp: the library pypsrp is missing"], {}, [f"lane psrp: 1 skipped although {REQUIRED}: the library pypsrp is missing"]),
        (["lane windows: no Wine", "lane powershell: none", "lane openssh: no program ssh on PATH"], {}, []),
        (["lane windows: PWSH_WINDOWS names no engine"], {"PWSH": "/pwsh", "PWSH_WINDOWS": ""}, []),
        (["the engine has no check", "posix: on Windows there is the lane windows only"], {"PWSH": "/pwsh", "PWSH_WINDOWS": "/wine"}, []),
    ],
)
def test_a_lane_that_could_have_run_must_not_be_skipped(reasons, environ, found):
    assert lanes.passed_over(reasons, {"PATH": "/nowhere", **environ}) == found


def test_an_engine_on_the_path_counts(tmp_path):
    program = executable(tmp_path / "pwsh")
    (said,) = lanes.passed_over(["lane powershell: it broke"], {"PATH": str(tmp_path)})
    assert said == f"lane powershell: 1 skipped although {program} is on PATH: it broke"


@pytest.mark.parametrize(("ci", "failed"), [("true", 1), ("1", 1), ("false", 0), ("", 0)])
def test_a_skipped_lane_fails_the_step_on_a_build_server_only(run, monkeypatch, ci, failed):
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PWSH", "/no/pwsh")
    log = run.logs / "conformance.log"
    found = steps.all_lanes(Outcome(passed=4, skipped=2, reasons=(NOT_RUN, "other")), log)
    assert (found.passed, found.failed, found.skipped) == (4, failed, 2)
    assert log.read_text() == f"lane powershell: 1 skipped although PWSH names /no/pwsh: {NOT_RUN.partition(': ')[2]}\n" * failed


def test_every_test_that_needs_an_engine_names_its_lane():
    """Else nobody notices on a build server that it was skipped."""
    skip = re.compile(r"except \w*EngineMissing\b.*\n\s+pytest\.skip\((?!f\"lane )")
    assert [path.name for path in (ROOT / "tests").rglob("*.py") if skip.search(path.read_text(encoding="utf-8"))] == []


def test_lanes_are_judged_from_reports(tmp_path, monkeypatch, capsys):
    report = tmp_path / "report.xml"
    report.write_text(JUNIT.format(tests=2, failures=0, errors=0).replace("PWSH names no engine", "lane windows: gone"))
    monkeypatch.delenv("PWSH_WINDOWS", raising=False)
    assert lanes.main([str(report)]) == 0
    monkeypatch.setenv("PWSH_WINDOWS", "/wine")
    assert lanes.main([str(report)]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "lane windows: 1 skipped although PWSH_WINDOWS names /wine: gone"


@pytest.mark.parametrize(
    ("tests", "variables", "said"),
    [
        (
            "conformance/test_engine.py",
            {"PWSH": "{tmp}/plain"},
            "lane powershell: 11 skipped although PWSH names {tmp}/plain: PWSH names {tmp}/plain, which",
        ),
        (
            "conformance/test_jobs.py::test_one_that_nobody_started",
            {"PWSH_WINDOWS": "{tmp}/no-wine"},
            "lane windows: 1 skipped although PWSH_WINDOWS names",
        ),
        ("unit/test_played_psrp.py", {"PYTHONPATH": "{tmp}"}, f"lane psrp: 1 skipped although {REQUIRED}: the library pypsrp is missing"),
    ],
)
def test_the_suites_say_which_lane_they_skip(tests, variables, said, tmp_path):
    """Really skipped: by a file that can't be run, a wrapper that finds no Wine, a library that isn't there."""
    (tmp_path / "plain").touch()
    executable(tmp_path / "no-wine").write_text("#!/bin/sh\nexit 127\n")
    (tmp_path / "pypsrp.py").write_text("raise ModuleNotFoundError('pypsrp')\n")
    told = {name: value.format(tmp=tmp_path) for name, value in variables.items()}
    kept = {name: value for name, value in os.environ.items() if name not in ("PWSH", "PWSH_WINDOWS") and not name.startswith("PYTEST_")}
    environ = {**kept, "PATH": os.defpath, **told}
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={tmp_path}/report.xml", str(ROOT / "tests" / tests)]
    done = subprocess.run(argv, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode in (0, 5), done.stdout
    (found,) = lanes.passed_over(lanes.skipped(tmp_path / "report.xml"), environ)
    assert found.startswith(said.format(tmp=tmp_path))


def test_notes_of_a_step_are_printed(run, capsys):
    check.run_all([step("coverage", lambda run, log: Outcome(passed=1, notes=("99.0 % of 9 lines",)))], run, cores=1)
    assert capsys.readouterr().out.splitlines()[1] == "    99.0 % of 9 lines"


def test_every_supported_core_has_its_steps():
    cores = {found.name.partition("@")[2] for found in steps.all_steps() if found.name.startswith("integration@")}
    assert cores == set(steps.other_cores())
    assert len(venvs.PYTHONS.keys() - cores) == 1  # that of .venv
