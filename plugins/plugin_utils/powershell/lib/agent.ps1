# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Apps, dashboards, packages and the web API of an agent. Needs the functions of files.ps1, $max_text and $log_tail.
#>

function Get-AppList($applications) {
    foreach ($entry in $applications) {
        if (Test-Link $entry) { Add-Problem $entry.FullName $linkNote }
        elseif ($entry -is [IO.DirectoryInfo]) { Get-AppRow $entry }
    }
}

# An app whose folder can't be listed has no "missing" App.info.json: such apps are left out of backups.
function Read-AppInfo($inside, [bool]$listed) {
    if (-not $listed) { return [ordered]@{ text = $null; error = 'unreadable' } }
    foreach ($entry in $inside) {
        if ($entry.Name -eq 'App.info.json' -and (Test-File $entry)) { return Read-Text $entry.FullName $max_text }
    }
    return Read-Text $null $max_text
}

function Get-AppRow([IO.DirectoryInfo]$folder) {
    $noted = $problems.Count
    $inside = Get-Entry $folder.FullName
    return [ordered]@{
        folder = $folder.Name
        info = Read-AppInfo $inside ($problems.Count -eq $noted)
        dirs = @(foreach ($entry in $inside) { if (Test-Folder $entry) { $entry.Name } })
        files = @(foreach ($entry in $inside) { if (-not (Test-Folder $entry)) { $entry.Name } })
    }
}

# Files below a folder, as @{ path; file } with a path relative to it; links aren't followed.
function Get-FileBelow([string]$folder, [string]$path) {
    foreach ($entry in (Get-Entry $folder)) {
        if (Test-Folder $entry) { Get-FileBelow $entry.FullName ($path + $entry.Name + '/') }
        elseif (Test-File $entry) { @{ path = $path + $entry.Name; file = $entry } }
    }
}

function Get-DashboardRow([string]$folder) {
    $found = @(if ($folder) { Get-FileBelow $folder '' | Where-Object { Test-Suffix $_.path '.dmadb.json' } })
    foreach ($row in (Get-Sorted @(foreach ($row in $found) { $row.path }) $found)) {
        [ordered]@{ path = $row.path; size = $row.file.Length; modified = (Get-TimeText $row.file.LastWriteTimeUtc) }
    }
}

# A folder's own time moves with each file in it; where no creation time is kept, its first file tells.
function Get-Created([IO.DirectoryInfo]$folder, $inside) {
    if ($onWindows) { return $folder.CreationTimeUtc }
    $first = $folder.LastWriteTimeUtc
    foreach ($entry in $inside) { if ($entry.LastWriteTimeUtc -lt $first) { $first = $entry.LastWriteTimeUtc } }
    return $first
}

function Get-PrerequisiteRow($inside) {
    foreach ($entry in $inside) {
        if ($entry.Name.StartsWith('PreRequisite-Result-', [StringComparison]::OrdinalIgnoreCase) -and (Test-File $entry)) {
            [ordered]@{ name = $entry.Name; text = (Read-Text $entry.FullName 4096).text }
        }
    }
}

function Get-PackageRow([IO.DirectoryInfo]$folder) {
    $inside = Get-Entry $folder.FullName
    $log = Find-Unlinked $folder.FullName 'progress.log'
    $tail = $modified = $null
    if ($log) {
        # Read before its time is asked for: NTFS tells the time of a file that somebody is writing late, opening it makes it tell.
        $tail = Read-Tail $log $log_tail
        $modified = Get-TimeText ([IO.File]::GetLastWriteTimeUtc($log))
    }
    return [ordered]@{
        folder = $folder.Name
        created = Get-TimeText (Get-Created $folder $inside)
        modified = $modified
        log_tail = $tail
        prerequisites = @(Get-PrerequisiteRow $inside)
    }
}

# The numbers of VS_FIXEDFILEINFO, found by signature and structure version: a place behind the resource's name goes before one that isn't.
function Find-FileVersion([byte[]]$data) {
    $text = [Text.Encoding]::GetEncoding(28591).GetString($data)
    $signature = -join [char[]](0xBD, 0x04, 0xEF, 0xFE, 0, 0, 1, 0)
    $name = [Text.Encoding]::GetEncoding(28591).GetString([Text.Encoding]::Unicode.GetBytes('VS_VERSION_INFO'))
    $other = $null
    $at = $text.IndexOf($signature, [StringComparison]::Ordinal)
    while ($at -ge 0 -and $at + 16 -le $data.Length) {
        $numbers = foreach ($offset in 10, 8, 14, 12) { [BitConverter]::ToUInt16($data, $at + $offset) }
        $before = [Math]::Max($at - 40, 0)
        if ($text.IndexOf($name, $before, $at - $before, [StringComparison]::Ordinal) -ge 0) { return $numbers -join '.' }
        if ($null -eq $other) { $other = $numbers -join '.' }
        $at = $text.IndexOf($signature, $at + 1, [StringComparison]::Ordinal)
    }
    return $other
}

function Get-WebApiVersion([string]$path) {
    if (-not $path) { return $null }
    try {
        $stream = Open-File $path
        try { return Find-FileVersion (Read-Stream $stream $dllLimit) } finally { $stream.Dispose() }
    }
    catch { Add-Problem $path $_; return $null }
}
