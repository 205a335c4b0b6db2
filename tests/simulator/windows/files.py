# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file modules of ansible.windows that the roles use, as far as they use them. Whatever else they can do is refused."""

from __future__ import annotations

import hashlib
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .host import Refused
from .payload import ModuleCall

PREFIX = "ansible.windows."
SHARE = "\\\\"
Local = Callable[[str], Path]


class FileModules:
    """`local` turns a path of the host into one of this machine. Who came in over the network has no credentials that go on to a share; who logged on
    by runas has.
    """

    def __init__(self, local: Local) -> None:
        self.local = local
        self.known: dict[str, Callable[[dict[str, Any], bool], dict[str, Any]]] = {
            f"{PREFIX}win_stat": self._stat,
            f"{PREFIX}win_file": self._file,
            f"{PREFIX}win_copy": self._copy,
            f"{PREFIX}win_get_url": self._get_url,
        }

    def __call__(self, call: ModuleCall) -> dict[str, Any]:
        """The module's result. Raises Refused, KeyError for another module."""
        if str(call.args.get("src", "")).startswith(SHARE) and call.become is None:
            return {"failed": True, "changed": False, "msg": f"Cannot copy src file: '{call.args['src']}' as it does not exist"}
        return self.known[call.name](call.args, call.check)

    def _stat(self, args: dict[str, Any], check: bool) -> dict[str, Any]:
        _only("win_stat", args, "path", "get_checksum", "checksum_algorithm")
        path = self.local(args["path"])
        if not path.exists():
            return {"changed": False, "stat": {"exists": False}}
        facts: dict[str, Any] = {"exists": True, "isdir": path.is_dir(), "isreg": path.is_file(), "size": path.stat().st_size}
        if path.is_file() and args.get("get_checksum", True):
            facts["checksum"] = _digest(path, args.get("checksum_algorithm", "sha1"))
        return {"changed": False, "stat": facts}

    def _file(self, args: dict[str, Any], check: bool) -> dict[str, Any]:
        _only("win_file", args, "path", "state")
        if args["state"] != "directory":
            raise Refused(f"win_file: state {args['state']} isn't played")
        path = self.local(args["path"])
        if path.exists() and not path.is_dir():
            return {"failed": True, "changed": False, "msg": f"path {args['path']} is not a directory"}
        if path.is_dir() or check:
            return {"changed": not path.is_dir()}
        path.mkdir(parents=True)
        return {"changed": True}

    def _copy(self, args: dict[str, Any], check: bool) -> dict[str, Any]:
        mode = args["_copy_mode"]
        if mode == "query":
            return self._missing(args)
        if mode not in ("single", "remote"):
            raise Refused(f"win_copy: the mode {mode} isn't played")
        source, target = self.local(args["src"]), self.local(args["dest"])
        if not source.is_file():
            return {"failed": True, "changed": False, "msg": f"Cannot copy src file: '{args['src']}' as it does not exist"}
        if target.exists() and _digest(target, "sha1") == _digest(source, "sha1"):
            return {"changed": False}
        if not check:
            shutil.copy(source, target)
        return {"changed": True}

    def _missing(self, args: dict[str, Any]) -> dict[str, Any]:
        """Which of the controller's files have to be sent."""
        folder, files = self.local(args["dest"]), args["files"]
        here = {row["dest"]: folder / row["dest"] for row in files}
        wanted = [row for row in files if not here[row["dest"]].is_file() or _digest(here[row["dest"]], "sha1") != row["checksum"]]
        return {"changed": False, "files": wanted, "directories": [], "symlinks": []}

    def _get_url(self, args: dict[str, Any], check: bool) -> dict[str, Any]:
        _only("win_get_url", args, "url", "dest", "checksum", "checksum_algorithm", "url_timeout")
        target, wanted, kind = self.local(args["dest"]), args.get("checksum"), args.get("checksum_algorithm", "sha1")
        try:
            with urllib.request.urlopen(args["url"], timeout=30) as answer:
                data = answer.read()
        except (urllib.error.URLError, OSError) as error:
            return {"failed": True, "changed": False, "msg": f"Error downloading '{args['url']}' to '{args['dest']}': {error}"}
        found = hashlib.new(kind, data).hexdigest()
        if wanted and wanted.lower() != found:
            return {"failed": True, "changed": False, "msg": f"The checksum for {args['url']} did not match '{wanted}', it was '{found}'"}
        changed = not target.exists() or target.read_bytes() != data
        if changed and not check:
            target.write_bytes(data)
        return {"changed": changed, "checksum_dest": found}


def _only(module: str, args: dict[str, Any], *known: str) -> None:
    more = sorted(set(args) - set(known))
    if more:
        raise Refused(f"{module}: {', '.join(more)} isn't played")


def _digest(path: Path, kind: str) -> str:
    return hashlib.new(kind, path.read_bytes()).hexdigest()
