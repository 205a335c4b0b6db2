# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
What every script needs before its first line of work. Needs the functions of files.ps1.
#>

$ErrorActionPreference = 'Stop'
[Threading.Thread]::CurrentThread.CurrentCulture = [Globalization.CultureInfo]::InvariantCulture    # to -match, I is no i in Turkish
Add-Type -AssemblyName System.Runtime.Serialization

$problems = [Collections.Generic.List[object]]::new()
$onWindows = [Environment]::OSVersion.Platform -eq [PlatformID]::Win32NT
$longPaths = Test-LongPath
$longestPath = 259         # characters, where there are no long paths
$jobLimit = 20
$jsonLimit = 67108864
# Control characters that JSON forbids, and halves of surrogate pairs, which UTF-8 can't carry but a name may hold.
$unsafe = [regex]::new('[\x00-\x1F]|[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]')
$escape = [Text.RegularExpressions.MatchEvaluator] { param($match) '\u{0:x4}' -f [int]$match.Value[0] }
