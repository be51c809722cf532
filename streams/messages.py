"""Messages in and directives out, for programs that hold a coordinator: both go through the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from models.codec import decode_object, encode
from models.events import subject_of, validate_event
from models.partition import partition_of

if TYPE_CHECKING:
    from streams.engine import Engine
    from streams.planner.coordination import CoordinationPlanner

_AS_EVENTS = {"drain": "agent_drained", "resume": "agent_uncordoned", "withdraw_task": "task_cancelled"}
"""Directives that the fleet fold issues when it reads the operator's event behind them."""


class Appended(NamedTuple):
    """Where a message stands in the log."""

    topic: str
    partition: int
    offset: int


class MessageHandler:
    """Appends what a program says to ``coordinator.events``, validated as every consumer will validate it.

    Args:
        engine: Appends the records.
        events_partitions: Partitions of the events topic, to put each record into its place.
        planner: Appends proposals to the fleet log.
    """

    def __init__(self, engine: Engine, events_partitions: int, planner: CoordinationPlanner) -> None:
        self.engine = engine
        self.events_partitions = events_partitions
        self.planner = planner

    async def process_message(self, message: dict[str, object]) -> Appended:
        """Validate an event and append it; it takes effect when its partition's fold reads it.

        Raises:
            ValueError: naming every field at fault. Nothing was appended.
        """
        try:
            value = encode(message)
        except TypeError as error:
            raise ValueError(f"the message is no JSON object: {error}") from None
        event = validate_event(decode_object(value))
        subject = subject_of(event)
        if subject is None:
            raise ValueError(f"{event.type} is appended by the coordinator itself; it needs no message")
        partition = partition_of(subject.encode(), self.events_partitions)
        _, offset = await self.engine.append("events", subject.encode(), value, partition=partition)
        return Appended("events", partition, offset)

    async def send_directive(self, directive: dict[str, object]) -> Appended:
        """Ask for a directive; the fleet fold issues it if the state allows, as it does for plans.

        ``assign_task`` (``task_id``, ``agent_id``) is proposed to the fleet log as a plan of one entry. ``drain``
        and ``resume`` (``agent_id``) and ``withdraw_task`` (``task_id``) are appended as the operator's events
        that cause them. ``fleet`` may be given with each.

        Raises:
            ValueError: for other types, which only the fold decides on, and for fields that are missing.
        """
        kind = directive.get("type")
        if kind == "assign_task":
            return await self._propose(directive)
        if isinstance(kind, str) and kind in _AS_EVENTS:
            return await self.process_message({**directive, "type": _AS_EVENTS[kind]})
        raise ValueError(
            f"no directive of the type {kind!r} can be asked for; "
            f"use assign_task, {', '.join(sorted(_AS_EVENTS))}"
        )

    async def _propose(self, directive: dict[str, object]) -> Appended:
        fleet = str(directive.get("fleet", "default"))
        missing = [name for name in ("task_id", "agent_id") if not isinstance(directive.get(name), str)]
        if missing:
            raise ValueError(f"an assign_task needs {' and '.join(missing)}")
        try:
            partition, offset = await self.planner.propose_assignment(
                fleet, str(directive["task_id"]), str(directive["agent_id"])
            )
        except LookupError as error:
            raise ValueError(str(error)) from None
        return Appended("fleet", partition, offset)
