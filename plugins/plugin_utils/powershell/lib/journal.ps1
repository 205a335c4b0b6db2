# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
The journal of a restore. Needs values.ps1, jobs.ps1 and $job.

.DESCRIPTION
Its state is durable before what it announces begins, and closed only when the web server runs again: an open journal of a job that is gone means
that somebody has to undo it.
#>

function Read-CommitSpec([string]$commit) {
    $path = [IO.Path]::Combine($job.work, 'jobs', $commit, 'spec.json')
    if (-not [IO.File]::Exists($path)) { return $null }
    return Read-Json $path
}

# With what is told of a restore later.
function Write-Journal([string]$commit, [string]$state, [string]$by = '') {
    $spec = Read-CommitSpec $commit
    $journal = [ordered]@{ state = $state; at = (Get-TimeText ([DateTime]::UtcNow)) }
    foreach ($key in 'prepared', 'backup', 'zip_sha256', 'partial') { $journal[$key] = $(if ($null -ne $spec) { $spec[$key] }) }
    if ($by) { $journal['by'] = $by }
    Write-JsonFile ([IO.Path]::Combine($job.work, 'jobs', $commit, 'journal.json')) $journal
}

# The end of a restore, also for earlier commits of it that broke off.
function Close-Journal([string]$commit, [string]$state, [string]$by) {
    $prepared = Get-PreparedBy $commit
    foreach ($row in @(Get-JournalRow (Get-JobFolder $job.work))) {
        $open = @('committing', 'swapped', 'undoing') -ccontains $row.state
        if ($open -and $row.run_id -cne $commit -and (Get-PreparedBy $row.run_id) -ceq $prepared) { Write-Journal $row.run_id $state $commit }
    }
    Write-Journal $commit $state $by
}

function Get-PreparedBy([string]$commit) {
    $spec = Read-CommitSpec $commit
    if ($null -eq $spec) { return '' }
    return "$($spec['prepared'])"
}
