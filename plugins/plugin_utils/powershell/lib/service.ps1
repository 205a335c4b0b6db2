# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
The web server stopped and started. Needs values.ps1, jobs.ps1, programs.ps1 and $job.

.DESCRIPTION
The spec names it: `service`, or nothing where nothing serves from this tree. `host_command` is a program with its first arguments that acts in
place of Windows; it gets the verb and the name, and ends with 0 where it did it.
#>

$serviceSeconds = 120       # for a step of a service
$pendingSeconds = 600       # for a stop that began before: the web server is to run again whatever happens
$dependentsFile = 'dependents.json'

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

# One of Windows' services; tests put another in its place.
function Open-Service([string]$name) {
    Add-Type -AssemblyName System.ServiceProcess
    return [ServiceProcess.ServiceController]::new($name)
}

function Invoke-WindowsService([string]$verb, [string]$name) {
    if ($verb -ceq 'start') { Start-ServiceTree $name } else { Stop-ServiceTree $name }
}

# Services that depend on it are stopped before it, the last one started first, as Windows lists them. They are noted first, in the job's folder: this
# job starts them again, or whichever comes after it.
function Stop-ServiceTree([string]$name) {
    $service = Open-Service $name
    $running = @(foreach ($other in $service.DependentServices) { if (@('Stopped', 'StopPending') -cnotcontains "$($other.Status)") { $other.ServiceName } })
    Write-JsonFile ([IO.Path]::Combine($job.folder, $dependentsFile)) ([ordered]@{ service = $name; dependents = $running })
    foreach ($other in $running) { Stop-OneService (Open-Service $other) }
    Stop-OneService $service
}

# All are tried, whichever fails. What was noted is forgotten once everything runs that may: one that somebody disabled or removed since would keep
# every restore from ending.
function Start-ServiceTree([string]$name) {
    Start-OneService (Open-Service $name)
    $failed = [Collections.Generic.List[string]]::new()
    foreach ($other in (Get-StoppedDependent $name)) {
        try { Start-OneService (Open-Service $other) }
        catch {
            $why = "$($other): $($_.Exception.GetBaseException().Message)"
            if (Test-Withdrawn $_) { Write-Log "not started any more: $why" } else { $failed.Add($why) }
        }
    }
    if ($failed.Count) {
        Stop-With 'ServiceFailed' "Services that depend on $name and ran before didn't start" ($failed -join '; ') 'all services that ran before' 'start them by hand'
    }
    foreach ($file in (Get-DependentsFile $name)) { Invoke-Retried { [IO.File]::Delete($file) } }
}

# Whether Windows says of a service that it is disabled, removed, or about to be.
function Test-Withdrawn($record) {
    $cause = $record.Exception.GetBaseException()
    return $cause -is [ComponentModel.Win32Exception] -and @(1058, 1060, 1072) -contains $cause.NativeErrorCode
}

# Of every job: one that left its note was killed before it started them again.
function Get-DependentsFile([string]$name) {
    foreach ($row in (Get-JobFolder $job.work)) {
        $file = [IO.Path]::Combine($row.folder, $dependentsFile)
        if ([IO.File]::Exists($file) -and (Invoke-Retried { Read-Json $file })['service'] -eq $name) { $file }
    }
}

# In the order in which they started: the reverse of that in which Windows lists them.
function Get-StoppedDependent([string]$name) {
    $found = [Collections.Generic.List[string]]::new()
    foreach ($file in (Get-DependentsFile $name)) {
        foreach ($other in (Invoke-Retried { Read-Json $file })['dependents']) { if (-not $found.Contains($other)) { $found.Insert(0, $other) } }
    }
    return $found
}

function Stop-OneService($service) {
    $now = Wait-Service $service 'StartPending', 'ContinuePending', 'PausePending' $serviceSeconds
    if (@('Stopped', 'StopPending') -cnotcontains $now) { $service.Stop() }
    [void](Wait-Service $service 'Running', 'Paused', 'StopPending' $serviceSeconds)
}

# A stop that took too long may still end: only then can it be started.
function Start-OneService($service) {
    $now = Wait-Service $service 'StopPending', 'StartPending', 'ContinuePending', 'PausePending' $pendingSeconds
    # Of a service that isn't there PowerShell gives no state, and no error: the attempt tells.
    try { if ($now -ceq 'Stopped' -or -not $now) { $service.Start() } elseif ($now -ceq 'Paused') { $service.Continue() } }
    catch {
        $service.Refresh()
        if (@('Running', 'StartPending') -cnotcontains "$($service.Status)") { throw }    # else somebody else started it at this moment
    }
    if ((Wait-Service $service 'StartPending', 'ContinuePending' $serviceSeconds) -cne 'Running') { throw "$($service.ServiceName) stopped again" }
}

# The state it is in, once that is none of $states any more.
function Wait-Service($service, [string[]]$states, [double]$seconds) {
    $clock = [Diagnostics.Stopwatch]::StartNew()
    while ($true) {
        $service.Refresh()
        $now = "$($service.Status)"
        if ($states -cnotcontains $now) { return $now }
        if ($clock.Elapsed.TotalSeconds -ge $seconds) { throw "$($service.ServiceName) is still in state $now after $seconds seconds" }
        [Threading.Thread]::Sleep(100)
    }
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
