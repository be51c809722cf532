"""The resources of fleets, for programs that hold a coordinator: what there is, and who should have how much."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.events import DEFAULT_FLEET
from streams.folds import fleet_fold, task_of
from streams.planner.allocation import resources

if TYPE_CHECKING:
    from streams.engine import FoldTable
    from streams.messages import MessageHandler


class ResourceManager:
    """Divides what a fleet has among its tenants, within their quotas, through the log like everything else.

    Args:
        fleet: The table of the fleet folds.
        messages: Appends the policy that puts an allocation into force.
    """

    def __init__(self, fleet: FoldTable, messages: MessageHandler) -> None:
        self.fleet = fleet
        self.messages = messages

    def resource_pools(self, fleet: str = DEFAULT_FLEET) -> dict[str, Any]:
        """Slots and named resources of all agents together; see ``streams.planner.allocation.resources``.

        Raises:
            LookupError: if another worker holds the fleet's partition.
        """
        return resources(fleet_fold(task_of(self.fleet, fleet)), fleet)

    async def optimize_allocation(self, fleet: str = DEFAULT_FLEET, *, apply: bool = False) -> dict[str, Any]:
        """Propose how to divide what there is, and put it into force if asked to.

        Returns:
            What :meth:`resource_pools` does. Its ``patch`` was appended if ``apply`` is true and it changes
            something; it is in force once the fleet's fold has accepted it.

        Raises:
            LookupError: if another worker holds the fleet's partition.
        """
        proposal = self.resource_pools(fleet)
        if apply and proposal["patch"] is not None:
            await self.messages.process_message(
                {
                    "type": "policy_changed",
                    "fleet": fleet,
                    "policy": proposal["patch"],
                    "version": proposal["version"],
                }
            )
        return proposal
