"""Which fold a partition task runs: the engine knows only that it is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.fleet import FleetFold
from models.ingress import IngressFold

if TYPE_CHECKING:
    from streams.engine import FoldTable, PartitionTask


def ingress_fold(task: PartitionTask) -> IngressFold:
    """The fold of a task of the ``agents`` table."""
    assert isinstance(task.fold, IngressFold)
    return task.fold


def fleet_fold(task: PartitionTask) -> FleetFold:
    """The fold of a task of the ``fleet`` table."""
    assert isinstance(task.fold, FleetFold)
    return task.fold


def task_of(table: FoldTable, fleet: str) -> PartitionTask:
    """The task of the ``fleet`` table that holds a fleet.

    Raises:
        LookupError: if no open partition does.
    """
    for task in table.tasks.values():
        if fleet in fleet_fold(task).fleets():
            return task
    raise LookupError(f"the fleet {fleet!r} is unknown here, or another worker holds it")
