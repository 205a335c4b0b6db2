"""Puts modules together once for all runs, and compiles them once: that takes more time than what most of them do. Nor is garbage collected: a
process is forked for every task, and each would go through all that there is.

The first task that needs a module builds and sends what any run does. Later ones find it in the folder that BUILT_MODULES names, with bytecode
beside the sources.
"""

from __future__ import annotations

import base64
import gc
import io
import os
import zipfile
from dataclasses import replace
from importlib._bootstrap_external import _code_to_hash_pyc  # type: ignore[attr-defined]
from importlib.util import source_hash
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.executor.module_common import _CachedModule
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: built_modules
type: aggregate
short_description: Modules that are built once
description: Keeps built modules between runs.
"""
FOLDER = "BUILT_MODULES"


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Leads a run's folder of built modules, which would end with it, to one that stays."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "built_modules"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        gc.freeze()
        gc.disable()
        (Path(constants.DEFAULT_LOCAL_TMP) / "ansiballz_cache").symlink_to(os.environ[FOLDER])
        _CachedModule.dump = _compiled_dump


_plain_dump = _CachedModule.dump


def _compiled_dump(module: _CachedModule, path: str) -> None:
    """Keeps the module compiled at once: the tasks of the same run, on other agents, find it so."""
    _plain_dump(replace(module, zip_data=base64.b64encode(_compiled(base64.b64decode(module.zip_data)))), path)


def _compiled(data: bytes) -> bytes:
    """A zip with the bytecode of its sources."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as plain, zipfile.ZipFile(result, "w", zipfile.ZIP_STORED) as both:
        for info in plain.infolist():
            source = plain.read(info)
            both.writestr(info, source)
            if info.filename.endswith(".py"):
                code = compile(source, info.filename, "exec", dont_inherit=True)
                both.writestr(f"{info.filename}c", _code_to_hash_pyc(code, source_hash(source), False))
    return result.getvalue()
