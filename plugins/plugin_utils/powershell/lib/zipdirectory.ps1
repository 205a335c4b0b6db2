# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
The directory of a zip, as it stands: nothing is judged but whether it can be read. Needs files.ps1 and values.ps1.

.DESCRIPTION
.NET's own reader hides what matters here: doubled names, lying sizes, encryption, links. Layout: APPNOTE.TXT of PKWARE, sections 4.3 and 4.5.

    Read-Directory $stream $path        all entries, folders included, as
                                        @{ name; size; packed; offset; crc; flags; method; system; attributes; moment; head; head_length }

`head` is what an entry's own header says too, flags to lengths and the name, each in Base64; that header has `head_length` bytes and more after them.

Which of them may be extracted is a matter of the core, on the controller.
#>

$longestComment = 65535
$largestDirectory = 1073741824
$leftOpen = 4294967295
$largestFile = 1152921504606846976    # no file system holds more
$utf8Name = 2048
$localHeader = 30

function Stop-NoZip([string]$path, [string]$why) {
    Stop-With 'BackupInvalid' "$(Get-ShownPath $path) can't be read as a zip" $why 'a complete zip file' 'choose another backup, or copy the file again'
}

function Read-At([IO.Stream]$stream, [long]$position, [long]$count) {
    [void]$stream.Seek($position, [IO.SeekOrigin]::Begin)
    return , [byte[]](Read-Stream $stream $count)
}

# What is done for every entry stands here, for to call a function takes longer than to read one.
function Read-Directory([IO.Stream]$stream, [string]$path) {
    $where = Find-Directory $stream $path
    $data = Read-At $stream $where.start $where.length
    if ($data.Length -ne $where.length) { Stop-NoZip $path 'its directory is cut off' }
    $members = [Collections.Generic.List[object]]::new()
    try { $names = @{ 0 = [Text.Encoding]::GetEncoding(437); $utf8Name = [Text.UTF8Encoding]::new($false, $true) } }
    catch { $names = @{ 0 = [Text.Encoding]::GetEncoding(28591); $utf8Name = [Text.UTF8Encoding]::new($false, $true) } }    # an engine without the old code page
    $at = 0
    $claimed = [long]0
    while ($at -lt $data.Length) {
        if ($at + 46 -gt $data.Length) { Stop-NoZip $path 'its directory is cut off' }
        if ([BitConverter]::ToUInt32($data, $at) -ne 0x02014b50) { Stop-NoZip $path 'its directory has something else than entries' }
        $nameLength = [BitConverter]::ToUInt16($data, $at + 28)
        $extraLength = [BitConverter]::ToUInt16($data, $at + 30)
        $next = $at + 46 + $nameLength + $extraLength + [BitConverter]::ToUInt16($data, $at + 32)
        if ($next -gt $data.Length) { Stop-NoZip $path 'its directory is cut off' }
        $flags = [BitConverter]::ToUInt16($data, $at + 8)
        try { $name = $names[$flags -band $utf8Name].GetString($data, $at + 46, $nameLength) }
        catch { Stop-NoZip $path "a name in its directory isn't UTF-8" }
        $member = @{
            name = $name; flags = $flags; system = [int]$data[$at + 5]; method = [int][BitConverter]::ToUInt16($data, $at + 10)
            moment = [BitConverter]::ToUInt32($data, $at + 12); crc = [BitConverter]::ToUInt32($data, $at + 16)
            packed = [long][BitConverter]::ToUInt32($data, $at + 20); size = [long][BitConverter]::ToUInt32($data, $at + 24)
            attributes = [BitConverter]::ToUInt32($data, $at + 38); offset = [long][BitConverter]::ToUInt32($data, $at + 42)
            head = [Convert]::ToBase64String($data, $at + 6, 24) + [Convert]::ToBase64String($data, $at + 46, $nameLength); head_length = 30 + $nameLength
        }
        if ($member.size -eq $leftOpen -or $member.packed -eq $leftOpen -or $member.offset -eq $leftOpen) {
            Set-LongSize $data ($at + 46 + $nameLength) $extraLength $member $path
        }
        $member.offset += $where.shift
        $claimed += $localHeader + $member.packed
        $members.Add($member)
        $at = $next
    }
    if ($members.Count -ne $where.count) { Stop-NoZip $path "its directory has $($members.Count) entries where its end says $($where.count)" }
    if ($claimed -gt $stream.Length) { Stop-NoZip $path "it has entries of $claimed bytes in a file of $($stream.Length): they overlap" }
    return , $members
}

# Start and length of the directory, the number of entries, and how far everything is shifted by something in front of the zip.
function Find-Directory([IO.Stream]$stream, [string]$path) {
    $tailStart = [Math]::Max([long]0, $stream.Length - $longestComment - 22)
    $tail = Read-At $stream $tailStart ($stream.Length - $tailStart)
    $place = Find-EndMark $tail
    if ($place -lt 0) { Stop-NoZip $path "it doesn't end as a zip does" }
    if ($place + 22 + [BitConverter]::ToUInt16($tail, $place + 20) -gt $tail.Length) { Stop-NoZip $path 'its comment is cut off' }
    $found = @{ end = $tailStart + $place; disk = [long][BitConverter]::ToUInt16($tail, $place + 4); first = [long][BitConverter]::ToUInt16($tail, $place + 6) }
    $found.here = [long][BitConverter]::ToUInt16($tail, $place + 8)
    $found.count = [long][BitConverter]::ToUInt16($tail, $place + 10)
    $found.length = [long][BitConverter]::ToUInt32($tail, $place + 12)
    $found.offset = [long][BitConverter]::ToUInt32($tail, $place + 16)
    if ($found.length -eq $leftOpen -or $found.offset -eq $leftOpen -or $found.here -eq 65535 -or $found.count -eq 65535) { Find-LongEnd $stream $path $found }
    if ($found.disk -or $found.first -or $found.here -ne $found.count) { Stop-NoZip $path 'it is one part of several' }
    if ($found.length -lt 0 -or $found.length -gt $largestDirectory) { Stop-NoZip $path "its directory has $($found.length) bytes" }
    $found.shift = $found.end - $found.length - $found.offset
    if ($found.offset -lt 0 -or $found.shift -lt 0) { Stop-NoZip $path "its directory isn't where its end says" }
    $found.start = $found.offset + $found.shift
    return $found
}

function Find-EndMark([byte[]]$tail) {
    for ($place = $tail.Length - 22; $place -ge 0; $place--) {
        $place = [Array]::LastIndexOf($tail, [byte]0x50, $place)
        if ($place -lt 0) { return -1 }
        if ([BitConverter]::ToUInt32($tail, $place) -eq 0x06054b50) { return $place }
    }
    return -1
}

# The same from the long record, where there is one: a plain zip may have exactly 65,535 entries.
function Find-LongEnd([IO.Stream]$stream, [string]$path, $found) {
    $locator = Read-At $stream ([Math]::Max([long]0, $found.end - 20)) 20
    if ($locator.Length -lt 20 -or [BitConverter]::ToUInt32($locator, 0) -ne 0x07064b50) { return }
    $found.end = $found.end - 20 - 56
    $record = Read-At $stream ([Math]::Max([long]0, $found.end)) 56
    if ($record.Length -lt 56 -or [BitConverter]::ToUInt32($record, 0) -ne 0x06064b50) { Stop-NoZip $path 'the long record of its end is missing' }
    $found.disk = [long][BitConverter]::ToUInt32($record, 16)
    $found.first = [long][BitConverter]::ToUInt32($record, 20)
    $found.here = [decimal][BitConverter]::ToUInt64($record, 24)
    $found.count = [decimal][BitConverter]::ToUInt64($record, 32)
    $found.length = [decimal][BitConverter]::ToUInt64($record, 40)
    $found.offset = [decimal][BitConverter]::ToUInt64($record, 48)
}

# Those of the three that the plain record leaves open, from the field that holds them in this order.
function Set-LongSize([byte[]]$data, [int]$at, [int]$count, $member, [string]$path) {
    $end = $at + $count
    while ($at + 4 -le $end) {
        $length = [BitConverter]::ToUInt16($data, $at + 2)
        if ([BitConverter]::ToUInt16($data, $at) -eq 1) {
            $place = $at + 4
            foreach ($key in 'size', 'packed', 'offset') {
                if ($member[$key] -ne $leftOpen) { continue }
                if ($place + 8 -gt $at + 4 + $length -or $place + 8 -gt $end) { Stop-NoZip $path 'an entry lacks its long sizes' }
                $member[$key] = [BitConverter]::ToInt64($data, $place)
                if ($member[$key] -lt 0 -or $member[$key] -gt $largestFile) { Stop-NoZip $path "an entry's long sizes are beyond all files" }
                $place += 8
            }
            return
        }
        $at += 4 + $length
    }
}
