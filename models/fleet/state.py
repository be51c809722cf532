"""The state of one partition of the fleet log: its tables, and what derives from them.

Every change of a row that something derives from goes through here, so that rosters, backlogs and timers are
always what :meth:`State.restored` would build. Why something changes is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from models.fleet import held, quotas, tenants
from models.fleet.backlog import TaskClass, latest_start, rank
from models.fleet.columns import Columns
from models.fleet.feasibility import available, standing
from models.fleet.quotas import Holdings
from models.fleet.roster import Agent, Shape, Shapes, shape_key
from models.fleet.rows import AgentRow, ClockRow, DirectiveRow, FleetRow, SourceRow, Tables, TaskRow
from models.fleet.seal import INTERVAL, digest_bytes, row_hash
from models.fleet.spread import Groups
from models.fleet.timers import MomentKind, Timers
from models.policy import DEFAULT_POLICY, Policy, digest_of, patched, policy_to_wire

IMPOSSIBLE_GRACE = 5_000
"""Milliseconds before tasks that nobody could hold raise alerts: agents and tasks may start at once."""


K = TypeVar("K", str, int)

NEVER = 1 << 62
"""Later than any time."""


class FleetState:
    """One fleet: its policy, agents, and pending tasks by class."""

    __slots__ = (
        "agents",
        "at_work",
        "bounded",
        "classes",
        "columns",
        "degraded",
        "draining",
        "groups",
        "held_back",
        "holdings",
        "live",
        "name",
        "open",
        "policy",
        "policy_digest",
        "registered",
        "row",
        "shapes",
        "suspected",
        "tripped",
        "waiting",
    )

    def __init__(self, name: str, row: FleetRow) -> None:
        self.name = name
        self.row = row
        self.policy = policy_of(row)
        self.policy_digest = digest_of(self.policy)
        self.agents: dict[str, Agent] = {}
        """All agents by id, deregistered ones too."""
        self.columns = Columns(self.agents)
        """The registered ones as arrays."""
        self.groups = Groups(self.agents)
        self.holdings = Holdings()
        """What each tenant holds of agents."""
        self.registered = 0
        self.shapes = Shapes()
        self.open: dict[str, Agent] = {}
        """Agents that get new work and have a free slot, by id."""
        self.suspected = 0
        """Registered agents that are suspected, those whose loss is held back included."""
        self.held_back: dict[str, None] = {}
        """Ids of these latter."""
        self.draining: dict[str, None] = {}
        """Ids of registered agents that are drained, with a deadline."""
        self.tripped = 0
        """Registered agents whose breaker is open."""
        self.bounded: dict[str, None] = {}
        """Ids of registered agents that get work for fewer slots, for their errors or for load of others."""
        self.at_work: dict[int, int] = {}
        """How many tasks that an agent has alone there are of each standing, if any."""
        self.classes: dict[str, TaskClass] = {}
        self.degraded: dict[str, str] = {}
        """Ids of coalitions that lack members, to the ids of their tasks."""
        self.live: dict[str, int] = {}
        """How many tasks that have not ended each tenant has."""
        self.waiting: dict[str, int] = {}
        """How many pending ones, if any."""

    def key(self, name: str) -> str:
        """The key, in the tables, of an agent, task or class of this fleet."""
        return f"{self.name}/{name}"

    def promotion_due(self, task: TaskRow) -> int:
        """When it has waited so long that it counts as of the next higher priority, if it still waits then."""
        return task.submitted_at + (task.promotions + 1) * self.policy.planning.ageing

    def smoothed_load(self, agent: Agent, now: int) -> float:
        """The share of the agent's slots that is held, as an exponentially fading mean over time."""
        row = agent.row
        passed = now - row.load_at
        held = agent.held_slots / max(1, agent.shape.slots)
        # Half of the weight after ``load_memory``; only + - * / touch floats, so that replays repeat it.
        weight = passed / (passed + self.policy.rebalancing.load_memory) if passed > 0 else 0.0
        return row.load + (held - row.load) * weight

    @property
    def pending(self) -> int:
        return sum(len(task_class.queue) for task_class in self.classes.values())


class State:
    """Tables and what derives from them, for one partition."""

    __slots__ = ("clock", "events_partitions", "fleets", "sealed", "tables", "timers")

    def __init__(self, events_partitions: int) -> None:
        self.events_partitions = events_partitions
        self.tables = Tables()
        self.clock = ClockRow()
        self.timers = Timers()
        self.fleets: dict[str, FleetState] = {}
        self.sealed: dict[str, object] | None = None
        """The last seal as outputs say it; ``None`` before the first."""

    # -- seals

    def digest(self) -> bytes:
        """Of the state as it is."""
        total = sum(table.total() for table in self.tables.summed())
        return digest_bytes(total + row_hash("clock", "", self.clock.deciding()))

    def seal_if_due(self) -> bool:
        """Take the digest of the state, if fleet time has moved on since the last; whether it was taken."""
        clock = self.clock
        if clock.fleet_time - clock.sealed_at < INTERVAL:
            return False
        clock.digest = self.digest()
        clock.sealed = clock.offset + 1
        clock.sealed_at = clock.fleet_time
        self.sealed = _said_of(clock)
        return True

    # -- fleets and sources

    def fleet(self, name: str) -> FleetState:
        """The fleet of this name; it comes to be by use."""
        fleet = self.fleets.get(name)
        if fleet is None:
            fleet = FleetState(name, self.tables.fleets.put(name, FleetRow()))
            self.fleets[name] = fleet
        return fleet

    def govern(self, fleet: FleetState, policy: Policy) -> None:
        """Put a policy into force."""
        if policy.windows.size != fleet.policy.windows.size:
            for agent in fleet.agents.values():
                agent.row.held = []  # counted by spans of another size
                self.tables.agents.touch(fleet.key(agent.id))
        limited = [tenant for tenant in fleet.waiting if self._exhausted(fleet, tenant)]
        fleet.policy = policy
        fleet.policy_digest = digest_of(policy)
        for tenant in sorted(limited):
            if not self._exhausted(fleet, tenant):
                self._level(fleet, tenant)
        fleet.row.policy = policy_to_wire(policy)
        self.touch_fleet(fleet)
        self.timers.moments_are(list(self._moments()))  # promotions of waiting tasks come sooner or later now

    def touch_fleet(self, fleet: FleetState) -> None:
        self.tables.fleets.touch(fleet.name)

    def source(self, partition: int) -> SourceRow:
        key = str(partition)
        row = self.tables.sources.get(key)
        return self.tables.sources.put(key, SourceRow()) if row is None else row

    # -- agents

    def add_agent(self, fleet: FleetState, row: AgentRow) -> list[TaskClass]:
        """Put a new agent; return the classes that became possible by it."""
        self.tables.agents.put(fleet.key(row.agent_id), row)
        agent = self._enlist(fleet, row)
        return self._reshape(fleet, agent)

    def agent_changed(self, fleet: FleetState, agent: Agent) -> list[TaskClass]:
        """Take note of a changed row; return the classes that became possible or impossible by it."""
        self.tables.agents.touch(fleet.key(agent.id))
        return self._reshape(fleet, agent)

    def _enlist(self, fleet: FleetState, row: AgentRow) -> Agent:
        key = shape_key(row)
        agent = Agent(row, fleet.shapes.get(key) or Shape(key, row), fleet.groups)
        fleet.agents[row.agent_id] = agent
        return agent

    def _count(self, fleet: FleetState, agent: Agent) -> None:
        silent = agent.row.liveness == "suspected"
        if silent != agent.silent:
            agent.silent = silent
            fleet.suspected += 1 if silent else -1
        tripped = agent.registered and agent.row.tripped_until > 0
        if tripped != agent.tripped:
            agent.tripped = tripped
            fleet.tripped += 1 if tripped else -1
        if agent.registered and (agent.row.cap is not None or agent.row.taken):
            fleet.bounded[agent.id] = None
        else:
            fleet.bounded.pop(agent.id, None)
        if agent.registered and agent.row.drain_by:
            fleet.draining[agent.id] = None
        else:
            fleet.draining.pop(agent.id, None)
        if agent.row.held_since:
            fleet.held_back[agent.id] = None
        else:
            fleet.held_back.pop(agent.id, None)

    def _reshape(self, fleet: FleetState, agent: Agent) -> list[TaskClass]:
        self._count(fleet, agent)
        old = agent.shape
        key = shape_key(agent.row)
        if agent.zone != agent.row.zone or old.key != key:
            agent.zone = agent.row.zone
            fleet.groups.forget_places()
        was_member = agent.id in old.agents
        if was_member == agent.registered and old.key == key:
            self._reopen(fleet, agent)
            return []
        before = {task_class.id for task_class in fleet.classes.values() if task_class.impossible}
        self._close(fleet, agent)
        if was_member:
            old.leave(agent)
            del old.agents[agent.id]
            fleet.registered -= 1
            if not old.agents:
                for task_class in fleet.classes.values():
                    task_class.part_with(old)
                fleet.shapes.remove(old)
        shape = fleet.shapes.get(key) or Shape(key, agent.row)
        agent.shape = shape
        if agent.registered:
            if not shape.agents:
                fleet.shapes.add(shape)
                for task_class in fleet.classes.values():
                    task_class.meet(shape)
            shape.agents[agent.id] = agent
            fleet.registered += 1
        self._reopen(fleet, agent)
        return [c for c in fleet.classes.values() if c.impossible != (c.id in before)]

    def _reopen(self, fleet: FleetState, agent: Agent) -> None:
        fleet.columns.changed(agent)
        if agent.registered:
            agent.shape.stand(agent, standing(agent))
        if not (agent.held_slots < agent.credits and available(agent)):
            self._close(fleet, agent)
        elif not agent.open:
            agent.open = True
            fleet.open[agent.id] = agent
            fleet.shapes.opened(agent.shape, 1)

    def _close(self, fleet: FleetState, agent: Agent) -> None:
        if agent.open:
            agent.open = False
            del fleet.open[agent.id]
            fleet.shapes.opened(agent.shape, -1)

    # -- tasks

    def add_task(self, fleet: FleetState, task: TaskRow) -> TaskClass:
        """Put a new, pending task."""
        self.tables.tasks.put(fleet.key(task.task_id), task)
        self._classify(fleet, task)
        return self.make_pending(fleet, task)

    def make_pending(self, fleet: FleetState, task: TaskRow) -> TaskClass:
        task.state = "pending"
        task_class = fleet.classes[task.class_id]
        task_class.enqueue(task)
        tenant = task_class.tenant
        if tenant not in fleet.waiting:
            self._level(fleet, tenant)
        _count_up(fleet.waiting, tenant)
        key = fleet.key(task.task_id)
        if task.deadline is not None:
            self.timers.moment(task.deadline, "deadline", key)
            if not task.risk_alerted:
                self.timers.moment(latest_start(task), "risk", key)
        self.timers.moment(fleet.promotion_due(task), "promotion", key)
        self.tables.tasks.touch(key)
        return task_class

    def promote(self, fleet: FleetState, task: TaskRow) -> None:
        """A pending task that has waited until its promotion is due counts as of a higher priority from now on."""
        task_class = fleet.classes[task.class_id]
        task_class.dequeue(task)
        task.promotions = (self.clock.fleet_time - task.submitted_at) // fleet.policy.planning.ageing
        task_class.enqueue(task)
        key = fleet.key(task.task_id)
        self.timers.moment(fleet.promotion_due(task), "promotion", key)
        self.tables.tasks.touch(key)

    def unqueue(self, fleet: FleetState, task: TaskRow) -> TaskClass:
        """Take a pending task from its queue, since it is assigned or ends."""
        task_class = fleet.classes[task.class_id]
        task_class.dequeue(task)
        _count_down(fleet.waiting, task_class.tenant)
        self.tables.tasks.touch(fleet.key(task.task_id))
        return task_class

    def remove_task(self, fleet: FleetState, task: TaskRow) -> None:
        """Drop a task that has ended; it must not be queued."""
        self.tables.tasks.delete(fleet.key(task.task_id))
        task_class = fleet.classes[task.class_id]
        task_class.tasks -= 1
        if not task_class.tasks:
            del fleet.classes[task.class_id]
        _count_down(fleet.live, task_class.tenant)
        if task_class.tenant not in fleet.live:
            fleet.row.served.pop(task_class.tenant, None)
            self.touch_fleet(fleet)

    def _classify(self, fleet: FleetState, task: TaskRow) -> TaskClass:
        task_class = fleet.classes.get(task.class_id)
        if task_class is None:
            task_class = TaskClass(task)
            fleet.classes[task.class_id] = task_class
            for shape in fleet.shapes.values():
                task_class.meet(shape)
        task_class.tasks += 1
        _count_up(fleet.live, task_class.tenant)
        return task_class

    # -- directives

    def add_directive(self, fleet: FleetState, directive_id: str, row: DirectiveRow) -> None:
        self.tables.directives.put(directive_id, row)
        agent = fleet.agents[row.agent_id]
        self._smooth(fleet, agent)
        self._hold(fleet, agent, directive_id, row)
        self.timers.directive(directive_due(row), directive_id)

    def accept_directive(self, directive_id: str, row: DirectiveRow, now: int) -> None:
        row.accepted = True
        row.accepted_at = now
        self.tables.directives.touch(directive_id)
        self.timers.directive(directive_due(row), directive_id)

    def postpone_directive(self, directive_id: str, row: DirectiveRow) -> None:
        """Its ``outage`` was changed."""
        self.tables.directives.touch(directive_id)
        self.timers.directive(directive_due(row), directive_id)

    def remove_directive(self, fleet: FleetState, directive_id: str, row: DirectiveRow) -> None:
        self.tables.directives.delete(directive_id)
        agent = fleet.agents[row.agent_id]
        self._smooth(fleet, agent)
        agent.release(directive_id)
        if row.group is not None:
            fleet.groups.leave(row.group, row.agent_id)
        if row.tenant is not None:
            before = self._exhausted(fleet, row.tenant)
            fleet.holdings.add(row.tenant, row.slots, row.resources, -1)
            if before and row.tenant in fleet.waiting and not self._exhausted(fleet, row.tenant):
                self._level(fleet, row.tenant)
        self._reopen(fleet, agent)
        if row.is_single:
            _count_down(fleet.at_work, self.task_of(fleet, row).standing)
        if self.timers.crowded(len(self.tables.directives)):
            self.timers.directives_are(self._directive_dues())

    def _level(self, fleet: FleetState, tenant: str) -> None:
        """The tenant begins to wait for its turn; who holds all it may has none."""
        others = (other for other in fleet.waiting if other != tenant and not self._exhausted(fleet, other))
        tenants.begin_to_wait(fleet.row.served, tenant, others)
        self.touch_fleet(fleet)

    def _exhausted(self, fleet: FleetState, tenant: str) -> bool:
        return quotas.exhausted(fleet.policy.planning, fleet.holdings, tenant)

    def _hold(self, fleet: FleetState, agent: Agent, directive_id: str, row: DirectiveRow) -> None:
        """The agent has one live directive more."""
        agent.hold(directive_id, row)
        if row.group is not None:
            fleet.groups.join(row.group, row.agent_id)
        if row.tenant is not None:
            fleet.holdings.add(row.tenant, row.slots, row.resources)
        self._reopen(fleet, agent)
        if row.is_single:
            _count_up(fleet.at_work, self.task_of(fleet, row).standing)

    def has_claim(self, task: TaskRow) -> bool:
        """Whether another task is giving way to it."""
        return task.claim is not None and task.claim in self.tables.directives

    def speed_learned(self, fleet: FleetState, agent: Agent) -> None:
        """The agent works faster, or slower, than was known."""
        self.tables.agents.touch(fleet.key(agent.id))
        fleet.columns.changed(agent)

    def count_held(self, fleet: FleetState, agent: Agent) -> None:
        """Take note of what the agent has held until now."""
        held.count(agent.row, agent.held_slots, self.clock.log_time, fleet.policy.windows.size)
        self.tables.agents.touch(fleet.key(agent.id))

    def _smooth(self, fleet: FleetState, agent: Agent) -> None:
        """Take note of the load until now; it is about to change."""
        self.count_held(fleet, agent)
        if fleet.policy.rebalancing.moves:
            agent.row.load = fleet.smoothed_load(agent, self.clock.log_time)
            agent.row.load_at = self.clock.log_time

    def task_of(self, fleet: FleetState, row: DirectiveRow) -> TaskRow:
        """The task that a live directive is about."""
        return self.tables.tasks.rows[fleet.key(row.task_id or "")]

    # -- restore

    def restored(self) -> None:
        """Build all that derives from the rows."""
        tables = self.tables
        self.clock = tables.clock.rows.get("") or ClockRow()
        self.sealed = _said_of(self.clock)
        self.fleets = {name: FleetState(name, row) for name, row in tables.fleets.rows.items()}
        for agent_row in tables.agents.rows.values():
            fleet = self.fleets[agent_row.fleet]
            self._reshape(fleet, self._enlist(fleet, agent_row))
        for directive_id, directive in tables.directives.rows.items():
            fleet = self.fleets[directive.fleet]
            agent = fleet.agents[directive.agent_id]
            self._hold(fleet, agent, directive_id, directive)
        for task in tables.tasks.rows.values():
            fleet = self.fleets[task.fleet]
            task_class = self._classify(fleet, task)
            if task.state == "pending":
                task_class.queue.append(rank(task))
                _count_up(fleet.waiting, task_class.tenant)
        for fleet in self.fleets.values():
            for task_class in fleet.classes.values():
                task_class.queue.sort()
        for coalition_id, coalition in tables.coalitions.rows.items():
            if coalition.state == "degraded":
                self.fleets[coalition.fleet].degraded[coalition_id] = coalition.task_id
        self.timers.directives_are(self._directive_dues())
        self.timers.moments_are(list(self._moments()))
        self.timers.calendars_are([table.calendar for table in tables.write_once()])
        self.digest()  # of all rows now, and not when the first seal is due

    def _directive_dues(self) -> list[tuple[int, str]]:
        return [(directive_due(row), key) for key, row in self.tables.directives.rows.items()]

    def _moments(self) -> Iterable[tuple[int, MomentKind, str]]:
        tables = self.tables
        for key, task in tables.tasks.rows.items():
            if task.state == "pending":
                yield self.fleets[task.fleet].promotion_due(task), "promotion", key
                if task.deadline is not None:
                    yield task.deadline, "deadline", key
                    if not task.risk_alerted:
                        yield latest_start(task), "risk", key
        for key, directive in tables.directives.rows.items():
            if directive.stuck_at:
                yield directive.stuck_at, "stuck", key
        for key, ended_task in tables.ended_tasks.rows.items():
            yield ended_task.forget_at, "task", key
        for key, ended_directive in tables.ended_directives.rows.items():
            yield ended_directive.forget_at, "directive", key
        for key, fleet in tables.fleets.rows.items():
            if fleet.brake_due:
                yield fleet.brake_due, "brake", key
            if fleet.drain_due:
                yield fleet.drain_due, "drain", key
            if fleet.flood_until:
                yield fleet.flood_until, "flood", key
        for key, coalition in tables.coalitions.rows.items():
            due = coalition.act_by or coalition.forget_at
            if due:
                yield due, "coalition", key
        for key, agent in tables.agents.rows.items():
            if agent.tripped_until:
                yield agent.tripped_until, "breaker", key
        for key, pace in tables.paces.rows.items():
            yield pace.forget_at, "pace", key
        for key, impossible in tables.impossible.rows.items():
            yield impossible.since + IMPOSSIBLE_GRACE, "impossible", key
        for key, window in tables.windows.rows.items():
            yield window.due, "window", key
        for key, alert in tables.alerts.rows.items():
            yield alert.until, "alert", key


def _said_of(clock: ClockRow) -> dict[str, object] | None:
    return {"offset": clock.sealed, "digest": clock.digest.hex()} if clock.digest else None


def _count_up(counts: dict[K, int], name: K) -> None:
    counts[name] = counts.get(name, 0) + 1


def _count_down(counts: dict[K, int], name: K) -> None:
    counts[name] -= 1
    if not counts[name]:
        del counts[name]


def directive_due(row: DirectiveRow) -> int:
    """When the directive becomes overdue, in time without outages.

    An accepted assignment waits for its run timeout, and an accepted join for the others. All else waits for an
    answer by ``ack_by``; even accepted control directives, since only their completion (or refusal) answers them.
    """
    if row.accepted and row.expires_at is not None:
        return row.expires_at - row.outage
    if row.accepted and row.type == "join_coalition":
        return NEVER  # it waits for the others, and their coalition has a time of its own
    return row.ack_by - row.outage


def policy_of(row: FleetRow) -> Policy:
    if row.policy is None:
        return DEFAULT_POLICY
    version = row.policy["version"]
    assert isinstance(version, int)
    return patched(DEFAULT_POLICY, row.policy, version)
