"""Drained agents: at its deadline a drained agent gives back what it has not finished, at a pace.

Until then it finishes what it has, and gets nothing new. Then its tasks are withdrawn and wait for others, and no
attempt is counted. When many agents are drained at once, as before an upgrade of all of them, only so many tasks
a second are taken back of the whole fleet: the others have to take them up (Nomad's ``max_parallel`` of a drain).
Of one agent those that began last go first, since the least work is lost with them.
"""

from __future__ import annotations

from models.fleet import coalitions, ledger, tasks
from models.fleet.roster import Agent
from models.fleet.state import FleetState
from models.fleet.step import Step

_LOOK_AGAIN = 1_000
"""Milliseconds; the policy's pace is that of each such stretch."""
_WORK = ("assign_task", "join_coalition")
_REASON = "agent_drained"


def begin(step: Step, fleet: FleetState, agent: Agent, deadline: int | None) -> None:
    """An operator drains the agent, until then or without haste."""
    agent.row.drain_by = 0 if deadline is None else max(1, deadline)
    step.state.agent_changed(fleet, agent)
    _schedule(step, fleet)


def end(agent: Agent) -> None:
    """It is to work again, or has gone. The caller notes the change."""
    agent.row.drain_by = 0


def review(step: Step, fleet_name: str, due: int) -> None:
    """Take back what agents still have whose time is over."""
    fleet = step.state.fleets[fleet_name]
    if fleet.row.drain_due != due:
        return
    fleet.row.drain_due = 0
    now = step.state.clock.fleet_time
    pace = fleet.policy.drain_pace
    overdue = sorted((fleet.agents[name].row.drain_by, name) for name in fleet.draining)
    for drain_by, name in overdue:
        if drain_by >= now or not pace:
            break
        agent = fleet.agents[name]
        held = [entry for entry in reversed(list(agent.in_order())) if entry[1].type in _WORK]
        if held:
            details = {"tasks": len(held), "deadline": drain_by / 1000}
            step.alert_seldom(fleet, "drain_overdue", name, "deadline", details)
            fleet.row.drain_from = now + _LOOK_AGAIN
        for directive_id, _ in held[:pace]:
            _take_back(step, fleet, directive_id)
        if len(held) <= pace:
            end(agent)
            step.state.agent_changed(fleet, agent)
        pace -= min(pace, len(held))
    step.state.touch_fleet(fleet)
    _schedule(step, fleet)


def _schedule(step: Step, fleet: FleetState) -> None:
    """Look at the next deadline, if there is one, and never sooner than the pace allows."""
    deadlines = [fleet.agents[name].row.drain_by for name in fleet.draining]
    if not deadlines:
        return
    due = max(min(deadlines), fleet.row.drain_from, step.state.clock.fleet_time)
    if not fleet.row.drain_due or due < fleet.row.drain_due:
        fleet.row.drain_due = due
        step.state.touch_fleet(fleet)
        step.state.timers.moment(due, "drain", fleet.name)


def _take_back(step: Step, fleet: FleetState, directive_id: str) -> None:
    row = step.state.tables.directives.get(directive_id)
    if row is None:
        return  # it ended with a coalition that another one of its parts belonged to
    task = step.state.task_of(fleet, row)
    ledger.withdraw(step, fleet, directive_id)
    if row.coalition_id is None:
        tasks.take_back(step, fleet, task, _REASON, "nothing")
    else:
        coalitions.left(step, fleet, row, _REASON, "nothing")
