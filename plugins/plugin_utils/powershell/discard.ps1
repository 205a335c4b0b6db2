# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Takes away the copy that a job `verify` has put aside of a zip which the core has refused since: nothing rotates it, and it would count as a backup.
Told twice, it goes once.

.PARAMETER path
The copy. Its manifest goes with it.

.PARAMETER sha256
Its SHA-256: another backup may have the name by now.
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)][string]$path,
    [Parameter(Mandatory)][string]$sha256
)

$Ansible.Changed = $false
. "$PSScriptRoot/lib/files.ps1"
. "$PSScriptRoot/lib/setup.ps1"

function Get-Sum([string]$file) {
    $stream = Open-File $file
    try { return [BitConverter]::ToString((New-Sha256).ComputeHash($stream)).Replace('-', '') } finally { $stream.Dispose() }
}

$copy = Get-LongPath $path
if (-not $Ansible.CheckMode -and [IO.File]::Exists($copy) -and (Get-Sum $copy) -eq $sha256) {
    foreach ($file in $copy, [IO.Path]::ChangeExtension($copy, '.manifest')) { [IO.File]::Delete($file) }
    $Ansible.Changed = $true
}
