# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
One start of a job at a time, or one that is called off. Needs files.ps1, values.ps1, locks.ps1 and guard.ps1.
#>

$turnPatience = 90000      # milliseconds until another start has done its work

# To be disposed of. The folders are safe then.
function Open-Turn([string]$place) {
    foreach ($folder in $place, [IO.Path]::Combine($place, 'jobs')) { Protect-Folder $folder }
    $turn = Open-Lock ([IO.Path]::Combine($place, 'start.lock')) $turnPatience
    if ($null -eq $turn) { Stop-Busy 'Another job runs on this agent' 'a start that has not ended' }
    return $turn
}

function Stop-Busy([string]$message, [string]$found) {
    Stop-With 'Busy' $message $found 'an agent without a running job' 'wait until it has ended, then run again; a running upgrade is never aborted'
}

# What is known of a job from its first moment on.
function New-Record([string]$kind, [string]$owner, [string]$work) {
    if (-not $owner) { $owner = "$([Environment]::UserName)@$([Environment]::MachineName)" }
    return [ordered]@{ run_id = $run_id; kind = $kind; owner = $owner; started = (Get-TimeText ([DateTime]::UtcNow)); work = $work }
}
