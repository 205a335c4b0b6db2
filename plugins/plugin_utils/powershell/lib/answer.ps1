# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Texts that travel packed (gzip, base64), and what scripts answer. Needs json.ps1 and setup.ps1.
#>

$plainLimit = 4096         # characters; a longer document is packed

function Compress-Text([string]$text) {
    $memory = [IO.MemoryStream]::new()
    $packer = [IO.Compression.GZipStream]::new($memory, [IO.Compression.CompressionMode]::Compress)
    $data = [Text.UTF8Encoding]::new($false).GetBytes($text)
    $packer.Write($data, 0, $data.Length)
    $packer.Dispose()
    return [Convert]::ToBase64String($memory.ToArray())
}

function Expand-Text([string]$packed) {
    $memory = [IO.MemoryStream]::new([Convert]::FromBase64String($packed))
    $reader = [IO.StreamReader]::new([IO.Compression.GZipStream]::new($memory, [IO.Compression.CompressionMode]::Decompress), [Text.UTF8Encoding]::new($false))
    try { return $reader.ReadToEnd() } finally { $reader.Dispose() }
}

function Get-Answer($document) {
    $out = [Text.StringBuilder]::new()
    Write-Json $out $document
    $text = $out.ToString()
    if ($text.Length -le $plainLimit) { return @{ encoding = 'plain'; document = $text } }
    return @{ encoding = 'gzip+base64'; document = (Compress-Text $text) }
}

# A scan in the same call, once the job has ended: $scan is @{ script; parameters }, the script packed. It leaves its answer where this script leaves
# its own. Where it fails the caller scans by itself, and learns why.
function Get-ScanAnswer($status, $scan) {
    if ($null -eq $scan -or @('running', 'waiting') -contains $status.state) { return $null }
    return Invoke-Scan $scan
}

function Invoke-Scan($scan) {
    $parameters = $scan['parameters']
    try { & ([scriptblock]::Create((Expand-Text $scan['script']))) @parameters }
    catch { return $null }
    return $Ansible.Result
}

function Send-Status($status, $scan) { Send-Answer $status (Get-ScanAnswer $status $scan) }

function Send-Answer($status, $document) {
    $Ansible.Result = Get-Answer $status
    $Ansible.Result['scan'] = $document
}
