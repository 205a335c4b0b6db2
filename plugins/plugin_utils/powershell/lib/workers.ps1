# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Work on all cores of the machine. Needs files.ps1.

.DESCRIPTION
    Invoke-Worker $functions $shared $batches $collect

The first of the named functions is called as `function $shared $mine $batch` for each batch, by this runspace and by others beside it, which know
the functions named, New-Sha256 and nothing else of the script. $mine is a dictionary that each of them keeps for itself, whose keys may be paths; what
can be disposed of in it is, at the end. `& $collect $answer` runs here, once for each batch, in the order in which they are done. The first error ends
everything and is thrown here. Few batches stay here: a runspace costs more than a small file.
#>

$batchesPerHelper = 4

function Invoke-Worker([string[]]$functions, $shared, [object[]]$batches, [scriptblock]$collect) {
    $todo = [Collections.Concurrent.ConcurrentQueue[object]]::new($batches)
    $done = [Collections.Concurrent.ConcurrentQueue[object]]::new()
    $count = [Math]::Min([Environment]::ProcessorCount - 1, [Math]::Floor($batches.Length / $batchesPerHelper))
    $helpers = @(for ($i = 0; $i -lt $count; $i++) { Start-Helper $functions $shared $todo $done })
    $mine = [Collections.Hashtable]::new([StringComparer]::Ordinal)
    $batch = $null
    try {
        while ($todo.TryDequeue([ref]$batch)) {
            & $collect (& $functions[0] $shared $mine $batch)
            Receive-Done $done $collect
        }
        foreach ($helper in $helpers) { [void]$helper.shell.EndInvoke($helper.handle) }
        Receive-Done $done $collect
    }
    finally {
        while ($todo.TryDequeue([ref]$batch)) { $batch = $null }
        foreach ($helper in $helpers) { Stop-Helper $helper }
        foreach ($value in $mine.Values) { if ($value -is [IDisposable]) { $value.Dispose() } }
    }
}

function Receive-Done($done, [scriptblock]$collect) {
    $answer = $null
    while ($done.TryDequeue([ref]$answer)) { & $collect $answer }
}

# Runs in a runspace of its own.
function Invoke-Helper([string]$name, $shared, $todo, $done) {
    $ErrorActionPreference = 'Stop'
    $mine = [Collections.Hashtable]::new([StringComparer]::Ordinal)
    $batch = $null
    try { while ($todo.TryDequeue([ref]$batch)) { $done.Enqueue((& $name $shared $mine $batch)) } }
    finally { foreach ($value in $mine.Values) { if ($value -is [IDisposable]) { $value.Dispose() } } }
}

function Start-Helper([string[]]$functions, $shared, $todo, $done) {
    $state = [Management.Automation.Runspaces.InitialSessionState]::Create()
    $state.LanguageMode = [Management.Automation.PSLanguageMode]::FullLanguage
    foreach ($name in @($functions) + 'Invoke-Helper' + 'New-Sha256') {
        $text = $ExecutionContext.InvokeCommand.GetCommand($name, [Management.Automation.CommandTypes]::Function).Definition
        $state.Commands.Add([Management.Automation.Runspaces.SessionStateFunctionEntry]::new($name, $text))
    }
    $shell = [powershell]::Create()
    $shell.Runspace = [Management.Automation.Runspaces.RunspaceFactory]::CreateRunspace($state)
    $shell.Runspace.Open()
    [void]$shell.AddCommand('Invoke-Helper').AddArgument($functions[0]).AddArgument($shared).AddArgument($todo).AddArgument($done)
    return @{ shell = $shell; handle = $shell.BeginInvoke() }
}

# One that still works has only its batch to finish.
function Stop-Helper($helper) {
    [void]$helper.handle.AsyncWaitHandle.WaitOne()
    $helper.shell.Runspace.Dispose()
    $helper.shell.Dispose()
}
