"""The life of two fleets from which golden logs are made: all kinds of events, decisions and mischief, by a seed.

It is told in events, so that the ingress fold has its part: agents beat, report metrics and resources, come late,
twice or broken, fall silent and come back; everything else is drawn as awkward as may be.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import orjson

from models.fleet.feasibility import feasibility
from models.fleet_records import CoordinationPlan, ProposedDirective
from streams.planner import FleetSnapshot, WaterFillPlanner
from streams.planner.coordination import Rounds
from tests.support.lives import SKILLS, traits, wants, wishes
from tests.unit.streams.audit.recorded import BUDGET, EVENTS, START, Coordinator, Recorded

FLEETS = ("default", "north")
_POLICY = {
    "planning": {"preemption": 3, "tenants": {"x": 3}, "ageing": 60, "quotas": {"y": {"slots": 9}}},
    "rebalancing": {"moves": 3, "interval": 1, "load_memory": 3, "cool_down": 1, "start": 0.05},
    "retry": {"base": 0.5},
}
_ANSWERS = {
    "assign_task": ("accepted", "accepted", "accepted", "completed", "completed", "failed", "rejected", None),
    "join_coalition": ("accepted", "accepted", "accepted", "rejected"),
}


class Planning(Coordinator):
    """Plans as a worker does, from round to round.

    Args:
        misled_at: In the first plan from this second on that could do so, one task goes to another agent than the
            planner chose: feasible, and a wrong decision.
    """

    def __init__(self, misled_at: int | None = None) -> None:
        super().__init__()
        self._rounds = Rounds(WaterFillPlanner(), BUDGET)
        self._misled_at = misled_at
        self.misled: CoordinationPlan | None = None
        """The plan that was altered."""

    def propose(self, seen: FleetSnapshot) -> CoordinationPlan | None:
        plan = self._rounds.propose(seen)
        if plan is None or self.misled or self._misled_at is None:
            return plan
        if self.now < START + 1_000 * self._misled_at:
            return plan
        for number, entry in enumerate(plan.directives):
            if isinstance(entry, ProposedDirective):
                other = self._other(seen, entry)
                if other is not None:
                    wrong = replace(entry, agent_id=other)
                    entries = [*plan.directives[:number], wrong, *plan.directives[number + 1 :]]
                    self.misled = replace(plan, directives=entries)
                    return self.misled
        return plan

    @staticmethod
    def _other(seen: FleetSnapshot, entry: ProposedDirective) -> str | None:
        task = seen.task(entry.task_id)
        able = [a.id for a in seen.agents if feasibility(task, a, seen.now) == "eligible"]
        return next((name for name in sorted(able) if name != entry.agent_id), None)


class Life:
    """Lived by :meth:`live`; what came of it is ``coordinator.recorded``."""

    def __init__(self, seed: int, agents: int, misled_at: int | None = None) -> None:
        self.chance = Random(seed)
        self.coordinator = Planning(misled_at)
        self._agents = agents
        self._silent: set[tuple[str, int]] = set()
        self._sequence: dict[tuple[str, int], int] = {}
        self._answered: dict[int, int] = {}
        self._held: list[dict[str, Any]] = []

    @property
    def recorded(self) -> Recorded:
        return self.coordinator.recorded

    def live(self, seconds: int) -> Recorded:
        for fleet in FLEETS:
            self.coordinator.say(type="policy_changed", fleet=fleet, version=1, policy=_POLICY)
            for number in range(self._agents):
                self.register(fleet, number)
        for second in range(seconds):
            self.coordinator.tick()
            for fleet in FLEETS:
                for number in range(self._agents):
                    self.beat(fleet, number)
                for task in range(3 if second < 0.7 * seconds else 0):
                    task_id = f"{fleet[0]}{second}-{task}"
                    self.coordinator.say(type="task_submitted", fleet=fleet, task_id=task_id, **self.task())
                self.happen(fleet, second)
            self.mischief(second)
            self.coordinator.plan()
            self.answer()
        return self.recorded

    def register(self, fleet: str, number: int) -> None:
        chance = self.chance
        self._silent.discard((fleet, number))
        self._sequence[fleet, number] = 0
        self.coordinator.say(
            type="agent_registered",
            fleet=fleet,
            agent_id=f"a{number}",
            capabilities=chance.sample(SKILLS, chance.randint(2, 5)),
            slots=chance.choice([1, 2, 4]),
            **traits(chance, self.coordinator.now - 1_763_000_000_000),
        )

    def beat(self, fleet: str, number: int) -> None:
        """What an agent says once a second, if it says anything: now and then late, twice, or as it was before."""
        chance = self.chance
        if (fleet, number) in self._silent:
            return
        sequence = self._sequence[fleet, number] = self._sequence[fleet, number] + 1
        at = self.coordinator.now / 1000 - chance.choice([0, 0, 0, 0.4, 30])
        common = {"fleet": fleet, "agent_id": f"a{number}", "seq": sequence, "time": at}
        kind = chance.random()
        if kind < 0.7:
            load = round(chance.random() * (1 + number % 2), 3)
            event = {"type": "status_update", **common, "status": "active", "current_load": load}
        elif kind < 0.9:
            event = {"type": "metric_report", **common, "metrics": {"latency": round(chance.random(), 4)}}
        else:
            used = {"gpu": {"capacity": chance.choice([0.5, 2]), "used": 0.25}}
            event = {"type": "resource_report", **common, "resources": used}
        for _ in range(chance.choice([1, 1, 1, 1, 2])):
            self.coordinator.say(**event)

    def task(self) -> dict[str, object]:
        chance = self.chance
        sing = {"requires": {"capabilities": ["sing"]}}
        special = [{}, {}, *wishes(chance, self.coordinator.now), sing]
        return {
            **wants(chance),
            "ack_timeout": chance.choice([3, 10]),
            "run_timeout": chance.choice([6, 60]),
            "payload": chance.choice([None, 0.1, {"words": ["ä", "\u2028", "\U0001f916"]}, [1, [2, {}]]]),
            **chance.choice(special),
        }

    def happen(self, fleet: str, second: int) -> None:
        number = self.chance.randrange(self._agents)
        agent_id = f"a{number}"
        match self.chance.randrange(9):
            case 0:
                self._silent.add((fleet, number))
            case 1 | 2:
                self.register(fleet, number)
            case 3:
                self.coordinator.say(type="agent_cordoned", fleet=fleet, agent_id=agent_id)
            case 4:
                self.coordinator.say(type="agent_uncordoned", fleet=fleet, agent_id=agent_id)
            case 5:
                until = self.coordinator.now / 1000 + 4
                self.coordinator.say(type="agent_drained", fleet=fleet, agent_id=agent_id, deadline=until)
            case 6:
                self.coordinator.say(type="task_cancelled", fleet=fleet, task_id=f"{fleet[0]}{second - 2}-0")
        if second == 20:
            self.coordinator.say(type="agent_deregistered", fleet=fleet, agent_id="a1", reason="sold")
            patch = {"windows": {"size": 5}, "planning": {"preemption": 0}}
            self.coordinator.say(type="policy_changed", fleet=fleet, version=2, policy=patch)

    def mischief(self, second: int) -> None:
        """What is no event, or not where it belongs."""
        if second % 7 != 3:
            return
        for value in (
            b"no JSON",
            b'{"type":"task_submitted","task_id":"x","task_id":"y"}',
            b'{"type":"status_update","agent_id":"a1","status":"asleep"}',
            b'{"type":"dance","agent_id":"a1"}',
            b"\xff\x00",
            orjson.dumps({"type": "task_submitted", "task_id": f"stray{second}"}),
            orjson.dumps(
                {"type": "directive_response", "agent_id": "a0", "directive_id": "z.1.0", "outcome": "failed"}
            ),
        ):
            self.coordinator.misplaced(value, self.chance.randrange(EVENTS))
        self.coordinator.say(type="clock_ticked")

    def answer(self) -> None:
        for partition in range(2):
            records = self.recorded.topics["directives", partition]
            news = records[self._answered.get(partition, 0) :]
            self._answered[partition] = len(records)
            self._held += [orjson.loads(record.value or b"") for record in news]
        held, self._held = self._held, []
        for directive in held:
            if (directive["fleet"], int(directive["agent_id"][1:])) in self._silent:
                continue
            outcome = self.chance.choice(_ANSWERS.get(directive["type"], ("completed",)))
            if outcome in (None, "accepted") and directive["type"] == "assign_task":
                self._held.append(directive)
            if outcome is not None:
                said = {name: directive[name] for name in ("fleet", "agent_id", "directive_id")}
                reason = {"reason": "no disk"} if outcome in ("failed", "rejected") else {}
                self.coordinator.say(type="directive_response", outcome=outcome, **said, **reason)
