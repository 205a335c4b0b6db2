# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
SHA-256 of many files, on all cores, or of one beside other work. Needs workers.ps1.

.DESCRIPTION
    Get-Digests $paths                      in hexadecimal, in the order of the paths; '' for a file that can't be read
    $task = Start-Digest $path              and later Wait-Digest $task, which gives the same of one file
#>

$digestBatch = 32          # files

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

function Start-Digest([string]$path) {
    $done = [Collections.Concurrent.BlockingCollection[object]]::new()
    $todo = [Collections.Concurrent.ConcurrentQueue[object]]::new([object[]]@(@{ first = 0; paths = [string[]]@($path) }))
    return @{ done = $done; helper = (Start-Helper @('Get-DigestBatch') $null $todo $done) }
}

function Wait-Digest($task) {
    try { [void]$task.helper.shell.EndInvoke($task.helper.handle) } finally { Stop-Helper $task.helper }
    return $task.done.Take().digests[0]
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
        catch [IO.IOException], [UnauthorizedAccessException] { $mine['hash'].Initialize() }    # it may hold what could be read of it
    }
    return @{ first = $batch.first; digests = $digests }
}
