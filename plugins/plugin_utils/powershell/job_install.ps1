# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
The job `install`: the vendor's installer as a process of its own, never aborted.

.DESCRIPTION
The installer outlives this process, and as long as it lives the job counts as running: installer.json tells which process it is, for Windows gives a
lock to no child. Nobody starts a second one meanwhile.

.PARAMETER folder
The job's folder.
#>
[CmdletBinding(SupportsShouldProcess)]
param([string]$folder)

. "$PSScriptRoot/lib/files.ps1"
. "$PSScriptRoot/lib/json.ps1"
. "$PSScriptRoot/lib/setup.ps1"
. "$PSScriptRoot/lib/values.ps1"
. "$PSScriptRoot/lib/jobs.ps1"
. "$PSScriptRoot/lib/locks.ps1"
. "$PSScriptRoot/lib/job.ps1"
. "$PSScriptRoot/lib/native.ps1"
. "$PSScriptRoot/lib/holder.ps1"
. "$PSScriptRoot/lib/programs.ps1"

$logTail = 4096
$lineLength = 160

function Invoke-JobWork($spec) {
    Assert-Package (Get-LongPath $spec['package']) $spec['sha256']
    $kept = Save-WebConfig $spec['root']
    $started = Get-TimeText ([DateTime]::UtcNow)
    $code = Wait-Installer (Start-Installer $spec) $spec $started
    $said = Get-ProgressTail $spec['packages_dir'] $started
    if (-not $said) { $said = Read-Tail ([IO.Path]::Combine($job.folder, 'installer.log')) $logTail }
    if (-not $said) { $said = '' }
    if (@($spec['success_codes']) -notcontains $code) { Stop-Failed $code $said $spec['success_codes'] }
    return [ordered]@{ rc = $code; log_tail = $said; started = $started; finished = (Get-TimeText ([DateTime]::UtcNow)); kept = $kept
        edited = (Test-WebConfigEdited $spec['root'] $kept)
    }
}

# A copy of Web.config, which people edit, from before the install; null where there is none.
function Save-WebConfig($root) {
    if (-not $root) { return $null }
    $config = Find-Entry (Get-LongPath $root) 'Webpages', 'API', 'Web.config'
    if (-not $config) { return $null }
    $copy = [IO.Path]::Combine($job.folder, 'web.config.before')
    [void](Invoke-Retried { [IO.File]::Copy($config, $copy, $true) })
    return Get-ShownPath $copy
}

# Whether Web.config isn't any more what it was before the install; null where there is no copy of that, or either can't be read.
function Test-WebConfigEdited($root, $kept) {
    if (-not $kept) { return $null }
    try {
        $config = Find-Entry (Get-LongPath $root) 'Webpages', 'API', 'Web.config'
        return -not $config -or (Get-FileDigest $config) -cne (Get-FileDigest (Get-LongPath $kept))
    }
    catch {    # whatever it is, the installer has ended well
        Write-Log "Web.config wasn't compared: $($_.Exception.GetBaseException().Message)"
        return $null
    }
}

function Stop-Failed($code, [string]$said, $codes) {
    $text = $said.Trim()
    $last = 'nothing'
    if ($text) { $last = ($text -split '\r\n|\n|\r')[-1].Trim() }
    Stop-With 'InstallFailed' "The installer ended with code $code" "the last line of its log: $last" "one of the codes $(@($codes) -join ', ')" `
        'mend what the log names, then run the playbook again: agents that are done stay as they are' $text
}

# Before anything else: the package is there, and is the one that was meant.
function Assert-Package([string]$package, $wanted) {
    $shown = Get-ShownPath $package
    if (-not [IO.File]::Exists($package)) {
        Stop-With 'InvalidInput' "The package isn't on this agent" "no file $shown" 'a .dmupgrade file' 'set dataminer_package to its path'
    }
    if (-not $wanted) { return }
    Set-Progress @{ text = 'checking the package' }
    $found = Get-FileDigest $package
    if ($found -cne $wanted.ToLowerInvariant()) {
        Stop-With 'InvalidInput' "$([IO.Path]::GetFileName($shown)) isn't the package that was meant" "SHA-256 $found" `
            "SHA-256 $($wanted.ToLowerInvariant())" 'download it again'
    }
}

# On Windows its output stays its own: a pipe would break with this process, and the installer with it. Elsewhere a process without ends of its own
# would get those of the launcher, which are closed.
function Start-Installer($spec) {
    Set-Progress @{ text = "installing $([IO.Path]::GetFileName((Get-ShownPath (Get-LongPath $spec['package']))))" }
    $info = New-StartInfo $spec['argv']
    $info.WorkingDirectory = Get-ShownPath $job.folder
    $info.RedirectStandardOutput = $info.RedirectStandardError = -not $onWindows
    $note = [IO.Path]::Combine($job.folder, 'installer.json')
    # This process may be killed before it knows which process the installer is.
    Write-JsonFile $note ([ordered]@{ program = (Get-ProcessName $info.FileName); after = (Get-TimeText ([DateTime]::UtcNow)) })
    try { $process = [Diagnostics.Process]::Start($info) }
    catch {
        $why = $_.Exception.GetBaseException().Message
        Stop-With 'InvalidInput' "The installer can't be started" "$($info.FileName): $why" 'the Taskbar Utility' 'set dataminer_installer'
    }
    try { Write-JsonFile $note (Get-ProcessMark $process) }
    catch { Write-Log "the installer's process wasn't noted: $($_.Exception.GetBaseException().Message)" }
    if (-not $onWindows) { Save-Output $process }
    return $process
}

function Save-Output([Diagnostics.Process]$process) {
    $log = [IO.FileStream]::new([IO.Path]::Combine($job.folder, 'installer.log'), [IO.FileMode]::Append, [IO.FileAccess]::Write, [IO.FileShare]::ReadWrite, 1)
    $job['copies'] = @(foreach ($reader in $process.StandardOutput, $process.StandardError) { $reader.BaseStream.CopyToAsync($log) })
}

function Wait-Installer([Diagnostics.Process]$process, $spec, [string]$started) {
    $clock = [Diagnostics.Stopwatch]::StartNew()
    while (-not $process.WaitForExit(500)) {
        $lines = "$(Get-ProgressTail $spec['packages_dir'] $started)".Trim() -split '\n'
        $line = $lines[-1].Substring([Math]::Max(0, $lines[-1].Length - $lineLength)).Trim()
        $text = "installing for $([Math]::Floor($clock.Elapsed.TotalSeconds)) s"
        if ($line) { $text += ": $line" }
        Set-Progress @{ text = $text }
    }
    if ($job['copies']) { [void][Threading.Tasks.Task]::WaitAll($job['copies'], 2000) }
    return $process.ExitCode
}

# The end of the newest progress.log written since then. What can't be read now isn't there: the installer must be awaited all the same.
function Get-ProgressTail([string]$packages, [string]$started) {
    $newest = $null
    try {
        foreach ($folder in (Get-Entry (Get-LongPath $packages))) {
            $log = [IO.FileInfo]::new([IO.Path]::Combine($folder.FullName, 'progress.log'))
            if ($log.Exists -and ($null -eq $newest -or $log.LastWriteTimeUtc -gt $newest.LastWriteTimeUtc)) { $newest = $log }
        }
    }
    catch { return $null }
    if ($null -eq $newest -or [string]::CompareOrdinal((Get-TimeText $newest.LastWriteTimeUtc), $started) -lt 0) { return $null }
    return Read-Tail $newest.FullName $logTail
}

Start-JobWork $folder
