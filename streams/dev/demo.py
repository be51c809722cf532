"""The demo's agents and tasks in motion: real agents of the SDK on one connection, nothing simulated but the work.

Who they are is in ``streams.dev.profiles``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice

from coordinator import Agent, Client, Connection, Directive, Task
from streams.dev.profiles import STUMBLE_REASON, DemoAgent, DemoTask, demo_agents, demo_tasks, stumbles

REPORT_INTERVAL = 5.0
"""Seconds between an agent's metric reports."""

LONGEST = 60.0
"""Seconds of work at most, whatever a stranger's payload says."""

STOP_TIMEOUT = 3.0
"""Seconds that running work gets when the demo stops: longer than nearly all of its tasks."""

_CHUNK = 0.05
"""Seconds between two groups of submissions; one by one they could not keep up with high rates."""


class Demo:
    """One run of the demo against a coordinator.

    Args:
        connection: Shared by all agents and the submitter; started.
        agents: How many.
        seed: Decides who they are and what is asked of them.
        run: Distinguishes this run's task ids from all others'.
        name: Begins the ids of agents and tasks.
        fleet: The fleet they belong to.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        agents: int,
        seed: int,
        run: str,
        name: str = "demo",
        fleet: str = "default",
    ) -> None:
        self.connection = connection
        self.seed = seed
        self.fleet = fleet
        self.prefix = f"{name}-{run}-"
        """All task ids of this run begin so."""
        self.agents = demo_agents(agents, seed, name)
        self.submitted = 0
        self.registered = asyncio.Event()
        """All agents are there; tasks that come earlier would wait for those that are not."""
        self._starting = agents
        self._working: list[asyncio.Task[None]] = []

    async def work(self) -> None:
        """Run all agents until cancelled; they then finish what they work on and deregister."""
        async with asyncio.TaskGroup() as group:
            self._working = [
                group.create_task(self._work(agent), name=f"demo agent {agent.agent_id}")
                for agent in self.agents
            ]

    def abandon(self) -> None:
        """Cancel all agents, before :meth:`work` is: twice cancelled they leave without their last words."""
        for agent in self._working:
            agent.cancel()

    async def submit(self, rate: float, total: int | None) -> None:
        """Submit tasks at so many a second, ``total`` in all or without end."""
        tasks: Iterator[DemoTask] = demo_tasks(
            self.agents, self.seed, self.prefix.rstrip("-"), stretch(total)
        )
        loop = asyncio.get_running_loop()
        async with Client(connection=self.connection, fleet=self.fleet) as client:
            started = loop.time()
            while total is None or self.submitted < total:
                due = int((loop.time() - started) * rate) + 1 - self.submitted
                if total is not None:
                    due = min(due, total - self.submitted)
                if due > 0:
                    await client.submit_many([_as_task(task) for task in islice(tasks, due)])
                    self.submitted += due
                await asyncio.sleep(max(_CHUNK, (self.submitted / rate) - (loop.time() - started)))

    async def _work(self, profile: DemoAgent) -> None:
        agent = Agent(
            profile.agent_id,
            capabilities=profile.capabilities,
            slots=profile.slots,
            zone=profile.zone,
            labels={"speed": "fast" if profile.speed >= 1.25 else "steady"},
            version="demo",
            fleet=self.fleet,
            connection=self.connection,
            stop_timeout=STOP_TIMEOUT,
        )
        busy = _Busy()

        async def handle(directive: Directive) -> object:
            seconds = work_seconds(directive.payload, profile.speed)
            with busy:
                await asyncio.sleep(seconds)
            if stumbles(profile, directive.task_id or "", directive.attempt, self.seed):
                await directive.fail(STUMBLE_REASON)
                return None
            return {"by": profile.agent_id, "seconds": round(seconds, 4)}

        async with agent:
            self._starting -= 1
            if not self._starting:
                self.registered.set()
            reports = asyncio.create_task(_report(agent, busy), name=f"reports of {profile.agent_id}")
            try:
                await agent.run(handle)
            finally:
                reports.cancel()


class _Busy:
    """How much an agent worked since it was last asked."""

    def __init__(self) -> None:
        self.done = 0
        self.working = 0

    def __enter__(self) -> None:
        self.working += 1

    def __exit__(self, *_: object) -> None:
        self.working -= 1
        self.done += 1


async def _report(agent: Agent, busy: _Busy) -> None:
    while True:
        await asyncio.sleep(REPORT_INTERVAL)
        done, busy.done = busy.done, 0
        await agent.report({"tasks_per_second": done / REPORT_INTERVAL, "working": float(busy.working)})


def work_seconds(payload: object, speed: float) -> float:
    """How long an agent of this speed works on a payload; a stranger's task takes a moment, too."""
    size = payload.get("size") if isinstance(payload, dict) else None
    seconds = float(size) if isinstance(size, int | float) and size >= 0 else 0.02
    return min(LONGEST, seconds / speed)


def _as_task(task: DemoTask) -> Task:
    return Task(
        task_id=task.task_id,
        capabilities=task.capabilities,
        size=task.size,
        priority=task.priority,
        payload={"job": task.job, "size": task.size},
    )


def default_rate(total: int | None, agents: int) -> float:
    """Tasks per second where nobody says: one for each agent, or a given number within some ten seconds."""
    return float(agents) if not total else max(20.0, total / 10)


def stretch(total: int | None) -> float:
    """How long tasks take: a flow without end is there to be watched, a given number to get done."""
    return 1.0 if total else 40.0
