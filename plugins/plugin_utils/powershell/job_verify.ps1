# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
The job `verify`: a zip is read to its end and compared, after a copy was put aside where that is wanted. inspect.ps1 does the same without a job.

.PARAMETER folder
The job's folder; without one nothing is done but to define the functions.
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
. "$PSScriptRoot/lib/holder.ps1"
. "$PSScriptRoot/lib/workers.ps1"
. "$PSScriptRoot/lib/digests.ps1"
. "$PSScriptRoot/lib/places.ps1"
. "$PSScriptRoot/lib/space.ps1"
. "$PSScriptRoot/lib/backups.ps1"
. "$PSScriptRoot/lib/zipdirectory.ps1"
. "$PSScriptRoot/lib/zipentries.ps1"
. "$PSScriptRoot/lib/verify.ps1"

$manifestBlock = 1048576

function Invoke-JobWork($spec) {
    $source = Get-LongPath $spec['path']
    $total = $(if ([IO.File]::Exists($source)) { [IO.FileInfo]::new($source).Length } else { 0 })
    Set-Progress @{ text = 'verifying'; files = 0; bytes = 0; total_bytes = $total }
    if (-not $spec['copy_to']) {
        $result = Get-Verified $spec
        $result['copied'] = $null
        return $result
    }
    $target = Copy-Aside $source (Get-LongPath $spec['copy_to'])
    $manifest = $null
    if ($spec['manifest']) {
        $manifest = [IO.Path]::ChangeExtension($target, '.manifest')
        Copy-Verified (Get-LongPath $spec['manifest']) $manifest
    }
    $result = Get-Verified @{ path = $target; manifest = $manifest; compare_root = $spec['compare_root']; limits = $spec['limits'] }
    $result['copied'] = Get-ShownPath $target
    return $result
}

function Copy-Aside([string]$source, [string]$folder) {
    if (-not [IO.File]::Exists($source)) {
        Stop-With 'BackupInvalid' "$(Get-ShownPath $source) is gone" '' 'the chosen backup' 'run again: it chooses from what is there'
    }
    [void][IO.Directory]::CreateDirectory($folder)
    Assert-Space $folder ([IO.FileInfo]::new($source).Length)
    Set-Progress @{ text = 'copying the backup aside' }
    $target = [IO.Path]::Combine($folder, [IO.Path]::GetFileName($source))
    Copy-Verified $source $target
    return $target
}

# Copied, flushed, read back, renamed; with the time of the original, which tells the version a zip was made on.
function Copy-Verified([string]$source, [string]$target) {
    $partial = "$target.partial"
    try {
        $given = Open-File $source
        $taken = [IO.FileStream]::new($partial, [IO.FileMode]::Create, [IO.FileAccess]::Write, [IO.FileShare]::None)
        try {
            $given.CopyTo($taken, 1048576)
            $taken.Flush($true)
        }
        finally { $taken.Dispose(); $given.Dispose() }
        [IO.File]::SetLastWriteTimeUtc($partial, [IO.File]::GetLastWriteTimeUtc($source))
        $digests = Get-Digests @($source, $partial)
        if (-not $digests[0] -or $digests[0] -cne $digests[1]) {
            Stop-With 'BackupInvalid' "The copy of $([IO.Path]::GetFileName($source)) differs from it" '' 'the same bytes' 'check the disk of this agent'
        }
        Move-Over $partial $target
    }
    finally { if ([IO.File]::Exists($partial)) { [IO.File]::Delete($partial) } }
}

Start-JobWork $folder
