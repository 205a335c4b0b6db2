# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
The journal of a restore. Needs values.ps1, jobs.ps1, cleanup.ps1 and $job.

.DESCRIPTION
Its state is durable before what it announces begins, and closed only when the web server runs again: an open journal of a job that is gone means
that somebody has to undo it.
#>

function Read-CommitSpec([string]$commit) {
    if ($commit -ceq $job.run_id) { return $job.spec }
    $path = [IO.Path]::Combine($job.work, 'jobs', $commit, 'spec.json')
    if (-not [IO.File]::Exists($path)) { return $null }
    return Invoke-Retried { Read-Json $path }
}

# With what is told of a restore later. $facts: `by`, who closed it; `kept` and `conflicts`, what an undo left in its place or moved away; and `was`, its
# state before somebody began to undo it.
function Write-Journal([string]$commit, [string]$state, $facts = @{}) {
    $spec = Read-CommitSpec $commit
    $journal = [ordered]@{ state = $state; at = (Get-TimeText ([DateTime]::UtcNow)) }
    foreach ($key in 'prepared', 'backup', 'zip_sha256', 'zip_mark', 'partial', 'restored_before') { $journal[$key] = $(if ($null -ne $spec) { $spec[$key] }) }
    foreach ($key in @($facts.Keys)) { $journal[$key] = $facts[$key] }
    Write-JsonFile ([IO.Path]::Combine($job.work, 'jobs', $commit, 'journal.json')) $journal
}

# One that doesn't say counts as swapped: users may have written since.
function Get-Was([string]$commit) {
    $journal = Read-Journal ([IO.Path]::Combine($job.work, 'jobs', $commit))
    if ($null -eq $journal) { return 'committing' }
    if ($journal['was']) { return "$($journal['was'])" }
    return $(if ($journal['state'] -ceq 'undoing') { 'swapped' } else { "$($journal['state'])" })
}

# What an undo that is repeated tells: what stayed the first time, and who undid the restore.
function Get-Undone([string]$commit) {
    $path = [IO.Path]::Combine($job.work, 'jobs', $commit, 'journal.json')
    (Open-Patiently $path).Dispose()
    $journal = Read-Json $path
    $told = [ordered]@{ put_back = 0; removed = 0 }
    foreach ($key in 'kept', 'conflicts') { $told[$key] = @(foreach ($name in @($journal[$key])) { if ($name) { $name } }) }
    $told['before'] = "$($journal['by'])"
    return $told
}

# The end of a restore, also for earlier commits of it that broke off. $stays: what an undo left in its place, or moved away.
function Close-Journal([string]$commit, [string]$state, [string]$by, [hashtable]$stays) {
    $jobs = Get-JobFolder $job.work
    $prepared = Get-Prepared ([IO.Path]::Combine($job.work, 'jobs', $commit))
    foreach ($row in @(Get-JournalRow $jobs)) {
        $open = @('committing', 'swapped', 'undoing') -ccontains $row.state
        if ($open -and $row.run_id -cne $commit -and (Get-Prepared ([IO.Path]::Combine($job.work, 'jobs', $row.run_id))) -ceq $prepared) {
            Write-Journal $row.run_id $state (@{ by = $commit } + $stays)
        }
    }
    Write-Journal $commit $state (@{ by = $by } + $stays)
    if (-not $prepared) { return }
    if ($state -ceq 'released') { Remove-OldReplaced $prepared } else { Remove-Undone $prepared }
}
