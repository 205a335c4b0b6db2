# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Command lines of programs. Needs nothing.
#>

# As C programs of Windows read their command line, and .NET elsewhere.
function Get-Quoted([string]$argument) {
    if ($argument -and $argument -notmatch '[\s"]') { return $argument }
    $text = [regex]::Replace($argument, '(\\*)"', { param($match) $match.Groups[1].Value * 2 + '\"' })
    return '"' + [regex]::Replace($text, '\\+\z', { param($match) $match.Value * 2 }) + '"'
}

# A program without a window. The caller sets what is redirected.
function New-StartInfo([string[]]$command) {
    $info = [Diagnostics.ProcessStartInfo]::new($command[0])
    $info.Arguments = @(for ($i = 1; $i -lt $command.Length; $i++) { Get-Quoted $command[$i] }) -join ' '
    $info.UseShellExecute = $false
    $info.CreateNoWindow = $true
    return $info
}

# What Windows calls the process of a program.
function Get-ProcessName([string]$program) {
    if ($program -match '\.(cmd|bat)\z') { return 'cmd' }
    return [IO.Path]::GetFileName($program) -replace '\.exe\z', ''
}
