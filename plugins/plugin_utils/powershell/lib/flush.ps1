# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Many files put on the disk at once. Needs setup.ps1, native.ps1, job.ps1, workers.ps1 and the functions of files.ps1.

.DESCRIPTION
To wait for each file by itself takes minutes where there are ten thousands: their volume is asked instead, which administrators may.

    $volume = Open-Volume $folder;  Start-Flush $volume ... Close-Volume $volume     beside other work, as often as one likes
    Sync-File $folder $paths                                                         and what is left
#>

# Whatever was written to the volume of the folder is on the disk; otherwise, and where that can't be had, at least these files are.
function Sync-File([string]$folder, [string[]]$paths) {
    if (Sync-Volume $folder) { return }
    $batches = @(for ($i = 0; $i -lt $paths.Length; $i += 64) { , $paths[$i..([Math]::Min($i + 64, $paths.Length) - 1)] })
    if ($batches.Length) { Invoke-Worker @('Sync-Batch', 'Wait-Held') @{ patience = (Get-Patience); held = $heldCodes } $batches { } }
}

# A worker. A virus scanner looks at what was just written.
function Sync-Batch($shared, $mine, $batch) {
    $clock = [Diagnostics.Stopwatch]::new()
    foreach ($path in $batch) {
        $clock.Restart()
        while ([IO.File]::Exists($path)) {
            try {
                $stream = [IO.FileStream]::new($path, [IO.FileMode]::Open, [IO.FileAccess]::Write, [IO.FileShare]'ReadWrite, Delete', 1)
                try { $stream.Flush($true) } finally { $stream.Dispose() }
                break
            }
            catch [IO.IOException] { if (-not (Wait-Held $shared $clock $_)) { throw } }
        }
    }
}

# Whether the system did it.
function Sync-Volume([string]$folder) {
    $volume = Open-Volume $folder
    if ($null -eq $volume) { return $false }
    try { return ([Func[int]]$volume.flush).Invoke() -ne 0 -or -not $onWindows } finally { Close-Volume $volume }
}

# @{ flush; handle; task }: a function of the system that flushes the folder's volume, and what it needs. Null where that can't be had.
function Open-Volume([string]$folder) {
    try {
        if ($onWindows) { return Open-WindowsVolume (Get-ShownPath $folder) }
        $native = Get-Native 'Unix' { param($type) Add-Native $type 'libc' 'sync' ([int]) @() }    # it tells nothing
        return @{ flush = [Func[int]][Delegate]::CreateDelegate([Func[int]], $native.GetMethod('sync')); handle = $null; task = $null }
    }
    catch {
        Write-Log "the volume can't be flushed: $($_.Exception.GetBaseException().Message)"
        return $null
    }
}

function Close-Volume($volume) {
    if ($null -eq $volume) { return }
    if ($null -ne $volume.task) { [void]([IAsyncResult]$volume.task).AsyncWaitHandle.WaitOne() }
    if ($null -ne $volume.handle) { $volume.handle.Dispose() }
}

# Flushes it beside other work, where it isn't being flushed already: nobody has to wait at the end for what is on the disk by then.
function Start-Flush($volume) {
    if ($null -eq $volume -or ($null -ne $volume.task -and -not $volume.task.IsCompleted)) { return }
    $volume.task = [Threading.Tasks.Task[int]]::Factory.StartNew($volume.flush)
}

function Get-VolumeCall {
    return Get-Native 'Volumes' {
        param($type)
        Add-Native $type 'kernel32.dll' 'GetVolumePathNameW' ([int]) @([string], [Text.StringBuilder], [uint32])
        Add-Native $type 'kernel32.dll' 'GetVolumeNameForVolumeMountPointW' ([int]) @([string], [Text.StringBuilder], [uint32])
        Add-Native $type 'kernel32.dll' 'CreateFileW' ([Microsoft.Win32.SafeHandles.SafeFileHandle]) @([string], [uint32], [uint32], [IntPtr], [uint32], [uint32], [IntPtr])
        Add-Native $type 'kernel32.dll' 'FlushFileBuffers' ([int]) @([Microsoft.Win32.SafeHandles.SafeFileHandle])
    }
}

# Windows' own name of the volume that a folder is on, which may be mounted in a folder of another; '' where Windows tells none.
function Get-VolumeName([string]$folder) {
    $native = Get-VolumeCall
    $root = [Text.StringBuilder]::new(1024)
    $name = [Text.StringBuilder]::new(64)
    if (-not $native::GetVolumePathNameW($folder, $root, 1024)) { return '' }
    if (-not $native::GetVolumeNameForVolumeMountPointW($root.ToString(), $name, 64)) { return '' }
    return $name.ToString()
}

function Open-WindowsVolume([string]$folder) {
    $name = Get-VolumeName $folder
    if (-not $name) { return $null }
    $native = Get-VolumeCall
    $handle = $native::CreateFileW($name.TrimEnd([char]'\'), 0x40000000, 3, [IntPtr]::Zero, 3, 0, [IntPtr]::Zero)    # to write, shared with all, if it exists
    if ($handle.IsInvalid) { $handle.Dispose(); return $null }
    return @{ flush = [Func[int]][Delegate]::CreateDelegate([Func[int]], $handle, $native.GetMethod('FlushFileBuffers')); handle = $handle; task = $null }
}
