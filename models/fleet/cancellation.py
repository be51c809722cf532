"""Somebody does not want a task any more."""

from __future__ import annotations

from models.events import TaskCancelled
from models.fleet import coalitions, ledger, tasks
from models.fleet.rows import Outcome
from models.fleet.state import FleetState
from models.fleet.step import Step


def cancel(step: Step, fleet: FleetState, event: TaskCancelled) -> Outcome:
    tables = step.state.tables
    key = fleet.key(event.task_id)
    task = tables.tasks.get(key)
    if task is None:
        reason = "not_live" if key in tables.ended_tasks else "unknown_task"
        return step.reject(fleet, reason, event.task_id)
    if task.directive_id is not None:
        ledger.withdraw(step, fleet, task.directive_id)
    if task.coalition_id is not None:
        coalitions.dissolve(step, fleet, task, "task_cancelled")
    tasks.finish(step, fleet, task, "cancelled", event.reason)
    return "applied"
