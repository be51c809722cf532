"""What a planner is, and how its plan becomes a record. How to plan well is each planner's own affair."""

from __future__ import annotations

from typing import Protocol

from models.codec import encode
from models.fleet_records import CoordinationPlan
from models.policy import Policy
from streams.planner.snapshot import FleetSnapshot


class Planner(Protocol):
    """Proposes what to do next for one fleet.

    Equal snapshots, policies and budgets give equal plans: no clock, no chance, no memory.
    """

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...

    def plan(self, snapshot: FleetSnapshot, policy: Policy, budget: int) -> CoordinationPlan | None:
        """The next plan, or ``None`` when there is nothing to propose.

        Args:
            snapshot: The fleet as it is. Read only.
            policy: The fleet's policy.
            budget: Work units that may be spent; one pays for looking at one agent for one task. A plan that
                runs out of it proposes what it has found so far, and the next one goes on from there.
        """

    def rebalance(self, snapshot: FleetSnapshot, policy: Policy, budget: int) -> CoordinationPlan | None:
        """Moves of running tasks that even out load, or ``None``. Asked in quiet rounds, when :meth:`plan` has
        nothing to propose, at most once in the policy's ``rebalancing.interval``."""


def encode_plan(plan: CoordinationPlan) -> bytes:
    """The plan as a value on ``coordinator.fleet``; its key is the fleet."""
    return encode(plan)
