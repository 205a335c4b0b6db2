# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Digests of the parts of a scan document that plans rest on. Needs files.ps1 and json.ps1.
#>

function Get-Basis($document) {
    $known = $document.host
    $upgrading = $(if ($null -ne $known) { $known.upgrade_running })
    return [ordered]@{
        content = Get-PartDigest @((Get-AppText $document.apps), $document.loose, $document.dashboards_folder, $document.web)
        versions = Get-PartDigest @($document.texts, $document.cluster, $document.packages, $document.web_api, $upgrading)
        backups = Get-PartDigest $document.backups
        work = Get-PartDigest @($document.job, $document.journals, $document.last_restore)
    }
}

# Hundreds of apps with dozens of versions each: as one text, for a value at a time is slow. No name holds a slash.
function Get-AppText($apps) {
    $out = [Text.StringBuilder]::new()
    foreach ($app in $apps) {
        [void]$out.Append($app.folder).Append('/').Append($app.info.error).Append('/').Append([string]::Join('/', [string[]]$app.dirs)).Append("`n")
        [void]$out.Append($(if ($null -ne $app.info.text) { $app.info.text.Length } else { 'no' })).Append("`n").Append($app.info.text).Append("`n")
    }
    return $out.ToString()
}

function Get-PartDigest($facts) {
    $out = [Text.StringBuilder]::new()
    Write-Json $out $facts
    $hash = New-Sha256
    try { return ConvertTo-Hex $hash.ComputeHash([Text.Encoding]::UTF8.GetBytes($out.ToString())) } finally { $hash.Dispose() }
}
