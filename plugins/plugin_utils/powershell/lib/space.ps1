# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Free space. Needs files.ps1 and values.ps1.
#>

function Assert-Space([string]$folder, [long]$needed) {
    $shown = Get-ShownPath $folder
    if ($shown.StartsWith('\\', [StringComparison]::Ordinal)) { return }    # a share: nothing here tells its space
    $free = [IO.DriveInfo]::new($(if ($onWindows) { [IO.Path]::GetPathRoot($shown) } else { $shown })).AvailableFreeSpace
    if ($free -ge $needed) { return }
    Stop-With 'NotEnoughSpace' "Not enough free space for $shown" "$free bytes free" "$needed bytes" 'free some space or move the folder'
}
