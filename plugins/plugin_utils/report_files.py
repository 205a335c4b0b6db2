# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run's report as files on the controller, or on a share of it that outlives an execution environment."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..module_utils.account import account
from ..module_utils.errors import InvalidInput
from ..module_utils.page import ClusterPage, report_page


def check_place(path: str) -> None:
    """Raises InvalidInput where a report couldn't be written. Makes nothing: folders that are missing come with the report."""
    folder = Path(path) if _is_folder(path) else Path(path).parent
    there = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    if not there.is_dir():
        raise _unwritable(path, f"{there}, which is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise _unwritable(path, f"this account may not write into {there}")


def write_report(path: str, document: dict[str, Any], pages: Sequence[ClusterPage]) -> list[str]:
    """A page for `.html`, both for a folder, else JSON; gives what was written. Whole or not at all: somebody may be reading the last one.

    Raises InvalidInput where it can't be written.
    """
    now = datetime.now(tz=UTC)
    about = {"purpose": document["purpose"], "check": document["check_mode"]}
    page = report_page(pages, **about, made=f"{now:%Y-%m-%d %H:%M} UTC", by=account())
    texts = {".json": json.dumps(document, indent=2, ensure_ascii=False) + "\n", ".html": page}
    place = Path(path)
    if _is_folder(path):
        stem = place / f"dataminer-web_{document['purpose']}_{now:%Y%m%dT%H%M%SZ}"
        wanted = {stem.with_suffix(suffix): text for suffix, text in texts.items()}
    else:
        wanted = {place: texts.get(place.suffix.lower(), texts[".json"])}
    try:
        for target, text in wanted.items():
            _publish(target, text)
    except OSError as error:
        raise _unwritable(path, f"{error.strerror or error}: {error.filename or place}") from None
    return [str(target) for target in wanted]


def _is_folder(path: str) -> bool:
    return path.endswith("/") or os.path.isdir(path)  # noqa: PTH112 (that of pathlib raises where a folder above can't be read)


def _unwritable(path: str, found: str) -> InvalidInput:
    return InvalidInput(
        f"The report can't be written to {path}",
        found=found,
        needed="a place on the controller that this account may write to",
        remedy="set dataminer_report_path to another one, or leave it out",
    )


def _publish(target: Path, text: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    partial.write_text(text, encoding="utf-8", errors="replace")
    partial.replace(target)
