"""The lanes of the conformance suite: the same tree, read by each adapter in each engine."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import lines
import unstarted
from ansible_collections.dataminer.web.plugins.module_utils.host import Host
from ansible_collections.dataminer.web.plugins.module_utils.jobs import JobStatus
from ansible_collections.dataminer.web.plugins.plugin_utils import windows_host
from ansible_collections.dataminer.web.plugins.plugin_utils.windows_host import WindowsHost
from harness import ON_WINDOWS, Engine, EngineMissing, posix_engine, windows_engine, wine_prefix
from inside import INSIDE
from unstarted import pytest_runtest_protocol  # noqa: F401 (a hook)

try:
    import fcntl

    from ansible_collections.dataminer.web.plugins.module_utils import local_scan
    from ansible_collections.dataminer.web.plugins.module_utils.local_host import LocalHost
except ImportError:  # on Windows itself: its own engine takes the lane `windows`, and trees.both reads what the POSIX adapter said elsewhere
    fcntl = local_scan = LocalHost = None

HERE = ("posix", pytest.param("powershell", marks=pytest.mark.powershell))
LANES = (*HERE, pytest.param("windows", marks=pytest.mark.windows))
in_an_engine = pytest.mark.parametrize("host", LANES[1:], indirect=True)  # what the POSIX adapter has no part in
OPEN_ALONE = """
[CmdletBinding(SupportsShouldProcess)] param([string]$path)
for ($i = 0; ; $i++) {
    try {
        [AppDomain]::CurrentDomain.SetData($path, [IO.File]::Open($path, [IO.FileMode]::Open, [IO.FileAccess]::Read, [IO.FileShare]::None))
        break
    }
    catch { if ($i -ge 300) { throw } [Threading.Thread]::Sleep(10) }    # the job that is watched may have it open at this moment
}
"""
HOLD_BRIEFLY = """
[CmdletBinding(SupportsShouldProcess)] param([string]$path, [int]$milliseconds)
$stream = [IO.File]::Open($path, [IO.FileMode]::Open, [IO.FileAccess]::Read, [IO.FileShare]::None)
$clock = [Threading.CancellationTokenSource]::new($milliseconds)
[void]$clock.Token.Register([Action][Delegate]::CreateDelegate([Action], $stream, 'Dispose'))
[AppDomain]::CurrentDomain.SetData("$path briefly", $clock)
"""
PROGRAM = "[CmdletBinding(SupportsShouldProcess)] param() $Ansible.Result = [Diagnostics.Process]::GetCurrentProcess().MainModule.FileName"
KILL = """
[CmdletBinding(SupportsShouldProcess)] param([int]$id)
$process = [Diagnostics.Process]::GetProcessById($id)
$process.Kill()
[void]$process.WaitForExit(60000)
"""
CLOSE = "[CmdletBinding(SupportsShouldProcess)] param([string]$path) [AppDomain]::CurrentDomain.GetData($path).Dispose()"


@dataclass
class Lane:
    """One way to reach an agent whose files the test can also reach by itself.

    `home` is a folder of the test's own; `native` turns a path below it into what the adapter is told. `engine` is None where no PowerShell runs;
    `program` starts another one like it, as the lane's machine names it.
    """

    name: str
    home: Path
    native: Callable[[Path], str]
    agent: Host
    engine: Engine | None = None
    program: tuple[str, ...] = ()

    @property
    def windows(self) -> bool:
        return self.name == "windows"

    def request(self, **more: Any) -> dict[str, Any]:
        """A scan request over the folders `agent`, `work`, `backups` of `home`. A Path among `more` is told as the adapter needs it."""
        root = self.home / "agent"
        return {
            "root": self.native(root),
            "work_dir": self.native(self.home / "work"),
            "backup_dir": self.native(self.home / "backups"),
            "vendor_backup_dir": self.native(root / "System Cache" / "Web" / "Backups"),
            "host_command": None,
            "content": None,
            "max_text": 1024 * 1024,
            "log_tail": 4096,
            **{key: self.native(value) if isinstance(value, Path) else value for key, value in more.items()},
        }

    def scan(self, **more: Any) -> dict[str, Any]:
        return self.agent.scan(self.request(**more))

    def follow(self, run_id: str, seconds: float = 600, *, past: tuple[str, ...] = ("running",)) -> JobStatus:
        """The job, once it isn't in one of these states any more: by default ended, dead, absent, or a commit that waits for a word."""
        end = time.monotonic() + seconds
        status = self.agent.poll(run_id, 2)
        while status.state in past:
            assert time.monotonic() < end, f"{status.kind} {run_id} hasn't ended after {seconds} s: {status.progress}"
            status = self.agent.poll(run_id, 2)
        return status

    def run(self, spec: dict[str, Any], run_id: str = "") -> JobStatus:
        """Starts a job and follows it. Paths in the spec are told as the adapter needs them."""
        name = run_id or f"{spec['kind']}-{uuid.uuid4().hex[:8]}"
        started = self.agent.start(self.told(spec), name)
        past = ("running", "waiting") if spec.get("deadline") == 0 else ("running",)
        return self.follow(started.run_id, past=past) if started.state in past else started

    def kill(self, run_id: str) -> None:
        """Ends a job's process as a power cut would, and waits until it is gone. It takes a process of its own: `pytest.mark.apart`."""
        if self.engine is None:
            process = self.pid(run_id)
            os.kill(process, signal.SIGKILL)
            while Path(f"/proc/{process}/fd").exists() and any(Path(f"/proc/{process}/fd").iterdir()):
                time.sleep(0.01)
            return
        mark = json.loads((self.home / "work" / "jobs" / run_id / "process.json").read_text("utf-8"))
        assert not self.engine.execute(KILL, {"id": mark["pid"]}, 2)["failed"]

    def pid(self, run_id: str) -> int:
        """The process of a job on the posix lane: a fork of this one that holds the lock of the working folder."""
        lock, mine = str(self.home / "work" / "lock"), Path("/proc/self/cmdline").read_bytes()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                holds = lock in {str(handle.readlink()) for handle in (process / "fd").iterdir()}
                if holds and int(process.name) != os.getpid() and (process / "cmdline").read_bytes() == mine:
                    return int(process.name)
        raise AssertionError(f"no process holds the lock of {run_id}")

    def told(self, value: Any) -> Any:
        """A value with every Path in it as the adapter needs it."""
        if isinstance(value, dict):
            return {key: self.told(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.told(inner) for inner in value]
        return self.native(value) if isinstance(value, Path) else value

    @contextlib.contextmanager
    def holding(self, path: Path) -> Iterator[None]:
        """`path` held open for one process alone, as a running job holds the lock. Windows knows nothing of the locks of the machine below Wine."""
        if not self.engine or not (self.windows or ON_WINDOWS):
            with path.open("r+b") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                yield
            return
        assert not self.engine.execute(OPEN_ALONE, {"path": self.native(path)}, 2)["failed"]
        try:
            yield
        finally:
            self.engine.execute(CLOSE, {"path": self.native(path)}, 2)

    def hold_briefly(self, path: Path, seconds: float = 1) -> None:
        """`path` held for so long from now on, by an engine that runs scripts meanwhile. On POSIX nobody keeps a file from being read."""
        if self.engine:
            asked = {"path": self.native(path), "milliseconds": int(1000 * seconds)}
            assert not self.engine.execute(HOLD_BRIEFLY, asked, 2)["failed"]


@pytest.fixture(scope="session")
def engines() -> Iterator[dict[str, Engine]]:
    """Engines by lane, started when first used, closed at the end."""
    started: dict[str, Engine] = {}
    yield started
    for engine in started.values():
        engine.close()


def _engine(name: str, engines: dict[str, Engine]) -> Engine:
    """The lane's engine; skips the test, saying why, where there is none."""
    try:
        return engines[name] if name in engines else engines.setdefault(name, _started(name))
    except EngineMissing as error:
        pytest.skip(f"lane {name}: {error}")


def _started(name: str) -> Engine:
    """An engine that has answered; it counts lines where a folder for that is named. Raises EngineMissing."""
    wine, folder = name == "windows" and not ON_WINDOWS, os.environ.get(lines.VARIABLE)
    environment = {"WINEPREFIX": str(wine_prefix())} if wine else {}
    told = lines.environment(Path(folder), wine=wine) if folder else {}
    engine = Engine(windows_engine() if wine else posix_engine(), environment | told)
    engine.execute(PROGRAM, {}, 2)
    if folder:
        engine.told = lines.LineCounter(engine, Path(folder)).told
        Path(folder, f"{name}.lane").touch()
    return engine


@pytest.fixture
def powershell(request: pytest.FixtureRequest, engines: dict[str, Engine]) -> Engine:
    """An engine of this machine."""
    return _engine("powershell", engines)


@pytest.fixture(params=LANES[1:])
def engine(request: pytest.FixtureRequest, engines: dict[str, Engine]) -> Engine:
    """Each engine in turn."""
    return _engine(request.param, engines)


@pytest.fixture
def apart(request: pytest.FixtureRequest) -> bool:
    """Whether the test's jobs are processes of their own."""
    return request.node.get_closest_marker("apart") is not None


@pytest.fixture(params=LANES)
def host(request: pytest.FixtureRequest, engines: dict[str, Engine], tmp_path: Path, apart: bool) -> Iterator[Lane]:
    """Every lane in turn, each with an empty home."""
    if request.param == "windows":
        yield from _windows_lane(_engine("windows", engines), tmp_path, apart=apart)
    else:
        yield _lane_here(request.param, engines, tmp_path, apart=apart)


@pytest.fixture(params=HERE)
def host_here(request: pytest.FixtureRequest, engines: dict[str, Engine], tmp_path: Path, apart: bool) -> Lane:
    """The lanes on this machine's own files: with links and with names that differ by case, which Wine doesn't show."""
    return _lane_here(request.param, engines, tmp_path, apart=apart)


def replace_in_job(monkeypatch: pytest.MonkeyPatch, old: str, new: str, job: str = "job_prepare") -> None:
    """What an engine is given as that job has another text in one place."""
    text = windows_host.script_text(job)
    assert text.count(old) == 1
    monkeypatch.setattr(windows_host, "_packed_script", lambda name: windows_host._pack(windows_host.script_text(name).replace(old, new)))


def scripted_lane(name: str, home: Path, native: Callable[[Path], str], engine: Engine, program: list[str], *, apart: bool) -> Lane:
    """A lane on which scripts run."""
    agent = WindowsHost(engine.execute, native(home / "work"), launcher=program if apart else [INSIDE])
    return Lane(name, home, native, agent, engine, tuple(program))


def _lane_here(name: str, engines: dict[str, Engine], home: Path, *, apart: bool) -> Lane:
    if ON_WINDOWS:
        pytest.skip(f"{name}: on Windows there is the lane windows only")
    if name == "posix":
        return Lane(name, home, str, LocalHost(str(home / "work")))
    engine = _engine(name, engines)
    return scripted_lane(name, home, str, engine, engine.command, apart=apart)


@pytest.fixture
def windows(engines: dict[str, Engine], tmp_path: Path, apart: bool) -> Iterator[Lane]:
    """The lane on Windows alone, for what only Windows answers for."""
    yield from _windows_lane(_engine("windows", engines), tmp_path, apart=apart)


def _windows_lane(engine: Engine, here: Path, *, apart: bool) -> Iterator[Lane]:
    """A home on this Windows, else on drive C: of Wine's, which the first call makes where it is missing."""
    if ON_WINDOWS:
        yield scripted_lane("windows", here, str, engine, engine.command, apart=apart)
        return
    program = engine.execute(PROGRAM, {}, 2)["result"]
    drive = wine_prefix() / "drive_c"
    home = drive / "dataminer-web-tests" / uuid.uuid4().hex[:12]
    home.mkdir(parents=True)

    def native(path: Path) -> str:
        return str(PureWindowsPath("C:/", path.relative_to(drive)))

    try:
        yield scripted_lane("windows", home, native, engine, [program], apart=apart)
    finally:
        unstarted.note(home)
        shutil.rmtree(home, ignore_errors=True)
