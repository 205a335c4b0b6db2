# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
What every job script shares: the lock, its spec, progress, log and end. Needs files.ps1, json.ps1, setup.ps1,
values.ps1, jobs.ps1 and locks.ps1, in this order, native.ps1 and holder.ps1 after it.

.DESCRIPTION
A job script is one text that runs in a process of its own:

    param([string]$folder)                                 the job's folder, jobs\<run id>
    (the lines that name lib/files.ps1, json, setup, values, jobs, locks, job, native and holder, in this order, then its own)
    function Invoke-JobWork($spec) { ...; return [ordered]@{ ... } }     the result, without `about`
    Start-JobWork $folder

Without a folder Start-JobWork does nothing: inspect.ps1 takes the functions of job_verify.ps1 that way and calls Invoke-JobWork itself, with
$job.folder $null, in which case Set-Progress and Write-Log write nothing.

While it works, in every function:

    $job.folder   $job.work   $job.run_id   $job.spec      paths are long paths (Get-LongPath) already
    Set-Progress @{ text = 'copying'; files = 0; total_files = 9 }       merges; written at once where it has a text, else a few times a second
    Add-Progress $files $bytes                             that many more are done
    Write-Log $text                                        a line in log.txt
    Stop-With ...                                          (values.ps1) ends the job with an error of ours
    Invoke-Retried { ... }                                 the block's value; repeats it while another process holds a file, up to
                                                           $spec.retry_seconds (default 10), then throws what the block threw
    Open-Patiently $path                                   a file to read, which another process may hold for as long
    Get-FileDigest $path                                   its SHA-256, read that way
    Test-Held $record                                      whether an ErrorRecord or exception says that another process holds a file
    Remove-Waste $path                                     a file or folder of our own that nobody needs; one that can't be deleted is logged
    Read-Json $path, Write-JsonFile $path $value, Remove-Tree $folder   (values.ps1)

Whatever else is thrown ends the job as JobFailed, with the exception's words and a line of the log that tells the place.
#>

$progressEvery = 300     # milliseconds
$lockPatience = 10000    # milliseconds
$keepJobs = 30
$heldCodes = 0x80070020, 0x80070021, 0x80070497, 0x80070498, 0x80070499, 0x800704C8, 11
$openStates = 'committing', 'swapped', 'undoing'

function Set-Progress([Collections.IDictionary]$facts) {
    foreach ($key in @($facts.Keys)) { $job.facts[$key] = $facts[$key] }
    if ($facts.Contains('text') -or -not $job.written.IsRunning -or $job.written.ElapsedMilliseconds -gt $progressEvery) {
        $job.written.Restart()
        Save-Progress
    }
}

function Add-Progress([long]$files, [long]$bytes) {
    Set-Progress @{ files = [long]$job.facts['files'] + $files; bytes = [long]$job.facts['bytes'] + $bytes }
}

# A job doesn't end because its progress couldn't be told.
function Save-Progress {
    if (-not $job.folder) { return }
    try { Write-JsonFile ([IO.Path]::Combine($job.folder, 'progress.json')) $job.facts $false }
    catch { Write-Log "progress not written: $($_.Exception.GetBaseException().Message)" }
}

# Nor because of its log, on a full disk for one: what is told here may be all that stands before an undo.
function Write-Log([string]$text) {
    if (-not $job.folder) { return }
    try { [IO.File]::AppendAllText([IO.Path]::Combine($job.folder, 'log.txt'), "$(Get-TimeText ([DateTime]::UtcNow)) $text`n") } catch { return }
}

# Sharing and lock violations of Windows, those that stopped ReplaceFile on its way (it says where the files are then), a file mapped into another
# program's memory, and what .NET makes of a locked file elsewhere.
function Test-Held($problem) {
    $exception = $problem
    if ($problem -is [Management.Automation.ErrorRecord]) { $exception = $problem.Exception }
    $exception = $exception.GetBaseException()
    if ($exception -isnot [IO.IOException]) { return $false }
    return $heldCodes -contains $exception.HResult
}

# How long a file that another program holds is asked for again, in seconds.
function Get-Patience {
    if ($null -eq $job.spec['retry_seconds']) { return [double]10 }
    return [double]$job.spec['retry_seconds']
}

function Invoke-Retried([scriptblock]$block) {
    $seconds = Get-Patience
    $clock = [Diagnostics.Stopwatch]::StartNew()
    while ($true) {
        try { return (& $block) }
        catch {
            if (-not (Test-Held $_) -or $clock.Elapsed.TotalSeconds -ge $seconds) { throw }
            [Threading.Thread]::Sleep(100)
        }
    }
}

# It must not hide what went wrong, or went well, before: a virus scanner looks at what was just written.
function Remove-Waste([string]$path) {
    try { if ([IO.File]::Exists($path)) { Remove-One ([IO.FileInfo]::new($path)) } else { Remove-Tree $path } }
    catch { Write-Log "$(Get-ShownPath $path) can't be deleted: $($_.Exception.GetBaseException().Message)" }
}

# As Open-File; a file that stays held is told by name.
function Open-Patiently([string]$path) {
    try { return Invoke-Retried { Open-File $path } }
    catch {
        if (-not (Test-Held $_)) { throw }
        Stop-With 'JobFailed' "$(Get-ShownPath $path) can't be read" (Get-HeldText $path) 'a file that may be read' 'close the program that holds it, then run again'
    }
}

# SHA-256 of one file; an error where it can't be read.
function Get-FileDigest([string]$path) {
    $stream = Open-Patiently $path
    try { return [BitConverter]::ToString((New-Sha256).ComputeHash($stream)).Replace('-', '').ToLowerInvariant() }
    finally { $stream.Dispose() }
}

# The result with what the spec says about it, or an error.
function Get-End {
    try {
        $result = Invoke-JobWork $job.spec
        $result['about'] = $job.spec['about']
        return [ordered]@{ result = $result }
    }
    catch {
        $told = Get-OurError $_
        if ($null -eq $told) { $told = Get-Unexpected $_ }
        return [ordered]@{ error = $told }
    }
}

function Get-Unexpected($record) {
    $cause = $record.Exception.GetBaseException()
    Write-Log "$($cause.GetType().FullName): $($cause.Message)`n$($record.ScriptStackTrace)"
    return [ordered]@{
        type = 'JobFailed'
        message = "The $($job.spec['kind']) job failed"
        found = "$($cause.GetType().Name): $($cause.Message)"
        needed = ''
        remedy = "see $(Get-ShownPath ([IO.Path]::Combine($job.folder, 'log.txt'))) on the agent"
    }
}

# Old jobs are forgotten, but none that an undo or the next restore may still ask for.
function Remove-OldJob {
    $known = Get-JobFolder $job.work
    if ($known.Length -le $keepJobs) { return }
    $needed = Get-NeededRun $known
    for ($i = $keepJobs; $i -lt $known.Length; $i++) { if ($needed -cnotcontains $known[$i].name) { Remove-Tree $known[$i].folder } }
}

# This job, which isn't among the newest where the clock was set back; restores that are open, the one that ended last, those that kept files
# are of, and whatever these were prepared by.
function Get-NeededRun($known) {
    $needed = [Collections.Generic.HashSet[string]]::new([StringComparer]::Ordinal)
    [void]$needed.Add($job.run_id)
    foreach ($row in @(Get-JournalRow $known)) { if ($openStates -ccontains $row.state) { [void]$needed.Add($row.run_id) } }
    $last = Get-LastRestore $known
    if ($null -ne $last) { [void]$needed.Add($last.run_id) }
    foreach ($run in @($needed)) { [void]$needed.Add((Get-Prepared ([IO.Path]::Combine($job.work, 'jobs', $run)))) }
    foreach ($name in 'staging', 'replaced') {
        $base = [IO.Path]::Combine($job.work, $name)
        if ([IO.Directory]::Exists($base)) { foreach ($entry in (Get-Entry $base)) { [void]$needed.Add($entry.Name) } }
    }
    foreach ($commit in @(Get-Commit $known)) { if ($needed.Contains((Get-Prepared $commit.folder))) { [void]$needed.Add($commit.name) } }
    return , @($needed)
}

# The result is written before the lock goes: whoever finds the lock free finds the result too.
function Start-JobWork([string]$folder) {
    if (-not $folder) { return }
    $place = Get-LongPath $folder
    $script:job = @{
        folder = $place
        run_id = [IO.Path]::GetFileName($place)
        work = [IO.Path]::GetDirectoryName([IO.Path]::GetDirectoryName($place))
        facts = [ordered]@{}
        written = [Diagnostics.Stopwatch]::new()
        spec = @{}
    }
    $job.spec = Invoke-Retried { Read-Json ([IO.Path]::Combine($place, 'spec.json')) }
    $script:readPatience = [Math]::Max($readPatience, (Get-Patience))
    $lock = Open-Lock ([IO.Path]::Combine($job.work, 'lock')) $lockPatience
    try {
        if ([IO.File]::Exists([IO.Path]::Combine($job.folder, 'result.json'))) { return }    # told that it never began
        $age = Get-RecordAge $job.folder
        Write-JsonFile ([IO.Path]::Combine($job.folder, 'process.json')) (Get-ProcessMark ([Diagnostics.Process]::GetCurrentProcess()))
        if ($null -eq $lock) { $end = [ordered]@{ error = Get-LockedOut } }
        elseif ($age -ge $startPatience) { $end = [ordered]@{ error = (Get-Late $age) } }
        else { $end = Invoke-Job }
        if ($null -ne $lock) { try { Remove-OldJob } catch { Write-Log "old jobs stay: $($_.Exception.GetBaseException().Message)" } }
        Write-JsonFile ([IO.Path]::Combine($job.folder, 'result.json')) $end
    }
    finally { if ($null -ne $lock) { $lock.Dispose() } }
}

function Invoke-Job {
    Write-Log "start $($job.spec['kind'])"
    $end = Get-End
    if ($job.facts.Count) { Save-Progress }
    Write-Log "end $(if ($end.Contains('error')) { 'with an error' } else { 'well' })"
    return $end
}

function Get-LockedOut {
    return [ordered]@{
        type = 'Busy'
        message = 'Another job runs on this agent'
        found = 'a lock that was taken meanwhile'
        needed = 'an agent without a running job'
        remedy = 'wait until it has ended, then run again'
    }
}

# Whoever started it took it for dead by then: the others of its cluster may have been put back.
function Get-Late([double]$age) {
    return [ordered]@{
        type = 'JobFailed'
        message = "The $($job.spec['kind']) job $($job.run_id) didn't begin"
        found = "its process came to its first line after $([Math]::Floor($age)) seconds"
        needed = "a job that begins within $startPatience seconds: after that it counts as gone"
        remedy = 'run again once the agent is less busy'
    }
}
