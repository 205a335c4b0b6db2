# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
The job `commit` of a restore: stop the web server, swap, wait for a word, start it again whatever happens.

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

$listenEvery = 20          # milliseconds

function Invoke-JobWork($spec) {
    Assert-Open "$($spec['prepared'])"
    $swap = New-Swap $spec
    Assert-Staged $swap
    $swap.was = Get-LeftByOthers $swap
    Write-Journal $job.run_id 'committing' @{ was = $swap.was }
    Set-Progress @{ text = 'stopping the web server'; files = 0; bytes = 0; total_files = $swap.count }
    $server = @{ runs = $true }
    try { $result = Invoke-Stopped $server { Invoke-Commit $swap } }
    catch {
        if ($server.runs -and -not $swap.touched) { Close-Journal $job.run_id 'undone' 'failure' $swap.stays }
        throw
    }
    Close-Journal $job.run_id $(if ($result['released_by'] -ceq 'undo') { 'undone' } else { 'released' }) $result['released_by'] $swap.stays
    return $result
}

# A restore that has ended would be rolled back by half: what it staged is in its place, and so may be what users wrote since. And to undo another one
# that is open would take this one back.
function Assert-Open([string]$prepared) {
    $jobs = Get-JobFolder $job.work
    $ended = Get-ClosedCommit $jobs $prepared
    if ($null -ne $ended) {
        Stop-With 'Refused' "The restore prepared as $prepared was carried out before" "commit $($ended.name) is $(Get-JournalState $ended.folder)" `
            'a preparation that no commit has ended with' 'run the playbook again: it chooses and prepares anew'
    }
    foreach ($commit in @(Get-OpenCommit $jobs)) {
        if ($commit.prepared -ceq $prepared) { continue }
        Stop-With 'Refused' 'A restore that broke off is open on this agent' "the commit $($commit.name)" 'one that is finished or undone' `
            'run the playbook again: it begins with undoing it'
    }
}

# The state in which an earlier commit of the same preparation broke off.
function Get-LeftByOthers($swap) {
    if ($swap.resumed) {
        foreach ($commit in @(Get-CommitOf (Get-JobFolder $job.work) $swap.run)) {
            if ($commit.name -cne $job.run_id -and (Get-Was $commit.name) -cne 'committing') { return $served }
        }
    }
    return 'committing'
}

function Invoke-Commit($swap) {
    $result = Invoke-Swap $swap
    $word = Wait-Word
    if ($word -ceq 'undo') {
        $back = Undo-Swap $swap $job.run_id 'swapped'
        foreach ($key in $back.Keys) { $result[$key] = $back[$key] }
    }
    $result['released_by'] = $word
    return $result
}

# Everything in its place and read there, or everything as it was.
function Invoke-Swap($swap) {
    Set-Progress @{ text = 'swapping files in' }
    try {
        Start-Swap $swap
        Set-Progress @{ total_files = $swap.count }
        $wrong = [Collections.Generic.List[string]]::new()
        $swapped = Move-Forward $swap $wrong
        $quarantined = Move-Leftover $swap
        Assert-Swapped $wrong
        Write-Journal $job.run_id 'swapped'
    }
    catch {
        if (-not $swap.touched) { throw }
        throw (Undo-All $swap $_)
    }
    return [ordered]@{ swapped = $swapped; quarantined = $quarantined; verified = $swap.files }
}

# Puts everything back; gives the failure, which says so. Throws when that fails too: the journal then stays open.
function Undo-All($swap, $record) {
    $first = Get-OurError $record
    if ($null -eq $first) {
        $cause = $record.Exception.GetBaseException()
        Write-Log "$($cause.GetType().FullName): $($cause.Message)`n$($record.ScriptStackTrace)"
        $what = $(if ($cause -is [IO.IOException] -or $cause -is [UnauthorizedAccessException]) { $record.Exception.Message } else { "$($cause.GetType().Name): $($cause.Message)" })
        $first = @{ type = 'JobFailed'; message = "The files couldn't be swapped in"; found = $what; needed = 'files that can be replaced'; remedy = 'mend the cause and run again' }
    }
    try { $back = Undo-Swap $swap $job.run_id $swap.was }
    catch {
        $second = Get-OurError $_
        if ($null -eq $second) { throw }
        Stop-With $second['type'] $second['message'] "$($second['found']); before that: $($first['message']) ($($first['found']))" $second['needed'] $second['remedy']
    }
    $told = "$($back['put_back']) files put back, $($back['removed']) removed"
    if ($back['kept'].Length) { $told += ", $($back['kept'].Length) that stay: $(@($back['kept'][0..($shownFiles - 1)]) -join ', ')" }
    if ($back['conflicts'].Length) {
        $told += ", $($back['conflicts'].Length) that were neither the backup's nor those of before moved to $(Get-ShownPath $swap.conflicts)"
    }
    return ConvertTo-JsonText ([ordered]@{
            type = $first['type']; message = "$($first['message']); all was put back"; found = "$($first['found']) ($told)"
            needed = $first['needed']; remedy = $first['remedy']; details = ''
        })
}

function Assert-Swapped($wrong) {
    if (-not $wrong.Count) { return }
    $shown = $wrong.GetRange(0, [Math]::Min($wrong.Count, $shownFiles)) -join ', '
    Stop-With 'JobFailed' "$($wrong.Count) files read back differently from their places" $shown 'the bytes of the backup' `
        'check the disk of this agent, and which program writes there'
}

# `release` or `undo` from the controller, or `deadline` when it stays silent: a web server that stays down helps nobody.
function Wait-Word {
    $until = [DateTime]::UtcNow.AddSeconds([double]$job.spec['deadline'])
    Set-Progress @{ text = 'swapped, waiting for the other agents'; until = (Get-TimeText $until) }
    $clock = [Diagnostics.Stopwatch]::StartNew()
    while ($true) {
        foreach ($word in 'undo', 'release') { if ([IO.File]::Exists([IO.Path]::Combine($job.folder, $word))) { return $word } }
        if ($clock.Elapsed.TotalSeconds -ge [double]$job.spec['deadline']) { return 'deadline' }
        [Threading.Thread]::Sleep($listenEvery)
    }
}

Start-JobWork $folder
