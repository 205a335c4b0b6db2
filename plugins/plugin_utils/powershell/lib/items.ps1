# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
From the items of a backup to the files on the disk. Needs files.ps1, values.ps1 and places.ps1.

.DESCRIPTION
Get-Listing of a backup is New-FileList $root $items: @{ files; notes; lost }. A file is @{ path; full; size; stamp; written }, `path` relative to the
root with `/`. Notes are what is left out, lost is what couldn't be had: then the backup isn't whole.
#>

$badCharacter = [regex]::new('[\x00-\x1f\x7f-\x9f<>:"|?*\\]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]', [Text.RegularExpressions.RegexOptions]::CultureInvariant)
$doubtful = [regex]::new("$badCharacter|[. ](/|\z)|(?<![^/])([^/]{256}|CON|PRN|AUX|NUL|CLOCK|COM|LPT)", [Text.RegularExpressions.RegexOptions]'IgnoreCase, CultureInvariant')
$deviceName = [regex]::new('\A(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|CLOCK\$|(COM|LPT)[0-9\u00b9\u00b2\u00b3])\z', [Text.RegularExpressions.RegexOptions]'IgnoreCase, CultureInvariant')

function New-FileList([string]$root, [object[]]$items) {
    $list = @{ files = [Collections.Generic.List[object]]::new(); notes = [Collections.Generic.List[string]]::new(); lost = [Collections.Generic.List[string]]::new() }
    $list.known = [Collections.Generic.HashSet[string]]::new([StringComparer]::Ordinal)
    $places = New-Places $root
    foreach ($item in $items) { Add-Item $list $places $item['path'] $item['versions'] }
    return $list
}

function Add-Item($list, $places, [string]$path, $versions) {
    $cut = $path.LastIndexOf([char]'/')
    $parent = $path.Substring(0, [Math]::Max($cut, 0))
    try {
        $folder = Find-Folder $places $parent
        $found = $(if ($folder) { Find-Listed $places $folder $path.Substring($cut + 1) })
        $entry = $(if ($found) { Get-Info $found })
    }
    catch {
        $told = Get-OurError $_
        if ($null -eq $told) { $list.lost.Add("$path ($($_.Exception.GetBaseException().Message))") }
        elseif ($told['found'] -ceq 'a link') { $list.notes.Add("$path $linkNote") }
        else { $list.lost.Add("$path ($($told['message']))") }
        return
    }
    if ($null -eq $entry) { $list.lost.Add("$path (vanished)") }
    elseif (Test-Folder $entry) { Add-Below $list $entry.FullName $path $versions }
    else { Add-Found $list $parent @($entry) $null }
}

function Add-Below($list, [string]$folder, [string]$path, $versions) {
    try { $found = [IO.DirectoryInfo]::new($folder).GetFileSystemInfos() }
    catch { $list.lost.Add("$path ($($_.Exception.GetBaseException().Message))"); return }
    Add-Found $list $path (Get-Sorted @(foreach ($entry in $found) { $entry.Name }) $found) $versions
}

function Add-Found($list, [string]$folder, [object[]]$found, $versions) {
    $base = $(if ($folder) { "$folder/" })
    foreach ($entry in $found) {
        $path = $base + $entry.Name
        if ($entry.Attributes -band [IO.FileAttributes]::ReparsePoint -and (Test-Link $entry)) { $list.notes.Add("$path $linkNote"); continue }
        if ($entry -is [IO.DirectoryInfo]) { if (-not (Test-Skipped $entry.Name $versions)) { Add-Below $list $entry.FullName $path $null }; continue }
        if (-not $list.known.Add($path)) { continue }
        $written = $entry.LastWriteTimeUtc.Ticks
        $size = [long]$entry.Length
        $list.files.Add(@{ path = $path; full = $entry.FullName; size = $size; written = $written; stamp = "$size $written" })
    }
}

function Test-Skipped([string]$name, $versions) {
    if ($null -eq $versions -or $name -notmatch '\Aversion_0*([0-9]+)\z') { return $false }
    return @(foreach ($number in $versions) { "$number" }) -cnotcontains $Matches[1]    # as text: a name may hold any number
}

# What a restore on Windows would refuse. On Windows itself only programs that ask for it can make such names.
function Get-NameProblem([string]$path) {
    foreach ($part in $path.Split([char]'/')) {
        $bad = $badCharacter.Match($part)
        if ($bad.Success) { return "it has the character $(Get-QuotedCharacter $bad.Value[0]), which Windows doesn't allow in a name" }
        if ($part.Length -and '. '.IndexOf($part[$part.Length - 1]) -ge 0) { return 'a part ends in a dot or a space, which Windows drops' }
        if ($deviceName.IsMatch($part.Split([char]'.')[0].TrimEnd())) { return "`"$part`" is a device to Windows" }
        if ($part.Length -gt 255) { return 'a part is longer than 255 characters' }
    }
    return $null
}

function Get-QuotedCharacter([char]$character) {
    if ($character -eq '\') { return "'\\'" }
    if ([int]$character -lt 127) { if ([int]$character -ge 32) { return "'$character'" } }
    if ([int]$character -lt 256) { return "'\x{0:x2}'" -f [int]$character }
    return "'\u{0:x4}'" -f [int]$character
}

# All names are looked at as one text first, and a folder once for the files that come with it: to look at each costs more than all else that is done
# for a file before it is packed.
function Assert-Name($files) {
    $spelt = [Collections.Generic.Dictionary[string, string]]::new([StringComparer]::OrdinalIgnoreCase)
    $bad = [Collections.Generic.List[string]]::new()
    $paths = [string[]]@(foreach ($file in $files) { $file.path })
    $closer = $doubtful.IsMatch([string]::Join('/', $paths))
    $last = $null
    foreach ($path in $paths) {
        $problem = $(if ($closer -and $doubtful.IsMatch($path)) { Get-NameProblem $path })
        $folder = $path.Substring(0, [Math]::Max($path.LastIndexOf([char]'/'), 0))
        if ($folder -cne $last) {
            $clash = Get-Clash $spelt $folder
            $last = $folder
        }
        if (-not $problem) {
            if ($spelt.ContainsKey($path)) { $problem = Get-Clash $spelt $path }
            else {
                $spelt[$path] = $path
                $problem = $clash
            }
        }
        if ($problem) { $bad.Add("$path ($problem)") }
    }
    if (-not $bad.Count) { return }
    $shown = $bad.GetRange(0, [Math]::Min($bad.Count, 10)) -join '; '
    Stop-With 'BackupInvalid' "Some names can't be restored on Windows" $shown 'names that Windows can hold' 'rename or move these files away'
}

# Whether the path, or a folder of it, differs from an earlier one in case only.
function Get-Clash($spelt, [string]$path) {
    while ($path) {
        $known = ''
        if (-not $spelt.TryGetValue($path, [ref]$known)) { $spelt[$path] = $path }
        elseif ($known -cne $path) { return "Windows takes it for $known" }
        else { return $null }
        $path = $path.Substring(0, [Math]::Max($path.LastIndexOf([char]'/'), 0))
    }
    return $null
}
