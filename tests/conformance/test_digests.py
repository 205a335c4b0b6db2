"""Digests of files, one after the other by the same hash: what was read of one that broke off is no part of the next."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from harness import Engine
from test_services import library

BEGIN = f"""
[CmdletBinding(SupportsShouldProcess)] param($a)
{library("values", "files", "workers", "digests", "zipdirectory", "zipentries", "rows", "swap")}
$mine = @{{ hash = (New-Sha256) }}
[void]$mine.hash.TransformBlock([byte[]]::new(100), 0, 100, $null, 0)    # as a file whose second part can't be read leaves it
$gone = "$a/gone"
"""
WAYS = {
    "Get-DigestBatch": '$Ansible.Result = (Get-DigestBatch $null $mine @{ first = 0; paths = [string[]]@($gone, "$a/there") }).digests[1]',
    "Get-FileSum": """
$shared = @{ held = @(); patience = 0 }
try { [void](Get-FileSum $shared $mine $gone) } catch [IO.FileNotFoundException] { $null = $_ }
$Ansible.Result = Get-FileSum $shared $mine "$a/there"
""",
    "Move-Batch": """
$shared = @{ separator = '/'; staging = "$a/staging/"; replaced = "$a/replaced/"; root = "$a/"; all = $true; now = $false }
$lines = @(foreach ($name in 'gone', 'there') { "same`t5`t$([IO.File]::ReadAllText("$a/sum"))`t$name`t$name" })
$Ansible.Result = (Move-Batch $shared $mine @{ first = 0; lines = $lines }).odd -join ','
""",
}


@pytest.mark.powershell
@pytest.mark.parametrize("way", WAYS)
def test_a_file_after_one_that_broke_off(powershell: Engine, tmp_path: Path, way: str) -> None:
    digest = hashlib.sha256(b"bytes").hexdigest()
    (tmp_path / "there").write_bytes(b"bytes")
    (tmp_path / "sum").write_text(digest, "utf-8")
    given = powershell.execute(BEGIN + WAYS[way], {"a": str(tmp_path)}, 2)["result"]
    assert given == (f"same\t5\t{digest}\tgone\tgone" if way == "Move-Batch" else digest)
