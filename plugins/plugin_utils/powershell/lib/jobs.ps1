# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
The lock, job records and journals of the working folder. Needs the functions of files.ps1 and json.ps1.
#>

$startPatience = 120       # seconds

# A job holds the lock open for its whole life, and an installer inherits it: whether it can be opened tells, not a process id that another has by now.
function Test-Locked([string]$path) {
    if (-not [IO.File]::Exists($path)) { return $false }
    try {
        [IO.FileStream]::new($path, [IO.FileMode]::Open, [IO.FileAccess]::Read, [IO.FileShare]::Read).Dispose()
        return $false
    }
    catch [IO.IOException] { return $true }
}

# The last job that was started, as its record in lock.json tells.
function Get-LastJob([string]$folder) {
    $job = [ordered]@{ run_id = 'unknown'; kind = 'unknown'; owner = 'unknown'; started = ''; work = '' }
    $record = Read-JsonFile ([IO.Path]::Combine($folder, 'lock.json'))
    if ($null -ne $record) { foreach ($key in @($job.Keys)) { if ($record.ContainsKey($key)) { $job[$key] = $record[$key] } } }
    return $job
}

# When a commit that waits starts its web server by itself at the latest; null where no job has told it.
function Get-Until([string]$folder, [string]$runId) {
    if (-not (Test-RunId $runId)) { return $null }
    try { $told = Read-JsonFile ([IO.Path]::Combine($folder, 'jobs', $runId, 'progress.json')) } catch { return $null }    # held; it isn't worth the rest
    if ($null -eq $told) { return $null }
    return $told['until']
}

function Get-RunningJob([string]$folder) {
    if (-not (Test-Locked ([IO.Path]::Combine($folder, 'lock')))) { return $null }
    return Get-LastJob $folder
}

# Whether a folder can have that name.
function Test-RunId([string]$runId) { return $runId -match '\A[A-Za-z0-9][A-Za-z0-9._-]{0,99}\z' }

# Seconds since a job was put down to be launched, by either direction of a clock that was set; a job without a record is of any age.
function Get-RecordAge([string]$folder) {
    $record = [IO.FileInfo]::new([IO.Path]::Combine($folder, 'state.json'))
    if (-not $record.Exists) { return [double]::MaxValue }
    return [Math]::Abs(([DateTime]::UtcNow - $record.LastWriteTimeUtc).TotalSeconds)
}

function Get-JobState([string]$folder, [bool]$holdsLock) {
    $ended = Read-JsonFile ([IO.Path]::Combine($folder, 'result.json'))
    if ($null -ne $ended) { return $(if ($ended['error']) { 'failed' } else { 'done' }) }
    if (-not $holdsLock) { return 'dead' }
    return Get-LiveState $folder
}

# Of a job that lives. One whose journal stays held runs: its word reaches it all the same.
function Get-LiveState([string]$folder) {
    try { $state = Get-JournalState $folder } catch { $state = $null }
    return $(if ($state -eq 'swapped') { 'waiting' } else { 'running' })
}

function Read-Journal([string]$folder) { return Read-JsonFile ([IO.Path]::Combine($folder, 'journal.json')) }

function Get-JournalState([string]$folder) {
    $journal = Read-Journal $folder
    if ($null -eq $journal) { return $null }
    return $journal['state']
}

# Job folders as @{ folder; name; record }, newest first.
function Get-JobFolder([string]$folder) {
    $jobs = [IO.Path]::Combine($folder, 'jobs')
    if (-not [IO.Directory]::Exists($jobs)) { return , @() }
    $found = @(foreach ($entry in (Get-Entry $jobs)) {
            $record = Read-JsonFile ([IO.Path]::Combine($entry.FullName, 'state.json'))
            if ($null -ne $record) { @{ folder = $entry.FullName; name = $entry.Name; record = $record } }
        })
    $sorted = Get-Sorted @(foreach ($job in $found) { "$($job.record['started'])`0$($job.name)" }) $found
    [Array]::Reverse([Array]$sorted)
    return , $sorted
}

function Get-JobRow($jobs, $running) {
    for ($i = 0; $i -lt [Math]::Min($jobs.Length, $jobLimit); $i++) {
        $job = $jobs[$i]
        $holdsLock = $null -ne $running -and $running.run_id -ceq $job.name
        [ordered]@{ run_id = $job.name; kind = $job.record['kind']; state = (Get-JobState $job.folder $holdsLock); started = $job.record['started'] }
    }
}

function Get-JournalRow($jobs) {
    foreach ($commit in @(Get-Commit $jobs)) {
        $state = Get-RestoreState $jobs $commit
        if ($state) { [ordered]@{ run_id = $commit.name; state = $state } }
    }
}

# The folders of commits, newest first.
function Get-Commit($jobs) {
    foreach ($job in $jobs) {
        if ($job.record['kind'] -ceq 'commit' -or [IO.File]::Exists([IO.Path]::Combine($job.folder, 'journal.json'))) { $job }
    }
}

# One that has begun and whose journal is lost is `committing`: somebody has to undo it.
function Get-RestoreState($jobs, $commit) {
    $state = Get-JournalState $commit.folder
    if ($state) { return $state }
    $prepared = Get-Prepared $commit.folder
    if (-not (Test-Touched $commit.folder $prepared)) { return $null }
    foreach ($other in @(Get-CommitOf $jobs $prepared)) { if ($other.name -cne $commit.name -and (Get-JournalState $other.folder)) { return $null } }
    return 'committing'
}

# The run that prepared what a commit swaps in; '' where that isn't known.
function Get-Prepared([string]$folder) {
    $spec = Read-JsonFile ([IO.Path]::Combine($folder, 'spec.json'))
    if ($null -eq $spec) { return '' }
    return "$($spec['prepared'])"
}

# Whether a commit has begun to carry out that preparation; $folder is that of any job.
function Test-Touched([string]$folder, [string]$prepared) {
    if (-not $prepared) { return $false }
    return [IO.File]::Exists([IO.Path]::Combine([IO.Path]::GetDirectoryName($folder), $prepared, 'made.json'))
}

function Get-CommitOf($jobs, [string]$prepared) {
    foreach ($commit in @(Get-Commit $jobs)) { if ((Get-Prepared $commit.folder) -ceq $prepared) { $commit } }
}

# The commit that ended the restore of that preparation; null while it is open, or where no journal can be read.
function Get-ClosedCommit($jobs, [string]$prepared) {
    foreach ($commit in @(Get-CommitOf $jobs $prepared)) { if (@('released', 'undone') -ccontains (Get-JournalState $commit.folder)) { return $commit } }
    return $null
}

# The journal of the restore that reached its end last. One with a time that is yet to come is older than a clock that was put right.
function Get-LastRestore($jobs) {
    $last = $null
    $latest = ''
    $now = Get-TimeText ([DateTime]::UtcNow)
    foreach ($job in $jobs) {
        $journal = Read-Journal $job.folder
        if ($null -eq $journal -or @('released', 'undone') -cnotcontains $journal['state']) { continue }
        $at = $(if ([string]::CompareOrdinal($journal['at'], $now) -le 0) { $journal['at'] } else { '' })
        if ($null -ne $last -and [string]::CompareOrdinal($at, $latest) -le 0) { continue }
        $latest = $at
        $last = [ordered]@{ run_id = $job.name; state = $journal['state']; at = $journal['at']; backup = $journal['backup'] }
        foreach ($key in 'zip_sha256', 'zip_mark', 'partial', 'restored_before') { $last[$key] = $journal[$key] }
    }
    return $last
}
