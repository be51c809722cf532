"""Performance reports: one for each closed window of a fleet, with what its agents measured and what got done.

Each partition of the events topic closes the window for its own agents, so a report waits until fleet time
shows that all of them have; a share that comes later still gets a report of its own.
"""

from __future__ import annotations

import sys
from math import fsum, sqrt

from models import histogram
from models.fleet import overload, quotas, throttle
from models.fleet.feasibility import available, unavailable
from models.fleet.rows import DirectiveRow, TaskRow, WindowRow
from models.fleet.state import FleetState
from models.fleet.step import Step
from models.fleet_records import WindowClosed
from models.outputs import Report
from models.policy import TICK_INTERVAL

MAX_METRICS = 64
"""Names of metrics that one report aggregates; which ones is decided by who comes first."""

_LARGEST = sys.float_info.max
_PATIENCE = 3 * TICK_INTERVAL
_COUNTS = (
    "submitted",
    "completed",
    "failed",
    "cancelled",
    "assigned",
    "reassigned",
    "preempted",
    "moved",
    "waited",
)


def collect(step: Step, fleet: FleetState, record: WindowClosed) -> None:
    """Add one partition's share of a window."""
    table = step.state.tables.windows
    key = f"{fleet.name}/{record.start}/{record.end}"
    row = table.get(key)
    if row is None:
        # Partitions close a window when log time is past its end by the allowed lateness, or soon after.
        earliest = record.end + fleet.policy.windows.max_lateness
        due = max(earliest, step.state.clock.fleet_time) + _PATIENCE
        row = WindowRow(fleet=fleet.name, start=record.start, end=record.end, due=due)
        step.state.timers.moment(due, "window", key)
    row.agents += len(record.agents)
    row.late += record.late
    for metrics in record.agents.values():
        for name, aggregate in metrics.items():
            seen = row.metrics.get(name)
            if seen is None:
                if len(row.metrics) >= MAX_METRICS:
                    continue
                seen = (0, 0, 0.0, aggregate.min, aggregate.max, 0.0)
            agents, samples, means, least, greatest, lasts = seen
            row.metrics[name] = (
                agents + 1,
                samples + aggregate.count,
                _plus(means, aggregate.mean),
                min(least, aggregate.min),
                max(greatest, aggregate.max),
                _plus(lasts, aggregate.last),
            )
    table.put(key, row)


def report(step: Step, key: str, due: int) -> None:
    """Send the report of a window, unless it was sent already."""
    table = step.state.tables.windows
    row = table.get(key)
    if row is None or row.due != due:
        return
    table.delete(key)
    fleet = step.state.fleets[row.fleet]
    throttle.forget_silent(step, fleet, row.start)
    output = Report(
        fleet=fleet.name,
        start=row.start,
        end=row.end,
        time=step.now,
        agents={**_agents(fleet), "reporting": row.agents},
        slots=_slots(fleet),
        queue=_queue(fleet),
        balance=_balance(fleet),
        plans=_plans(fleet),
        period=_period(step, fleet),
        metrics={name: _metric(*row.metrics[name]) for name in sorted(row.metrics)},
        late=row.late,
        cause=step.cause,
    )
    step.put_out("performance_report", output.output())
    overload.review(step, fleet)


def note_slowdown(step: Step, fleet: FleetState, task: TaskRow, directive: DirectiveRow) -> None:
    """The task has completed: how much longer it took, with all waiting and failing, than the work itself."""
    work = max(1, step.now - (directive.accepted_at or directive.issued_at))
    histogram.add(fleet.row.slowdowns, 100 * (step.now - task.submitted_at) // work)


def _agents(fleet: FleetState) -> dict[str, int]:
    """Registered agents, and how many of them get new work or why they do not."""
    counts = {"registered": fleet.registered, "available": 0}
    for agent in fleet.agents.values():
        if agent.registered:
            state = unavailable(agent) or "available"
            counts[state] = counts.get(state, 0) + 1
    return {name: counts[name] for name in sorted(counts)}


def _slots(fleet: FleetState) -> dict[str, int]:
    agents = fleet.agents.values()
    return {
        "total": sum(shape.slots * len(shape.agents) for shape in fleet.shapes.values()),
        "usable": sum(agent.credits for agent in agents if available(agent)),
        "held": sum(agent.held_slots for agent in agents),
    }


def _queue(fleet: FleetState) -> dict[str, int]:
    """Pending tasks by what their class waits for; the parts sum to ``pending``.

    ``full`` are those that somebody could hold and nobody has room for, ``waiting`` the rest: for the next plan,
    for a back-off, or for who turned them down.
    """
    counts = {"pending": fleet.pending, "waiting": 0, "full": 0, "quota": 0, "impossible": 0, "coalition": 0}
    for task_class in fleet.classes.values():
        if task_class.impossible:
            counts["impossible"] += len(task_class.queue)
        elif quotas.excess(fleet.policy.planning, fleet.holdings, task_class):
            counts["quota"] += len(task_class.queue)
        elif task_class.team is not None:
            counts["coalition"] += len(task_class.queue)
        elif task_class.has_room(fleet.shapes):
            counts["waiting"] += len(task_class.queue)
        else:
            counts["full"] += len(task_class.queue)
    return counts


def _balance(fleet: FleetState) -> dict[str, float]:
    """How evenly the work is spread now over agents that get new work, and was over tenants since the last report.

    The load of an agent is the share of its usable slots that is held; of loads the mean, the coefficient of
    variation and the greatest. ``fairness`` is Jain's index (Jain, Chiu and Hawe, 1984) of what tenants were given
    by their weight, those included that wait and got nothing: 1 if all got the same, 1/n if one of n got all.
    """
    loads = [
        agent.held_slots / agent.credits
        for agent in fleet.agents.values()
        if agent.credits and available(agent)
    ]
    mean = fsum(loads) / len(loads) if loads else 0.0
    spread = sqrt(fsum((load - mean) * (load - mean) for load in loads) / len(loads)) if loads else 0.0
    given = dict.fromkeys(fleet.waiting, 0) | fleet.row.given
    most = max(given.values(), default=0)
    shares = [share / most for share in given.values()] if most else []
    total, squares = fsum(shares), fsum(share * share for share in shares)
    return {
        "load_mean": mean,
        "load_cov": spread / mean if mean else 0.0,
        "load_max": max(loads, default=0.0),
        "fairness": total * total / (len(shares) * squares) if shares else 1.0,
    }


def _plans(fleet: FleetState) -> dict[str, float]:
    """How far from the best the plans since the last report are at the most: ``gap`` 0.05 is 5 %."""
    row = fleet.row
    plans = {
        "count": row.plans,
        "cost": row.plan_cost,
        "bound": row.plan_bound,
        "gap": row.plan_cost / row.plan_bound - 1 if row.plan_bound else 0.0,
    }
    row.plans = row.plan_cost = row.plan_bound = 0
    return plans


def _period(step: Step, fleet: FleetState) -> dict[str, float]:
    """What got done since the last report."""
    row = fleet.row
    now = {name: getattr(row, name) for name in _COUNTS}
    then = row.reported
    done = {name: now[name] - then.get(name, 0) for name in _COUNTS}
    span = step.now - then.get("time", step.now)
    period = {
        "seconds": span / 1000,
        "submitted": done["submitted"],
        "assigned": done["assigned"],
        "reassigned": done["reassigned"],
        "preempted": done["preempted"],
        "moved": done["moved"],
        "completed": done["completed"],
        "failed": done["failed"],
        "cancelled": done["cancelled"],
        "throughput": done["completed"] * 1000 / span if span else 0.0,
        "wait_mean": done["waited"] / done["assigned"] / 1000 if done["assigned"] else 0.0,
        "wait_p50": histogram.quantile(row.waits, 500) / 1000,
        "wait_p99": histogram.quantile(row.waits, 990) / 1000,
        "wait_max": row.waited_max / 1000,
        "slowdown_p50": histogram.quantile(row.slowdowns, 500) / 100,
        "slowdown_p99": histogram.quantile(row.slowdowns, 990) / 100,
    }
    row.reported = {**now, "time": step.now}
    row.waited_max = 0
    row.waits = {}
    row.slowdowns = {}
    row.given = {}
    step.state.touch_fleet(fleet)
    return period


def _plus(total: float, value: float) -> float:
    """The sum, kept a number: JSON has no infinity, to which huge ones add up."""
    return max(-_LARGEST, min(_LARGEST, total + value))


def _metric(
    agents: int, samples: int, means: float, least: float, greatest: float, lasts: float
) -> dict[str, float]:
    return {
        "agents": agents,
        "samples": samples,
        "mean": means / agents,
        "min": least,
        "max": greatest,
        "last_mean": lasts / agents,
    }
