"""Policies to compare with: what coordinators do that know less, or more, than there is to know.

A task goes to an agent when it arrives, and waits there. What a crashed agent had is given to others after the
time that it takes to notice.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.simulation.world import SECOND, Job, SimAgent, World

NOTICED_AFTER = 10 * SECOND
"""Milliseconds after which a crash is noticed: about as long as ours takes."""

Choose = Callable[["Dispatcher", Sequence[SimAgent], Job], SimAgent]


class Dispatcher:
    """Sends each task to the agent that a rule chooses.

    Attributes:
        ledger: Tasks that each agent was sent and has not ended, as the coordinator knows.
    """

    def __init__(self, choose: Choose, seed: int) -> None:
        self._choose = choose
        self.chance = random.Random(f"policy {seed}")
        self.turn = 0

    def begin(self, world: World) -> None:
        self.world = world
        self.ledger = [0] * len(world.agents)
        self._able = [
            [agent for agent in world.agents if skill in agent.skills]
            for skill in range(world.scenario.skills)
        ]

    def arrive(self, job: Job) -> None:
        able = self._able[job.skill]
        if not able:
            return
        agent = self._choose(self, able, job)
        self.ledger[agent.number] += 1
        self.world.at(self.world.scenario.delay, lambda: self.world.give(agent, job))

    def ended(self, agent: SimAgent, job: Job) -> None:
        self.world.at(self.world.scenario.delay, lambda: self._credit(agent))

    def failed(self, agent: SimAgent, job: Job) -> None:
        self.world.at(self.world.scenario.delay, lambda: self._again(agent, job))

    def crashed(self, agent: SimAgent, lost: Sequence[Job]) -> None:
        for job in lost:
            self.world.at(NOTICED_AFTER, lambda job=job: self._again(agent, job))  # type: ignore[misc]

    def back(self, agent: SimAgent) -> None:
        pass

    def _again(self, agent: SimAgent, job: Job) -> None:
        self._credit(agent)
        if job.ended is None:
            self.arrive(job)

    def _credit(self, agent: SimAgent) -> None:
        self.ledger[agent.number] -= 1


class LateBinding(Dispatcher):
    """Tasks wait in one queue, and go to whoever is free: what no coordinator beyond a network can do at once."""

    def __init__(self, seed: int) -> None:
        super().__init__(_random, seed)
        self._queue: list[Job] = []

    def arrive(self, job: Job) -> None:
        self._queue.append(job)
        self._bind()

    def _credit(self, agent: SimAgent) -> None:
        super()._credit(agent)
        self._bind()

    def back(self, agent: SimAgent) -> None:
        self._bind()

    def _bind(self) -> None:
        left = []
        for job in self._queue:
            free = [a for a in self._able[job.skill] if a.up and self.ledger[a.number] < a.slots]
            if not free:
                left.append(job)
                continue
            agent = max(free, key=lambda a: (a.speed, a.slots - self.ledger[a.number], -a.number))
            self.ledger[agent.number] += 1
            self.world.at(self.world.scenario.delay, lambda agent=agent, job=job: self.world.give(agent, job))  # type: ignore[misc]
        self._queue = left


class LeastWork(Dispatcher):
    """The oracle: it knows how long each task takes, what is on its way, and what each agent has left to do."""

    def __init__(self, seed: int) -> None:
        super().__init__(_least_work, seed)

    def begin(self, world: World) -> None:
        super().begin(world)
        self.free_at = [[0.0] * agent.slots for agent in world.agents]
        """When each slot of each agent is done with all that was sent to it."""


def _least_work(policy: Dispatcher, able: Sequence[SimAgent], job: Job) -> SimAgent:
    assert isinstance(policy, LeastWork)
    arrives = policy.world.now + policy.world.scenario.delay
    free_at = policy.free_at

    def starts(agent: SimAgent) -> tuple[float, float, int]:
        start = max(arrives, min(free_at[agent.number]))
        return start, start + job.service / agent.speed, agent.number

    agent = min((a for a in able if a.up), key=starts, default=able[0])
    slots = free_at[agent.number]
    slot = min(range(len(slots)), key=slots.__getitem__)
    slots[slot] = max(arrives, slots[slot]) + job.service / agent.speed
    return agent


def _random(policy: Dispatcher, able: Sequence[SimAgent], job: Job) -> SimAgent:
    return policy.chance.choice(able)


def _round_robin(policy: Dispatcher, able: Sequence[SimAgent], job: Job) -> SimAgent:
    policy.turn += 1
    return able[policy.turn % len(able)]


def _by_capacity(policy: Dispatcher, able: Sequence[SimAgent], job: Job) -> SimAgent:
    return policy.chance.choices(able, [agent.slots * agent.speed for agent in able])[0]


def _shortest_reported(policy: Dispatcher, able: Sequence[SimAgent], job: Job) -> SimAgent:
    reports = policy.world.reports
    least = min(reports[agent.number] for agent in able)
    return policy.chance.choice([agent for agent in able if reports[agent.number] == least])


def _two_reported(policy: Dispatcher, able: Sequence[SimAgent], job: Job) -> SimAgent:
    reports = policy.world.reports
    return min(policy.chance.sample(able, min(2, len(able))), key=lambda agent: reports[agent.number])


def _two_by_ledger(policy: Dispatcher, able: Sequence[SimAgent], job: Job) -> SimAgent:
    ledger = policy.ledger
    return min(
        policy.chance.sample(able, min(2, len(able))), key=lambda a: ledger[a.number] / (a.slots * a.speed)
    )


def _shortest_by_ledger(policy: Dispatcher, able: Sequence[SimAgent], job: Job) -> SimAgent:
    ledger = policy.ledger
    return min(able, key=lambda a: ((ledger[a.number] + 1) / (a.slots * a.speed), a.number))


@dataclass(frozen=True)
class Baseline:
    what: str
    make: Callable[[int], Dispatcher]
    on_reports: bool = False


BASELINES = {
    "oracle": Baseline("least work, by what only an oracle knows", LeastWork),
    "late-binding": Baseline("one queue; whoever is free, the fast ones first", LateBinding),
    "ledger": Baseline(
        "least for its slots and speed, by the ledger", lambda s: Dispatcher(_shortest_by_ledger, s)
    ),
    "two-ledger": Baseline("the less loaded of two, by the ledger", lambda s: Dispatcher(_two_by_ledger, s)),
    "two-reports": Baseline(
        "the less loaded of two, by reports", lambda s: Dispatcher(_two_reported, s), True
    ),
    "reports": Baseline("the least loaded, by reports", lambda s: Dispatcher(_shortest_reported, s), True),
    "capacity": Baseline("by chance, in proportion to capacity", lambda s: Dispatcher(_by_capacity, s)),
    "random": Baseline("by chance", lambda s: Dispatcher(_random, s)),
    "round-robin": Baseline("one after the other", lambda s: Dispatcher(_round_robin, s)),
}
