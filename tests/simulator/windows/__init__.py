# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Played Windows hosts: Ansible reaches simulated agents over WinRM, PSRP or ssh, as it reaches real ones.

A loopback server speaks WS-Man, or answers the programs that play ssh; it decodes the module calls that arrive, and runs their scripts in a
PowerShell engine. It refuses what real Windows would refuse, and every module it doesn't model. Start with `simulator.windows.cluster.play`.
"""
