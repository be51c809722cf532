"""The brake on mass failure: where many agents fall silent together, nobody is taken for dead at once.

It is more likely then that they cannot be heard (a network, a broker, a coordinator that reads late) than that all
of them died, and to give all their work to the others would harm everybody: twice the work for the rest, and
nothing but rejections when they are heard again. So their losses are held back. Suspected they are, and get no new
work; what they have stays theirs. Whoever speaks is well again, with its work. When only few have been silent for
some seconds, those count as lost; and in the end all do, a few each second. Kubernetes' node controller slows
evictions down in the same way while most of a zone is not ready.
"""

from __future__ import annotations

from models.fleet import agents
from models.fleet.roster import Agent
from models.fleet.state import FleetState
from models.fleet.step import Step

LEAST = 5
"""Fewer agents are lost without more ado: a fleet of three that loses one has no mass failure."""
_LOOK_AGAIN = 1_000
_GRACE = 5_000
"""Milliseconds. When a network is whole again its agents are heard one after the other: the last ones are not lost
because the first ones were quicker."""


def engaged(fleet: FleetState) -> bool:
    """Whether so many are silent now that none counts as lost."""
    return fleet.suspected >= max(LEAST, fleet.policy.liveness.brake_share * fleet.registered)


def hold_back(step: Step, fleet: FleetState, agent: Agent) -> None:
    """The agent, which is suspected, would be lost; not now."""
    details = {"suspected": fleet.suspected, "registered": fleet.registered}
    step.alert_seldom(fleet, "brake_engaged", fleet.name, "mass_silence", details)
    if agent.row.held_since:
        return
    agent.row.held_since = step.now
    agents.changed(step, fleet, agent)
    if not fleet.row.brake_due:
        _look_again(step, fleet, max(step.now, step.state.clock.fleet_time) + _LOOK_AGAIN)


def review(step: Step, fleet_name: str, due: int) -> None:
    """Let those be lost for whom the brake holds no more."""
    fleet = step.state.fleets[fleet_name]
    if fleet.row.brake_due != due:
        return
    now = step.state.clock.fleet_time
    waiting = sorted(fleet.held_back, key=lambda name: (fleet.agents[name].row.held_since, name))
    if engaged(fleet):
        fleet.row.brake_eased = 0
        longest = now - fleet.policy.liveness.brake_hold
        pace = max(1, fleet.registered // 100)
        waiting = [name for name in waiting if fleet.agents[name].row.held_since <= longest][:pace]
    else:
        fleet.row.brake_eased = fleet.row.brake_eased or now
        if now < fleet.row.brake_eased + _GRACE:
            waiting = []
    for name in waiting:
        agents.be_lost(step, fleet, fleet.agents[name], step.now - fleet.agents[name].row.held_since)
    if fleet.held_back:
        _look_again(step, fleet, max(due, step.state.clock.fleet_time) + _LOOK_AGAIN)
    else:
        fleet.row.brake_due = fleet.row.brake_eased = 0
        step.state.touch_fleet(fleet)
        step.alert(
            fleet.name, "brake_released", fleet.name, "heard_or_lost", {"registered": fleet.registered}
        )


def _look_again(step: Step, fleet: FleetState, due: int) -> None:
    fleet.row.brake_due = due
    step.state.touch_fleet(fleet)
    step.state.timers.moment(due, "brake", fleet.name)
