# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
The web server stopped and started. Needs values.ps1, programs.ps1 and $job.

.DESCRIPTION
The spec names it: `service`, or nothing where nothing serves from this tree. `host_command` is a program with its first arguments that acts in
place of Windows; it gets the verb and the name, and ends with 0 where it did it.
#>

$serviceSeconds = 120

function Invoke-Service([string]$verb) {
    $name = $job.spec['service']
    if (-not $name) { return }
    try {
        if ($job.spec['host_command']) { Invoke-HostCommand (@($job.spec['host_command']) + $verb + $name) }
        elseif ($onWindows) { Invoke-WindowsService $verb $name }
        else { Stop-With 'ServiceFailed' "Nothing can $verb $name here" '' 'a host command' 'set dataminer_host_command, or dataminer_web_service to none' }
    }
    catch {
        if ($null -ne (Get-OurError $_)) { throw }
        Stop-With 'ServiceFailed' "$name didn't $verb" "$($_.Exception.GetBaseException().Message)" "the service to $verb" "$verb $name by hand"
    }
}

# Services that depend on it are stopped with it, and started with it again by the same job.
function Invoke-WindowsService([string]$verb, [string]$name) {
    Add-Type -AssemblyName System.ServiceProcess
    $service = [ServiceProcess.ServiceController]::new($name)
    $wanted = [ServiceProcess.ServiceControllerStatus]$(if ($verb -eq 'stop') { 'Stopped' } else { 'Running' })
    if ($verb -eq 'stop') { $job['dependents'] = @(foreach ($other in $service.DependentServices) { if ($other.Status -eq 'Running') { $other.ServiceName } }) }
    if ($service.Status -ne $wanted) {
        if ($verb -eq 'stop') { $service.Stop() } else { $service.Start() }
        $service.WaitForStatus($wanted, [TimeSpan]::FromSeconds($serviceSeconds))
    }
    if ($verb -eq 'start') { foreach ($other in $job['dependents']) { Invoke-WindowsService 'start' $other } }
}

function Invoke-HostCommand([string[]]$command) {
    $info = New-StartInfo $command
    $info.RedirectStandardInput = $info.RedirectStandardOutput = $info.RedirectStandardError = $true
    $process = [Diagnostics.Process]::Start($info)
    $process.StandardInput.Dispose()
    $said = $process.StandardError.ReadToEndAsync()
    $ignored = $process.StandardOutput.ReadToEndAsync()
    if (-not $process.WaitForExit(1000 * $serviceSeconds)) { throw "$($command -join ' '): no end within $serviceSeconds seconds" }
    if ($process.ExitCode -eq 0) { return }
    $text = $said.Result.Trim()
    if (-not $text) { $text = "$($command -join ' ') ended with $($process.ExitCode)" }
    throw $text.Substring([Math]::Max(0, $text.Length - 500))
}
