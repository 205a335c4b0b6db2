# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The other end of relay.ps1: runs a program of this machine for one of the Windows that Wine plays."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

FOLDER = "relay"
_DRIVE_C = re.compile(r"^[cC]:[\\/]")


def main(argv: list[str], *, home: str, drive: str) -> int:
    """Carries out the request of that id in an agent's folder; `drive` is what Windows calls `C:`."""
    place = Path(home) / FOLDER / argv[0]
    command = [_here(word, Path(drive)) for word in place.with_suffix(".request").read_text("utf-8").split("\n")]
    with place.with_suffix(".out").open("wb") as out, place.with_suffix(".err").open("wb") as err:
        code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True, check=False).returncode
    partial = place.with_suffix(".partial")
    partial.write_text(str(code), "ascii")
    partial.rename(place.with_suffix(".code"))
    return 0


def _here(word: str, drive: Path) -> str:
    """A path on drive C: as this machine has it; other words as they are."""
    return str(drive / _DRIVE_C.sub("", word).replace("\\", "/")) if _DRIVE_C.match(word) else word
