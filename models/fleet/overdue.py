"""Fleet time, and what becomes overdue by it.

Fleet time is the log time up to which *every* partition of the events topic has been forwarded into the fleet
log. What has not been answered by then was not answered in time, however far behind the coordinator is.
"""

from __future__ import annotations

from models.fields import seconds
from models.fleet import (
    brake,
    breaker,
    coalitions,
    drains,
    floods,
    impossible,
    ledger,
    pace,
    reports,
    stuck,
    tasks,
)
from models.fleet.rows import SourceRow
from models.fleet.state import State, directive_due
from models.fleet.step import Step
from models.policy import TICK_INTERVAL

OUTAGE = 3 * TICK_INTERVAL
"""Milliseconds. Whoever reads a partition forwards its time in small steps; a jump of more than this means that
nothing was appended to it meanwhile, not even a tick."""

STALLED = 60 * TICK_INTERVAL
"""Milliseconds for which one partition may keep silent, while others are forwarded, before people are told. For
half of it ticks wait for a partition that has lost its owner."""

MAX_GAPS = 64
"""Per partition; of more the oldest are forgotten, as if somebody had appended something then."""


def hear(step: Step, partition: int, through: int) -> None:
    """One partition of the events topic has been forwarded up to ``through``."""
    state = step.state
    clock = state.clock
    row = state.source(partition)
    if through <= row.through:
        return  # nothing new, perhaps a repeat
    if step.now - clock.heard > STALLED:
        # The coordinator was away, or has just begun: no partition lags behind others.
        clock.resumed = step.now
    clock.heard = row.heard = step.now
    slowest = row.through == clock.fleet_time
    if through - row.through > OUTAGE:
        row.gaps.append((row.through, through))
        del row.gaps[:-MAX_GAPS]
    row.through = through
    state.tables.sources.touch(str(partition))
    if slowest:  # only the slowest partition holds fleet time back
        _advance(state)
    if through - clock.fleet_time > STALLED and step.now - clock.resumed > STALLED:
        _alert_stalled(step)


def _advance(state: State) -> None:
    clock = state.clock
    sources = state.tables.sources.rows
    if len(sources) < state.events_partitions:
        return
    fleet_time = min(map(_through, sources.values()))
    if fleet_time <= clock.fleet_time:
        return
    if clock.fleet_time >= 0 and fleet_time - clock.fleet_time > OUTAGE:
        _forgive_outages(state, fleet_time)
    clock.fleet_time = fleet_time
    for key, row in sources.items():
        if row.gaps and row.gaps[0][1] <= fleet_time:
            row.gaps = [gap for gap in row.gaps if gap[1] > fleet_time]
            state.tables.sources.touch(key)


def _forgive_outages(state: State, until: int) -> None:
    """Extend the times of live directives by the stretches, up to ``until``, in which nobody could append.

    Agents whose answers are late because no broker took them are late without fault. A partition that jumped
    shows no such stretch alone: perhaps nobody had anything to say there while the coordinator was away, and
    others appended elsewhere. Only what was a gap in *every* partition counts, and for a directive that was issued
    within or after it (by a coordinator behind its log), only the part that it saw.
    """
    clock = state.clock
    silent = [(clock.fleet_time, until)]
    for row in state.tables.sources.rows.values():
        silent = _intersection(silent, row.gaps)
    outages = [(start, end) for start, end in silent if end - start > OUTAGE]
    if not outages:
        return
    clock.outage += sum(end - start for start, end in outages)
    for directive_id, directive in state.tables.directives.rows.items():
        missed = sum(max(0, min(directive.issued_at, end) - start) for start, end in outages)
        if missed:
            directive.outage += missed
            state.postpone_directive(directive_id, directive)


def _intersection(ones: list[tuple[int, int]], others: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is in both of two ordered lists of stretches."""
    return [
        (max(start, from_), min(end, to))
        for start, end in ones
        for from_, to in others
        if max(start, from_) < min(end, to)
    ]


def _alert_stalled(step: Step) -> None:
    """A partition that nobody forwards stops the clock of all: no timeout fires until it has an owner again."""
    state = step.state
    for partition in range(state.events_partitions):
        row = state.tables.sources.get(str(partition))
        silent = step.now - max(state.clock.resumed, -1 if row is None else row.heard)
        if silent > STALLED:
            for name in sorted(state.fleets):
                subject = f"events/{partition}"
                details = {"silent": silent / 1000}
                step.alert_seldom(state.fleets[name], "partition_stalled", subject, "not_forwarded", details)


def run(step: Step) -> None:
    """Do all that is overdue: directives first, then moments, each in the order of time and name."""
    state = step.state
    timers = state.timers
    fleet_time = state.clock.fleet_time
    while (directive := timers.due_directive(fleet_time - state.clock.outage)) is not None:
        _directive_overdue(step, *directive)
    while (moment := timers.due_moment(fleet_time)) is not None:
        due, kind, key = moment
        if kind == "deadline":
            _deadline_passed(step, key, due)
        elif kind == "brake":
            brake.review(step, key, due)
        elif kind == "flood":
            floods.review(step, key, due)
        elif kind == "drain":
            drains.review(step, key, due)
        elif kind == "breaker":
            breaker.review(step, key, due)
        elif kind == "coalition":
            coalitions.given_up(step, key, due)
            coalitions.forget(step, key, due)
        elif kind == "pace":
            pace.forget(step, key, due)
        elif kind == "stuck":
            stuck.review(step, key, due)
        elif kind == "risk":
            _deadline_at_risk(step, key)
        elif kind == "promotion":
            _promotion_due(step, key, due)
        elif kind == "impossible":
            impossible.alert_class(step, key, due)
        elif kind == "window":
            reports.report(step, key, due)
        else:
            _forget(state, kind, key, due)


def _directive_overdue(step: Step, due: int, directive_id: str) -> None:
    row = step.state.tables.directives.get(directive_id)
    if row is None or directive_due(row) != due:
        return
    fleet = step.state.fleets[row.fleet]
    if row.type not in ("assign_task", "join_coalition"):
        ledger.repeat(step, fleet, directive_id)
        return
    task = step.state.task_of(fleet, row)
    if not row.accepted:
        details = {
            "directive_id": directive_id,
            "directive_type": row.type,
            "task_id": row.task_id,
            "ack_timeout": row.ack_timeout / 1000,
        }
        step.alert_seldom(fleet, "directive_unanswered", row.agent_id, "ack_timeout", details)
    breaker.failed(step, fleet, row.agent_id, task, "run_timeout" if row.accepted else "ack_timeout")
    if row.coalition_id is not None:
        ledger.withdraw(step, fleet, directive_id)
        if row.accepted:
            coalitions.failed(step, fleet, row, "run_timeout")
        else:
            coalitions.left(step, fleet, row, "ack_timeout", "delivery")
        return
    ledger.withdraw(step, fleet, directive_id)
    if row.accepted:
        tasks.take_back(step, fleet, task, "run_timeout", "attempt", backoff=True)
    else:
        tasks.take_back(step, fleet, task, "ack_timeout", "delivery")


def _deadline_passed(step: Step, key: str, due: int) -> None:
    task = step.state.tables.tasks.get(key)
    if task is not None and task.state == "pending" and task.deadline == due:
        tasks.finish(step, step.state.fleets[task.fleet], task, "failed", "deadline")


def _deadline_at_risk(step: Step, key: str) -> None:
    """An agent of usual speed would have to begin now."""
    task = step.state.tables.tasks.get(key)
    if task is None or task.state != "pending" or task.risk_alerted or task.deadline is None:
        return
    task.risk_alerted = True
    step.state.tables.tasks.touch(key)
    fleet = step.state.fleets[task.fleet]
    details = {
        "deadline": seconds(task.deadline),
        "size": task.size,
        "priority": task.priority,
        "waiting": (step.now - task.submitted_at) / 1000,
    }
    step.alert(fleet.name, "deadline_at_risk", task.task_id, "pending", details)


def _promotion_due(step: Step, key: str, due: int) -> None:
    task = step.state.tables.tasks.get(key)
    if task is not None and task.state == "pending":
        fleet = step.state.fleets[task.fleet]
        if fleet.promotion_due(task) == due:
            step.state.promote(fleet, task)


def _forget(state: State, kind: str, key: str, due: int) -> None:
    tables = state.tables
    if kind == "task":
        task = tables.ended_tasks.get(key)
        if task is not None and task.forget_at == due:
            tables.ended_tasks.delete(key)
    elif kind == "directive":
        directive = tables.ended_directives.get(key)
        if directive is not None and directive.forget_at == due:
            tables.ended_directives.delete(key)
    else:
        alert = tables.alerts.get(key)
        if alert is not None and alert.until == due:
            tables.alerts.delete(key)


def _through(row: SourceRow) -> int:
    return row.through
