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

$beside = [IO.Path]::DirectorySeparatorChar
$folderOrLink = [IO.FileAttributes]'Directory, ReparsePoint'

# Of folders by their relative path where they are, '' for none; of those by their full path what is in them, as full paths.
function New-Places([string]$root) {
    $folders = [Collections.Generic.Dictionary[string, string]]::new([StringComparer]::Ordinal)
    $folders[''] = $root
    $listings = [Collections.Generic.Dictionary[string, object]]::new([StringComparer]::Ordinal)
    $folded = [Collections.Generic.Dictionary[string, object]]::new([StringComparer]::Ordinal)
    return @{ root = $root; folders = $folders; listings = $listings; folded = $folded }
}

# One call of .NET for each folder: to look at what is in it one by one takes ten times as long.
function Get-Listing($places, [string]$folder) {
    $exact = $null
    if ($places.listings.TryGetValue($folder, [ref]$exact)) { return , $exact }
    $exact = [Collections.Generic.HashSet[string]]::new([IO.Directory]::GetFileSystemEntries($folder), [StringComparer]::Ordinal)
    $places.listings[$folder] = $exact
    return , $exact
}

# What has that name in a folder, or what Windows takes for it: of several the first in the common order. Null where there is nothing.
function Find-Listed($places, [string]$folder, [string]$name) {
    $path = $folder + $beside + $name
    $exact = Get-Listing $places $folder
    if ($exact.Contains($path)) { return $path }
    if (-not $places.folded.ContainsKey($folder)) {
        $folded = [Collections.Generic.Dictionary[string, string]]::new([StringComparer]::OrdinalIgnoreCase)
        $paths = [string[]]@($exact)
        foreach ($one in (Get-Sorted $paths $paths)) { if (-not $folded.ContainsKey($one)) { $folded[$one] = $one } }
        $places.folded[$folder] = $folded
    }
    $found = ''
    if ($places.folded[$folder].TryGetValue($path, [ref]$found)) { return $found }
    return $null
}

# The full path of a folder, or '' where there is none; a file or a link in its place is refused.
function Find-Folder($places, [string]$path) {
    $found = ''
    if ($places.folders.TryGetValue($path, [ref]$found)) { return $found }
    $cut = $path.LastIndexOf([char]'/')
    $parent = Find-Folder $places $path.Substring(0, [Math]::Max($cut, 0))
    $found = $(if ($parent) { "$(Find-Listed $places $parent $path.Substring($cut + 1))" } else { '' })
    if ($found -and ([IO.File]::GetAttributes($found) -band $folderOrLink) -ne [IO.FileAttributes]::Directory) {
        $what = $(if (Test-Link (Get-Info $found)) { 'a link' } else { 'a file' })
        Stop-With 'Refused' "$(Get-ShownPath $found) is in the way" $what 'a folder: links are never followed' 'move it away'
    }
    $places.folders[$path] = $found
    return $found
}

# Finds and lists the folders of these files, where they stand as they are spelt here. Find-Folder, called for each, takes several times as long.
function Add-Folder($places, [string[]]$paths) {
    $slash, $folders, $listings, $plain, $last = [char]'/', $places.folders, $places.listings, [IO.FileAttributes]::Directory, ''
    $wanted = [Collections.Generic.SortedSet[string]]::new([StringComparer]::Ordinal)
    foreach ($path in $paths) {
        $parent = $path.Substring(0, [Math]::Max($path.LastIndexOf($slash), 0))
        if ($parent.Equals($last)) { continue }
        $last = $parent
        while ($parent -and $wanted.Add($parent)) { $parent = $parent.Substring(0, [Math]::Max($parent.LastIndexOf($slash), 0)) }
    }
    [void](Get-Listing $places $places.root)
    foreach ($path in $wanted) {    # what a folder is in comes before it
        $cut = $path.LastIndexOf($slash)
        $above = $exact = ''
        if ($folders.ContainsKey($path) -or -not $folders.TryGetValue($path.Substring(0, [Math]::Max($cut, 0)), [ref]$above)) { continue }
        $folder = $above + $beside + $path.Substring($cut + 1)
        if (-not $listings.TryGetValue($above, [ref]$exact) -or -not $exact.Contains($folder)) { continue }
        if (([IO.File]::GetAttributes($folder) -band $folderOrLink) -ne $plain) { continue }
        $folders[$path] = $folder
        $listings[$folder] = [Collections.Generic.HashSet[string]]::new([IO.Directory]::GetFileSystemEntries($folder), [StringComparer]::Ordinal)
    }
}

# A folder's path relative to the root, with those of its parts that exist spelt as the disk spells them.
function Get-Spelt($places, [string]$path) {
    $known = $path
    while ($known -and -not (Find-Folder $places $known)) { $known = $known.Substring(0, [Math]::Max($known.LastIndexOf([char]'/'), 0)) }
    $found = (Find-Folder $places $known).Substring($places.root.Length).TrimStart($beside)
    return ($found.Replace($beside, [char]'/') + $path.Substring($known.Length)).TrimStart([char]'/')
}

# Where ordinary files are or will be: @{ targets; there }, relative and full paths as the disk spells them, and null for a file that isn't there.
# $absent, a set, gets the folders that aren't. Files of a folder mostly come together: what is known of it is asked for once.
function Find-Target($places, [string[]]$paths, $absent = $null) {
    Add-Folder $places $paths
    $targets = [string[]]::new($paths.Length)
    $there = [string[]]::new($paths.Length)
    $start = -1
    for ($i = 0; $i -lt $paths.Length; $i++) {
        $path = $paths[$i]
        if ($path.LastIndexOf([char]'/') + 1 -ne $start -or -not $path.StartsWith($parent, [StringComparison]::Ordinal)) {
            $start = $path.LastIndexOf([char]'/') + 1
            $parent = $path.Substring(0, $start)
            $folder = Find-Folder $places $parent.TrimEnd([char]'/')
            if ($folder) {
                $exact = Get-Listing $places $folder
                $spelt = ($folder + $beside).Substring($places.root.Length + 1).Replace($beside, [char]'/')
            }
            else {
                $spelt = (Get-Spelt $places $parent.TrimEnd([char]'/')) + '/'
                if ($null -ne $absent) { Add-Absent $places $spelt.TrimEnd([char]'/') $absent }
            }
        }
        $name = $path.Substring($start)
        $targets[$i] = $spelt + $name
        if (-not $folder) { continue }
        $found = $folder + $beside + $name
        if (-not $exact.Contains($found)) {
            $found = Find-Listed $places $folder $name
            if ($null -eq $found) { continue }
            $targets[$i] = $spelt + [IO.Path]::GetFileName($found)
        }
        if ([IO.File]::GetAttributes($found) -band $folderOrLink) { Assert-File $found $path }
        $there[$i] = $found
    }
    return @{ targets = $targets; there = $there }
}

function Add-Absent($places, [string]$folder, $absent) {
    while ($folder -and -not (Find-Folder $places $folder)) {
        [void]$absent.Add($folder)
        $folder = $folder.Substring(0, [Math]::Max($folder.LastIndexOf([char]'/'), 0))
    }
}

function Assert-File([string]$found, [string]$path) {
    $entry = Get-Info $found
    if ($null -eq $entry -or (Test-File $entry)) { return }
    $what = $(if (Test-Link $entry) { 'a link' } else { 'a folder' })
    Stop-With 'Refused' "$path is in the way" $what 'an ordinary file or nothing' 'move it away and run again'
}
