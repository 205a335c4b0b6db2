# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of MSI packages, as Windows lists them: numbers, with or without zeros at the end. DataMiner's own have a grammar of their own."""

from __future__ import annotations

try:
    from packaging.version import InvalidVersion, Version
except ImportError:  # then versions are compared as they are spelt
    Version = None  # type: ignore[assignment, misc]


def comparable(text: str) -> object:
    """A value that is equal for two spellings of one version: 10.5.9 and 10.5.9.0. A text that is no version stands for itself."""
    if Version is None:
        return text
    try:
        return Version(text)
    except InvalidVersion:
        return text
