# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Making a backup, for the job `backup` and for safety copies. Needs files.ps1, json.ps1, values.ps1, workers.ps1, digests.ps1, places.ps1, space.ps1,
items.ps1, zipdirectory.ps1, zipentries.ps1, zipwrite.ps1 and job.ps1.

.DESCRIPTION
New-Backup $spec gives path, files, bytes, zip_size, zip_sha256, rotated, not_rotated, notes. Whatever goes wrong, no partial file stays and nothing is
rotated out.
#>

$smallFile = 2097152        # bytes: packed in memory
$packBatch = 64             # files
$packBatchBytes = 1048576
$clockTick = 20000000       # of 100 ns: the coarsest clock of a file system
$mostEntries = 2000000
$mostBytes = 68719476736

function New-Backup($spec) {
    $folder = Get-LongPath $spec['dest_dir']
    [void][IO.Directory]::CreateDirectory($folder)
    $target = [IO.Path]::Combine($folder, $spec['name'])
    $partial = "$target.partial"
    $manifest = [IO.Path]::ChangeExtension($target, '.manifest')
    if (Test-Entry $target) { Stop-With 'Refused' "$(Get-ShownPath $target) exists" '' 'a new name: a backup is never overwritten' 'run again' }
    try {
        $made = Invoke-Attempts $spec $partial
        return Publish-Backup $spec $made $partial $target $manifest
    }
    catch [IO.IOException] {
        if (@(0x80070070, 0x80070027, 28) -notcontains $_.Exception.GetBaseException().HResult) { throw }
        Stop-With 'NotEnoughSpace' "Not enough free space for $(Get-ShownPath $folder)" $_.Exception.GetBaseException().Message '' 'free some space or move the folder'
    }
    finally { foreach ($file in $partial, "$manifest.partial") { Remove-Waste $file } }
}

# The first attempt in which nothing changed.
function Invoke-Attempts($spec, [string]$partial) {
    $attempts = 1 + [int]$spec['retries']
    for ($attempt = 0; $attempt -lt $attempts; $attempt++) {
        [Threading.Thread]::Sleep(1000 * $attempt)
        $made = Invoke-Attempt $spec $partial
        if (-not $made.changed.Length) { return $made }
        Write-Log "attempt $($attempt + 1): changed meanwhile: $(@($made.changed[0..9]) -join ', ')"
    }
    $shown = @($made.changed[0..([Math]::Min($made.changed.Length, 10) - 1)]) -join ', '
    if ($made.changed.Length -gt 10) { $shown += " and $($made.changed.Length - 10) more" }
    Stop-With 'ChangedMeanwhile' 'Files changed while they were backed up' $shown `
        "content that can be read and stays the same for the length of a backup ($attempts attempts were made)" `
        'run again at a quieter moment, or close the programs that write these files'
}

function Invoke-Attempt($spec, [string]$partial) {
    if ([IO.File]::Exists($partial)) { [IO.File]::Delete($partial) }
    $begun = [DateTime]::UtcNow.Ticks
    $root = Get-LongPath $spec['root']
    $list = New-FileList $root @($spec['items'])
    if ($list.lost.Count) { return @{ changed = $list.lost.ToArray() } }
    $total = [long]0
    foreach ($file in $list.files) { $total += $file.size }
    Assert-Content $list.files $total
    Assert-Reach @(foreach ($file in $list.files) { $file.path }) $root
    Assert-Space (Get-LongPath $spec['dest_dir']) ([Math]::Max($total, [long]$spec['free_needed']))
    Set-Progress @{ text = 'backing up'; files = 0; bytes = 0; total_files = $list.files.Count; total_bytes = $total }
    $made = Write-Zip $list.files $partial ([int]$spec['level'])
    if (-not $made.changed.Length) { $made.changed = Get-ChangedFile $root $spec $list $made $begun }
    $made.notes = $list.notes.ToArray()
    $made.bytes = $total
    return $made
}

# What a restore would refuse, before anything is written.
function Assert-Content($files, [long]$total) {
    Assert-Name $files
    if ($files.Count -le $mostEntries -and $total -le $mostBytes) { return }
    Stop-With 'BackupInvalid' 'There is more content than a restore would take back' "$($files.Count) files of $total bytes" `
        "at most $mostEntries files of $mostBytes bytes" 'back up the latest versions only, or clear out what nobody needs'
}

# @{ rows; changed }: a row is @{ path; size; sha256 }, in the order of the zip.
function Write-Zip($files, [string]$partial, [int]$level) {
    $found = @{ rows = [Collections.Generic.List[object]]::new(); bad = [Collections.Generic.List[string]]::new() }
    $speed = [IO.Compression.CompressionLevel]$(if ($level -le 3) { 'Fastest' } else { 'Optimal' })
    $writer = New-ZipWriter $partial
    try {
        $functions = 'Get-PackedBatch', 'Read-SteadyFile'
        $shared = @{ level = $speed; patience = (Get-Patience); held = $heldCodes; head = $writer.head; moment = $writer.moment }
        Invoke-Worker $functions $shared (Get-FileBatch $files) { param($rows) Add-PackedBatch $writer $found $rows }
        foreach ($file in $files) { if ($file.size -gt $smallFile) { Add-LargeFile $writer $found $file $speed } }
        Close-Zip $writer
    }
    finally { $writer.stream.Dispose() }
    return @{ rows = $found.rows; changed = $found.bad.ToArray() }
}

function Get-FileBatch($files) {
    $batches = [Collections.Generic.List[object]]::new()
    $batch = [Collections.Generic.List[object]]::new()
    $bytes = [long]0
    foreach ($file in $files) {
        if ($file.size -gt $smallFile) { continue }
        if ($batch.Count -and ($bytes + $file.size -gt $packBatchBytes -or $batch.Count -ge $packBatch)) {
            $batches.Add($batch.ToArray())
            $batch.Clear()
            $bytes = 0
        }
        $batch.Add($file)
        $bytes += $file.size
    }
    if ($batch.Count) { $batches.Add($batch.ToArray()) }
    return , $batches.ToArray()
}

function Add-PackedBatch($writer, $found, $rows) {
    $bytes = [long]0
    foreach ($row in $rows) {
        if ($row.problem) { $found.bad.Add("$($row.file.path) ($(if ($row.held) { Get-HeldText $row.file.full } else { $row.problem }))"); continue }
        Add-Packed $writer $row
        $found.rows.Add(@{ path = $row.file.path; size = $row.file.size; sha256 = $row.sha256 })
        $bytes += $row.file.size
    }
    Add-Progress $rows.Length $bytes
}

function Add-LargeFile($writer, $found, $file, $speed) {
    $begin = $writer.stream.Position
    try {
        $sha256 = Invoke-Retried {
            $writer.stream.SetLength($begin)    # without what an attempt left that broke off
            Add-Large $writer $file $speed
        }
    }
    catch [IO.IOException], [UnauthorizedAccessException] {
        $why = $(if (Test-Held $_) { Get-HeldText $file.full } else { $_.Exception.GetBaseException().Message })
        $found.bad.Add("$($file.path) ($why)")
        return
    }
    $found.rows.Add(@{ path = $file.path; size = $file.size; sha256 = $sha256 })
    Add-Progress 1 $file.size
}

# Lists everything once more: what vanished, appeared or changed in between makes the zip a mixture. A file written twice within one tick of the disk's
# clock keeps its time: those written just before the backup began are read again.
function Get-ChangedFile([string]$root, $spec, $list, $made, [long]$begun) {
    $again = New-FileList $root @($spec['items'])
    if ($again.lost.Count) { return , $again.lost.ToArray() }
    $before = [Collections.Generic.Dictionary[string, string]]::new([StringComparer]::Ordinal)
    foreach ($file in $list.files) { $before[$file.path] = $file.stamp }
    $changed = [Collections.Generic.SortedSet[string]]::new([StringComparer]::Ordinal)
    $recent = [Collections.Generic.Dictionary[string, string]]::new([StringComparer]::Ordinal)
    foreach ($file in $again.files) {
        $stamp = ''
        if (-not $before.TryGetValue($file.path, [ref]$stamp) -or $stamp -cne $file.stamp) { [void]$changed.Add($file.path) }
        elseif ($file.written -gt $begun - $clockTick) { $recent[$file.path] = $file.full }
        [void]$before.Remove($file.path)
    }
    foreach ($path in $before.Keys) { [void]$changed.Add($path) }
    $rows = @(foreach ($row in $made.rows) { if ($recent.ContainsKey($row.path)) { $row } })
    $digests = Get-Digests @(foreach ($row in $rows) { $recent[$row.path] })
    for ($i = 0; $i -lt $rows.Length; $i++) { if ($digests[$i] -cne $rows[$i].sha256) { [void]$changed.Add($rows[$i].path) } }
    return , @($changed)
}

function Publish-Backup($spec, $made, [string]$partial, [string]$target, [string]$manifest) {
    if (-not $made.rows.Count) {
        Stop-With 'BackupInvalid' 'The zip is no backup of web content.' 'no entry at all' `
            'at least one of the folders Applications, Dashboards, Web at its top' 'Choose another backup.'
    }
    Set-Progress @{ text = 'verifying'; files = 0; bytes = 0 }
    $read = Read-Zip $partial { param($files, $bytes) Add-Progress $files $bytes }
    Assert-Same $made.rows $read.members
    Write-Manifest $manifest $spec['header'] $made $read
    Move-Over $partial $target (Get-Patience)
    $rotation = Remove-Rotated @($spec['rotate']) ([IO.Path]::GetDirectoryName($target))
    return [ordered]@{
        path = Get-ShownPath $target; files = $made.rows.Count; bytes = $made.bytes; zip_size = $read.size; zip_sha256 = $read.sha256
        rotated = $rotation.gone.ToArray(); not_rotated = $rotation.kept.ToArray(); notes = $made.notes
    }
}

function Assert-Same($rows, [object[]]$members) {
    $different = 0
    if ($rows.Count -ne $members.Length) { $different = [Math]::Abs($rows.Count - $members.Length) }
    else {
        for ($i = 0; $i -lt $members.Length; $i++) {
            if ($rows[$i].path -cne $members[$i].name -or $rows[$i].size -ne $members[$i].size -or $rows[$i].sha256 -cne $members[$i].sha256) { $different++ }
        }
    }
    if ($different) { Stop-With 'BackupInvalid' "The new zip doesn't hold what was written" "$different files differ" 'the same bytes' 'check the disk and memory of this agent' }
}

# Published before the zip, and durable: a zip is never seen without it.
function Write-Manifest([string]$path, $header, $made, $read) {
    $partial = "$path.partial"
    $hash = New-Sha256
    $stream = [IO.FileStream]::new($partial, [IO.FileMode]::Create, [IO.FileAccess]::Write, [IO.FileShare]::None, 1048576)
    try {
        Write-ManifestText $stream $hash "dataminer.web backup manifest 1`n$(ConvertTo-JsonText $header)`n"
        $text = [Text.StringBuilder]::new()
        foreach ($row in $made.rows) {
            [void]$text.Append($row.sha256).Append(' ').Append($row.size).Append(' ').Append($row.path).Append("`n")
            if ($text.Length -gt 100000) { Write-ManifestText $stream $hash $text.ToString(); [void]$text.Clear() }
        }
        Write-ManifestText $stream $hash $text.ToString()
        $trailer = [ordered]@{ files = $made.rows.Count; bytes = $made.bytes; zip_size = $read.size; zip_sha256 = $read.sha256 }
        Write-ManifestText $stream $hash "$(ConvertTo-JsonText $trailer)`n"
        [void]$hash.TransformFinalBlock([byte[]]::new(0), 0, 0)
        $last = [Text.Encoding]::ASCII.GetBytes("sha256 $([BitConverter]::ToString($hash.Hash).Replace('-', '').ToLowerInvariant())`n")
        $stream.Write($last, 0, $last.Length)
        $stream.Flush($true)
    }
    finally { $stream.Dispose() }
    Move-Over $partial $path
}

function Write-ManifestText([IO.Stream]$stream, $hash, [string]$text) {
    $data = [Text.UTF8Encoding]::new($false).GetBytes($text)
    [void]$hash.TransformBlock($data, 0, $data.Length, $null, 0)
    $stream.Write($data, 0, $data.Length)
}

# Deletes the planned backups, zip first: a manifest without a zip misleads nobody.
function Remove-Rotated([object[]]$names, [string]$folder) {
    $rotation = @{ gone = [Collections.Generic.List[string]]::new(); kept = [Collections.Generic.List[string]]::new() }
    foreach ($name in $names) {
        if (-not $name) { continue }
        $zip = [IO.Path]::Combine($folder, $name)
        try {
            foreach ($file in $zip, [IO.Path]::ChangeExtension($zip, '.manifest')) { if (Test-Entry $file) { Remove-One ([IO.FileInfo]::new($file)) } }
            $rotation.gone.Add($name)
        }
        catch [IO.IOException], [UnauthorizedAccessException] { $rotation.kept.Add("$name ($($_.Exception.GetBaseException().Message))") }
    }
    return $rotation
}
