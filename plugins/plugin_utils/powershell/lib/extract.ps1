# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Extracting a backup beside the content. Needs what backup.ps1 needs, and rows.ps1.
#>

$roots = 'Applications', 'Dashboards', 'Web'

# Files are put in their places by renaming, which takes one volume.
function Assert-Place([string]$root) {
    if (-not [IO.Directory]::Exists($root)) { Stop-With 'Refused' "$(Get-ShownPath $root) is no folder" '' 'the folder of DataMiner' 'set dataminer_root' }
    $volumes = @(foreach ($path in $root, $job.work) { [IO.Path]::GetPathRoot((Get-ShownPath $path)) })
    if ($volumes[0] -eq $volumes[1]) { return }
    Stop-With 'Refused' "$(Get-ShownPath $job.work) isn't on the volume of $(Get-ShownPath $root)" '' 'a working folder on the same volume' 'set dataminer_work_dir'
}

# What is to be extracted, once its names are known to be those that were checked and there is room for it.
function Get-ChosenFile([string]$zip, $spec) {
    $stream = Open-Patiently $zip
    try { $files = Select-File (Read-Directory $stream $zip) } finally { $stream.Dispose() }
    if ((Get-NamesDigest @(foreach ($file in $files) { $file.name })) -cne $spec['names_sha256']) {
        Stop-With 'BackupInvalid' "$(Get-ShownPath $zip) holds other names than were checked" '' '' 'run again'
    }
    $include = $null
    if ($null -ne $spec['include']) { $include = [Collections.Generic.HashSet[string]]::new([string[]]@($spec['include']), [StringComparer]::Ordinal) }
    $bytes = [long]0
    $chosen = @(foreach ($file in $files) {
            $file.path = Get-RestorePath $file.name
            if ($null -ne $include -and -not (Test-Included $file.path $include)) { continue }
            $bytes += $file.size
            $file
        })
    Assert-Reach @(foreach ($file in $chosen) { Get-LongestPlace $file.path })
    Assert-Space $job.work ([Math]::Max($bytes, [long]$spec['free_needed']))
    return , $chosen
}

# Of the places that a file will have: in the staging folder, in the content, and in what is kept of it.
function Get-LongestPlace([string]$path) {
    $folders = @([IO.Path]::Combine($job.work, 'quarantine', $job.run_id), (Get-LongPath $job.spec['root']))
    $base = $folders[[int]($folders[1].Length -gt $folders[0].Length)]
    return $base + [IO.Path]::DirectorySeparatorChar + $path.Replace([char]'/', [IO.Path]::DirectorySeparatorChar)
}

# As the core does it: lines in the order of UTF-16 code units.
function Get-NamesDigest([string[]]$names) {
    $hash = [Security.Cryptography.SHA256]::Create()
    $sorted = [string[]]@($names)
    [Array]::Sort([Array]$sorted, [Collections.IComparer][StringComparer]::Ordinal)
    foreach ($name in $sorted) {
        $data = [Text.Encoding]::UTF8.GetBytes("$name`n")
        [void]$hash.TransformBlock($data, 0, $data.Length, $null, 0)
    }
    [void]$hash.TransformFinalBlock([byte[]]::new(0), 0, 0)
    return [BitConverter]::ToString($hash.Hash).Replace('-', '').ToLowerInvariant()
}

# With / only, its root spelt as we spell it.
function Get-RestorePath([string]$name) {
    $path = $name.Replace('\', '/')
    $first, $rest = $path.Split([char[]]'/', 2)
    foreach ($root in $roots) { if ($root -eq $first) { return "$root/$rest" } }
    return $path
}

function Test-Included([string]$path, $include) {
    while (-not $include.Contains($path)) {
        $path = $path.Substring(0, [Math]::Max($path.LastIndexOf([char]'/'), 0))
        if (-not $path) { return $false }
    }
    return $true
}

# Extracts and reads back all files, on all cores; gives how many of them the content doesn't hold already. Those that it holds stay staged too: a
# file that changes before the commit is restored with the others.
function Export-Staged([string]$zip, [object[]]$files, [string]$staging, [string]$root, [bool]$keepTimes) {
    Remove-Tree $staging
    [void][IO.Directory]::CreateDirectory($staging)
    $folders = [Collections.Generic.HashSet[string]]::new([StringComparer]::OrdinalIgnoreCase)
    $places = New-Places $root
    foreach ($file in $files) {
        $file.staged = $staging + [IO.Path]::DirectorySeparatorChar + $file.path.Replace([char]'/', [IO.Path]::DirectorySeparatorChar)
        $folder = [IO.Path]::GetDirectoryName($file.staged)
        if ($folders.Add($folder)) { [void][IO.Directory]::CreateDirectory($folder) }
        Set-Place $file $places
    }
    $writer = New-RowWriter ([IO.Path]::Combine($job.folder, 'rows.txt'))
    try {
        $functions = 'Export-Batch', 'Export-Entry', 'Write-Staged', 'Test-There', 'Set-KeptTime', 'Get-FileSum', 'Get-DataStart', 'Read-PackedEntry', 'Read-LongEntry', 'Stop-Damaged', 'Get-Inflated'
        Invoke-Worker $functions @{ path = $zip; keep_times = $keepTimes; patience = (Get-Patience); held = $heldCodes } (Get-EntryBatch $files) { param($answer) Add-Extracted $writer $answer }
        # Before the rows that tell of them are: after a power cut a file that was verified isn't full of zeros.
        Sync-File $staging @(foreach ($file in $files) { $file.staged })
        Close-Rows $writer
    }
    finally { $writer.text.Dispose() }
    return $writer.count
}

# What the file will replace.
function Set-Place($file, $places) {
    $cut = $file.path.LastIndexOf([char]'/')
    $parent = $file.path.Substring(0, [Math]::Max($cut, 0))
    $folder = Find-Folder $places $parent
    $entry = $(if ($folder) { Find-Listed (Get-Listing $places $folder) $file.path.Substring($cut + 1) })
    $file.action = 'create'
    $file.there = ''
    if ($null -eq $entry) {
        $file.target = "$(Get-Spelt $places $parent)/$($file.path.Substring($cut + 1))".TrimStart([char]'/')
        return
    }
    if (-not (Test-File $entry)) {
        $what = $(if (Test-Link $entry) { 'a link' } else { 'a folder' })
        Stop-With 'Refused' "$($file.path) is in the way" $what 'an ordinary file or nothing' 'move it away'
    }
    $file.action = 'replace'
    $file.target = $entry.FullName.Substring($places.root.Length + 1).Replace([IO.Path]::DirectorySeparatorChar, [char]'/')
    if ($entry.Length -eq $file.size) { $file.there = $entry.FullName }
}

# A worker.
function Export-Batch($shared, $mine, $batch) {
    if (-not $mine['file']) {
        $mine['hash'] = [Security.Cryptography.SHA256]::Create()
        $mine['file'] = [IO.FileStream]::new($shared.path, [IO.FileMode]::Open, [IO.FileAccess]::Read, [IO.FileShare]'ReadWrite, Delete', 65536)
    }
    $digests = [string[]]::new($batch.Length)
    for ($i = 0; $i -lt $batch.Length; $i++) { $digests[$i] = Export-Entry $shared $mine $batch[$i] }
    return @{ members = $batch; digests = $digests; held = $mine['held'] }
}

# The SHA-256 of what was extracted.
function Export-Entry($shared, $mine, $member) {
    if ($member.packed -gt 8388608 -or $member.size -gt 8388608) {
        $sha256 = Write-Staged $member { param($target) Read-LongEntry $shared $mine $member $target }
    }
    else {
        $data = Read-PackedEntry $shared $mine $member
        $sha256 = [BitConverter]::ToString($mine['hash'].ComputeHash($data)).Replace('-', '').ToLowerInvariant()
        [void](Write-Staged $member { param($target) $target.Write($data, 0, $data.Length) })
    }
    if ((Get-FileSum $shared $mine $member.staged) -cne $sha256) {
        throw '{"type":"BackupInvalid","message":"An extracted file reads back differently","found":"","needed":"","remedy":"check the disk of this agent","details":""}'
    }
    if (Test-There $shared $mine $member $sha256) { $member.action = 'same' }
    if ($shared.keep_times) { Set-KeptTime $member }
    return $sha256
}

# Gives what $write gives.
function Write-Staged($member, [scriptblock]$write) {
    $target = [IO.FileStream]::new($member.staged, [IO.FileMode]::CreateNew, [IO.FileAccess]::Write, [IO.FileShare]::None, 1)
    try { & $write $target } finally { $target.Dispose() }
}

# Whether the content holds these bytes. A file that vanished since is another one: the commit looks again. One that stays held is remembered.
function Test-There($shared, $mine, $member, [string]$sha256) {
    if (-not $member.there) { return $false }
    try { return (Get-FileSum $shared $mine $member.there) -ceq $sha256 }
    catch [IO.FileNotFoundException], [IO.DirectoryNotFoundException] { return $false }
    catch [IO.IOException] {
        if ($shared.held -notcontains $_.Exception.GetBaseException().HResult) { throw }
        $mine['held'] = $member.there
        return $false
    }
}

function Set-KeptTime($member) {
    $date = [int]($member.moment -shr 16)
    $time = [int]($member.moment -band 65535)
    try {    # a date that never was
        $kept = [DateTime]::new(1980 + ($date -shr 9), ($date -shr 5) -band 15, $date -band 31, $time -shr 11, ($time -shr 5) -band 63, ($time -band 31) * 2, [DateTimeKind]::Local)
        [IO.File]::SetLastWriteTime($member.staged, $kept)
    }
    catch { $kept = $null }
}

# Asked for again while another program holds it: a virus scanner looks at what was just written.
function Get-FileSum($shared, $mine, [string]$path) {
    $clock = [Diagnostics.Stopwatch]::StartNew()
    while ($true) {
        try {
            $stream = [IO.FileStream]::new($path, [IO.FileMode]::Open, [IO.FileAccess]::Read, [IO.FileShare]'ReadWrite, Delete', 65536)
            try { return [BitConverter]::ToString($mine['hash'].ComputeHash($stream)).Replace('-', '').ToLowerInvariant() } finally { $stream.Dispose() }
        }
        catch [IO.IOException] {
            if ($shared.held -notcontains $_.Exception.GetBaseException().HResult -or $clock.Elapsed.TotalSeconds -ge $shared.patience) { throw }
            [Threading.Thread]::Sleep(100)
        }
    }
}

function Add-Extracted($writer, $answer) {
    if ($answer.held) {
        $shown = Get-ShownPath $answer.held
        Stop-With 'JobFailed' "$shown can't be read, so nothing was prepared" (Get-HeldText $answer.held) 'content that may be read' 'close the program that holds it, then run again'
    }
    $bytes = [long]0
    for ($i = 0; $i -lt $answer.members.Length; $i++) {
        $member = $answer.members[$i]
        $bytes += $member.size
        Add-Row $writer @{ action = $member.action; size = $member.size; sha256 = $answer.digests[$i]; path = $member.path; target = $member.target }
    }
    Add-Progress $answer.members.Length $bytes
}
