"""Commits and undos whose process was gone at one of their steps: what they had left by then is undone, or committed again, to the end.

A job leaves at each step a copy of all that a power cut there would have left. tests/unit/test_local_undo.py kills those of the POSIX adapter.
"""

from __future__ import annotations

import copy
import shutil
import stat
import uuid
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.plugin_utils import windows_host
from conftest import Lane, in_an_engine, scripted_lane
from restores import BACKUP, LATER, MIGRATED, OVERVIEW, Restore

SAVE = r"""
$script:points = @{}
function Save-Point([string]$name) {
    $script:points[$name]++
    $from = [IO.Path]::GetDirectoryName($job.work)
    $to = [IO.Path]::Combine($from, 'points', "$name $($script:points[$name])")
    foreach ($part in 'agent', 'work') {
        $folders = [IO.Directory]::GetDirectories([IO.Path]::Combine($from, $part), '*', [IO.SearchOption]::AllDirectories)
        foreach ($folder in $folders) { [void][IO.Directory]::CreateDirectory($to + $folder.Substring($from.Length)) }
        foreach ($file in [IO.Directory]::GetFiles([IO.Path]::Combine($from, $part), '*', [IO.SearchOption]::AllDirectories)) {
            try { [IO.File]::Copy($file, $to + $file.Substring($from.Length)) } catch [IO.IOException] { Write-Log 'locked' }
        }
    }
}

"""
WORK = "function Invoke-JobWork($spec) {"
COMMIT = {
    "begun": "$swap.made = @($made)\n",
    "planned": "$tally = @{ moved = 0 }",
    "next": "if ($swap.now) { Invoke-OnFile $staged { [IO.File]::SetLastWriteTimeUtc($staged, [DateTime]::UtcNow) } }",
    "held": "Switch-File $staged $target $swap.discarded\n",
    "taken": "if (-not [IO.FileInfo]::new($old).Length) { Remove-Waste $old; return }",
    "cleared": "Assert-Swapped $wrong\n",
    "waiting": "$word = Wait-Word\n",
}
AGAIN = ("begun 1", "next 1", "held 1", "taken 2", "cleared 1", "waiting 1")
UNDO = {
    "opened": "$back = Invoke-Stopped @{ runs",
    "away": "Remove-Seen $swap $old $found $row.path\n    return",
    "back": "if ($old) { Remove-Seen $swap $old $found $row.path }",
    "emptied": "Remove-MadeFolder $swap\n",
    "ended": "Close-Journal $commit 'undone' $job.run_id",
}


def followed(restore: Restore, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], run: str, points: dict[str, str]) -> list[Path]:
    """A job carried out: copies of all there was at each of these lines, named by it and by how often it had come."""
    text = windows_host.script_text(f"job_{asked['kind']}").replace(WORK, SAVE + WORK)
    for name, line in points.items():
        assert text.count(line) == 1, name
        text = text.replace(line, f"Save-Point '{name}'; {line}")
    with monkeypatch.context() as patched:
        patched.setattr(windows_host, "_packed_script", lambda _name: windows_host._pack(text))
        ended(restore, asked, run)
    places = list((restore.lane.home / "points").iterdir())
    assert {place.name.partition(" ")[0] for place in places} == set(points)
    return places


def at(restore: Restore, place: Path) -> Restore:
    """The restore as such a copy holds it: an agent of its own, where no job runs. Another copy, so that it can be asked for more than once."""
    lane, home = restore.lane, place.with_name(uuid.uuid4().hex[:8])
    assert lane.engine is not None
    shutil.copytree(place, home)
    found = copy.copy(restore)
    found.lane = scripted_lane(lane.name, home, lane.native, lane.engine, list(lane.program), apart=False)
    found.root, found.work = home / "agent", home / "work"
    return found


def ended(restore: Restore, asked: dict[str, Any], run: str = "") -> dict[str, Any]:
    status = restore.lane.run({**asked, "root": restore.root, "service": None, "host_command": None}, run)
    assert status.state == "done", status.error
    return status.result or {}


def is_as_before(restore: Restore) -> None:
    assert restore.content() == MIGRATED
    assert [path.name for path in restore.root.iterdir()] == ["Dashboards"]
    assert not (restore.root / OVERVIEW).stat().st_mode & stat.S_IWRITE
    assert [path for name in ("replaced", "conflicts", "staging") for path in restore.work.glob(f"{name}/p1/**/*") if path.is_file()] == []


@pytest.fixture
def restore(host: Lane) -> Restore:
    """A read-only file takes the longer way."""
    restore = Restore(host)
    (restore.root / OVERVIEW).chmod(0o444)
    return restore


@in_an_engine
def test_a_commit(restore: Restore, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is undone to the byte, or committed again to its end."""
    places = followed(restore, monkeypatch, restore.commit_spec(leftovers=[LATER]), "c1", COMMIT)
    assert sorted(place.name for place in places) == sorted(
        [*(f"{name} 1" for name in COMMIT), "next 2", "next 3", "held 2", "taken 2"],
    )
    for place in places:
        killed = at(restore, place)
        result = ended(killed, killed.undo_spec())
        assert (result["kept"], result["conflicts"], killed.state()) == ([], [], "undone"), place.name
        is_as_before(killed)
    for place in (place for place in places if place.name in AGAIN):
        killed = at(restore, place)
        result = ended(killed, killed.commit_spec(leftovers=[LATER]), "c2")
        assert (result["verified"], result["quarantined"]) == (len(BACKUP), [LATER]), place.name
        assert killed.content() == {**{path: text for path, text in MIGRATED.items() if path != LATER}, **BACKUP}
        assert (killed.state("c1"), killed.state("c2")) == ("released", "released")
    ended(killed, killed.undo_spec("c2"))
    is_as_before(killed)


@in_an_engine
def test_an_undo(restore: Restore, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is taken up by the next one, which gives what the first would have given."""
    ended(restore, restore.commit_spec(leftovers=[LATER]), "c1")
    places = followed(restore, monkeypatch, restore.undo_spec(), "u1", UNDO)
    assert len(places) == len(UNDO) + 2
    for place in places:
        killed = at(restore, place)
        assert killed.state() == "undoing"
        result = ended(killed, killed.undo_spec())
        assert (result["kept"], result["conflicts"], killed.state()) == ([], [], "undone"), place.name
        is_as_before(killed)
