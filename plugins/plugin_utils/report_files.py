# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run's report as files on the controller, or on a share of it that outlives an execution environment."""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..module_utils.page import ClusterPage, report_page


def write_report(path: str, document: dict[str, Any], pages: Sequence[ClusterPage]) -> list[str]:
    """A page for `.html`, both for a folder, else JSON; gives what was written. Whole or not at all: somebody may be reading the last one."""
    now = datetime.now(tz=UTC)
    about = {"purpose": document["purpose"], "check": document["check_mode"]}
    page = report_page(pages, **about, made=f"{now:%Y-%m-%d %H:%M} UTC", by=f"{_user()}@{socket.gethostname()}")
    texts = {".json": json.dumps(document, indent=2, ensure_ascii=False) + "\n", ".html": page}
    place = Path(path)
    if path.endswith("/") or place.is_dir():
        stem = place / f"dataminer-web_{document['purpose']}_{now:%Y%m%dT%H%M%SZ}"
        wanted = {stem.with_suffix(suffix): text for suffix, text in texts.items()}
    else:
        wanted = {place: texts.get(place.suffix.lower(), texts[".json"])}
    for target, text in wanted.items():
        _publish(target, text)
    return [str(target) for target in wanted]


def _user() -> str:
    """In a container the account often has a number only: then the number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # what it raises then, before Python 3.13 and since
        return f"uid {os.getuid()}"


def _publish(target: Path, text: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    partial.write_text(text, encoding="utf-8", errors="replace")
    partial.replace(target)
