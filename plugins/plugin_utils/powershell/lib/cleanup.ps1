# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
What restores leave in the working folder, and when it goes. Needs files.ps1, values.ps1, jobs.ps1, job.ps1 and $job.

.DESCRIPTION
Files that a commit replaced may be the only ones of their kind: they go when a later commit has ended well, and only where a journal was read that
says that their restore is closed.
#>

# Commits that have left their restore open, newest first, as @{ name; prepared }.
function Get-OpenCommit($jobs) {
    foreach ($row in @(Get-JournalRow $jobs)) {
        if ($openStates -ccontains $row.state) { @{ name = $row.run_id; prepared = (Get-Prepared ([IO.Path]::Combine($job.work, 'jobs', $row.run_id))) } }
    }
}

# Once this preparation stands: what earlier ones extracted, unless a commit has begun with it and isn't closed.
function Remove-OldPreparation {
    $jobs = Get-JobFolder $job.work
    $kept = @($job.run_id) + @(foreach ($commit in @(Get-OpenCommit $jobs)) { $commit.prepared })
    foreach ($entry in @(Get-KeptFolder 'staging')) {
        $touched = Test-Touched $job.folder $entry.Name
        if ($kept -ccontains $entry.Name -or ($touched -and $null -eq (Get-ClosedCommit $jobs $entry.Name))) { continue }
        if ($touched -or (Remove-Rows $entry.Name)) { Remove-Waste $entry.FullName }
    }
}

# Once the restore of $prepared has ended well: what it has left in staging, and what earlier ones kept for their undoing.
function Remove-OldReplaced([string]$prepared) {
    $jobs = Get-JobFolder $job.work
    Remove-Waste ([IO.Path]::Combine($job.work, 'staging', $prepared))
    foreach ($entry in @(Get-KeptFolder 'replaced')) {
        if ($entry.Name -ceq $prepared -or $null -eq (Get-ClosedCommit $jobs $entry.Name)) { continue }
        if (Remove-Rows $entry.Name) { Remove-Waste $entry.FullName }
    }
}

# Once a restore is undone: what it has left in staging, and the empty folders of what was put back.
function Remove-Undone([string]$prepared) {
    Remove-Waste ([IO.Path]::Combine($job.work, 'staging', $prepared))
    Remove-Empty ([IO.DirectoryInfo]::new([IO.Path]::Combine($job.work, 'replaced', $prepared)))
}

function Get-KeptFolder([string]$name) {
    $base = [IO.Path]::Combine($job.work, $name)
    if ([IO.Directory]::Exists($base)) { foreach ($entry in (Get-Entry $base)) { $entry } }
}

# Before the files: rows without them would be, or undo, half a restore. Where they stay, so do the files, and whether they went is told.
function Remove-Rows([string]$prepared) {
    $rows = [IO.Path]::Combine($job.work, 'jobs', $prepared, 'rows.txt')
    Remove-Waste $rows
    return -not [IO.File]::Exists($rows)
}

# Folders in which there is nothing but folders.
function Remove-Empty([IO.DirectoryInfo]$folder) {
    if (-not $folder.Exists) { return }
    foreach ($inner in $folder.GetDirectories()) { Remove-Empty $inner }
    if ($folder.GetFileSystemInfos().Length) { return }
    try { $folder.Delete() } catch { Write-Log "$(Get-ShownPath $folder.FullName) can't be deleted: $($_.Exception.GetBaseException().Message)" }
}
