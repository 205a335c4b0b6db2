"""Content that changes while it is backed up: tried again, then a failure that names the files, with nothing left behind."""

from __future__ import annotations

import contextlib
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils import local_backup
from ansible_collections.dataminer.web.plugins.module_utils.errors import ChangedMeanwhile
from local_kit import Agent

FILE = "Dashboards/Overview.dmadb.json"
NEW = "Dashboards/New.dmadb.json"


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Agent:
    monkeypatch.setattr(local_backup, "RETRY_AFTER", 0.0)
    agent = Agent(tmp_path)
    agent.fill()
    return agent


def appear(agent: Agent) -> None:
    agent.write(NEW, "new")


def vanish(agent: Agent) -> None:
    (agent.root / FILE).unlink(missing_ok=True)


def grow(agent: Agent) -> None:
    with (agent.root / FILE).open("ab") as stream:
        stream.write(b"more")


def turn(agent: Agent) -> None:
    """Other bytes, the same size."""
    place = agent.root / FILE
    place.write_bytes(place.read_bytes()[::-1])


def turn_unseen(agent: Agent) -> None:
    """Other bytes, the same size, and the same time, as a second write within one tick of the disk's clock leaves it."""
    about = (agent.root / FILE).stat()
    turn(agent)
    os.utime(agent.root / FILE, ns=(about.st_atime_ns, about.st_mtime_ns))


def swap(agent: Agent) -> None:
    """Another file under the name, as programs write that replace by rename; all its facts but its number are the same."""
    place = agent.root / FILE
    about = place.stat()
    other = place.with_name("other")
    other.write_bytes(place.read_bytes()[::-1])
    os.utime(other, ns=(about.st_atime_ns, about.st_mtime_ns))
    other.replace(place)


CHANGES = {"appears": appear, "vanishes": vanish, "grows": grow, "turns": turn, "turns unseen": turn_unseen, "is replaced": swap}
POINTS = ("_check_names", "_write", "_check_unchanged")  # after the list was made, before the zip is written, before the list is compared


@contextlib.contextmanager
def changing(monkeypatch: pytest.MonkeyPatch, point: str, change: Callable[[], None], times: int) -> Iterator[list[int]]:
    """Let `change` happen when `point` is reached, the first `times` times."""
    reached: list[int] = []
    real = getattr(local_backup, point)

    def wrapped(*args: Any, **more: Any) -> Any:
        reached.append(1)
        if len(reached) <= times:
            change()
        return real(*args, **more)

    with monkeypatch.context() as patched:
        patched.setattr(local_backup, point, wrapped)
        yield reached


def leftovers(agent: Agent) -> list[str]:
    return sorted(path.name for path in agent.backups.iterdir())


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("name", CHANGES)
def test_one_change_is_made_up_for(agent: Agent, monkeypatch: pytest.MonkeyPatch, name: str, point: str, large: bool) -> None:
    if large:
        monkeypatch.setattr(local_backup, "SMALL", 100)
    with changing(monkeypatch, point, lambda: CHANGES[name](agent), 1) as reached:
        result = agent.run(agent.backup_spec("Dashboards", retries=1))
    unread = name.startswith("turns") and point != "_check_unchanged"  # it changed before it was read
    assert len(reached) == 2 or unread
    with zipfile.ZipFile(result["path"]) as read:
        assert {name: read.read(name) for name in read.namelist()} == {
            path.relative_to(agent.root).as_posix(): path.read_bytes() for path in (agent.root / "Dashboards").rglob("*") if path.is_file()
        }


@pytest.mark.parametrize("name", ["grows", "turns", "is replaced"])
def test_a_file_that_never_rests_fails_the_backup_and_is_named(agent: Agent, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    agent.backups.mkdir()
    (agent.backups / "old.zip").touch()
    with changing(monkeypatch, "_check_unchanged", lambda: CHANGES[name](agent), 99) as reached, pytest.raises(ChangedMeanwhile) as raised:
        agent.run(agent.backup_spec("Dashboards", retries=2, rotate=["old.zip"]))
    assert len(reached) == 3
    assert raised.value.found == FILE
    assert "3 attempts" in raised.value.needed
    assert leftovers(agent) == ["old.zip"]


def test_a_file_that_changes_while_it_streams(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of size ends the stream at once; the attempt is thrown away."""
    monkeypatch.setattr(local_backup, "SMALL", 100)
    agent.write(FILE, os.urandom(5_000_000))
    real, calls = local_backup.ZipWriter.add_large, []

    def add_large(self: Any, name: str, path: str, size: int) -> str:
        calls.append(name)
        if len(calls) == 1:
            with open(path, "r+b") as stream:  # noqa: PTH123
                stream.truncate(2_500_000)
        return real(self, name, path, size)

    monkeypatch.setattr(local_backup.ZipWriter, "add_large", add_large)
    result = agent.run(agent.backup_spec(FILE, retries=1))
    assert result["bytes"] == 2_500_000
    assert len(calls) == 2


def test_an_item_that_is_gone_fails_the_backup_and_is_named(agent: Agent) -> None:
    with pytest.raises(ChangedMeanwhile, match="Applications/gone"):
        agent.run(agent.backup_spec("Dashboards", "Applications/gone", retries=1))
    assert leftovers(agent) == []


def test_many_files_are_named_by_the_first_ten(agent: Agent) -> None:
    with pytest.raises(ChangedMeanwhile, match="and 2 more"):
        agent.run(agent.backup_spec(*(f"Applications/gone{number}" for number in range(12))))


def test_each_attempt_waits_longer(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(local_backup, "RETRY_AFTER", 1.0)
    monkeypatch.setattr(local_backup.time, "sleep", slept.append)
    with pytest.raises(ChangedMeanwhile):
        agent.run(agent.backup_spec("Applications/gone", retries=2))
    assert slept == [0.0, 1.0, 2.0]


@contextlib.contextmanager
def nobody() -> Iterator[Path]:
    """A folder in which this process is no administrator."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        if os.geteuid() != 0:
            yield folder
            return
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(0)


@pytest.mark.parametrize("unreadable", ["Dashboards/Overview.dmadb.json", "Dashboards/Operations"])
@pytest.mark.parametrize("large", [False, True])
def test_what_cannot_be_read_fails_the_backup_and_is_named(monkeypatch: pytest.MonkeyPatch, unreadable: str, large: bool) -> None:
    monkeypatch.setattr(local_backup, "RETRY_AFTER", 0.0)
    if large:
        monkeypatch.setattr(local_backup, "SMALL", 100)
    with nobody() as home:
        agent = Agent(home / "agent")
        agent.fill()
        (agent.root / unreadable).chmod(0)
        with pytest.raises(ChangedMeanwhile) as raised:
            agent.run(agent.backup_spec("Dashboards", retries=1))
        assert f"{unreadable} (Permission denied)" in raised.value.found
        assert leftovers(agent) == []
        (agent.root / unreadable).chmod(0o700)
