# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Work on all cores of the machine. Needs files.ps1.

.DESCRIPTION
    Invoke-Worker $functions $shared $batches $collect

The first of the named functions is called as `function $shared $mine $batch` for each batch, by runspaces beside this one, which know the functions
named, New-Sha256 and nothing else of the script. $mine is a dictionary that each of them keeps for itself, whose keys may be paths; what can be
disposed of in it is, at the end. `& $collect $answer` runs here, once for each batch, in the order in which they are done. The first error ends
everything and is thrown here. Few batches are worked off here: a runspace costs more than a small file.
#>

$batchesPerHelper = 4
$answerWait = 20            # milliseconds
$workerStates = @{}

function Invoke-Worker([string[]]$functions, $shared, [object[]]$batches, [scriptblock]$collect) {
    $todo = [Collections.Concurrent.ConcurrentQueue[object]]::new($batches)
    $count = [Math]::Min([Environment]::ProcessorCount, [Math]::Floor($batches.Length / $batchesPerHelper))
    if ($count -lt 2) { Invoke-Helper $functions[0] $shared $todo $null $collect } else { Invoke-Beside $functions $shared $todo $count $collect }
}

function Invoke-Beside([string[]]$functions, $shared, $todo, [int]$count, [scriptblock]$collect) {
    $done = [Collections.Concurrent.BlockingCollection[object]]::new()
    $helpers = @(for ($i = 0; $i -lt $count; $i++) { Start-Helper $functions $shared $todo $done })
    $answer = $null
    try {
        foreach ($helper in $helpers) {
            while (-not $helper.handle.IsCompleted) { if ($done.TryTake([ref]$answer, $answerWait)) { & $collect $answer } }
            [void]$helper.shell.EndInvoke($helper.handle)
        }
        while ($done.TryTake([ref]$answer)) { & $collect $answer }
    }
    finally {
        while ($todo.TryDequeue([ref]$answer)) { $answer = $null }
        foreach ($helper in $helpers) { Stop-Helper $helper }
    }
}

# The same for all helpers with these functions: what PowerShell has compiled for one it needn't compile for the next.
function Get-WorkerState([string[]]$functions) {
    $key = $functions -join ' '
    if ($workerStates.ContainsKey($key)) { return $workerStates[$key] }
    $state = [Management.Automation.Runspaces.InitialSessionState]::Create()
    $state.LanguageMode = [Management.Automation.PSLanguageMode]::FullLanguage
    foreach ($name in @($functions) + 'Invoke-Helper' + 'New-Sha256') {
        $text = $ExecutionContext.InvokeCommand.GetCommand($name, [Management.Automation.CommandTypes]::Function).Definition
        $state.Commands.Add([Management.Automation.Runspaces.SessionStateFunctionEntry]::new($name, $text))
    }
    $workerStates[$key] = $state
    return $state
}

# Here or in a runspace of its own. Whatever ends it leaves nothing to do for the others.
function Invoke-Helper([string]$name, $shared, $todo, $done, $collect) {
    $ErrorActionPreference = 'Stop'
    $mine = [Collections.Hashtable]::new([StringComparer]::Ordinal)
    $batch = $null
    try {
        while ($todo.TryDequeue([ref]$batch)) {
            $answer = & $name $shared $mine $batch
            if ($null -ne $done) { $done.Add($answer) } else { & $collect $answer }
        }
    }
    finally {
        while ($todo.TryDequeue([ref]$batch)) { $batch = $null }
        foreach ($value in $mine.Values) { if ($value -is [IDisposable]) { $value.Dispose() } }
    }
}

function Start-Helper([string[]]$functions, $shared, $todo, $done) {
    $shell = [powershell]::Create()
    $shell.Runspace = [Management.Automation.Runspaces.RunspaceFactory]::CreateRunspace((Get-WorkerState $functions))
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

# For workers, with @{ held; patience } in $shared. Waits for a moment, where another program holds the file and it may be asked for again.
function Wait-Held($shared, $clock, $record) {
    if ($shared.held -notcontains $record.Exception.GetBaseException().HResult -or $clock.Elapsed.TotalSeconds -ge $shared.patience) { return $false }
    [Threading.Thread]::Sleep(100)
    return $true
}
