# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
The result of a verify job without a job: nothing is written, not even the record of a job.

.DESCRIPTION
$Ansible.Result is @{ encoding; document }: the result as JSON, plain or packed.

.PARAMETER spec
The spec of the job, packed JSON.

.PARAMETER script
The text of job_verify.ps1, packed.
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)][string]$spec,
    [Parameter(Mandatory)][string]$script
)

$Ansible.Changed = $false
. "$PSScriptRoot/lib/files.ps1"
. "$PSScriptRoot/lib/json.ps1"
. "$PSScriptRoot/lib/setup.ps1"
. "$PSScriptRoot/lib/values.ps1"
. "$PSScriptRoot/lib/answer.ps1"

. ([scriptblock]::Create((Expand-Text $script)))
$job = @{ folder = $null; work = $null; run_id = ''; facts = [ordered]@{}; written = [Diagnostics.Stopwatch]::new(); spec = (ConvertFrom-JsonText (Expand-Text $spec)) }
$verify = $ExecutionContext.InvokeCommand.GetCommand('Invoke-JobWork', [Management.Automation.CommandTypes]::Function)
$Ansible.Result = Get-Answer (& $verify $job.spec)
