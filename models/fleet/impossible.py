"""Tasks that no registered agent could ever hold: they wait, and people are told, once for each task.

Whether a class is impossible is found out whenever its queue or the fleet's shapes change; the alerts wait a
few seconds (``IMPOSSIBLE_GRACE``), since agents and their tasks may well start at the same moment.
"""

from __future__ import annotations

from models.fleet.backlog import TaskClass
from models.fleet.rows import ImpossibleRow, TaskRow
from models.fleet.state import IMPOSSIBLE_GRACE, FleetState
from models.fleet.step import Step


def review(step: Step, fleet: FleetState, task_class: TaskClass) -> None:
    """Take note of since when the class is impossible, if it is."""
    table = step.state.tables.impossible
    key = fleet.key(task_class.id)
    if not task_class.impossible:
        table.delete(key)
    elif key not in table:
        table.put(key, ImpossibleRow(step.now))
        step.state.timers.moment(step.now + IMPOSSIBLE_GRACE, "impossible", key)


def alert_newcomer(step: Step, fleet: FleetState, task: TaskRow) -> None:
    """Tell of a task that joined a class of which people know already that it is impossible."""
    row = step.state.tables.impossible.get(fleet.key(task.class_id))
    if row is not None and step.state.clock.fleet_time > row.since + IMPOSSIBLE_GRACE:
        _alert(step, fleet, task)


def alert_class(step: Step, key: str, due: int) -> None:
    """The grace of a class is over: tell of all its tasks, unless it became possible meanwhile."""
    row = step.state.tables.impossible.get(key)
    if row is None or row.since + IMPOSSIBLE_GRACE != due:
        return
    name, class_id = key.split("/")
    fleet = step.state.fleets[name]
    for *_, task_id in fleet.classes[class_id].queue:
        _alert(step, fleet, step.state.tables.tasks.rows[fleet.key(task_id)])


def _alert(step: Step, fleet: FleetState, task: TaskRow) -> None:
    if task.impossible_alerted:
        return
    task.impossible_alerted = True
    step.state.tables.tasks.touch(fleet.key(task.task_id))
    requires = {
        "capabilities": task.capabilities,
        "resources": {name: amount / 1_000_000 for name, amount in task.resources.items()},
        "labels": task.labels,
        "slots": task.slots,
    }
    details = {"agents": fleet.registered, "requires": requires}
    step.alert(fleet.name, "no_eligible_agent", task.task_id, "impossible", details)
