# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Runs a program of the machine below Wine for a program of Wine's Windows: relay.ps1 <folder> <carrier> <program> <arguments…>.

.DESCRIPTION
Wine starts such programs, but tells neither when they end nor how. So the request goes into a file of the folder, the carrier (relay.py) carries it
out, and the end comes back as files: standard output, standard error, exit code.
#>
$ErrorActionPreference = 'Stop'
$folder, $carrier, $request = $args
$id = [Guid]::NewGuid().ToString('n')
[void][IO.Directory]::CreateDirectory($folder)
$place = [IO.Path]::Combine($folder, $id)
[IO.File]::WriteAllText("$place.request", (@($request) -join "`n"), [Text.UTF8Encoding]::new($false))

# Wine starts a program of the machine below where it finds no Windows program in a file; there is no process to hold then.
$start = [Diagnostics.ProcessStartInfo]::new($carrier, $id)
$start.UseShellExecute = $false
$start.RedirectStandardInput = $start.RedirectStandardOutput = $start.RedirectStandardError = $true
[void][Diagnostics.Process]::Start($start)
$clock = [Diagnostics.Stopwatch]::StartNew()
while (-not [IO.File]::Exists("$place.code")) {
    if ($clock.Elapsed.TotalMinutes -ge 5) { throw "$carrier doesn't answer" }
    [Threading.Thread]::Sleep(20)
}

[Console]::Out.Write([IO.File]::ReadAllText("$place.out"))
[Console]::Error.Write([IO.File]::ReadAllText("$place.err"))
exit [int][IO.File]::ReadAllText("$place.code")

