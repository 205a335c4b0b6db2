# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Functions of the system that .NET has none for. Needs nothing.

.DESCRIPTION
As a type made at run time: Windows PowerShell would compile C# with a compiler that writes to the disk.

    $native = Get-Native 'Name' { param($type) Add-Native $type 'kernel32.dll' 'GetTickCount' ([uint32]) @() }
    $native::GetTickCount()
#>

function Get-Native([string]$name, [scriptblock]$define) {
    $known = [AppDomain]::CurrentDomain.GetData("dataminer.web $name")
    if ($null -ne $known) { return $known }
    $assembly = [Reflection.Emit.AssemblyBuilder]::DefineDynamicAssembly([Reflection.AssemblyName]::new("dataminer.web $name"), [Reflection.Emit.AssemblyBuilderAccess]::Run)
    $type = $assembly.DefineDynamicModule("dataminer.web $name").DefineType($name, [Reflection.TypeAttributes]'Public, Class')
    [void](& $define $type)
    $made = $type.CreateType()
    [AppDomain]::CurrentDomain.SetData("dataminer.web $name", $made)
    return $made
}

function Add-Native($type, [string]$library, [string]$name, [Type]$answer, [Type[]]$parameters) {
    $method = $type.DefinePInvokeMethod($name, $library, [Reflection.MethodAttributes]'Public, Static, PinvokeImpl', [Reflection.CallingConventions]::Standard,
        $answer, $parameters, [Runtime.InteropServices.CallingConvention]::Winapi, [Runtime.InteropServices.CharSet]::Unicode)
    $method.SetImplementationFlags([Reflection.MethodImplAttributes]::PreserveSig)
}
