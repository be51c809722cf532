"""Where directives come in: a pure core that decides what to do about each, and says it as data.

Records go in, small instructions come out; the agent (``agent.py``) carries them out. No Kafka, no clock, no
tasks here, so that every interleaving, repetition and restart can be tested in microseconds.

The promises, which hold across restarts when the store does:

- An assignment is executed at most once, however often it is delivered.
- An assignment with an older epoch than one seen (or withdrawn) for its task is never executed: **fencing**.
- A repeated delivery of an answered directive gets the same answer again.
- Nothing from before the current registration is executed, since the registration ended it.

Fencing needs one number for each task, its *floor*: the lowest epoch that may still run. Assigning epoch ``e``
to this agent alone raises the floor to ``e + 1``, and so does withdrawing it. Within a coalition several
directives share one epoch (join, assign, and after a repair again), so there the floor only rises to ``e``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from coordinator._store import Remembered, StateStore
from coordinator.directive import Answer, Directive

LONGEST_RUN = 30 * 86_400.0
"""Seconds; no directive outlives its ``run_timeout``, which the contract bounds."""


@dataclass(frozen=True, slots=True)
class Execute:
    """A new assignment: hand it to the agent's author."""

    directive: Directive


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer at once."""

    directive: Directive
    answer: Answer


@dataclass(frozen=True, slots=True)
class Halt:
    """Stop all work on a task up to an epoch, then answer ``completed`` if ``reply`` says so."""

    directive: Directive
    reply: bool


@dataclass(frozen=True, slots=True)
class ChangeMode:
    """``draining`` or ``throttle`` have changed."""


Instruction: TypeAlias = Execute | Reply | Halt | ChangeMode


class Desk:
    """The incoming directives of one agent in one incarnation.

    Attributes:
        draining: The coordinator wants no new work to begin here.
        throttle: Most directives to work on at once, below the agent's slots; ``None`` if not throttled.
        stopping: The agent itself takes no new work.
        joins: Coalitions that this agent has promised to work in, by id, each holding a slot.
    """

    def __init__(
        self, store: StateStore, agent_id: str, fleet: str, *, slots: int, registered_at: int
    ) -> None:
        """Take up work.

        Args:
            store: The agent's memory.
            agent_id: Directives to others are not for this desk.
            fleet: Likewise.
            slots: How many promises and executions fit.
            registered_at: End offset of the agent's directives partition before it registered. What lies
                before it was meant for an earlier incarnation.
        """
        self._store = store
        self._agent_id = agent_id
        self._fleet = fleet
        self._registered_at = registered_at
        self.slots = slots
        self.draining = store.fact("draining") == 1
        throttle = store.fact("throttle")
        self.throttle = None if throttle is None else int(throttle)
        self.stopping = False
        self.joins: dict[str, Directive] = {}

    def receive(self, offset: int, directive: Directive, *, now: float, engaged: int) -> list[Instruction]:
        """Decide about one delivery.

        Args:
            offset: Of its record.
            directive: What it says.
            now: Epoch seconds by the agent's clock.
            engaged: How many assignments are being worked on.
        """
        if directive.agent_id != self._agent_id or directive.fleet != self._fleet:
            return []
        if directive.expires_at is not None and directive.expires_at <= now:
            return []
        known = self._store.find(directive.directive_id)
        if known is not None:
            return self._repeat(directive, known)
        for_this_incarnation = offset >= self._registered_at
        match directive.type:
            case "assign_task" | "join_coalition" if directive.task_id is not None:
                return self._offer(offset, directive, for_this_incarnation, engaged)
            case "withdraw_task" | "leave_coalition" if directive.task_id is not None:
                return self._withdraw(offset, directive, now, for_this_incarnation)
            case "drain" | "resume" | "throttle":
                return self._change_mode(offset, directive, for_this_incarnation)
            case _:
                # A type of a later version. Left unanswered, so that whoever sent it learns that it has no effect.
                return []

    def answered(self, directive: Directive, answer: Answer) -> None:
        """Note an answer, before it is sent."""
        self._store.answered(directive.directive_id, answer)
        if answer.is_final and directive.coalition is not None:
            self.joins.pop(directive.coalition.id, None)

    # -- one method for each kind ---------------------------------------------------------------------------

    def _repeat(self, directive: Directive, known: Remembered) -> list[Instruction]:
        if known.answer is not None and (known.is_final or known.incarnation == self._store.incarnation):
            return [Reply(directive, known.answer)]
        # Not answered yet: it is being worked on. Or answered so long ago that the answer is forgotten.
        # Or begun by an incarnation that did not finish; the registration since then has ended it.
        return []

    def _offer(
        self, offset: int, directive: Directive, for_this_incarnation: bool, engaged: int
    ) -> list[Instruction]:
        task_id, epoch = directive.task_id or "", directive.epoch
        stale = epoch < self._store.floor(task_id)
        shared = directive.coalition is not None or directive.type == "join_coalition"
        self._remember(offset, directive, floor=epoch if shared else epoch + 1)
        if not for_this_incarnation:
            return []
        if stale:
            return self._refuse(directive, "stale_epoch")
        if self.stopping:
            return self._refuse(directive, "agent_stopped")
        coalition = directive.coalition.id if directive.coalition is not None else None
        if directive.type == "assign_task":
            if coalition is not None:
                self.joins.pop(coalition, None)  # the assignment takes over the slot of the join
            return [Execute(directive)]
        if coalition is None:
            return self._refuse(directive, "no_coalition_given")
        if self.draining:
            return self._refuse(directive, "draining")
        if coalition not in self.joins and engaged + len(self.joins) >= self.slots:
            return self._refuse(directive, "no_free_slot")
        self.joins[coalition] = directive
        return self._reply(directive, Answer("accepted"))

    def _withdraw(
        self, offset: int, directive: Directive, now: float, for_this_incarnation: bool
    ) -> list[Instruction]:
        leaving = directive.type == "leave_coalition"
        # A withdrawal does not say how long its assignment would have been valid: assume the longest.
        self._remember(
            offset,
            directive,
            floor=directive.epoch if leaving else directive.epoch + 1,
            until=now + LONGEST_RUN,
        )
        if directive.coalition is not None:
            self.joins.pop(directive.coalition.id, None)
        return [Halt(directive, reply=for_this_incarnation)]

    def _change_mode(
        self, offset: int, directive: Directive, for_this_incarnation: bool
    ) -> list[Instruction]:
        if directive.type == "throttle":
            if not _is_throttle(directive.payload):
                self._remember(offset, directive)
                return self._refuse(
                    directive, 'the payload must be {"slots": n}, or null to lift the throttle'
                )
            self.throttle = directive.payload["slots"] if isinstance(directive.payload, dict) else None
            self._remember(offset, directive, facts={"throttle": self.throttle})
        else:
            self.draining = directive.type == "drain"
            self._remember(offset, directive, facts={"draining": int(self.draining)})
        changed: list[Instruction] = [ChangeMode()]
        if for_this_incarnation:
            changed += self._reply(directive, Answer("completed"))
        return changed

    # -- helpers --------------------------------------------------------------------------------------------

    def _remember(
        self,
        offset: int,
        directive: Directive,
        *,
        floor: int | None = None,
        until: float | None = None,
        facts: dict[str, int | str | None] | None = None,
    ) -> None:
        fence = None
        if floor is not None and directive.task_id is not None:
            keep = directive.expires_at or until or directive.issued_at + LONGEST_RUN
            fence = (directive.task_id, floor, keep)
        self._store.remember(
            directive.directive_id,
            position=offset + 1,
            keep_until=directive.expires_at,
            fence=fence,
            facts=facts or {},
        )

    def _refuse(self, directive: Directive, reason: str) -> list[Instruction]:
        return self._reply(directive, Answer("rejected", reason=reason))

    def _reply(self, directive: Directive, answer: Answer) -> list[Instruction]:
        self._store.answered(directive.directive_id, answer)
        return [Reply(directive, answer)]


def _is_throttle(payload: object) -> bool:
    if payload is None:
        return True
    return isinstance(payload, dict) and type(slots := payload.get("slots")) is int and slots >= 0
