# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Paths, folders, texts and times. Needs $problems (a list), $onWindows, $longPaths.
#>

# powershell.exe takes \\?\ in .NET calls, another process that hosts PowerShell may not: asked once, of a folder that is always there.
function Test-LongPath {
    return $onWindows -and [IO.Directory]::Exists('\\?\' + [Environment]::SystemDirectory)
}

function Get-FullPath([string]$path) {
    $full = [IO.Path]::GetFullPath($path)
    if ($full.Length -gt [IO.Path]::GetPathRoot($full).Length) { $full = $full.TrimEnd([IO.Path]::DirectorySeparatorChar) }
    return $full
}

function Get-LongPath([string]$path) {
    $full = Get-FullPath $path
    if (-not $longPaths -or $full.StartsWith('\\?\', [StringComparison]::Ordinal)) { return $full }
    if ($full.StartsWith('\\', [StringComparison]::Ordinal)) { return '\\?\UNC\' + $full.Substring(2) }
    return '\\?\' + $full
}

function Get-ShownPath([string]$path) {
    if ($path.StartsWith('\\?\UNC\', [StringComparison]::Ordinal)) { return '\\' + $path.Substring(8) }
    if ($path.StartsWith('\\?\', [StringComparison]::Ordinal)) { return $path.Substring(4) }
    return $path
}

function Add-Problem([string]$path, $problem) {
    $exception = $problem
    if ($problem -is [Management.Automation.ErrorRecord]) { $exception = $problem.Exception.GetBaseException().Message }
    $problems.Add([ordered]@{ path = Get-ShownPath $path; message = "$exception" })
}

function Test-Entry([string]$path) {
    return [IO.File]::Exists($path) -or [IO.Directory]::Exists($path)
}

# The entry with that name, without regard to case where the exact one is missing, as Windows would; null where there is none.
function Find-Entry([string]$folder, [string[]]$parts) {
    $current = $folder
    foreach ($part in $parts) {
        $next = [IO.Path]::Combine($current, $part)
        if (-not (Test-Entry $next)) {
            $next = $null
            if (-not $onWindows) { $next = Find-OtherCase $current $part }
            if ($null -eq $next) { return $null }
        }
        $current = $next
    }
    return $current
}

function Find-OtherCase([string]$folder, [string]$name) {
    if (-not [IO.Directory]::Exists($folder)) { return $null }
    $found = [IO.Directory]::GetFileSystemEntries($folder)
    [Array]::Sort($found, [StringComparer]::Ordinal)
    foreach ($path in $found) {
        if ([IO.Path]::GetFileName($path).Equals($name, [StringComparison]::OrdinalIgnoreCase)) { return $path }
    }
    return $null
}

# What is there by that name. Below the root, which may be a link itself, none is followed: it could lead to anybody's files.
function Find-Unlinked([string]$folder, [string[]]$parts) {
    foreach ($part in $parts) {
        $folder = Find-Entry $folder $part
        if (-not $folder) { return $null }
        if (-not (Test-Link (Get-Info $folder))) { continue }
        if ((Get-ShownPath $folder) -cnotin @(foreach ($problem in $problems) { $problem.path })) { Add-Problem $folder $linkNote }
        return $null
    }
    return $folder
}

# The values in the order of their keys' UTF-16 code units: the one order that every adapter can produce. Without the casts PowerShell chooses a
# generic Sort by the type of the first value. Keys are sorted with the values, so they must be an array of their own even where they are the values.
function Get-Sorted([string[]]$keys, [object[]]$values) {
    [Array]::Sort([Array]$keys.Clone(), [Array]$values, [Collections.IComparer][StringComparer]::Ordinal)
    return , $values
}

# The entries of a folder, sorted by name.
function Get-Entry {
    [OutputType([IO.FileSystemInfo])]
    param([string]$folder)
    if (-not $folder) { return , @() }
    try { $found = [IO.DirectoryInfo]::new($folder).GetFileSystemInfos() }
    catch { Add-Problem $folder $_; return , @() }
    return Get-Sorted @(foreach ($entry in $found) { $entry.Name }) $found
}

# What is there now; null where there is nothing.
function Get-Info {
    [OutputType([IO.FileSystemInfo])]
    param([string]$path)
    foreach ($entry in [IO.DirectoryInfo]::new($path), [IO.FileInfo]::new($path)) { if ($entry.Exists) { return $entry } }
    return $null
}

$linkNote = 'is a link: not followed'

# Deduplicated and offline files are reparse points too, but are files like any other: only what redirects to another name is a link.
function Test-Link([IO.FileSystemInfo]$entry) {
    if (-not ($entry.Attributes -band [IO.FileAttributes]::ReparsePoint)) { return $false }
    return $entry -is [IO.DirectoryInfo] -or $entry.LinkType -eq 'SymbolicLink'
}

function Test-Folder([IO.FileSystemInfo]$entry) { return $entry -is [IO.DirectoryInfo] -and -not (Test-Link $entry) }

function Test-File([IO.FileSystemInfo]$entry) { return $entry -is [IO.FileInfo] -and -not (Test-Link $entry) }

function Test-Suffix([string]$name, [string]$suffix) { return $name.EndsWith($suffix, [StringComparison]::OrdinalIgnoreCase) }

function Get-TimeText([DateTime]$utc) {
    return $utc.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", [Globalization.CultureInfo]::InvariantCulture)
}

# What .NET Framework makes by itself is managed code, several times slower than that of Windows.
function New-Sha256 {
    $type = 'System.Security.Cryptography.SHA256Cng' -as [type]
    if ($null -ne $type) { return $type::new() }
    return [Security.Cryptography.SHA256]::Create()
}

# Others may go on reading, writing, renaming and deleting the file: a scan is in nobody's way.
function Open-File([string]$path) {
    return [IO.FileStream]::new($path, [IO.FileMode]::Open, [IO.FileAccess]::Read, [IO.FileShare]'ReadWrite, Delete', 65536)
}

function Read-Stream([IO.Stream]$stream, [long]$count) {
    $data = [byte[]]::new([Math]::Max(0, [Math]::Min($count, $stream.Length - $stream.Position)))
    $done = 0
    while ($done -lt $data.Length) {
        $read = $stream.Read($data, $done, $data.Length - $done)
        if ($read -eq 0) { [Array]::Resize([ref]$data, $done) }
        $done += $read
    }
    return , $data
}

function ConvertFrom-Bytes([byte[]]$data) {
    $start = [BitConverter]::ToString($data, 0, [Math]::Min(3, $data.Length))
    if ($start -eq 'EF-BB-BF') { return [Text.Encoding]::UTF8.GetString($data, 3, $data.Length - 3) }
    if ($start.StartsWith('FF-FE', [StringComparison]::Ordinal)) { return [Text.Encoding]::Unicode.GetString($data, 2, $data.Length - 2) }
    if ($start.StartsWith('FE-FF', [StringComparison]::Ordinal)) { return [Text.Encoding]::BigEndianUnicode.GetString($data, 2, $data.Length - 2) }
    return [Text.Encoding]::UTF8.GetString($data)
}

# A Text of the scan document.
function Read-Text([string]$path, [int]$limit) {
    if (-not $path) { return [ordered]@{ text = $null; error = 'missing' } }
    try {
        $stream = Open-File $path
        try { $data = Read-Stream $stream ($limit + 1) } finally { $stream.Dispose() }
    }
    catch {
        $cause = $_.Exception.GetBaseException()
        $missing = $cause -is [IO.FileNotFoundException] -or $cause -is [IO.DirectoryNotFoundException]
        return [ordered]@{ text = $null; error = $(if ($missing) { 'missing' } else { 'unreadable' }) }
    }
    if ($data.Length -gt $limit) { return [ordered]@{ text = $null; error = 'too large' } }
    return [ordered]@{ text = (ConvertFrom-Bytes $data); error = $null }
}

# The last bytes as text, or null where the file can't be read. The start is even, so that UTF-16 stays in step.
function Read-Tail([string]$path, [int]$count) {
    try {
        $stream = Open-File $path
        try {
            $mark = Read-Stream $stream 2
            $offset = [Math]::Max(0, $stream.Length - $count)
            $offset -= $offset % 2
            [void]$stream.Seek($offset, [IO.SeekOrigin]::Begin)
            $data = Read-Stream $stream ($count + 1)
        }
        finally { $stream.Dispose() }
    }
    catch { return $null }
    $utf16 = $mark.Length -eq 2 -and ($mark[0] + $mark[1]) -eq 509 -and [Math]::Abs($mark[0] - $mark[1]) -eq 1
    if ($offset -gt 0 -and $utf16) { $data = [byte[]]($mark + $data) }
    return ConvertFrom-Bytes $data
}
