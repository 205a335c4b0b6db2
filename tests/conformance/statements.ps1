# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Where a mark can be put into scripts: for each line on which statements start, before the first of them.

.DESCRIPTION
$Ansible.Result is @{ rows }: a line of text each, name, line, offset and function, with tabs between them. Conditions, values of hashtables and the
like are no statements of their own, and a function's definition runs with whatever holds it.

.PARAMETER texts
Texts of scripts by name.
#>
[CmdletBinding(SupportsShouldProcess)]
param([Parameter(Mandatory)][Collections.IDictionary]$texts)

$blocks = [Management.Automation.Language.StatementBlockAst], [Management.Automation.Language.NamedBlockAst]
$definition = [Management.Automation.Language.FunctionDefinitionAst]

function Get-FunctionName($node) {
    while ($null -ne $node -and $node -isnot $definition) { $node = $node.Parent }
    if ($null -ne $node) { return $node.Name }
}

function Get-First([string]$text) {
    $first = @{}
    $problems = $null
    $tree = [Management.Automation.Language.Parser]::ParseInput($text, [ref]$null, [ref]$problems)
    if ($problems.Length) { throw "$($problems[0].Extent.StartLineNumber): $($problems[0].Message)" }
    foreach ($block in $tree.FindAll({ param($node) $blocks -contains $node.GetType() }, $true)) {
        foreach ($statement in $block.Statements) {
            $line = $statement.Extent.StartLineNumber
            $known = $first[$line]
            if ($statement -isnot $definition -and ($null -eq $known -or $statement.Extent.StartOffset -lt $known.Extent.StartOffset)) { $first[$line] = $statement }
        }
    }
    return $first
}

$rows = foreach ($name in $texts.Keys) {
    $first = Get-First $texts[$name]
    foreach ($line in $first.Keys) { "$name`t$line`t$($first[$line].Extent.StartOffset)`t$(Get-FunctionName $first[$line])" }
}
$Ansible.Result = @{ rows = $rows -join "`n" }
