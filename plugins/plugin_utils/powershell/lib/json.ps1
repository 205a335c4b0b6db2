# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
JSON, written and read alike on Windows PowerShell 5.1 and on 7. Needs the functions of files.ps1.
#>

$readPatience = 2          # seconds; a job's own is longer

function ConvertTo-JsonString([string]$text) {
    $text = $text.Replace('\', '\\').Replace('"', '\"').Replace("`r", '\r').Replace("`n", '\n').Replace("`t", '\t')
    if ($unsafe.IsMatch($text)) { $text = $unsafe.Replace($text, $escape) }
    return '"' + $text + '"'
}

function Write-Json([Text.StringBuilder]$out, $value) {
    if ($null -eq $value) { [void]$out.Append('null') }
    elseif ($value -is [string]) { [void]$out.Append((ConvertTo-JsonString $value)) }
    elseif ($value -is [bool]) { [void]$out.Append("$value".ToLowerInvariant()) }
    elseif ($value -is [Collections.IDictionary]) { Write-JsonObject $out $value }
    elseif ($value -is [Collections.IEnumerable]) { Write-JsonList $out $value }
    else { [void]$out.Append(([IFormattable]$value).ToString($null, [Globalization.CultureInfo]::InvariantCulture)) }
}

function Write-JsonObject([Text.StringBuilder]$out, [Collections.IDictionary]$map) {
    $separator = '{'
    foreach ($key in $map.Keys) {
        [void]$out.Append($separator).Append((ConvertTo-JsonString $key)).Append(':')
        Write-Json $out $map[$key]
        $separator = ','
    }
    if ($separator -eq '{') { [void]$out.Append('{') }
    [void]$out.Append('}')
}

function Write-JsonList([Text.StringBuilder]$out, $list) {
    [void]$out.Append('[')
    $first = $true
    foreach ($value in $list) {
        if (-not $first) { [void]$out.Append(',') }
        Write-Json $out $value
        $first = $false
    }
    [void]$out.Append(']')
}

# The bytes of a record, and null only where there is none. One that another program holds for a moment, as a virus scanner does, isn't missing:
# without it a job would count as dead, or as unknown, and a restore as closed.
function Read-Patiently([string]$path) {
    $clock = [Diagnostics.Stopwatch]::StartNew()
    while ([IO.File]::Exists($path)) {
        try {
            $stream = Open-File $path
            try { return , (Read-Stream $stream $jsonLimit) } finally { $stream.Dispose() }
        }
        catch {
            $why = $_.Exception.GetBaseException().Message
            if ($clock.Elapsed.TotalSeconds -ge $readPatience) { throw [IO.IOException]::new("$(Get-ShownPath $path) can't be read: $why") }
        }
        [Threading.Thread]::Sleep(20)
    }
    return $null
}

# A JSON object as a dictionary; null where the file is missing, half a file or no object. Numbers stay texts, and values that are objects or
# lists themselves become the text 'object' or 'array': here it only matters that they are there.
function Read-JsonFile([string]$path) {
    $data = Read-Patiently $path
    if ($null -eq $data) { return $null }
    try {
        $quotas = [Xml.XmlDictionaryReaderQuotas]::Max
        $document = [Xml.XmlDocument]::new()
        $document.XmlResolver = $null
        $document.PreserveWhitespace = $true
        $document.Load([Runtime.Serialization.Json.JsonReaderWriterFactory]::CreateJsonReader($data, $quotas))
    }
    catch { return $null }
    if ($document.DocumentElement.GetAttribute('type') -ne 'object') { return $null }
    return ConvertFrom-JsonNode $document.DocumentElement
}

function ConvertFrom-JsonNode([Xml.XmlElement]$node) {
    $map = @{}
    foreach ($child in $node.ChildNodes) {
        $type = $child.GetAttribute('type')
        if ($type -eq 'null') { $map[$child.LocalName] = $null }
        elseif ($type -eq 'object' -or $type -eq 'array') { $map[$child.LocalName] = $type }
        elseif ($type -eq 'boolean') { $map[$child.LocalName] = $child.InnerText -eq 'true' }
        else { $map[$child.LocalName] = $child.InnerText }
    }
    return $map
}
