"""Our own policy in virtual time: the real ingress fold, fleet fold and planner. Only Kafka is not there.

A record takes a little while from topic to fold, and a message the scenario's delay between coordinator and agent.
Agents say now and then how they are. Who cannot be heard gets and says everything when that is over, as with
Kafka.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import orjson

from bench.simulation.world import SECOND, Job, SimAgent, World
from models.fleet import FleetFold
from models.fold import LogRecord, Output
from models.ingress import IngressFold
from streams.planner import WaterFillPlanner, encode_plan, plannable, snapshot
from streams.planner.coordination import Rounds
from streams.planner.placement import DEFAULT_BUDGET

START = 1_763_800_000_000
HOP = 3.0
"""Of a worker's hops, as measured in ``docs/performance.md``."""
PLAN_INTERVAL = 12.0
"""A worker lets pass ten times what a round costs: one of a dozen tasks among some hundred agents costs 1.2 ms."""


class Coordinator:
    """Implements ``bench.simulation.world.Policy``.

    Args:
        policy: A patch of the coordinator's policy.
        hop: Milliseconds from the append of a record until it is folded.
        plan_interval: Milliseconds from one round of planning to the next.
    """

    def __init__(
        self,
        policy: Mapping[str, object] | None = None,
        hop: float = HOP,
        plan_interval: float = PLAN_INTERVAL,
    ) -> None:
        self._patch = policy
        self._hop = hop
        self._plan_interval = plan_interval
        self.ping_pong = 0
        """How often a task came back to an agent that it had been taken from while both were well."""
        self._lost_to: dict[int, set[int]] = {}
        """Agents that a task was taken from."""
        self.ingress = IngressFold(0, {"events": 1, "fleet": 1})
        self.fleet = FleetFold(0, 1)
        self._rounds = Rounds(WaterFillPlanner(), DEFAULT_BUDGET)
        self.alerts: dict[str, int] = {}
        self.withdrawn = 0
        self._offsets = {"events": 0, "fleet": 0}
        self._planning = False
        self._planned_at = float("-inf")

    def begin(self, world: World) -> None:
        self.world = world
        self._incarnations = [0] * len(world.agents)
        self._epochs: list[dict[str, int]] = [{} for _ in world.agents]
        self._directives: dict[int, dict[str, Any]] = {}
        """Of each task that an agent has, the assignment."""
        if self._patch is not None:
            self._append({"type": "policy_changed", "version": 1, "policy": self._patch})
        for agent in world.agents:
            self._register(agent)
        world.every(SECOND, self._tick)
        for agent in world.agents:
            first = world.chance.random() * SECOND
            world.every(world.scenario.report_interval * SECOND, partial(self._beat, agent), first)

    # -- what the world says

    def arrive(self, job: Job) -> None:
        self._append(
            {
                "type": "task_submitted",
                "task_id": f"t{job.number}",
                "requires": {"capabilities": [f"skill-{job.skill}"]},
                "size": job.expected / SECOND,
                "max_attempts": 20,
            }
        )

    def ended(self, agent: SimAgent, job: Job) -> None:
        directive = self._directives.pop(job.number, None)
        if directive is not None:
            self._answer(agent, directive, "completed")

    def failed(self, agent: SimAgent, job: Job) -> None:
        directive = self._directives.pop(job.number, None)
        if directive is not None:
            self._answer(agent, directive, "failed", reason="it always fails")

    def crashed(self, agent: SimAgent, lost: Sequence[Job]) -> None:
        for job in lost:
            self._directives.pop(job.number, None)
        self._epochs[agent.number].clear()

    def back(self, agent: SimAgent) -> None:
        self._register(agent)

    # -- what agents say and hear

    def _register(self, agent: SimAgent) -> None:
        self._incarnations[agent.number] += 1
        skills = [f"skill-{skill}" for skill in sorted(agent.skills)]
        self._say(
            agent,
            {
                "type": "agent_registered",
                "capabilities": skills,
                "slots": agent.slots,
                "incarnation": self._incarnations[agent.number],
            },
        )

    def _beat(self, agent: SimAgent) -> None:
        if agent.up and agent.heard:
            load = self.world.reports[agent.number]
            self._say(agent, {"type": "status_update", "status": "active", "current_load": load})

    def _answer(self, agent: SimAgent, directive: dict[str, Any], outcome: str, **more: object) -> None:
        answer = {"type": "directive_response", "directive_id": directive["directive_id"], "outcome": outcome}
        self._say(agent, {**answer, **more})

    def _say(self, agent: SimAgent, event: dict[str, object]) -> None:
        life = agent.life

        def arrives() -> None:
            if agent.life != life:
                return
            if agent.heard:
                self._append({**event, "agent_id": f"a{agent.number:04}"})
            else:
                self.world.at(SECOND / 2, arrives)

        self.world.at(self.world.scenario.delay, arrives)

    def _hear(self, agent: SimAgent, directive: dict[str, Any]) -> None:
        if not agent.heard:
            self.world.at(SECOND / 2, lambda: self._hear(agent, directive))
            return
        if not agent.up:
            return
        job = self.world.jobs[int(directive["task_id"][1:])] if "task_id" in directive else None
        if directive["type"] != "assign_task" or job is None:
            if job is not None:
                self.withdrawn += 1
                self._directives.pop(job.number, None)
                self.world.take(agent, job)
            self._answer(agent, directive, "completed")
            return
        if directive["expires_at"] * 1_000 <= START + self.world.now:
            return
        epochs = self._epochs[agent.number]
        if directive["epoch"] <= epochs.get(directive["task_id"], 0):
            self._answer(agent, directive, "rejected", reason="stale_epoch")
            return
        epochs[directive["task_id"]] = directive["epoch"]
        self._directives[job.number] = directive
        self._answer(agent, directive, "accepted")
        self.world.give(agent, job)

    # -- the coordinator

    @property
    def moved(self) -> int:
        """Tasks that were moved to even out load."""
        fleet = self.fleet.state.fleets.get("default")
        return 0 if fleet is None else fleet.row.moved

    def _tick(self) -> None:
        self._append({"type": "clock_ticked"})
        self._plan_soon()  # as a worker does: what is due by the mere passing of time

    def _append(self, event: dict[str, object]) -> None:
        self.world.at(self._hop, lambda: self._fold_events(orjson.dumps(event)))

    def _fold_events(self, value: bytes) -> None:
        self._put_out(self.ingress.fold([self._record("events", value)]))

    def _fold_fleet(self, value: bytes) -> None:
        self._put_out(self.fleet.fold([self._record("fleet", value)]))
        if plannable(self.fleet, "default"):
            self._plan_soon()

    def _plan_soon(self) -> None:
        if not self._planning:
            self._planning = True
            self.world.at(max(0.0, self._planned_at + self._plan_interval - self.world.now), self._plan)

    def _record(self, topic: str, value: bytes) -> LogRecord:
        offset = self._offsets[topic]
        self._offsets[topic] = offset + 1
        return LogRecord(offset, START + int(self.world.now), None, value)

    def _put_out(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            value = output.value or b"null"
            if output.topic == "fleet":
                self.world.at(self._hop, partial(self._fold_fleet, value))
            elif output.topic == "events":
                self.world.at(self._hop, partial(self._fold_events, value))
            elif output.topic == "directives":
                directive = orjson.loads(value)
                agent = self.world.agents[int(directive["agent_id"][1:])]
                self._note_ping_pong(agent, directive)
                self.world.at(self.world.scenario.delay, partial(self._hear, agent, directive))
            elif output.topic == "alerts":
                kind = orjson.loads(value)["type"]
                self.alerts[kind] = self.alerts.get(kind, 0) + 1

    def _note_ping_pong(self, agent: SimAgent, directive: dict[str, Any]) -> None:
        if "task_id" not in directive:
            return
        had_it = self._lost_to.setdefault(int(directive["task_id"][1:]), set())
        if directive["type"] == "withdraw_task":
            had_it.add(agent.number)
        elif directive["type"] == "assign_task":
            self.ping_pong += agent.number in had_it

    def _plan(self) -> None:
        self._planning = False
        self._planned_at = self.world.now
        seen = snapshot(self.fleet, "default")
        plan = None if seen is None else self._rounds.propose(seen)
        if plan is not None:
            self.world.at(self._hop, partial(self._fold_fleet, encode_plan(plan)))
