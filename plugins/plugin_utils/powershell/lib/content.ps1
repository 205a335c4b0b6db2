# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
From the items of a backup to files and digests. Needs the functions of files.ps1.
#>

$heldWaits = @{ left = 20 }    # tenths of a second

# What a backup would probably hold, guessed from what was read so far: the plan itself is made by the controller, later.
function Get-LikelyItem($document, $likely) {
    foreach ($app in $document.apps) {
        $others = $likely.versions -ne 'named' -or $null -eq $app.info.text
        @{ path = 'Applications/' + $app.folder; versions = (Get-NamedVersion $app); others = $others }
    }
    foreach ($name in $document.loose) { @{ path = 'Applications/' + $name; versions = $null } }
    if ($document.dashboards_folder) { @{ path = 'Dashboards'; versions = $null } }
    if ($document.web -and $likely.web) { @{ path = 'Web'; versions = $null } }
}

function Get-NamedVersion($app) {
    $found = [Collections.Generic.SortedSet[int]]::new()
    foreach ($match in $namedVersion.Matches("$($app.info.text)")) { [void]$found.Add([int]$match.Groups[1].Value) }
    $present = @(foreach ($name in $app.dirs) { if ($name -match '^version_0*([0-9]{1,9})\z') { [int]$Matches[1] } })
    $kept = @(foreach ($number in $found) { if ($number -gt 0 -and $present -contains $number) { $number } })
    return , $kept
}

# The entry at a path relative to the root; a link or a file that stands for one of its folders is thrown.
function Find-Item([string]$folder, [string]$path) {
    $entry = [IO.DirectoryInfo]::new($folder)
    $first = $true
    foreach ($part in $path.Split([char]'/')) {
        if (-not $first -and (Test-Link $entry)) { throw $linkNote }
        if ($entry -isnot [IO.DirectoryInfo]) { throw "$(Get-ShownPath $entry.FullName) is in the way" }
        $place = Find-Entry $entry.FullName $part
        if (-not $place) { return $null }
        $entry = [IO.FileInfo]::new($place)
        if ([IO.Directory]::Exists($place)) { $entry = [IO.DirectoryInfo]::new($place) }
        $first = $false
    }
    return $entry
}

function Test-App([string]$folder, $item) {
    if ($item.path -notmatch '^Applications/[^/]+\z') { return $false }
    try { $entry = Find-Item $folder $item.path } catch { return $false }
    return $null -ne $entry -and (Test-Folder $entry)
}

function Get-ItemFile([string]$folder, $item) {
    try { $entry = Find-Item $folder $item.path } catch { Add-Problem $item.path $_; return }
    if ($null -eq $entry) { Add-Problem $item.path 'vanished' } else { Get-EntryFile $entry $item.path }
}

function Get-EntryFile([IO.FileSystemInfo]$entry, [string]$path) {
    if (Test-Link $entry) { Add-Problem $path $linkNote }
    elseif ($entry -is [IO.FileInfo]) { @{ path = $path; file = $entry } }
    else { foreach ($inner in (Get-Entry $entry.FullName)) { Get-EntryFile $inner ($path + '/' + $inner.Name) } }
}

# What is outside of the version folders, then each of these that the item names, then the others in one row: counted only where it leaves them out.
# Numbers compare as text, since a name may hold any number.
function Get-AppPart([Security.Cryptography.HashAlgorithm]$hash, [string]$folder, $item) {
    $versions, $others = [Collections.Generic.List[object]]::new(), [Collections.Generic.List[object]]::new()
    $named = @(foreach ($number in $item.versions) { "$number" })
    $whole = $null -eq $item.versions -or $item.others
    $outside = @(foreach ($entry in (Get-Entry (Find-Item $folder $item.path).FullName)) {
            if ($entry.Name -match '^version_0*([0-9]+)\z' -and (Test-Folder $entry)) {
                $versions.Add(@{ entry = $entry; path = $item.path + '/' + $entry.Name; apart = $named -ccontains $Matches[1] })
            }
            else { Get-EntryFile $entry ($item.path + '/' + $entry.Name) }
        })
    Get-FolderRow $hash $item.path $outside
    foreach ($version in $versions) {
        $row = $(if ($version.apart -or $whole) { Get-VersionRow $hash $version } else { Get-CountRow $version.entry $version.path })
        if ($null -eq $row) { continue }
        if ($version.apart) { $row } else { $others.Add($row) }
    }
    if ($others.Count) { Get-OtherRow $hash $item.path $others }
}

function Get-VersionRow([Security.Cryptography.HashAlgorithm]$hash, $version) {
    $found = @(Get-EntryFile $version.entry $version.path)
    if ($found.Length) { Get-FolderRow $hash $version.path $found }
}

# Of tens of thousands of version folders each a row would be most of what a scan has to say.
function Get-OtherRow([Security.Cryptography.HashAlgorithm]$hash, [string]$path, $rows) {
    $lines = [Text.StringBuilder]::new()
    $files = $bytes = [long]0
    foreach ($row in $rows) {
        $digest = $(if ($null -eq $row.sha256) { '-' } else { $row.sha256 })
        [void]$lines.Append("$digest $($row.files) $($row.bytes) $($row.path)`n")
        $files += $row.files
        $bytes += $row.bytes
    }
    $whole = ConvertTo-Hex $hash.ComputeHash([Text.Encoding]::UTF8.GetBytes($lines.ToString()))
    return [ordered]@{ path = "$path/version_*"; files = $files; bytes = $bytes; sha256 = $whole }
}

# Of files that may be hundreds of thousands: without a call or an object for each.
function Get-CountRow([IO.DirectoryInfo]$folder, [string]$path) {
    $files = $bytes = [long]0
    $todo = [Collections.Generic.Stack[object]]::new()
    $todo.Push(@($folder.FullName, $path))
    while ($todo.Count) {
        $place, $shown = $todo.Pop()
        try { $found = [IO.DirectoryInfo]::new($place).GetFileSystemInfos() } catch { Add-Problem $place $_; continue }
        foreach ($entry in $found) {
            if ($entry.Attributes -band [IO.FileAttributes]::ReparsePoint) { if (Test-Link $entry) { Add-Problem "$shown/$($entry.Name)" $linkNote; continue } }
            if ($entry -is [IO.DirectoryInfo]) { $todo.Push(@($entry.FullName, "$shown/$($entry.Name)")) }
            else { $files++; $bytes += $entry.Length }
        }
    }
    if ($files) { return [ordered]@{ path = $path; files = $files; bytes = $bytes; sha256 = $null } }
}

# As Open-File. Somebody who writes the file is done in a moment, but a whole scan doesn't wait longer than $heldWaits for all files together.
function Open-Steady([string]$path) {
    while ($true) {
        try { return Open-File $path }
        catch [IO.IOException] {
            if (@(0x80070020, 0x80070021) -notcontains $_.Exception.GetBaseException().HResult -or $heldWaits.left -le 0) { throw }
            $heldWaits.left--
            [Threading.Thread]::Sleep(100)
        }
    }
}

# Size and digest as they were read, or null where they couldn't be.
function Read-Digest([Security.Cryptography.HashAlgorithm]$hash, $row) {
    try {
        $stream = Open-Steady $row.file.FullName
        try { return @{ size = $stream.Length; sha256 = (ConvertTo-Hex $hash.ComputeHash($stream)) } } finally { $stream.Dispose() }
    }
    catch { Add-Problem $row.path $_; return $null }
}

function Get-FolderRow([Security.Cryptography.HashAlgorithm]$hash, [string]$path, $found) {
    $lines = [Text.StringBuilder]::new()
    $files = $bytes = [long]0
    foreach ($row in (Get-Sorted @(foreach ($row in $found) { $row.path }) $found)) {
        $read = Read-Digest $hash $row
        if ($null -eq $read) { continue }
        [void]$lines.Append($read.sha256).Append(' ').Append($read.size).Append(' ').Append($row.path).Append("`n")
        $files++
        $bytes += $read.size
    }
    $whole = ConvertTo-Hex $hash.ComputeHash([Text.Encoding]::UTF8.GetBytes($lines.ToString()))
    return [ordered]@{ path = $path; files = $files; bytes = $bytes; sha256 = $whole }
}

function Get-FileRow([Security.Cryptography.HashAlgorithm]$hash, $found) {
    foreach ($row in $found) {
        $read = Read-Digest $hash $row
        if ($null -ne $read) { [ordered]@{ path = $row.path; files = 1; bytes = $read.size; sha256 = $read.sha256 } }
    }
}

function Get-ContentRow([string]$folder, $items) {
    $hash = New-Sha256
    foreach ($item in $items) {
        if (Test-App $folder $item) { Get-AppPart $hash $folder $item } else { Get-FileRow $hash @(Get-ItemFile $folder $item) }
    }
}
