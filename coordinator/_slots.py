"""How many handlers of an agent may run at once; the number may change while they run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slots:
    """A semaphore with a limit that can be moved, first come first served."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def limit(self) -> int:
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        self._wake()

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Hold one, waiting for it if need be."""
        await self._take()
        try:
            yield
        finally:
            self._taken -= 1
            self._wake()

    async def _take(self) -> None:
        if self._taken < self._limit and not self._waiting:
            self._taken += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._taken -= 1  # woken and cancelled at once: pass it on
                self._wake()
            raise
        finally:
            if turn in self._waiting:
                self._waiting.remove(turn)

    def _wake(self) -> None:
        while self._waiting and self._taken < self._limit:
            turn = self._waiting.pop(0)
            if not turn.done():
                self._taken += 1
                turn.set_result(None)
