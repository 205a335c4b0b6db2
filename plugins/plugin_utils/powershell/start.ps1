# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Starts a job that outlives the connection, or attaches to one. The same run id again attaches.

.DESCRIPTION
$Ansible.Result is that of poll.ps1. Throws Busy where another job runs on the agent.

.PARAMETER work_dir
The working folder of jobs.

.PARAMETER run_id
The job's name, chosen by the caller.

.PARAMETER kind
What it does: the job script's name.

.PARAMETER work
What it works on: the digest of its spec. A start with another run id but the same kind and work attaches to the running job.

.PARAMETER owner
Who started it.

.PARAMETER spec
The job's spec, packed JSON.

.PARAMETER script
The text of its script, packed.

.PARAMETER launcher
A program and its first arguments that take the place of Windows PowerShell started by WMI: a plain detached process is started with them. For
machines without WMI.

.PARAMETER wait
Seconds to wait for its end.

.PARAMETER scan
@{ script; parameters }: the packed text of scan.ps1, for the basis.

.PARAMETER basis
What the spec was planned from, parts of an earlier scan's basis: before a new job begins the agent is scanned, and where one of them differs nothing
is started. The state is then 'stale', and the scan's answer comes along. Null for what rests on nothing.
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)][string]$work_dir,
    [Parameter(Mandatory)][string]$run_id,
    [Parameter(Mandatory)][string]$kind,
    [Parameter(Mandatory)][string]$work,
    [string]$owner = '',
    [Parameter(Mandatory)][string]$spec,
    [Parameter(Mandatory)][string]$script,
    [string[]]$launcher = @(),
    [double]$wait = 0,
    [Collections.IDictionary]$scan = $null,
    [Collections.IDictionary]$basis = $null
)

$Ansible.Changed = $false
. "$PSScriptRoot/lib/files.ps1"
. "$PSScriptRoot/lib/json.ps1"
. "$PSScriptRoot/lib/setup.ps1"
. "$PSScriptRoot/lib/values.ps1"
. "$PSScriptRoot/lib/jobs.ps1"
. "$PSScriptRoot/lib/alive.ps1"
. "$PSScriptRoot/lib/status.ps1"
. "$PSScriptRoot/lib/answer.ps1"
. "$PSScriptRoot/lib/locks.ps1"
. "$PSScriptRoot/lib/launch.ps1"
. "$PSScriptRoot/lib/guard.ps1"
. "$PSScriptRoot/lib/turns.ps1"

$beginPatience = 60        # seconds until a launched job has come to its first line

# The record comes last: a run id is known once everything that its job needs stands there, and a job that nobody seems to hold counts as dead.
function New-JobFolder([string]$place, [string]$folder) {
    [void][IO.Directory]::CreateDirectory($folder)
    $record = New-Record $kind $owner $work
    Write-FileBytes ([IO.Path]::Combine($folder, 'spec.json')) ([Text.UTF8Encoding]::new($false).GetBytes((Expand-Text $spec)))
    $text = [Text.UTF8Encoding]::new($true)
    Write-FileBytes ([IO.Path]::Combine($folder, 'job.ps1')) ([byte[]]($text.GetPreamble() + $text.GetBytes((Expand-Text $script))))
    Write-JsonFile ([IO.Path]::Combine($place, 'lock.json')) $record
    Write-JsonFile ([IO.Path]::Combine($folder, 'state.json')) $record
}

# Until the job has the lock, or has ended: nobody else starts one meanwhile.
function Wait-Begin([string]$folder, $mark) {
    $clock = [Diagnostics.Stopwatch]::StartNew()
    while ($clock.Elapsed.TotalSeconds -lt $beginPatience) {
        $alive = Test-Process $mark
        foreach ($name in 'process.json', 'result.json') { if ([IO.File]::Exists([IO.Path]::Combine($folder, $name))) { return } }
        if (-not $alive) { Write-NotBegun $folder 'its process ended before the first line'; return }
        [Threading.Thread]::Sleep(20)
    }
}

function Write-NotBegun([string]$folder, [string]$found) {
    $problem = [ordered]@{
        type = 'JobFailed'
        message = "The $kind job $run_id didn't begin"
        found = $found
        needed = 'an agent on which PowerShell may be started and may run scripts from the working folder'
        remedy = "look for what forbids it: a policy (execution policy by group policy, AppLocker) for $(Get-ShownPath $folder), or Defender's rule against processes started by WMI"
    }
    Write-JsonFile ([IO.Path]::Combine($folder, 'result.json')) ([ordered]@{ error = $problem })
}

function Start-Job([string]$place) {
    $folder = [IO.Path]::Combine($place, 'jobs', $run_id)
    New-JobFolder $place $folder
    try { $mark = Start-Launcher $launcher ([IO.Path]::Combine($folder, 'job.ps1')) $folder }
    catch { Write-NotBegun $folder "it can't be launched: $($_.Exception.GetBaseException().Message)"; return }
    Wait-Begin $folder $mark
}

# Whether the job still does what it was planned for.
function Test-Basis($answer) {
    if ($null -eq $answer) { return $false }
    foreach ($part in $basis.Keys) { if ("$($answer['basis'][$part])" -cne "$($basis[$part])") { return $false } }
    return $true
}

# The run id that answers, and whether it was there before; nothing where the basis doesn't hold, then $fresh is the scan that tells.
function Get-Job([string]$place) {
    $known = Get-Status $place $run_id
    if ($known.state -ne 'absent') { Assert-Meant $known; return $run_id, $true }
    $active = Wait-Ending $place
    if ($null -eq $active) {
        if ($null -ne $basis) {
            $fresh.scan = Invoke-Scan $scan
            if (-not (Test-Basis $fresh.scan)) { return $null, $false }
        }
        Start-Job $place
        return $run_id, $false
    }
    if ($active['kind'] -ceq $kind -and $active['work'] -ceq $work) { return $active['run_id'], $true }
    $message = $(if ($active['kind'] -ceq $kind) { "Another $kind job runs on this agent, with other work to do" } else { 'Another job runs on this agent' })
    Stop-Busy $message "$($active['kind']) job $($active['run_id']) of $($active['owner']), started $($active['started'])"
}

# A run id names one piece of work. A commit that was called off has none.
function Assert-Meant($known) {
    if (-not $known.work -or $known.work -ceq $work) { return }
    Stop-With 'InvalidInput' "The run id $run_id is that of another job" "a $($known.kind) job of $($known.owner), started $($known.started), with other work to do" `
        'a run id of its own for each job' 'choose another run_id or commit_id, or none'
}

Assert-RunId $run_id
if ($Ansible.CheckMode) { Stop-With 'Refused' 'Nothing is started in check mode' "a $kind job" 'a run without --check' 'run without --check' }
$place = Get-LongPath $work_dir
$turn = Open-Turn $place
$fresh = @{}
try { $known, $attached = Get-Job $place } finally { $turn.Dispose() }
$Ansible.Changed = $null -ne $known -and -not $attached
if ($null -ne $known) { Send-Status (Wait-Status $place $known $wait 'running' $attached) $null }
else {
    $status = Get-Status $place $run_id
    $status.state = 'stale'
    Send-Answer $status $fresh.scan
}
