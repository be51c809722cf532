"""Agents get fewer tasks at once while too many fail on them, and are told how many slots to use.

A breaker (``breaker``) opens for an agent that fails at everything. One that fails at half of what it gets, and
completes the rest, may just have too much to do at once. So errors are looked at window by window: where they are
too many of what ended on it, it gets half as many tasks at once; else a tenth of its slots more, until it has all
again: additive increase and multiplicative decrease (Chiu and Jain, 1989), by which TCP finds what a path takes.
No more agents are throttled at a time than breakers may be open: if more of them fail, the tasks are to blame.

What bounds an agent here, or since it has other work (``drift``), the agent gets to know: a ``throttle`` with the
number of slots to use, and one without when it may use all again.
"""

from __future__ import annotations

from models.fleet import ledger
from models.fleet.roster import Agent
from models.fleet.rows import AgentRow
from models.fleet.state import FleetState
from models.fleet.step import Step

_FEW = 5
"""Ended tasks that say something of their agent."""
_STEPS = 10
"""From one slot to all."""


def review(step: Step, fleet: FleetState, agent: Agent) -> None:
    """A window of the agent has closed."""
    row = agent.row
    ended = row.done + row.bad
    # Who gets nothing that it could fail at, since it gets so little, recovers by the mere passing of time.
    calm = row.cap is not None and not row.bad
    if ended < _FEW and not calm:
        return
    errors = row.bad / ended if ended else 0.0
    too_many = errors >= fleet.policy.breaker.errors
    row.done = row.bad = 0
    step.state.tables.agents.touch(fleet.key(agent.id))
    slots = agent.shape.slots
    if too_many and slots > 1 and (row.cap is not None or _may_throttle(fleet)):
        _cap(step, fleet, agent, max(1, agent.credits // 2), errors, ended)
    elif not too_many and row.cap is not None:
        more = row.cap + max(1, slots // _STEPS)
        _cap(step, fleet, agent, more if more < slots else None, errors, ended)


def tell(step: Step, fleet: FleetState, agent: Agent) -> None:
    """Let the agent know how many slots to use, if that is another number than it was told last."""
    row = agent.row
    bounds = [bound for bound, reason in agent.bounds() if reason != "probation"]
    use = min(bounds, default=None)
    if use != row.told and agent.registered:
        row.told = use
        step.state.tables.agents.touch(fleet.key(agent.id))
        ledger.throttle(step, fleet, agent, use)


def forget_silent(step: Step, fleet: FleetState, start: int) -> None:
    """Nothing bounds an agent any more that has reported nothing in the window that began then, or later."""
    for agent_id in sorted(fleet.bounded):
        agent = fleet.agents[agent_id]
        if agent.row.reviewed <= start:
            begin_anew(agent.row)
            step.state.agent_changed(fleet, agent)
            tell(step, fleet, agent)


def begin_anew(row: AgentRow) -> None:
    """The agent has started again: what was found out about it before says little now."""
    row.drifted = row.taken = row.done = row.bad = 0
    row.cap = None


def _may_throttle(fleet: FleetState) -> bool:
    share = fleet.policy.breaker.share
    throttled = sum(fleet.agents[agent_id].row.cap is not None for agent_id in fleet.bounded)
    return share > 0 and throttled + 1 <= max(1.0, share * fleet.registered)


def _cap(step: Step, fleet: FleetState, agent: Agent, cap: int | None, errors: float, ended: int) -> None:
    row = agent.row
    if cap == row.cap:
        return
    before, row.cap = row.cap, cap
    row.changed_at = step.now
    step.state.agent_changed(fleet, agent)
    if before is None or cap is None:
        details = {"errors": errors, "ended": ended, "slots": agent.shape.slots, "usable": agent.credits}
        kind = "agent_throttled" if cap is not None else "throttle_lifted"
        step.alert(fleet.name, kind, agent.id, "errors", details)
