# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
The cluster, from DMS.xml and DataMiner.xml. Needs the functions of files.ps1 and $max_text.
#>

# The root element as @{ top; error }. An error must not quote the document: it holds credentials.
function Read-XmlRoot([string]$text) {
    if ($text -match '<!\s*(DOCTYPE|ENTITY)') { return @{ error = 'holds a DOCTYPE or an ENTITY, which it must not' } }
    $settings = [Xml.XmlReaderSettings]::new()
    $settings.DtdProcessing = [Xml.DtdProcessing]::Prohibit
    $settings.XmlResolver = $null
    $document = [Xml.XmlDocument]::new()
    $document.XmlResolver = $null
    try {
        $trimmed = $text.TrimStart([char]0xFEFF, [char]32, [char]9, [char]13, [char]10)
        $reader = [Xml.XmlReader]::Create([IO.StringReader]::new($trimmed), $settings)
        try { $document.Load($reader) } finally { $reader.Dispose() }
    }
    catch {
        $place = $_.Exception.GetBaseException() -as [Xml.XmlException]
        if ($null -eq $place) { return @{ error = "isn't readable as XML" } }
        return @{ error = "isn't well-formed XML (line $($place.LineNumber), column $($place.LinePosition))" }
    }
    return @{ top = $document.DocumentElement; error = $null }
}

function Get-XmlAttribute([Xml.XmlElement]$element, [string]$name) {
    foreach ($attribute in $element.Attributes) {
        if ($attribute.LocalName -eq $name -and $attribute.NamespaceURI -ne 'http://www.w3.org/2000/xmlns/') {
            $value = $attribute.Value.Trim()
            if ($value) { return $value }
            return $null
        }
    }
    return $null
}

function Get-XmlElement([Xml.XmlElement]$top, [string]$name) {
    return , @($top.SelectNodes('descendant-or-self::*') | Where-Object { $_.LocalName -eq $name })
}

# -1 for what is no id.
function ConvertTo-Id([string]$text) {
    $number = [long]0
    if ($text -cmatch '^[0-9]{1,10}\z') { $number = [long]$text } else { return -1 }
    if ($number -gt [int]::MaxValue) { return -1 }
    return [int]$number
}

function Get-OwnId([string]$path) {
    $read = Read-Text $path $max_text
    $xml = @{ error = "couldn't be read" }
    if ($null -ne $read.text) { $xml = Read-XmlRoot $read.text }
    if ($xml.error) { return @{ id = $null; error = "DataMiner.xml $($xml.error), so the agent's own id isn't known" } }
    $number = ConvertTo-Id (Get-XmlAttribute $xml.top 'id')
    if ($xml.top.LocalName -ne 'DataMiner' -or $number -lt 0) { return @{ id = $null; error = "DataMiner.xml names no id, so the agent's own id isn't known" } }
    return @{ id = $number; error = $null }
}

function Get-ClusterEntry([Xml.XmlElement]$element) {
    $id = Get-XmlAttribute $element 'id'
    if ($null -ne $id) { $id = ConvertTo-Id $id }
    return @{ id = $id; address = (Get-XmlAttribute $element 'ip') }
}

# The agent's own entry: the only one without an id, else the only one with the agent's own.
function Select-OwnEntry($entries, $ownId) {
    $candidates = @($entries | Where-Object { $null -eq $_.id })
    if (-not $candidates.Length) { $candidates = @($entries | Where-Object { $null -ne $ownId -and $_.id -eq $ownId }) }
    if ($candidates.Length -eq 1) { return $candidates[0] }
    return $null
}

function Get-EntriesProblem($entries, $own) {
    if (-not $entries.Length) { return 'DMS.xml lists no agent' }
    if (@($entries | Where-Object { $_.id -eq -1 -or -not $_.address }).Length) { return "DMS.xml lists an agent whose id or address can't be read" }
    if ($null -eq $own) { return "DMS.xml doesn't tell which of its agents this one is: exactly one entry should have no id" }
    return $null
}

function Get-AgentRow($entry, $own, $ownId) {
    $id = $entry.id
    if ($entry -eq $own) { $id = $ownId } elseif ($id -eq -1) { $id = $null }
    return [ordered]@{ id = $id; address = $entry.address }
}

# The other one of two addresses, where the first is the agent's. The docs name the tag only, so whatever else it holds tells nothing.
function Find-Twin([Xml.XmlElement]$pair, $own) {
    $found = [Collections.Generic.Dictionary[string, string]]::new([StringComparer]::OrdinalIgnoreCase)
    foreach ($element in $pair.SelectNodes('descendant::*')) {
        $address = Get-XmlAttribute $element 'ip'
        if ($address -and $element.LocalName -notmatch 'virtual') { $found[$address] = $address }
    }
    if ($found.Count -ne 2 -or -not $own -or -not $found.ContainsKey($own)) { return $null }
    [void]$found.Remove($own)
    foreach ($address in $found.Values) { return $address }
}

function Read-Cluster([string]$folder) {
    $cluster = [ordered]@{ name = $null; self_id = $null; self_address = $null; agents = @(); failover = $false; twin = $null; error = $null }
    $read = Read-Text (Find-Entry $folder 'DMS.xml') $max_text
    if ($null -eq $read.text) { $cluster.error = "DMS.xml is $($read.error)"; return $cluster }
    $xml = Read-XmlRoot $read.text
    if ($xml.error) { $cluster.error = "DMS.xml $($xml.error)"; return $cluster }
    $top = $xml.top
    if ($top.LocalName -ne 'DMS') { $cluster.error = "DMS.xml is no list of agents: its root isn't <DMS>"; return $cluster }
    $ownId = Get-OwnId (Find-Entry $folder 'DataMiner.xml')
    $entries = @(foreach ($element in (Get-XmlElement $top 'DMA')) { Get-ClusterEntry $element })
    $own = Select-OwnEntry $entries $ownId.id
    $cluster.self_id = $ownId.id
    $cluster.agents = @(foreach ($entry in $entries) { if ($entry.address) { Get-AgentRow $entry $own $ownId.id } })
    $named = Get-XmlElement $top 'Cluster'
    if ($named.Length) { $cluster.name = Get-XmlAttribute $named[0] 'name' }
    if ($null -ne $own) { $cluster.self_address = $own.address }
    $pairs = Get-XmlElement $top 'Failover'
    $cluster.failover = [bool]$pairs.Length
    foreach ($pair in $pairs) { if ($null -eq $cluster.twin) { $cluster.twin = Find-Twin $pair $cluster.self_address } }
    $cluster.error = Get-EntriesProblem $entries $own
    if ($null -eq $cluster.error) { $cluster.error = $ownId.error }
    return $cluster
}
