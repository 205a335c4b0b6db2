# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
The web server stands still while a block runs, and is started at its end whatever happens. Needs service.ps1, values.ps1 and $job.
#>

# $server.runs tells whether it runs again.
function Invoke-Stopped($server, [scriptblock]$block) {
    $server.runs = $false
    try {
        Invoke-Service 'stop'
        $value = & $block
    }
    catch { throw (Get-AfterStart $server $_) }
    Invoke-Service 'start'
    $server.runs = $true
    return $value
}

# The first failure is the one to tell; that the web server is down as well goes with it.
function Get-AfterStart($server, $record) {
    try {
        Invoke-Service 'start'
        $server.runs = $true
        return $record
    }
    catch { $second = Get-OurError $_ }
    if ($null -eq $second) { return $record }
    Write-Log "$($second['message']) | $($second['found'])"
    $first = Get-OurError $record
    if ($null -eq $first) { return $record }
    $first['remedy'] = "$($second['remedy']) ($($second['message']): $($second['found'])); $($first['remedy'])"
    return ConvertTo-JsonText $first
}
