"""Virtual time, agents that work, tasks that arrive, and what is measured of them. No policy decides here.

Everything happens on one heap, drawn from one seed: the same seed gives the same run. Times are milliseconds.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Protocol

SECOND = 1_000.0
_FAILS_AFTER = 5.0
"""Milliseconds that an agent takes to fail at a task."""


@dataclass(slots=True, eq=False)
class Job:
    """One task."""

    number: int
    arrival: float
    service: float
    """Milliseconds that it takes on an agent of speed 1. Nobody knows it before."""
    expected: float
    """What is told of it: the mean."""
    skill: int
    started: float | None = None
    ended: float | None = None
    runs: int = 0
    """How often an agent began it."""
    at_once: int = 0
    """On how many agents it runs now."""
    duplicates: int = 0
    """How often it was begun while another agent was at it."""
    lost_at: float | None = None
    """When the agent that had it crashed, until it runs elsewhere."""


@dataclass(slots=True, eq=False)
class SimAgent:
    """Works on as many tasks at once as it has slots; what comes on top of that waits here, in order."""

    number: int
    slots: int
    speed: float
    skills: frozenset[int]
    running: dict[int, Job] = field(default_factory=dict)
    waiting: list[Job] = field(default_factory=list)
    up: bool = True
    heard: bool = True
    """Whether its messages get through."""
    life: int = 0
    """Rises with every crash: what began before has no end."""
    black_hole: bool = False
    """Whether it fails at everything."""
    straggles: float = 1.0
    """By how much longer everything takes at the moment."""

    @property
    def outstanding(self) -> int:
        return len(self.running) + len(self.waiting)

    @property
    def work_left(self) -> float:
        """Milliseconds of work at speed 1, by what only an oracle knows."""
        return sum(job.service for job in self.running.values()) + sum(job.service for job in self.waiting)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Who is there and what happens."""

    agents: int = 200
    slots: int = 4
    slow_share: float = 0.25
    """Share of the agents that are half as fast."""
    skills: int = 1
    """Kinds of tasks; each agent can do a third of them, at least one."""
    load: float = 0.85
    """Work that arrives, of what all agents can do."""
    mean_service: float = 1.0
    """Seconds."""
    seconds: float = 150.0
    delay: float = 20.0
    """Milliseconds that a message takes between coordinator and agent."""
    report_interval: float = 1.0
    """Seconds between two reports of an agent."""
    noise: float = 0.0
    """Relative standard deviation of what is reported."""
    crashes: float = 0.0
    """Per agent and hour; who crashed comes back half a minute later and knows of nothing."""
    flapping: float = 0.0
    """Share of the agents that cannot be heard for six seconds out of thirty."""
    stragglers: float = 0.0
    """Share of the agents that take five times as long for ten seconds out of a minute."""
    black_holes: float = 0.0
    """Share of the agents that fail at whatever they are given, at once."""
    mass_silence: float = 0.0
    """Share of the agents that cannot be heard for twenty seconds in the middle of the run."""
    trace: Sequence[tuple[float, float, int]] | None = None
    """Arrival and service time in seconds, and skill, of each task; instead of made ones."""


class Policy(Protocol):
    """Decides where tasks go. It may look at ``world.agents`` only as far as it is an oracle, or on reports."""

    def begin(self, world: World) -> None: ...
    def arrive(self, job: Job) -> None:
        """A task was submitted."""

    def ended(self, agent: SimAgent, job: Job) -> None:
        """An agent is done with a task, and says so from now on."""

    def failed(self, agent: SimAgent, job: Job) -> None:
        """An agent could not do a task, and says so from now on."""

    def crashed(self, agent: SimAgent, lost: Sequence[Job]) -> None:
        """An agent is down with all that it had."""

    def back(self, agent: SimAgent) -> None:
        """It is up again."""


class World:
    """One run of one policy."""

    def __init__(self, scenario: Scenario, policy: Policy, seed: int) -> None:
        self.scenario = scenario
        self.policy = policy
        self.now = 0.0
        self.chance = random.Random(f"world {seed}")
        """What happens: equal for all policies."""
        self.jobs: list[Job] = []
        self.covs: list[float] = []
        self.failures = 0
        """How often a task was given to an agent that fails at everything."""
        self.reassigned: list[float] = []
        """Milliseconds from a crash until each of its tasks ran again."""
        self.reports: list[float] = []
        """What each agent last said of its load: tasks for its slots."""
        self._moments: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self.agents = [self._agent(number) for number in range(scenario.agents)]
        self.reports = [0.0] * len(self.agents)

    # -- time

    def at(self, after: float, action: Callable[[], None]) -> None:
        self._count += 1
        heappush(self._moments, (self.now + after, self._count, action))

    def every(self, interval: float, action: Callable[[], None], first: float | None = None) -> None:
        def again() -> None:
            action()
            self.at(interval, again)

        self.at(interval if first is None else first, again)

    def run(self) -> None:
        """To the end, which is when the last task was to have arrived; what waits then has waited until then."""
        end = self.scenario.seconds * SECOND
        self._plan_arrivals(end)
        self._plan_trouble(end)
        for agent in self.agents:
            first = self.chance.random() * self.scenario.report_interval * SECOND
            self.every(self.scenario.report_interval * SECOND, lambda agent=agent: self._report(agent), first)  # type: ignore[misc]
        self.every(SECOND, self._measure)
        self.policy.begin(self)
        while self._moments and self._moments[0][0] <= end:
            self.now, _, action = heappop(self._moments)
            action()
        self.now = end

    # -- what agents do

    def give(self, agent: SimAgent, job: Job) -> None:
        """A task has reached an agent."""
        if not agent.up:
            self.policy.crashed(agent, [job])
        elif agent.black_hole:
            self.failures += 1
            self.at(_FAILS_AFTER, lambda: self.policy.failed(agent, job))
        elif len(agent.running) < agent.slots:
            self._begin(agent, job)
        else:
            agent.waiting.append(job)

    def take(self, agent: SimAgent, job: Job) -> None:
        """A task is withdrawn from an agent."""
        if agent.running.pop(job.number, None) is not None:
            job.at_once -= 1
            self._next(agent)
        elif job in agent.waiting:
            agent.waiting.remove(job)

    def able(self, agent: SimAgent, job: Job) -> bool:
        return job.skill in agent.skills

    def _begin(self, agent: SimAgent, job: Job) -> None:
        agent.running[job.number] = job
        job.runs += 1
        job.duplicates += job.at_once > 0
        job.at_once += 1
        if job.started is None:
            job.started = self.now
        if job.lost_at is not None:
            self.reassigned.append(self.now - job.lost_at)
            job.lost_at = None
        life = agent.life
        self.at(
            job.service * agent.straggles / agent.speed,
            lambda: self._end(agent, job) if agent.life == life else None,
        )

    def _end(self, agent: SimAgent, job: Job) -> None:
        if agent.running.pop(job.number, None) is None:
            return  # it was withdrawn
        job.at_once -= 1
        if job.ended is None:
            job.ended = self.now
        self._next(agent)
        self.policy.ended(agent, job)

    def _next(self, agent: SimAgent) -> None:
        if agent.waiting and len(agent.running) < agent.slots:
            self._begin(agent, agent.waiting.pop(0))

    # -- what happens to them

    def _agent(self, number: int) -> SimAgent:
        scenario = self.scenario
        slow = number < scenario.slow_share * scenario.agents
        wanted = max(1, scenario.skills // 3)
        skills = frozenset(self.chance.sample(range(scenario.skills), wanted))
        good = scenario.agents - round(scenario.black_holes * scenario.agents)
        return SimAgent(number, scenario.slots, 0.5 if slow else 1.0, skills, black_hole=number >= good)

    def _plan_arrivals(self, end: float) -> None:
        scenario = self.scenario
        if scenario.trace is not None:
            for arrival, service, skill in scenario.trace:
                self._plan_arrival(arrival * SECOND, service * SECOND, skill)
            return
        speed = sum(agent.slots * agent.speed for agent in self.agents)
        rate = scenario.load * speed / (scenario.mean_service * SECOND)
        arrival = self.chance.expovariate(rate)
        while arrival < end:
            service = self.chance.expovariate(1 / (scenario.mean_service * SECOND))
            self._plan_arrival(arrival, max(1.0, service), self.chance.randrange(scenario.skills))
            arrival += self.chance.expovariate(rate)

    def _plan_arrival(self, arrival: float, service: float, skill: int) -> None:
        job = Job(len(self.jobs), arrival, service, self.scenario.mean_service * SECOND, skill)
        self.jobs.append(job)
        self.at(arrival, lambda: self.policy.arrive(job))

    def _plan_trouble(self, end: float) -> None:
        scenario, chance = self.scenario, self.chance
        for agent in self.agents:
            if scenario.crashes:
                crash = chance.expovariate(scenario.crashes / (3_600 * SECOND))
                while crash < end:
                    self.at(crash, lambda agent=agent: self._crash(agent))  # type: ignore[misc]
                    crash += 60 * SECOND + chance.expovariate(scenario.crashes / (3_600 * SECOND))
            if chance.random() < scenario.flapping:
                first = chance.random() * 30 * SECOND
                self.every(30 * SECOND, lambda agent=agent: self._silence(agent, 6 * SECOND), first)  # type: ignore[misc]
            if chance.random() < scenario.stragglers:
                first = chance.random() * 60 * SECOND
                self.every(60 * SECOND, lambda agent=agent: self._straggle(agent), first)  # type: ignore[misc]
        silent = self.agents[: round(scenario.mass_silence * len(self.agents))]
        for agent in silent:
            self.at(end / 2, lambda agent=agent: self._silence(agent, 20 * SECOND))  # type: ignore[misc]

    def _crash(self, agent: SimAgent) -> None:
        lost = [*agent.running.values(), *agent.waiting]
        for job in agent.running.values():
            job.at_once -= 1
        agent.running.clear()
        agent.waiting.clear()
        agent.up = False
        agent.life += 1
        for job in lost:
            if job.ended is None:
                job.lost_at = self.now
        self.at(30 * SECOND, lambda: self._come_back(agent))
        self.policy.crashed(agent, lost)

    def _come_back(self, agent: SimAgent) -> None:
        agent.up = True
        self.policy.back(agent)

    def _silence(self, agent: SimAgent, milliseconds: float) -> None:
        agent.heard = False
        self.at(milliseconds, lambda: setattr(agent, "heard", True))

    def _straggle(self, agent: SimAgent) -> None:
        agent.straggles = 5.0
        self.at(10 * SECOND, lambda: setattr(agent, "straggles", 1.0))

    def _report(self, agent: SimAgent) -> None:
        if agent.up and agent.heard:
            load = agent.outstanding / agent.slots
            self.reports[agent.number] = max(0.0, load * (1 + self.chance.gauss(0, self.scenario.noise)))

    def _measure(self) -> None:
        """How unlike the agents' loads are: the coefficient of variation of tasks for each slot and speed."""
        agents = [agent for agent in self.agents if agent.up and not agent.black_hole]
        loads = [agent.outstanding / agent.slots for agent in agents]
        mean = sum(loads) / len(loads)
        if mean and self.now > 0.2 * self.scenario.seconds * SECOND:
            self.covs.append((sum((load - mean) ** 2 for load in loads) / len(loads)) ** 0.5 / mean)
