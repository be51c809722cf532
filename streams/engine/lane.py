"""The way of outputs into one partition: what comes while a request is under way is gathered for the next one.

The broker takes one request of an idempotent producer at a time for each partition, and each is a round trip. A
batch for every little fold would make a queue of round trips: at a thousand events a second outputs would be
seconds late. Gathered so, nothing waits that could be on its way, and a queue cannot grow by the number of sends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import chain

from models.fold import Headers

Message = tuple[bytes | None, bytes | None, Headers]
"""Key, value, headers."""


class Lane:
    """Sends messages in the order in which they came.

    Args:
        send: Appends all of them, in order, and returns when they are acknowledged.
    """

    def __init__(self, send: Callable[[Iterable[Message]], Awaitable[None]]) -> None:
        self._send = send
        self._waiting: list[tuple[Sequence[Message], asyncio.Future[None]]] = []
        self._sending: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None

    def put(self, messages: Sequence[Message]) -> asyncio.Future[None]:
        """Resolves when all of them are acknowledged, or raises what ``send`` raised for them or any before.

        After a failure nothing is sent any more: readers drop what they have seen by its position, and a message
        that overtook a failed one would have them drop that one when it is repeated.
        """
        acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._failure is not None:
            acknowledged.set_exception(self._failure)
            return acknowledged
        self._waiting.append((messages, acknowledged))
        if self._sending is None:
            self._sending = asyncio.ensure_future(self._send_waiting())
        return acknowledged

    def close(self) -> None:
        """Give up what is under way; whoever waits for it is cancelled."""
        if self._sending is not None:
            self._sending.cancel()

    async def _send_waiting(self) -> None:
        taken: list[tuple[Sequence[Message], asyncio.Future[None]]] = []
        try:
            while self._waiting:
                taken, self._waiting = self._waiting, []
                await self._send(chain.from_iterable(messages for messages, _ in taken))
                for _, acknowledged in taken:
                    if not acknowledged.done():
                        acknowledged.set_result(None)
        except asyncio.CancelledError as error:
            self._fail(taken, error)
            raise
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            self._fail(taken, error)
        finally:
            self._sending = None

    def _fail(
        self, taken: Iterable[tuple[Sequence[Message], asyncio.Future[None]]], error: BaseException
    ) -> None:
        self._failure = error
        for _, acknowledged in [*taken, *self._waiting]:
            if acknowledged.done():
                continue
            if isinstance(error, asyncio.CancelledError):
                acknowledged.cancel()
            else:
                acknowledged.set_exception(error)
        self._waiting = []
