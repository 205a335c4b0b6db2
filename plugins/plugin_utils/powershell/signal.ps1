# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Tells a waiting commit a word: release or undo. Told twice, it is told once.

.DESCRIPTION
$Ansible.Result is that of poll.ps1.

.PARAMETER work_dir
The working folder of jobs.

.PARAMETER run_id
The commit.

.PARAMETER word
release or undo.

.PARAMETER wait
Seconds to wait for the end of the commit afterwards.
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)][string]$work_dir,
    [Parameter(Mandatory)][string]$run_id,
    [Parameter(Mandatory)][string]$word,
    [double]$wait = 0
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
. "$PSScriptRoot/lib/guard.ps1"
. "$PSScriptRoot/lib/turns.ps1"

# A commit that nobody knows: a start of it that arrives later finds it ended, and begins nothing. Its record comes last.
function Stop-Beginning([string]$work) {
    $folder = [IO.Path]::Combine($work, 'jobs', $run_id)
    $turn = Open-Turn $work
    try {
        if ((Get-Status $work $run_id).state -eq 'absent') {
            [void][IO.Directory]::CreateDirectory($folder)
            $problem = [ordered]@{
                type = 'NotBegun'; message = "The commit $run_id was called off before it began"; found = 'the word to undo it, and no such job'
                needed = 'a commit that nobody undoes'; remedy = 'run the playbook again'; details = ''
            }
            Write-JsonFile ([IO.Path]::Combine($folder, 'result.json')) ([ordered]@{ error = $problem })
            Write-JsonFile ([IO.Path]::Combine($folder, 'state.json')) (New-Record 'commit' '' '')
            $Ansible.Changed = $true
        }
    }
    finally { $turn.Dispose() }
    return Get-Status $work $run_id
}

Assert-RunId $run_id
if (@('release', 'undo') -cnotcontains $word) { Stop-With 'InvalidInput' 'No such word' "'$word'" 'release or undo' 'use one of them' }
$work = Get-LongPath $work_dir
$status = Get-Status $work $run_id
if ($status.state -eq 'absent' -and $word -ceq 'undo' -and -not $Ansible.CheckMode) { $status = Stop-Beginning $work }
if ($status.state -eq 'absent') { Stop-With 'NoSuchJob' "No job $run_id on this agent" '' 'a commit that waits' 'commit first' }
if (@('running', 'waiting') -contains $status.state -and -not $Ansible.CheckMode) {
    Write-FileBytes ([IO.Path]::Combine($work, 'jobs', $run_id, $word)) ([byte[]]::new(0))
    $Ansible.Changed = $true
    $status = Wait-Status $work $run_id $wait 'running', 'waiting'
}
Send-Status $status $null
