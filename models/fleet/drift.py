"""Load that the ledger does not know: what agents report beyond what they were given.

The ledger says what is outstanding; an agent's own reports come late and are never planned on. But an agent may
do other things, too, or still be at work on something that the coordinator has given up: then it reports more load
than its directives explain, window after window. Where it does so in two windows running, the report is adopted:
the slots that others take are not given away, until two windows running show that they are free again. One slot
is left to it in any case, and one task of any size while it has none, so that a gauge that means something else
cannot keep an agent, or a whole fleet, idle.

The opposite cannot be adopted: an agent that says that it is idle while it has accepted work may have lost it, or
may not measure its load at all. People are told, once.

A window's samples are a few looks at a load that comes and goes, so a difference counts only beyond what chance
explains: three standard deviations of the mean of so many samples of so many slots.
"""

from __future__ import annotations

from math import floor, sqrt

from models.fields import seconds
from models.fleet import held
from models.fleet.roster import Agent
from models.fleet.state import FleetState
from models.fleet.step import Step
from models.fleet_records import Aggregate, WindowClosed

_TWICE = 2
"""Windows running that must agree before anything is done."""
_SAMPLES = 3
"""With fewer a window says nothing."""
_SIGMAS = 3.0
_DEADBAND = 0.75
"""Slots by which what is adopted must be wrong before it is changed."""
_MOST = 2.0
"""Load beyond which a gauge tells nothing more: all slots twice."""


def review(step: Step, fleet: FleetState, agent: Agent, window: WindowClosed, load: Aggregate) -> None:
    """Compare what an agent reported in a window with what the ledger held for it then."""
    row = agent.row
    slots = agent.shape.slots
    if not slots or load.count < _SAMPLES or row.registered_at > window.start:
        return
    if window.end - window.start != fleet.policy.windows.size:
        return  # of spans of that size nothing is remembered
    step.state.count_held(fleet, agent)
    mean = held.mean(row, window.start, window.end)
    if mean is None:
        return
    ours = mean / slots
    spread = min(max(ours, 0.0), 1.0)
    by_chance = _SIGMAS * sqrt(spread * (1.0 - spread) / (slots * load.count))
    tolerance = max(fleet.policy.drift_tolerance, by_chance)
    more = min(max(load.mean, 0.0), _MOST) - ours
    before = row.drifted
    if more > tolerance:
        row.drifted = min(max(before, 0) + 1, _TWICE)
        # A burst of one window is not taken for what comes.
        row.background = more if before <= 0 else (row.background + more) / 2
    elif before <= 0 and more < -tolerance and load.max == 0 and _at_work_since(agent, window.start):
        row.drifted = max(before - 1, -_TWICE)
    else:
        row.drifted = before - (before > 0) + (before < 0)
    step.state.tables.agents.touch(fleet.key(agent.id))
    told: dict[str, object] = {
        "reported": load.mean,
        "ledger": ours,
        "start": seconds(window.start),
        "end": seconds(window.end),
    }
    if row.drifted == _TWICE:
        _adopt(step, fleet, agent, told)
    elif row.drifted == -_TWICE != before:
        step.alert_seldom(fleet, "drift", agent.id, "idle_with_work", {**told, "tasks": len(agent.live)})
    elif row.drifted <= 0 and row.taken:
        _take(step, fleet, agent, 0, "agrees", told)


def unsaid(step: Step, fleet: FleetState, agent: Agent) -> None:
    """The agent reports in a window, but not its load: what it said of that before is forgotten."""
    row = agent.row
    if row.taken or row.drifted:
        row.drifted = 0
        step.state.tables.agents.touch(fleet.key(agent.id))
        if row.taken:
            _take(step, fleet, agent, 0, "unsaid", {})


def _adopt(step: Step, fleet: FleetState, agent: Agent, told: dict[str, object]) -> None:
    row, slots = agent.row, agent.shape.slots
    exactly = min(row.background, 1.0) * slots
    taken = min(max(floor(exactly + 0.5), 1), slots)
    if taken != row.taken and not (row.taken and abs(exactly - row.taken) <= _DEADBAND):
        _take(step, fleet, agent, taken, "background_load", told)


def _take(
    step: Step, fleet: FleetState, agent: Agent, taken: int, reason: str, told: dict[str, object]
) -> None:
    """From now on so many of its slots count as taken by others."""
    agent.row.taken = taken
    agent.row.changed_at = step.now
    step.state.agent_changed(fleet, agent)
    details = {**told, "taken": taken, "usable": agent.credits}
    step.alert(fleet.name, "drift", agent.id, reason, details)


def _at_work_since(agent: Agent, since: int) -> bool:
    return any(
        row.type == "assign_task" and row.accepted and row.accepted_at <= since for row in agent.live.values()
    )
