# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated DataMiner cluster: trees and executables that look like a real agent's.

The product knows nothing of it. The rules of the field are written here a second time, on purpose: a test that compares both sees a
mistake in either.
Start with `simulator.cluster.create_cluster`, or `python -m simulator create DIR` with `PYTHONPATH=tests`.
"""
