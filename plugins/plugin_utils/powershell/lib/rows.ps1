# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
The files of a prepared restore, kept as lines of a text and read one by one: nothing grows with their number. Needs values.ps1 and job.ps1.

.DESCRIPTION
A row is @{ action; size; sha256; path; target }: `path` as in the backup, `target` as the disk spells it, both relative to the root with `/`; the
action is create, replace, or same where the disk holds these bytes already. No path holds a control character.

    $writer = New-RowWriter $path;  Add-Row $writer $rows;  Close-Rows $writer      durable, under its name when all are there;
                                                                                   $writer.count: how many files they swap
    Read-RowBatch $path { param([object[]]$rows) ... }                              streams, many at a time
    Read-LineBatch $path { param([string[]]$lines) ... }                            the same as they stand, parts between tabs in the order above: to
                                                                                   make rows of lines takes longer than to ask for a file
#>

$rowBatch = 8192

function New-RowWriter([string]$path) {
    $stream = [IO.FileStream]::new("$path.partial", [IO.FileMode]::Create, [IO.FileAccess]::Write, [IO.FileShare]::None)
    return @{ path = $path; stream = $stream; text = [IO.StreamWriter]::new($stream, [Text.UTF8Encoding]::new($false)); count = 0 }
}

function Add-Row($writer, [object[]]$rows) { Add-Line $writer (ConvertTo-Line $rows) }

function ConvertTo-Line([object[]]$rows) {
    return , [string[]]@(foreach ($row in $rows) { "$($row.action)`t$($row.size)`t$($row.sha256)`t$($row.path)`t$($row.target)" })
}

function Add-Line($writer, [string[]]$lines) {
    $writer.text.Write([string]::Join("`n", $lines) + "`n")
    $writer.count += Get-SwapCount $lines
}

# How many of the files are swapped.
function Get-SwapCount([string[]]$lines) {
    $count = 0
    foreach ($line in $lines) { if (-not $line.StartsWith('same', [StringComparison]::Ordinal)) { $count++ } }
    return $count
}

function Close-Rows($writer) {
    $writer.text.Flush()
    $writer.stream.Flush($true)
    $writer.text.Dispose()
    Move-Over "$($writer.path).partial" $writer.path
}

function Read-RowBatch([string]$path, [scriptblock]$handle) {
    Read-LineBatch $path { param([string[]]$lines) & $handle (ConvertFrom-Line $lines) }
}

function ConvertFrom-Line([string[]]$lines) {
    return , [object[]]@(foreach ($line in $lines) {
            $parts = $line.Split([char]9)
            @{ action = $parts[0]; size = [long]$parts[1]; sha256 = $parts[2]; path = $parts[3]; target = $parts[4] }
        })
}

function Read-LineBatch([string]$path, [scriptblock]$onLines) {
    $batch = [Collections.Generic.List[string]]::new()
    $reader = [IO.StreamReader]::new((Open-Patiently $path), [Text.UTF8Encoding]::new($false))
    try {
        while ($null -ne ($line = $reader.ReadLine())) {
            $batch.Add($line)
            if ($batch.Count -lt $rowBatch) { continue }
            & $onLines $batch.ToArray()
            $batch.Clear()
        }
        if ($batch.Count) { & $onLines $batch.ToArray() }
    }
    finally { $reader.Dispose() }
}
