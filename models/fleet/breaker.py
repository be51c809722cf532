"""Circuit breakers: an agent that fails at one task after the other gets no more for a while, then few.

An agent that fails at everything at once is always free, so the better the work is spread the more of it such an
agent swallows. So each agent has a breaker (Nygard, *Release It!*, 2007). *Closed*, it counts tasks that ended
badly here since the last one that was completed. When these are enough it *opens*: the agent gets no new work.
After a pause, longer from time to time, it is *half-open*: the agent gets one task; with each that it completes
twice as many at once, until it has all its slots again, and with the first that fails the breaker opens again.

It opens, too, for an agent that comes and goes, until it has been there for a while: each time that it is lost, or
starts again without having said goodbye, counts less and less as time passes (route flap damping, RFC 2439).

Often the tasks are to blame, not the agents: what has failed on another agent before counts against nobody, and
only a small share of a fleet is taken out at a time, as Envoy's outlier detection has it, never its last agent.
"""

from __future__ import annotations

from models.fleet.roster import Agent
from models.fleet.rows import AgentRow, TaskRow
from models.fleet.state import FleetState
from models.fleet.step import Step

_FLAP = 1_000
"""What one loss counts, so that its fading is whole numbers, which replays repeat."""
_MOST_FLAPS = 12
"""However often it was lost: what is beyond is forgotten at once."""
_NO_FAULT = frozenset({"agent_stopped"})
"""What an agent answers for work that it gives back since it is told to stop."""


def failed(step: Step, fleet: FleetState, agent_id: str, task: TaskRow, reason: str) -> None:
    """A task ended badly on the agent: it failed, or was not done or not even answered in time."""
    elsewhere = any(other != agent_id for other in task.failed_on)
    if reason in _NO_FAULT or elsewhere:
        return
    agent = fleet.agents[agent_id]
    row = agent.row
    policy = fleet.policy.breaker
    row.bad += 1
    step.state.tables.agents.touch(fleet.key(agent_id))
    if task.task_id not in row.failed:
        row.failed = [*row.failed, task.task_id][-policy.failures :]
    if row.tripped_until or not (row.limit is not None or len(row.failed) >= policy.failures):
        return
    _open_if_few(step, fleet, agent, reason, min(policy.pause << min(row.trips, 32), policy.longest_pause))


def succeeded(step: Step, fleet: FleetState, agent_id: str) -> None:
    """The agent has completed a task."""
    agent = fleet.agents[agent_id]
    row = agent.row
    row.done += 1
    step.state.tables.agents.touch(fleet.key(agent_id))
    if not row.failed and row.limit is None:
        return
    row.failed = []
    if row.limit is not None and not row.tripped_until:
        row.limit *= 2
        if row.limit >= row.slots:
            _close(step, fleet, agent, "completed")
            return
    _note(step, fleet, agent)


def flapped(step: Step, fleet: FleetState, agent: Agent) -> None:
    """The agent was lost, or has started again without having said that it would stop.

    Whoever said so, or was told to, is free to go; and a loss that a restart ends counts once.
    """
    row = agent.row
    if row.drained or row.status in ("offline", "draining"):
        return
    row.flapped_in = row.incarnation
    before = flaps_of(row, step.now, fleet.policy.breaker.flap_memory)
    row.flaps = min(before + _FLAP, _MOST_FLAPS * _FLAP)
    row.flapped_at = step.now
    step.state.tables.agents.touch(fleet.key(agent.id))


def returned(step: Step, fleet: FleetState, agent: Agent) -> None:
    """The agent is there again: who comes and goes has to stay for a while before it gets work."""
    row = agent.row
    policy = fleet.policy.breaker
    flaps, forgiven = flaps_of(row, step.now, policy.flap_memory), policy.flaps * _FLAP
    if not forgiven or flaps <= forgiven:
        return
    pause = 0
    while flaps > forgiven:
        pause += policy.flap_memory
        flaps //= 2
    pause = min(pause, policy.longest_pause)
    if row.tripped_until:
        _pause(step, fleet, agent, pause)
    else:
        _open_if_few(step, fleet, agent, "flapping", pause)


def flaps_of(row: AgentRow, now: int, memory: int) -> int:
    """How often it was lost, in thousandths, as of ``now``: what was ``memory`` milliseconds ago counts half."""
    halves, rest = divmod(now - row.flapped_at, memory)
    flaps = row.flaps >> min(halves, 32)
    return flaps - flaps * rest // (2 * memory)


def review(step: Step, key: str, due: int) -> None:
    """The pause of an open breaker is over."""
    row = step.state.tables.agents.rows[key]
    if row.tripped_until == due:
        fleet = step.state.fleets[row.fleet]
        row.tripped_until = 0
        _note(step, fleet, fleet.agents[row.agent_id])


def reset(step: Step, fleet: FleetState, agent: Agent) -> None:
    """An operator vouches for the agent."""
    agent.row.failed = []
    agent.row.flaps = 0
    agent.row.cap = None
    if agent.row.limit is not None:
        _close(step, fleet, agent, "operator")


def _open_if_few(step: Step, fleet: FleetState, agent: Agent, reason: str, pause: int) -> None:
    """Open it for so many milliseconds, unless too many are open already."""
    share = fleet.policy.breaker.share
    if not share:
        return
    most = max(1.0, share * fleet.registered)
    if not (fleet.tripped + 1 <= most and fleet.tripped + 1 < fleet.registered):
        details = {"open": fleet.tripped, "registered": fleet.registered, "agent_id": agent.id}
        step.alert_seldom(fleet, "breaker_withheld", fleet.name, "too_many_open", details)
        return
    row = agent.row
    details = {"tasks": row.failed, "pause": pause / 1000, "openings": row.trips + 1}
    step.alert(fleet.name, "breaker_opened", agent.id, reason, details)
    row.trips += 1
    row.limit = 1
    row.failed = []
    _pause(step, fleet, agent, pause)


def _pause(step: Step, fleet: FleetState, agent: Agent, pause: int) -> None:
    row = agent.row
    until = max(step.now, step.state.clock.fleet_time) + pause
    row.tripped_until = max(row.tripped_until, until)
    step.state.timers.moment(row.tripped_until, "breaker", fleet.key(agent.id))
    _note(step, fleet, agent)


def _close(step: Step, fleet: FleetState, agent: Agent, reason: str) -> None:
    row = agent.row
    row.limit = None
    row.trips = 0
    row.tripped_until = 0
    _note(step, fleet, agent)
    step.alert(fleet.name, "breaker_closed", agent.id, reason)


def _note(step: Step, fleet: FleetState, agent: Agent) -> None:
    agent.row.changed_at = step.now
    step.state.agent_changed(fleet, agent)  # of its shape nothing has changed, so no class is affected
