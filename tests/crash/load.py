"""Agents and tasks for a coordinator under fire: real SDK agents that write down what they did."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Iterator

from coordinator import Agent, Client, Connection, Directive, Task, TaskResult

CAPABILITIES = ("cut", "weld", "paint")


class Load:
    """``agents`` agents with two of three capabilities each, and tasks that want one of them.

    Args:
        bootstrap: Kafka.
        prefix: Topic prefix.
        agents: How many.
        seed: Decides capabilities, sizes and the few failures.
    """

    def __init__(self, bootstrap: str, prefix: str, *, agents: int, seed: int) -> None:
        self.connection = Connection(bootstrap, topic_prefix=prefix)
        self.executions: Counter[tuple[str, int]] = Counter()
        """How often each (task id, epoch) was worked on."""
        self.results: list[TaskResult] = []
        self._random = random.Random(seed)
        self._agents = [self._agent(number) for number in range(agents)]
        self._jobs: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Load:
        await self.connection.start()
        self._jobs = [asyncio.create_task(agent.run()) for agent in self._agents]
        return self

    async def __aexit__(self, *_: object) -> None:
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        await self.connection.stop()

    async def submit(self, count: int, rate: float, timeout: float) -> list[TaskResult]:  # noqa: ASYNC109
        """Submit ``count`` tasks at ``rate`` a second and wait for all results."""
        return await self._submit(iter(range(count)), rate, timeout)

    async def submit_until(
        self,
        enough: asyncio.Event,
        rate: float,
        timeout: float,  # noqa: ASYNC109
    ) -> list[TaskResult]:
        """Submit tasks at ``rate`` a second until there are enough of them, and wait for all results."""
        return await self._submit(
            itertools.takewhile(lambda _: not enough.is_set(), itertools.count()), rate, timeout
        )

    async def _submit(self, numbers: Iterator[int], rate: float, patience: float) -> list[TaskResult]:
        async with Client(self.connection) as client:
            handles = []
            for number in numbers:
                capability = self._random.choice(CAPABILITIES)
                task = Task(
                    task_id=f"task-{number:05d}",
                    capabilities=[capability],
                    payload={"milliseconds": self._random.randint(1, 40), "number": number},
                    max_attempts=50,
                )
                handles.append(await client.submit(task))
                await asyncio.sleep(1 / rate)
            async with asyncio.timeout(patience):
                self.results = [await handle.wait() for handle in handles]
        return self.results

    def _agent(self, number: int) -> Agent:
        agent = Agent(
            f"agent-{number}",
            capabilities=self._random.sample(CAPABILITIES, 2) if number >= 3 else list(CAPABILITIES),
            slots=3,
            connection=self.connection,
        )

        @agent.task
        async def work(directive: Directive) -> object:
            assert directive.task_id is not None
            assert directive.epoch is not None
            self.executions[directive.task_id, directive.epoch] += 1
            payload = directive.payload
            assert isinstance(payload, dict)
            await asyncio.sleep(payload["milliseconds"] / 1000)
            if payload["number"] % 29 == 0 and directive.attempt == 1:
                raise RuntimeError("stumbled")
            return {"number": payload["number"]}

        return agent
