"""How fast agents work, learned from the tasks that they complete.

Who submits a task may know how long it takes (``size``), or may not. So the measure of an agent is not the size
but the others: how long tasks of the same class took, for each unit of size. An agent that takes half as long as
is usual for its class has speed 2.

Tasks of a class may take times as unlike as chance can make them, and a planner that took luck for speed would
heap work on the lucky. So an agent counts as fast or slow only by as much as its times differ from the usual by
more than chance explains: three standard deviations of their sum, which a few tasks seldom exceed and many do if
there is something to it. Only ``+ - * /`` and square roots touch floats, which IEEE 754 rounds alike on every
machine.
"""

from __future__ import annotations

from math import sqrt

from models import histogram
from models.fleet.roster import Agent
from models.fleet.rows import DirectiveRow, PaceRow, TaskRow
from models.fleet.state import FleetState
from models.fleet.step import Step

CLASS_MEMORY = 100
"""Completed tasks over which the pace of a class is averaged."""
_QUANTILE_MEMORY = 1_000
"""Completed tasks of a class that are counted before the older ones begin to fade."""
_FEW = 32
"""So often the quantile of a class is determined anew, and with each of its first tasks: it costs as much as all
else that is learned from one."""
_SIZE_MIN = 0.001
_SHORTEST_MEMORY = 3_600_000
"""Milliseconds."""
_SIGMAS = 3.0
_PRIOR = 5.0
"""Tasks of usual time that every agent is taken to have done, until it is known better."""
_FASTEST = 8.0
"""One task shows an agent at most so many times faster, or slower, than usual: its size may be wrong by more."""


def learn(step: Step, fleet: FleetState, task: TaskRow, directive: DirectiveRow) -> None:
    """The agent has completed the task."""
    took = max(1, step.now - (directive.accepted_at or directive.issued_at)) / max(task.size, _SIZE_MIN)
    key = fleet.key(task.class_id)
    paces = step.state.tables.paces
    row = paces.get(key)
    if row is None:
        row = PaceRow(mean=took, count=1, forget_at=step.now + _memory(fleet))
        _count(row, took)
        step.state.timers.moment(row.forget_at, "pace", key)
        paces.put(key, row)
        return  # the first one shows nothing of its agent: there is nobody to compare it with
    surprise = _compare(step, fleet, fleet.agents[directive.agent_id], row, took)
    row.count = min(row.count + 1, CLASS_MEMORY)
    row.mean += (took - row.mean) / row.count
    row.variance += (surprise * surprise - row.variance) / row.count
    _count(row, took)
    paces.touch(key)


def _compare(step: Step, fleet: FleetState, judged: Agent, pace: PaceRow, took: float) -> float:
    """Count one task of the agent beside what is usual, and tell its speed by all that count.

    Returns:
        By how much more than its own usual time it took, as a share of that: the part that chance has in it.
    """
    agent = judged.row
    passed = max(0, step.now - agent.speed_at) if agent.speed_at else 0
    # Half of the weight after ``speed_memory``; with steps much smaller than that the past fades exponentially.
    memory = fleet.policy.planning.speed_memory
    kept = memory / (memory + passed) if passed else 1.0
    times = min(max(took / pace.mean, 1 / _FASTEST), _FASTEST)
    surprise = times * (agent.tasks + _PRIOR) / (agent.times + _PRIOR) - 1.0
    agent.tasks = agent.tasks * kept + 1.0
    agent.times = agent.times * kept + times
    agent.doubt = agent.doubt * kept + pace.variance
    more = agent.times - agent.tasks
    by_chance = _SIGMAS * sqrt(agent.doubt)
    more = max(0.0, more - by_chance) if more > 0 else min(0.0, more + by_chance)
    agent.speed = agent.tasks / (agent.tasks + more)
    agent.speed_at = step.now
    step.state.speed_learned(fleet, judged)
    return surprise


def _count(row: PaceRow, took: float) -> None:
    histogram.add(row.times, round(took))
    row.seen += 1
    if row.seen > _QUANTILE_MEMORY:
        histogram.fade(row.times)
        row.seen = histogram.size(row.times)
    if row.seen <= _FEW or row.seen % _FEW == 0:
        row.slow = histogram.quantile(row.times, 990)


def forget(step: Step, key: str, due: int) -> None:
    """Forget the pace of a class of which no task lives; of others it is needed for as long again."""
    paces = step.state.tables.paces
    row = paces.get(key)
    if row is None or row.forget_at != due:
        return
    name, class_id = key.split("/")
    fleet = step.state.fleets[name]
    if class_id in fleet.classes:
        row.forget_at = due + _memory(fleet)
        paces.touch(key)
        step.state.timers.moment(row.forget_at, "pace", key)
    else:
        paces.delete(key)


def _memory(fleet: FleetState) -> int:
    return max(fleet.policy.task_memory, _SHORTEST_MEMORY)
