# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
The job `undo`: a restore, finished or broken off, is undone. The web server stands still meanwhile and is started at the end. May be repeated: then
it tells what stayed, and who has undone it.

.PARAMETER folder
The job's folder.
#>
[CmdletBinding(SupportsShouldProcess)]
param([string]$folder)

. "$PSScriptRoot/lib/files.ps1"
. "$PSScriptRoot/lib/json.ps1"
. "$PSScriptRoot/lib/setup.ps1"
. "$PSScriptRoot/lib/values.ps1"
. "$PSScriptRoot/lib/jobs.ps1"
. "$PSScriptRoot/lib/locks.ps1"
. "$PSScriptRoot/lib/job.ps1"
. "$PSScriptRoot/lib/native.ps1"
. "$PSScriptRoot/lib/holder.ps1"
. "$PSScriptRoot/lib/programs.ps1"
. "$PSScriptRoot/lib/service.ps1"
. "$PSScriptRoot/lib/stopped.ps1"
. "$PSScriptRoot/lib/workers.ps1"
. "$PSScriptRoot/lib/digests.ps1"
. "$PSScriptRoot/lib/places.ps1"
. "$PSScriptRoot/lib/rows.ps1"
. "$PSScriptRoot/lib/cleanup.ps1"
. "$PSScriptRoot/lib/journal.ps1"
. "$PSScriptRoot/lib/swap.ps1"
. "$PSScriptRoot/lib/swapback.ps1"

function Invoke-JobWork($spec) {
    $commit = "$($spec['commit'])"
    $nothing = [ordered]@{ put_back = 0; removed = 0; kept = @(); conflicts = @() }
    $committed = Read-CommitSpec $commit
    if ($null -eq $committed) { Stop-With 'NoSuchJob' "No commit $commit on this agent" '' 'the run id of a commit' 'see the journals in agent_info' }
    $state = Get-RestoreState (Get-JobFolder $job.work) @{ name = $commit; folder = [IO.Path]::Combine($job.work, 'jobs', $commit) }
    if (-not $state) { return $nothing }
    if ($state -ceq 'undone') {
        Invoke-Service 'start'
        return Get-Undone $commit
    }
    $back = $nothing
    $stays = @{}
    if (Test-Touched $job.folder "$($committed['prepared'])") {
        $swap = New-Swap $committed
        Set-Progress @{ text = 'putting back'; files = 0; bytes = 0; total_files = $swap.count }
        $was = Get-Was $commit
        Write-Journal $commit 'undoing' @{ was = $was }
        $back = Invoke-Stopped @{ runs = $true } { Undo-Swap $swap $commit $was }
        $stays = $swap.stays
    }
    else { Invoke-Service 'start' }    # nothing was moved
    Close-Journal $commit 'undone' $job.run_id $stays
    return $back
}

Start-JobWork $folder
