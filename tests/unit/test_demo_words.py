"""What the demo tells to type can be typed where it was started."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from simulator import demo
from simulator.cluster import Agent, Cluster


@pytest.mark.parametrize("inside", [True, False])
def test_the_last_command_finds_its_program(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, inside: bool
) -> None:
    """By its path, for it needn't be on PATH: a short one below the folder where the demo was started."""
    program, playbook = tmp_path / "a checkout" / "ansible-playbook", demo.ROOT / "playbooks" / "upgrade_web.yml"
    monkeypatch.setattr(demo, "PROGRAM", program)
    monkeypatch.setattr(demo, "show", lambda cluster, text: {})
    monkeypatch.chdir(tmp_path if inside else "/dev")
    agent = Agent(name="DMA1", id=1, address="192.0.2.1", home=tmp_path / "DMA1")

    demo.end(Cluster(dir=tmp_path, name="played", agents=(agent,)), {})

    line = next(line for line in capsys.readouterr().out.splitlines() if "a dry run of" in line)
    words = shlex.split(line.partition("upgrade ")[2].removesuffix("\\"))
    assert words[:3] == ["a checkout/ansible-playbook" if inside else str(program), str(playbook), "-i"]
