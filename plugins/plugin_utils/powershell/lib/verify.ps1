# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
A zip compared with its manifest and with the disk. Needs files.ps1, values.ps1, places.ps1, digests.ps1, zipentries.ps1 and what that needs.

.DESCRIPTION
Get-Verified $spec gives what was read, not what it means: the entries as the zip's directory has them, with their SHA-256 and their state on the disk;
which names may be extracted, and whether the manifest is a good one, the core judges on the controller.
#>

$mostInfo = 1048576         # bytes of an App.info.json

function Get-Verified($spec) {
    $path = Get-LongPath $spec['path']
    $read = Read-Zip $path { param($files, $bytes) Add-Progress $files $bytes } $spec['limits']
    $files = Select-File $read.members
    Set-DiskState $files $spec['compare_root']
    $rows = [Collections.Generic.List[object]]::new()
    foreach ($one in @($read.members)) { $rows.Add((Get-EntryRow $one)) }
    return [ordered]@{
        path = Get-ShownPath $path
        size = $read.size
        zip_sha256 = $read.sha256
        directory = $rows
        infos = @(Get-InfoRow $path $files)
        manifest = $(if ($spec['manifest']) { Compare-Manifest (Get-LongPath $spec['manifest']) $files })
        limits = $spec['limits']
        compared = [bool]$spec['compare_root']
    }
}

function Get-EntryRow($member) {
    return , @($member.name, $member.size, $member.packed, $member.flags, $member.attributes, $member.system, $member.method, "$($member.sha256)",
        $member.state, $member.modified, $member.disk_size)
}

# A path as a restore would write it, but for the spelling of its root.
function Get-EntryPath([string]$name) { return $name.Replace('\', '/') }

# create, same or replace, for every file; the file there, where there is one.
function Set-DiskState([object[]]$files, $root) {
    if (-not $root) { return }
    $places = New-Places (Get-LongPath $root)
    $alike = [Collections.Generic.List[object]]::new()
    foreach ($member in $files) {
        $there = Find-File $places (Get-EntryPath $member.name)
        $member.state = 'create'
        if ($null -eq $there) { continue }
        $member.state = 'replace'
        $member.there = $there.FullName
        $member.modified = Get-TimeText $there.LastWriteTimeUtc
        $member.disk_size = $there.Length
        if ($there.Length -eq $member.size) { $alike.Add($member) }
    }
    $digests = Get-Digests @(foreach ($member in $alike) { $member.there })
    for ($i = 0; $i -lt $alike.Count; $i++) { if ($digests[$i] -ceq $alike[$i].sha256) { $alike[$i].state = 'same' } }
}

# The file that a restore would replace; null for what is no file, which the restore will refuse by itself.
function Find-File($places, [string]$path) {
    $cut = $path.LastIndexOf([char]'/')
    try {
        $folder = Find-Folder $places $path.Substring(0, [Math]::Max($cut, 0))
        $found = $(if ($folder) { Find-Listed $places $folder $path.Substring($cut + 1) })
        $entry = $(if ($found) { Get-Info $found })
        if ($null -ne $entry -and (Test-File $entry)) { return $entry }
    }
    catch { return $null }
    return $null
}

# Name in the zip, its text, and that of the file on the disk, of every App.info.json that was read whole.
function Get-InfoRow([string]$path, [object[]]$files) {
    $wanted = @(foreach ($member in $files) {
            $whole = $member.sha256 -and -not $member.large -and $member.size -le $mostInfo
            if ($whole -and $member.name -match '\A[^/\\]+[/\\][^/\\]+[/\\]App\.info\.json\z') { $member }
        })
    if (-not $wanted.Length) { return }
    $shared = @{ path = $path }
    $mine = @{}
    Open-Entry $shared $mine
    try {
        foreach ($member in $wanted) {
            $there = $null
            if ($member.there -and $member.disk_size -le $mostInfo) { $there = (Read-Text $member.there $mostInfo).text }
            [void](Read-EntryBatch $shared $mine @($member))
            $data = [byte[]]::new($member.size)
            [Array]::Copy($mine['data'], 0, $data, 0, $data.Length)
            , @($member.name, (ConvertFrom-Bytes $data), $there)
        }
    }
    finally { $mine.file.Dispose() }
}

# Its head for the core to judge, and which files differ from its lines.
function Compare-Manifest([string]$path, [object[]]$files) {
    $problems = [Collections.Generic.List[object]]::new()
    $head = Read-Manifest $path
    if ($null -eq $head) { return [ordered]@{ path = (Get-ShownPath $path); head = $null } }
    $wanted = [Collections.Generic.Dictionary[string, string]]::new([StringComparer]::Ordinal)
    $reader = [IO.StreamReader]::new($path, [Text.UTF8Encoding]::new($false))
    try {
        while ($null -ne ($line = $reader.ReadLine())) {
            if ($line -cmatch '\A([0-9a-f]{64}) (\d+) (.*)\z') { $wanted[$Matches[3]] = "$($Matches[2]) $($Matches[1])" }
        }
    }
    finally { $reader.Dispose() }
    $found = [ordered]@{ path = (Get-ShownPath $path); head = $head; extra = [Collections.Generic.List[string]]::new(); missing = $null; changed = [Collections.Generic.List[string]]::new() }
    $met = [Collections.Generic.HashSet[string]]::new([StringComparer]::Ordinal)
    foreach ($member in $files) {
        $name = Get-EntryPath $member.name
        $said = ''
        if (-not $wanted.TryGetValue($name, [ref]$said) -or $met.Contains($name)) { $found.extra.Add($name) }
        elseif ($said -cne "$($member.size) $($member.sha256)") { $found.changed.Add($name) }
        [void]$met.Add($name)
    }
    $found.missing = @(foreach ($name in $wanted.Keys) { if (-not $met.Contains($name)) { $name } })
    return $found
}
