"""A partition of the fleet log in miniature: append records, let time pass, read what the fleet fold said."""

from __future__ import annotations

from typing import Any

import orjson

from models.fleet import FleetFold
from models.fleet.explain import explain
from models.fleet.rows import AgentRow, TaskRow
from models.fold import LogRecord, Output
from streams.planner import WaterFillPlanner, encode_plan, snapshot

START = 1_763_800_000_000
"""Log time of the first record."""


class Said:
    """The outputs of one step, decoded."""

    def __init__(self, outputs: list[Output]) -> None:
        self.outputs = outputs
        self.values = [
            (output.topic, orjson.loads(output.value or b"null"))
            for output in outputs
            if output.topic != "dead-letters"  # which may hold anything
        ]

    def _of(self, topic: str, kind: str | None) -> list[dict[str, Any]]:
        return [v for t, v in self.values if t == topic and (kind is None or v["type"] == kind)]

    def directives(self, kind: str | None = None) -> list[dict[str, Any]]:
        return self._of("directives", kind)

    def results(self, kind: str | None = None) -> list[dict[str, Any]]:
        return self._of("results", kind)

    def alerts(self, kind: str | None = None) -> list[dict[str, Any]]:
        return self._of("alerts", kind)

    def reports(self) -> list[dict[str, Any]]:
        return self._of("reports", None)

    @property
    def directive(self) -> dict[str, Any]:
        """The only directive."""
        (directive,) = self.directives()
        return directive

    @property
    def result(self) -> dict[str, Any]:
        """The only result."""
        (result,) = self.results()
        return result

    @property
    def rejections(self) -> list[str]:
        return [alert["reason"] for alert in self.alerts("rejected")]

    def __bool__(self) -> bool:
        return bool(self.outputs)


class FleetLog:
    """Appends to one partition and folds each record at once; checks all invariants after each."""

    def __init__(self, events_partitions: int = 1) -> None:
        self.fold = FleetFold(0, events_partitions)
        self.events_partitions = events_partitions
        self.now = START
        self.log: list[LogRecord] = []
        self._source_offset = 0

    # -- writing

    def append(self, value: object, *, after: int = 0, key: bytes | None = b"default") -> Said:
        """Append a record ``after`` more milliseconds."""
        self.now += after
        raw = value if isinstance(value, bytes) or value is None else orjson.dumps(value)
        record = LogRecord(len(self.log), self.now, key, raw)
        self.log.append(record)
        outputs = self.fold.fold([record])
        self.fold.validate()
        return Said(outputs)

    def fact(
        self,
        kind: str,
        *,
        after: int = 0,
        partition: int = 0,
        through: int | None = None,
        source: tuple[int, int, int] | None = None,
        **event: object,
    ) -> Said:
        """Append a forwarded event; by default it reaches the log at once."""
        partition, offset, index = source or (partition, self._next_source(), 0)
        value = {
            "type": kind,
            "source": {"partition": partition, "offset": offset, "index": index},
            "through": (self.now + after if through is None else through) / 1000,
            "event": {"type": kind, **event},
        }
        return self.append(value, after=after)

    def own(self, kind: str, *, after: int = 0, **fields: object) -> Said:
        """Append a window or liveness record."""
        source = {"partition": 0, "offset": self._next_source(), "index": 0}
        return self.append({"type": kind, "source": source, "fleet": "default", **fields}, after=after)

    def tick(self, after: int = 1_000, partitions: list[int] | None = None) -> Said:
        """Let time pass: the given events partitions, by default all, are forwarded up to now."""
        self.now += after
        outputs: list[Output] = []
        for partition in range(self.events_partitions) if partitions is None else partitions:
            value = {"type": "clock_ticked", "partition": partition, "through": self.now / 1000}
            outputs += self.append(value).outputs
        return Said(outputs)

    def wait(self, milliseconds: int) -> Said:
        """Let time pass second by second, as ticks do, and one millisecond more, so that it is *past*."""
        outputs: list[Output] = []
        until = self.now + milliseconds + 1
        while self.now < until:
            outputs += self.tick(min(1_000, until - self.now)).outputs
        return Said(outputs)

    def plan(self, *entries: tuple[str, str, int], fleet: str = "default", plan_id: str = "p1") -> Said:
        """Append a plan of ``(task, agent, epoch)``."""
        return self.propose(
            *(
                {"type": "assign_task", "task_id": task, "agent_id": agent, "epoch": epoch}
                for task, agent, epoch in entries
            ),
            fleet=fleet,
            plan_id=plan_id,
        )

    def propose(self, *entries: dict[str, object], fleet: str = "default", plan_id: str = "p1") -> Said:
        """Append a plan of any entries."""
        return self.append(
            {
                "type": "plan_proposed",
                "plan_id": plan_id,
                "fleet": fleet,
                "based_on": len(self.log) - 1,
                "directives": entries,
                "planner": {"name": "test", "version": "1", "budget": 1},
            }
        )

    def place(self) -> Said:
        """Let the real planner plan once, and append what it proposes."""
        view = snapshot(self.fold, "default")
        plan = WaterFillPlanner().plan(view, view.policy) if view else None
        return Said([]) if plan is None else self.append(encode_plan(plan))

    # -- what tests often say

    def agent(self, agent_id: str = "a1", **fields: object) -> Said:
        return self.fact("agent_registered", agent_id=agent_id, **fields)

    def task(self, task_id: str = "t1", **fields: object) -> Said:
        return self.fact("task_submitted", task_id=task_id, **fields)

    def answer(self, directive: dict[str, Any], outcome: str, **fields: object) -> Said:
        event = {"agent_id": directive["agent_id"], "directive_id": directive["directive_id"], **fields}
        return self.fact("directive_response", outcome=outcome, **event)

    def assigned(self, **task: object) -> dict[str, Any]:
        """One agent with one task, assigned and not yet answered."""
        self.agent()
        self.task(**task)
        return self.place().directive

    def running(self, **task: object) -> dict[str, Any]:
        """One agent with one task, accepted."""
        directive = self.assigned(**task)
        self.answer(directive, "accepted")
        return directive

    def run(self, task_id: str, agent_id: str = "a1", epoch: int = 1, **task: object) -> dict[str, Any]:
        """A task that the agent has accepted; it is submitted before its first epoch."""
        if epoch == 1:
            self.task(task_id, **task)
        directive = self.plan((task_id, agent_id, epoch)).directive
        self.answer(directive, "accepted")
        return directive

    def works_at(self, agent_id: str, speed: float) -> None:
        """The agent is known to be so fast."""
        fleet = self.fold.state.fleets["default"]
        agent = fleet.agents[agent_id]
        agent.row.speed = speed
        self.fold.state.speed_learned(fleet, agent)

    # -- reading

    def task_row(self, task_id: str = "t1") -> TaskRow:
        return self.fold.state.tables.tasks.rows[f"default/{task_id}"]

    def agent_row(self, agent_id: str = "a1") -> AgentRow:
        return self.fold.state.tables.agents.rows[f"default/{agent_id}"]

    def held(self, agent_id: str = "a1") -> int:
        """Slots of the agent that live directives hold."""
        return self.fold.state.fleets["default"].agents[agent_id].held_slots

    def explain(self, task_id: str = "t1") -> dict[str, Any]:
        explanation = explain(self.fold, "default", task_id)
        assert explanation is not None
        return explanation

    @property
    def outcomes(self) -> dict[str, int]:
        return {name: count for name, count in self.fold.state.clock.outcomes.items() if count}

    def _next_source(self) -> int:
        self._source_offset += 1
        return self._source_offset


def rows_of(fold: FleetFold) -> dict[str, dict[str, bytes]]:
    """All rows, encoded: what a checkpoint would hold."""
    return {
        name: {key: table.encode(table.rows[key]) for key in sorted(table.rows)}
        for name, table in fold.tables.items()
    }


def restored_from(rows: dict[str, dict[str, bytes]], events_partitions: int) -> FleetFold:
    """A new fold from encoded rows, which come back in another order than they were put in."""
    fold = FleetFold(0, events_partitions)
    for name, table in fold.tables.items():
        for key in reversed(list(rows[name])):
            table.rows[key] = table.decode(rows[name][key])
    fold.restored()
    return fold
