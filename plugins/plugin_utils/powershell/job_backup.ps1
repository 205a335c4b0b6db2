# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
The job `backup`: zip the planned items, read everything back, publish by rename, then delete what the plan rotates out.

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
. "$PSScriptRoot/lib/workers.ps1"
. "$PSScriptRoot/lib/digests.ps1"
. "$PSScriptRoot/lib/places.ps1"
. "$PSScriptRoot/lib/space.ps1"
. "$PSScriptRoot/lib/items.ps1"
. "$PSScriptRoot/lib/zipdirectory.ps1"
. "$PSScriptRoot/lib/zipentries.ps1"
. "$PSScriptRoot/lib/zipwrite.ps1"
. "$PSScriptRoot/lib/backup.ps1"

function Invoke-JobWork($spec) { return New-Backup $spec }

Start-JobWork $folder
