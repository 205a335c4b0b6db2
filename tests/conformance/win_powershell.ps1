# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Stands in for ansible.windows.win_powershell: runs scripts under its contract, as a server of JSON lines.

.DESCRIPTION
Reads one request a line from standard input, answers one line on standard output, behind a record separator, each script in a fresh runspace:

    {"script": "…" (UTF-8 in Base64), "parameters": {…}, "error_action": "stop", "depth": 2, "check": false, "verbosity": 0, "tmpdir": "…"}

The answer has changed, failed, result, output, error, warning, verbose, debug, information, diff, and msg when check mode skipped the script.
Kept of the module: Hashtable and Object[] parameters, $Ansible with Changed true unless set, the check mode gate, -WhatIf and -Confirm for
scripts with SupportsShouldProcess, refusal of undeclared parameters, depth, dates as text, enums as three facts, error records.
Not kept: standard output of native programs, sensitive parameters, chdir, creates, removes, drives, formats.

Of its own: "language_mode" locks the runspace down.
#>
[CmdletBinding()]
param()
$ErrorActionPreference = 'Stop'
Add-Type -AssemblyName System.Runtime.Serialization

# Cmdlets of an engine that brings its own, besides those of its core. Without what takes longer to open than most scripts take to run, and no script of
# ours uses: drives (Get-Item; they have .NET's classes) and formats of what is shown to people.
function Get-SessionState {
    $state = [Management.Automation.Runspaces.InitialSessionState]::CreateDefault2()
    $state.Providers.Remove('FileSystem', $null)
    $state.Formats.Clear()
    foreach ($command in (Get-Command -CommandType Cmdlet)) {
        if ($command.ImplementingType -and -not $state.Commands[$command.Name].Count) {
            $state.Commands.Add([Management.Automation.Runspaces.SessionStateCmdletEntry]::new($command.Name, $command.ImplementingType, $null))
        }
    }
    return $state
}

#region what goes in

# JSON the way Ansible.Basic hands it over: objects as Hashtable, lists as Object[], whole numbers as Int32 or Int64.
function ConvertFrom-Request([string]$line) {
    $document = [Xml.XmlDocument]::new()
    $document.PreserveWhitespace = $true
    $data = [Text.Encoding]::UTF8.GetBytes($line)
    $document.Load([Runtime.Serialization.Json.JsonReaderWriterFactory]::CreateJsonReader($data, [Xml.XmlDictionaryReaderQuotas]::Max))
    return ConvertFrom-Node $document.DocumentElement
}

function ConvertFrom-Node([Xml.XmlElement]$node) {
    switch ($node.GetAttribute('type')) {
        'object' { return ConvertFrom-ObjectNode $node }
        'array' { return , @(foreach ($child in $node.ChildNodes) { ConvertFrom-ListedNode $child }) }
        'number' { return ConvertFrom-Number $node.InnerText }
        'boolean' { return $node.InnerText -eq 'true' }
        'null' { return $null }
        default { return $node.InnerText }
    }
}

# One value, a list included, that the pipeline must not take apart.
function ConvertFrom-ListedNode([Xml.XmlElement]$node) {
    $value = ConvertFrom-Node $node
    return , $value
}

# A key that is no name in XML comes in an attribute.
function ConvertFrom-ObjectNode([Xml.XmlElement]$node) {
    $map = @{}
    foreach ($child in $node.ChildNodes) {
        $key = $child.LocalName
        if ($child.HasAttribute('item')) { $key = $child.GetAttribute('item') }
        $map[$key] = ConvertFrom-Node $child
    }
    return $map
}

function ConvertFrom-Number([string]$text) {
    $short = 0
    $long = [long]0
    if ([int]::TryParse($text, [ref]$short)) { return $short }
    if ([long]::TryParse($text, [ref]$long)) { return $long }
    return [double]::Parse($text, [Globalization.CultureInfo]::InvariantCulture)
}

#endregion
#region what comes out

# What the module hands back of an object: containers down to $depth, then their string.
function ConvertTo-Answer($value, [int]$depth) {
    if ($null -eq $value) { return $null }
    if ($value -is [string]) { return $value.PSObject.BaseObject }
    if ($value -is [DateTime] -or $value -is [DateTimeOffset]) { return $value.ToString('o') }
    if ($value -is [Management.Automation.SwitchParameter]) { return $value.IsPresent }
    if ($value -is [Enum] -and $depth -ge 0) { return @{ Type = $value.GetType().FullName; String = "$value"; Value = [int]$value } }
    if ($value -is [Type]) { return $(if ($depth -lt 0) { $value.FullName } else { @{ Name = $value.Name; FullName = $value.FullName } }) }
    if ($value.GetType().IsValueType) { return $value.PSObject.BaseObject }
    if ($depth -lt 0) { return [string]$value }
    if ($value -is [Collections.IList]) { return , @(foreach ($item in $value) { , (ConvertTo-Answer $item ($depth - 1)) }) }
    return ConvertTo-AnswerMap $value ($depth - 1)
}

function ConvertTo-AnswerMap($value, [int]$depth) {
    $map = @{}
    if ($value -is [Collections.IDictionary]) {
        foreach ($pair in $value.GetEnumerator()) { $map["$($pair.Key)"] = ConvertTo-Answer $pair.Value $depth }
    }
    else {
        foreach ($property in $value.PSObject.Properties) { $map[$property.Name] = ConvertTo-Answer $property.Value $depth }
    }
    return $map
}

function ConvertTo-ExceptionMap([Exception]$exception) {
    if ($null -eq $exception) { return $null }
    return @{
        message = $exception.Message
        type = $exception.GetType().FullName
        help_link = $exception.HelpLink
        source = $exception.Source
        hresult = $exception.HResult
        inner_exception = ConvertTo-ExceptionMap $exception.InnerException
    }
}

function ConvertTo-ErrorMap([Management.Automation.ErrorRecord]$record, [int]$depth) {
    $info = $record.CategoryInfo
    return @{
        output = "$record`n$($record.InvocationInfo.PositionMessage)"
        error_details = $(if ($record.ErrorDetails) { @{ message = $record.ErrorDetails.Message; recommended_action = $record.ErrorDetails.RecommendedAction } })
        exception = ConvertTo-ExceptionMap $record.Exception
        target_object = ConvertTo-Answer $record.TargetObject $depth
        category_info = @{
            category = "$($info.Category)"
            category_id = [int]$info.Category
            activity = $info.Activity
            reason = $info.Reason
            target_name = $info.TargetName
            target_type = $info.TargetType
        }
        fully_qualified_error_id = $record.FullyQualifiedErrorId
        script_stack_trace = $record.ScriptStackTrace
        pipeline_iteration_info = @($record.PipelineIterationInfo)
    }
}

function ConvertTo-InformationMap($record, [int]$depth) {
    return @{
        message_data = ConvertTo-Answer $record.MessageData $depth
        source = $record.Source
        time_generated = $record.TimeGenerated.ToUniversalTime().ToString('o')
        tags = @($record.Tags)
    }
}

# The streams and $Ansible after a run. The module has no msg of its own, not for a failure either.
function Get-Answer($ps, $ansible, $output, [bool]$threw, [int]$depth) {
    $answer = @{ changed = $ansible.Changed; failed = ($threw -or [bool]$ansible.Failed); host_out = ''; host_err = ''; diff = @{} }
    if ($ansible.Diff -is [Collections.IDictionary]) { $answer.diff = ConvertTo-AnswerMap $ansible.Diff $depth }
    $answer.result = ConvertTo-Answer $ansible.Result $depth
    $answer.output = @(foreach ($value in $output) { , (ConvertTo-Answer $value ($depth - 1)) })
    $answer.error = @(foreach ($record in $ps.Streams.Error) { ConvertTo-ErrorMap $record $depth })
    foreach ($stream in 'debug', 'verbose', 'warning') { $answer[$stream] = @(foreach ($record in $ps.Streams.$stream) { $record.Message }) }
    $answer.information = @(foreach ($record in $ps.Streams.Information) { ConvertTo-InformationMap $record $depth })
    return $answer
}

#endregion
#region a run

# A script as @{ tree; block }, without a block where it can't be read. The same few come again and again: one that is kept is read and compiled once,
# which takes as long as to run it. A block belongs to no runspace, and runs in whichever calls it. Other runspaces have this function by its text, so
# it needs nothing of this script.
function Get-Script([string]$text) {
    $known = [AppDomain]::CurrentDomain.GetData('scripts')
    if ($known.ContainsKey($text)) { return $known[$text] }
    if ($known.Count -ge 60) { $known.Clear() }
    $problems = $null
    $tree = [Management.Automation.Language.Parser]::ParseInput($text, [ref]$null, [ref]$problems)
    $known[$text] = @{ tree = $tree; block = $(if (-not $problems.Length) { $tree.GetScriptBlock() }) }
    return $known[$text]
}

# Whether a script may run in check mode: it says so in its CmdletBinding.
function Test-ShouldProcess($tree) {
    if (-not $tree.ParamBlock) { return $false }
    foreach ($attribute in $tree.ParamBlock.Attributes) {
        if ($attribute.TypeName.Name -ne 'CmdletBinding') { continue }
        foreach ($named in $attribute.NamedArguments) {
            if ($named.ArgumentName -eq 'SupportsShouldProcess' -and ($named.ExpressionOmitted -or "$($named.Argument)" -eq '$true')) { return $true }
        }
    }
    return $false
}

function New-Ansible($request) {
    return [pscustomobject]@{
        PSTypeName = 'Ansible.Windows.WinPowerShell.Module'
        CheckMode = [bool]$request.check
        Verbosity = [int]$request.verbosity
        Result = @{}
        Diff = @{}
        Changed = $true
        Failed = $false
        Tmpdir = $request.tmpdir
    }
}

function Open-Runspace($request, $ansible) {
    $actions = @{ stop = 'Stop'; silently_continue = 'SilentlyContinue'; continue = 'Continue' }
    $action = $(if ($request.error_action) { $actions[$request.error_action] } else { 'Continue' })
    $runspace = [Management.Automation.Runspaces.RunspaceFactory]::CreateRunspace($state)
    $runspace.Open()
    $runspace.SessionStateProxy.SetVariable('Ansible', $ansible)
    $runspace.SessionStateProxy.SetVariable('ErrorActionPreference', [Management.Automation.ActionPreference]$action)
    if ($request.language_mode) { $runspace.SessionStateProxy.LanguageMode = $request.language_mode }
    return $runspace
}

function Get-Parameter($request, [bool]$supports) {
    $parameters = @{}
    if ($request.parameters) { foreach ($pair in $request.parameters.GetEnumerator()) { $parameters[$pair.Key] = $pair.Value } }
    if ($supports) {
        $parameters['Confirm'] = $false
        $parameters['WhatIf'] = [bool]$request.check
    }
    return $parameters
}

# What can't be read is to be refused there, and a block made here has all of the language.
function Add-Code($ps, $script, $request, $parameters) {
    if ($script.block -and -not $request.language_mode) { [void]$ps.AddScript($runBlock).AddArgument($script.block).AddArgument($parameters) }
    else {
        [void]$ps.AddScript($request.script)
        if ($parameters.Count) { [void]$ps.AddParameters($parameters) }
    }
}

function Invoke-Code($ps, $output) {
    try { $ps.Invoke(@(), $output) }
    catch [Management.Automation.RuntimeException] {
        $ps.Streams.Error.Add($_.Exception.ErrorRecord)
        return $true
    }
    return $false
}

function Invoke-Request($request) {
    $depth = $(if ($request.ContainsKey('depth')) { $request.depth } else { 2 })
    $request.script = [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($request.script))
    $script = Get-Script $request.script
    $supports = Test-ShouldProcess $script.tree
    if ($request.check -and -not $supports) { return @{ changed = $true; failed = $false; msg = 'skipped, running in check mode'; result = @{}; error = @() } }
    $ansible = New-Ansible $request
    $runspace = Open-Runspace $request $ansible
    $ps = [powershell]::Create()
    try {
        $ps.Runspace = $runspace
        Add-Code $ps $script $request (Get-Parameter $request $supports)
        $output = [Collections.Generic.List[object]]::new()
        $threw = Invoke-Code $ps $output
        return Get-Answer $ps $ansible $output $threw $depth
    }
    finally {
        $ps.Dispose()
        $runspace.Dispose()
    }
}

#endregion

$runBlock = 'param($__block, $__parameters) . $__block @__parameters'
$state = Get-SessionState
[AppDomain]::CurrentDomain.SetData('scripts', [Collections.Generic.Dictionary[string, object]]::new([StringComparer]::Ordinal))
# for what scripts start here by themselves
[AppDomain]::CurrentDomain.SetData('session state', $state)
[AppDomain]::CurrentDomain.SetData('get script', [scriptblock]::Create(${function:Get-Script}))
$reader = [IO.StreamReader]::new([Console]::OpenStandardInput(), [Text.UTF8Encoding]::new($false))
$writer = [IO.StreamWriter]::new([Console]::OpenStandardOutput(), [Text.UTF8Encoding]::new($false))
$writer.AutoFlush = $true
$mark = [char]30    # programs that scripts start may write here, too
while ($null -ne ($line = $reader.ReadLine())) {
    $writer.WriteLine($mark + (ConvertTo-Json -InputObject (Invoke-Request (ConvertFrom-Request $line)) -Compress -Depth 99))
}
