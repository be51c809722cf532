"""``coordinator worker``: the Faust worker with our defaults and an exit status that tells how it ended."""

from __future__ import annotations

import asyncio
import logging

import faust

from streams.engine import tune_garbage_collector
from streams.engine.errors import OutOfMemory
from streams.service import CoordinatorAgent
from streams.settings import Settings

log = logging.getLogger("coordinator.worker")


class _Worker(faust.Worker):  # type: ignore[misc]
    """Faust's worker without its banner, its own logging and its grip on stdout."""

    def carp(self, msg: str) -> None:
        """Stock Faust writes a row of -INT- at each Ctrl-C."""


def run(settings: Settings) -> int:
    """Run a worker until SIGTERM or SIGINT; returns 0.

    Raises:
        StreamsError: if it cannot start or go on, saying why and what to do.
    """
    coordinator = CoordinatorAgent(settings, force_exit=True)
    coordinator.logs.setup_logging()
    tune_garbage_collector()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = _Worker(coordinator.app, loop=loop, quiet=True, override_logging=False, redirect_stdouts=False)
    worker.spinner = None
    failure: BaseException | None = None
    try:
        # Under this name mode cancels what still starts when a signal comes.
        worker._starting_fut = asyncio.ensure_future(worker.start(), loop=loop)
        loop.run_until_complete(worker._starting_fut)
    except asyncio.CancelledError:
        pass  # a signal during the start
    except Exception as error:  # noqa: BLE001 - the edge of the process; raised again below
        failure = error
    finally:
        try:
            worker.stop_and_shutdown()
        except Exception as error:  # noqa: BLE001 - mode raises the crash reason here
            failure = failure or error
    failure = coordinator.engine.failure or failure
    if isinstance(failure, MemoryError):
        raise OutOfMemory() from failure
    if failure is not None:
        raise failure
    return 0
