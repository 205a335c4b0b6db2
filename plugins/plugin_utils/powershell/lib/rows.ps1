# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
The files of a prepared restore, kept as lines of a text and read one by one: nothing grows with their number. Needs values.ps1.

.DESCRIPTION
A row is @{ action; size; sha256; path; target }: `path` as in the backup, `target` as the disk spells it, both relative to the root with `/`; the
action is create, replace, or same where the disk holds these bytes already. No path holds a control character.

    $writer = New-RowWriter $path;  Add-Row $writer $rows;  Close-Rows $writer      durable, under its name when all are there;
                                                                                   $writer.count: how many files they swap
    Read-RowBatch $path { param([object[]]$rows) ... }                              streams, many at a time
#>

$rowBatch = 8192

function New-RowWriter([string]$path) {
    $stream = [IO.FileStream]::new("$path.partial", [IO.FileMode]::Create, [IO.FileAccess]::Write, [IO.FileShare]::None)
    return @{ path = $path; stream = $stream; text = [IO.StreamWriter]::new($stream, [Text.UTF8Encoding]::new($false)); count = 0 }
}

function Add-Row($writer, [object[]]$rows) {
    foreach ($row in $rows) {
        $writer.text.Write("$($row.action)`t$($row.size)`t$($row.sha256)`t$($row.path)`t$($row.target)`n")
        if ($row.action -cne 'same') { $writer.count++ }
    }
}

function Close-Rows($writer) {
    $writer.text.Flush()
    $writer.stream.Flush($true)
    $writer.text.Dispose()
    Move-Over "$($writer.path).partial" $writer.path
}

function Read-RowBatch([string]$path, [scriptblock]$handle) {
    $batch = [Collections.Generic.List[object]]::new()
    $reader = [IO.StreamReader]::new($path, [Text.UTF8Encoding]::new($false))
    try {
        while ($null -ne ($line = $reader.ReadLine())) {
            $parts = $line.Split([char]9)
            $batch.Add(@{ action = $parts[0]; size = [long]$parts[1]; sha256 = $parts[2]; path = $parts[3]; target = $parts[4] })
            if ($batch.Count -lt $rowBatch) { continue }
            & $handle $batch.ToArray()
            $batch.Clear()
        }
        if ($batch.Count) { & $handle $batch.ToArray() }
    }
    finally { $reader.Dispose() }
}
