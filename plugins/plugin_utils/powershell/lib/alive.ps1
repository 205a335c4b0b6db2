# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Whether a job lives although the lock doesn't tell, or not yet. Needs files.ps1, json.ps1 and jobs.ps1.
#>

$longestInstall = 21600    # seconds
$accessDenied = 5

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
    $record = Read-JsonFile ([IO.Path]::Combine($work, 'lock.json'))
    if ($null -eq $record -or -not $record['run_id']) { return $null }
    $folder = [IO.Path]::Combine($work, 'jobs', $record['run_id'])
    if ([IO.File]::Exists([IO.Path]::Combine($folder, 'result.json'))) { return $null }
    $installer = Read-JsonFile ([IO.Path]::Combine($folder, 'installer.json'))
    if ((Test-Starting $folder) -or (Test-Process $installer) -or (Test-Program $installer)) { return $record }
    return $null
}
