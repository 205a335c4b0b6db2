"""Sites of one-agent clusters whose connections fail, each at a place of its own, so that one run of a playbook covers many."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import partial

from conftest import MakeWindowsSite
from playbook import Playing, Run, until
from played import WindowsSite, settled
from simulator.cluster import Agent
from simulator.content import APPS
from simulator.windows.payload import ModuleCall

SECONDS = 600  # at most, of a run


def told(key: str, value: str) -> Callable[[ModuleCall], bool]:
    """A call of a script with that parameter."""
    return lambda call: (call.args.get("parameters") or {}).get(key) == value


def clusters(make: MakeWindowsSite, names: Iterable[str], *, connection: str, **options: object) -> WindowsSite:
    """A cluster of one small agent for each name; both have it."""
    several = [{"name": name, "agents": [name], "first_id": number} for number, name in enumerate(names, 1)]
    return make(*several, connection=connection, apps=APPS[2:4], **options)


def begin(site: WindowsSite, playbook: str, version: str, **variables: object) -> Playing:
    """On all agents at once. Each poll waits for the end of its job, so that there are few."""
    return site.begin(playbook, "--forks", "20", variables=site.target(version, **{"dataminer_poll_interval": 15, **variables}))


def play(site: WindowsSite, playbook: str, version: str, **variables: object) -> Run:
    return begin(site, playbook, version, **variables).finish(SECONDS)


def closed(agent: Agent) -> bool:
    """Whether every job has told its end and no restore is open: the web server runs for good."""
    found = [json.loads(path.read_text("utf-8"))["state"] for path in (agent.work_dir / "jobs").glob("*/journal.json")]
    return settled(agent) and set(found) <= {"released", "undone"}


def reach_again(site: WindowsSite) -> None:
    """Waits for the end of what was begun, then lets every agent be reached."""
    for agent in site.agents:
        until(partial(closed, agent), what=f"the end of all jobs on {agent.name}")
        site.host(agent.name).faults.clear()
        site.server(agent.name).come_back()
