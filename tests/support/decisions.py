"""Some rounds of a whole fleet's life, by a seed: all that the planner and the fleet fold said, as one digest.

What is in it is meant to be awkward: agents of many shapes and speeds, tasks of all kinds with every wish, more of
them than there is room for, tenants, coalitions, groups, agents that fail, fall silent and come back, load that
nobody gave them, preemption and moves.
"""

from __future__ import annotations

from hashlib import sha256
from random import Random
from typing import Any

import orjson

from models.fleet import FleetFold
from models.fold import LogRecord, Output
from streams.planner import WaterFillPlanner, encode_plan, snapshot
from streams.planner.coordination import Rounds
from streams.planner.placement import DEFAULT_BUDGET
from tests.support.lives import SKILLS, traits, wants, wishes

_START = 1_763_800_000_000
_POLICY = {
    "planning": {"preemption": 3, "tenants": {"x": 3}, "ageing": 60, "quotas": {"y": {"slots": 30}}},
    "rebalancing": {"moves": 5, "interval": 1, "load_memory": 3, "cool_down": 1, "start": 0.05},
    "retry": {"base": 0.5},
}
_ROUNDS = 75
_BUSY_ROUNDS = 50
"""After so many nothing new comes."""
_AGENTS = 60
_TASKS_A_ROUND = 12


class _Life:
    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.fold = FleetFold(0, 1)
        self.rounds = Rounds(WaterFillPlanner(), DEFAULT_BUDGET)
        self.now = _START
        self.said = sha256()
        self.counts: dict[str, int] = {}
        self._offset = 0
        self._source = 0
        self._held: list[dict[str, Any]] = []
        """Assignments and joins that agents have not ended."""

    def live(self) -> None:
        self.fact("policy_changed", version=1, policy=_POLICY)
        for number in range(_AGENTS):
            self.register(number)
        for number in range(_ROUNDS):
            for task in range(_TASKS_A_ROUND if number < _BUSY_ROUNDS else 0):
                self.fact("task_submitted", task_id=f"t{number}-{task}", **self.task())
            self.happen(calm=number > _BUSY_ROUNDS)
            self.plan()
            self.answer()
            self.now += 700
            self.append({"type": "clock_ticked", "partition": 0, "through": self.now / 1000})
            if number % 14 == 13:
                self.close_window()

    def register(self, number: int) -> None:
        chance = self.chance
        self.fact(
            "agent_registered",
            agent_id=f"a{number}",
            capabilities=chance.sample(SKILLS, chance.randint(1, 4)),
            slots=chance.choice([1, 2, 4, 7]),
            **traits(chance, self._offset),
        )

    def task(self) -> dict[str, object]:
        chance = self.chance
        special = [{}, {}, {}, *wishes(chance, self.now)]
        return {**wants(chance), "payload": chance.random(), **chance.choice(special)}

    def happen(self, calm: bool) -> None:
        """What goes wrong now and then; after that only new agents come."""
        number = self.chance.randrange(_AGENTS)
        agent_id = f"a{number}"
        if calm:
            self.register(_AGENTS + number)
            return
        match self.chance.randrange(5):
            case 0:
                self.own("agent_suspected", agent_id=agent_id, silence=5_000)
                self.own("agent_lost", agent_id=agent_id, silence=9_000)
                self._held = [one for one in self._held if one["agent_id"] != agent_id]
            case 1:
                self.register(number)
            case 2:
                self.fact("agent_cordoned", agent_id=agent_id)
            case 3:
                self.fact("agent_uncordoned", agent_id=agent_id)

    def plan(self) -> None:
        for _ in range(3):
            seen = snapshot(self.fold, "default")
            plan = None if seen is None else self.rounds.propose(seen)
            if plan is None:
                return
            raw = encode_plan(plan)
            self.said.update(raw)
            for entry in plan.directives:
                self.counts[entry.type] = self.counts.get(entry.type, 0) + 1
            self.append(raw)

    def answer(self) -> None:
        held, self._held = self._held, []
        for directive in held:
            outcomes = ["accepted", "accepted", "accepted", "completed", "failed", "rejected", None]
            if directive["type"] == "join_coalition":
                outcomes = ["accepted", "accepted", "accepted", "rejected"]
            elif directive["type"] != "assign_task":
                outcomes = ["completed"]
            outcome = self.chance.choice(outcomes)
            if outcome in (None, "accepted") and directive["type"] == "assign_task":
                self._held.append(directive)
            if outcome is not None:
                event = {"agent_id": directive["agent_id"], "directive_id": directive["directive_id"]}
                self.fact("directive_response", outcome=outcome, **event)

    def close_window(self) -> None:
        """Some agents have less to do than they say."""
        start = self.now // 10_000 * 10 - 10
        agents = {}
        for number in range(0, _AGENTS, 3):
            load = number / _AGENTS
            shown = {"count": 9, "sum": 9 * load, "mean": load, "min": load, "max": load, "last": load}
            agents[f"a{number}"] = {"current_load": shown}
        self.own("window_closed", start=start, end=start + 10, agents=agents)

    # -- the log

    def fact(self, kind: str, **event: object) -> None:
        source = {"partition": 0, "offset": self._next(), "index": 0}
        value = {"type": kind, "source": source, "through": self.now / 1000, "event": {"type": kind, **event}}
        self.append(value)

    def own(self, kind: str, **fields: object) -> None:
        source = {"partition": 0, "offset": self._next(), "index": 0}
        self.append({"type": kind, "source": source, "fleet": "default", **fields})

    def append(self, value: object) -> None:
        raw = value if isinstance(value, bytes) else orjson.dumps(value)
        for output in self.fold.fold([LogRecord(self._offset, self.now, b"default", raw)]):
            self._hear(output)
        self._offset += 1

    def _hear(self, output: Output) -> None:
        for part in (output.topic.encode(), output.key, output.value):
            self.said.update(part or b"")
        for name, value in output.headers:
            self.said.update(name.encode() + (value or b""))
        value = orjson.loads(output.value or b"null")
        if output.topic == "directives":
            self._held.append(value)
        kind = str(value.get("type"))
        self.counts[kind] = self.counts.get(kind, 0) + 1

    def _next(self) -> int:
        self._source += 1
        return self._source


def made_by(seed: int) -> tuple[str, dict[str, int]]:
    """The digest of everything that was said, and how often what was."""
    life = _Life(seed)
    life.live()
    life.fold.validate()
    return life.said.hexdigest()[:16], life.counts
