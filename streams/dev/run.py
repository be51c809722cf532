"""One run of the demo: agents, tasks and figures together, until all is done or somebody stops it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from coordinator import Connection
from streams.dev.demo import Demo
from streams.dev.figures import Figures
from streams.dev.profiles import run_name
from streams.dev.summary import Summary, summarize
from streams.dev.together import first_of
from streams.dev.watch import watch
from streams.errors import StreamsError

STALL = 120.0
"""Seconds without any task ending, although some are open, after which the run gives up. Longer than every
timeout that a task of the demo may have to sit out, a restart of the worker included."""


class RunStalled(StreamsError):
    """Tasks are open, but none has ended for :data:`STALL` seconds.

    Attributes:
        open_tasks: Some of them.
    """

    def __init__(self, ended: int, wanted: int, open_tasks: tuple[str, ...]) -> None:
        example = open_tasks[0] if open_tasks else "ID"
        super().__init__(
            f"no task has ended for {STALL:.0f} s; {ended:,} of {wanted:,} have. See what one waits for with: "
            f"coordinator explain task {example}"
        )
        self.open_tasks = open_tasks


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What a run of the demo is to be like."""

    agents: int
    tasks: int | None
    """How many in all; ``None`` goes on without end, 0 submits none."""
    rate: float
    """Tasks per second."""
    seed: int
    name: str = "demo"
    fleet: str = "default"


class DemoRun:
    """Figures of a run, and how it goes on.

    Args:
        options: What it is like.
        bootstrap: Kafka's address.
        prefix: What topic names begin with.
    """

    def __init__(self, options: DemoOptions, bootstrap: str, prefix: str) -> None:
        self.options = options
        self._bootstrap = bootstrap
        self._prefix = prefix
        self.run = run_name(round(time.time() * 1000))
        self.connection = Connection(bootstrap, topic_prefix=prefix, client_id="coordinator-demo")
        self.demo = Demo(
            self.connection,
            agents=options.agents,
            seed=options.seed,
            run=self.run,
            name=options.name,
            fleet=options.fleet,
        )
        self.figures = Figures(options.fleet, self.demo.prefix)
        self._started = time.monotonic()

    @property
    def done(self) -> bool:
        """Whether every task that was to be submitted has ended."""
        return bool(self.options.tasks) and self.figures.ended_total >= (self.options.tasks or 0)

    async def go(self, *, stay: bool = False) -> None:
        """Run agents and tasks until all tasks have ended; without a number of tasks, until cancelled.

        With ``stay`` the agents go on after the last task, until cancelled.

        Agents finish what they work on and deregister before this returns, also when it is cancelled.

        Raises:
            RunStalled: if nothing ends any more.
            CoordinatorError, StreamsError: if the demo cannot go on.
        """
        watching = asyncio.Event()
        async with self.connection:
            follow = watch(self._bootstrap, self._prefix, self.figures, watching)
            await first_of(follow, self._work_and_submit(watching, stay))

    async def _work_and_submit(self, watching: asyncio.Event, stay: bool) -> None:
        await watching.wait()
        await first_of(self.demo.work(), self._submit_and_wait(stay))

    async def _submit_and_wait(self, stay: bool) -> None:
        await self.demo.registered.wait()
        self._started = time.monotonic()
        await self.demo.submit(self.options.rate, self.options.tasks)
        ended, since = -1, time.monotonic()
        while not self.done:
            await asyncio.sleep(0.05)
            if self.figures.ended_total != ended or not self.options.tasks:
                ended, since = self.figures.ended_total, time.monotonic()
            elif time.monotonic() - since > STALL:
                raise RunStalled(ended, self.options.tasks, self.summary().open)
        if stay:
            await asyncio.Event().wait()

    def summary(self, worker_starts: int = 0) -> Summary:
        """How it went so far."""
        return summarize(
            self.figures,
            run=self.run,
            agents=self.options.agents,
            wanted=self.options.tasks or None,
            submitted=self.demo.submitted,
            seconds=time.monotonic() - self._started,
            worker_starts=worker_starts,
        )
