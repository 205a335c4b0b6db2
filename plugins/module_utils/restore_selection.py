# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore limited to named apps and dashboards."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .entry_names import fold
from .errors import InvalidInput
from .restore_values import AppPair, Entry, kind_of, title_of

_SHOWN = 50


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The entries that are restored. `include` are the paths that cover them, None for all; `folders` the apps' folded folders, None for all."""

    entries: tuple[Entry, ...]
    include: tuple[str, ...] | None
    folders: frozenset[str] | None

    def app(self, folder: str) -> bool:
        return self.folders is None or fold(folder) in self.folders


def select(entries: Sequence[Entry], pairs: Mapping[str, AppPair], apps: Sequence[str], dashboards: Sequence[str]) -> Selection:
    """Everything, unless apps or dashboards are named. Raises InvalidInput for a name that the zip doesn't hold, or that fits several."""
    if not apps and not dashboards:
        return Selection(entries=tuple(entries), include=None, folders=None)
    folders = frozenset(_app(name, pairs) for name in apps)
    paths = {_dashboard(name, [entry.path for entry in entries if kind_of(entry.path) == "dashboard"]) for name in dashboards}
    prefixes = {prefix for entry in entries if (prefix := _app_prefix(entry.path)) and fold(prefix.partition("/")[2]) in folders}
    chosen = tuple(entry for entry in entries if entry.path in paths or _app_prefix(entry.path) in prefixes)
    return Selection(entries=chosen, include=tuple(sorted(prefixes | paths)), folders=folders)


def _app_prefix(path: str) -> str:
    """`Applications/<folder>` of a file within an app, else nothing."""
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] == "Applications" and len(parts) > 2 else ""


def _app(name: str, pairs: Mapping[str, AppPair]) -> str:
    """The folded folder of the app that `name` names, by its folder or by the name people know it by."""
    wanted = name.strip()
    if fold(wanted) in pairs:
        return fold(wanted)
    exact = [key for key, pair in pairs.items() if wanted in _names(pair)]
    near = [key for key, pair in pairs.items() if fold(wanted) in {fold(known) for known in _names(pair)}]
    return _only(exact or near, name, "app", [f"{pair.title} ({pair.folder})" for pair in pairs.values()], lambda key: pairs[key].folder)


def _names(pair: AppPair) -> set[str]:
    return {info.name.strip() for info in (pair.zipped, pair.on_disk) if info and info.name}


def _dashboard(name: str, paths: Sequence[str]) -> str:
    """The path of the dashboard that `name` names: with or without root and suffix, or its file name alone."""
    wanted = re.sub(r"^dashboards/|\.dmadb\.json$", "", name.strip().replace("\\", "/").strip("/"), flags=re.IGNORECASE)
    exact = [path for path in paths if fold(title_of(path)) == fold(wanted)]
    near = [path for path in paths if fold(title_of(path).rpartition("/")[2]) == fold(wanted)]
    return _only(exact or near, name, "dashboard", [title_of(path) for path in paths], str)


def _only(found: Sequence[str], name: str, kind: str, known: Iterable[str], show: Callable[[str], str]) -> str:
    if len(found) == 1:
        return found[0]
    if found:
        fits = ", ".join(sorted(show(key) for key in found))
        raise InvalidInput(f'"{name}" names {len(found)} {kind}s of the backup', found=fits, needed="one of them", remedy="name it as found here")
    listed = sorted(known, key=fold)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    raise InvalidInput(
        f'The backup holds no {kind} "{name}"',
        found=(", ".join(listed[:_SHOWN]) + more) or f"no {kind} at all",
        needed=f"the name of a {kind} that the backup holds",
        remedy="correct the name, or choose another backup",
    )
