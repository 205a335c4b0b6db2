# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Which programs hold a file, as the Restart Manager of Windows knows it. Needs setup.ps1, native.ps1, job.ps1 and the
functions of files.ps1.

.DESCRIPTION
    Get-HeldText $path     'held by SLXyz (process 123)', or 'another program holds the file' where nothing tells which

The Restart Manager sees what Windows itself sees of this machine: no program on another one that reaches the file through a share.
#>

$processBytes = 668        # of RM_PROCESS_INFO: id, start, names of 256 and 64 characters, four numbers, one truth
$mostHolders = 5

function Get-HeldText([string]$path) {
    $holders = @(try { Get-Holder (Get-ShownPath $path) } catch { $null }) -ne $null
    if (-not $holders.Length) { return 'another program holds the file' }
    return 'held by ' + ($holders -join ', ')
}

# As 'name (process id)'; nothing where there is no Restart Manager. Tests put another in its place.
function Get-Holder([string]$path) {
    if (-not $onWindows) { return }
    $manager = Get-RestartManager
    $session = [uint32]0
    if ($manager::RmStartSession([ref]$session, 0, [Text.StringBuilder]::new(64)) -ne 0) { return }
    try {
        if ($manager::RmRegisterResources($session, 1, [string[]]@($path), 0, [IntPtr]::Zero, 0, [IntPtr]::Zero) -ne 0) { return }
        $count = [uint32]$mostHolders
        $needed = $reasons = [uint32]0
        $rows = [byte[]]::new($processBytes * $mostHolders)
        $code = $manager::RmGetList($session, [ref]$needed, [ref]$count, $rows, [ref]$reasons)
        if ($code -eq 234) {    # more than there was room for
            $count = $needed
            $rows = [byte[]]::new($processBytes * $needed)
            $code = $manager::RmGetList($session, [ref]$needed, [ref]$count, $rows, [ref]$reasons)
        }
        if ($code -eq 0) { Get-HolderName $rows ([Math]::Min($count, $mostHolders)) }
    }
    finally { [void]$manager::RmEndSession($session) }
}

function Get-HolderName([byte[]]$rows, [int]$count) {
    for ($i = 0; $i -lt $count; $i++) {
        $id = [BitConverter]::ToInt32($rows, $i * $processBytes)
        $name = [Text.Encoding]::Unicode.GetString($rows, $i * $processBytes + 12, 512).Split([char]0)[0]
        try { $name = [Diagnostics.Process]::GetProcessById($id).ProcessName } catch { Write-Log "process $id is gone or protected" }
        "$name (process $id)"
    }
}

function Get-RestartManager {
    return Get-Native 'RestartManager' {
        param($type)
        $number = [uint32]
        $answer = $number.MakeByRefType()
        Add-Native $type 'rstrtmgr.dll' 'RmStartSession' ([int]) @($answer, $number, [Text.StringBuilder])
        Add-Native $type 'rstrtmgr.dll' 'RmRegisterResources' ([int]) @($number, $number, [string[]], $number, [IntPtr], $number, [IntPtr])
        Add-Native $type 'rstrtmgr.dll' 'RmGetList' ([int]) @($number, $answer, $answer, [byte[]], $answer)
        Add-Native $type 'rstrtmgr.dll' 'RmEndSession' ([int]) @($number)
    }
}
