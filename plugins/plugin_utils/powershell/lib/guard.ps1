# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Folders that nobody but administrators may write. Needs setup.ps1, values.ps1 and the functions of files.ps1.

.DESCRIPTION
Every user may make folders below C:\, and owns what he made; what stands in the working folder runs with an administrator's rights. So a folder that is
missing is made with its rights in one step, and one that is there is looked at before each start: its owner, and who may write.
#>

$administrators = 'S-1-5-32-544'
# Administrators, SYSTEM, the installer of Windows; and whoever owns a thing, for what stands in a folder of theirs is made by them only.
$trusted = $administrators, 'S-1-5-18', 'S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464', 'S-1-3-0', 'S-1-3-4'
$onlyReads = 0x1200A9 -bor 0xA0000000    # read and execute, as rights of files and as generic ones

function Protect-Folder([string]$folder) {
    if (-not $onWindows) { [void][IO.Directory]::CreateDirectory($folder); return }
    try {
        if (-not [IO.Directory]::Exists($folder)) { New-GuardedFolder $folder }
        $wrong = Get-Weakness $folder
        if ($wrong -and ($wrong -cne 'owner' -or -not [IO.DirectoryInfo]::new($folder).GetFileSystemInfos().Length)) {    # what another owner put there can't be trusted
            Assert-Owners $folder
            Set-Guard $folder
            Assert-Owners $folder    # what came in between
            $wrong = Get-Weakness $folder
        }
        $owner = Get-FolderOwner $folder
    }
    catch {
        if ($null -ne (Get-OurError $_)) { throw }
        Stop-Unguarded $folder "$($_.Exception.GetBaseException().Message)"
    }
    if ($wrong -ceq 'owner') { Stop-Unguarded $folder "it belongs to $owner, who may have put things into it" }
    if ($wrong) { Stop-Unguarded $folder "$wrong may write there" }
}

# Who may write into a folder owns what he put there, also once he may not any more. Content that a restore took away keeps its owners: of that only
# the folders are looked at which hold it.
function Assert-Owners([string]$folder) {
    $whole = @(foreach ($name in 'replaced', 'quarantine', 'conflicts') { [IO.Path]::Combine($folder, $name) })
    $todo = [Collections.Generic.Stack[IO.DirectoryInfo]]::new()
    $todo.Push([IO.DirectoryInfo]::new($folder))
    while ($todo.Count) {
        $place = $todo.Pop()
        foreach ($entry in $place.GetFileSystemInfos()) {
            Assert-Owner $folder $entry
            if ($entry -is [IO.DirectoryInfo] -and -not (Test-Link $entry) -and $whole -notcontains $place.FullName) { $todo.Push([IO.DirectoryInfo]$entry) }
        }
    }
}

function Assert-Owner([string]$folder, [IO.FileSystemInfo]$entry) {
    try { $owner = (Get-EntryRight $entry).GetOwner([Security.Principal.SecurityIdentifier]) }
    catch [IO.FileNotFoundException], [IO.DirectoryNotFoundException] { return }    # gone meanwhile
    if ($null -ne $owner -and ($trusted + (Get-CurrentUser)) -ccontains $owner.Value) { return }
    $name = $entry.FullName.Substring($folder.Length).TrimStart([IO.Path]::DirectorySeparatorChar)
    Stop-Unguarded $folder "$name in it belongs to $(Get-OwnerName $owner), and others may write there"
}

function Stop-Unguarded([string]$folder, [string]$found) {
    $shown = Get-ShownPath $folder
    Stop-With 'Refused' "$shown isn't safe from other users of this agent" $found 'a folder that belongs to administrators, and that only they may write' `
        "look what is in it, then delete it as an administrator, or make it theirs (icacls `"$shown`" /setowner *$administrators /t); or set dataminer_work_dir"
}

# Why the folder isn't safe: a link, `owner`, or whoever may write there; '' where it is.
function Get-Weakness([string]$folder) {
    $entry = [IO.DirectoryInfo]::new($folder)
    if (Test-Link $entry) { Stop-Unguarded $folder 'it is a link' }
    $rights = Get-EntryRight $entry
    return Get-WeakRight $rights.GetSecurityDescriptorSddlForm([Security.AccessControl.AccessControlSections]'Owner, Access') (Get-CurrentUser)
}

# The same of rights in their text form. What denies takes nothing away here, and a folder without a list of rights is everybody's.
function Get-WeakRight([string]$sddl, [string]$me) {
    $rights = [Security.AccessControl.RawSecurityDescriptor]::new($sddl)
    if ($null -eq $rights.DiscretionaryAcl) { return 'everybody' }
    $known = $trusted + $me
    if ($null -eq $rights.Owner -or $known -cnotcontains $rights.Owner.Value) { return 'owner' }
    foreach ($entry in $rights.DiscretionaryAcl) {
        $allows = $entry -is [Security.AccessControl.QualifiedAce] -and $entry.AceQualifier -eq [Security.AccessControl.AceQualifier]::AccessAllowed
        if ($allows -and $known -cnotcontains $entry.SecurityIdentifier.Value -and ($entry.AccessMask -band -bnot $onlyReads)) { return Get-AccountName $entry.SecurityIdentifier }
    }
    return ''
}

function Get-AccountName([Security.Principal.SecurityIdentifier]$sid) {
    try { return $sid.Translate([Security.Principal.NTAccount]).Value } catch { return $sid.Value }
}

function Get-CurrentUser { return [Security.Principal.WindowsIdentity]::GetCurrent().User.Value }

function Get-FolderOwner([string]$folder) {
    return Get-OwnerName (Get-EntryRight ([IO.DirectoryInfo]::new($folder))).GetOwner([Security.Principal.SecurityIdentifier])
}

function Get-OwnerName([Security.Principal.SecurityIdentifier]$owner) { return $(if ($null -eq $owner) { 'nobody' } else { Get-AccountName $owner }) }

# SYSTEM and administrators, nothing inherited; where an administrator asks, the folder is all administrators', else his who asks.
function Get-Guard {
    $me = [Security.Principal.WindowsIdentity]::GetCurrent()
    $administers = ([Security.Principal.WindowsPrincipal]$me).IsInRole([Security.Principal.SecurityIdentifier]::new($administrators))
    $guard = [Security.AccessControl.DirectorySecurity]::new()
    $own = $(if ($administers) { 'O:BA' })
    $mine = $(if (-not $administers) { "(A;OICI;FA;;;$($me.User.Value))" })
    $guard.SetSecurityDescriptorSddlForm("$($own)D:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)$mine")
    return $guard
}

# Of a file or a folder. .NET Framework has these as methods of its own, .NET as methods of another class.
function Get-EntryRight($entry) {
    $extensions = 'System.IO.FileSystemAclExtensions' -as [type]
    if ($null -ne $extensions) { return $extensions::GetAccessControl($entry) }
    return $entry.GetAccessControl()
}

function Set-Guard([string]$folder) {
    $extensions = 'System.IO.FileSystemAclExtensions' -as [type]
    $entry = [IO.DirectoryInfo]::new($folder)
    if ($null -ne $extensions) { $extensions::SetAccessControl($entry, (Get-Guard)) } else { $entry.SetAccessControl((Get-Guard)) }
}

function New-GuardedFolder([string]$folder) {
    [void][IO.Directory]::CreateDirectory([IO.Path]::GetDirectoryName($folder))
    $extensions = 'System.IO.FileSystemAclExtensions' -as [type]
    if ($null -ne $extensions) { $extensions::Create([IO.DirectoryInfo]::new($folder), (Get-Guard)) } else { [void][IO.Directory]::CreateDirectory($folder, (Get-Guard)) }
}
