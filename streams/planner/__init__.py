"""Planners: pure functions ``(snapshot, policy, budget) -> CoordinationPlan``. They propose and change nothing.

What they say goes to the fleet log as ``plan_proposed``; the fleet fold checks each entry again and applies
what still holds (``models.fleet.plans``).
"""

from streams.planner.base import Planner, encode_plan
from streams.planner.placement import WaterFillPlanner
from streams.planner.snapshot import FleetSnapshot, plannable, snapshot

__all__ = ["FleetSnapshot", "Planner", "WaterFillPlanner", "encode_plan", "plannable", "snapshot"]
