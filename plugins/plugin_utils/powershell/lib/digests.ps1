# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
SHA-256 of many files, on all cores. Needs workers.ps1.
#>

$digestBatch = 32          # files

# In hexadecimal, in the order of the paths; '' for a file that can't be read.
function Get-Digests([string[]]$paths) {
    $found = [string[]]::new($paths.Length)
    $batches = @(for ($i = 0; $i -lt $paths.Length; $i += $digestBatch) {
            @{ first = $i; paths = [string[]]$paths[$i..([Math]::Min($i + $digestBatch, $paths.Length) - 1)] }
        })
    if ($batches.Length) {
        Invoke-Worker @('Get-DigestBatch') $null $batches {
            param($answer)
            [Array]::Copy($answer.digests, 0, $found, $answer.first, $answer.digests.Length)
        }
    }
    return , $found
}

function Get-DigestBatch($shared, $mine, $batch) {
    if (-not $mine['hash']) { $mine['hash'] = New-Sha256 }
    $digests = [string[]]::new($batch.paths.Length)
    for ($i = 0; $i -lt $digests.Length; $i++) {
        $digests[$i] = ''
        try {
            $stream = [IO.FileStream]::new($batch.paths[$i], [IO.FileMode]::Open, [IO.FileAccess]::Read, [IO.FileShare]'ReadWrite, Delete', 65536)
            try { $digests[$i] = [BitConverter]::ToString($mine['hash'].ComputeHash($stream)).Replace('-', '').ToLowerInvariant() }
            finally { $stream.Dispose() }
        }
        catch [IO.IOException], [UnauthorizedAccessException] { $digests[$i] = '' }
    }
    return @{ first = $batch.first; digests = $digests }
}
