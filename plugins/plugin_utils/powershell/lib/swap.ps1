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
$swap.stays: once all is put back, what was kept in its place, and the conflicts.
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
    $swap = @{ run = $run; folder = $folder; root = (Get-LongPath $job.spec['root']); touched = $false; made = @(); patience = 10000; stays = @{} }
    if ($null -ne $job.spec['retry_seconds']) { $swap.patience = 1000 * [double]$job.spec['retry_seconds'] }
    foreach ($name in 'staging', 'replaced', 'quarantine', 'conflicts') { $swap[$name] = [IO.Path]::Combine($job.work, $name, $run) }
    $swap.discarded = [IO.Path]::Combine($folder, 'discarded')
    if (-not $run -or -not [IO.File]::Exists([IO.Path]::Combine($folder, 'rows.txt'))) {
        Stop-With 'NoSuchJob' "No restore stands prepared as $run" 'none, or a later one took its place' 'a prepared restore' 'prepare it first (state: prepared)'
    }
    $made = [IO.Path]::Combine($folder, 'made.json')
    if ([IO.File]::Exists($made)) {
        $swap.touched = $true
        try { $swap.made = @(Invoke-Retried { Read-Json $made }) } catch { Write-Log "folders that were made stay: $($_.Exception.GetBaseException().Message)" }
    }
    $swap.resumed = $swap.touched
    $swap.count = $swap.files = 0
    if ($swap.touched) { Read-LineBatch (Get-RowsPath $swap) { param([string[]]$lines) Add-Count $swap $lines } }
    $swap.leftovers = @(foreach ($path in @($commit['leftovers'])) { if ($path) { $path } })
    $swap.now = (Invoke-Retried { Read-Json ([IO.Path]::Combine($folder, 'spec.json')) })['mtime'] -cne 'keep'
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

function Add-Count($swap, [string[]]$lines) {
    $swap.files += $lines.Length
    $swap.count += Get-SwapCount $lines
}

# Before anything is touched: every file stands ready. Counts them on the way; only where there are fewer than there should be each is asked for.
function Assert-Staged($swap) {
    if ($swap.touched) { return }
    Read-LineBatch (Get-RowsPath $swap) { param([string[]]$lines) Add-Count $swap $lines }
    if ((Get-FileCount $swap.staging) -ge $swap.files) { return }
    $missing = [Collections.Generic.List[string]]::new()
    Read-RowBatch (Get-RowsPath $swap) {
        param([object[]]$rows)
        foreach ($row in $rows) { if (-not [IO.File]::Exists((Join-Below $swap.staging $row.path))) { $missing.Add($row.path) } }
    }
    $shown = $missing.GetRange(0, [Math]::Min($missing.Count, $shownFiles)) -join ', '
    Stop-With 'NoSuchJob' "The restore prepared as $($swap.run) isn't complete any more" "$($missing.Count) files are gone: $shown" '' 'prepare it again'
}

function Get-FileCount([string]$folder) {
    if (-not [IO.Directory]::Exists($folder)) { return 0 }
    return [Linq.Enumerable]::Count([Collections.Generic.IEnumerable[string]][IO.Directory]::EnumerateFiles($folder, '*', [IO.SearchOption]::AllDirectories))
}

# Looks once more what is there, now that the web server stands still, and writes down what will be done and must be undone.
function Start-Swap($swap) {
    if ($swap.touched) { return }
    $places = New-Places $swap.root
    $made = [Collections.Generic.SortedSet[string]]::new([StringComparer]::Ordinal)
    $writer = New-RowWriter ([IO.Path]::Combine($swap.folder, 'begun.txt'))
    try {
        Read-LineBatch ([IO.Path]::Combine($swap.folder, 'rows.txt')) {
            param([string[]]$lines)
            $moved = Get-Moved $swap $lines
            if ($moved.Length) { Update-Line $swap $lines $moved $places $made }
            Add-Line $writer $lines
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

# What is there now, for these lines: a file may have come or gone since the restore was prepared.
function Update-Line($swap, [string[]]$lines, [int[]]$numbers, $places, $made) {
    $rows = ConvertFrom-Line $lines[$numbers]
    $same = Test-Same $swap $rows
    $asked = @(for ($i = 0; $i -lt $rows.Length; $i++) { if (-not $same[$i]) { $rows[$i] } })
    $found = Find-Target $places @(foreach ($row in $asked) { $row.path }) $made
    for ($i = 0; $i -lt $asked.Length; $i++) {
        $asked[$i].action = $(if ($null -eq $found.there[$i]) { 'create' } else { 'replace' })
        $asked[$i].target = $found.targets[$i]
    }
    $now = ConvertTo-Line $rows
    for ($i = 0; $i -lt $now.Length; $i++) { $lines[$numbers[$i]] = $now[$i] }
}

# The numbers of all lines but those of files that are replaced and stand where they did: they needn't be looked for.
function Get-Moved($swap, [string[]]$lines) {
    $moved = [Collections.Generic.List[int]]::new()
    $shared = @{ root = $swap.root + $separator; separator = $separator; folder_or_link = $folderOrLink }
    Invoke-Worker @('Find-Moved') $shared (Get-LineBatch $lines) { param($answer) $moved.AddRange($answer) }
    $moved.Sort()
    return , $moved.ToArray()
}

# A worker. A folder is looked at once, with all that it is in: none of them may be a link.
function Find-Moved($shared, $mine, $batch) {
    $root, $separator, $slash, $folderOrLink, $folder = $shared.root, $shared.separator, [char]'/', $shared.folder_or_link, [IO.FileAttributes]::Directory
    $number = $batch.first - 1
    return , [int[]]@(foreach ($line in $batch.lines) {
            $number++
            $there = $false
            $parts = $line.Split([char]9)
            if ($parts[0] -ceq 'replace') {
                $path = $root + $parts[4].Replace($slash, $separator)
                $parent = $path.Substring(0, $path.LastIndexOf($separator))
                try {
                    $there = -not ([IO.File]::GetAttributes($path) -band $folderOrLink)
                    if ($there -and -not $mine.ContainsKey($parent)) {
                        for ($above = $parent; $there -and $above.Length -ge $root.Length; $above = $above.Substring(0, $above.LastIndexOf($separator))) {
                            $there = ([IO.File]::GetAttributes($above) -band $folderOrLink) -eq $folder
                        }
                        if ($there) { $mine[$parent] = $null }
                    }
                }
                catch [IO.IOException], [UnauthorizedAccessException] { $there = $false }
            }
            if (-not $there) { $number }
        })
}

# Puts every staged file in its place and reads it there, on all cores; gives how many files it moved now. $wrong gets those that aren't what the backup
# holds. What Start-Swap has just read isn't read again.
function Move-Forward($swap, $wrong) {
    $tally = @{ moved = 0 }
    $shared = @{ root = $swap.root + $separator; staging = $swap.staging + $separator; replaced = $swap.replaced + $separator; separator = $separator }
    $shared.now = $swap.now
    $shared.all = $swap.resumed
    Read-LineBatch (Get-RowsPath $swap) {
        param([string[]]$lines)
        $unsure = [Collections.Generic.List[string]]::new()
        Invoke-Worker @('Move-Batch') $shared (Get-LineBatch $lines) {
            param($answer)
            foreach ($row in (ConvertFrom-Line $answer.left)) { Move-In $swap $row }
            $unsure.AddRange($answer.left)
            $unsure.AddRange($answer.odd)
            $tally.moved += $answer.moved + $answer.left.Length
            Add-Progress ($answer.moved + $answer.left.Length) $answer.bytes
        }
        Add-Wrong $swap $wrong (ConvertFrom-Line $unsure.ToArray())
    }
    return $tally.moved
}

function Add-Wrong($swap, $wrong, [object[]]$rows) {
    $digests = Get-PatientDigest $swap (Join-Row $swap.root $rows 'target')
    for ($i = 0; $i -lt $rows.Length; $i++) {
        if ($digests[$i] -cne $rows[$i].sha256) { $wrong.Add($(if ($digests[$i] -ceq $unread) { "$($rows[$i].path) ($cantRead)" } else { $rows[$i].path })) }
    }
}

function Get-LineBatch([string[]]$lines) {
    return , @(for ($i = 0; $i -lt $lines.Length; $i += $moveBatch) { @{ first = $i; lines = $lines[$i..([Math]::Min($i + $moveBatch, $lines.Length) - 1)] } })
}

# A worker: replaces what can be replaced without further ado, and gives what is left for Move-In; of what is in its place, those lines whose file holds
# other bytes or can't be read at once. To call a function costs as much as to move a file.
function Move-Batch($shared, $mine, $batch) {
    if (-not $mine['hash']) { $mine['hash'] = New-Sha256 }
    $moved = 0
    $bytes = [long]0
    $left = [Collections.Generic.List[string]]::new()
    $odd = [Collections.Generic.List[string]]::new()
    $hash, $slash, $separator, $staging, $replaced, $root = $mine['hash'], [char]'/', $shared.separator, $shared.staging, $shared.replaced, $shared.root
    $open, $read, $all, $readOnly = [IO.FileMode]::Open, [IO.FileAccess]::Read, [IO.FileShare]'ReadWrite, Delete', [IO.FileAttributes]::ReadOnly
    foreach ($line in $batch.lines) {
        $parts = $line.Split([char]9)
        if ($parts[0] -ceq 'same' -and -not $shared.all) { continue }
        $path = $parts[3].Replace($slash, $separator)
        $staged = $staging + $path
        $target = $root + $parts[4].Replace($slash, $separator)
        if ($parts[0] -cne 'same' -and [IO.File]::Exists($staged)) {
            $bytes += [long]$parts[1]
            $plain = $false
            if ($parts[0] -ceq 'replace') {
                $kept = $replaced + $path
                $folder = $kept.Substring(0, $kept.LastIndexOf($separator))
                try {
                    if ($shared.now) { [IO.File]::SetLastWriteTimeUtc($staged, [DateTime]::UtcNow) }
                    if (-not $mine.ContainsKey($folder)) { $mine[$folder] = [IO.Directory]::CreateDirectory($folder) }
                    if (-not ([IO.File]::GetAttributes($target) -band $readOnly) -and -not [IO.File]::Exists($kept)) {
                        [IO.File]::Replace($staged, $target, $kept, $true)
                        $plain = $true
                    }
                }
                catch [IO.IOException], [UnauthorizedAccessException] { $plain = $false }
            }
            if (-not $plain) { $left.Add($line); continue }
            $moved++
        }
        $sum = '?'
        try {
            $stream = [IO.FileStream]::new($target, $open, $read, $all, 1)
            try { $sum = [BitConverter]::ToString($hash.ComputeHash($stream)).Replace('-', '') } finally { $stream.Dispose() }
        }
        catch [IO.IOException], [UnauthorizedAccessException] { $hash.Initialize() }    # it may hold what could be read of it
        if ($sum -ne $parts[2]) { $odd.Add($line) }
    }
    return @{ moved = $moved; left = $left.ToArray(); odd = $odd.ToArray(); bytes = $bytes }
}

function Move-In($swap, $row) {
    $staged = Join-Below $swap.staging $row.path
    $target = Join-Below $swap.root $row.target
    if ($swap.now) { Invoke-OnFile $staged { [IO.File]::SetLastWriteTimeUtc($staged, [DateTime]::UtcNow) } }    # takes the right to write
    if ($row.action -ceq 'replace') {
        $kept = Join-Below $swap.replaced $row.path
        # Made anew by somebody, once the one before was taken away: that is the only one of its kind.
        if ([IO.File]::Exists($kept) -and (Test-Entry $target)) { Move-Conflict $swap $target $row.path }
        Move-InPlaceOf $staged $target $kept
        return
    }
    [void][IO.Directory]::CreateDirectory([IO.Path]::GetDirectoryName($target))
    $there = [IO.FileInfo]::new($target)
    if ($there.Exists -and $there.Length) { throw [IO.IOException]::new("appeared while the files were swapped in: $(Get-ShownPath $target)") }
    # A file that is moved keeps the access rights of the folder it comes from; one that takes another's place gets those of the other.
    $old = Invoke-OnFile $target {
        if (-not [IO.File]::Exists($target)) { [IO.File]::Create($target).Dispose() }
        Switch-File $staged $target $swap.discarded
    }
    if (-not [IO.FileInfo]::new($old).Length) { Remove-Waste $old; return }
    Move-Conflict $swap $old $row.path
    throw [IO.IOException]::new("appeared while the files were swapped in: $(Get-ShownPath $target)")
}

# For what is taken away. Each has a name of its own: a virus scanner may still look at the one before.
function Get-WastePath([string]$discarded) { return "$discarded.$([Guid]::NewGuid().ToString('N'))" }

# Gives the name of what was taken away.
function Switch-File([string]$new, [string]$target, [string]$discarded) {
    $old = Get-WastePath $discarded
    [IO.File]::Replace($new, $target, $old, $true)
    return $old
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
        if (-not (Test-Entry $place) -or (Test-Link (Get-Info $place))) { continue }
        Move-Whole $place (Get-FreePlace (Join-Below $swap.quarantine $path))
    }
    return , @(foreach ($path in $swap.leftovers) { if (Test-Entry (Join-Below $swap.quarantine $path)) { $path } })
}

# What somebody wrote, out of the way.
function Move-Conflict($swap, [string]$target, [string]$path) { Move-Whole $target (Get-FreePlace (Join-Below $swap.conflicts $path)) }

# What was moved away before stays.
function Get-FreePlace([string]$wanted) {
    $place = $wanted
    for ($number = 1; (Test-Entry $place); $number++) { $place = "$wanted.$number" }
    return $place
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
