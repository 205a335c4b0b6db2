# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
The way back of a restore: what was there before is put back, and what somebody wrote since is never lost. Needs what swap.ps1 needs, swap.ps1 and
journal.ps1.
#>

$served = 'swapped'        # what an undo finds once the web server may have run with restored files: users may have written since

# The way back under the journal of $commit. However it ends, the web server starts next: whoever undoes later finds what users wrote since.
function Undo-Swap($swap, [string]$commit, [string]$was) {
    Save-Undoing $commit $was
    try { return Move-Back $swap ($was -cne 'committing') }
    finally { Save-Undoing $commit $served }
}

# The disk may be full; the journal is open already.
function Save-Undoing([string]$commit, [string]$was) {
    try { Write-Journal $commit 'undoing' @{ was = $was } } catch { Write-Log "the journal wasn't written: $($_.Exception.Message)" }
}

# May be repeated. A file that is neither the backup's nor the one of before was written by somebody, or left half by a power cut. With $edited it
# stays, and is named; without, the swap had broken off, and it is moved to conflicts\, for the one of before has to come back.
# Throws, naming the files, after all others were put back. A file that can't be read is none that somebody wrote: it has failed.
function Move-Back($swap, [bool]$edited) {
    $done = @{ put_back = 0; removed = 0; kept = [Collections.Generic.List[string]]::new(); failed = [Collections.Generic.List[string]]::new() }
    Read-RowBatch (Get-RowsPath $swap) {
        param([object[]]$rows)
        $moved = @(foreach ($row in $rows) { if ($row.action -cne 'same') { $row } })
        $digests = Get-PatientDigest $swap (Join-Row $swap.root $moved 'target')
        for ($i = 0; $i -lt $moved.Length; $i++) { Invoke-BackStep $done $moved[$i].path { Undo-Row $swap $moved[$i] $digests[$i] $edited } }
    }
    foreach ($path in $swap.leftovers) { Invoke-BackStep $done $path { Undo-Leftover $swap $path } }
    Remove-MadeFolder $swap
    if ($done.failed.Count) { Stop-NotBack $swap $done.failed }
    $swap.touched = $false
    $swap.stays = @{ kept = @($done.kept); conflicts = (Get-Conflict $swap) }
    return [ordered]@{ put_back = $done.put_back; removed = $done.removed; kept = $swap.stays.kept; conflicts = $swap.stays.conflicts }
}

function Stop-NotBack($swap, $failed) {
    $shown = $failed.GetRange(0, [Math]::Min($failed.Count, $shownFiles)) -join '; '
    Stop-With 'JobFailed' "$($failed.Count) files couldn't be put back" $shown 'the files as they were before the restore' `
        "mend the cause and undo again; they are kept in $(Get-ShownPath $swap.replaced)"
}

function Invoke-BackStep($done, [string]$path, [scriptblock]$step) {
    try { $outcome = & $step }
    catch [IO.IOException], [UnauthorizedAccessException] {
        $done.failed.Add("$path ($($_.Exception.Message))")
        return
    }
    if ($outcome -ceq 'kept') { $done.kept.Add($path) }
    elseif ($outcome -ceq 'gone') { $done.kept.Add("$path (what was there before is gone)") }    # failed, the undo would never end
    elseif ($outcome) { $done[$outcome]++ }
}

# What became of one file, where $found is what is in its place; '' where there was nothing to do.
function Undo-Row($swap, $row, [string]$found, [bool]$edited) {
    $target = Join-Below $swap.root $row.target
    $kept = Join-Below $swap.replaced $row.path
    $waiting = [IO.File]::Exists((Join-Below $swap.staging $row.path))    # then nothing took its place
    if ($row.action -ceq 'create') { return Undo-Creation $swap $row $target $found $waiting $edited }
    if (-not [IO.File]::Exists($kept)) { return $(if ($found -ceq $row.sha256 -and -not $waiting) { 'gone' } else { '' }) }
    if ((Test-Entry $target) -and -not (Test-Known $swap $row $kept $found $waiting)) {
        if ($edited -or $waiting) { return 'kept' }
        Move-Conflict $swap $target $row.path
    }
    $old = Restore-Kept $kept $target $swap.discarded
    if ($old) { Remove-Seen $swap $old $found $row.path }
    return 'put_back'
}

# Whether the bytes in place are somewhere else too: in the backup, or in the file that was kept.
function Test-Known($swap, $row, [string]$kept, [string]$found, [bool]$waiting) {
    if ($found -ceq $unread) { throw [IO.IOException]::new($cantRead) }
    if (-not $found) { return $false }
    if ($found -ceq $row.sha256 -and -not $waiting) { return $true }
    return $found -ceq (Get-PatientDigest $swap @($kept))[0]
}

# An empty file beside one that still waits is the place that was held for it.
function Undo-Creation($swap, $row, [string]$target, [string]$found, [bool]$waiting, [bool]$edited) {
    if (-not (Test-Entry $target)) { return '' }
    $held = $waiting -and [IO.File]::Exists($target) -and [IO.FileInfo]::new($target).Length -eq 0
    if ($waiting -and -not $held) { return '' }
    if (-not $held) {
        if ($found -ceq $unread) { throw [IO.IOException]::new($cantRead) }
        if ($found -cne $row.sha256) {
            if ($edited) { return 'kept' }
            Move-Conflict $swap $target $row.path
            return ''
        }
    }
    $old = Get-WastePath $swap.discarded
    Invoke-OnFile $target { [IO.File]::Move($target, $old) }
    Remove-Seen $swap $old $found $row.path
    return $(if ($held) { '' } else { 'removed' })
}

# What was taken away is what was found when thousands of files were looked at, or is empty: else somebody wrote it since.
function Remove-Seen($swap, [string]$old, [string]$found, [string]$path) {
    if ([IO.FileInfo]::new($old).Length -eq 0 -or (Get-PatientDigest $swap @($old))[0] -ceq $found) { Remove-Waste $old }
    else { Move-Conflict $swap $old $path }
}

# All of this restore, of an earlier attempt too.
function Get-Conflict($swap) {
    if (-not [IO.Directory]::Exists($swap.conflicts)) { return , @() }
    $found = [IO.Directory]::GetFiles($swap.conflicts, '*', [IO.SearchOption]::AllDirectories)
    [Array]::Sort([Array]$found, [Collections.IComparer][StringComparer]::Ordinal)
    return , @(foreach ($path in $found) { Get-ShownPath $path })
}

# With a time of now, so that no synchronisation takes it for older than what it replaces. Gives the name of what it took away, '' where nothing was there.
function Restore-Kept([string]$kept, [string]$target, [string]$discarded) {
    [void][IO.Directory]::CreateDirectory([IO.Path]::GetDirectoryName($target))
    Invoke-OnFile $target {
        $before = [IO.File]::GetAttributes($kept)
        $locked = $before -band [IO.FileAttributes]::ReadOnly
        if ($locked) { [IO.File]::SetAttributes($kept, $before -bxor [IO.FileAttributes]::ReadOnly) }
        try { $old = Move-Kept $kept $target $discarded }
        catch {
            if ($locked -and [IO.File]::Exists($kept)) { [IO.File]::SetAttributes($kept, $before) }
            throw
        }
        if ($locked) { [IO.File]::SetAttributes($target, [IO.File]::GetAttributes($target) -bor [IO.FileAttributes]::ReadOnly) }
        return $old
    }
}

function Move-Kept([string]$kept, [string]$target, [string]$discarded) {
    [IO.File]::SetLastWriteTimeUtc($kept, [DateTime]::UtcNow)
    if (-not [IO.File]::Exists($target)) { [IO.File]::Move($kept, $target); return '' }
    $there = [IO.File]::GetAttributes($target)
    if ($there -band [IO.FileAttributes]::ReadOnly) { [IO.File]::SetAttributes($target, $there -bxor [IO.FileAttributes]::ReadOnly) }
    return Switch-File $kept $target $discarded
}

function Undo-Leftover($swap, [string]$path) {
    $place = Join-Below $swap.root $path
    $aside = Join-Below $swap.quarantine $path
    if (-not (Test-Entry $aside)) { return '' }
    if (Test-Entry $place) { return 'kept' }
    Move-Whole $aside $place
    return ''
}

# Folders that only the restore made, unless something else is in them by now.
function Remove-MadeFolder($swap) {
    $folders = @($swap.made)
    [Array]::Sort([Array][int[]]@(foreach ($folder in $folders) { - "$folder".Length }), [Array]$folders)
    foreach ($folder in $folders) {
        $place = Join-Below $swap.root "$folder"
        try { if ([IO.Directory]::Exists($place)) { [IO.Directory]::Delete($place) } }
        catch [IO.IOException], [UnauthorizedAccessException] { Write-Log "not empty: $(Get-ShownPath $place)" }
    }
}
