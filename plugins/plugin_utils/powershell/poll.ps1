# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
What is known of a job, after its end or some seconds, whichever comes first. Writes nothing.

.DESCRIPTION
$Ansible.Result is @{ encoding; document; scan }: the status of lib/status.ps1 as JSON, plain or packed, and the answer of scan.ps1 where one was
asked for and the job has ended.

.PARAMETER work_dir
The working folder of jobs.

.PARAMETER run_id
The job.

.PARAMETER wait
Seconds to wait for its end.

.PARAMETER scan
@{ script; parameters }: the packed text of scan.ps1, to run once the job has ended; null for none.
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)][string]$work_dir,
    [Parameter(Mandatory)][string]$run_id,
    [double]$wait = 0,
    [Collections.IDictionary]$scan = $null
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

Assert-RunId $run_id
Send-Status (Wait-Status (Get-LongPath $work_dir) $run_id $wait) $scan
