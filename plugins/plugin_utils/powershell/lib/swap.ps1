# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
The files of one prepared restore, and the way there. Needs files.ps1, values.ps1, places.ps1, rows.ps1, workers.ps1, digests.ps1 and job.ps1.

.DESCRIPTION
A file that is replaced goes to replaced\<run> in the same step of Windows (ReplaceFile) in which the new one takes its place, with its access rights,
so that at every moment the old and the new one both exist somewhere, and each step may be broken off and repeated.
$swap.touched: files may have been moved.
#>

$shownFiles = 10

function New-Swap($commit) {
    $run = "$($commit['prepared'])"
    $folder = [IO.Path]::Combine($job.work, 'jobs', $run)
    $swap = @{ run = $run; folder = $folder; root = (Get-LongPath $job.spec['root']); touched = $false; made = @() }
    foreach ($name in 'staging', 'replaced', 'quarantine') { $swap[$name] = [IO.Path]::Combine($job.work, $name, $run) }
    if (-not $run -or -not [IO.File]::Exists([IO.Path]::Combine($folder, 'rows.txt'))) {
        Stop-With 'NoSuchJob' "No restore stands prepared as $run" 'none, or a later one took its place' 'a prepared restore' 'prepare it first (state: prepared)'
    }
    $made = [IO.Path]::Combine($folder, 'made.json')
    if ([IO.File]::Exists($made)) { $swap.touched = $true; $swap.made = @(Read-Json $made) }
    $swap.count = Get-RowCount (Get-RowsPath $swap)
    $swap.leftovers = @(foreach ($path in @($commit['leftovers'])) { if ($path) { $path } })
    $swap.now = (Read-Json ([IO.Path]::Combine($folder, 'spec.json')))['mtime'] -cne 'keep'
    return $swap
}

function Get-RowsPath($swap) { return [IO.Path]::Combine($swap.folder, $(if ($swap.touched) { 'begun.txt' } else { 'rows.txt' })) }

function Join-Below([string]$base, [string]$path) {
    return $base + [IO.Path]::DirectorySeparatorChar + $path.Replace([char]'/', [IO.Path]::DirectorySeparatorChar)
}

# Before anything is touched: every file stands ready.
function Assert-Staged($swap) {
    if ($swap.touched) { return }
    $missing = [Collections.Generic.List[string]]::new()
    Read-Row (Get-RowsPath $swap) | ForEach-Object { if (-not [IO.File]::Exists((Join-Below $swap.staging $_.path))) { $missing.Add($_.path) } }
    if (-not $missing.Count) { return }
    $shown = $missing.GetRange(0, [Math]::Min($missing.Count, $shownFiles)) -join ', '
    Stop-With 'NoSuchJob' "The restore prepared as $($swap.run) isn't complete any more" "$($missing.Count) files are gone: $shown" '' 'prepare it again'
}

# Looks once more what is there, now that the web server stands still, and writes down what will be done and must be undone.
function Start-Swap($swap) {
    if ($swap.touched) { return }
    $places = New-Places $swap.root
    $made = [Collections.Generic.SortedSet[string]]::new([StringComparer]::Ordinal)
    $writer = New-RowWriter ([IO.Path]::Combine($swap.folder, 'begun.txt'))
    try {
        Read-Row ([IO.Path]::Combine($swap.folder, 'rows.txt')) | ForEach-Object { Add-Row $writer (Get-RowAsItIs $_ $places $made) }
        Close-Rows $writer
    }
    finally { $writer.text.Dispose() }
    $swap.made = @($made)
    Write-JsonFile ([IO.Path]::Combine($swap.folder, 'made.json')) $swap.made
    $swap.touched = $true
}

# The row for what is there now: a file may have come or gone since the restore was prepared.
function Get-RowAsItIs($row, $places, $made) {
    $cut = $row.path.LastIndexOf([char]'/')
    $parent = $row.path.Substring(0, [Math]::Max($cut, 0))
    $folder = Find-Folder $places $parent
    $entry = $(if ($folder) { Find-Listed (Get-Listing $places $folder) $row.path.Substring($cut + 1) })
    if ($null -eq $entry) {
        $spelt = Get-Spelt $places $parent
        for ($above = $spelt; $above -and -not (Find-Folder $places $above); $above = $above.Substring(0, [Math]::Max($above.LastIndexOf([char]'/'), 0))) {
            [void]$made.Add($above)
        }
        $target = "$spelt/$($row.path.Substring($cut + 1))".TrimStart([char]'/')
        return @{ action = 'create'; size = $row.size; sha256 = $row.sha256; path = $row.path; target = $target }
    }
    if (-not (Test-File $entry)) {
        Stop-With 'Refused' "$(Get-ShownPath $entry.FullName) is in the way" '' 'an ordinary file or nothing' 'move it away and run again'
    }
    $target = $entry.FullName.Substring($places.root.Length + 1).Replace([IO.Path]::DirectorySeparatorChar, [char]'/')
    return @{ action = 'replace'; size = $row.size; sha256 = $row.sha256; path = $row.path; target = $target }
}

# Puts every staged file in its place; gives how many files it moved now.
function Move-Forward($swap) {
    $moved = 0
    Read-Row (Get-RowsPath $swap) | ForEach-Object {
        $staged = Join-Below $swap.staging $_.path
        if ([IO.File]::Exists($staged)) {
            Move-In $swap $staged $_
            $moved++
            Add-Progress 1 $_.size
        }
    }
    return $moved
}

function Move-In($swap, [string]$staged, $row) {
    $target = Join-Below $swap.root $row.target
    if ($swap.now) { [IO.File]::SetLastWriteTimeUtc($staged, [DateTime]::UtcNow) }
    if ($row.action -ceq 'replace') { Move-InPlaceOf $staged $target (Join-Below $swap.replaced $row.path); return }
    [void][IO.Directory]::CreateDirectory([IO.Path]::GetDirectoryName($target))
    $there = [IO.FileInfo]::new($target)
    if ($there.Exists -and $there.Length) { throw [IO.IOException]::new("appeared while the files were swapped in: $(Get-ShownPath $target)") }
    # A file that is moved keeps the access rights of the folder it comes from; one that takes another's place gets those of the other.
    Invoke-OnFile $target {
        if (-not [IO.File]::Exists($target)) { [IO.File]::Create($target).Dispose() }
        [IO.File]::Replace($staged, $target, [NullString]::Value, $true)
    }
}

function Move-InPlaceOf([string]$staged, [string]$target, [string]$kept) {
    [void][IO.Directory]::CreateDirectory([IO.Path]::GetDirectoryName($kept))
    Invoke-OnFile $target {
        if (-not [IO.File]::Exists($target) -and [IO.File]::Exists($kept)) { [IO.File]::Move($kept, $target) }    # broken off in between, or error 1177
        $before = [IO.File]::GetAttributes($target)
        $locked = $before -band [IO.FileAttributes]::ReadOnly
        if ($locked) { [IO.File]::SetAttributes($target, $before -bxor [IO.FileAttributes]::ReadOnly) }
        try { [IO.File]::Replace($staged, $target, $kept, $true) }
        catch {
            if ($locked -and [IO.File]::Exists($target)) { [IO.File]::SetAttributes($target, $before) }
            throw
        }
        if ($locked) { foreach ($file in $target, $kept) { [IO.File]::SetAttributes($file, [IO.File]::GetAttributes($file) -bor [IO.FileAttributes]::ReadOnly) } }
    }
}

# Repeated while somebody holds the file; what stays wrong is told with the file's name.
function Invoke-OnFile([string]$path, [scriptblock]$block) {
    try { Invoke-Retried $block }
    catch {
        if ($null -ne (Get-OurError $_)) { throw }
        $why = $(if (Test-Held $_) { Get-HeldText $path } else { $_.Exception.GetBaseException().Message })
        throw [IO.IOException]::new("$($why): $(Get-ShownPath $path)", $_.Exception.GetBaseException())
    }
}

# Moves what the backup doesn't know into quarantine; gives all that is there.
function Move-Leftover($swap) {
    foreach ($path in $swap.leftovers) {
        $place = Join-Below $swap.root $path
        $aside = Join-Below $swap.quarantine $path
        if (-not (Test-Entry $place) -or (Test-LinkAt $place)) { continue }
        Move-Whole $place $aside
    }
    return , @(foreach ($path in $swap.leftovers) { if (Test-Entry (Join-Below $swap.quarantine $path)) { $path } })
}

function Move-Whole([string]$from, [string]$to) {
    [void][IO.Directory]::CreateDirectory([IO.Path]::GetDirectoryName($to))
    Invoke-OnFile $from { if ([IO.Directory]::Exists($from)) { [IO.Directory]::Move($from, $to) } else { [IO.File]::Move($from, $to) } }
}

function Test-LinkAt([string]$path) {
    if ([IO.Directory]::Exists($path)) { return Test-Link ([IO.DirectoryInfo]::new($path)) }
    return Test-Link ([IO.FileInfo]::new($path))
}

# Files that aren't what the backup holds, read from their places.
function Get-WrongFile($swap) {
    $wrong = [Collections.Generic.List[string]]::new()
    Read-RowBatch (Get-RowsPath $swap) {
        param([object[]]$rows)
        $paths = @(foreach ($row in $rows) { Join-Below $swap.root $row.target })
        $digests = Get-Digests $paths
        for ($i = 0; $i -lt $rows.Length; $i++) { if ($digests[$i] -cne $rows[$i].sha256) { $wrong.Add($rows[$i].path) } }
    }
    return , $wrong.ToArray()
}
