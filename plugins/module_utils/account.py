# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who starts a job or makes a report."""

from __future__ import annotations

import getpass
import os
import socket


def account() -> str:
    """`user@host`. In a container the user often has a number only: then `uid 12345@host`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # what it raises then, before Python 3.13 and since
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"
