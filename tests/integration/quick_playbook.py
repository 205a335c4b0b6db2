"""ansible-playbook, which keeps what every run of it would make anew: that takes more time than what most of them do.

Modules are put together once and sent with bytecode beside their sources; code of templates and of the collection's plugins, for which Ansible keeps
none, is kept as well, and so is what it reads of collections. Whatever a run makes first it leaves in the folder that BUILT_MODULES names. Garbage
isn't collected: a process is forked for every task, and each would go through all that there is; a module would go through what it imports, and so
does every program when it ends.
Where ONLY_LOCAL is set, what other connections need isn't imported, as where nobody installed it.
"""

from __future__ import annotations

import atexit
import base64
import gc
import io
import marshal
import os
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from importlib._bootstrap_external import _code_to_hash_pyc  # type: ignore[attr-defined]
from importlib.util import source_hash
from pathlib import Path
from types import CodeType
from typing import Any

gc.disable()
atexit.register(gc.freeze)
if os.environ.get("ONLY_LOCAL"):
    sys.modules |= dict.fromkeys(("pypsrp", "winrm"))  # type: ignore[arg-type]  # None: not to be found

from ansible import constants
from ansible._internal._templating._jinja_bits import _TEMPLATE_OVERRIDE_FIELD_NAMES, AnsibleEnvironment, _TemplateCompileContext
from ansible.cli import playbook
from ansible.executor.module_common import _CachedModule
from ansible.utils.collection_loader import _collection_finder

FOLDER = "BUILT_MODULES"
FIRST = "ansible/__init__.py"  # of all that a module imports
UNCOLLECTED = b"import atexit, gc\ngc.disable()\natexit.register(gc.freeze)\n"
_plain_dump = _CachedModule.dump
_plain_compile = AnsibleEnvironment.compile
_plain_metadata = _collection_finder._meta_yml_to_dict


def main() -> None:
    """Leads the run's folder of built modules, which would end with it, to one that stays."""
    (Path(constants.DEFAULT_LOCAL_TMP) / "ansiballz_cache").symlink_to(os.environ[FOLDER])
    _CachedModule.dump = _compiled_dump
    AnsibleEnvironment.compile = _kept_template
    _collection_finder.compile = _kept_plugin
    _collection_finder._meta_yml_to_dict = _kept_metadata
    sys.argv[0] = "ansible-playbook"
    playbook.main()


def _compiled_dump(module: _CachedModule, path: str) -> None:
    """Keeps the module compiled at once: the tasks of the same run, on other agents, find it so."""
    _plain_dump(replace(module, zip_data=base64.b64encode(_compiled(base64.b64decode(module.zip_data)))), path)


def _compiled(data: bytes) -> bytes:
    """A zip with the bytecode of its sources."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as plain, zipfile.ZipFile(result, "w", zipfile.ZIP_STORED) as both:
        for info in plain.infolist():
            source = plain.read(info) + (UNCOLLECTED if info.filename == FIRST else b"")
            both.writestr(info, source)
            if info.filename.endswith(".py"):
                code = compile(source, info.filename, "exec", dont_inherit=True)
                both.writestr(f"{info.filename}c", _code_to_hash_pyc(code, source_hash(source), False))
    return result.getvalue()


def _kept_template(environment: AnsibleEnvironment, source: Any, *args: Any, **options: Any) -> Any:
    if not isinstance(source, str) or args or options or type(environment) is not AnsibleEnvironment:
        return _plain_compile(environment, source, *args, **options)
    context = _TemplateCompileContext.current(optional=True)
    settings = [getattr(environment, name) for name in _TEMPLATE_OVERRIDE_FIELD_NAMES]  # as Ansible tells its lexers apart
    return _kept((settings, context, source), lambda: _plain_compile(environment, source))


def _kept_plugin(source: str | bytes, filename: str, mode: str, **options: Any) -> CodeType:
    code: CodeType = _kept((source, filename, mode, options), lambda: compile(source, filename, mode, **options))
    return code


def _kept_metadata(text: str | bytes, content_id: object) -> Any:
    return _kept((text, "metadata"), lambda: _plain_metadata(text, content_id))


def _kept(key: object, make: Callable[[], Any]) -> Any:
    """What another process may have left, or is made now and left for others."""
    path = Path(os.environ[FOLDER], sha256(repr(key).encode("utf-8", "surrogatepass")).hexdigest())
    try:
        return marshal.loads(path.read_bytes())
    except FileNotFoundError:
        return _left(make(), path)


def _left(value: Any, path: Path) -> Any:
    """Of a text that is marked as trusted the mark would be lost, so what has one isn't left."""
    try:
        data = marshal.dumps(value)
    except ValueError:
        return value
    made = path.with_suffix(f".{os.getpid()}")
    made.write_bytes(data)
    made.replace(path)
    return value


if __name__ == "__main__":
    main()
