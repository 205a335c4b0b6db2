# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
The job `prepare` of a restore: everything that can fail, before the web server is touched.

.DESCRIPTION
The zip is the one whose names and sums were judged when it was verified: its SHA-256 says so. The last thing written are the rows: without them nothing
was prepared.

.PARAMETER folder
The job's folder.
#>
[CmdletBinding(SupportsShouldProcess)]
param([string]$folder)

. "$PSScriptRoot/lib/files.ps1"
. "$PSScriptRoot/lib/json.ps1"
. "$PSScriptRoot/lib/setup.ps1"
. "$PSScriptRoot/lib/values.ps1"
. "$PSScriptRoot/lib/jobs.ps1"
. "$PSScriptRoot/lib/locks.ps1"
. "$PSScriptRoot/lib/job.ps1"
. "$PSScriptRoot/lib/native.ps1"
. "$PSScriptRoot/lib/holder.ps1"
. "$PSScriptRoot/lib/workers.ps1"
. "$PSScriptRoot/lib/digests.ps1"
. "$PSScriptRoot/lib/places.ps1"
. "$PSScriptRoot/lib/space.ps1"
. "$PSScriptRoot/lib/items.ps1"
. "$PSScriptRoot/lib/zipdirectory.ps1"
. "$PSScriptRoot/lib/zipentries.ps1"
. "$PSScriptRoot/lib/zipwrite.ps1"
. "$PSScriptRoot/lib/backup.ps1"
. "$PSScriptRoot/lib/rows.ps1"
. "$PSScriptRoot/lib/cleanup.ps1"
. "$PSScriptRoot/lib/flush.ps1"
. "$PSScriptRoot/lib/extract.ps1"

function Invoke-JobWork($spec) {
    $zip = Get-LongPath $spec['zip']
    $staging = [IO.Path]::Combine($job.work, 'staging', $job.run_id)
    $root = Get-LongPath $spec['root']
    Assert-Place $root
    try {
        $files = Get-JudgedFile $zip $spec $root
        $safety = $(if ($spec['safety']) { New-Backup $spec['safety'] })
        $total = [long]0
        foreach ($file in $files) { $total += $file.size }
        Set-Progress @{ text = 'extracting and verifying'; files = 0; bytes = 0; total_files = $files.Length; total_bytes = $total }
        $rows = Export-Staged $zip $files $staging ($spec['mtime'] -ceq 'keep')
    }
    catch {
        Remove-Waste $staging
        throw
    }
    Remove-OldPreparation
    return [ordered]@{ rows = $rows; same = $files.Length - $rows; files = $files.Length; bytes = $total; safety = $safety }
}

Start-JobWork $folder
