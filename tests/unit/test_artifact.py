"""What the check says of the collection's artifact."""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "tools"))

import artifact


@pytest.fixture
def built(tmp_path):
    """A checkout with one plugin and a readme, and a function that packs members into an artifact."""
    checkout = tmp_path / "checkout"
    (checkout / "plugins" / "modules" / "__pycache__").mkdir(parents=True)
    for name in ("README.md", "plugins/modules/backup.py", "plugins/modules/__pycache__/backup.pyc"):
        (checkout / name).write_text("x")

    def pack(*names, link=None):
        path = tmp_path / "artifact.tar"
        with tarfile.open(path, "w") as archive:
            for name in names:
                archive.addfile(tarfile.TarInfo(name), io.BytesIO())
            if link:
                info = tarfile.TarInfo(link)
                info.type, info.linkname = tarfile.SYMTYPE, "../../../.."
                archive.addfile(info)
        return artifact.problems(checkout, path)

    return pack


WHOLE = ("README.md", "plugins/modules/backup.py")


def test_an_artifact_with_everything_is_right(built):
    assert built(*WHOLE) == []


@pytest.mark.parametrize("name", [".cache/x", ".venv-2.21/bin/python", "tests/unit/test_x.py", ".gitignore", "a/__pycache__/b.pyc", "x.gz"])
def test_an_artifact_holds_nothing_of_the_workshop(built, name):
    assert any(problem.startswith(f"{name}: doesn't belong") for problem in built(*WHOLE, name))


def test_an_artifact_holds_every_plugin(built):
    assert built("README.md") == ["plugins/modules/backup.py: missing from the artifact"]


def test_an_artifact_holds_no_link(built):
    assert built(*WHOLE, link="docs/link") == ["docs/link: a link, neither a file nor a folder"]
