# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The virtual environments of this checkout, made again only when what goes into them changes.

`.venv` runs the collection and, once tests were asked for, tests it. `.venv-2.19` or `.venv-2.21` is the other end of the supported
range of ansible-core, `.venv-2.20` what is between, where a Python for it is found. Standard library only: this runs before anything is installed.

    python tests/tools/venvs.py run      what a user needs: requirements.txt
    python tests/tools/venvs.py bench    and the optional library for fast compression
    python tests/tools/venvs.py windows  what a user of Windows agents needs, and what plays them
    python tests/tools/venvs.py test     and what the tests and linters need
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STAMP = "holds.json"
RUN = ("requirements.txt",)
LANE = (*RUN, "tests/requirements.txt")
# the optional library for fast compression is in one of the two environments, so that tests run with and without it
TEST = (*LANE, "tests/requirements-lint.txt", "requirements-fast.txt")
BENCH = (*RUN, "requirements-fast.txt")
WINDOWS = "ansible_collections/ansible/windows/"
# the Pythons each ansible-core runs on as a controller, in the order they are looked for
PYTHONS = {"2.19": ("3.11", "3.12", "3.13"), "2.20": ("3.12", "3.13", "3.14"), "2.21": ("3.13", "3.14", "3.12")}
OLDEST = (3, 11)


class SetupFailed(Exception):
    """An environment that couldn't be made; the message ends with what the tool said."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment: where it is and which Python makes it."""

    path: Path
    base: Path

    @property
    def python(self) -> Path:
        return self.path / "bin" / "python"

    def tool(self, name: str) -> str:
        """The path of an installed command."""
        return str(self.path / "bin" / name)

    def ask(self, code: str) -> str:
        """What a line of Python prints in the environment."""
        return run([str(self.python), "-c", code]).strip()

    def core(self) -> str:
        """The installed ansible-core as `2.19`."""
        return ".".join(self.ask("from importlib.metadata import version; print(version('ansible-core'))").split(".")[:2])


def run(argv: Sequence[str]) -> str:
    """The standard output of a command that has to succeed."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SetupFailed(f"{' '.join(argv)} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout


def python_version(python: Path) -> str | None:
    """`3.12` for an interpreter that starts and can make environments, else None: a shim of pyenv exists for versions not in use too."""
    code = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"
    try:
        return run([str(python), "-c", code]).strip()
    except (OSError, SetupFailed):
        return None


def pythons_there(version: str) -> list[Path]:
    """What may be an interpreter of that version: this one, those on PATH, and those under pyenv."""
    base = Path(getattr(sys, "_base_executable", sys.executable))
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    on_path = [Path(folder) / f"python{version}" for folder in os.get_exec_path()]
    known = [base, *on_path, *sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True)]
    return [python for python in known if python.is_file()]


def find_python(version: str) -> Path | None:
    """An interpreter of that version that can make environments."""
    return next((python for python in pythons_there(version) if python_version(python) == version), None)


def unfit_pythons(core: str) -> list[Path]:
    """Interpreters that an ansible-core could have, but can't make environments. Of pyenv's shims nobody knows whether there is one behind them."""
    base = Path(getattr(sys, "_base_executable", sys.executable))
    return [python for version in PYTHONS[core] for python in pythons_there(version) if python != base and python.parent.name != "shims"]


def main_environment() -> Environment:
    """`.venv`, made by the Python that runs this; ansible-core is the newest that Python can run."""
    if sys.version_info < OLDEST:
        raise SetupFailed(f"Python 3.11 or later is needed, {sys.executable} is {sys.version.split()[0]}: make PYTHON=/path/to/python3.12 …")
    return Environment(path=ROOT / ".venv", base=Path(getattr(sys, "_base_executable", sys.executable)))


def other_environment(core: str) -> Environment | None:
    """The environment for that ansible-core, or None where no Python for it is found."""
    pythons = (find_python(version) for version in PYTHONS[core])
    base = next((python for python in pythons if python), None)
    return Environment(path=ROOT / f".venv-{core}", base=base) if base else None


def wanted(files: Sequence[str], core: str | None) -> dict[str, str]:
    """What an environment should hold: requirement files by digest, the pin of ansible-core by its text."""
    holds = {name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in files}
    return holds | ({"ansible-core": f"ansible-core=={core}.*"} if core else {})


def ensure(env: Environment, files: Sequence[str], *, core: str | None = None) -> bool:
    """Make the environment hold what the files name; true when something was installed.

    Nothing is done when it does already. When a file or the Python changed, or the checkout moved, it is made from scratch.
    """
    holds = wanted(files, core)
    with locked(env.path.name):
        have = read_stamp(env)
        if have and all(have[name] == value for name, value in holds.items() if name in have):
            missing = [name for name in holds if name not in have]
        else:
            have, missing = {}, list(holds)
            create(env)
        if missing:
            install(env, missing, pins=[value for name, value in holds.items() if name == "ansible-core"])
            write_stamp(env, have | holds)
    return bool(missing)


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Two runs in one checkout must not make the same environment at once."""
    folder = ROOT / ".cache"
    folder.mkdir(exist_ok=True)
    with (folder / f"{name.lstrip('.')}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def origin(env: Environment) -> dict[str, str]:
    """What the scripts of an environment are bound to: its place, and the Python behind it."""
    return {"path": str(env.path), "python": run([str(env.base), "-c", "import sys; print(sys.version)"]).strip()}


def read_stamp(env: Environment) -> dict[str, str] | None:
    """What a complete environment holds, or None when there is none or it was made elsewhere."""
    try:
        stamp = json.loads((env.path / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return dict(stamp["holds"]) if stamp.get("origin") == origin(env) else None


def write_stamp(env: Environment, holds: Mapping[str, str]) -> None:
    (env.path / STAMP).write_text(json.dumps({"origin": origin(env), "holds": dict(holds)}, indent=1), encoding="utf-8")


def create(env: Environment) -> None:
    """An empty environment, in place of one that is there."""
    shutil.rmtree(env.path, ignore_errors=True)
    try:
        run([str(env.base), "-m", "venv", str(env.path)])
    except SetupFailed as error:
        raise SetupFailed(f"{error}\nWhere Python comes without venv (Debian, Ubuntu): apt-get install python3-venv") from error


def install(env: Environment, names: Sequence[str], *, pins: Sequence[str]) -> None:
    """Install requirement files with pip as configured on this machine, and ansible.windows where tests are among them."""
    files = [word for name in names if (ROOT / name).is_file() for word in ("-r", str(ROOT / name))]
    (env.path / STAMP).unlink(missing_ok=True)
    run([str(env.python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet", *files, *pins])
    if "tests/requirements.txt" in names:
        add_windows_collection(env)


def add_windows_collection(env: Environment) -> None:
    """Put the collection `ansible.windows` where Ansible looks for it, out of the wheel of the package `ansible` that goes with this core.

    That package is the only place in a package index that has it. Only this folder is taken: the whole of it is 500 MB in 50,000 files.
    """
    major = int(env.core().split(".")[1]) - 7  # ansible 12 is built on ansible-core 2.19, 13 on 2.20, 14 on 2.21
    site = env.ask("import sysconfig; print(sysconfig.get_path('purelib'))")
    with tempfile.TemporaryDirectory() as folder:
        options = ["--disable-pip-version-check", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", folder]
        run([str(env.python), "-m", "pip", "download", *options, f"ansible>={major},<{major + 1}"])
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            wheel.extractall(site, [name for name in wheel.namelist() if name.startswith(WINDOWS)])


def main(argv: Sequence[str]) -> int:
    levels = {"run": RUN, "bench": BENCH, "windows": LANE, "test": TEST}
    if len(argv) != 1 or argv[0] not in levels:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        env = main_environment()
        if ensure(env, levels[argv[0]]):
            print(f"{env.path.name}: ansible-core {env.core()} on Python {python_version(env.base)}")
    except SetupFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
