# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Where a mark can be put into scripts: before the first statement that starts on a line, and before the first one of each block that opens within a line.

.DESCRIPTION
$Ansible.Result is @{ rows }: a line of text each, name, line, offset and function, with tabs between them. Conditions, values of hashtables and the
like are no statements of their own, $( ) and @( ) are no blocks, and a function's definition runs with whatever holds it.

.PARAMETER texts
Texts of scripts by name.
#>
[CmdletBinding(SupportsShouldProcess)]
param([Parameter(Mandatory)][Collections.IDictionary]$texts)

$blocks = [Management.Automation.Language.StatementBlockAst], [Management.Automation.Language.NamedBlockAst]
$expressions = [Management.Automation.Language.SubExpressionAst], [Management.Automation.Language.ArrayExpressionAst]
$definition = [Management.Automation.Language.FunctionDefinitionAst]

function Get-FunctionName($node) {
    while ($null -ne $node -and $node -isnot $definition) { $node = $node.Parent }
    if ($null -ne $node) { return $node.Name }
}

function Get-Tree([string]$text) {
    $problems = $null
    $tree = [Management.Automation.Language.Parser]::ParseInput($text, [ref]$null, [ref]$problems)
    if ($problems.Length) { throw "$($problems[0].Extent.StartLineNumber): $($problems[0].Message)" }
    return $tree
}

# By offset.
function Get-Marked([string]$text) {
    $first = @{}
    $marked = @{}
    foreach ($block in (Get-Tree $text).FindAll({ param($node) $blocks -contains $node.GetType() }, $true)) {
        $statements = @(foreach ($statement in $block.Statements) { if ($statement -isnot $definition) { $statement } })
        if ($statements.Length -and $expressions -notcontains $block.Parent.GetType()) { $marked[$statements[0].Extent.StartOffset] = $statements[0] }
        foreach ($statement in $statements) {
            $known = $first[$statement.Extent.StartLineNumber]
            if ($null -eq $known -or $statement.Extent.StartOffset -lt $known.Extent.StartOffset) { $first[$statement.Extent.StartLineNumber] = $statement }
        }
    }
    foreach ($statement in $first.Values) { $marked[$statement.Extent.StartOffset] = $statement }
    return $marked
}

$rows = foreach ($name in $texts.Keys) {
    foreach ($statement in (Get-Marked $texts[$name]).Values) {
        "$name`t$($statement.Extent.StartLineNumber)`t$($statement.Extent.StartOffset)`t$(Get-FunctionName $statement)"
    }
}
$Ansible.Result = @{ rows = $rows -join "`n" }
