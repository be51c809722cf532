"""Running a few things at once, and ending them in order: by the first that ends, or by a signal."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager


async def first_of(*parts: Coroutine[object, object, object]) -> None:
    """Run all until the first one ends, then cancel the others and wait until they are gone.

    Raises:
        Whatever the first to fail raised.
    """
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            if not task.done():
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise _innermost(error)


@contextmanager
def stopped_by_signals() -> Iterator[asyncio.Event]:
    """An event that SIGINT and SIGTERM set, instead of what they do otherwise."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _innermost(error: BaseException) -> BaseException:
    """What a group of tasks failed by: its first error, for one is enough to act on."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
