"""The worker's own way to place an instance: the real fleet fold and planner, round after round."""

from __future__ import annotations

import time

from bench.baselines import Placement
from bench.instances import Instance
from models.codec import encode
from models.fleet import FleetFold
from models.fleet_records import ProposedDirective
from models.fold import LogRecord
from streams.planner import WaterFillPlanner, encode_plan, snapshot

_NOW = 1_763_800_000_000


class Log:
    """A partition of the fleet log in memory, each record folded at once."""

    def __init__(self) -> None:
        self.fold = FleetFold(0, 1)
        self._offset = 0

    def append(self, value: bytes) -> None:
        self.fold.fold([LogRecord(self._offset, _NOW, b"default", value)])
        self._offset += 1

    def fact(self, kind: str, **event: object) -> None:
        source = {"partition": 0, "offset": self._offset, "index": 0}
        self.append(
            encode({"type": kind, "source": source, "through": _NOW / 1000, "event": {"type": kind, **event}})
        )


def place(instance: Instance) -> tuple[Placement, list[float]]:
    """Where each task goes, and the CPU milliseconds of each round of planning.

    Slots that are used in the instance are held by other tasks; speeds are what the fold would have learned.
    """
    log = Log()
    agents = log.fold.state.tables.agents
    for agent in instance.agents.values():
        name = agent.agent_id
        skills = sorted(agent.capabilities)
        log.fact("agent_registered", agent_id=name, capabilities=skills, slots=agent.slots, zone=agent.zone)
        agents.rows[f"default/{name}"].speed = agent.speed
        if agent.used:
            log.fact("task_submitted", task_id=f"used-{name}", slots=agent.used)
            entry = {"type": "assign_task", "task_id": f"used-{name}", "agent_id": name, "epoch": 1}
            planner = {"name": "bench", "version": "1", "budget": 0}
            plan = {
                "plan_id": "p",
                "fleet": "default",
                "based_on": -1,
                "directives": [entry],
                "planner": planner,
            }
            log.append(encode({"type": "plan_proposed", **plan}))
    for task in instance.tasks:
        log.fact(
            "task_submitted",
            task_id=task.task_id,
            requires={"capabilities": sorted(task.capabilities)},
            size=task.size,
            priority=task.priority,
            prefer={"zone": task.zone},
        )
    placement: Placement = dict.fromkeys(task.task_id for task in instance.tasks)
    times = []
    while True:
        seen = snapshot(log.fold, "default")
        assert seen is not None
        _ = seen.columns  # a worker has them from the plan before, but for what has changed
        started = time.process_time()
        plan_ = WaterFillPlanner().plan(seen, seen.policy)
        if plan_ is None:
            return placement, times
        times.append((time.process_time() - started) * 1000)
        for entry_ in plan_.directives:
            assert isinstance(entry_, ProposedDirective)
            placement[entry_.task_id] = entry_.agent_id
        log.append(encode_plan(plan_))
