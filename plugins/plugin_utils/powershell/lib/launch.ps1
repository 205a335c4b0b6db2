# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
A process of a job, detached from the shell that this script runs in. Needs files.ps1, setup.ps1 and locks.ps1.
#>

# Its mark (see alive.ps1). A process that ended at once has none.
function Start-Launcher([string[]]$launcher, [string]$script, [string]$folder) {
    $arguments = "-NoProfile -NonInteractive -ExecutionPolicy Bypass -File `"$(Get-ShownPath $script)`" -folder `"$(Get-ShownPath $folder)`""
    if ($launcher.Length) { $id = Start-Plain $launcher $arguments } else { $id = Start-ByWmi $arguments }
    try { return Get-ProcessMark ([Diagnostics.Process]::GetProcessById($id)) } catch { return $null }
}

# With its own ends of the standard streams, so that it holds none of ours.
function Start-Plain([string[]]$launcher, [string]$arguments) {
    $info = [Diagnostics.ProcessStartInfo]::new($launcher[0])
    $info.Arguments = (@(for ($i = 1; $i -lt $launcher.Length; $i++) { "`"$($launcher[$i])`"" }) + $arguments) -join ' '
    $info.UseShellExecute = $false
    $info.RedirectStandardInput = $info.RedirectStandardOutput = $info.RedirectStandardError = $true
    $process = [Diagnostics.Process]::Start($info)
    foreach ($stream in $process.StandardInput, $process.StandardOutput, $process.StandardError) { $stream.Dispose() }
    return $process.Id
}

# A process started inside the shell dies with it; one that WMI starts is nobody's child. Runs on Windows only: no engine of the tests has WMI.
function Start-ByWmi([string]$arguments) {
    Add-Type -AssemblyName System.Management
    $program = [IO.Path]::Combine([Environment]::SystemDirectory, 'WindowsPowerShell\v1.0\powershell.exe')
    $window = [Management.ManagementClass]::new('root\cimv2:Win32_ProcessStartup').CreateInstance()
    $window.psbase.SetPropertyValue('ShowWindow', [uint16]0)
    $class = [Management.ManagementClass]::new('root\cimv2:Win32_Process')
    $values = $class.psbase.GetMethodParameters('Create')
    $values.psbase.SetPropertyValue('CommandLine', "`"$program`" $arguments")
    $values.psbase.SetPropertyValue('ProcessStartupInformation', $window)
    $answer = $class.psbase.InvokeMethod('Create', $values, $null)
    $code = $answer.psbase.GetPropertyValue('ReturnValue')
    if ($code -ne 0) { throw "Win32_Process.Create gave $code" }
    return [int]$answer.psbase.GetPropertyValue('ProcessId')
}
