# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
What is known of a job. Needs files.ps1, json.ps1, setup.ps1, values.ps1, jobs.ps1 and alive.ps1.
#>

# Results are large and are handed on as they are.
function Read-Whole([string]$path) {
    $data = Read-Patiently $path
    if ($null -eq $data) { return $null }
    return ConvertFrom-Bytes $data
}

# A job is put down in lock.json before its record stands, and gives its holder up once its result does: these are looked at in this order.
# `state` is running, waiting, ended (then `end` is the text of result.json), dead or absent.
function Get-Status([string]$work, [string]$runId, [bool]$attached = $false) {
    $folder = [IO.Path]::Combine($work, 'jobs', $runId)
    $status = [ordered]@{ run_id = $runId; kind = ''; state = 'absent'; started = ''; owner = ''; work = ''; attached = $attached; progress = $null; end = $null }
    $record = Read-JsonFile ([IO.Path]::Combine($folder, 'state.json'))
    if ($null -eq $record) { return $status }
    $active = Get-ActiveJob $work
    foreach ($key in 'kind', 'started', 'owner', 'work') { $status[$key] = "$($record[$key])" }
    $status.end = Read-Whole ([IO.Path]::Combine($folder, 'result.json'))
    try { $status.progress = Read-Whole ([IO.Path]::Combine($folder, 'progress.json')) } catch { $status.progress = $null }    # it isn't worth the rest
    $status.state = 'dead'
    if ($null -ne $status.end) { $status.state = 'ended' }
    elseif ($null -ne $active -and $active['run_id'] -ceq $runId) { $status.state = Get-LiveState $folder }
    return $status
}

# The status once it is none of $states any more, or after $seconds.
function Wait-Status([string]$work, [string]$runId, [double]$seconds, [string[]]$states = @('running'), [bool]$attached = $false) {
    $clock = [Diagnostics.Stopwatch]::StartNew()
    $status = Get-Status $work $runId $attached
    $end = [IO.Path]::Combine($work, 'jobs', $runId, 'result.json')
    $journal = [IO.Path]::Combine($work, 'jobs', $runId, 'journal.json')
    while ($states -contains $status.state -and $clock.Elapsed.TotalSeconds -lt $seconds) {
        $written = [IO.File]::GetLastWriteTimeUtc($journal)
        for ($i = 0; $i -lt 5 -and -not [IO.File]::Exists($end) -and [IO.File]::GetLastWriteTimeUtc($journal) -eq $written; $i++) { [Threading.Thread]::Sleep(20) }
        $status = Get-Status $work $runId $attached
    }
    return $status
}

function Assert-RunId([string]$runId) {
    if (Test-RunId $runId) { return }
    Stop-With 'InvalidInput' "A run id can't be used as a folder name" "'$runId'" 'letters, digits, dots, dashes' 'choose another run_id'
}
