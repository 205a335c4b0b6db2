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
#>

$entryBatch = 64            # entries
$entryBatchBytes = 1048576
$largeEntry = 8388608       # bytes; one that is larger, packed or not, is read in pieces
$entryFunctions = 'Open-Entry', 'Get-HeaderLength', 'Read-PackedEntry', 'Expand-Entry', 'Copy-Entry', 'Read-LongEntry', 'Stop-Damaged'

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
        if ($batch.Count -and ($bytes + $member.size -gt $entryBatchBytes -or $batch.Count -ge $entryBatch)) {
            $batches.Add($batch.ToArray())
            $batch.Clear()
            $bytes = 0
        }
        $batch.Add($member)
        $bytes += $member.size
    }
    if ($batch.Count) { $batches.Add($batch.ToArray()) }
    return , $batches.ToArray()
}

function Read-EntryBatch($shared, $mine, $batch) {
    if (-not $mine['file']) { Open-Entry $shared $mine }
    foreach ($member in $batch) {
        if ($member.large) { $member.sha256 = Read-LongEntry $shared $mine $member $null; continue }
        $data = Read-PackedEntry $shared $mine $member
        $member.sha256 = [BitConverter]::ToString($mine['hash'].ComputeHash($data, 0, [int]$member.size)).Replace('-', '').ToLowerInvariant()
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

# How long the entry's own header is, which stands at the start of the buffer and is compared with the directory. What it leaves open, the directory says.
function Get-HeaderLength($shared, $member, [byte[]]$head, [int]$got) {
    if ($got -lt 30 -or [BitConverter]::ToUInt32($head, 0) -ne 0x04034b50) { Stop-Damaged $shared $member 'no local header where the directory says' }
    if ($member.flags -band 1 -or ($member.method -ne 0 -and $member.method -ne 8)) { Stop-Damaged $shared $member 'an encrypted entry or an unknown compression' }
    $nameLength = [BitConverter]::ToUInt16($head, 26)
    $same = $got -ge 30 + $nameLength -and $nameLength -eq $member.raw.Length
    if ($same) { $same = [Convert]::ToBase64String($head, 30, $nameLength) -ceq [Convert]::ToBase64String($member.raw) }
    if (-not $same -or [BitConverter]::ToUInt16($head, 8) -ne $member.method) {
        Stop-Damaged $shared $member 'another name or method in its header than in the directory'
    }
    $crc = [BitConverter]::ToUInt32($head, 14)
    $packed = [BitConverter]::ToUInt32($head, 18)
    $size = [BitConverter]::ToUInt32($head, 22)
    $same = $crc -eq $member.crc -or $crc -eq 0 -or $crc -eq 4294967295
    $same = $same -and ($packed -eq $member.packed -or $packed -eq 0 -or $packed -eq 4294967295)
    if (-not $same -or ($size -ne $member.size -and $size -ne 0 -and $size -ne 4294967295)) {
        Stop-Damaged $shared $member 'other sums in its header than in the directory'
    }
    return 30 + $nameLength + [BitConverter]::ToUInt16($head, 28)
}

# The content of a small entry at the start of a buffer, which the next call uses again.
function Read-PackedEntry($shared, $mine, $member) {
    $file = $mine['file']
    $packed = [int]$member.packed
    $wanted = 30 + $member.raw.Length + $packed
    if ($mine['packed'].Length -lt $wanted + 65600) { $mine['packed'] = [byte[]]::new(2 * $wanted + 65600) }    # a header may have 64 kB more
    if ($mine['data'].Length -lt $member.size) { $mine['data'] = [byte[]]::new(2 * $member.size) }
    $buffer = $mine['packed']
    [void]$file.Seek($member.offset, [IO.SeekOrigin]::Begin)
    $got = $start = 0
    while ($got -lt $wanted) {
        $read = $file.Read($buffer, $got, $wanted - $got)
        $got += $read
        if (-not $start -and ($got -ge $wanted -or -not $read)) {
            $start = Get-HeaderLength $shared $member $buffer $got
            $wanted = $start + $packed
        }
        if (-not $read -and $got -lt $wanted) { Stop-Damaged $shared $member 'the file ends within the entry' }
    }
    if ($member.method -eq 8) { Expand-Entry $shared $mine $member $start } else { Copy-Entry $shared $mine $member $start }
    return , $mine['data']
}

# One that is packed, as gzip: between the header and the trailer of that.
function Expand-Entry($shared, $mine, $member, [int]$start) {
    $buffer = $mine['packed']
    $end = $start + [int]$member.packed
    [Array]::Copy($mine['gzip'], 0, $buffer, $start - 10, 10)
    [Array]::Copy([BitConverter]::GetBytes([uint32]$member.crc), 0, $buffer, $end, 4)
    [Array]::Copy([BitConverter]::GetBytes([uint32]$member.size), 0, $buffer, $end + 4, 4)
    $data = $mine['data']
    $size = [int]$member.size
    $got = 0
    $more = 1
    try {
        $reader = [IO.Compression.GZipStream]::new([IO.MemoryStream]::new($buffer, $start - 10, $end + 18 - $start), [IO.Compression.CompressionMode]::Decompress)
        try {
            while ($got -lt $size -and ($read = $reader.Read($data, $got, $size - $got)) -gt 0) { $got += $read }
            $more = $reader.ReadByte()
        }
        finally { $reader.Dispose() }
    }
    catch [IO.InvalidDataException] { Stop-Damaged $shared $member $_.Exception.GetBaseException().Message }
    if ($got -ne $size -or $more -ne -1) { Stop-Damaged $shared $member "$got bytes where the zip's directory says $size bytes" }
}

# One that isn't packed: its CRC is that of a gzip made of it.
function Copy-Entry($shared, $mine, $member, [int]$start) {
    $packed = [int]$member.packed
    if ($packed -ne $member.size) { Stop-Damaged $shared $member "$packed bytes where the zip's directory says $($member.size) bytes" }
    [Array]::Copy($mine['packed'], $start, $mine['data'], 0, $packed)
    $memory = [IO.MemoryStream]::new()
    $writer = [IO.Compression.GZipStream]::new($memory, [IO.Compression.CompressionLevel]::NoCompression, $true)
    $writer.Write($mine['data'], 0, $packed)
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
    [void]$mine['file'].Seek($member.offset + (Get-HeaderLength $shared $member $head $got), [IO.SeekOrigin]::Begin)
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
