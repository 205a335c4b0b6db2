# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Extracting a backup beside the content. Needs what backup.ps1 needs, and rows.ps1.
#>

$roots = 'Applications', 'Dashboards', 'Web'
$flushEvery = 67108864     # bytes

# Files are put in their places by renaming, which takes one volume.
function Assert-Place([string]$root) {
    if (-not [IO.Directory]::Exists($root)) { Stop-With 'Refused' "$(Get-ShownPath $root) is no folder" '' 'the folder of DataMiner' 'set dataminer_root' }
    $folders = @(foreach ($path in $root, $job.work) { Get-ShownPath $path })
    $volumes = @(foreach ($folder in $folders) { [IO.Path]::GetPathRoot($folder) })
    if ($volumes[0] -eq $volumes[1]) {
        # The root may be a link to another volume, or one may be mounted there.
        try { $volumes = @(if ($onWindows) { foreach ($folder in $folders) { Get-VolumeName $folder } }) } catch { $volumes = @() }
        if (-not $volumes.Length -or -not $volumes[0] -or -not $volumes[1] -or $volumes[0] -eq $volumes[1]) { return }
    }
    Stop-With 'Refused' "$(Get-ShownPath $job.work) isn't on the volume of $(Get-ShownPath $root)" '' 'a working folder on the same volume' 'set dataminer_work_dir'
}

# What is to be extracted and what it replaces, looked at while the zip's SHA-256 is taken. Of a zip that isn't the one that was chosen nothing else is
# told.
function Get-JudgedFile([string]$zip, $spec, [string]$root) {
    if ([IO.File]::Exists($zip)) { (Open-Patiently $zip).Dispose() }    # held by another program, it is told
    $digest = Start-Digest $zip
    $trouble = $null
    try {
        $files = Get-ChosenFile $zip $spec
        Set-Target $files $root
    }
    catch { $trouble = $_ }
    $found = Wait-Digest $digest
    if (-not $found -and [IO.File]::Exists($zip)) { $found = Get-FileDigest $zip }    # held since; one that stays held is told
    if ($found -cne $spec['zip_sha256']) {
        Stop-With 'BackupInvalid' "$(Get-ShownPath $zip) isn't the backup that was chosen" '' "SHA-256 $($spec['zip_sha256'])" 'run again: it chooses anew'
    }
    if ($null -ne $trouble) { throw $trouble }
    return , $files
}

# What is to be extracted, once its names are known to be those that were checked and there is room for it.
function Get-ChosenFile([string]$zip, $spec) {
    $stream = Open-Patiently $zip
    try { $members = Read-Directory $stream $zip } finally { $stream.Dispose() }
    $excess = Get-Excess $members $spec['limits']
    if ($excess) { Stop-With 'UnsafeEntry' "The zip is refused: $excess." '' '' 'Choose another backup, or raise the limit if the zip is known to be good.' }
    $files = Select-File $members
    if ((Get-NamesDigest @(foreach ($file in $files) { $file.name })) -cne $spec['names_sha256']) {
        Stop-With 'BackupInvalid' "$(Get-ShownPath $zip) holds other names than were checked" '' '' 'run again'
    }
    Set-RestorePath $files
    if ($null -ne $spec['include']) {
        $include = [Collections.Generic.HashSet[string]]::new([string[]]@($spec['include']), [StringComparer]::Ordinal)
        $files = @(foreach ($file in $files) { if (Test-Included $file.path $include) { $file } })
    }
    $bytes = [long]0
    foreach ($file in $files) { $bytes += $file.size }
    Assert-Reach @(foreach ($file in $files) { $file.path }) (Get-LongestFolder)
    Assert-Space $job.work ([Math]::Max($bytes, [long]$spec['free_needed']))
    return , $files
}

# Of those that a file will be in: the staging folder, the content, and what is kept of it.
function Get-LongestFolder {
    $folders = @([IO.Path]::Combine($job.work, 'quarantine', $job.run_id), (Get-LongPath $job.spec['root']))
    return $folders[[int]($folders[1].Length -gt $folders[0].Length)]
}

# As the core does it: lines in the order of UTF-16 code units.
function Get-NamesDigest([string[]]$names) {
    $sorted = [string[]]@($names)
    [Array]::Sort([Array]$sorted, [Collections.IComparer][StringComparer]::Ordinal)
    $lines = [Text.StringBuilder]::new()
    foreach ($name in $sorted) { [void]$lines.Append($name).Append([char]10) }
    $hash = New-Sha256
    return [BitConverter]::ToString($hash.ComputeHash([Text.Encoding]::UTF8.GetBytes($lines.ToString()))).Replace('-', '').ToLowerInvariant()
}

# With / only, its root spelt as we spell it.
function Set-RestorePath([object[]]$files) {
    $spelt = [Collections.Generic.Dictionary[string, string]]::new([StringComparer]::OrdinalIgnoreCase)
    foreach ($root in $roots) { $spelt[$root] = $root }
    foreach ($file in $files) {
        $path = $file.name.Replace('\', '/')
        $cut = $path.IndexOf([char]'/')
        if ($cut -gt 0 -and $spelt.ContainsKey($path.Substring(0, $cut))) { $path = $spelt[$path.Substring(0, $cut)] + $path.Substring($cut) }
        $file.path = $path
    }
}

function Test-Included([string]$path, $include) {
    while (-not $include.Contains($path)) {
        $path = $path.Substring(0, [Math]::Max($path.LastIndexOf([char]'/'), 0))
        if (-not $path) { return $false }
    }
    return $true
}

# Extracts all files, on all cores; gives how many of them the content doesn't hold already. Those that it holds stay staged too: a
# file that changes before the commit is restored with the others.
function Export-Staged([string]$zip, [object[]]$files, [string]$staging, [bool]$keepTimes) {
    Remove-Tree $staging
    [void][IO.Directory]::CreateDirectory($staging)
    $writer = New-RowWriter ([IO.Path]::Combine($job.folder, 'rows.txt'))
    $ahead = @{ volume = (Open-Volume $staging); bytes = [long]0 }
    try {
        $separator = [IO.Path]::DirectorySeparatorChar
        $shared = @{ path = $zip; staging = $staging + $separator; separator = $separator; keep_times = $keepTimes; patience = (Get-Patience); held = $heldCodes }
        Invoke-Worker $entryFunctions $shared (Get-EntryBatch $files) { param($members) Add-Extracted $writer $ahead $members }
        # Before the rows that tell of them are: after a power cut a file that was verified isn't full of zeros.
        Sync-File $staging @(foreach ($file in $files) { $file.staged })
        Close-Rows $writer
    }
    finally {
        $writer.text.Dispose()
        Close-Volume $ahead.volume
    }
    return $writer.count
}

# What each file will replace.
function Set-Target([object[]]$files, [string]$root) {
    $found = Find-Target (New-Places $root) @(foreach ($file in $files) { $file.path })
    for ($i = 0; $i -lt $files.Length; $i++) {
        $file = $files[$i]
        $file.target = $found.targets[$i]
        $file.there = $found.there[$i]
        if ($found.there[$i]) { $file.action = 'replace' } else { $file.action = 'create' }
    }
}

function Add-Extracted($writer, $ahead, [object[]]$members) {
    $bytes = [long]0
    foreach ($member in $members) {
        $bytes += $member.size
        if (-not $member.held) { continue }
        Stop-With 'JobFailed' "$(Get-ShownPath $member.there) can't be read, so nothing was prepared" (Get-HeldText $member.there) 'content that may be read' `
            'close the program that holds it, then run again'
    }
    Add-Row $writer $members
    Add-Progress $members.Length $bytes
    $ahead.bytes += $bytes
    if ($ahead.bytes -lt $flushEvery) { return }
    $ahead.bytes = 0
    Start-Flush $ahead.volume
}
