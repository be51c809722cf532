"""Tasks that run for much longer than their like and say nothing: people are told, long before the run timeout.

A run timeout is a promise of the submitter, often an hour for what takes seconds. How long tasks of a class really
take is known once some have completed; one that is silent for several times what ninety-nine of a hundred need is
stuck more likely than slow. Its agent keeps it: only people can know better.
"""

from __future__ import annotations

from models.fleet.rows import DirectiveRow, TaskRow
from models.fleet.state import FleetState
from models.fleet.step import Step

ENOUGH = 20
"""Completed tasks of a class before its quantiles mean anything."""
_SOONEST = 5_000
"""Milliseconds of silence that are always granted."""


def watch(step: Step, fleet: FleetState, task: TaskRow, directive_id: str, directive: DirectiveRow) -> None:
    """The task has begun."""
    patience = _patience(step, fleet, task)
    if patience and (directive.expires_at is None or step.now + patience < directive.expires_at):
        _look_at(step, directive_id, directive, step.now + patience)


def review(step: Step, directive_id: str, due: int) -> None:
    """Nothing may have been heard of the task for too long."""
    row = step.state.tables.directives.get(directive_id)
    if row is None or row.stuck_at != due:
        return
    fleet = step.state.fleets[row.fleet]
    heard = max(row.accepted_at, row.heard_at)
    # At first only the shortest of a class have completed: what is usual is judged by what is known by now.
    patience = _patience(step, fleet, step.state.task_of(fleet, row))
    if not patience or heard + patience > due:
        _look_at(step, directive_id, row, heard + patience if patience else 0)
        return
    if fleet.agents[row.agent_id].row.liveness != "alive":
        _look_at(step, directive_id, row, due + _SOONEST)  # it is the agent that is silent, which is known
        return
    row.stuck_at = 0
    step.state.tables.directives.touch(directive_id)
    details = {
        "agent_id": row.agent_id,
        "directive_id": directive_id,
        "silent": (step.now - heard) / 1000,
        "patience": patience / 1000,
        "progress": row.progress,
    }
    step.alert_seldom(fleet, "task_stuck", row.task_id or "", "no_progress", details)


def _patience(step: Step, fleet: FleetState, task: TaskRow) -> int:
    """Milliseconds of silence after which the task counts as stuck; 0 if nobody can say."""
    pace = step.state.tables.paces.get(fleet.key(task.class_id))
    if pace is None or pace.seen < ENOUGH:
        return 0
    return max(_SOONEST, round(pace.slow * task.size * fleet.policy.stuck_factor))


def _look_at(step: Step, directive_id: str, row: DirectiveRow, due: int) -> None:
    row.stuck_at = due
    step.state.tables.directives.touch(directive_id)
    if due:
        step.state.timers.moment(due, "stuck", directive_id)
