"""Another program in the way of a backup at the wrong moment."""

from __future__ import annotations

import hashlib

import pytest
from conftest import LANES, Lane, in_an_engine, replace_in_job
from test_job_backup import FILES, contents, fill, left, spec

TRIP = """if (-not $script:tripped) {
            $script:tripped = $true
            $gzip.Write([byte[]]::new(5000), 0, 5000)
            throw [IO.IOException]::new('held', [int]0x80070020)
        }
        """

AGAIN = "    $again = New-FileList $root @($spec['items'])\n"
WHILE_READ = {
    "a file appears": "[IO.File]::WriteAllText($list.files[0].full + '.json', 'b')",
    "a file vanishes": "[IO.File]::Delete($list.files[0].full)",
    "a folder vanishes": "[IO.Directory]::Delete([IO.Path]::GetDirectoryName($list.files[0].full), $true)",
    "a file is written, and keeps size and time": """$file = $list.files[0].full
    $time = [IO.File]::GetLastWriteTimeUtc($file)
    [IO.File]::WriteAllText($file, 'bbbb')
    [IO.File]::SetLastWriteTimeUtc($file, $time)""",
}
here = pytest.mark.parametrize("host", LANES[1:2], indirect=True)  # the same lines in every engine


@here
@pytest.mark.parametrize("change", WHILE_READ)
def test_what_changes_after_it_was_read_makes_no_backup(host: Lane, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """Listed again, it is told."""
    (host.home / "agent" / "Dashboards").mkdir(parents=True)
    (host.home / "agent" / "Dashboards" / "a.json").write_bytes(b"aaaa")  # written just now
    replace_in_job(monkeypatch, AGAIN, f"    {WHILE_READ[change]}\n{AGAIN}", "job_backup")
    error = host.run(spec(host, "Dashboards")).error or {}
    assert (error["type"], error["found"].partition("/")[0].partition(" ")[0]) == ("ChangedMeanwhile", "Dashboards")
    assert left(host) == []


@here
@pytest.mark.parametrize("damage", ["$made.rows[0].size++", "$made.rows.RemoveAt(0)"], ids=["a file", "the number of files"])
def test_a_zip_that_reads_back_otherwise_makes_no_backup(host: Lane, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    same = "    Assert-Same $made.rows $read.members\n"
    replace_in_job(monkeypatch, same, f"    {damage}\n{same}", "job_backup")
    fill(host, {"Dashboards/a.json": b"aaaa", "Dashboards/b.json": b"bbbb"})
    error = host.run(spec(host, "Dashboards")).error or {}
    assert (error["message"], error["found"]) == ("The new zip doesn't hold what was written", "1 files differ")
    assert left(host) == []


@in_an_engine
def test_no_backup_without_its_sum(host: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    """A zip that can't be read for a moment is waited for as any other file."""
    head = "function Get-DigestBatch($shared, $mine, $batch) {"
    nothing = "\n    return @{ first = $batch.first; digests = [string[]]@(foreach ($path in $batch.paths) { '' }) }"
    replace_in_job(monkeypatch, head, head + nothing, "job_backup")
    fill(host)
    status = host.run(spec(host))
    assert status.state == "done", status.error
    zipped = (host.home / "backups" / "one.zip").read_bytes()
    assert (status.result or {})["zip_sha256"] == hashlib.sha256(zipped).hexdigest()


@in_an_engine
def test_an_attempt_at_a_large_file_that_broke_off_leaves_nothing(host: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(host)
    assert host.run(spec(host), "b1").state == "done"
    replace_in_job(monkeypatch, "while ($left -ge 0 -and", f"{TRIP}while ($left -ge 0 -and", "job_backup")
    status = host.run(spec(host, name="two.zip"), "b2")
    assert status.state == "done", status.error
    sizes = [(host.home / "backups" / name).stat().st_size for name in ("one.zip", "two.zip")]
    assert sizes[0] == sizes[1]
    assert contents(host.home / "backups" / "two.zip") == FILES
