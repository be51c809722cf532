"""A task as its submitter describes it, and the result in which it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import uuid4

from coordinator import _limits
from coordinator.errors import InvalidValue, TaskCancelled, TaskError, TaskExists, TaskFailed, TaskRefused

TaskState: TypeAlias = Literal["completed", "failed", "cancelled", "refused"]


def new_task_id() -> str:
    return uuid4().hex


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A part in a coalition."""

    role: str
    capabilities: Sequence[str] = ()
    """What each agent in this role must have, besides what the task requires of all."""
    count: int = 1
    """How many agents play it, 1 to 64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Keep a task apart from others of its group, such as replicas of one thing."""

    group: str
    by: str = "agent"
    """What they are to differ in: ``agent``, ``zone``, or ``labels.`` and the name of a label."""
    most: int | None = None
    """So many of the group may be at one place at the same time. Without it they only avoid each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Work for the fleet. Everything has a default but what the work is: its ``payload``."""

    payload: object = None
    """What the agent gets to read: any JSON value of at most 64 KiB."""
    task_id: str = field(default_factory=new_task_id)
    """Unique within the fleet. Submitting the same task with the same id again changes nothing."""
    capabilities: Sequence[str] = ()
    """What the agent must be able to do; all of them."""
    resources: Mapping[str, float] = field(default_factory=dict)
    """How much of which resource it occupies while it runs."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that the agent must have, with these values."""
    slots: int = 1
    """How many of the agent's slots it occupies."""
    size: float = 1.0
    """Expected seconds on an agent of speed 1; better guesses give better plans."""
    priority: int = 5
    """0 to 9; higher goes first."""
    deadline: datetime | float | None = None
    """When it fails if it has not begun by then: a time with zone, or epoch seconds."""
    prefer_zone: str | None = None
    prefer_labels: Mapping[str, str] = field(default_factory=dict)
    """Wishes, not conditions."""
    max_attempts: int = 3
    """How often it may fail, run out of time or lose its agent before it fails for good."""
    ack_timeout: float = 10.0
    """Seconds for an agent to accept it, at most 1 h."""
    run_timeout: float = 3600.0
    """Seconds for an agent to finish it, at most 30 days."""
    tenant: str | None = None
    roles: Sequence[Role] = ()
    """Do it in a coalition of these roles."""
    cover: Sequence[str] = ()
    """Do it in a coalition whose members together have these capabilities. Not with ``roles``."""
    max_size: int | None = None
    """Most members of a coalition by ``cover``."""
    spread: Spread | None = None
    """Keep it apart from others of a group. Not in a coalition, whose members are different agents anyway."""

    def fields(self) -> dict[str, object]:
        """The fields of its ``task_submitted`` event.

        Raises:
            InvalidValue: naming the first field that the contract does not allow.
        """
        requires: dict[str, object] = {}
        if self.capabilities:
            requires["capabilities"] = _limits.identifiers(self.capabilities, "capabilities")
        if self.resources:
            requires["resources"] = _limits.amounts(self.resources, "resources")
        if self.labels:
            requires["labels"] = _limits.labels(self.labels, "labels")
        prefer: dict[str, object] = {}
        if self.prefer_zone is not None:
            prefer["zone"] = _limits.identifier(self.prefer_zone, "prefer_zone")
        if self.prefer_labels:
            prefer["labels"] = _limits.labels(self.prefer_labels, "prefer_labels")
        return {
            "task_id": _limits.identifier(self.task_id, "task_id"),
            "requires": requires or None,
            "slots": _limits.integer(self.slots, "slots", 1, 100_000),
            "size": _limits.positive(self.size, "size", 1e9),
            "priority": _limits.integer(self.priority, "priority", 0, 9),
            "deadline": None if self.deadline is None else _limits.moment(self.deadline, "deadline"),
            "prefer": prefer or None,
            "max_attempts": _limits.integer(self.max_attempts, "max_attempts", 1, 1000),
            "ack_timeout": _limits.number(self.ack_timeout, "ack_timeout", 0.05, 3600),
            "run_timeout": _limits.number(self.run_timeout, "run_timeout", 0.05, 2_592_000),
            "tenant": None if self.tenant is None else _limits.identifier(self.tenant, "tenant"),
            "coalition": self._coalition(),
            "spread": self._spread(),
            "payload": _limits.bounded_json(self.payload, "payload"),
        }

    def _spread(self) -> dict[str, object] | None:
        if self.spread is None:
            return None
        _limits.instance(self.spread, "spread", Spread, 'a Spread, such as Spread(group="replicas")')
        if self.roles or self.cover:
            raise InvalidValue("spread", self.spread.group, "not together with roles or cover")
        fields: dict[str, object] = {
            "group": _limits.identifier(self.spread.group, "spread.group"),
            "by": _limits.place(self.spread.by, "spread.by"),
        }
        if self.spread.most is not None:
            fields["most"] = _limits.integer(self.spread.most, "spread.most", 1, 100_000)
        return fields

    def _coalition(self) -> dict[str, object] | None:
        if self.roles and self.cover:
            raise InvalidValue("cover", list(self.cover), "either roles or cover, not both")
        if self.max_size is not None and not self.cover:
            raise InvalidValue("max_size", self.max_size, "only together with cover; roles have counts")
        if self.cover:
            cover: dict[str, object] = {"cover": _limits.identifiers(self.cover, "cover", most=16)}
            if self.max_size is not None:
                cover["max_size"] = _limits.integer(self.max_size, "max_size", 1, 64)
            return cover
        if not self.roles:
            return None
        roles = [
            {
                "role": _limits.identifier(role.role, f"roles[{index}].role"),
                "capabilities": _limits.identifiers(role.capabilities, f"roles[{index}].capabilities"),
                "count": _limits.integer(role.count, f"roles[{index}].count", 1, 64),
            }
            for index, role in enumerate(self.roles)
        ]
        if len({role.role for role in self.roles}) < len(roles) or len(roles) > 16:
            raise InvalidValue(
                "roles", [role.role for role in self.roles], "at most 16 roles, each named once"
            )
        if sum(role.count for role in self.roles) > 64:
            raise InvalidValue("roles", sum(role.count for role in self.roles), "at most 64 members in all")
        return {"roles": roles}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """How a task ended. There is exactly one for each task."""

    task_id: str
    state: TaskState
    fleet: str = "default"
    result: object = None
    """What the agent returned, if it completed."""
    reason: str | None = None
    """Why it did not complete."""
    attempt: int | None = None
    """Number of the last attempt, from 1."""
    epoch: int | None = None
    agent_id: str | None = None
    """Who had it last, if anyone."""
    time: float | None = None
    """When it ended, epoch seconds."""
    cause: Mapping[str, object] = field(default_factory=dict)
    """The record of the fleet log that ended it, and the events behind it."""
    provenance: Mapping[str, object] = field(default_factory=dict)
    """Which planner, policy and state that was; see the wire's specification."""

    @property
    def ok(self) -> bool:
        return self.state == "completed"

    def value(self) -> object:
        """The result of a completed task.

        Raises:
            TaskFailed, TaskCancelled, TaskRefused, TaskExists: if it ended otherwise.
        """
        if self.state == "completed":
            return self.result
        kinds: dict[str, type[TaskError]] = {
            "failed": TaskFailed,
            "cancelled": TaskCancelled,
            "refused": TaskRefused,
        }
        kind = TaskExists if self.state == "refused" and self.reason == "task_exists" else kinds[self.state]
        raise kind(self.task_id, self.reason, self.attempt, self.agent_id)
