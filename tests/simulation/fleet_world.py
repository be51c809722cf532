"""A fleet in virtual time: the fleet fold, a real planner, and agents that answer late, twice, wrongly or never.

Everything happens on one heap of moments, drawn from one seed: the same seed gives the same log. There is no
Kafka here and no ingress fold; facts enter the fleet log as an ingress fold would forward them, some of them
twice, as one does after a crash.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

import orjson

from models.fleet import FleetFold
from models.fleet.explain import explain
from models.fold import LogRecord, Output
from streams.planner import WaterFillPlanner, encode_plan, snapshot

START = 1_763_800_000_000
SECOND = 1_000
EVENTS_PARTITIONS = 3
SKILLS = ("saw", "weld", "paint")


class SimulatedAgent:
    """Obeys directives, more or less. It keeps the fencing rule: what it stopped, it does not answer for."""

    def __init__(self, world: FleetWorld, agent_id: str) -> None:
        self.world = world
        self.id = agent_id
        self.skills = world.random.sample(SKILLS, world.random.randint(1, 3))
        self.slots = world.random.randint(1, 4)
        self.incarnation = 0
        self.running: dict[str, str] = {}
        """Task to the directive it runs by."""

    def start(self) -> None:
        """Start, or start again and know nothing of what ran before."""
        self.incarnation += 1
        self.running.clear()
        self.world.say(
            "agent_registered",
            self.id,
            agent_id=self.id,
            capabilities=self.skills,
            slots=self.slots,
            resources={"cpu": 1.0},
            incarnation=self.incarnation,
        )

    def receive(self, directive: dict[str, Any]) -> None:
        chance = self.world.random.random()
        mischief = self.world.mischief
        if chance < 0.10 * mischief:
            return  # never answers
        if directive["type"] == "join_coalition":
            outcome = "rejected" if chance < 0.25 * mischief else "accepted"
            self.answer(directive, outcome, self.world.delay())
            return
        if directive["type"] != "assign_task":
            self.running.pop(directive.get("task_id", ""), None)
            self.answer(directive, "completed", self.world.delay())
            return
        if chance < 0.20 * mischief:
            self.answer(directive, "rejected", self.world.delay(), reason="busy")
            return
        if chance < 0.25 * mischief:
            self.answer(directive, "accepted", self.world.delay(), epoch=directive["epoch"] + 1)
            return
        self.running[directive["task_id"]] = directive["directive_id"]
        self.answer(directive, "accepted", self.world.delay())
        if chance < 0.35 * mischief:
            return  # accepts and never completes
        outcome = "failed" if chance < 0.45 * mischief else "completed"
        incarnation = self.incarnation
        work = self.world.random.randint(100, 4_000)
        self.world.at(work, lambda: self.finish(directive, outcome, incarnation))

    def finish(self, directive: dict[str, Any], outcome: str, incarnation: int) -> None:
        task_id = directive["task_id"]
        if incarnation != self.incarnation or self.running.get(task_id) != directive["directive_id"]:
            return
        del self.running[task_id]
        for _ in range(1 + (self.world.random.random() < 0.2 * self.world.mischief)):
            self.answer(directive, outcome, self.world.delay(), result=directive["directive_id"])

    def answer(self, directive: dict[str, Any], outcome: str, after: int, **fields: object) -> None:
        self.world.at(
            after,
            lambda: self.world.say(
                "directive_response",
                self.id,
                agent_id=self.id,
                directive_id=directive["directive_id"],
                outcome=outcome,
                **fields,
            ),
        )


class FleetWorld:
    """Runs one fleet for some virtual minutes, and checks after every record what must always hold."""

    def __init__(self, seed: int, agents: int = 8, tasks: int = 60) -> None:
        self.random = random.Random(seed)
        self.fold = FleetFold(0, EVENTS_PARTITIONS)
        self.now = START
        self.log: list[LogRecord] = []
        self.outputs: list[Output] = []
        self.mischief = 1.0
        """1 while all goes wrong that may, 0 when it is over."""
        self.agents = {f"a{n}": SimulatedAgent(self, f"a{n}") for n in range(agents)}
        self.tasks = [f"t{n}" for n in range(tasks)]
        self.epochs: dict[str, int] = {}
        self.coalitions: dict[tuple[str, int], str] = {}
        """Whose directives share an epoch of a task."""
        self.results: dict[str, list[dict[str, Any]]] = {}
        self._moments: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._sources = [0] * EVENTS_PARTITIONS
        self._forwarded: list[bytes] = []

    # -- time

    def at(self, after: int, action: Callable[[], None]) -> None:
        self._count += 1
        heappush(self._moments, (self.now + after, self._count, action))

    def every(self, interval: int, action: Callable[[], None]) -> None:
        def again() -> None:
            action()
            self.at(interval, again)

        self.at(interval, again)

    def delay(self) -> int:
        """How long a message takes: short, and sometimes very long."""
        if self.random.random() < 0.05 * self.mischief:
            return self.random.randint(1_000, 20_000)
        return self.random.randint(5, 300)

    def run(self, milliseconds: int) -> None:
        until = self.now + milliseconds
        while self._moments and self._moments[0][0] <= until:
            self.now, _, action = heappop(self._moments)
            action()
        self.now = until

    # -- what happens

    def begin(self) -> None:
        for agent in self.agents.values():
            self.at(self.random.randint(0, 2_000), agent.start)
        for task_id in self.tasks:
            self.at(self.random.randint(0, 30_000), lambda task_id=task_id: self.submit(task_id))
        self.every(SECOND, self.tick)
        self.every(200, self.plan)
        self.every(700, self.trouble)

    def submit(self, task_id: str) -> None:
        skills = self.random.sample(SKILLS, self.random.randint(0, 1))
        event: dict[str, object] = {
            "task_id": task_id,
            "requires": {"capabilities": skills, "resources": {"cpu": self.random.choice([0, 0.1, 0.3])}},
            "priority": self.random.randint(0, 9),
            "max_attempts": self.random.randint(2, 5),
            "ack_timeout": self.random.choice([2, 5]),
            "run_timeout": self.random.choice([6, 20]),
        }
        if self.random.random() < 0.25:
            event["coalition"] = self.random.choice(
                [
                    {"cover": SKILLS},
                    {"cover": SKILLS[:1], "max_size": 2},
                    {"roles": [{"role": "lead", "capabilities": SKILLS[:1]}, {"role": "hand", "count": 2}]},
                ]
            )
        if self.random.random() < 0.1:
            event["deadline"] = (self.now + self.random.randint(1_000, 40_000)) / 1000
        self.say("task_submitted", task_id, **event)
        if self.random.random() < 0.2:
            self.say("task_submitted", task_id, **event)

    def tick(self) -> None:
        for partition in range(EVENTS_PARTITIONS):
            if self.random.random() < 0.05 * self.mischief:
                continue  # a partition lags
            self.append({"type": "clock_ticked", "partition": partition, "through": self.now / 1000})

    def plan(self) -> None:
        view = snapshot(self.fold, "default")
        plan = WaterFillPlanner().plan(view, view.policy, self.random.choice([20, 100_000])) if view else None
        if plan is None:
            return
        value = encode_plan(plan)
        for _ in range(1 + (self.random.random() < 0.2 * self.mischief)):
            late = self.random.randint(0, 1_500) if self.random.random() < 0.3 * self.mischief else 0
            self.at(late, lambda: self.append(value))

    def trouble(self) -> None:
        """One thing goes wrong, or somebody intervenes."""
        if self.random.random() > self.mischief:
            return
        agent = self.random.choice(list(self.agents.values()))
        task_id = self.random.choice(self.tasks)
        what = self.random.randrange(10)
        if what == 0:
            agent.start()
        elif what == 1:
            self.lose(agent)
        elif what == 2:
            self.say("status_update", agent.id, agent_id=agent.id, status="offline")
            agent.running.clear()
            self.at(5_000, lambda: self.say("status_update", agent.id, agent_id=agent.id, status="active"))
        elif what == 3:
            self.say("agent_drained", agent.id, agent_id=agent.id)
            self.at(6_000, lambda: self.say("agent_uncordoned", agent.id, agent_id=agent.id))
        elif what == 4:
            self.say("task_cancelled", task_id, task_id=task_id)
        elif what == 5:
            self.say("agent_deregistered", agent.id, agent_id=agent.id)
            self.at(4_000, agent.start)
        elif what == 6 and self._forwarded:  # an ingress fold came back and says some things again
            for value in self.random.sample(self._forwarded, min(5, len(self._forwarded))):
                self.append(value)
        elif what == 7:
            self.at(self.random.randint(4_000, 9_000), self.tick)
            self.skip_time(self.random.randint(4_000, 9_000))

    def skip_time(self, milliseconds: int) -> None:
        """An outage: for a while nobody can append; everything that was to happen happens later."""
        self._moments = [(time + milliseconds, order, action) for time, order, action in self._moments]

    def lose(self, agent: SimulatedAgent) -> None:
        self.observe("agent_suspected", agent.id)
        self.at(2_000, lambda: self.observe("agent_lost", agent.id))
        self.at(9_000, lambda: self.observe("agent_recovered", agent.id))

    def calm(self) -> None:
        """From now on all goes well, so that what is left can end."""
        self.mischief = 0.0
        for agent in self.agents.values():
            self.at(10_000, agent.start)
            self.at(10_001, lambda agent=agent: self.say("agent_uncordoned", agent.id, agent_id=agent.id))

    # -- the log

    def say(self, kind: str, subject: str, **event: object) -> None:
        """An event that an ingress fold forwards."""
        source = self._source(subject)
        value = {
            "type": kind,
            "source": source,
            "through": self.now / 1000,
            "event": {"type": kind, **event},
        }
        self._forwarded.append(orjson.dumps(value))
        self.append(value)

    def observe(self, kind: str, agent_id: str) -> None:
        self.append(
            {"type": kind, "source": self._source(agent_id), "fleet": "default", "agent_id": agent_id}
        )

    def _source(self, subject: str) -> dict[str, int]:
        partition = sum(subject.encode()) % EVENTS_PARTITIONS
        self._sources[partition] += 1
        return {"partition": partition, "offset": self._sources[partition], "index": 0}

    def append(self, value: dict[str, Any] | bytes) -> None:
        raw = value if isinstance(value, bytes) else orjson.dumps(value)
        record = LogRecord(len(self.log), self.now, b"default", raw)
        self.log.append(record)
        outputs = self.fold.fold([record])
        self.outputs += outputs
        for output in outputs:
            self._hear(output)
        self._check()

    def _hear(self, output: Output) -> None:
        value = orjson.loads(output.value or b"null")
        if output.topic == "results":
            self.results.setdefault(value["task_id"], []).append(value)
        if output.topic != "directives":
            return
        if value["type"] in ("assign_task", "join_coalition"):
            task_id, epoch = value["task_id"], value["epoch"]
            coalition = value.get("coalition")
            if coalition is None or coalition["id"] != self.coalitions.get((task_id, epoch)):
                assert epoch > self.epochs.get(task_id, 0), f"the epoch of {task_id} did not rise"
            if coalition is not None:
                self.coalitions[task_id, epoch] = coalition["id"]
            assert task_id not in self.results, f"{task_id} was assigned after its end"
            self.epochs[task_id] = epoch
        agent = self.agents[value["agent_id"]]
        incarnation = agent.incarnation
        for _ in range(1 + (self.random.random() < 0.05 * self.mischief)):
            self.at(self.delay(), lambda: agent.receive(value) if agent.incarnation == incarnation else None)

    def _check(self) -> None:
        self.fold.validate()
        fleet = self.fold.state.fleets.get("default")
        if fleet is None:
            return
        for agent in fleet.agents.values():
            assert agent.held_slots <= agent.row.slots, f"{agent.id} was given more than its slots"
            assert agent.held_resources.get("cpu", 0) <= 1_000_000, f"{agent.id} was given more than its cpu"
        if len(self.log) % 20 == 0:
            for task in self.fold.state.tables.tasks.rows.values():
                explanation = explain(self.fold, "default", task.task_id)
                assert explanation is not None
                counts = explanation["counts"]
                assert isinstance(counts, dict)
                assert sum(counts.values()) == explanation["agents"]
