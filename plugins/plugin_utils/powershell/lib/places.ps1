# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Where a relative path is on the disk, as the disk spells it; no link is followed on the way. Needs files.ps1 and values.ps1.

.DESCRIPTION
Each folder is listed once, so what New-Places gives serves for one pass over the content and no longer.

What is mostly so is asked here and now, for to call a function takes longer: the others are called where it isn't.
#>

$listingsKept = 256
$folderOrLink = [IO.FileAttributes]'Directory, ReparsePoint'

function New-Places([string]$root) {
    $folders = [Collections.Generic.Dictionary[string, string]]::new([StringComparer]::Ordinal)
    $folders[''] = $root
    return @{ root = $root; folders = $folders; listings = [Collections.Generic.Dictionary[string, object]]::new([StringComparer]::Ordinal) }
}

# The entries of a folder by their name.
function Get-Listing($places, [string]$folder) {
    $listing = $null
    if ($places.listings.TryGetValue($folder, [ref]$listing)) { return $listing }
    if ($places.listings.Count -ge $listingsKept) { $places.listings.Clear() }
    $exact = [Collections.Generic.Dictionary[string, object]]::new([StringComparer]::Ordinal)
    foreach ($entry in [IO.DirectoryInfo]::new($folder).GetFileSystemInfos()) { $exact[$entry.Name] = $entry }
    $listing = @{ exact = $exact; folded = $null }
    $places.listings[$folder] = $listing
    return $listing
}

# The entry of that name, or one that Windows takes for it: of several the first in the common order.
function Find-Listed($listing, [string]$name) {
    $entry = $null
    if ($listing.exact.TryGetValue($name, [ref]$entry)) { return $entry }
    if ($null -eq $listing.folded) {
        $listing.folded = [Collections.Generic.Dictionary[string, object]]::new([StringComparer]::OrdinalIgnoreCase)
        foreach ($entry in (Get-Sorted @($listing.exact.Keys) @($listing.exact.Values))) {
            if (-not $listing.folded.ContainsKey($entry.Name)) { $listing.folded[$entry.Name] = $entry }
        }
    }
    if ($listing.folded.TryGetValue($name, [ref]$entry)) { return $entry }
    return $null
}

# The full path of a folder, or '' where there is none; a file or a link in its place is refused.
function Find-Folder($places, [string]$path) {
    $found = ''
    if ($places.folders.TryGetValue($path, [ref]$found)) { return $found }
    $cut = $path.LastIndexOf([char]'/')
    $parent = Find-Folder $places $path.Substring(0, [Math]::Max($cut, 0))
    $entry = $null
    if ($parent) {
        $listing = Get-Listing $places $parent
        $entry = $listing.exact[$path.Substring($cut + 1)]
        if ($null -eq $entry) { $entry = Find-Listed $listing $path.Substring($cut + 1) }
    }
    if ($null -ne $entry -and ($entry.Attributes -band $folderOrLink) -ne [IO.FileAttributes]::Directory) {
        $what = $(if (Test-Link $entry) { 'a link' } else { 'a file' })
        Stop-With 'Refused' "$(Get-ShownPath $entry.FullName) is in the way" $what 'a folder: links are never followed' 'move it away'
    }
    $found = ''
    if ($null -ne $entry) { $found = $entry.FullName }
    $places.folders[$path] = $found
    return $found
}

# A folder's path relative to the root, with those of its parts that exist spelt as the disk spells them.
function Get-Spelt($places, [string]$path) {
    $separator = [IO.Path]::DirectorySeparatorChar
    $known = $path
    while ($known -and -not (Find-Folder $places $known)) { $known = $known.Substring(0, [Math]::Max($known.LastIndexOf([char]'/'), 0)) }
    $found = (Find-Folder $places $known).Substring($places.root.Length).TrimStart($separator)
    return ($found.Replace($separator, [char]'/') + $path.Substring($known.Length)).TrimStart([char]'/')
}

# Where ordinary files are or will be: @{ targets; entries }, paths as the disk spells them, and null for a file that isn't there. $absent, a set, gets
# the folders that aren't. Files of a folder mostly come together: what is known of it is asked for once.
function Find-Target($places, [string[]]$paths, $absent = $null) {
    $targets = [string[]]::new($paths.Length)
    $entries = [object[]]::new($paths.Length)
    $start = -1
    for ($i = 0; $i -lt $paths.Length; $i++) {
        $path = $paths[$i]
        if ($path.LastIndexOf([char]'/') + 1 -ne $start -or -not $path.StartsWith($parent, [StringComparison]::Ordinal)) {
            $start = $path.LastIndexOf([char]'/') + 1
            $parent = $path.Substring(0, $start)
            $inside = $parent.TrimEnd([char]'/')
            $folder = Find-Folder $places $inside
            $spelt = Get-Spelt $places $inside
            $listing = $null
            if ($folder) {
                $listing = Get-Listing $places $folder
                $exact = $listing.exact
            }
            elseif ($null -ne $absent) { Add-Absent $places $spelt $absent }
            if ($spelt) { $spelt += '/' }
        }
        $name = $path.Substring($start)
        $targets[$i] = $spelt + $name
        if ($null -eq $listing) { continue }
        $entry = $exact[$name]
        if ($null -eq $entry) {
            $entry = Find-Listed $listing $name
            if ($null -eq $entry) { continue }
            $targets[$i] = $spelt + $entry.Name
        }
        if ($entry.Attributes -band $folderOrLink) { Assert-File $entry $path }
        $entries[$i] = $entry
    }
    return @{ targets = $targets; entries = $entries }
}

function Add-Absent($places, [string]$folder, $absent) {
    while ($folder -and -not (Find-Folder $places $folder)) {
        [void]$absent.Add($folder)
        $folder = $folder.Substring(0, [Math]::Max($folder.LastIndexOf([char]'/'), 0))
    }
}

function Assert-File([IO.FileSystemInfo]$entry, [string]$path) {
    if (Test-File $entry) { return }
    $what = $(if (Test-Link $entry) { 'a link' } else { 'a folder' })
    Stop-With 'Refused' "$path is in the way" $what 'an ordinary file or nothing' 'move it away and run again'
}
