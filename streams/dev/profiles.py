"""Who the demo's agents are and what its tasks ask for: plain data, a function of the seed alone.

Running them is in ``streams.dev.demo``. The same seed gives the same agents, tasks, run times and stumbles, in
whatever order and on whichever agents the coordinator places them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

ZONES = ("north", "south", "east")

STUMBLE_REASON = "stumbled (the demo lets some first attempts fail)"


@dataclass(frozen=True, slots=True)
class Trade:
    """What a kind of agent can do, and what is asked of it."""

    name: str
    capabilities: tuple[str, ...]
    slots: tuple[int, ...]
    """How many tasks its agents take on at once: one of these."""
    jobs: tuple[tuple[str, tuple[str, ...]], ...]
    """What may be asked, and the capabilities that this takes."""


TRADES = (
    Trade(
        "writer",
        ("write", "translate"),
        (2, 4),
        (("draft a reply", ("write",)), ("translate a page", ("translate",))),
    ),
    Trade(
        "coder",
        ("code", "review", "write"),
        (1, 2),
        (("fix a bug", ("code",)), ("review a change", ("review",)), ("document a function", ("write",))),
    ),
    Trade(
        "scout",
        ("see", "move"),
        (1,),
        (("look down an aisle", ("see", "move")), ("read a label", ("see",))),
    ),
    Trade(
        "carrier",
        ("move", "lift"),
        (1, 2),
        (("fetch a crate", ("move", "lift")), ("clear a path", ("move",))),
    ),
    Trade(
        "analyst",
        ("compute", "see", "write"),
        (2, 3),
        (("count objects in a picture", ("see", "compute")), ("sum up a table", ("compute",))),
    ),
)


@dataclass(frozen=True, slots=True)
class DemoAgent:
    """One agent of the demo."""

    agent_id: str
    capabilities: tuple[str, ...]
    slots: int
    zone: str
    speed: float
    """A task of size 1 takes it 1 / speed seconds."""
    failure_rate: float
    """Share of tasks whose first attempt it fails."""


@dataclass(frozen=True, slots=True)
class DemoTask:
    """One task of the demo."""

    task_id: str
    job: str
    capabilities: tuple[str, ...]
    size: float
    """Seconds on an agent of speed 1."""
    priority: int


def demo_agents(count: int, seed: int, name: str = "demo") -> list[DemoAgent]:
    """``count`` agents of all trades in turn, of different speeds, slots and reliability."""
    chance = random.Random(f"{seed}/agents")
    agents = []
    for number in range(1, count + 1):
        trade = TRADES[(number - 1) % len(TRADES)]
        agents.append(
            DemoAgent(
                agent_id=f"{name}-{trade.name}-{number:0{len(str(max(count, 10)))}d}",
                capabilities=trade.capabilities,
                slots=chance.choice(trade.slots),
                zone=chance.choice(ZONES),
                speed=round(chance.uniform(0.5, 2.0), 2),
                failure_rate=chance.choice((0.0, 0.01, 0.02, 0.05)),
            )
        )
    return agents


def demo_tasks(
    agents: Sequence[DemoAgent], seed: int, prefix: str, stretch: float = 1.0
) -> Iterator[DemoTask]:
    """Tasks without end, each of which at least one of the agents is able to do.

    They take 5 to 50 ms on an agent of speed 1, times ``stretch``.
    """
    chance = random.Random(f"{seed}/tasks")
    held = [frozenset(agent.capabilities) for agent in agents]
    jobs = [
        (job, capabilities)
        for trade in TRADES
        for job, capabilities in trade.jobs
        if any(frozenset(capabilities) <= one for one in held)
    ]
    if not jobs:
        raise ValueError("without agents there is nothing that could be asked of anybody")
    number = 0
    while True:
        number += 1
        job, capabilities = chance.choice(jobs)
        yield DemoTask(
            task_id=f"{prefix}-{number:06d}",
            job=job,
            capabilities=capabilities,
            size=round(chance.uniform(0.005, 0.05) * stretch, 4),
            priority=chance.choices((2, 5, 8), (2, 6, 1))[0],
        )


def stumbles(agent: DemoAgent, task_id: str, attempt: int, seed: int) -> bool:
    """Whether this attempt fails. Only first ones do, so that every task of the demo can end well."""
    if attempt > 1:
        return False
    return random.Random(f"{seed}/{agent.agent_id}/{task_id}").random() < agent.failure_rate


def run_name(epoch_ms: int) -> str:
    """A short name that no other run has: the moment of its start in base 36."""
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    text = ""
    while epoch_ms:
        epoch_ms, digit = divmod(epoch_ms, 36)
        text = digits[digit] + text
    return text or "0"
