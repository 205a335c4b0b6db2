"""Simulated clusters with a controller, for tests that run the real playbooks."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest
from playbook import Site, idle, until
from played import WindowsSite, windows_site
from simulator.cluster import create_cluster, write_inventory
from simulator.windows import wine
from simulator.windows.engines import EngineMissing, Engines

MakeSite = Callable[..., Site]
MakeWindowsSite = Callable[..., WindowsSite]


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[MakeSite]:
    """Creates one cluster or, for a list of options, several, in one inventory.

    Two agents on server 10.5.4 and web 10.5.6 that install quickly, unless told otherwise. At the end all jobs have ended, and their files go.
    """
    made: list[Site] = []

    def create(*several: dict[str, object], **options: object) -> Site:
        clusters = []
        for number, own in enumerate(several or ({},)):
            usual: dict[str, object] = {"agents": 2, "server": "10.5.4", "web": "10.5.6", "install_seconds": 0, "packages": ()}
            chosen = {**usual, **options, **own}
            clusters.append(create_cluster(tmp_path / f"cluster{number}", **chosen))  # type: ignore[arg-type]
        controller = tmp_path / "controller"
        controller.mkdir()
        inventory = controller / "inventory.yml"
        write_inventory(inventory, clusters)
        made.append(Site(dir=controller, inventory=inventory, clusters=tuple(clusters)))
        return made[-1]

    yield create
    for site in made:
        for agent in site.agents:
            until(partial(idle, agent), what=f"the end of all jobs on {agent.name}")
    shutil.rmtree(tmp_path)


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    """The usual cluster of two agents."""
    return make_site()


class WebServer:
    """Web servers of folders of this machine. A call gives the address of a new one; `asked` tells what all were asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.running: list[ThreadingHTTPServer] = []

    def __call__(self, folder: Path) -> str:
        asked = self.asked

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, *args: Any) -> None:
                asked.append(str(args[1]))

        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.running.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    def close(self) -> None:
        for server in self.running:
            server.shutdown()
            server.server_close()


@pytest.fixture
def web_server() -> Iterator[WebServer]:
    servers = WebServer()
    yield servers
    servers.close()


@pytest.fixture(scope="session")
def engines() -> Iterator[Engines]:
    """PowerShell engines of this machine, with the jobs inside them; those of Wine start processes, as an agent does."""
    yield from _until_closed("powershell", partial(Engines.posix, inside=True))


@pytest.fixture(scope="session")
def wine_engines() -> Iterator[Engines]:
    """PowerShell engines of Wine's Windows."""
    yield from _until_closed("windows", Engines.wine)


@pytest.fixture(scope="session")
def nearest_engines(request: pytest.FixtureRequest) -> Engines:
    """Those of Wine where there are some, else those of this machine."""
    try:
        return cast(Engines, request.getfixturevalue("wine_engines"))
    except pytest.skip.Exception:
        return cast(Engines, request.getfixturevalue("engines"))


def _until_closed(lane: str, make: Callable[[], Engines]) -> Iterator[Engines]:
    try:
        engines = make()
        _ = engines.launcher
    except EngineMissing as error:
        pytest.skip(f"lane {lane}: {error}")
    yield engines
    engines.close()


@pytest.fixture
def make_windows_site(tmp_path: Path, engines: Engines) -> Iterator[MakeWindowsSite]:
    """Creates clusters of played Windows hosts, as `make_site` does; their paths are those of this machine."""
    with ExitStack() as stack:
        yield lambda *several, **options: stack.enter_context(windows_site(tmp_path, tmp_path / "controller", engines, *several, **options))
    shutil.rmtree(tmp_path)


@pytest.fixture
def make_wine_site(tmp_path: Path, wine_engines: Engines) -> Iterator[MakeWindowsSite]:
    """The same in the Windows that Wine plays, on its drive C:."""
    with ExitStack() as stack:
        home = stack.enter_context(wine.room(wine_engines))
        yield lambda *several, **options: stack.enter_context(windows_site(home, tmp_path / "controller", wine_engines, *several, **options))


@pytest.fixture
def make_nearest_site(nearest_engines: Engines, request: pytest.FixtureRequest) -> MakeWindowsSite:
    """The same as near to Windows as this machine gets."""
    return cast(MakeWindowsSite, request.getfixturevalue("make_wine_site" if nearest_engines.windows else "make_windows_site"))
