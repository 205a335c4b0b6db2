"""The working folder belongs to administrators: its rights as they are judged, mended and refused."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import Lane
from harness import ON_WINDOWS, Engine
from test_job_install import spec
from test_services import library

pytestmark = pytest.mark.apart  # an installer inherits what its job has

FUNCTIONS = library("files", "json", "setup", "values", "guard")
HEAD = "[CmdletBinding(SupportsShouldProcess)] param($a)\n" + FUNCTIONS + "\n"
ME = "S-1-5-21-1-2-3-1001"


def run(engine: Engine | None, script: str, a: Any = None) -> dict[str, Any]:
    assert engine is not None
    return engine.execute(HEAD + script, {"a": a}, 3)


@pytest.mark.parametrize(
    ("rights", "weak"),
    [
        ("O:BAD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)", False),
        (f"O:{ME}D:PAI(A;OICI;FA;;;{ME})", False),
        ("O:SYD:AI(A;OICIID;FA;;;SY)(A;OICIID;0x1200a9;;;BU)(A;OICIIOID;GA;;;CO)", False),  # others may read
        ("O:BAD:AI(A;CIID;LC;;;BU)", True),  # they may make folders, as below C:\\
        ("O:BAD:AI(A;OICIIOID;SDGXGWGR;;;AU)", True),  # what is made in it may be changed
        ("O:BAD:(A;;WD;;;WD)", True),  # its rights may be changed
        ("O:BAD:(D;OICI;FA;;;BU)", False),
        ("O:BUD:PAI(A;OICI;FA;;;SY)", True),
        ("O:S-1-5-21-1-2-3-1002D:PAI(A;OICI;FA;;;SY)", True),
        ("O:BA", True),  # no list at all lets everybody in
    ],
)
def test_rights_as_they_are_judged(windows: Lane, rights: str, weak: bool) -> None:
    answer = run(windows.engine, f"$Ansible.Result = @{{ weak = (Get-WeakRight $a '{ME}') }}", rights)
    assert not answer["failed"], answer["error"]
    assert bool(answer["result"]["weak"]) is weak


def weaken(folder: Path) -> None:
    """As a folder that every user may write."""
    folder.mkdir(parents=True, exist_ok=True)
    if ON_WINDOWS:
        subprocess.run(["icacls", str(folder), "/grant", "*S-1-5-32-545:(OI)(CI)M"], check=True, capture_output=True)
    else:
        folder.chmod(0o777)


def weakness(lane: Lane, folder: Path) -> str:
    return str(run(lane.engine, "$Ansible.Result = @{ weak = (Get-Weakness $a) }", lane.native(folder))["result"]["weak"])


@pytest.mark.parametrize("weak", [(), ("work",), ("work", "work/jobs")])
def test_a_start_makes_the_folder_safe(windows: Lane, weak: tuple[str, ...]) -> None:
    for name in weak:
        weaken(windows.home / name)
        assert weakness(windows, windows.home / name)
    assert windows.run(spec(windows), "i1").state == "done"
    for name in ("work", "work/jobs"):
        assert weakness(windows, windows.home / name) == ""


def test_a_new_folder_is_nobody_elses_to_read(windows: Lane) -> None:
    if ON_WINDOWS:
        pytest.skip("Windows: what others may read is in the rights, not in a mode")
    windows.run(spec(windows), "i1")
    assert (windows.home / "work").stat().st_mode & 0o007 == 0


REFUSED = """
function Get-Weakness { return $(if ($a['mended'] -and $script:set) { '' } else { $a['weak'] }) }
function Get-FolderOwner { return 'AGENT\\mallory' }
function Assert-Owners { }
function Set-Guard {
    if ($a['denied']) { throw [UnauthorizedAccessException]::new('Attempted to perform an unauthorized operation.') }
    $script:set = $true
}
$script:set = $false
$onWindows = $true
try { Protect-Folder $a['folder']; $Ansible.Result = @{ told = ''; set = $script:set } }
catch { $Ansible.Result = @{ told = (Get-OurError $_)['found']; set = $script:set } }
"""


@pytest.mark.parametrize(
    ("case", "filled", "told", "mended"),
    [
        ({"weak": ""}, True, "", False),
        ({"weak": "Users", "mended": True}, True, "", True),
        ({"weak": "Users"}, True, "Users may write there", True),
        ({"weak": "Users", "denied": True}, True, "Attempted to perform an unauthorized operation.", False),
        ({"weak": "owner"}, True, "it belongs to AGENT\\mallory, who may have put things into it", False),
        ({"weak": "owner", "mended": True}, False, "", True),  # an empty one is taken over
    ],
)
def test_what_is_mended_and_what_is_refused(powershell: Engine, tmp_path: Path, case: dict[str, Any], filled: bool, told: str, mended: bool) -> None:
    if filled:
        (tmp_path / "jobs").mkdir()
    answer = run(powershell, REFUSED, {**case, "folder": str(tmp_path)})
    assert not answer["failed"], answer["error"]
    assert answer["result"] == {"told": told, "set": mended}


PLANTED = """
function Get-Weakness { return $(if ($script:set) { '' } else { 'Users' }) }
function Set-Guard { $script:set = $true }
$script:set = $false
$real = ${function:Assert-Owner}
function Assert-Owner([string]$folder, $entry) {
    if ($entry.Name -ceq $a['foreign']) { function Get-CurrentUser { return 'S-1-5-21-9-9-9-1001' }; $trusted = @() }
    & $real $folder $entry
}
try { Protect-Folder $a['folder']; $Ansible.Result = @{ told = ''; set = $script:set } }
catch { $Ansible.Result = @{ told = (Get-OurError $_)['found']; set = $script:set } }
"""


PLACES = ("jobs/", "lock.json", "jobs/i1/spec.json", "aside/a.zip")


@pytest.mark.parametrize(("name", "foreign"), [("jobs/", ""), ("jobs/i1/spec.json", "i1"), *((name, Path(name).name) for name in PLACES)])
def test_what_others_put_into_an_open_folder_is_refused(windows: Lane, name: str, foreign: str) -> None:
    """Once the folder is mended what is in it would be trusted, and whoever made that still owns it."""
    told, mended = mend(windows, name, foreign)
    assert mended is not bool(foreign)
    assert (f"{foreign} in it belongs to " in told) is bool(foreign)
    assert told.endswith(", and others may write there") is bool(foreign)


@pytest.mark.parametrize(("foreign", "mended"), [("a.json", True), ("p1", False)])
def test_content_that_was_taken_away_keeps_its_owners(windows: Lane, foreign: str, mended: bool) -> None:
    assert mend(windows, "replaced/p1/Web/a.json", foreign)[1] is mended


def mend(lane: Lane, name: str, foreign: str) -> tuple[str, bool]:
    """What is told of a working folder that others may write, with a file or folder of that name in it, and whether it was mended. What is called
    `foreign` belongs to another user.
    """
    work = lane.home / "work"
    (work / name).parent.mkdir(parents=True)
    (work / name).mkdir() if name.endswith("/") else (work / name).touch()
    answer = run(lane.engine, PLANTED, {"folder": lane.native(work), "foreign": foreign})
    assert not answer["failed"], answer["error"]
    return answer["result"]["told"], answer["result"]["set"]


def test_what_cannot_be_listed_is_not_taken_for_empty(powershell: Engine, tmp_path: Path) -> None:
    script = REFUSED.replace("try { Protect-Folder", "function Get-Entry { return , @() }\ntry { Protect-Folder")
    (tmp_path / "jobs").mkdir()
    answer = run(powershell, script, {"weak": "owner", "mended": True, "folder": str(tmp_path)})
    assert answer["result"] == {"told": "it belongs to AGENT\\mallory, who may have put things into it", "set": False}, answer["error"]
