# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Reads everything the collection needs to know of one DataMiner Agent, in one pass. Writes nothing.

.DESCRIPTION
Hands over the scan document of docs/architecture.md: texts, names, sizes and times, without judging them. DMS.xml and DataMiner.xml
are parsed here because they hold credentials; only names, ids and addresses of agents leave the machine.

$Ansible.Result is @{ encoding; document; basis }: 'plain' JSON, JSON that went through gzip and base64 where it is large, or 'refused' with the
language mode where PowerShell runs locked down and .NET can't be called. basis is that of the document, for scripts that ask for a scan.

.PARAMETER root
The agent's folder, C:\Skyline DataMiner.

.PARAMETER work_dir
The working folder of jobs.

.PARAMETER backup_dir
Where our own backups are.

.PARAMETER vendor_backup_dir
Where the agent puts its own.

.PARAMETER content
Items to hash, as @{ path; versions }; null for none.

.PARAMETER likely
A guess at the items, for where content isn't known yet, as @{ versions; web }: versions is 'named' for those that App.info.json names, or 'all'.
The version folders of apps that an item leaves out are counted, not hashed.

.PARAMETER package
Path of the file that is going to be installed; null for none.

.PARAMETER installer
Path of the installer; null for none.

.PARAMETER service
Name of the web server's service; null for none.

.PARAMETER max_text
Bytes; a larger text isn't read.

.PARAMETER log_tail
Bytes of each progress.log, from its end.
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)][string]$root,
    [Parameter(Mandatory)][string]$work_dir,
    [Parameter(Mandatory)][string]$backup_dir,
    [Parameter(Mandatory)][string]$vendor_backup_dir,
    [object[]]$content = $null,
    [hashtable]$likely = $null,
    [string]$package = '',
    [string]$installer = '',
    [string]$service = '',
    [int]$max_text = 1048576,
    [int]$log_tail = 4096
)

$Ansible.Changed = $false
$languageMode = "$($ExecutionContext.SessionState.LanguageMode)"
if ($languageMode -ne 'FullLanguage') {
    $Ansible.Result = @{ encoding = 'refused'; document = $languageMode }
    return
}

$dllLimit = 67108864
$logQuietMinutes = 5
$manifestBlock = 1048576
$namedVersion = [regex]'"(?:PublicVersion|DraftVersion)"\s*:\s*"?([0-9]{1,9})\b'

. "$PSScriptRoot/lib/files.ps1"
. "$PSScriptRoot/lib/json.ps1"
. "$PSScriptRoot/lib/setup.ps1"
. "$PSScriptRoot/lib/answer.ps1"
. "$PSScriptRoot/lib/cluster.ps1"
. "$PSScriptRoot/lib/agent.ps1"
. "$PSScriptRoot/lib/backups.ps1"
. "$PSScriptRoot/lib/jobs.ps1"
. "$PSScriptRoot/lib/alive.ps1"
. "$PSScriptRoot/lib/content.ps1"
. "$PSScriptRoot/lib/basis.ps1"
. "$PSScriptRoot/lib/machine.ps1"

# What is below the agent's folder, but for its packages.
function Get-AgentPart([string]$agent) {
    $applications = Get-Entry (Find-Unlinked $agent 'Applications')
    return [ordered]@{
        texts = [ordered]@{
            version_history = Read-Text (Find-Unlinked $agent 'Upgrades', 'VersionHistory.txt') $max_text
            web_config = Read-Text (Find-Unlinked $agent 'Webpages', 'API', 'Web.config') $max_text
        }
        cluster = Read-Cluster $agent
        apps = @(Get-AppList $applications)
        loose = @(foreach ($entry in $applications) { if (Test-File $entry) { $entry.Name } })
        dashboards = @(Get-DashboardRow (Find-Unlinked $agent 'Dashboards'))
        dashboards_folder = [bool](Find-Entry $agent 'Dashboards')
        web = [bool](Find-Entry $agent 'Web')
        web_api = Get-WebApiVersion (Find-Unlinked $agent 'Webpages', 'API', 'bin', 'WebApiLib.dll')
    }
}

function Get-BackupPart([string]$work) {
    $own = Get-LongPath $backup_dir
    return [ordered]@{
        backups = @(Get-BackupRow 'own' $own) + @(Get-VendorBackupRow (Get-LongPath $vendor_backup_dir) $own) + @(Get-KeptBackupRow $work)
        vendor_folder = [ordered]@{ path = (Get-FullPath $vendor_backup_dir); exists = [IO.Directory]::Exists((Get-LongPath $vendor_backup_dir)) }
        partials = @(Get-PartialRow $own)
        disk = [ordered]@{
            backup_dir = Get-DiskRow (Get-FullPath $backup_dir)
            work_dir = Get-DiskRow (Get-FullPath $work_dir)
            root = Get-DiskRow (Get-FullPath $root)
        }
        package = $null
        installer = $null
        service = $null
    }
}

function Get-Document {
    $agent = Get-LongPath $root
    $work = Get-LongPath $work_dir
    $jobs = Get-JobFolder $work
    $running = Wait-Ending $work
    if ($null -ne $running) { $running.until = Get-Until $work $running.run_id }
    $document = [ordered]@{ schema = 1; language_mode = $languageMode }
    $document.root = [ordered]@{ path = (Get-FullPath $root); exists = [IO.Directory]::Exists($agent) }
    $document.packages = @(foreach ($entry in (Get-Entry (Find-Unlinked $agent 'Upgrades', 'Packages'))) { if (Test-Folder $entry) { Get-PackageRow $entry } })
    foreach ($part in (Get-AgentPart $agent), (Get-BackupPart $work)) { foreach ($key in $part.Keys) { $document[$key] = $part[$key] } }
    $document.host = Get-HostFact $document.packages $jobs
    $document.job = $running
    $document.jobs = @(Get-JobRow $jobs $running)
    $document.journals = @(Get-JournalRow $jobs)
    $document.last_restore = Get-LastRestore $jobs
    if ($package) { Add-PackageFile $document $package }
    if ($installer) { $document.installer = Get-NamedFile $installer }
    if ($service) { $document.service = Get-ServiceRow $service }
    $document.basis = Get-Basis $document
    $items = $content
    if ($null -eq $items -and $likely) { $items = @(Get-LikelyItem $document $likely) }
    $document.content = $(if ($null -ne $items) { , @(Get-ContentRow $agent $items) })
    $document.errors = $problems
    $document.clock = Get-Clock    # content may take long: whoever compares clocks knows when the answer came
    return $document
}

$document = Get-Document
$Ansible.Result = Get-Answer $document
$Ansible.Result['basis'] = $document.basis
