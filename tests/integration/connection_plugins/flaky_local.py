"""The connection `local`, which a test can break: as if an agent fell silent, or lost its network for a moment."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import local

DOCUMENTATION = local.DOCUMENTATION.replace("name: local", "name: flaky_local", 1).replace(
    "    options:\n",
    """    options:
        host:
            description: Name of the host in the inventory.
            vars:
                - name: inventory_hostname
""",
    1,
)
SWITCHES = "FLAKY_SWITCHES"  # a folder with a file <host>.json: {"module": name, "skip": calls that go through, "times": calls that fail then,
# "once": pattern of a path; as long as nothing matches, calls go through}


class Connection(local.Connection):  # type: ignore[misc]
    """Fails with the calls of one module that the host's switch names; with no switch it is `local`.

    It tells modules by the names of the files that are run, so it can't serve with pipelining.
    """

    transport = "flaky_local"
    has_pipelining = False

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        host = str(self.get_option("host"))
        if _breaks(Path(os.environ[SWITCHES]) / f"{host}.json", str(cmd)):
            raise AnsibleConnectionFailure(f"{host} doesn't answer: switched off by the test")
        result: tuple[int, bytes, bytes] = super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        return result


def _breaks(switch: Path, command: str) -> bool:
    """Whether this call is one that fails; counts it. Each task has a process of its own, so the count is kept in the file."""
    if not switch.exists():
        return False
    with switch.open("r+", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        wanted: dict[str, Any] = json.load(stream)
        # the module's file is named twice: when it is made executable, and when it is run
        if f"/AnsiballZ_{wanted['module']}.py" not in command or "chmod" in command:
            return False
        if wanted["once"] and not any(Path("/").glob(wanted["once"].lstrip("/"))):
            return False
        wanted["calls"] = wanted.get("calls", 0) + 1
        stream.seek(0)
        json.dump(wanted, stream)
        stream.truncate()
    return bool(wanted["skip"] < wanted["calls"] <= wanted["skip"] + wanted["times"])
