# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Where a relative path is on the disk, as the disk spells it; no link is followed on the way. Needs files.ps1 and values.ps1.

.DESCRIPTION
Each folder is listed once, so what New-Places gives serves for one pass over the content and no longer.
#>

$listingsKept = 256

function New-Places([string]$root) {
    $folders = [Collections.Generic.Dictionary[string, string]]::new([StringComparer]::Ordinal)
    $folders[''] = $root
    return @{ root = $root; folders = $folders; listings = [Collections.Generic.Dictionary[string, object]]::new([StringComparer]::Ordinal) }
}

# The entries of a folder by their name, and by what Windows takes it for: of several the first in the common order.
function Get-Listing($places, [string]$folder) {
    $listing = $null
    if ($places.listings.TryGetValue($folder, [ref]$listing)) { return $listing }
    if ($places.listings.Count -ge $listingsKept) { $places.listings.Clear() }
    $exact = [Collections.Generic.Dictionary[string, object]]::new([StringComparer]::Ordinal)
    $folded = [Collections.Generic.Dictionary[string, object]]::new([StringComparer]::OrdinalIgnoreCase)
    foreach ($entry in (Get-Sorted @(foreach ($entry in ($found = [IO.DirectoryInfo]::new($folder).GetFileSystemInfos())) { $entry.Name }) $found)) {
        $exact[$entry.Name] = $entry
        if (-not $folded.ContainsKey($entry.Name)) { $folded[$entry.Name] = $entry }
    }
    $listing = @{ exact = $exact; folded = $folded }
    $places.listings[$folder] = $listing
    return $listing
}

function Find-Listed($listing, [string]$name) {
    $entry = $null
    if ($listing.exact.TryGetValue($name, [ref]$entry) -or $listing.folded.TryGetValue($name, [ref]$entry)) { return $entry }
    return $null
}

# The full path of a folder, or '' where there is none; a file or a link in its place is refused.
function Find-Folder($places, [string]$path) {
    $found = ''
    if ($places.folders.TryGetValue($path, [ref]$found)) { return $found }
    $cut = $path.LastIndexOf([char]'/')
    $parent = Find-Folder $places $path.Substring(0, [Math]::Max($cut, 0))
    $entry = $(if ($parent) { Find-Listed (Get-Listing $places $parent) $path.Substring($cut + 1) })
    if ($null -ne $entry -and -not (Test-Folder $entry)) {
        $what = $(if (Test-Link $entry) { 'a link' } else { 'a file' })
        Stop-With 'Refused' "$(Get-ShownPath $entry.FullName) is in the way" $what 'a folder: links are never followed' 'move it away'
    }
    $found = $(if ($null -eq $entry) { '' } else { $entry.FullName })
    $places.folders[$path] = $found
    return $found
}

# A folder's path relative to the root, with those of its parts that exist spelt as the disk spells them.
function Get-Spelt($places, [string]$path) {
    $known = $path
    while ($known -and -not (Find-Folder $places $known)) { $known = $known.Substring(0, [Math]::Max($known.LastIndexOf([char]'/'), 0)) }
    $found = (Find-Folder $places $known).Substring($places.root.Length).TrimStart([IO.Path]::DirectorySeparatorChar)
    return ($found.Replace([IO.Path]::DirectorySeparatorChar, [char]'/') + $path.Substring($known.Length)).TrimStart([char]'/')
}
