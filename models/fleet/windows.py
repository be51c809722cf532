"""What a closed window of agents' reports means: for each of them, and for the fleet's report."""

from __future__ import annotations

from models.fleet import drift, reports, throttle
from models.fleet.state import FleetState
from models.fleet.step import Step
from models.fleet_records import LOAD, WindowClosed


def hear(step: Step, fleet: FleetState, window: WindowClosed) -> None:
    for agent_id, metrics in window.agents.items():
        agent = fleet.agents.get(agent_id)
        if agent is None or not agent.registered:
            continue
        agent.row.reviewed = max(agent.row.reviewed, window.end)
        step.state.tables.agents.touch(fleet.key(agent_id))
        if LOAD in metrics:
            drift.review(step, fleet, agent, window, metrics[LOAD])
        else:
            drift.unsaid(step, fleet, agent)
        throttle.review(step, fleet, agent)
        throttle.tell(step, fleet, agent)
    reports.collect(step, fleet, window)
