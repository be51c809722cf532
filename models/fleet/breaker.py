"""Circuit breakers: an agent that fails at one task after the other gets no more for a while, then few.

An agent that fails at everything at once is always free, so the better the work is spread the more of it such an
agent swallows. So each agent has a breaker (Nygard, *Release It!*, 2007). *Closed*, it counts tasks that ended
badly here since the last one that was completed. When these are enough it *opens*: the agent gets no new work.
After a pause, longer from time to time, it is *half-open*: the agent gets one task; with each that it completes
twice as many at once, until it has all its slots again, and with the first that fails the breaker opens again.

Often the tasks are to blame, not the agents: what has failed on another agent before counts against nobody, and
only a small share of a fleet is taken out at a time, as Envoy's outlier detection has it, never its last agent.
"""

from __future__ import annotations

from models.fleet.roster import Agent
from models.fleet.rows import TaskRow
from models.fleet.state import FleetState
from models.fleet.step import Step

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
    if _may_open(fleet):
        _open(step, fleet, agent, reason)
    else:
        details = {"open": fleet.tripped, "registered": fleet.registered, "agent_id": agent_id}
        step.alert_seldom(fleet, "breaker_withheld", fleet.name, "too_many_open", details)


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
    agent.row.cap = None
    if agent.row.limit is not None:
        _close(step, fleet, agent, "operator")


def _may_open(fleet: FleetState) -> bool:
    share = fleet.policy.breaker.share
    most = max(1.0, share * fleet.registered) if share else 0
    return fleet.tripped + 1 <= most and fleet.tripped + 1 < fleet.registered


def _open(step: Step, fleet: FleetState, agent: Agent, reason: str) -> None:
    row = agent.row
    policy = fleet.policy.breaker
    pause = min(policy.pause << min(row.trips, 32), policy.longest_pause)
    details = {"tasks": row.failed, "pause": pause / 1000, "openings": row.trips + 1}
    step.alert(fleet.name, "breaker_opened", agent.id, reason, details)
    row.trips += 1
    row.limit = 1
    row.failed = []
    row.tripped_until = max(step.now, step.state.clock.fleet_time) + pause
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
