# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Disks, processes, modules, runtimes: what Windows itself answers. Needs the functions of files.ps1.
#>

$noService = 1060           # of Windows' errors

# Free space where the path is, or where it would be created. A share has no drive to ask: it counts as full, and that is said.
function Get-DiskRow([string]$path) {
    $place = $path
    while (-not (Test-Entry (Get-LongPath $place)) -and [IO.Path]::GetDirectoryName($place)) { $place = [IO.Path]::GetDirectoryName($place) }
    $disk = [ordered]@{ path = $path; free = [long]0; volume = (Find-Volume $place) }
    try { $disk.free = [IO.DriveInfo]::new($disk.volume).AvailableFreeSpace }
    catch { Add-Problem $path $_ }
    return $disk
}

# The file that is going to be installed, and the room in the folder it is in, or will be brought to.
function Add-PackageFile($document, [string]$path) {
    $document.package = Get-NamedFile $path
    try {
        $document.disk.package = Get-DiskRow ([IO.Path]::GetDirectoryName((Get-FullPath $path)))
    }
    catch { Add-Problem $path $_ }
}

# A path that is none counts as a file that isn't there.
function Get-NamedFile([string]$path) {
    $row = [ordered]@{ path = $path; size = $null }
    try {
        $file = [IO.FileInfo]::new((Get-LongPath $path))
        if ($file.Exists) { $row.size = $file.Length }
    }
    catch { $row.size = $null }
    return $row
}

function Find-Volume([string]$path) {
    if ($onWindows) { return [IO.Path]::GetPathRoot($path).ToUpperInvariant() }
    $longest = '/'
    foreach ($drive in [IO.DriveInfo]::GetDrives()) {
        $inside = ($path + '/').StartsWith($drive.Name.TrimEnd([char]'/') + '/', [StringComparison]::Ordinal)
        if ($inside -and $drive.Name.Length -gt $longest.Length) { $longest = $drive.Name }
    }
    return $longest
}

function Open-Key([string]$name, [Microsoft.Win32.RegistryView]$view) {
    return [Microsoft.Win32.RegistryKey]::OpenBaseKey([Microsoft.Win32.RegistryHive]::LocalMachine, $view).OpenSubKey($name)
}

function Get-RegistryView { return [Microsoft.Win32.RegistryView]::Registry64, [Microsoft.Win32.RegistryView]::Registry32 }

# Modules as Windows lists them for uninstalling, from both views of the registry; the names are fixed by the vendor.
function Get-ModuleRow {
    foreach ($view in (Get-RegistryView)) {
        $list = Open-Key 'SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall' $view
        if ($null -eq $list) { continue }
        foreach ($code in $list.GetSubKeyNames()) {
            $key = $list.OpenSubKey($code)
            $name = "$($key.GetValue('DisplayName'))"
            if ($name.StartsWith('DataMiner', [StringComparison]::OrdinalIgnoreCase)) {
                [ordered]@{ name = $name; version = "$($key.GetValue('DisplayVersion'))"; code = $code }
            }
        }
    }
}

# .NET runtimes: what their installer notes (in the 32-bit view), and what is on the disk.
function Get-Runtime {
    $found = [Collections.Generic.SortedSet[string]]::new([StringComparer]::Ordinal)
    foreach ($view in (Get-RegistryView)) {
        $key = Open-Key 'SOFTWARE\dotnet\Setup\InstalledVersions\x64\sharedfx\Microsoft.NETCore.App' $view
        if ($null -ne $key) { foreach ($name in $key.GetValueNames()) { [void]$found.Add($name) } }
    }
    $folder = [IO.Path]::Combine([Environment]::GetFolderPath('ProgramFiles'), 'dotnet', 'shared', 'Microsoft.NETCore.App')
    if ([IO.Directory]::Exists($folder)) {
        foreach ($path in [IO.Directory]::GetDirectories($folder)) { [void]$found.Add([IO.Path]::GetFileName($path)) }
    }
    $found | Where-Object { $_ -match '^\d' }
}

function Get-PendingReboot {
    $view = [Microsoft.Win32.RegistryView]::Registry64
    $windows = 'SOFTWARE\Microsoft\Windows\CurrentVersion'
    if (Open-Key "$windows\Component Based Servicing\RebootPending" $view) { 'Component Based Servicing' }
    if (Open-Key "$windows\WindowsUpdate\Auto Update\RebootRequired" $view) { 'Windows Update' }
    $session = Open-Key 'SYSTEM\CurrentControlSet\Control\Session Manager' $view
    if ($null -ne $session -and @($session.GetValue('PendingFileRenameOperations') | Where-Object { $_ }).Length) { 'Pending file renames' }
}

# Windows Installer holds this mutex while it installs. The service keeps it a while longer without holding it.
function Test-InstallerBusy {
    $mutex = $null
    try { if (-not [Threading.Mutex]::TryOpenExisting('Global\_MSIExecute', [ref]$mutex)) { return $false } }
    catch [UnauthorizedAccessException] { return $true }
    try {
        try { $free = $mutex.WaitOne(0) } catch [Threading.AbandonedMutexException] { $free = $true }
        if ($free) { $mutex.ReleaseMutex() }
        return -not $free
    }
    finally { $mutex.Dispose() }
}

# Processes of the agent and of its web server; no start time for one that is protected, or ends just now.
function Get-AgentProcess {
    foreach ($process in [Diagnostics.Process]::GetProcesses()) {
        $name = $process.ProcessName
        if ($name -ne 'w3wp' -and -not $name.StartsWith('SL', [StringComparison]::OrdinalIgnoreCase)) { continue }
        $started = $null
        try { $started = Get-TimeText $process.StartTime.ToUniversalTime() } catch [Exception] { $started = $null }
        @{ name = $name; pid = $process.Id; session = $process.SessionId; started = $started }
    }
}

# When our newest install ended, or '' where none did: what its package folder's log says is no upgrade that still runs.
function Get-InstallEnd($jobs) {
    $ends = foreach ($job in $jobs) {
        $path = [IO.Path]::Combine($job.folder, 'result.json')
        if ($job.record['kind'] -eq 'install' -and [IO.File]::Exists($path)) { Get-TimeText ([IO.File]::GetLastWriteTimeUtc($path)) }
    }
    $newest = ''
    foreach ($end in $ends) { if ([string]::CompareOrdinal($end, $newest) -gt 0) { $newest = $end } }
    return $newest
}

# Three signs, each of which counts. A process SLUpgrade. A Taskbar Utility without a desktop (session 0): the icon in somebody's taskbar is the
# same program, but always has one. A progress.log written these last minutes, unless an install of ours ended since: an upgrade that was started
# by hand or from Cube shows no process of its own, and one that ended a moment ago is worth waiting for.
function Test-UpgradeRunning($processes, $packages, $jobs) {
    foreach ($process in $processes) {
        if ($process.name -eq 'SLUpgrade' -or ($process.name -eq 'SLTaskbarUtility' -and $process.session -eq 0)) { return $true }
    }
    $after = Get-InstallEnd $jobs
    $recent = Get-TimeText ([DateTime]::UtcNow.AddMinutes(-$logQuietMinutes))
    foreach ($package in $packages) {
        $written = $package.modified
        if ($written -and [string]::CompareOrdinal($written, $recent) -ge 0 -and [string]::CompareOrdinal($written, $after) -gt 0) { return $true }
    }
    return $false
}

function Get-HostFact($packages, $jobs) {
    if (-not $onWindows) { return $null }
    $modules = @(Get-ModuleRow)
    $processes = @(Get-AgentProcess)
    $processes = Get-Sorted @(foreach ($process in $processes) { "$($process.name) $("$($process.pid)".PadLeft(10))" }) $processes
    return [ordered]@{
        processes = @(foreach ($process in $processes) { [ordered]@{ name = $process.name; pid = $process.pid; started = $process.started } })
        modules = Get-Sorted @(foreach ($module in $modules) { "$($module.name)`0$($module.code)" }) $modules
        runtimes = @(Get-Runtime)
        pending_reboot = @(Get-PendingReboot)
        installer_busy = Test-InstallerBusy
        upgrade_running = Test-UpgradeRunning $processes $packages $jobs
    }
}

# Its state is null where Windows knows no service of that name.
function Get-ServiceRow([string]$name) {
    if (-not $onWindows) { return $null }
    $row = [ordered]@{ name = $name; state = $null }
    try {
        Add-Type -AssemblyName System.ServiceProcess
        $service = [ServiceProcess.ServiceController]::new($name)
        try { $row.state = "$($service.get_Status())" } finally { $service.Dispose() }    # of the property PowerShell would hide why it can't be had
    }
    catch {
        $cause = $_.Exception.GetBaseException()
        if ($cause -is [ComponentModel.Win32Exception] -and ([ComponentModel.Win32Exception]$cause).NativeErrorCode -eq $noService) { return $row }
        Add-Problem $name $_
        return $null
    }
    return $row
}

function Get-Clock {
    $now = [DateTime]::UtcNow
    return [ordered]@{ utc = Get-TimeText $now; offset_minutes = [int][Math]::Floor([TimeZoneInfo]::Local.GetUtcOffset($now).TotalMinutes) }
}
