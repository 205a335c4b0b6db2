"""Puts modules together once for all runs, and compiles them and templates once: that takes more time than what most of them do. Nor is garbage
collected: a process is forked for every task, and each would go through all that there is.

The first task that needs a module builds and sends what any run does. Later ones find it in the folder that BUILT_MODULES names, with bytecode
beside the sources. So do those that need a template's code.
"""

from __future__ import annotations

import base64
import gc
import io
import marshal
import os
import zipfile
from dataclasses import replace
from hashlib import sha256
from importlib._bootstrap_external import _code_to_hash_pyc  # type: ignore[attr-defined]
from importlib.util import source_hash
from pathlib import Path
from types import CodeType
from typing import Any

from ansible import constants
from ansible._internal._templating._jinja_bits import _TEMPLATE_OVERRIDE_FIELD_NAMES, AnsibleEnvironment, _TemplateCompileContext
from ansible.executor.module_common import _CachedModule
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: built_modules
type: aggregate
short_description: Modules that are built once
description: Keeps built modules, and code of templates, between runs.
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
        AnsibleEnvironment.compile = _kept_compile


_plain_dump = _CachedModule.dump
_plain_compile = AnsibleEnvironment.compile


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


def _kept_compile(environment: AnsibleEnvironment, source: Any, *args: Any, **options: Any) -> Any:
    """A template's code, which another process may have left."""
    if not isinstance(source, str) or args or options or type(environment) is not AnsibleEnvironment:
        return _plain_compile(environment, source, *args, **options)
    context = _TemplateCompileContext.current(optional=True)
    settings = [getattr(environment, name) for name in _TEMPLATE_OVERRIDE_FIELD_NAMES]  # as Ansible tells its lexers apart
    key = repr((settings, context, source))
    path = Path(os.environ[FOLDER], f"{sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()}.template")
    try:
        return marshal.loads(path.read_bytes())
    except FileNotFoundError:
        return _left(_plain_compile(environment, source), path)


def _left(code: CodeType, path: Path) -> CodeType:
    """The same, left for others. Of a text that is marked as trusted the mark would be lost, so such code isn't."""
    try:
        data = marshal.dumps(code)
    except ValueError:
        return code
    made = path.with_suffix(f".{os.getpid()}")
    made.write_bytes(data)
    made.replace(path)
    return code
