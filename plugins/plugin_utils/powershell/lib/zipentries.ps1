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
$entryFunctions = 'Read-EntryBatch', 'Open-Entry', 'Assert-Head', 'Copy-Entry', 'Read-LongEntry', 'Stop-Damaged', 'Stop-Other', 'Export-Long', 'Test-There', `
    'Set-KeptTime', 'Get-FileSum', 'Wait-Held'

# Names of folders end in a separator.
function Select-File([object[]]$members) { return , @(foreach ($member in $members) { if ($member.name -notmatch '[/\\]\z') { $member } }) }

# With limits, entries that the core will refuse by them aren't read: they keep no SHA-256.
function Read-Zip([string]$path, [scriptblock]$advance, $limits = $null) {
    if (-not [IO.File]::Exists($path)) { Stop-NoZip $path 'no such file' }
    try { $stream = Open-Patiently $path }
    catch { if ($null -ne (Get-OurError $_)) { throw }; Stop-NoZip $path $_.Exception.GetBaseException().Message }
    try { $members = Read-Directory $stream $path } finally { $stream.Dispose() }
    $files = Select-Readable $members $limits
    Invoke-Worker $entryFunctions @{ path = $path } (Get-EntryBatch $files) {
        param($answer)
        $bytes = [long]0
        foreach ($member in $answer) { $bytes += $member.size }
        & $advance $answer.Length $bytes
    }
    return @{ members = $members; size = [IO.FileInfo]::new($path).Length; sha256 = (Get-FileDigest $path) }
}

function Select-Readable($members, $limits) {
    if (Get-Excess $members $limits) { return , @() }
    return , @(foreach ($member in (Select-File $members)) { if (-not ($member.flags -band 1) -and ($member.method -eq 0 -or $member.method -eq 8)) { $member } })
}

# Why the core refuses a zip by its totals, in its words; '' where it doesn't.
function Get-Excess($members, $limits) {
    if ($null -eq $limits) { return '' }
    $total = [long]0
    $packed = [long]0
    foreach ($member in $members) {
        $total += $member.size
        $packed += $member.packed
    }
    if ($members.Count -gt $limits['entries']) { return "it has $($members.Count) entries, and $($limits['entries']) is the limit" }
    if ($total -gt $limits['total']) { return "it would take $total bytes extracted, and $($limits['total']) is the limit" }
    if ($total -ge 1048576 -and $total -gt $packed * $limits['ratio']) { return "it would grow from $packed to $total bytes, more than $($limits['ratio']) times" }
    return ''
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

# A worker. Every entry is read to its end and checked against its size and CRC. With $shared.staging it is written below that and compared with what
# the content holds: a file of the same size that starts with other bytes isn't read to its end. What was written is read where it counts: by the commit,
# in its place, before the web server starts.
# All in one loop, for to call a function takes longer than to unpack a small entry, and each loop has to be compiled anew in every process.
function Read-EntryBatch($shared, $mine, $batch) {
    if (-not $mine['file']) { Open-Entry $shared $mine }
    $file, $reader, $memory, $data, $hash, $gzip = $mine['file'], $mine['reader'], $mine['memory'], $mine['data'], $mine['hash'], $mine['gzip']
    $unpack, $staging, $separator, $start = [IO.Compression.CompressionMode]::Decompress, $shared.staging, $shared.separator, [byte[]]::new(512)
    $create, $write, $alone = [IO.FileMode]::CreateNew, [IO.FileAccess]::Write, [IO.FileShare]::None
    $open, $read, $all = [IO.FileMode]::Open, [IO.FileAccess]::Read, [IO.FileShare]'ReadWrite, Delete'
    foreach ($member in $batch) {
        if ($member.large) {
            if ($staging) { Export-Long $shared $mine $member } else { $member.sha256 = Read-LongEntry $shared $mine $member $null }
            continue
        }
        $file.Position = $member.offset
        $head = $reader.ReadBytes($member.head_length)
        $same = $head.Length -eq $member.head_length
        if ($same) { $same = ([Convert]::ToBase64String($head, 4, 24) + [Convert]::ToBase64String($head, 30, $head.Length - 30)) -ceq $member.head }
        if (-not $same -or [BitConverter]::ToUInt32($head, 0) -ne 0x04034b50 -or $member.flags -band 1) { Assert-Head $shared $member $head }
        $more = [BitConverter]::ToUInt16($head, 28)
        if ($more) { $file.Position = $member.offset + $head.Length + $more }
        $packed = $reader.ReadBytes($member.packed)
        if ($packed.Length -ne $member.packed) { Stop-Damaged $shared $member 'the file ends within the entry' }
        if ($member.method -ne 8) { Copy-Entry $shared $mine $member $packed }
        else {
            $memory.SetLength(0)
            $memory.Write($gzip, 0, 10)
            $memory.Write($packed, 0, $packed.Length)
            $memory.Write([BitConverter]::GetBytes($member.crc), 0, 4)
            $memory.Write([BitConverter]::GetBytes($member.size), 0, 4)
            $memory.Position = 0
            $place = [IO.MemoryStream]::new($data, 0, $member.size)    # it can't grow: no entry unpacks to more than it says
            $unpacker = [IO.Compression.GZipStream]::new($memory, $unpack, $true)
            try { $unpacker.CopyTo($place) }
            catch [IO.InvalidDataException], [NotSupportedException] { Stop-Other $shared $member }
            $unpacker.Dispose()
            if ($place.Position -ne $member.size) { Stop-Other $shared $member }
        }
        $member.sha256 = [BitConverter]::ToString($hash.ComputeHash($data, 0, $member.size)).Replace('-', '').ToLowerInvariant()
        if (-not $staging) { continue }
        $path = $staging + $member.path.Replace([char]'/', $separator)
        $folder = $path.Substring(0, $path.LastIndexOf($separator))
        if (-not $mine.ContainsKey($folder)) { $mine[$folder] = [IO.Directory]::CreateDirectory($folder) }
        $member.staged = $path
        $stream = [IO.FileStream]::new($path, $create, $write, $alone, 1)
        try { $stream.Write($data, 0, $member.size) } finally { $stream.Dispose() }
        if ($shared.keep_times) { Set-KeptTime $shared $member }
        if (-not $member.there) { continue }
        $other = $false
        try {
            $stream = [IO.FileStream]::new($member.there, $open, $read, $all, 1)
            try {
                $other = $stream.Length -ne $member.size
                if (-not $other) {
                    $got = $stream.Read($start, 0, [Math]::Min($member.size, 512))
                    $other = [Convert]::ToBase64String($start, 0, $got) -cne [Convert]::ToBase64String($data, 0, $got)
                }
            }
            finally { $stream.Dispose() }
        }
        catch [IO.IOException] {    # of one that can't be read now no more than its size is known
            $info = [IO.FileInfo]::new($member.there)
            $other = $info.Exists -and $info.Length -ne $member.size
        }
        if (-not $other -and (Test-There $shared $mine $member)) { $member.action = 'same' }
    }
    return , $batch
}

# What a worker keeps: the zip, a hash, the header of gzip, and buffers that are used again, for new ones cost more than what they hold.
function Open-Entry($shared, $mine) {
    $mine['hash'] = New-Sha256
    $mine['gzip'] = [byte[]](0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0)
    $mine['memory'] = [IO.MemoryStream]::new()
    $mine['data'] = [byte[]]::new(8388608)    # $largeEntry
    $mine['file'] = [IO.FileStream]::new($shared.path, [IO.FileMode]::Open, [IO.FileAccess]::Read, [IO.FileShare]'ReadWrite, Delete', 65536)
    $mine['reader'] = [IO.BinaryReader]::new($mine['file'])
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

function Stop-Other($shared, $member) {
    Stop-Damaged $shared $member "other bytes than the zip's directory says: $($member.size) bytes with CRC $('{0:x8}' -f $member.crc)"
}

# An entry's own header that doesn't repeat the directory word for word: what it leaves open, the directory says.
function Assert-Head($shared, $member, $head) {
    if ($head.Length -ne $member.head_length) { Stop-Damaged $shared $member 'the file ends within the entry' }
    if ([BitConverter]::ToUInt32($head, 0) -ne 0x04034b50) { Stop-Damaged $shared $member 'no local header where the directory says' }
    if ($member.flags -band 1 -or ($member.method -ne 0 -and $member.method -ne 8)) { Stop-Damaged $shared $member 'an encrypted entry or an unknown compression' }
    $same = [BitConverter]::ToUInt16($head, 26) -eq $head.Length - 30 -and [BitConverter]::ToUInt16($head, 8) -eq $member.method
    if (-not $same -or [Convert]::ToBase64String($head, 30, $head.Length - 30) -cne $member.head.Substring(32)) {
        Stop-Damaged $shared $member 'another name or method in its header than in the directory'
    }
    $at = 14
    foreach ($sum in $member.crc, $member.packed, $member.size) {
        $said = [BitConverter]::ToUInt32($head, $at)
        if ($said -ne $sum -and $said -ne 0 -and $said -ne 4294967295) { Stop-Damaged $shared $member 'other sums in its header than in the directory' }
        $at += 4
    }
}

# One that isn't packed: its CRC is that of a gzip made of it.
function Copy-Entry($shared, $mine, $member, $stored) {
    if ($member.method -ne 0) { Stop-Damaged $shared $member 'an unknown compression' }
    if ($stored.Length -ne $member.size) { Stop-Other $shared $member }
    [Array]::Copy($stored, 0, $mine['data'], 0, $stored.Length)
    $memory = $mine['memory']
    $memory.SetLength(0)
    $writer = [IO.Compression.GZipStream]::new($memory, [IO.Compression.CompressionLevel]::NoCompression, $true)
    $writer.Write($stored, 0, $stored.Length)
    $writer.Dispose()
    if ($stored.Length -and [BitConverter]::ToUInt32($memory.GetBuffer(), [int]$memory.Length - 8) -ne $member.crc) { Stop-Other $shared $member }
}

# A large entry in pieces, into $target where there is one; gives its SHA-256.
function Read-LongEntry($shared, $mine, $member, $target) {
    $mine['file'].Position = $member.offset
    $head = $mine['reader'].ReadBytes($member.head_length)
    Assert-Head $shared $member $head
    $mine['file'].Position = $member.offset + $head.Length + [BitConverter]::ToUInt16($head, 28)
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
    catch [IO.InvalidDataException] { Stop-Other $shared $member }
    $sums.Dispose()
    if ($left -or [BitConverter]::ToUInt32($memory.ToArray(), [int]$memory.Length - 8) -ne $member.crc) { Stop-Other $shared $member }
    [void]$hash.TransformFinalBlock([byte[]]::new(0), 0, 0)
    return [BitConverter]::ToString($hash.Hash).Replace('-', '').ToLowerInvariant()
}

# A large file, in pieces.
function Export-Long($shared, $mine, $member) {
    $member.staged = $shared.staging + $member.path.Replace([char]'/', $shared.separator)
    [void][IO.Directory]::CreateDirectory([IO.Path]::GetDirectoryName($member.staged))
    $target = [IO.FileStream]::new($member.staged, [IO.FileMode]::CreateNew, [IO.FileAccess]::Write, [IO.FileShare]::None, 1)
    try { $member.sha256 = Read-LongEntry $shared $mine $member $target } finally { $target.Dispose() }
    if ($shared.keep_times) { Set-KeptTime $shared $member }
    if (-not $member.there) { return }
    $info = [IO.FileInfo]::new($member.there)
    if ($info.Exists -and $info.Length -eq $member.size -and (Test-There $shared $mine $member)) { $member.action = 'same' }
}

# Whether the content holds its bytes. A file that vanished since is another one: the commit looks again. One that stays held is remembered.
function Test-There($shared, $mine, $member) {
    try { return (Get-FileSum $shared $mine $member.there) -ceq $member.sha256 }
    catch [IO.FileNotFoundException], [IO.DirectoryNotFoundException] { return $false }
    catch [IO.IOException] {
        if ($shared.held -notcontains $_.Exception.GetBaseException().HResult) { throw }
        $member.held = $true
        return $false
    }
}

# Where .NET asks for the right to write for it, another program may be in the way for a moment.
function Set-KeptTime($shared, $member) {
    $date = [int]($member.moment -shr 16)
    $time = [int]($member.moment -band 65535)
    try { $kept = [DateTime]::new(1980 + ($date -shr 9), ($date -shr 5) -band 15, $date -band 31, $time -shr 11, ($time -shr 5) -band 63, ($time -band 31) * 2, [DateTimeKind]::Local) }
    catch { return }    # a date that never was
    $clock = [Diagnostics.Stopwatch]::StartNew()
    while ($true) {
        try { [IO.File]::SetLastWriteTime($member.staged, $kept); return }
        catch [IO.IOException] { if (-not (Wait-Held $shared $clock $_)) { throw } }
    }
}

# Its SHA-256. Asked for again while another program holds it: a virus scanner looks at what was just written.
function Get-FileSum($shared, $mine, [string]$path) {
    $clock = [Diagnostics.Stopwatch]::StartNew()
    while ($true) {
        try {
            $stream = [IO.FileStream]::new($path, [IO.FileMode]::Open, [IO.FileAccess]::Read, [IO.FileShare]'ReadWrite, Delete', 65536)
            try { return [BitConverter]::ToString($mine['hash'].ComputeHash($stream)).Replace('-', '').ToLowerInvariant() } finally { $stream.Dispose() }
        }
        catch [IO.IOException] {
            $mine['hash'].Initialize()    # it may hold what could be read of it
            if (-not (Wait-Held $shared $clock $_)) { throw }
        }
    }
}
