"""How the engine lives and dies: its phase, its background tasks, and the one reason it goes down for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from streams.engine.errors import EngineError, OutOfMemory
from streams.engine.settings import EngineSettings
from streams.engine.watchdog import Watchdog

log = logging.getLogger("coordinator.engine")

STARTING, REBALANCING, RESTORING, STOPPING, FAILED = (
    "starting",
    "rebalancing",
    "restoring",
    "stopping",
    "failed",
)

_CRASH = "crash"


class Lifeline:
    """Stops the process, with a reason, when anything that it watches fails or overstays its deadline."""

    def __init__(
        self, settings: EngineSettings, crash: Callable[[BaseException], Coroutine[Any, Any, None]]
    ) -> None:
        self.failure: BaseException | None = None
        """Why the process is going down, if it is."""
        self.watchdog = Watchdog(
            {
                STARTING: settings.start_timeout,
                REBALANCING: settings.rebalance_timeout,
                RESTORING: settings.restore_timeout,
                STOPPING: settings.stop_timeout,
                FAILED: settings.stop_timeout,
            },
            final=frozenset({STOPPING, FAILED}),
            on_overdue=self._overdue,
            reason=lambda: self.failure,
            force_exit=settings.force_exit,
        )
        self._crash = crash
        self._force_exit = settings.force_exit
        self._loop: asyncio.AbstractEventLoop | None = None
        self._background: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """Watch over the event loop that this is called in."""
        self._loop = asyncio.get_running_loop()
        self.watch_memory(self._loop)
        self.watchdog.start()
        self.watchdog.enter(STARTING)

    def watch_memory(self, loop: asyncio.AbstractEventLoop) -> None:
        """Stop the process when this loop finds no memory for what it reads.

        Otherwise asyncio closes the connection, aiokafka opens another one, and so on for ever.
        """
        handle = loop.get_exception_handler()

        def stop_without_memory(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            if isinstance(context.get("exception"), MemoryError):
                self._fail_from_thread(OutOfMemory())
            elif handle is not None:
                handle(loop, context)
            else:
                loop.default_exception_handler(context)

        loop.set_exception_handler(stop_without_memory)

    def begin_stop(self) -> None:
        """A worker may be told to stop before anything of it has started, and must not hang then either."""
        self.watchdog.start()
        self.watchdog.enter(STOPPING)

    def end(self) -> None:
        for task in list(self._background):
            if task.get_name() != _CRASH:
                task.cancel()
        if not self._force_exit:
            self.watchdog.stop()  # in a worker it watches until the process has ended

    def fail(self, error: BaseException) -> None:
        """Stop the process with this reason. The first failure counts; others follow from it."""
        if self.failure is not None:
            return
        self.failure = error
        self.watchdog.enter(FAILED)  # first: then the process ends even if there is no memory for the rest
        log.critical("engine failed", extra={"reason": str(error)}, exc_info=error)
        self.spawn(self._crash(error), _CRASH)

    @contextlib.contextmanager
    def fatal(self) -> Iterator[None]:
        """Whatever is raised inside stops the process."""
        try:
            yield
        except Exception as error:
            self.fail(error)
            raise

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        """Run it in the background; its failure stops the process."""
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._background.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    def _overdue(self, error: EngineError) -> None:
        log.critical("deadline exceeded", extra={"reason": str(error)})
        self._fail_from_thread(error)

    def _fail_from_thread(self, error: EngineError) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self.fail, error)
