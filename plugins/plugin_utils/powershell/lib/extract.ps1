# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Extracting a backup beside the content. Needs what backup.ps1 needs, and rows.ps1.
#>

$roots = 'Applications', 'Dashboards', 'Web'
$exportFunctions = 'Export-Batch', 'Write-Batch', 'Stop-Unlike', 'Compare-Batch', 'Export-Long', 'Test-There', 'Set-KeptTime', 'Get-FileSum', 'Wait-Held'

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
    Set-RestorePath $files
    if ($null -ne $spec['include']) {
        $include = [Collections.Generic.HashSet[string]]::new([string[]]@($spec['include']), [StringComparer]::Ordinal)
        $files = @(foreach ($file in $files) { if (Test-Included $file.path $include) { $file } })
    }
    $bytes = [long]0
    foreach ($file in $files) { $bytes += $file.size }
    Assert-Reach @(foreach ($file in $files) { $file.path }) (Get-LongestFolder)
    Assert-Space $job.work ([Math]::Max($bytes, [long]$spec['free_needed']))
    return , $files
}

# Of those that a file will be in: the staging folder, the content, and what is kept of it.
function Get-LongestFolder {
    $folders = @([IO.Path]::Combine($job.work, 'quarantine', $job.run_id), (Get-LongPath $job.spec['root']))
    return $folders[[int]($folders[1].Length -gt $folders[0].Length)]
}

# As the core does it: lines in the order of UTF-16 code units.
function Get-NamesDigest([string[]]$names) {
    $sorted = [string[]]@($names)
    [Array]::Sort([Array]$sorted, [Collections.IComparer][StringComparer]::Ordinal)
    $lines = [Text.StringBuilder]::new()
    foreach ($name in $sorted) { [void]$lines.Append($name).Append([char]10) }
    $hash = New-Sha256
    return [BitConverter]::ToString($hash.ComputeHash([Text.Encoding]::UTF8.GetBytes($lines.ToString()))).Replace('-', '').ToLowerInvariant()
}

# With / only, its root spelt as we spell it.
function Set-RestorePath([object[]]$files) {
    $spelt = [Collections.Generic.Dictionary[string, string]]::new([StringComparer]::OrdinalIgnoreCase)
    foreach ($root in $roots) { $spelt[$root] = $root }
    foreach ($file in $files) {
        $path = $file.name.Replace('\', '/')
        $cut = $path.IndexOf([char]'/')
        if ($cut -gt 0 -and $spelt.ContainsKey($path.Substring(0, $cut))) { $path = $spelt[$path.Substring(0, $cut)] + $path.Substring($cut) }
        $file.path = $path
    }
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
    Set-Target $files $root
    $writer = New-RowWriter ([IO.Path]::Combine($job.folder, 'rows.txt'))
    try {
        $separator = [IO.Path]::DirectorySeparatorChar
        $shared = @{ path = $zip; staging = $staging + $separator; separator = $separator; keep_times = $keepTimes; patience = (Get-Patience); held = $heldCodes }
        Invoke-Worker ($exportFunctions + $entryFunctions) $shared (Get-EntryBatch $files) { param($answer) Add-Extracted $writer $answer }
        # Before the rows that tell of them are: after a power cut a file that was verified isn't full of zeros.
        Sync-File $staging @(foreach ($file in $files) { $file.staged })
        Close-Rows $writer
    }
    finally { $writer.text.Dispose() }
    return $writer.count
}

# What each file will replace.
function Set-Target([object[]]$files, [string]$root) {
    $found = Find-Target (New-Places $root) @(foreach ($file in $files) { $file.path })
    for ($i = 0; $i -lt $files.Length; $i++) {
        $file = $files[$i]
        $entry = $found.entries[$i]
        $file.target = $found.targets[$i]
        $file.action = $(if ($null -eq $entry) { 'create' } else { 'replace' })
        $file.there = $(if ($null -ne $entry -and $entry.Length -eq $file.size) { $entry.FullName } else { '' })
    }
}

# A worker. What is done for every file is done in a few loops, for to call a function costs as much as to write a small file.
function Export-Batch($shared, $mine, $batch) {
    if (-not $mine['file']) { Open-Entry $shared $mine }
    $places = Expand-Batch $shared $mine $batch
    Write-Batch $shared $mine $batch $places
    Compare-Batch $shared $mine $batch $places
    if ($shared.keep_times) { foreach ($member in $batch) { Set-KeptTime $shared $member } }
    return @{ members = $batch; held = $mine['held'] }
}

# Stages each file, takes its SHA-256 and reads it back.
function Write-Batch($shared, $mine, $batch, $places) {
    $hash, $data, $separator = $mine['hash'], $mine['data'], $shared.separator
    $again = [byte[]]$mine['again']
    $create, $both, $alone = [IO.FileMode]::CreateNew, [IO.FileAccess]::ReadWrite, [IO.FileShare]::None
    for ($i = 0; $i -lt $batch.Length; $i++) {
        $member = $batch[$i]
        $path = $shared.staging + $member.path.Replace([char]'/', $separator)
        $folder = $path.Substring(0, $path.LastIndexOf($separator))
        if (-not $mine.ContainsKey($folder)) { $mine[$folder] = [IO.Directory]::CreateDirectory($folder) }
        $member.staged = $path
        if ($member.large) {
            $member.sha256 = Export-Long $shared $mine $member
            if ((Get-FileSum $shared $mine $path) -cne $member.sha256) { Stop-Unlike }
            continue
        }
        $size = [int]$member.size
        if ($null -eq $again -or $again.Length -le $size) { $again = $mine['again'] = [byte[]]::new(2 * $size + 1) }
        $member.sha256 = [BitConverter]::ToString($hash.ComputeHash($data, $places[$i], $size)).Replace('-', '').ToLowerInvariant()
        $stream = [IO.FileStream]::new($path, $create, $both, $alone, 1)
        try {
            $stream.Write($data, $places[$i], $size)
            $stream.Position = 0
            $got = 0
            while ($got -le $size -and ($read = $stream.Read($again, $got, $size + 1 - $got)) -gt 0) { $got += $read }
        }
        finally { $stream.Dispose() }
        if ($got -ne $size -or [BitConverter]::ToString($hash.ComputeHash($again, 0, $got)).Replace('-', '') -ne $member.sha256) { Stop-Unlike }
    }
}

function Stop-Unlike {
    throw '{"type":"BackupInvalid","message":"An extracted file reads back differently","found":"","needed":"","remedy":"check the disk of this agent","details":""}'
}

# Which of them the content holds already. A file of the same size that starts with other bytes isn't read to its end.
function Compare-Batch($shared, $mine, $batch, $places) {
    $data, $start = $mine['data'], [byte[]]::new(512)
    $open, $read, $all = [IO.FileMode]::Open, [IO.FileAccess]::Read, [IO.FileShare]'ReadWrite, Delete'
    for ($i = 0; $i -lt $batch.Length; $i++) {
        $member = $batch[$i]
        if (-not $member.there) { continue }
        $other = $false
        if (-not $member.large) {
            try {
                $stream = [IO.FileStream]::new($member.there, $open, $read, $all, 1)
                try { $got = $stream.Read($start, 0, [Math]::Min([int]$member.size, 512)) } finally { $stream.Dispose() }
                $other = [Convert]::ToBase64String($start, 0, $got) -cne [Convert]::ToBase64String($data, $places[$i], $got)
            }
            catch [IO.IOException] { $other = $false }    # of one that can't be read now that isn't known
        }
        if (-not $other -and (Test-There $shared $mine $member)) { $member.action = 'same' }
    }
}

# A large file in pieces; gives its SHA-256.
function Export-Long($shared, $mine, $member) {
    $target = [IO.FileStream]::new($member.staged, [IO.FileMode]::CreateNew, [IO.FileAccess]::Write, [IO.FileShare]::None, 1)
    try { return Read-LongEntry $shared $mine $member $target } finally { $target.Dispose() }
}

# Whether the content holds its bytes. A file that vanished since is another one: the commit looks again. One that stays held is remembered.
function Test-There($shared, $mine, $member) {
    try { return (Get-FileSum $shared $mine $member.there) -ceq $member.sha256 }
    catch [IO.FileNotFoundException], [IO.DirectoryNotFoundException] { return $false }
    catch [IO.IOException] {
        if ($shared.held -notcontains $_.Exception.GetBaseException().HResult) { throw }
        $mine['held'] = $member.there
        return $false
    }
}

# Where .NET asks for the right to write for it, another program may be in the way for a moment.
function Set-KeptTime($shared, $member) {
    $date = [int]($member.moment -shr 16)
    $time = [int]($member.moment -band 65535)
    try { $kept = [DateTime]::new(1980 + ($date -shr 9), ($date -shr 5) -band 15, $date -band 31, $time -shr 11, ($time -shr 5) -band 63, ($time -band 31) * 2, [DateTimeKind]::Local) }
    catch { return }    # a date that never was
    $clock = [Diagnostics.Stopwatch]::StartNew()
    while ($true) {
        try { [IO.File]::SetLastWriteTime($member.staged, $kept); return }
        catch [IO.IOException] { if (-not (Wait-Held $shared $clock $_)) { throw } }
    }
}

# Its SHA-256. Asked for again while another program holds it: a virus scanner looks at what was just written.
function Get-FileSum($shared, $mine, [string]$path) {
    $clock = [Diagnostics.Stopwatch]::StartNew()
    while ($true) {
        try {
            $stream = [IO.FileStream]::new($path, [IO.FileMode]::Open, [IO.FileAccess]::Read, [IO.FileShare]'ReadWrite, Delete', 65536)
            try { return [BitConverter]::ToString($mine['hash'].ComputeHash($stream)).Replace('-', '').ToLowerInvariant() } finally { $stream.Dispose() }
        }
        catch [IO.IOException] { if (-not (Wait-Held $shared $clock $_)) { throw } }
    }
}

# Waits for a moment, where another program holds the file and it may be asked for again.
function Wait-Held($shared, $clock, $record) {
    if ($shared.held -notcontains $record.Exception.GetBaseException().HResult -or $clock.Elapsed.TotalSeconds -ge $shared.patience) { return $false }
    [Threading.Thread]::Sleep(100)
    return $true
}

function Add-Extracted($writer, $answer) {
    if ($answer.held) {
        $shown = Get-ShownPath $answer.held
        Stop-With 'JobFailed' "$shown can't be read, so nothing was prepared" (Get-HeldText $answer.held) 'content that may be read' 'close the program that holds it, then run again'
    }
    Add-Row $writer $answer.members
    $bytes = [long]0
    foreach ($member in $answer.members) { $bytes += $member.size }
    Add-Progress $answer.members.Length $bytes
}
