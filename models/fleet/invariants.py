"""What must hold between the tables after every record: for tests and ``doctor``, not for the hot path."""

from __future__ import annotations

from collections import Counter

from models.fleet.backlog import rank
from models.fleet.coalitions import members_of
from models.fleet.feasibility import standing, unavailable
from models.fleet.quotas import Holdings
from models.fleet.roster import shape_key
from models.fleet.state import FleetState, State
from models.objective import slowness


def check(state: State) -> None:
    """
    Raises:
        AssertionError: naming the invariant that does not hold, and for what.
    """
    clock = state.clock
    assert sum(clock.outcomes.values()) == clock.records, "outcomes do not sum to the records read"
    _check_assignments(state)
    _check_coalitions(state)
    for key in state.tables.tasks.rows:
        assert key not in state.tables.ended_tasks, f"task {key} is live and ended"
    for directive_id in state.tables.directives.rows:
        assert directive_id not in state.tables.ended_directives, f"{directive_id} is live and ended"
    for fleet in state.fleets.values():
        _check_agents(state, fleet)
        _check_classes(state, fleet)


def _check_assignments(state: State) -> None:
    """A task that is not pending has exactly one live assignment, at its epoch; no other task has one."""
    assigned: dict[str, str] = {}
    for directive_id, row in state.tables.directives.rows.items():
        if row.type != "assign_task":
            assert row.expires_at is None, f"control directive {directive_id} expires"
        if row.type != "assign_task" or row.coalition_id is not None:
            continue
        key = f"{row.fleet}/{row.task_id}"
        assert key not in assigned, f"task {key} has two live assignments"
        assigned[key] = directive_id
        task = state.tables.tasks.rows[key]
        assert task.directive_id == directive_id, f"task {key} does not know its assignment"
        assert task.epoch == row.epoch, f"task {key} is at another epoch than its assignment"
        assert task.agent_id == row.agent_id, f"task {key} is assigned to somebody else"
        expected = "running" if row.accepted else "assigned"
        assert task.state == expected, f"task {key} is {task.state}, not {expected}"
        assert row.slots == task.slots, f"{directive_id} holds another credit than its task takes"
    for key, task in state.tables.tasks.rows.items():
        idle = key not in assigned and task.coalition_id is None
        assert (task.state == "pending") == idle, f"task {key} is {task.state}"
        if task.state == "pending":
            assert task.directive_id is None, f"pending task {key} has a live assignment"
        assert task.attempts < task.max_attempts, f"task {key} outlived its attempts"


def _check_coalitions(state: State) -> None:
    """A task has at most one live coalition, whose members have one live directive each until they are done."""
    parts = {
        directive_id: row
        for directive_id, row in state.tables.directives.rows.items()
        if row.coalition_id is not None and row.type != "leave_coalition"
    }
    for name, coalition in state.tables.coalitions.rows.items():
        fleet = state.fleets[coalition.fleet]
        task = state.tables.tasks.rows.get(fleet.key(coalition.task_id))
        assert (coalition.state == "degraded") == (name in fleet.degraded), f"{name} is {coalition.state}"
        if coalition.state == "dissolved":
            assert task is None or task.coalition_id != name, f"{name} is dissolved and has a task"
            assert coalition.forget_at, f"{name} is remembered for ever"
            continue
        assert task is not None, f"{name} has no task"
        assert task.team is not None, f"the task of {name} wants no coalition"
        assert task.coalition_id == name, f"the task of {name} has another coalition"
        assert task.epoch == coalition.epoch, f"{name} is of another epoch than its task"
        assert (task.state == "running") == coalition.started, f"{name} has begun or not"
        assert (coalition.state == "active") == (coalition.act_by == 0), f"{name} has no time to come about"
        agents = [member.agent_id for member in coalition.members]
        assert len(set(agents)) == len(agents), f"somebody is twice in {name}"
        complete = task.team.missing(members_of(coalition)) is None
        assert complete == (coalition.state != "degraded"), f"{name} is {coalition.state}"
        states = {member.state for member in coalition.members}
        if coalition.state == "active":
            assert states <= {"working", "completed"}, f"{name} is active, its members {states}"
        elif complete:
            assert "asked" in states, f"{name} waits for nobody"
        for member in coalition.members:
            if member.state == "completed":
                assert member.directive_id is None, f"{member.agent_id} is done in {name} and at work"
                continue
            row = parts.pop(member.directive_id or "", None)
            assert row is not None, f"{member.agent_id} in {name} has no directive"
            assert (row.agent_id, row.coalition_id, row.role) == (member.agent_id, name, member.role)
            assert (row.epoch, row.slots) == (task.epoch, task.slots)
            assert (row.type == "assign_task") == (member.state == "working"), f"{member.agent_id} in {name}"
            assert row.accepted or member.state != "joined", f"{member.agent_id} never joined {name}"
    assert not parts, f"directives of coalitions that are none: {sorted(parts)}"
    for key, task in state.tables.tasks.rows.items():
        assert task.coalition_id is None or task.coalition_id in state.tables.coalitions, f"task {key}"


def _check_agents(state: State, fleet: FleetState) -> None:
    registered = 0
    for agent in fleet.agents.values():
        name = fleet.key(agent.id)
        registered += agent.registered
        assert state.tables.agents.rows[name] is agent.row, f"agent {name} is not its row"
        assert agent.shape.key == shape_key(agent.row), f"agent {name} has a stale shape"
        assert (agent.id in agent.shape.agents) == agent.registered, f"agent {name} is in the wrong shape"
        held = sum(row.slots for row in agent.live.values())
        assert agent.held_slots == held, f"agent {name} holds {agent.held_slots} slots, its ledger {held}"
        resources: dict[str, int] = {}
        for directive_id, row in agent.live.items():
            assert state.tables.directives.rows[directive_id] is row, f"{directive_id} is not its row"
            for resource, amount in row.resources.items():
                resources[resource] = resources.get(resource, 0) + amount
        assert agent.held_resources == {k: v for k, v in resources.items() if v}, f"agent {name}: resources"
        has_room = agent.registered and held < agent.credits and unavailable(agent) is None
        assert agent.open == (agent.id in fleet.open) == has_room, f"agent {name} is open: {agent.open}"
        shown = agent.shape.standings.get(agent.standing, {}).get(agent.id)
        assert (shown is agent) == agent.registered, f"agent {name} stands nowhere"
        assert not agent.registered or agent.standing == standing(agent), f"agent {name} stands elsewhere"
        gone = (
            not agent.registered or agent.row.liveness == "lost" or agent.row.status in ("offline", "error")
        )
        if gone:
            working = [row for row in agent.live.values() if row.task_id is not None]
            assert not working, f"agent {name} is gone and has live directives"
    _check_columns(fleet)
    silent = [agent for agent in fleet.agents.values() if agent.row.liveness == "suspected"]
    assert fleet.suspected == len(silent), f"fleet {fleet.name} miscounts its suspected agents"
    at_work = Counter(
        state.task_of(fleet, row).standing
        for agent in fleet.agents.values()
        for row in agent.live.values()
        if row.is_single
    )
    assert fleet.at_work == at_work, f"fleet {fleet.name} miscounts tasks at work"
    groups: dict[str, dict[str, int]] = {}
    for agent in fleet.agents.values():
        for row in agent.live.values():
            if row.group is not None:
                members = groups.setdefault(row.group, {})
                members[agent.id] = members.get(agent.id, 0) + 1
    holdings = Holdings()
    for agent in fleet.agents.values():
        for row in agent.live.values():
            if row.tenant is not None:
                holdings.add(row.tenant, row.slots, row.resources)
    assert fleet.holdings.as_dict() == holdings.as_dict(), f"fleet {fleet.name} miscounts what tenants hold"
    assert fleet.groups.as_dict() == groups, f"fleet {fleet.name} miscounts its groups"
    tripped = sum(agent.registered and agent.row.tripped_until > 0 for agent in fleet.agents.values())
    assert fleet.tripped == tripped, f"fleet {fleet.name} miscounts its open breakers"
    bounded = {a.id for a in fleet.agents.values() if a.registered and (a.row.cap is not None or a.row.taken)}
    assert fleet.bounded.keys() == bounded, f"fleet {fleet.name} bounds others than it says"
    for agent in fleet.agents.values():
        assert agent.row.limit is not None or not agent.row.tripped_until, f"breaker of {agent.id}"
    draining = {a.id for a in fleet.agents.values() if a.registered and a.row.drain_by}
    assert fleet.draining.keys() == draining, f"fleet {fleet.name} drains others than it says"
    assert fleet.row.drain_due or not draining, f"fleet {fleet.name} drains {draining} for ever"
    assert all(fleet.agents[name].row.drained for name in draining), (
        "an agent has a deadline and is not drained"
    )
    held_back = {agent.id for agent in silent if agent.row.held_since}
    assert fleet.held_back.keys() == held_back, f"fleet {fleet.name} holds back others than it says"
    assert fleet.row.brake_due or not held_back, f"fleet {fleet.name} holds back {held_back} for ever"
    for shape in fleet.shapes.values():
        assert sum(map(len, shape.standings.values())) == len(shape.agents), "a shape lost agents"
        assert all(shape.standings.values()), "a standing without agents"
        assert shape.open == sum(agent.open for agent in shape.agents.values()), (
            "a shape miscounts its agents"
        )
        assert fleet.shapes.with_room[shape.number] == (shape.open > 0), (
            f"shape {shape.number} has room or not"
        )
    numbers = {shape.number for shape in fleet.shapes.values()}
    assert len(numbers) == len(fleet.shapes), "two shapes share a number"
    assert registered == fleet.registered, f"fleet {fleet.name} miscounts its registered agents"
    live = sum(len(agent.live) for agent in fleet.agents.values())
    rows = sum(row.fleet == fleet.name for row in state.tables.directives.rows.values())
    assert live == rows, f"fleet {fleet.name} has {rows} live directives, its agents {live}"


def _check_columns(fleet: FleetState) -> None:
    """The arrays say what the agents do."""
    columns = fleet.columns.refresh()
    assert columns.agents == [
        fleet.agents[name] for name in sorted(fleet.agents) if fleet.agents[name].registered
    ]
    for position, agent in enumerate(columns.agents):
        assert columns.position(agent.id) == position, f"{agent.id} stands elsewhere in the columns"
        zone = columns.zone_numbers[agent.row.zone]
        slots = (agent.credits, agent.shape.slots, agent.held_slots)
        numbers = (*slots, slowness(agent.row.speed), zone, agent.shape.number)
        kept = (columns.slots, columns.whole, columns.held, columns.slowness, columns.zones, columns.shapes)
        assert tuple(int(column[position]) for column in kept) == numbers, f"columns of {agent.id}"
        assert columns.open[position] == agent.open, f"columns have {agent.id} open or not"


def _check_classes(state: State, fleet: FleetState) -> None:
    waiting = {}
    live: Counter[str] = Counter()
    pending: Counter[str] = Counter()
    for task in state.tables.tasks.rows.values():
        if task.fleet == fleet.name:
            live[task.tenant or ""] += 1
            pending[task.tenant or ""] += task.state == "pending"
        if task.fleet == fleet.name and task.state == "pending":
            waiting[task.task_id] = rank(task)
    assert fleet.live == live, f"fleet {fleet.name} miscounts its tenants' tasks"
    assert fleet.waiting == +pending, f"fleet {fleet.name} miscounts its tenants' pending tasks"
    assert fleet.row.served.keys() <= live.keys(), f"fleet {fleet.name} remembers tenants that are gone"
    queued = {}
    for task_class in fleet.classes.values():
        assert task_class.queue == sorted(task_class.queue), f"class {task_class.id} is out of order"
        assert task_class.tasks > 0, f"class {task_class.id} outlived its tasks"
        assert sorted(task_class.shapes) == sorted(s.number for s in task_class.capable.values())
        queued.update({entry[3]: entry for entry in task_class.queue})
        known = fleet.key(task_class.id) in state.tables.impossible
        assert known == task_class.impossible, f"class {task_class.id}: impossible is {known}"
    assert queued == waiting, f"fleet {fleet.name} does not queue what is pending"
    for key in state.tables.impossible.rows:
        name, class_id = key.split("/")
        assert name != fleet.name or class_id in fleet.classes, f"class {key} is gone and impossible"
