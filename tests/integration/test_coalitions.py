"""Coalitions on the real Kafka: agents of the SDK, the coordinator in this process, and what people see of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from coordinator import Agent, Client, Connection, Directive, Role, Task
from streams.service import CoordinatorAgent

CREW = (Role(role="lead", capabilities=["plan"]), Role(role="hand", count=2))


class Crew:
    """Agents that work until they are told to finish, and remember with whom."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.finish = asyncio.Event()
        self.worked: list[tuple[str, str | None, tuple[str, ...]]] = []
        self.runs: dict[str, asyncio.Task[None]] = {}
        self.agents: dict[str, Agent] = {}

    def add(self, name: str, *capabilities: str) -> None:
        agent = self.agents[name] = Agent(name, capabilities=capabilities, connection=self.connection)

        async def work(directive: Directive) -> object:
            assert directive.coalition is not None
            self.worked.append((name, directive.coalition.role, directive.coalition.members))
            await self.finish.wait()
            return {"by": name}

        self.runs[name] = asyncio.create_task(agent.run(work))

    async def until_at_work(self, count: int) -> None:
        for _ in range(400):
            if len(self.worked) >= count:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"only {self.worked} are at work")


@pytest.fixture
async def crew(kafka: str, topic_prefix: str, coordinator: CoordinatorAgent) -> AsyncIterator[Crew]:
    async with Connection(kafka, topic_prefix=topic_prefix) as connection:
        crew = Crew(connection)
        yield crew
        for agent in crew.agents.values():
            await agent.stop()
        await asyncio.gather(*crew.runs.values())


@asynccontextmanager
async def http(coordinator: CoordinatorAgent) -> AsyncIterator[Any]:
    async with aiohttp.ClientSession(f"http://{coordinator.http.address}") as session:

        async def ask(path: str, body: object = None) -> tuple[int, Any]:
            method = "GET" if body is None else "POST"
            async with session.request(method, path, json=body) as answer:
                return answer.status, await answer.json(content_type=None)

        yield ask


async def until(
    ask: Callable[[], Awaitable[tuple[int, Any]]], holds: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """The first answer of which it holds."""
    for _ in range(200):
        _, answer = await ask()
        if holds(answer):
            return dict(answer)
        await asyncio.sleep(0.05)
    raise AssertionError("it never held")


async def test_a_coalition_works_together_and_one_who_leaves_is_replaced(
    coordinator: CoordinatorAgent, crew: Crew
) -> None:
    for name, capabilities in (("boss", ["plan"]), ("h1", []), ("h2", [])):
        crew.add(name, *capabilities)
    async with Client(connection=crew.connection) as client, http(coordinator) as ask:
        task = await client.submit(Task(roles=CREW))
        await crew.until_at_work(3)
        assert sorted(crew.worked) == [
            ("boss", "lead", ("boss", "h1", "h2")),
            ("h1", "hand", ("boss", "h1", "h2")),
            ("h2", "hand", ("boss", "h1", "h2")),
        ]
        _, seen = await ask("/v1/coalitions")
        (coalition,) = seen["coalitions"]
        assert (coalition["state"], coalition["task_id"]) == ("active", task.task_id)

        await coordinator.message_handler.process_message({"type": "agent_deregistered", "agent_id": "h1"})
        crew.add("h3")
        await crew.until_at_work(4)
        assert crew.worked[-1] == ("h3", "hand", ("boss", "h2", "h3"))
        crew.finish.set()
        result = await task.result(timeout=20)
        assert result == {name: {"by": name} for name in ("boss", "h2", "h3")}

        _, explained = await ask(f"/v1/coalitions/{coalition['coalition_id']}/explanation")
        assert (explained["state"], explained["reason"], explained["repairs"]) == (
            "dissolved",
            "completed",
            1,
        )
        status, problem = await ask("/v1/coalitions/nobody")
        assert (status, problem["title"]) == (404, "no such coalition")


async def test_what_waits_for_a_coalition_says_so_and_a_dry_run_says_what_comes(
    coordinator: CoordinatorAgent, crew: Crew
) -> None:
    crew.add("boss", "plan")
    async with Client(connection=crew.connection) as client, http(coordinator) as ask:
        task = await client.submit(Task(roles=CREW))
        path = f"/v1/tasks/{task.task_id}/explanation"
        explained = await until(lambda: ask(path), lambda answer: bool(answer.get("agents")))
        assert (explained["reason"], explained["counts"]) == ("impossible", {"eligible": 1})
        _, planned = await ask("/v1/plan")
        assert (planned["entries"], planned["pending"]) == ([], {"impossible": 1})
        _, agent = await ask("/v1/agents/boss/explanation")
        assert (agent["reason"], agent["counts"]) == ("available", {"eligible": 1})
        status, planned = await ask("/v1/plan", {"planning": {"objective": {"load": 0}}})
        assert (status, planned["differs"]) == (200, [])
        status, problem = await ask("/v1/plan", {"planning": {"lode": 0}})
        assert (status, "policy.planning.lode" in problem["detail"]) == (400, True)
        await client.cancel(task.task_id)
