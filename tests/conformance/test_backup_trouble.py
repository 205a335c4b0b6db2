"""Another program in the way of a backup at the wrong moment."""

from __future__ import annotations

import hashlib

import pytest
from conftest import Lane, in_an_engine, replace_in_job
from test_job_backup import FILES, contents, fill, spec

TRIP = """if (-not $script:tripped) {
            $script:tripped = $true
            $gzip.Write([byte[]]::new(5000), 0, 5000)
            throw [IO.IOException]::new('held', [int]0x80070020)
        }
        """


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
