"""Handles on submitted tasks, one and many: wait, watch, cancel."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, overload

from coordinator.errors import WaitTimeout
from coordinator.task import TaskResult


class Canceller(Protocol):
    """What handles need of a client."""

    async def cancel(self, task_id: str, reason: str | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class TaskHandle:
    """One task and its result to come."""

    client: Canceller
    task_id: str
    future: asyncio.Future[TaskResult]

    @property
    def done(self) -> bool:
        """Whether the result is here."""
        return self.future.done() and self.future.exception() is None

    async def wait(self, timeout: float | None = None) -> TaskResult:  # noqa: ASYNC109
        """Wait until it has ended, however it did.

        Raises:
            WaitTimeout: if it has not within so many seconds.
        """
        return (await _all_of([self], timeout))[0]

    async def result(self, timeout: float | None = None) -> object:  # noqa: ASYNC109
        """Wait for what the agent returned.

        Raises:
            TaskFailed, TaskCancelled, TaskRefused: if it ended otherwise.
            WaitTimeout: if it has not ended within so many seconds.
        """
        return (await self.wait(timeout)).value()

    async def cancel(self, reason: str | None = None) -> None:
        """Ask for its end."""
        await self.client.cancel(self.task_id, reason)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a batch is."""

    total: int
    completed: int
    failed: int
    cancelled: int
    refused: int

    @property
    def done(self) -> int:
        return self.completed + self.failed + self.cancelled + self.refused


class Batch(Sequence[TaskHandle]):
    """Handles on tasks that were submitted together, in the order of submission."""

    def __init__(self, client: Canceller, handles: Sequence[TaskHandle]) -> None:
        self._client = client
        self._handles = tuple(handles)

    def __len__(self) -> int:
        return len(self._handles)

    @overload
    def __getitem__(self, index: int) -> TaskHandle: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[TaskHandle, ...]: ...
    def __getitem__(self, index: int | slice) -> TaskHandle | tuple[TaskHandle, ...]:
        return self._handles[index]

    def __iter__(self) -> Iterator[TaskHandle]:
        return iter(self._handles)

    @property
    def progress(self) -> Progress:
        states = Counter(handle.future.result().state for handle in self._handles if handle.done)
        return Progress(
            total=len(self._handles),
            completed=states["completed"],
            failed=states["failed"],
            cancelled=states["cancelled"],
            refused=states["refused"],
        )

    async def wait(self, timeout: float | None = None) -> list[TaskResult]:  # noqa: ASYNC109
        """Wait until all have ended; results in the order of submission.

        Raises:
            WaitTimeout: naming those that have not, within so many seconds for all.
        """
        return await _all_of(self._handles, timeout)

    async def as_completed(self, timeout: float | None = None) -> AsyncIterator[TaskResult]:  # noqa: ASYNC109
        """Results as they come. Several may come at once, so :attr:`progress` can be ahead of what was yielded.

        Raises:
            WaitTimeout: if not all have come within so many seconds.
        """
        loop = asyncio.get_running_loop()
        give_up = None if timeout is None else loop.time() + timeout
        pending = {handle.future for handle in self._handles}
        while pending:
            left = None if give_up is None else max(give_up - loop.time(), 0.0)
            done, pending = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                raise _timed_out(self._handles, timeout or 0.0)
            for future in done:
                yield future.result()

    async def cancel(self, reason: str | None = None) -> None:
        """Ask for the end of all that have not ended."""
        open_handles = [handle for handle in self._handles if not handle.done]
        await asyncio.gather(*(self._client.cancel(handle.task_id, reason) for handle in open_handles))


async def _all_of(handles: Sequence[TaskHandle], seconds: float | None) -> list[TaskResult]:
    futures = [handle.future for handle in handles]
    if futures:
        _, pending = await asyncio.wait(futures, timeout=seconds)
        if pending:
            raise _timed_out(handles, seconds or 0.0)
    return [future.result() for future in futures]


def _timed_out(handles: Sequence[TaskHandle], seconds: float) -> WaitTimeout:
    return WaitTimeout(tuple(handle.task_id for handle in handles if not handle.done), seconds)
