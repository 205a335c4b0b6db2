# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
The files of one prepared restore, and the way there. Needs files.ps1, values.ps1, places.ps1, rows.ps1, workers.ps1, digests.ps1 and job.ps1.

.DESCRIPTION
A file that is replaced goes to replaced\<run> in the same step of Windows (ReplaceFile) in which the new one takes its place, with its access rights,
so that at every moment the old and the new one both exist somewhere, and each step may be broken off and repeated.
$swap.touched: files may have been moved; $swap.resumed: by an earlier commit. $swap.count files are swapped, of $swap.files that the backup holds.
ReplaceFile is always given a name for what it takes away, $swap.discarded where nobody wants it: without one it may leave that in the content.
#>

$separator = [IO.Path]::DirectorySeparatorChar
$moveBatch = 64            # files
$shownFiles = 10
$deniedCode = 0x80070005
$sharingCode = 0x80070020
$unread = '?'              # in place of a digest
$cantRead = 'another program keeps it from being read'

function New-Swap($commit) {
    $run = "$($commit['prepared'])"
    $folder = [IO.Path]::Combine($job.work, 'jobs', $run)
    $swap = @{ run = $run; folder = $folder; root = (Get-LongPath $job.spec['root']); touched = $false; made = @(); patience = 10000 }
    if ($null -ne $job.spec['retry_seconds']) { $swap.patience = 1000 * [double]$job.spec['retry_seconds'] }
    foreach ($name in 'staging', 'replaced', 'quarantine', 'conflicts') { $swap[$name] = [IO.Path]::Combine($job.work, $name, $run) }
    $swap.discarded = [IO.Path]::Combine($folder, 'discarded')
    if (-not $run -or -not [IO.File]::Exists([IO.Path]::Combine($folder, 'rows.txt'))) {
        Stop-With 'NoSuchJob' "No restore stands prepared as $run" 'none, or a later one took its place' 'a prepared restore' 'prepare it first (state: prepared)'
    }
    $made = [IO.Path]::Combine($folder, 'made.json')
    if ([IO.File]::Exists($made)) {
        $swap.touched = $true
        try { $swap.made = @((Read-Json $made)) } catch { Write-Log "folders that were made stay: $($_.Exception.GetBaseException().Message)" }
    }
    $swap.resumed = $swap.touched
    $swap.count = $swap.files = 0
    if ($swap.touched) { Read-RowBatch (Get-RowsPath $swap) { param([object[]]$rows) Add-Count $swap $rows } }
    $swap.leftovers = @(foreach ($path in @($commit['leftovers'])) { if ($path) { $path } })
    $swap.now = (Read-Json ([IO.Path]::Combine($folder, 'spec.json')))['mtime'] -cne 'keep'
    return $swap
}

function Get-RowsPath($swap) { return [IO.Path]::Combine($swap.folder, $(if ($swap.touched) { 'begun.txt' } else { 'rows.txt' })) }

function Join-Below([string]$base, [string]$path) {
    return $base + $separator + $path.Replace([char]'/', $separator)
}

# The same for what many rows have as their path or target.
function Join-Row([string]$base, [object[]]$rows, [string]$key) {
    return , [string[]]@(foreach ($row in $rows) { $base + $separator + $row[$key].Replace([char]'/', $separator) })
}

function Add-Count($swap, [object[]]$rows) {
    $swap.files += $rows.Length
    foreach ($row in $rows) { if ($row.action -cne 'same') { $swap.count++ } }
}

# Before anything is touched: every file stands ready. Counts them on the way.
function Assert-Staged($swap) {
    if ($swap.touched) { return }
    $missing = [Collections.Generic.List[string]]::new()
    Read-RowBatch (Get-RowsPath $swap) {
        param([object[]]$rows)
        Add-Count $swap $rows
        $staged = Join-Row $swap.staging $rows 'path'
        for ($i = 0; $i -lt $rows.Length; $i++) { if (-not [IO.File]::Exists($staged[$i])) { $missing.Add($rows[$i].path) } }
    }
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
        Read-RowBatch ([IO.Path]::Combine($swap.folder, 'rows.txt')) {
            param([object[]]$rows)
            $same = Test-Same $swap $rows
            Set-RowAsItIs @(for ($i = 0; $i -lt $rows.Length; $i++) { if (-not $same[$i]) { $rows[$i] } }) $places $made
            Add-Row $writer $rows
        }
        Close-Rows $writer
    }
    finally { $writer.text.Dispose() }
    $swap.count = $writer.count
    $swap.made = @($made)
    Write-JsonFile ([IO.Path]::Combine($swap.folder, 'made.json')) $swap.made
    $swap.touched = $true
}

# Which files the content still holds as it did when the restore was prepared.
function Test-Same($swap, [object[]]$rows) {
    $same = [bool[]]::new($rows.Length)
    $asked = @(for ($i = 0; $i -lt $rows.Length; $i++) { if ($rows[$i].action -ceq 'same') { $i } })
    if (-not $asked.Length) { return , $same }
    $digests = Get-PatientDigest $swap (Join-Row $swap.root $rows[$asked] 'target')
    for ($k = 0; $k -lt $asked.Length; $k++) {
        $row = $rows[$asked[$k]]
        if ($digests[$k] -ceq $unread) {
            Stop-With 'ChangedMeanwhile' "$($row.target) can't be read" $cantRead "a file that is compared with the backup's" 'find out which program holds it, then run again'
        }
        $same[$asked[$k]] = $digests[$k] -ceq $row.sha256
    }
    return , $same
}

# As Get-Digests. Files that another program keeps from being read are waited for, for $swap.patience milliseconds all together: then nobody knows what
# they hold, and they are $unread.
function Get-PatientDigest($swap, [string[]]$paths) {
    $digests = Get-Digests $paths
    while ($true) {
        $left = @(for ($i = 0; $i -lt $paths.Length; $i++) { if (-not $digests[$i] -and [IO.File]::Exists($paths[$i])) { $i } })
        if (-not $left.Length) { return , $digests }
        if ($swap.patience -le 0) {
            foreach ($i in $left) { $digests[$i] = $unread }
            return , $digests
        }
        $swap.patience -= 100
        [Threading.Thread]::Sleep(100)
        $again = Get-Digests @(foreach ($i in $left) { $paths[$i] })
        for ($k = 0; $k -lt $left.Length; $k++) { $digests[$left[$k]] = $again[$k] }
    }
}

# Makes of each row that of what is there now: a file may have come or gone since the restore was prepared.
function Set-RowAsItIs([object[]]$rows, $places, $made) {
    $asked = Select-Moved $rows $places
    $found = Find-Target $places @(foreach ($row in $asked) { $row.path }) $made
    for ($i = 0; $i -lt $asked.Length; $i++) {
        $asked[$i].action = $(if ($null -eq $found.entries[$i]) { 'create' } else { 'replace' })
        $asked[$i].target = $found.targets[$i]
    }
}

# All but those whose file is where it was, in folders that are spelt as before and none of which is a link: it needn't be looked for.
function Select-Moved([object[]]$rows, $places) {
    $last = $null
    return , @(foreach ($row in $rows) {
            $there = $false
            if ($row.action -ceq 'replace') {
                $cut = $row.target.LastIndexOf([char]'/')
                $parent = $row.target.Substring(0, $cut)
                if (-not $parent.Equals($last)) {
                    $last = $parent
                    $folder = Join-Below $places.root $parent
                    $found = (Find-Folder $places $parent).Equals($folder)
                }
                try { $there = $found -and -not ([IO.File]::GetAttributes($folder + $separator + $row.target.Substring($cut + 1)) -band $folderOrLink) }
                catch [IO.IOException], [UnauthorizedAccessException] { $there = $false }
            }
            if (-not $there) { $row }
        })
}

# Puts every staged file in its place, on all cores; gives how many files it moved now.
function Move-Forward($swap) {
    $tally = @{ moved = 0 }
    $shared = @{ root = $swap.root + $separator; staging = $swap.staging + $separator; replaced = $swap.replaced + $separator; now = $swap.now; separator = $separator }
    Read-RowBatch (Get-RowsPath $swap) {
        param([object[]]$rows)
        $batches = @(for ($i = 0; $i -lt $rows.Length; $i += $moveBatch) { , $rows[$i..([Math]::Min($i + $moveBatch, $rows.Length) - 1)] })
        Invoke-Worker @('Move-Batch') $shared $batches {
            param($answer)
            foreach ($row in $answer.left) { Move-In $swap $row }
            $tally.moved += $answer.moved + $answer.left.Count
            Add-Progress ($answer.moved + $answer.left.Count) $answer.bytes
        }
    }
    return $tally.moved
}

# A worker: replaces what can be replaced without further ado, and gives what is left for Move-In. To call a function costs as much as to move a file.
function Move-Batch($shared, $mine, $batch) {
    $left = [Collections.Generic.List[object]]::new()
    $moved = 0
    $bytes = [long]0
    $readOnly = [IO.FileAttributes]::ReadOnly
    foreach ($row in $batch) {
        $path = $row.path.Replace([char]'/', $shared.separator)
        $staged = $shared.staging + $path
        if ($row.action -ceq 'same' -or -not [IO.File]::Exists($staged)) { continue }
        $bytes += $row.size
        $plain = $false
        if ($row.action -ceq 'replace') {
            $target = $shared.root + $row.target.Replace([char]'/', $shared.separator)
            $kept = $shared.replaced + $path
            $folder = $kept.Substring(0, $kept.LastIndexOf($shared.separator))
            try {
                if ($shared.now) { [IO.File]::SetLastWriteTimeUtc($staged, [DateTime]::UtcNow) }
                if (-not $mine.ContainsKey($folder)) { $mine[$folder] = [IO.Directory]::CreateDirectory($folder) }
                if (-not ([IO.File]::GetAttributes($target) -band $readOnly)) {
                    [IO.File]::Replace($staged, $target, $kept, $true)
                    $plain = $true
                }
            }
            catch [IO.IOException], [UnauthorizedAccessException] { $plain = $false }
        }
        if ($plain) { $moved++ } else { $left.Add($row) }
    }
    return @{ moved = $moved; left = $left; bytes = $bytes }
}

function Move-In($swap, $row) {
    $staged = Join-Below $swap.staging $row.path
    $target = Join-Below $swap.root $row.target
    if ($swap.now) { Invoke-OnFile $staged { [IO.File]::SetLastWriteTimeUtc($staged, [DateTime]::UtcNow) } }    # takes the right to write
    if ($row.action -ceq 'replace') { Move-InPlaceOf $staged $target (Join-Below $swap.replaced $row.path); return }
    [void][IO.Directory]::CreateDirectory([IO.Path]::GetDirectoryName($target))
    $there = [IO.FileInfo]::new($target)
    if ($there.Exists -and $there.Length) { throw [IO.IOException]::new("appeared while the files were swapped in: $(Get-ShownPath $target)") }
    # A file that is moved keeps the access rights of the folder it comes from; one that takes another's place gets those of the other.
    Invoke-OnFile $target {
        if (-not [IO.File]::Exists($target)) { [IO.File]::Create($target).Dispose() }
        Switch-File $staged $target $swap.discarded
    }
}

# Each file that is taken away has a name of its own: a virus scanner may still look at the one before.
function Switch-File([string]$new, [string]$target, [string]$discarded) {
    $old = "$discarded.$([Guid]::NewGuid().ToString('N'))"
    [IO.File]::Replace($new, $target, $old, $true)
    Remove-Waste $old
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
    Invoke-OnFile $from { if ([IO.Directory]::Exists($from)) { Move-Folder $from $to } else { [IO.File]::Move($from, $to) } }
}

# Of a folder in which any program has a file open, Windows says that access is denied.
function Move-Folder([string]$from, [string]$to) {
    try { [IO.Directory]::Move($from, $to) }
    catch [IO.IOException] {
        $cause = $_.Exception.GetBaseException()
        if ($cause.HResult -ne $deniedCode) { throw }
        throw [IO.IOException]::new($cause.Message, $sharingCode)
    }
}

function Test-LinkAt([string]$path) {
    if ([IO.Directory]::Exists($path)) { return Test-Link ([IO.DirectoryInfo]::new($path)) }
    return Test-Link ([IO.FileInfo]::new($path))
}

# Files that aren't what the backup holds, read from their places. What Start-Swap has just read isn't read again.
function Get-WrongFile($swap) {
    $wrong = [Collections.Generic.List[string]]::new()
    Read-RowBatch (Get-RowsPath $swap) {
        param([object[]]$rows)
        $read = @(foreach ($row in $rows) { if ($swap.resumed -or $row.action -cne 'same') { $row } })
        $digests = Get-PatientDigest $swap (Join-Row $swap.root $read 'target')
        for ($i = 0; $i -lt $read.Length; $i++) {
            if ($digests[$i] -cne $read[$i].sha256) { $wrong.Add($(if ($digests[$i] -ceq $unread) { "$($read[$i].path) ($cantRead)" } else { $read[$i].path })) }
        }
    }
    return , $wrong.ToArray()
}
