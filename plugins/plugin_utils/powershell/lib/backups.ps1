# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Backups and their manifests. Needs the functions of files.ps1.
#>

# Where the second-last and the last line begin, from the end of the file.
function Find-LastLine([byte[]]$data) {
    $last = [Array]::LastIndexOf($data, [byte]10, [Math]::Max($data.Length - 2, 0)) + 1
    if ($last -lt 2) { return 0, $last }
    return ([Array]::LastIndexOf($data, [byte]10, $last - 2) + 1), $last
}

# The second line. Lines end in a line feed only; StreamReader would see more ends than those.
function Read-HeaderLine([IO.Stream]$stream) {
    $data = Read-Stream $stream $manifestBlock
    $start = [Array]::IndexOf($data, [byte]10) + 1
    if ($start -eq 0) { return '' }
    $end = [Array]::IndexOf($data, [byte]10, $start)
    if ($end -lt 0) { $end = $data.Length }
    return [Text.Encoding]::UTF8.GetString($data, $start, $end - $start).Trim()
}

function Get-PrefixHash([IO.Stream]$stream, [long]$count) {
    $hash = New-Sha256
    [void]$stream.Seek(0, [IO.SeekOrigin]::Begin)
    while ($count -gt 0) {
        $data = Read-Stream $stream ([Math]::Min($count, $manifestBlock))
        if ($data.Length -eq 0) { return '' }
        [void]$hash.TransformBlock($data, 0, $data.Length, $null, 0)
        $count -= $data.Length
    }
    [void]$hash.TransformFinalBlock([byte[]]::new(0), 0, 0)
    return ConvertTo-Hex $hash.Hash
}

function ConvertTo-Hex([byte[]]$data) {
    return [BitConverter]::ToString($data).Replace('-', '').ToLowerInvariant()
}

# Header and trailer of a manifest, and whether the checksum in its last line fits what stands above it.
function Read-Manifest([string]$path) {
    if (-not [IO.File]::Exists($path)) { return $null }
    try {
        $stream = Open-File $path
        try {
            $header = Read-HeaderLine $stream
            $start = [Math]::Max(0, $stream.Length - $manifestBlock)
            [void]$stream.Seek($start, [IO.SeekOrigin]::Begin)
            $data = Read-Stream $stream $manifestBlock
            $trailer, $last = Find-LastLine $data
            $checksum = [Text.Encoding]::UTF8.GetString($data, $last, $data.Length - $last).Trim()
            return [ordered]@{
                header = $header
                trailer = [Text.Encoding]::UTF8.GetString($data, $trailer, $last - $trailer).Trim()
                intact = $checksum -ceq 'sha256 ' + (Get-PrefixHash $stream ($start + $last))
            }
        }
        finally { $stream.Dispose() }
    }
    catch { Add-Problem $path $_; return $null }
}

function Get-BackupRow([string]$origin, [string]$folder) {
    if (-not (Test-Entry $folder)) { return }
    foreach ($entry in (Get-Entry $folder)) {
        if (-not (Test-Suffix $entry.Name '.zip') -or -not (Test-File $entry)) { continue }
        [ordered]@{
            origin = $origin
            path = Get-ShownPath $entry.FullName
            name = $entry.Name
            size = $entry.Length
            modified = Get-TimeText $entry.LastWriteTimeUtc
            manifest = Read-Manifest ([IO.Path]::ChangeExtension($entry.FullName, '.manifest'))
        }
    }
}

function Get-VendorBackupRow([string]$folder, [string]$own) {
    $comparison = $(if ($onWindows) { [StringComparison]::OrdinalIgnoreCase } else { [StringComparison]::Ordinal })
    if (-not $folder.Equals($own, $comparison)) { Get-BackupRow 'vendor' $folder }
}

# What restores put aside, and the safety copies they made.
function Get-KeptBackupRow([string]$work) {
    foreach ($origin in 'aside', 'safety') { Get-BackupRow $origin ([IO.Path]::Combine($work, $origin)) }
}

function Get-PartialRow([string]$folder) {
    if (-not (Test-Entry $folder)) { return }
    foreach ($entry in (Get-Entry $folder)) {
        if ((Test-Suffix $entry.Name '.partial') -and (Test-File $entry)) {
            [ordered]@{ path = Get-ShownPath $entry.FullName; size = $entry.Length; modified = (Get-TimeText $entry.LastWriteTimeUtc) }
        }
    }
}
