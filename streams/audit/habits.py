"""What agents made of their directives in a part of history: how long they took, and what they refused or failed.

It is learned from the fleet log and from what it puts out, so that agents can be made to do likewise when history
is lived again with other decisions: see ``streams.audit.relive``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from models.fleet import FleetFold
from models.fold import Output, Record
from streams.audit.claims import value_of
from streams.audit.waits import Waits
from streams.planner import WaterFillPlanner

_REMEMBERED = 20_000
"""Records of the fleet log among which a plan's base is looked for."""
_ENOUGH = 5
"""Tasks that must have ended on an agent before its failures count as its own."""
_OF_OPERATORS = ("agent_cordoned", "agent_uncordoned", "agent_drained")
"""Facts about agents that these did not say themselves."""


@dataclass(slots=True)
class _Given:
    """A directive that may still be answered."""

    task_id: str | None
    attempt: int
    issued: int
    accepted: int | None = None
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """How an agent ended its work on a task.

    Attributes:
        took: Milliseconds from its acceptance.
        reason: Why it failed; ``None`` if it did not.
    """

    agent_id: str
    took: int
    reason: str | None = None


@dataclass(slots=True)
class _Record:
    """What is known of one agent."""

    reactions: Waits = field(default_factory=Waits)
    completed: int = 0
    failures: Waits = field(default_factory=Waits)
    """How long it was at tasks that then failed."""
    reason: str = "failed"
    """For which the last one did."""

    @property
    def fails(self) -> bool:
        """Whether most of what it was given failed: that is its fault, rather than the tasks'."""
        return self.failures.count >= _ENOUGH and self.failures.count > self.completed


class Habits:
    """Learns from records and what they put out, in order.

    Attributes:
        runs: By task, the run that completed it.
        failures: By task and attempt, what failed.
        refusals: By task and agent, the reason for which the one did not want the other.
        lag: Milliseconds from the record that a plan is based on to the plan.
        budget: The most work units that the planner might spend; ``None`` before its first plan.
    """

    def __init__(self, fleet: str) -> None:
        self._fleet = fleet
        self._given: dict[str, _Given] = {}
        self._agents: dict[str, _Record] = {}
        self._all = _Record()
        self._recent: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED)
        """Offsets and times."""
        self._silences: dict[str, list[tuple[int, int | None]]] = {}
        """Of agents that were suspected, or lost: since when, and until when."""
        self.runs: dict[str, Ending] = {}
        self.failures: dict[tuple[str, int], Ending] = {}
        self.refusals: dict[tuple[str, str], str] = {}
        self.lag = Waits()
        self.budget: int | None = None
        self.speeds: dict[str, float] = {}
        self.paces: dict[str, float] = {}

    def learn(self, record: Record, value: dict[str, Any], outputs: Sequence[Output]) -> None:
        """From a record, the object in it, and what was put out because of it."""
        self._recent.append((record.offset, record.timestamp))
        self._listen(value, record.timestamp)
        if value.get("type") == "directive_response":
            self._answered(value.get("event") or {}, record.timestamp)
        elif value.get("type") == "plan_proposed" and value.get("fleet") == self._fleet:
            self._planned(value, record.timestamp)
        for output in outputs:
            if output.topic == "directives":
                self._note(value_of(output), record.timestamp)

    def end(self, fold: FleetFold) -> None:
        """Nothing more is learned; the fold of the same records knows how fast agents are."""
        known = fold.state.fleets.get(self._fleet)
        if known is not None:
            self.speeds = {agent.id: agent.row.speed for agent in known.agents.values()}
        start = f"{self._fleet}/"
        paces = fold.state.tables.paces.rows
        self.paces = {
            key.removeprefix(start): row.mean for key, row in paces.items() if key.startswith(start)
        }
        self._given.clear()
        self._recent.clear()

    # -- what was learned

    def heard(self, agent_id: str, now: int) -> int | None:
        """When the agent, which wants to say something now, was heard: in a silence that began before its end;
        ``None`` if never again."""
        for begin, end in self._silences.get(agent_id, ()):
            if begin <= now and (end is None or now <= end):
                return None if end is None else end + 1
        return now

    def reaction(self, agent_id: str) -> int:
        """Milliseconds until the agent answers a directive for the first time."""
        known = self._agents.get(agent_id)
        waits = known.reactions if known is not None and known.reactions.count else self._all.reactions
        return waits.typical

    def failure(self, task_id: str, attempt: int, agent_id: str) -> Ending | None:
        """How this attempt of the task fails on the agent; ``None`` if it does not. Whoever has failed at most of
        its tasks fails at all of them, and others do where the task failed on somebody who usually does not."""
        known = self._agents.get(agent_id)
        if known is not None and known.fails:
            return Ending(agent_id, known.failures.typical, known.reason)
        failure = self.failures.get((task_id, attempt))
        return None if failure is None or self._agents[failure.agent_id].fails else failure

    def speed(self, agent_id: str) -> float:
        return self.speeds.get(agent_id, 1.0)

    def takes(self, task_id: str, agent_id: str, size: float, class_id: str) -> int:
        """Milliseconds that the agent needs for the task: as long as it took, if it was ever completed, by the
        ratio of the agents' speeds; else as long as is usual for its class."""
        run = self.runs.get(task_id)
        if run is not None:
            return max(1, round(run.took * self.speed(run.agent_id) / self.speed(agent_id)))
        return max(1, round(self.paces.get(class_id, 1_000.0) * size / self.speed(agent_id)))

    # -- learning

    def _listen(self, value: dict[str, Any], now: int) -> None:
        """Who is silent, since when, and who is heard again."""
        kind, event = value.get("type"), value.get("event")
        about = event if isinstance(event, dict) else value
        agent_id = about.get("agent_id")
        if about.get("fleet", "default") != self._fleet or not isinstance(agent_id, str):
            return
        if kind in ("agent_suspected", "agent_lost"):
            silences = self._silences.setdefault(agent_id, [])
            if not silences or silences[-1][1] is not None:
                silences.append((now - (value.get("silence") or 0), None))
        elif agent_id in self._silences and kind not in _OF_OPERATORS:
            silences = self._silences[agent_id]
            begin, end = silences[-1]
            silences[-1] = begin, now if end is None else end

    def _note(self, directive: dict[str, Any], now: int) -> None:
        if directive.get("fleet") == self._fleet:
            task_id = directive.get("task_id") if directive["type"] == "assign_task" else None
            self._given[directive["directive_id"]] = _Given(task_id, directive.get("attempt") or 1, now)

    def _answered(self, event: dict[str, Any], now: int) -> None:
        directive_id, agent_id = event.get("directive_id"), event.get("agent_id")
        given = self._given.get(directive_id) if isinstance(directive_id, str) else None
        if given is None or not isinstance(agent_id, str):
            return
        known = self._agents.setdefault(agent_id, _Record())
        if not given.answered:
            given.answered = True
            for waits in (known.reactions, self._all.reactions):
                waits.add(now - given.issued)
        outcome = event.get("outcome")
        if outcome in ("accepted", "progress"):
            given.accepted = now if given.accepted is None else given.accepted
            return
        del self._given[str(directive_id)]
        if given.task_id is None:
            return
        reason = str(event.get("reason") or outcome)
        took = now - (given.issued if given.accepted is None else given.accepted)
        if outcome == "rejected":
            self.refusals[given.task_id, agent_id] = reason
        elif outcome == "completed":
            known.completed += 1
            self.runs[given.task_id] = Ending(agent_id, took)
        elif outcome == "failed":
            known.failures.add(took)
            known.reason = reason
            self.failures[given.task_id, given.attempt] = Ending(agent_id, took, reason)

    def _planned(self, plan: dict[str, Any], now: int) -> None:
        base = plan.get("based_on")
        place = bisect_left(self._recent, (base, 0)) if isinstance(base, int) else len(self._recent)
        if place < len(self._recent) and self._recent[place][0] == base:
            self.lag.add(now - self._recent[place][1])
        planner = plan.get("planner") or {}
        budget = planner.get("budget")
        if planner.get("name") == WaterFillPlanner.name and isinstance(budget, int):
            self.budget = max(self.budget or 0, budget)
