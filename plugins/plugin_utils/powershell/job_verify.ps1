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
. "$PSScriptRoot/lib/native.ps1"
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
    $aside = Get-LongPath $spec['copy_to']
    $unproved = [IO.Path]::Combine($aside, "$([IO.Path]::GetFileName($source)).partial")
    try {
        $copy = Copy-Aside $source $spec['manifest'] $unproved
        $result = Get-Verified @{ path = $copy.path; manifest = $copy.manifest; compare_root = $spec['compare_root']; limits = $spec['limits'] }
        $result['copied'] = $(if (Test-Manifest $result['manifest'] $copy.manifest) { Get-ShownPath (Publish-Copy $copy $aside $result['zip_sha256']) })
    }
    finally { Remove-Waste $unproved }
    $result['path'] = $(if ($result['copied']) { $result['copied'] } else { Get-ShownPath $source })
    return $result
}

# A copy is verified whole in a folder of its own before it gets its name, and never takes the place of another backup.
function Copy-Aside([string]$source, $manifest, [string]$folder) {
    if (-not [IO.File]::Exists($source)) {
        Stop-With 'BackupInvalid' "$(Get-ShownPath $source) is gone" '' 'the chosen backup' 'run again: it chooses from what is there'
    }
    Remove-Tree $folder
    [void][IO.Directory]::CreateDirectory($folder)
    Assert-Space $folder ([IO.FileInfo]::new($source).Length)
    Set-Progress @{ text = 'copying the backup aside' }
    $copy = @{ path = [IO.Path]::Combine($folder, [IO.Path]::GetFileName($source)); manifest = $null }
    Copy-Verified $source $copy.path
    if ($manifest) {
        $copy.manifest = [IO.Path]::ChangeExtension($copy.path, '.manifest')
        Copy-Verified (Get-LongPath $manifest) $copy.manifest
    }
    return $copy
}

# Copied, flushed, read back; with the time of the original, which tells the version a zip was made on. That is read once: by the end the vendor's
# rotation may have deleted it, and the copy is the only one.
function Copy-Verified([string]$source, [string]$target) {
    $written = [IO.File]::GetLastWriteTimeUtc($source)
    $hash = New-Sha256
    $given = Open-Patiently $source
    try {
        $taken = [IO.FileStream]::new($target, [IO.FileMode]::Create, [IO.FileAccess]::Write, [IO.FileShare]::None)
        try {
            $hashed = [Security.Cryptography.CryptoStream]::new($taken, $hash, [Security.Cryptography.CryptoStreamMode]::Write)
            $given.CopyTo($hashed, 1048576)
            $hashed.FlushFinalBlock()
            $taken.Flush($true)
        }
        finally { $taken.Dispose() }
    }
    finally { $given.Dispose() }
    if ((Get-FileDigest $target) -cne (ConvertTo-Hex $hash.Hash)) {
        Stop-With 'BackupInvalid' "The copy of $([IO.Path]::GetFileName($source)) differs from it" '' 'the same bytes' 'check the disk of this agent'
    }
    [void](Invoke-Retried { [IO.File]::SetLastWriteTimeUtc($target, $written) })
}

# What the controller will find fault with gets no name among the backups; it tells what is wrong.
function Test-Manifest($found, $wanted) {
    if (-not $wanted) { return $true }
    if ($null -eq $found -or $null -eq $found['head'] -or -not $found['head']['intact']) { return $false }
    return -not ($found['extra'].Count + @($found['missing']).Length + $found['changed'].Count)
}

# The manifest comes first: a zip is never seen without it.
function Publish-Copy($copy, [string]$folder, [string]$sha256) {
    $target = Get-FreeName ([IO.Path]::Combine($folder, [IO.Path]::GetFileName($copy.path))) $sha256
    $manifest = [IO.Path]::ChangeExtension($target, '.manifest')
    if ($copy.manifest) { Move-Over $copy.manifest $manifest }
    elseif (-not [IO.File]::Exists($target) -and [IO.File]::Exists($manifest)) { [IO.File]::Delete($manifest) }    # of a zip that is gone
    Move-Over $copy.path $target (Get-Patience)
    return $target
}

# The name itself, or with the start of the SHA-256 where another backup has it.
function Get-FreeName([string]$wanted, [string]$sha256) {
    $stem = [IO.Path]::Combine([IO.Path]::GetDirectoryName($wanted), [IO.Path]::GetFileNameWithoutExtension($wanted))
    foreach ($target in $wanted, "$stem-$($sha256.Substring(0, 8)).zip") {
        if (-not [IO.File]::Exists($target) -or (Get-FileDigest $target) -ceq $sha256) { return $target }
    }
    return "$stem-$sha256.zip"
}

Start-JobWork $folder
