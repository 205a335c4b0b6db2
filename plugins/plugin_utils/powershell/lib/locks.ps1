# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Files that are locks. Needs nothing.
#>

# The open lock, or $null where another process keeps it for $patience milliseconds. Somebody may only be looking.
function Open-Lock([string]$path, [int]$patience) {
    $clock = [Diagnostics.Stopwatch]::StartNew()
    while ($true) {
        try { return [IO.FileStream]::new($path, [IO.FileMode]::OpenOrCreate, [IO.FileAccess]::ReadWrite, [IO.FileShare]::None) }
        catch [IO.IOException] {
            if ($clock.ElapsedMilliseconds -ge $patience) { return $null }
            [Threading.Thread]::Sleep(20)
        }
    }
}

function Get-ProcessMark([Diagnostics.Process]$process) {
    return [ordered]@{ pid = $process.Id; started = $process.StartTime.ToUniversalTime().ToString('o', [Globalization.CultureInfo]::InvariantCulture) }
}
