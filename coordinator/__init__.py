"""Client SDK: agents that get work from the coordinator, clients that submit it.

An agent is a function::

    agent = Agent("summarizer-1", capabilities=["summarize"], slots=4)

    @agent.task
    async def summarize(directive: Directive) -> object: ...

    asyncio.run(agent.run())

A client awaits results::

    async with Client() as client:
        handle = await client.submit(Task(capabilities=["summarize"], payload="..."))
        print(await handle.result(timeout=60))

``coordinator.sync`` has both for programs without an event loop. Everything speaks the wire contract only.
"""

from coordinator.agent import Agent
from coordinator.batch import Batch, Progress, TaskHandle
from coordinator.client import Client
from coordinator.connection import Connection
from coordinator.directive import Coalition, Directive
from coordinator.errors import (
    BrokerUnavailable,
    CoordinatorError,
    DeliveryFailed,
    DirectiveEnded,
    InvalidValue,
    NotRunning,
    ReadingStopped,
    StateInUse,
    StateUnreadable,
    TaskCancelled,
    TaskError,
    TaskExists,
    TaskFailed,
    TaskRefused,
    TopicMissing,
    WaitTimeout,
)
from coordinator.task import Role, Spread, Task, TaskResult

__all__ = [  # noqa: RUF022 - grouped by what a reader looks for
    # agents
    "Agent",
    "Directive",
    "Coalition",
    # clients
    "Client",
    "Task",
    "Role",
    "Spread",
    "TaskHandle",
    "TaskResult",
    "Batch",
    "Progress",
    # both
    "Connection",
    # errors
    "CoordinatorError",
    "InvalidValue",
    "BrokerUnavailable",
    "TopicMissing",
    "DeliveryFailed",
    "ReadingStopped",
    "NotRunning",
    "StateInUse",
    "StateUnreadable",
    "DirectiveEnded",
    "WaitTimeout",
    "TaskError",
    "TaskFailed",
    "TaskCancelled",
    "TaskRefused",
    "TaskExists",
]
