# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Whole JSON documents, files replaced by rename, errors of ours. Needs files.ps1, json.ps1 and setup.ps1.

.DESCRIPTION
    Read-Json $path              the document of a file; throws where there is none
    ConvertFrom-JsonText $text   the document of a text
        An object becomes an OrderedDictionary that tells case and keeps the order ($value['key'] or $value.key; a missing key gives $null),
        a list object[], a whole number long, another number double.
    ConvertTo-JsonText $value    the way back: dictionaries, lists, texts, numbers, booleans, $null
    Write-JsonFile $path $value [$durable = $true]
    Write-FileBytes $path $bytes [$durable = $true]      replaces by rename; a durable one is on the disk when it returns
    Stop-With $type $message $found $needed $remedy      throws an error of ours; $type is a class of module_utils/errors.py
    Assert-Reach $paths $folder  refuses those that Windows can't reach below the folder, where it takes no long paths
    Get-OurError $record         an error of ours that an ErrorRecord holds, as a dictionary, or $null
    Remove-Tree $folder          a folder of our own, read-only files included; links go, what they lead to stays
#>

function ConvertFrom-JsonText([string]$text) {
    return ConvertFrom-JsonBytes ([Text.UTF8Encoding]::new($false).GetBytes($text))
}

function ConvertFrom-JsonBytes([byte[]]$data) {
    $document = [Xml.XmlDocument]::new()
    $document.XmlResolver = $null
    $document.PreserveWhitespace = $true
    $document.Load([Runtime.Serialization.Json.JsonReaderWriterFactory]::CreateJsonReader($data, [Xml.XmlDictionaryReaderQuotas]::Max))
    return ConvertFrom-ValueNode $document.DocumentElement
}

function ConvertFrom-ValueNode([Xml.XmlElement]$node) {
    $type = $node.GetAttribute('type')
    if ($type -eq 'object') { return ConvertFrom-ObjectNode $node }
    if ($type -eq 'array') { return ConvertFrom-ArrayNode $node }
    if ($type -eq 'number') { return ConvertFrom-NumberText $node.InnerText }
    if ($type -eq 'boolean') { return $node.InnerText -eq 'true' }
    if ($type -eq 'null') { return $null }
    return $node.InnerText
}

# A key that is no name in XML comes in an attribute.
function ConvertFrom-ObjectNode([Xml.XmlElement]$node) {
    $map = [Collections.Specialized.OrderedDictionary]::new([StringComparer]::Ordinal)
    foreach ($child in $node.ChildNodes) {
        $key = $child.LocalName
        if ($child.HasAttribute('item')) { $key = $child.GetAttribute('item') }
        $map[$key] = ConvertFrom-ValueNode $child
    }
    return $map
}

function ConvertFrom-ArrayNode([Xml.XmlElement]$node) {
    $list = [object[]]::new($node.ChildNodes.Count)
    $number = 0
    foreach ($child in $node.ChildNodes) {
        $list[$number] = ConvertFrom-ValueNode $child
        $number++
    }
    return , $list
}

function ConvertFrom-NumberText([string]$text) {
    $whole = [long]0
    if ([long]::TryParse($text, [ref]$whole)) { return $whole }
    return [double]::Parse($text, [Globalization.CultureInfo]::InvariantCulture)
}

function Read-Json([string]$path) {
    $stream = Open-File $path
    try { $data = Read-Stream $stream $jsonLimit } finally { $stream.Dispose() }
    return ConvertFrom-JsonBytes $data
}

function ConvertTo-JsonText($value) {
    $out = [Text.StringBuilder]::new()
    Write-Json $out $value
    return $out.ToString()
}

function Write-JsonFile([string]$path, $value, [bool]$durable = $true) {
    Write-FileBytes $path ([Text.UTF8Encoding]::new($false).GetBytes((ConvertTo-JsonText $value))) $durable
}

function Write-FileBytes([string]$path, [byte[]]$data, [bool]$durable = $true) {
    $partial = "$path.$([Diagnostics.Process]::GetCurrentProcess().Id).partial"
    $stream = [IO.FileStream]::new($partial, [IO.FileMode]::Create, [IO.FileAccess]::Write, [IO.FileShare]::None)
    try {
        $stream.Write($data, 0, $data.Length)
        $stream.Flush($durable)
    }
    finally { $stream.Dispose() }
    Move-Over $partial $path
}

# Somebody who reads the old file at this moment keeps it from being replaced: Windows says so, and a moment later it works.
function Move-Over([string]$source, [string]$target, [double]$seconds = 2) {
    $clock = [Diagnostics.Stopwatch]::StartNew()
    while ($true) {
        try {
            if ([IO.File]::Exists($target)) { [IO.File]::Replace($source, $target, [NullString]::Value) } else { [IO.File]::Move($source, $target) }
            return
        }
        catch [IO.IOException], [UnauthorizedAccessException] {
            if ($clock.Elapsed.TotalSeconds -ge $seconds) { throw }
            [Threading.Thread]::Sleep(20)
        }
    }
}

function Stop-With([string]$type, [string]$message, [string]$found = '', [string]$needed = '', [string]$remedy = '', [string]$details = '') {
    throw (ConvertTo-JsonText ([ordered]@{ type = $type; message = $message; found = $found; needed = $needed; remedy = $remedy; details = $details }))
}

function Get-OurError($record) {
    $text = $record.Exception.GetBaseException().Message
    if (-not $text.StartsWith('{"type":', [StringComparison]::Ordinal)) { return $null }
    try { return ConvertFrom-JsonText $text } catch { return $null }
}

# Before anything is written: where Windows takes no long paths, those that are too long are named.
function Assert-Reach([string[]]$paths, [string]$folder) {
    if (-not $onWindows -or $longPaths) { return }
    $long = @(foreach ($path in $paths) { if ($folder.Length + 1 + $path.Length -gt $longestPath) { "$folder\$($path.Replace('/', '\'))" } })
    if (-not $long.Length) { return }
    $shown = @($long[0..([Math]::Min($long.Length, 10) - 1)]) -join ', '
    if ($long.Length -gt 10) { $shown += " and $($long.Length - 10) more" }
    Stop-With 'Refused' "$($long.Length) paths are too long for PowerShell on this agent" $shown "paths of at most $longestPath characters" `
        'reach the agent by WinRM or SSH, whose PowerShell takes long paths, or shorten the names or dataminer_work_dir'
}

function Remove-Tree([string]$folder) {
    $top = [IO.DirectoryInfo]::new($folder)
    if (-not $top.Exists) { return }
    try { $top.Delete($true); return } catch [IO.IOException], [UnauthorizedAccessException] { $top.Refresh() }    # read-only files, which take more care
    if (-not (Test-Link $top)) {
        foreach ($entry in $top.GetFileSystemInfos()) {
            if ($entry -is [IO.DirectoryInfo]) { Remove-Tree $entry.FullName } else { Remove-One $entry }
        }
    }
    Remove-One $top
}

function Remove-One([IO.FileSystemInfo]$entry) {
    if ($entry.Attributes -band [IO.FileAttributes]::ReadOnly) { [IO.File]::SetAttributes($entry.FullName, $entry.Attributes -bxor [IO.FileAttributes]::ReadOnly) }
    $entry.Delete()
}
