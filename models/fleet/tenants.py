"""How tenants share what there is: each gets work in proportion to its weight, while it has tasks that wait.

Weighted fair queueing by virtual time, as start-time fair queueing has it (Goyal, Vin and Cheng, SIGCOMM 1996)
and as Linux did with ``vruntime``: what a tenant is given, divided by its weight, is added to what it was served,
and of those whose tasks wait the one that was served least comes next. A tenant that begins to wait starts level
with those who wait already: nobody may save up while it wants nothing. Tasks without a tenant belong to ``""``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from models.fleet.rows import TaskRow

MAX_GIVEN = 1_000
"""Tenants that one report compares."""
_SHARE = 1_000_000
"""So that dividing by the largest weight still leaves whole numbers."""
_LARGEST = 1 << 50
"""Of one task."""
_TOO_MUCH = 1 << 62
"""From here on all are lowered together, so that they stay integers that every store can hold."""


def share_of(task: TaskRow, weights: Mapping[str, int]) -> int:
    """What giving the task to an agent adds to what its tenant was served."""
    work = max(1, round(task.size * 1000)) * task.slots
    return min(work * _SHARE // weights.get(task.tenant or "", 1), _LARGEST)


def note_given(given: dict[str, int], tenant: str, share: int) -> None:
    """Remember until the next report what the tenant was given; of ever more tenants only the first ones."""
    if tenant in given or len(given) < MAX_GIVEN:
        given[tenant] = given.get(tenant, 0) + share


def begin_to_wait(served: dict[str, int], tenant: str, waiting: Iterable[str]) -> None:
    """The tenant had no pending task, and has one now; those of ``waiting`` have some."""
    level = min((served.get(other, 0) for other in waiting), default=0)
    if served.get(tenant, 0) < level:
        served[tenant] = level


def serve(served: dict[str, int], tenant: str, share: int) -> None:
    """The tenant was given a task."""
    served[tenant] = served.get(tenant, 0) + share
    if served[tenant] > _TOO_MUCH:
        least = min(served.values())
        for name in served:
            served[name] = min(served[name] - least, _TOO_MUCH)
