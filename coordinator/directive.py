"""A directive as an agent's author sees it: what to do, and the verbs to answer with.

How it is received, deduplicated and fenced is in ``_desk.py``; how its answers travel, in ``_engagement.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from coordinator import _limits
from coordinator.errors import NotRunning

Outcome: TypeAlias = Literal["accepted", "rejected", "progress", "completed", "failed"]
EndReason: TypeAlias = Literal["answered", "withdrawn", "ack_timeout", "run_timeout", "agent_stopped"]
"""How a directive ended, seen from the agent: by its own last answer, by the coordinator's withdrawal, by one
of the two clocks, or because the agent stopped."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an agent says about a directive."""

    outcome: Outcome
    reason: str | None = None
    progress: float | None = None
    result: object = None

    @property
    def is_final(self) -> bool:
        return self.outcome in ("completed", "failed", "rejected")


@dataclass(frozen=True, slots=True)
class Coalition:
    """The group of agents that do one task together."""

    id: str
    members: tuple[str, ...]
    """Agent ids, this agent's own included."""
    role: str | None
    """This agent's part; ``None`` in a coalition without roles."""


class Engagement(Protocol):
    """The live side of a directive; the agent attaches it."""

    async def answer(self, answer: Answer) -> None: ...
    @property
    def ended(self) -> EndReason | None: ...
    async def wait_ended(self) -> EndReason: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Directive:
    """One instruction of the coordinator to one agent. Times are epoch seconds, durations seconds."""

    directive_id: str
    """Unique and the same at every delivery."""
    type: str
    """``assign_task``, ``withdraw_task``, ``join_coalition``, ``leave_coalition``, ``drain``, ``resume`` or
    ``throttle``. Users see ``assign_task`` only; the agent itself answers all others."""
    agent_id: str
    fleet: str
    task_id: str | None = None
    epoch: int = 0
    """Rises with every assignment of the task. Pass it on to resources that must refuse a slower predecessor."""
    attempt: int = 1
    """1 at the first try."""
    plan_id: str | None = None
    issued_at: float = 0.0
    ack_by: float | None = None
    ack_timeout: float = 10.0
    """Counted from receipt by this agent's own clock."""
    expires_at: float | None = None
    run_timeout: float | None = None
    """Counted from receipt by this agent's own clock; at its end the work stops."""
    payload: object = None
    """What the submitter gave, as plain JSON values."""
    coalition: Coalition | None = None
    cause: Mapping[str, object] = field(default_factory=dict)
    """The record of the fleet log that led to this directive, and the events behind it."""
    provenance: Mapping[str, object] = field(default_factory=dict)
    """Which planner, policy and state it was made from; see the wire's specification."""
    engagement: Engagement | None = field(default=None, repr=False, compare=False)

    async def accept(self) -> None:
        """Say that the work begins. Without it (or another answer) within ``ack_timeout`` the task moves on.

        Raises:
            DirectiveEnded: if it is over already. So do all other answers.
        """
        await self._live().answer(Answer("accepted"))

    async def reject(self, reason: str) -> None:
        """Turn the task down; it costs no attempt, and the coordinator asks another agent."""
        await self._live().answer(Answer("rejected", reason=_limits.shortened(reason)))

    async def progress(self, fraction: float, reason: str | None = None) -> None:
        """Report how far the work is, from 0 to 1; implies ``accept``."""
        _limits.number(fraction, "progress", 0, 1)
        note = None if reason is None else _limits.shortened(reason)
        await self._live().answer(Answer("progress", reason=note, progress=fraction))

    async def complete(self, result: object = None) -> None:
        """End with a result: any JSON value of at most 64 KiB. Returns when the broker has it.

        Raises:
            InvalidValue: if the result is no JSON or too large; the directive is then still open.
        """
        _limits.bounded_json(result, "result")
        await self._live().answer(Answer("completed", result=result))

    async def fail(self, reason: str) -> None:
        """End without a result; it costs an attempt, and the task is tried again while any are left."""
        await self._live().answer(Answer("failed", reason=_limits.shortened(reason)))

    @property
    def ended(self) -> EndReason | None:
        """Why it is over, or ``None`` while it is not. Long work in threads should look at it now and then."""
        return self._live().ended

    async def wait_ended(self) -> EndReason:
        """Wait until it is over, by whatever reason."""
        return await self._live().wait_ended()

    def _live(self) -> Engagement:
        if self.engagement is None:
            raise NotRunning(f"directive {self.directive_id} (it came from no running agent and)")
        return self.engagement
