"""How one agent speaks: every event with its incarnation and the next ``seq``, in order.

The coordinator drops an event whose ``(incarnation, seq)`` is not above the last one, so two events must never
overtake each other between numbering and the producer's queue.
"""

from __future__ import annotations

import asyncio

from coordinator._wire import EVENTS, encode_event
from coordinator.connection import Connection
from coordinator.directive import Answer, Directive


class Voice:
    """Writes the events of one incarnation of one agent."""

    def __init__(self, connection: Connection, agent_id: str, fleet: str, incarnation: int) -> None:
        self._connection = connection
        self._agent_id = agent_id
        self._fleet = fleet
        self._incarnation = incarnation
        self._seq = 0
        self._in_order = asyncio.Lock()

    async def say(self, type_: str, **fields: object) -> None:
        """Send an event; returns when the broker has it.

        Raises:
            InvalidValue: if the contract does not allow it.
            DeliveryFailed: if the broker did not take it.
        """
        async with self._in_order:
            value = encode_event(
                type_,
                agent_id=self._agent_id,
                fleet=self._fleet,
                incarnation=self._incarnation,
                seq=self._seq,
                **fields,
            )
            self._seq += 1
            delivery = await self._connection.post(EVENTS, self._agent_id, value)
        await delivery

    async def respond(self, directive: Directive, answer: Answer) -> None:
        """Send an answer; see :meth:`say`."""
        await self.say(
            "directive_response",
            directive_id=directive.directive_id,
            epoch=directive.epoch if directive.task_id is not None else None,
            **_fields(answer),
        )

    async def respond_late(self, directive_id: str, answer: Answer) -> None:
        """Send an answer of an earlier incarnation, before this one registers.

        It bears no incarnation: with the new one the registration that follows would not look new any more,
        and with the old one it might look like a repeat.
        """
        value = encode_event(
            "directive_response",
            agent_id=self._agent_id,
            fleet=self._fleet,
            directive_id=directive_id,
            **_fields(answer),
        )
        await self._connection.send(EVENTS, self._agent_id, value)


def _fields(answer: Answer) -> dict[str, object]:
    return {
        "outcome": answer.outcome,
        "reason": answer.reason,
        "progress": answer.progress,
        "result": answer.result,
    }
