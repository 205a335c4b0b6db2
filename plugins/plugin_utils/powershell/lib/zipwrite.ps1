# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Writing a zip: small files are packed on all cores and only put in here; large ones stream through. Needs nothing but workers.ps1.

.DESCRIPTION
.NET's own writer packs on one core. The gzip format that .NET writes is a header of ten bytes, raw deflated data, their CRC and their size: all that an
entry of a zip needs. Layout: APPNOTE.TXT of PKWARE, sections 4.3 and 4.5. Names are UTF-8, times are now: a zip's own times say nothing that the
manifest doesn't.
#>

$zip64Size = 2147483647     # from which the plain format may not do, deflate's growth included

function New-ZipWriter([string]$path) {
    $now = [DateTime]::Now
    $record = [byte[]]::new(46)
    [Array]::Copy([byte[]](0x50, 0x4b, 1, 2, 20, 3), $record, 6)
    $record[40] = 0xa4    # an ordinary file of a Unix mode: 0100644
    $record[41] = 0x81
    return @{
        stream = [IO.FileStream]::new($path, [IO.FileMode]::CreateNew, [IO.FileAccess]::ReadWrite, [IO.FileShare]::None, 1048576)
        directory = [IO.MemoryStream]::new()
        count = [long]0
        head = [byte[]](0x50, 0x4b, 3, 4, 20, 0, 0, 8)    # of an entry, up to its method: version 2.0, names in UTF-8
        record = $record
        moment = [uint32](([long]($now.Year - 1980) -shl 25) -bor ($now.Month -shl 21) -bor ($now.Day -shl 16) -bor ($now.Hour -shl 11) -bor ($now.Minute -shl 5) -bor ($now.Second -shr 1))
    }
}

# Packs a batch of small files: for each its data as they go into the zip, or why not. A worker; all in one loop, as in zipentries.ps1.
function Get-PackedBatch($shared, $mine, $batch) {
    if (-not $mine['hash']) {
        $mine['hash'] = New-Sha256
        $mine['memory'] = [IO.MemoryStream]::new()
        $mine['entry'] = [IO.MemoryStream]::new()
    }
    $hash, $memory, $entry, $level, $rows = $mine['hash'], $mine['memory'], $mine['entry'], $shared.level, [object[]]::new($batch.Length)
    $out = [IO.BinaryWriter]::new($entry)
    $open, $read, $all = [IO.FileMode]::Open, [IO.FileAccess]::Read, [IO.FileShare]'ReadWrite, Delete'
    for ($i = 0; $i -lt $rows.Length; $i++) {
        $file = $batch[$i]
        $row = $rows[$i] = @{ file = $file; problem = $null; held = $false }
        $data = [byte[]]::new($file.size)
        $got = -1
        try {
            $stream = [IO.FileStream]::new($file.full, $open, $read, $all, 1)
            try { if ($stream.Length -eq $file.size) { $got = $stream.Read($data, 0, $data.Length) } } finally { $stream.Dispose() }
        }
        catch [IO.IOException], [UnauthorizedAccessException] { $got = -1 }
        if ($got -ne $data.Length) { $data = Read-SteadyFile $shared $file $row }
        if ($row.problem) { continue }
        $count = $data.Length
        $row.sha256 = [BitConverter]::ToString($hash.ComputeHash($data)).Replace('-', '').ToLowerInvariant()
        $memory.SetLength(0)
        $packer = [IO.Compression.GZipStream]::new($memory, $level, $true)
        $packer.Write($data, 0, $count)
        $packer.Dispose()
        $packed = $memory.Length - 18
        # What hardly shrinks is stored, and so is what shrinks beyond belief: whoever reads the zip back would have to take it for a bomb.
        $stored = -not $count -or $packed -ge $count -or $count -gt 100 * $packed
        $name = [Text.Encoding]::UTF8.GetBytes($file.path)
        $entry.SetLength(0)
        $out.Write($shared.head)
        $out.Write([uint16]$(if ($stored) { 0 } else { 8 }))
        $out.Write($shared.moment)
        if ($count) { $out.Write($memory.GetBuffer(), [int]$packed + 10, 4) } else { $out.Write([uint32]0) }
        $out.Write([uint32]$(if ($stored) { $count } else { $packed }))
        $out.Write([uint32]$count)
        $out.Write([uint32]$name.Length)
        $out.Write($name)
        if ($stored) { $out.Write($data) } else { $out.Write($memory.GetBuffer(), 10, [int]$packed) }
        $row.bytes = $entry.ToArray()
        $row.named = $name.Length
    }
    return , $rows
}

# A file that couldn't be read at once. Repeated for a while as long as another program keeps the file from being read.
function Read-SteadyFile($shared, $file, $row) {
    $clock = [Diagnostics.Stopwatch]::StartNew()
    while ($true) {
        try {
            $stream = [IO.FileStream]::new($file.full, [IO.FileMode]::Open, [IO.FileAccess]::Read, [IO.FileShare]'ReadWrite, Delete', 1)
            try {
                if ($stream.Length -ne $file.size) { $row.problem = 'its size changed'; return , [byte[]]@() }
                $data = [byte[]]::new([int]$file.size)
                $got = 0
                while ($got -lt $data.Length -and ($read = $stream.Read($data, $got, $data.Length - $got)) -gt 0) { $got += $read }
                if ($got -ne $data.Length) { $row.problem = 'its size changed' }
                return , $data
            }
            finally { $stream.Dispose() }
        }
        catch [IO.IOException], [UnauthorizedAccessException] {
            $cause = $_.Exception.GetBaseException()
            $row.problem = $cause.Message
            $held = $shared.held -contains $cause.HResult
            $row.held = $held
            if (-not $held -or $clock.Elapsed.TotalSeconds -ge $shared.patience) { return , [byte[]]@() }
            $row.problem = $null
            $row.held = $false
            [Threading.Thread]::Sleep(100)
        }
    }
}

# An entry as a worker made it, header and all: the directory repeats most of that.
function Add-Packed($writer, $row) {
    $bytes, $record, $offset = $row.bytes, $writer.record, $writer.stream.Position
    $writer.stream.Write($bytes, 0, $bytes.Length)
    if ($offset -ge 4294967295) { Add-Entry $writer (Get-EntryOf $bytes $offset); return }
    [Array]::Copy($bytes, 4, $record, 6, 26)
    [Array]::Copy([BitConverter]::GetBytes($offset), 0, $record, 42, 4)
    $writer.directory.Write($record, 0, 46)
    $writer.directory.Write($bytes, 30, $row.named)
    $writer.count++
}

# What the header of an entry says.
function Get-EntryOf([byte[]]$bytes, [long]$offset) {
    $name = [byte[]]::new([BitConverter]::ToUInt16($bytes, 26))
    [Array]::Copy($bytes, 30, $name, 0, $name.Length)
    return @{
        name = $name; method = [BitConverter]::ToUInt16($bytes, 8); crc = [BitConverter]::ToUInt32($bytes, 14); packed = [long][BitConverter]::ToUInt32($bytes, 18)
        size = [long][BitConverter]::ToUInt32($bytes, 22); offset = $offset
    }
}

# Streams a large file in; gives its SHA-256, or throws an IOException that says how it changed.
function Add-Large($writer, $file, $level) {
    $entry = @{ name = [Text.Encoding]::UTF8.GetBytes($file.path); method = 8; crc = [uint32]0; packed = [long]0; size = [long]$file.size; offset = $writer.stream.Position }
    $sha256 = Write-Large $writer $entry $file $level
    if ($entry.packed -ge $entry.size -or $entry.size -gt 100 * $entry.packed) {
        $writer.stream.SetLength($entry.offset)
        $entry.method = 0
        $sha256 = Write-Large $writer $entry $file $level
    }
    Add-Entry $writer $entry
    return $sha256
}

# A gzip stream makes the CRC, and packs where that is wanted: its own header goes over the end of the entry's, which is written once more at the end.
function Write-Large($writer, $entry, $file, $level) {
    $stream = $writer.stream
    $packs = $entry.method -eq 8
    [void]$stream.Seek($entry.offset, [IO.SeekOrigin]::Begin)
    Write-Local $writer $entry
    $begin = $stream.Position
    $memory = [IO.MemoryStream]::new()
    if ($packs) {
        [void]$stream.Seek(-10, [IO.SeekOrigin]::Current)
        $gzip = [IO.Compression.GZipStream]::new($stream, $level, $true)
    }
    else { $gzip = [IO.Compression.GZipStream]::new($memory, [IO.Compression.CompressionLevel]::NoCompression, $true) }
    $sha256 = Copy-Large $file $gzip $(if (-not $packs) { $stream }) $memory
    if ($packs) { $end = Remove-Trailer $stream $entry } else { $end = $stream.Position; $entry.crc = [BitConverter]::ToUInt32($memory.ToArray(), [int]$memory.Length - 8) }
    $entry.packed = $end - $begin
    [void]$stream.Seek($entry.offset, [IO.SeekOrigin]::Begin)
    Write-Local $writer $entry
    [void]$stream.Seek($end, [IO.SeekOrigin]::Begin)
    return $sha256
}

function Copy-Large($file, [IO.Stream]$gzip, $plain, [IO.MemoryStream]$memory) {
    $hash = New-Sha256
    $buffer = [byte[]]::new(1048576)
    $left = [long]$file.size
    $given = $null
    try {
        $given = [IO.FileStream]::new($file.full, [IO.FileMode]::Open, [IO.FileAccess]::Read, [IO.FileShare]'ReadWrite, Delete', 1)
        while ($left -ge 0 -and ($read = $given.Read($buffer, 0, $buffer.Length)) -gt 0) {
            $left -= $read
            [void]$hash.TransformBlock($buffer, 0, $read, $null, 0)
            $gzip.Write($buffer, 0, $read)
            if ($null -eq $plain) { continue }
            $plain.Write($buffer, 0, $read)
            $memory.SetLength(0)
        }
    }
    finally { if ($null -ne $given) { $given.Dispose() }; $gzip.Dispose() }
    if ($left) { throw [IO.IOException]::new('its size changed') }
    [void]$hash.TransformFinalBlock([byte[]]::new(0), 0, 0)
    return [BitConverter]::ToString($hash.Hash).Replace('-', '').ToLowerInvariant()
}

# Takes the CRC from the end of the gzip stream; gives where the entry ends without it.
function Remove-Trailer([IO.FileStream]$stream, $entry) {
    $end = $stream.Position - 8
    $trailer = [byte[]]::new(8)
    [void]$stream.Seek($end, [IO.SeekOrigin]::Begin)
    [void]$stream.Read($trailer, 0, 8)
    $entry.crc = [BitConverter]::ToUInt32($trailer, 0)
    $stream.SetLength($end)
    return $end
}

function Write-Local($writer, $entry) {
    $long = $entry.size -ge $zip64Size
    $out = [IO.BinaryWriter]::new($writer.stream, [Text.Encoding]::UTF8, $true)
    $out.Write([uint32]0x04034b50)
    $out.Write([uint16]$(if ($long) { 45 } else { 20 }))
    $out.Write([uint16]2048)
    $out.Write([uint16]$entry.method)
    $out.Write([uint32]$writer.moment)
    $out.Write([uint32]$entry.crc)
    foreach ($size in $entry.packed, $entry.size) { $out.Write([uint32]$(if ($long) { 4294967295 } else { $size })) }
    $out.Write([uint16]$entry.name.Length)
    $out.Write([uint16]$(if ($long) { 20 } else { 0 }))
    $out.Write($entry.name)
    if ($long) { Write-LongField $out @($entry.size, $entry.packed) }
    $out.Dispose()
}

function Write-LongField([IO.BinaryWriter]$out, [long[]]$values) {
    $out.Write([uint16]1)
    $out.Write([uint16](8 * $values.Length))
    foreach ($value in $values) { $out.Write([long]$value) }
}

function Add-Entry($writer, $entry) {
    $writer.count++
    $long = $entry.size -ge $zip64Size
    $far = $entry.offset -ge 4294967295
    $more = @(if ($long) { $entry.size; $entry.packed }) + @(if ($far) { $entry.offset })
    $out = [IO.BinaryWriter]::new($writer.directory, [Text.Encoding]::UTF8, $true)
    $needed = $(if ($more.Length) { 45 } else { 20 })
    $out.Write([uint32]0x02014b50)
    $out.Write([uint16](768 + $needed))
    foreach ($word in $needed, 2048, $entry.method) { $out.Write([uint16]$word) }
    $out.Write([uint32]$writer.moment)
    $out.Write([uint32]$entry.crc)
    foreach ($size in $entry.packed, $entry.size) { $out.Write([uint32]$(if ($long) { 4294967295 } else { $size })) }
    $extra = $(if ($more.Length) { 4 + 8 * $more.Length } else { 0 })
    foreach ($word in $entry.name.Length, $extra, 0, 0, 0) { $out.Write([uint16]$word) }
    $out.Write([uint32]2175008768)    # an ordinary file of a Unix mode: 0100644
    $out.Write([uint32]$(if ($far) { 4294967295 } else { $entry.offset }))
    $out.Write($entry.name)
    if ($more.Length) { Write-LongField $out $more }
    $out.Dispose()
}

# Writes the directory and lets go of the file.
function Close-Zip($writer) {
    $start = $writer.stream.Position
    $length = $writer.directory.Length
    $writer.directory.WriteTo($writer.stream)
    $out = [IO.BinaryWriter]::new($writer.stream, [Text.Encoding]::UTF8, $true)
    if ($writer.count -ge 65535 -or $start + $length -ge 4294967295) { Write-LongEnd $out $writer.count $length $start }
    $out.Write([uint32]0x06054b50)
    foreach ($word in 0, 0, [Math]::Min($writer.count, 65535), [Math]::Min($writer.count, 65535)) { $out.Write([uint16]$word) }
    foreach ($size in $length, $start) { $out.Write([uint32][Math]::Min($size, 4294967295)) }
    $out.Write([uint16]0)
    $out.Dispose()
    $writer.stream.Flush($true)
    $writer.stream.Dispose()
}

function Write-LongEnd([IO.BinaryWriter]$out, [long]$count, [long]$length, [long]$start) {
    $out.Write([uint32]0x06064b50)
    $out.Write([long]44)
    foreach ($word in 813, 45) { $out.Write([uint16]$word) }
    foreach ($number in 0, 0) { $out.Write([uint32]$number) }
    foreach ($value in $count, $count, $length, $start) { $out.Write([long]$value) }
    $out.Write([uint32]0x07064b50)
    $out.Write([uint32]0)
    $out.Write([long]($start + $length))
    $out.Write([uint32]1)
}
