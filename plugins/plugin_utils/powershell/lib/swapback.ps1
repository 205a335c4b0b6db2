# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
The way back of a restore: what was there before is put back. Needs what swap.ps1 needs, and swap.ps1.
#>

# May be repeated. With $edited, files that somebody changed since they were swapped in stay, and are named; without, nobody could change them.
# Throws, naming the files, after all others were put back.
function Move-Back($swap, [bool]$edited) {
    $done = @{ put_back = 0; removed = 0; kept = [Collections.Generic.List[string]]::new(); failed = [Collections.Generic.List[string]]::new() }
    Read-RowBatch (Get-RowsPath $swap) {
        param([object[]]$rows)
        $same = $(if ($edited) { Get-Untouched $swap $rows })
        for ($i = 0; $i -lt $rows.Length; $i++) { Invoke-BackStep $done $rows[$i].path { Undo-Row $swap $rows[$i] ($null -eq $same -or $same[$i]) } }
    }
    foreach ($path in $swap.leftovers) { Invoke-BackStep $done $path { Undo-Leftover $swap $path } }
    Remove-MadeFolder $swap
    if ($done.failed.Count) { Stop-NotBack $swap $done.failed }
    $swap.touched = $false
    return [ordered]@{ put_back = $done.put_back; removed = $done.removed; kept = @($done.kept) }
}

function Stop-NotBack($swap, $failed) {
    $shown = $failed.GetRange(0, [Math]::Min($failed.Count, $shownFiles)) -join '; '
    Stop-With 'JobFailed' "$($failed.Count) files couldn't be put back" $shown 'the files as they were before the restore' `
        "mend the cause and undo again; they are kept in $(Get-ShownPath $swap.replaced)"
}

# Which of the files in place still are what the backup held.
function Get-Untouched($swap, [object[]]$rows) {
    $digests = Get-Digests @(foreach ($row in $rows) { Join-Below $swap.root $row.target })
    return , [bool[]]@(for ($i = 0; $i -lt $rows.Length; $i++) { $digests[$i] -ceq $rows[$i].sha256 })
}

function Invoke-BackStep($done, [string]$path, [scriptblock]$step) {
    try { $outcome = & $step }
    catch [IO.IOException], [UnauthorizedAccessException] {
        $done.failed.Add("$path ($($_.Exception.Message))")
        return
    }
    if ($outcome -ceq 'kept') { $done.kept.Add($path) } elseif ($outcome) { $done[$outcome]++ }
}

# What became of one file; '' where there was nothing to do.
function Undo-Row($swap, $row, [bool]$untouched) {
    $target = Join-Below $swap.root $row.target
    $kept = Join-Below $swap.replaced $row.path
    $there = Test-Entry $target
    $waiting = [IO.File]::Exists((Join-Below $swap.staging $row.path))
    if ($row.action -ceq 'create') { return Undo-Creation $target $there $waiting $untouched }
    if (-not [IO.File]::Exists($kept)) { return '' }
    if ($there -and -not $waiting -and -not $untouched) { return 'kept' }
    Restore-Kept $kept $target
    return 'put_back'
}

# An empty file beside one that still waits is the place that was held for it.
function Undo-Creation([string]$target, [bool]$there, [bool]$waiting, [bool]$untouched) {
    if (-not $there) { return '' }
    $held = $waiting -and [IO.File]::Exists($target) -and [IO.FileInfo]::new($target).Length -eq 0
    if ($waiting -and -not $held) { return '' }
    if (-not $held -and -not $untouched) { return 'kept' }
    Invoke-OnFile $target { Remove-One ([IO.FileInfo]::new($target)) }
    return $(if ($held) { '' } else { 'removed' })
}

# With a time of now, so that no synchronisation takes it for older than what it replaces.
function Restore-Kept([string]$kept, [string]$target) {
    [void][IO.Directory]::CreateDirectory([IO.Path]::GetDirectoryName($target))
    Invoke-OnFile $target {
        $before = [IO.File]::GetAttributes($kept)
        $plain = [IO.FileAttributes]($before -band -bnot [IO.FileAttributes]::ReadOnly)
        if ($before -ne $plain) { [IO.File]::SetAttributes($kept, $plain) }
        [IO.File]::SetLastWriteTimeUtc($kept, [DateTime]::UtcNow)
        if ([IO.File]::Exists($target)) {
            $there = [IO.File]::GetAttributes($target)
            if ($there -band [IO.FileAttributes]::ReadOnly) { [IO.File]::SetAttributes($target, $there -bxor [IO.FileAttributes]::ReadOnly) }
            [IO.File]::Replace($kept, $target, [NullString]::Value, $true)
        }
        else { [IO.File]::Move($kept, $target) }
        if ($before -ne $plain) { [IO.File]::SetAttributes($target, [IO.File]::GetAttributes($target) -bor [IO.FileAttributes]::ReadOnly) }
    }
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
