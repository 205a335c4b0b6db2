"""The use case `upgrade`: an installer that is at work, or was a moment ago, is never started a second time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dataminer.web.plugins.module_utils.case_upgrade import upgrade
from ansible_collections.dataminer.web.plugins.module_utils.errors import InstallFailed, InvalidInput
from ansible_collections.dataminer.web.plugins.module_utils.jobs import Basis, JobStatus, work_of
from ansible_collections.dataminer.web.plugins.module_utils.local_host import LocalHost

PACKAGE = "/packages/DataMiner 10.5.9.0-16238 Web Upgrade.dmupgrade"


class Racing:
    """A host whose install is at work when it is scanned, and has ended when it is looked at next."""

    def __init__(self, work_dir: Path, *, work: str) -> None:
        self.real, self.work, self.calls = LocalHost(str(work_dir)), work, list[str]()

    def scan(self, request: dict[str, Any]) -> dict[str, Any]:
        self.calls.append("scan")
        running = {"run_id": "i1", "kind": "install", "owner": "me", "started": "2026-11-24T04:15:00Z", "work": self.work}
        return {**self.real.scan(request), "job": running if self.calls == ["scan"] else None}

    def poll(self, run_id: str, wait: float = 0) -> JobStatus:
        self.calls.append(f"poll {run_id}")
        return JobStatus(run_id=run_id, kind="install", state="done", result={"rc": 0, "about": {"web_before": "10.5.6 (CU0)"}})

    def start(self, spec: dict[str, Any], run_id: str, basis: Basis) -> JobStatus:
        self.calls.append("start")
        assert set(basis.parts) == {"versions", "work"}
        return JobStatus(run_id="i2", kind="install", state="done", result={"rc": 0})


def arguments(folder: Path) -> dict[str, Any]:
    places = {"root": str(folder), "work_dir": str(folder / "work"), "backup_dir": str(folder / "backups")}
    return {**places, "package": PACKAGE, "installer": "x", "installer_arguments": ["{package}"], "success_codes": [0]}


@pytest.mark.parametrize(
    ("package", "calls"),
    [(PACKAGE, ["scan", "poll i1", "scan"]), (PACKAGE.upper(), ["scan", "poll i1", "scan"]), ("another", ["scan", "start", "scan"])],
)
def test_an_install_that_ends_between_two_looks_is_attached_to(tmp_path: Path, package: str, calls: list[str]) -> None:
    spec = {"kind": "install", "package": package, "sha256": None, "packages_dir": str(tmp_path / "Upgrades/Packages"), "root": str(tmp_path)}
    host = Racing(tmp_path / "work", work=work_of(spec))
    with pytest.raises(InstallFailed, match="doesn't run the wanted web version"):
        upgrade(host, arguments(tmp_path), check=False)  # type: ignore[arg-type]
    assert host.calls == calls


@pytest.mark.parametrize(("check", "calls"), [(False, ["scan", "poll i1", "scan"]), (True, ["scan"])])
def test_an_installer_that_logged_its_success_and_still_works_is_followed(tmp_path: Path, check: bool, calls: list[str]) -> None:
    """The web apps are there, and the GQI DxM or the web server may not be: how it ends says its exit code."""
    spec = {"kind": "install", "package": PACKAGE, "sha256": None, "packages_dir": str(tmp_path / "Upgrades/Packages"), "root": str(tmp_path)}
    host = Racing(tmp_path / "work", work=work_of(spec))
    told = upgrade(host, {**arguments(tmp_path), "web_version": "10.5.9"}, check=check)  # type: ignore[arg-type]
    assert (host.calls, told["finished"], told.get("msg")) == (calls, True, "Web version 10.5.9 (CU0) is already installed" if check else told["msg"])
    assert ("job" in told) is not check


@pytest.mark.parametrize("version", [None, "10.5.9"])
@pytest.mark.parametrize("check", [True, False])
def test_without_a_package_nothing_is_installed(tmp_path: Path, version: str | None, check: bool) -> None:
    host = Racing(tmp_path / "work", work="of another")
    with pytest.raises(InvalidInput, match=r"No package is named .* set dataminer_package"):
        upgrade(host, {**arguments(tmp_path), "package": None, "version": version}, check=check)  # type: ignore[arg-type]
    assert "start" not in host.calls


def test_an_agent_that_runs_the_version_needs_no_package(tmp_path: Path) -> None:
    host = Racing(tmp_path / "work", work="of another")
    told = upgrade(host, {**arguments(tmp_path), "package": None, "version": "10.5.9", "web_version": "10.5.9"}, check=False)  # type: ignore[arg-type]
    assert (told["changed"], told["msg"]) == (False, "Web version 10.5.9 (CU0) is already installed")


@pytest.mark.parametrize(
    ("named", "words"), [("10.5.6", "take dataminer_web_version out of the inventory"), (None, "set dataminer_progress_success_pattern")]
)
def test_an_agent_whose_version_the_inventory_names_never_seems_to_get_there(tmp_path: Path, named: str | None, words: str) -> None:
    host = Racing(tmp_path / "work", work="of another")
    with pytest.raises(InstallFailed, match="doesn't run the wanted web version") as told:
        upgrade(host, {**arguments(tmp_path), "web_version": named}, check=False)  # type: ignore[arg-type]
    assert words in told.value.remedy
    assert ("; read: none" in told.value.found) is (named is not None)
