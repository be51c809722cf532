"""What a placement costs: the objective that plans are made by and judged by. In whole numbers, so that equal
plans cost the same on every machine.

For each placed task

    round(size * slowness)  +  wrong_zone and wrong_labels if it prefers others
    +  crowded * (tasks of its group at the place)  +  round(load * (2u + 1) / slots)

where ``slowness`` is ``round(100 / speed)`` and the task takes the agent's slot number ``u + 1``; for each task
that could not be placed, ``unplaced`` and something for a high priority. The last term is the increase of
``load * u^2 / slots``: two slots of one agent cost more than one slot each of two, and a slot of a large agent
less than one of a small agent, so that work spreads in proportion to size. A task of ``k`` slots costs the
increase from ``u`` to ``u + k``, ``round(load * k * (2u + k) / slots)``. Halves are rounded to even.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

USUAL_PRIORITY = 5

_Weight = Annotated[int, Field(strict=True, ge=0, le=1_000_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What counts for how much. The unit is a hundredth of a second on an agent of speed 1."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    wrong_zone: _Weight = 150
    """Placed outside the zone that the task prefers."""
    wrong_labels: _Weight = 150
    """Placed on an agent that has not all the labels that the task prefers."""
    crowded: _Weight = 150
    """For each task of its group that is at the place already, of a task that is to be spread."""
    load: _Weight = 400
    """All slots of an agent in use, against none."""
    unplaced: _Weight = 20_000
    """A task of usual priority left without an agent."""
    unplaced_priority: _Weight = 5_000
    """More for each level of priority above the usual."""


DEFAULT_WEIGHTS = Weights()


def slowness(speed: float) -> int:
    """Cost of a task of size 1 on an agent of this speed; 100 on one of speed 1."""
    return max(1, round(100 / speed))


def work(size: float, agent_slowness: int) -> int:
    """Cost of the work itself."""
    return round(size * agent_slowness)


def slot(weights: Weights, used: int, slots: int, taken: int = 1) -> int:
    """Cost of ``taken`` more slots on an agent of which ``used`` of ``slots`` are taken."""
    return round(weights.load * taken * (2 * used + taken) / slots)


def unplaced(weights: Weights, priority: int) -> int:
    """Cost of leaving a task without an agent."""
    return weights.unplaced + weights.unplaced_priority * max(0, priority - USUAL_PRIORITY)
