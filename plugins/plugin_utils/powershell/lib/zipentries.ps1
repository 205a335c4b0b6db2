# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
The entries of a zip read to their ends, on all cores, each checked against its size and CRC. Needs workers.ps1, values.ps1 and zipdirectory.ps1.

.DESCRIPTION
    Read-Zip $path { param($files, $bytes) ... }     @{ members; size; sha256 }: each file's member gets its sha256

.NET has no CRC of its own, but reads and writes the gzip format, which ends in one: an entry's deflated bytes between a gzip header and a trailer made
of what the zip's directory says are read as gzip, which fails where the sums don't fit.

To call a function takes longer than to unpack a small entry, so what is done for each of them is done in a few loops over a batch.
#>

$entryBatch = 64            # entries
$entryBatchBytes = 1048576
$largeEntry = 8388608       # bytes; one that is larger, packed or not, is read in pieces
$entryFunctions = 'Open-Entry', 'Expand-Batch', 'Read-Packed', 'Find-Packed', 'Read-Far', 'Copy-Entry', 'Get-HeaderLength', 'Read-LongEntry', 'Stop-Damaged'

# Names of folders end in a separator.
function Select-File([object[]]$members) { return , @(foreach ($member in $members) { if ($member.name -notmatch '[/\\]\z') { $member } }) }

# With limits, entries that the core will refuse by them aren't read: they keep no SHA-256.
function Read-Zip([string]$path, [scriptblock]$advance, $limits = $null) {
    try { $stream = Open-Patiently $path }
    catch { if ($null -ne (Get-OurError $_)) { throw }; Stop-NoZip $path $_.Exception.GetBaseException().Message }
    try { $members = Read-Directory $stream $path } finally { $stream.Dispose() }
    $files = Select-Readable $members $limits
    Invoke-Worker (@('Read-EntryBatch') + $entryFunctions) @{ path = $path } (Get-EntryBatch $files) {
        param($answer)
        $bytes = [long]0
        foreach ($member in $answer) { $bytes += $member.size }
        & $advance $answer.Length $bytes
    }
    return @{ members = $members; size = [IO.FileInfo]::new($path).Length; sha256 = (Get-Digests @($path))[0] }
}

function Select-Readable($members, $limits) {
    if (-not (Test-Within $members $limits)) { return , @() }
    return , @(foreach ($member in (Select-File $members)) { if (-not ($member.flags -band 1) -and ($member.method -eq 0 -or $member.method -eq 8)) { $member } })
}

function Test-Within($members, $limits) {
    if ($null -eq $limits) { return $true }
    $total = [long]0
    $packed = [long]0
    foreach ($member in $members) {
        $total += $member.size
        $packed += $member.packed
    }
    return $members.Length -le $limits['entries'] -and $total -le $limits['total'] -and ($total -lt 1048576 -or $total -le $packed * $limits['ratio'])
}

# Groups of a few entries or about a megabyte, so that small files don't cost a task each.
function Get-EntryBatch([object[]]$members) {
    $batches = [Collections.Generic.List[object]]::new()
    $batch = [Collections.Generic.List[object]]::new()
    $bytes = [long]0
    foreach ($member in $members) {
        $member.large = $member.packed -gt $largeEntry -or $member.size -gt $largeEntry
        $weight = [Math]::Max($member.size, $member.packed)
        if ($batch.Count -and ($bytes + $weight -gt $entryBatchBytes -or $batch.Count -ge $entryBatch)) {
            $batches.Add($batch.ToArray())
            $batch.Clear()
            $bytes = 0
        }
        $batch.Add($member)
        $bytes += $weight
    }
    if ($batch.Count) { $batches.Add($batch.ToArray()) }
    return , $batches.ToArray()
}

function Read-EntryBatch($shared, $mine, $batch) {
    if (-not $mine['file']) { Open-Entry $shared $mine }
    $places = Expand-Batch $shared $mine $batch
    $hash = $mine['hash']
    $data = $mine['data']
    for ($i = 0; $i -lt $batch.Length; $i++) {
        $member = $batch[$i]
        if ($member.large) { $member.sha256 = Read-LongEntry $shared $mine $member $null; continue }
        $member.sha256 = [BitConverter]::ToString($hash.ComputeHash($data, $places[$i], [int]$member.size)).Replace('-', '').ToLowerInvariant()
    }
    return $batch
}

# What a worker keeps: the zip, a hash, the header of gzip, and buffers that are used again, for new ones cost more than what they hold.
function Open-Entry($shared, $mine) {
    $mine['hash'] = New-Sha256
    $mine['gzip'] = [byte[]](0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0)
    $mine['packed'] = $mine['data'] = [byte[]]::new(0)
    $mine['file'] = [IO.FileStream]::new($shared.path, [IO.FileMode]::Open, [IO.FileAccess]::Read, [IO.FileShare]'ReadWrite, Delete', 65536)
}

# A worker knows no other function of the script: errors of ours are thrown as text.
function Stop-Damaged($shared, $member, [string]$what) {
    $name = [IO.Path]::GetFileName($shared.path)
    $parts = @{ type = 'BackupInvalid'; message = "$name is damaged at $($member.name)"; found = $what; needed = 'every entry readable'; remedy = 'choose another backup'; details = '' }
    $pairs = foreach ($key in 'type', 'message', 'found', 'needed', 'remedy', 'details') {
        $text = [Text.RegularExpressions.Regex]::Replace($parts[$key], '[\x00-\x1f"\\\ud800-\udfff]', { param($match) '\u{0:x4}' -f [int]$match.Value[0] })
        "`"$key`":`"$text`""
    }
    throw ('{' + ($pairs -join ',') + '}')
}

# The contents of a batch's entries, but for large ones, one after the other in $mine['data']; gives the place at which each begins.
function Expand-Batch($shared, $mine, $batch) {
    $heads = Read-Packed $shared $mine $batch
    $starts = Find-Packed $shared $mine $batch $heads
    $places = [int[]]::new($batch.Length)
    $room = 0
    for ($i = 0; $i -lt $batch.Length; $i++) {
        $places[$i] = $room
        if (-not $batch[$i].large) { $room += [int]$batch[$i].size }
    }
    if ($mine['data'].Length -lt $room) { $mine['data'] = [byte[]]::new($room) }
    $packed, $data, $gzip, $unpack = $mine['packed'], $mine['data'], $mine['gzip'], [IO.Compression.CompressionMode]::Decompress
    for ($i = 0; $i -lt $batch.Length; $i++) {
        $member = $batch[$i]
        if ($member.large) { continue }
        if ($member.method -ne 8) { Copy-Entry $shared $mine $member $starts[$i] $places[$i]; continue }
        $start = $starts[$i]
        $end = $start + [int]$member.packed
        [Array]::Copy($gzip, 0, $packed, $start - 10, 10)
        [Array]::Copy([BitConverter]::GetBytes([uint32]$member.crc), 0, $packed, $end, 4)
        [Array]::Copy([BitConverter]::GetBytes([uint32]$member.size), 0, $packed, $end + 4, 4)
        $at = $places[$i]
        $stop = $at + [int]$member.size
        $more = 1
        try {
            $reader = [IO.Compression.GZipStream]::new([IO.MemoryStream]::new($packed, $start - 10, $end + 18 - $start), $unpack)
            try {
                while ($at -lt $stop -and ($read = $reader.Read($data, $at, $stop - $at)) -gt 0) { $at += $read }
                $more = $reader.ReadByte()
            }
            finally { $reader.Dispose() }
        }
        catch [IO.InvalidDataException] { Stop-Damaged $shared $member $_.Exception.GetBaseException().Message }
        if ($at -ne $stop -or $more -ne -1) {
            Stop-Damaged $shared $member "$($at - $places[$i]) bytes where the zip's directory says $($member.size) bytes"
        }
    }
    return , $places
}

# The same entries as they stand in the zip, headers and all, in $mine['packed'], with room for the trailer of gzip after each; gives where each begins,
# -1 for a large one. An own header may have more at its end than the directory tells: 64 bytes of that are read at once.
function Read-Packed($shared, $mine, $batch) {
    $file = $mine['file']
    $heads = [int[]]::new($batch.Length)
    $room = 0
    for ($i = 0; $i -lt $batch.Length; $i++) {
        $heads[$i] = -1
        if ($batch[$i].large) { continue }
        $heads[$i] = $room
        $room += 30 + $batch[$i].raw.Length + [int]$batch[$i].packed + 72
    }
    if ($mine['packed'].Length -lt $room) { $mine['packed'] = [byte[]]::new($room) }
    $mine['used'] = $room
    $packed = $mine['packed']
    for ($i = 0; $i -lt $batch.Length; $i++) {
        $member = $batch[$i]
        if ($member.large) { continue }
        [void]$file.Seek($member.offset, [IO.SeekOrigin]::Begin)
        $at = $heads[$i]
        $stop = $at + 94 + $member.raw.Length + [int]$member.packed
        while ($at -lt $stop -and ($read = $file.Read($packed, $at, $stop - $at)) -gt 0) { $at += $read }
        if ($at -lt $stop) { [Array]::Clear($packed, $at, $stop - $at) }
    }
    return , $heads
}

# Where their packed bytes begin.
function Find-Packed($shared, $mine, $batch, $heads) {
    $lengths = Get-HeaderLength $shared $mine['packed'] $batch $heads
    $length = $mine['file'].Length
    $starts = [int[]]::new($batch.Length)
    for ($i = 0; $i -lt $batch.Length; $i++) {
        $member = $batch[$i]
        if ($member.large) { continue }
        if ($member.offset + $lengths[$i] + $member.packed -gt $length) { Stop-Damaged $shared $member 'the file ends within the entry' }
        $starts[$i] = $heads[$i] + $lengths[$i]
        if ($lengths[$i] -gt 94 + $member.raw.Length) { $starts[$i] = Read-Far $mine $member $lengths[$i] }
    }
    return , $starts
}

# Packed bytes that begin too far behind their header to have been read with it, after all others.
function Read-Far($mine, $member, [int]$more) {
    $at = $start = $mine['used'] + 10
    $stop = $start + [int]$member.packed
    $mine['used'] = $stop + 8
    if ($mine['packed'].Length -lt $mine['used']) {
        $grown = [byte[]]::new(2 * $mine['used'])
        [Array]::Copy($mine['packed'], $grown, $mine['packed'].Length)
        $mine['packed'] = $grown
    }
    [void]$mine['file'].Seek($member.offset + $more, [IO.SeekOrigin]::Begin)
    while ($at -lt $stop -and ($read = $mine['file'].Read($mine['packed'], $at, $stop - $at)) -gt 0) { $at += $read }
    return $start
}

# How long the headers are that entries have in front of them, at $heads in the data (-1: not there), compared with the directory. What one leaves open,
# the directory says.
function Get-HeaderLength($shared, $data, $batch, $heads) {
    $lengths = [int[]]::new($batch.Length)
    for ($i = 0; $i -lt $batch.Length; $i++) {
        $at = $heads[$i]
        if ($at -lt 0) { continue }
        $member = $batch[$i]
        if ([BitConverter]::ToUInt32($data, $at) -ne 0x04034b50) { Stop-Damaged $shared $member 'no local header where the directory says' }
        if ($member.flags -band 1 -or ($member.method -ne 0 -and $member.method -ne 8)) { Stop-Damaged $shared $member 'an encrypted entry or an unknown compression' }
        $nameLength = [BitConverter]::ToUInt16($data, $at + 26)
        $same = $nameLength -eq $member.raw.Length
        if ($same) { $same = [Convert]::ToBase64String($data, $at + 30, $nameLength) -ceq [Convert]::ToBase64String($member.raw) }
        if (-not $same -or [BitConverter]::ToUInt16($data, $at + 8) -ne $member.method) {
            Stop-Damaged $shared $member 'another name or method in its header than in the directory'
        }
        $crc = [BitConverter]::ToUInt32($data, $at + 14)
        $packed = [BitConverter]::ToUInt32($data, $at + 18)
        $size = [BitConverter]::ToUInt32($data, $at + 22)
        $same = $crc -eq $member.crc -or $crc -eq 0 -or $crc -eq 4294967295
        $same = $same -and ($packed -eq $member.packed -or $packed -eq 0 -or $packed -eq 4294967295)
        if (-not $same -or ($size -ne $member.size -and $size -ne 0 -and $size -ne 4294967295)) {
            Stop-Damaged $shared $member 'other sums in its header than in the directory'
        }
        $lengths[$i] = 30 + $nameLength + [BitConverter]::ToUInt16($data, $at + 28)
    }
    return , $lengths
}

# One that isn't packed: its CRC is that of a gzip made of it.
function Copy-Entry($shared, $mine, $member, [int]$start, [int]$place) {
    $packed = [int]$member.packed
    if ($packed -ne $member.size) { Stop-Damaged $shared $member "$packed bytes where the zip's directory says $($member.size) bytes" }
    [Array]::Copy($mine['packed'], $start, $mine['data'], $place, $packed)
    $memory = [IO.MemoryStream]::new()
    $writer = [IO.Compression.GZipStream]::new($memory, [IO.Compression.CompressionLevel]::NoCompression, $true)
    $writer.Write($mine['data'], $place, $packed)
    $writer.Dispose()
    if ($packed -and [BitConverter]::ToUInt32($memory.GetBuffer(), [int]$memory.Length - 8) -ne $member.crc) {
        Stop-Damaged $shared $member 'another CRC than the directory says'
    }
}

# A large entry in pieces, into $target where there is one; gives its SHA-256.
function Read-LongEntry($shared, $mine, $member, $target) {
    $head = [byte[]]::new(30 + $member.raw.Length)
    [void]$mine['file'].Seek($member.offset, [IO.SeekOrigin]::Begin)
    $got = 0
    while ($got -lt $head.Length -and ($read = $mine['file'].Read($head, $got, $head.Length - $got)) -gt 0) { $got += $read }
    $lengths = Get-HeaderLength $shared $head @($member) @(0)
    [void]$mine['file'].Seek($member.offset + $lengths[0], [IO.SeekOrigin]::Begin)
    $reader = $mine['file']
    $left = [long]$member.size
    if ($member.method -eq 8) { $reader = [IO.Compression.DeflateStream]::new($mine['file'], [IO.Compression.CompressionMode]::Decompress, $true) }
    $hash = New-Sha256
    $memory = [IO.MemoryStream]::new()
    $sums = [IO.Compression.GZipStream]::new($memory, [IO.Compression.CompressionLevel]::NoCompression, $true)
    $buffer = [byte[]]::new(1048576)
    try {
        while ($left -gt 0 -and ($read = $reader.Read($buffer, 0, [int][Math]::Min($buffer.Length, $left))) -gt 0) {
            [void]$hash.TransformBlock($buffer, 0, $read, $null, 0)
            $sums.Write($buffer, 0, $read)
            $memory.SetLength(0)
            if ($null -ne $target) { $target.Write($buffer, 0, $read) }
            $left -= $read
        }
        if ($member.method -eq 8 -and -not $left -and $reader.ReadByte() -ne -1) { $left = -1 }
    }
    catch [IO.InvalidDataException] { Stop-Damaged $shared $member $_.Exception.GetBaseException().Message }
    $sums.Dispose()
    if ($left -or [BitConverter]::ToUInt32($memory.ToArray(), [int]$memory.Length - 8) -ne $member.crc) {
        Stop-Damaged $shared $member "other bytes than the zip's directory says: $($member.size) bytes with CRC $('{0:x8}' -f $member.crc)"
    }
    [void]$hash.TransformFinalBlock([byte[]]::new(0), 0, 0)
    return [BitConverter]::ToString($hash.Hash).Replace('-', '').ToLowerInvariant()
}
