"""What agents and operators say about agents, and what it means for the work that they hold."""

from __future__ import annotations

from models.events import (
    AgentCordoned,
    AgentDeregistered,
    AgentDrained,
    AgentEvent,
    AgentRegistered,
    AgentUncordoned,
    MetricReport,
    ResourceReport,
    StatusUpdate,
)
from models.fleet import brake, breaker, coalitions, drains, impossible, ledger, tasks, throttle
from models.fleet.backlog import TaskClass
from models.fleet.roster import Agent
from models.fleet.rows import AgentRow, Outcome, micro
from models.fleet.state import FleetState
from models.fleet.step import Step
from models.fleet_records import AgentLost, AgentRecovered, AgentSuspected


def admit(step: Step, fleet: FleetState, event: AgentEvent) -> Agent | Outcome:
    """The agent that an event of its own speaks for; registers unknown ones where the policy allows.

    Every event of an agent is a beat, so that one that was suspected or lost is so no more.

    Returns:
        The agent, or ``rejected`` if there is none to speak for.
    """
    agent = fleet.agents.get(event.agent_id)
    if agent is None:
        if not fleet.policy.register_unknown_agents:
            return step.reject(fleet, "unknown_agent", event.agent_id)
        row = AgentRow(
            fleet=fleet.name,
            agent_id=event.agent_id,
            incarnation=event.incarnation or 0,
            registered_at=step.now,
            changed_at=step.now,
        )
        _review(step, fleet, step.state.add_agent(fleet, row))
        return fleet.agents[event.agent_id]
    if not agent.registered:
        return step.reject(fleet, "deregistered", event.agent_id)
    _is_there(step, fleet, agent)
    return agent


def register(step: Step, fleet: FleetState, event: AgentRegistered) -> Outcome:
    agent = fleet.agents.get(event.agent_id)
    if agent is None:
        row = AgentRow(fleet=fleet.name, agent_id=event.agent_id)
        _describe(step, row, event)
        _review(step, fleet, step.state.add_agent(fleet, row))
        return "applied"
    row = agent.row
    restarted = event.incarnation is not None and event.incarnation > row.incarnation
    if restarted:
        if agent.registered and row.flapped_in != row.incarnation:
            breaker.flapped(step, fleet, agent)
        lose(step, fleet, agent, "agent_restarted")
    # Without a new incarnation a registration only updates the row: a draining agent stays draining.
    anew = restarted or not agent.registered
    was_lost = row.liveness == "lost"
    if anew or row.status in ("offline", "error"):
        row.status = "active"
    if anew:
        throttle.begin_anew(row)
    row.liveness = "alive"
    _describe(step, row, event)
    changed(step, fleet, agent)
    if anew:
        throttle.tell(step, fleet, agent)
    if anew or was_lost:
        breaker.returned(step, fleet, agent)
    return "applied"


def deregister(step: Step, fleet: FleetState, event: AgentDeregistered) -> Outcome:
    agent = fleet.agents.get(event.agent_id)
    if agent is None:
        return step.reject(fleet, "unknown_agent", event.agent_id)
    if not agent.registered:
        return step.reject(fleet, "deregistered", event.agent_id)
    agent.row.liveness = "deregistered"
    drains.end(agent)
    changed(step, fleet, agent)
    lose(step, fleet, agent, "agent_deregistered")
    return "applied"


def update_status(step: Step, fleet: FleetState, agent: Agent, event: StatusUpdate) -> Outcome:
    row = agent.row
    row.status = event.status
    if event.current_load is not None:
        row.current_load = event.current_load
    if event.capabilities is not None:
        row.capabilities = sorted(set(event.capabilities))
    if event.slots is not None:
        row.slots = event.slots
    changed(step, fleet, agent)
    if event.status == "offline" or event.status == "error":
        lose(step, fleet, agent, f"agent_{event.status}")
    return "applied"


def update_resources(step: Step, fleet: FleetState, agent: Agent, event: ResourceReport) -> Outcome:
    """Capacities count. What is in use is in the windows: it holds the ledger's own directives, and too late."""
    resources = {name: resource.capacity for name, resource in event.resources.items()}
    agent.row.resources = {**agent.row.resources, **micro(resources)}
    changed(step, fleet, agent)
    return "applied"


def note_metrics(step: Step, fleet: FleetState, agent: Agent, event: MetricReport) -> Outcome:
    """Metrics reach the fleet log as windows; a single report arrives here only to introduce its agent."""
    return "applied"


def operate(step: Step, fleet: FleetState, event: AgentCordoned | AgentUncordoned | AgentDrained) -> Outcome:
    """An operator's word: two flags that no status clears. A drained agent is told to finish, and to resume."""
    agent = fleet.agents.get(event.agent_id)
    if agent is None:
        return step.reject(fleet, "unknown_agent", event.agent_id)
    if not agent.registered:
        return step.reject(fleet, "deregistered", event.agent_id)
    row = agent.row
    was_drained = row.drained
    if isinstance(event, AgentCordoned):
        row.cordoned = True
    elif isinstance(event, AgentDrained):
        row.drained = True
    else:
        row.cordoned = False
        row.drained = False
        drains.end(agent)
        breaker.reset(step, fleet, agent)
    changed(step, fleet, agent)
    throttle.tell(step, fleet, agent)
    if isinstance(event, AgentDrained):
        ledger.command(step, fleet, agent, "drain", event.deadline)
        drains.begin(step, fleet, agent, event.deadline)
    elif was_drained and not row.drained:
        ledger.command(step, fleet, agent, "resume")
    return "applied"


def hear_liveness(
    step: Step, fleet: FleetState, record: AgentSuspected | AgentLost | AgentRecovered
) -> Outcome:
    agent = fleet.agents.get(record.agent_id)
    if agent is None:
        return step.reject(fleet, "unknown_agent", record.agent_id)
    if not agent.registered:
        return step.reject(fleet, "deregistered", record.agent_id)
    row = agent.row
    if isinstance(record, AgentRecovered):
        _is_there(step, fleet, agent)
        return "applied"
    if row.liveness == "alive":
        row.liveness = "suspected"
        changed(step, fleet, agent)
    if isinstance(record, AgentLost):
        if row.liveness == "suspected" and brake.engaged(fleet):
            brake.hold_back(step, fleet, agent)
        else:
            be_lost(step, fleet, agent, record.silence)
    return "applied"


def _is_there(step: Step, fleet: FleetState, agent: Agent) -> None:
    """It was heard of."""
    before = agent.row.liveness
    if before == "alive":
        return
    agent.row.liveness = "alive"
    changed(step, fleet, agent)
    if before == "lost":
        breaker.returned(step, fleet, agent)


def be_lost(step: Step, fleet: FleetState, agent: Agent, silence: int) -> None:
    """The agent has been silent for so many milliseconds that its tasks go to others."""
    held = sum(1 for directive in agent.live.values() if directive.type == "assign_task")
    agent.row.liveness = "lost"
    breaker.flapped(step, fleet, agent)
    changed(step, fleet, agent)
    lose(step, fleet, agent, "agent_lost")
    details = {"silence": silence / 1000, "tasks": held}
    step.alert(fleet.name, "agent_lost", agent.id, "silence", details)


def lose(step: Step, fleet: FleetState, agent: Agent, reason: str) -> None:
    """All directives of the agent end, unanswered; its tasks return. Whoever comes back starts empty-handed."""
    _blame(step, fleet, agent, reason)
    for directive_id, directive in agent.in_order():
        ledger.end(step, fleet, directive_id)
        if directive.coalition_id is not None and directive.type != "leave_coalition":
            began = directive.accepted and directive.type == "assign_task"
            coalitions.left(step, fleet, directive, reason, "attempt" if began else "nothing")
        elif directive.type == "assign_task":
            task = step.state.task_of(fleet, directive)
            # Who had not accepted it never began: the loss costs the task nothing.
            tasks.take_back(step, fleet, task, reason, "attempt" if directive.accepted else "nothing")


def _blame(step: Step, fleet: FleetState, agent: Agent, reason: str) -> None:
    """To be lost amid work is one failure, whatever the number of tasks; to leave is none."""
    if not agent.registered:
        return
    for _, directive in agent.in_order():
        if directive.type == "assign_task" and directive.accepted:
            task = step.state.task_of(fleet, directive)
            breaker.failed(step, fleet, agent.id, task, reason)
            return


def changed(step: Step, fleet: FleetState, agent: Agent) -> None:
    agent.row.changed_at = step.now
    if agent.row.liveness != "suspected":
        agent.row.held_since = 0  # heard again, lost or gone: there is nothing to hold back
    _review(step, fleet, step.state.agent_changed(fleet, agent))


def _review(step: Step, fleet: FleetState, classes: list[TaskClass]) -> None:
    for task_class in classes:
        impossible.review(step, fleet, task_class)


def _describe(step: Step, row: AgentRow, event: AgentRegistered) -> None:
    row.capabilities = sorted(set(event.capabilities))
    row.slots = event.slots
    row.resources = micro(event.resources)
    row.labels = dict(sorted(event.labels.items()))
    row.zone = event.zone
    row.version = event.version
    row.heartbeat_interval = event.heartbeat_interval
    row.only_capabilities = sorted(set(event.only.capabilities))
    row.only_tenants = sorted(set(event.only.tenants))
    if event.incarnation is not None:
        row.incarnation = max(row.incarnation, event.incarnation)
    row.registered_at = step.now
    row.changed_at = step.now
