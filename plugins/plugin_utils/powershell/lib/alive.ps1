# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Which job lives, also where the lock doesn't tell, or not yet. Needs files.ps1, json.ps1 and jobs.ps1.
#>

$longestInstall = 21600    # seconds
$accessDenied = 5
$endPatience = 30           # attempts, each a tenth of a second

function Get-Noted([string]$time) { return [DateTime]::Parse($time, [Globalization.CultureInfo]::InvariantCulture, [Globalization.DateTimeStyles]::RoundtripKind) }

# A process with that id that began at that moment: the id alone may be another's by now.
function Test-Process($mark) {
    if ($null -eq $mark) { return $false }
    try {
        $began = [Diagnostics.Process]::GetProcessById([int]$mark['pid']).StartTime.ToUniversalTime()
        $noted = Get-Noted $mark['started']
        return [Math]::Abs(($began - $noted).TotalSeconds) -lt 2
    }
    catch { return $false }
}

# The same of a program whose process wasn't noted, for what started it was killed meanwhile: any of that name that began about then.
function Test-Program($note) {
    if ($null -eq $note -or -not $note['program']) { return $false }
    $noted = Get-Noted $note['after']
    if (([DateTime]::UtcNow - $noted).TotalSeconds -gt $longestInstall) { return $false }    # the name is that of users' programs too
    $began = [Diagnostics.Process].GetProperty('StartTime')    # asked for this way it says why it can't be had
    foreach ($process in [Diagnostics.Process]::GetProcessesByName($note['program'])) {
        try { $late = (([DateTime]$began.GetValue($process, $null)).ToUniversalTime() - $noted).TotalSeconds }
        catch {
            $cause = $_.Exception.GetBaseException()
            if ($cause -is [ComponentModel.Win32Exception] -and ([ComponentModel.Win32Exception]$cause).NativeErrorCode -eq $accessDenied) { return $true }    # another user's: it may be
            continue    # it has ended
        }
        if ($late -gt -2 -and $late -lt $startPatience) { return $true }
    }
    return $false
}

# A job that was launched a moment ago and hasn't come to its first line.
function Test-Starting([string]$folder) {
    if ([IO.File]::Exists([IO.Path]::Combine($folder, 'process.json'))) { return $false }
    return (Get-RecordAge $folder) -lt $startPatience
}

# The last job that was started, where it is only just starting, or where its installer still works although the job itself was killed.
function Get-UnlockedJob([string]$work) {
    $last = Get-LastJob $work
    $folder = [IO.Path]::Combine($work, 'jobs', $last['run_id'])
    if ([IO.File]::Exists([IO.Path]::Combine($folder, 'result.json'))) { return $null }
    $installer = Read-JsonFile ([IO.Path]::Combine($folder, 'installer.json'))
    if ((Test-Starting $folder) -or (Test-Process $installer) -or (Test-Program $installer)) { return $last }
    return $null
}

# The job that lives, or null. Asked in this order: a job takes the lock before it stops to count as starting, and writes its result before it lets the lock go.
function Get-ActiveJob([string]$work) {
    $unlocked = Get-UnlockedJob $work
    $running = Get-RunningJob $work
    if ($null -ne $running) { return $running }
    return $unlocked
}

# The same. One that has told its end lets go of the lock in a moment.
function Wait-Ending([string]$work) {
    for ($attempt = 1; ; $attempt++) {
        $found = Get-ActiveJob $work
        if ($null -eq $found -or $attempt -ge $endPatience -or -not (Test-RunId $found['run_id'])) { return $found }
        if (-not [IO.File]::Exists([IO.Path]::Combine($work, 'jobs', $found['run_id'], 'result.json'))) { return $found }
        [Threading.Thread]::Sleep(100)
    }
}
