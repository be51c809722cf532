"""Class water-fill: many alike tasks onto many unlike agents, near the optimum, in a few array operations each.

Tasks that cost the same everywhere (one requirement, size and zone preference) are a :class:`Demand`. A portion of
``n`` of them takes the ``n`` agents whose next slot is cheapest: the first ``n`` of a partition, not ``n``
searches. All demands take turns in several rounds, those with few eligible agents first, so that none has all the
cheap slots before another has had a look. The finer the portions, the nearer the optimum.

While they are laid out so, agents may be overfilled at a price. In the end each portion is taken up once more and
laid down where it is cheapest by now, and where there is room. So tasks leave crowded agents to those for whom
there is nothing as good, which no moves between agents within their limits would bring about; the price takes the
part of a multiplier in an augmented Lagrangian.

The exact optimum, by min-cost flow, takes seconds; ``bench/plan.py`` prints both. Keys are unique integers, the
cost above the position: a partition leaves equal keys in an order that differs between processors, and plans must
not depend on whose processor made them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from models.objective import DEFAULT_WEIGHTS, USUAL_PRIORITY, Weights

Ints = NDArray[np.int64]

PORTION_OVERHEAD = 1_000
"""Work units: a portion costs as much, beside the agents that are looked at for it, as looking at so many."""
MAX_ROUNDS = 12
MOST_PER_AGENT = 256
"""Tasks that one plan gives to one agent, at most."""

_BITS = 20
_POSITION = (1 << _BITS) - 1
MAX_AGENTS = 1 << _BITS
_DEAREST = 1 << 40
"""Above all costs; with a position below it, it fits into 63 bits."""
_NO_ROOM = _DEAREST << _BITS

_OVERFILLING = 50
"""Price of the first slot too many, while all is laid out; the second one costs as much again."""
_CROWDED_OVERFILLING = 100
_CROWDED = 50
"""Where one in so many tasks is too many for its agent, all is laid down once more, at the higher price."""
_MOST_TOO_MANY = 8


@dataclass(frozen=True, slots=True)
class Agents:
    """Agents as arrays, one entry for each, in the order of their ids. At most :data:`MAX_AGENTS`."""

    slots: Ints
    used: Ints
    """Slots that are taken, by the ledger."""
    slowness: Ints
    """See :func:`models.objective.slowness`."""


@dataclass(frozen=True, slots=True, eq=False)
class Demand:
    """Tasks of one slot each that are alike in all that placing them costs."""

    eligible: Ints
    """Positions of the agents that may hold them, rising. Demands of one requirement share the array."""
    count: int
    size: float = 1.0
    penalties: Ints | None = None
    """For every agent what a task costs more there, since its preferences are missed; ``None`` for none. Demands
    that prefer the same share the array."""
    priority: int = USUAL_PRIORITY
    """Where there is not room for all, those of higher priority have it, whatever that costs."""


@dataclass(slots=True)
class _Portion:
    """Some tasks of a demand, no two of them on the same agent."""

    demand: int
    count: int
    eligible: Ints
    keys: Ints
    """For each eligible agent what a task costs there, but for the agent's load; below that its position here."""
    holders: Ints | None = None
    """Agents that have them now; fewer than ``count`` if there was no room for all."""


def fill(
    agents: Agents, demands: Sequence[Demand], budget: int, weights: Weights = DEFAULT_WEIGHTS
) -> list[Ints]:
    """Place as many tasks as there is room for.

    Args:
        agents: What there is.
        demands: What is wanted.
        budget: Work units; one pays for looking at one agent for one portion of tasks. A first round is made
            in any case.
        weights: What counts for how much.

    Returns:
        For each demand the positions of the agents that get its tasks, an agent once for each task. Shorter than
        the demand's count if there was not enough room.
    """
    look = sum(len(demand.eligible) + PORTION_OVERHEAD for demand in demands if demand.count)
    rounds = max(1, min(MAX_ROUNDS, budget // (2 * look or 1)))
    tasks = [demand.count for demand in demands]
    portions = _portions(agents, demands, tasks, rounds)
    books = _Books(agents, weights, sum(tasks))
    books.overfilling(_OVERFILLING)
    books.lay(portions)
    if books.too_many * _CROWDED > sum(tasks):
        books.overfilling(_CROWDED_OVERFILLING)
        books.lay(portions)
    books.overfilling(None)
    books.lay(portions)
    placed = _by_demand(portions, len(demands))

    def place_the_rest(counts: Sequence[int]) -> None:
        """Of each demand so many tasks more, one after the other where need be."""
        while sum(counts):
            rest = _portions(agents, demands, counts, 1)
            books.lay(rest)
            found = _by_demand(rest, len(demands))
            if not any(map(len, found)):
                break
            placed[:] = [np.concatenate(both) for both in zip(placed, found, strict=True)]
            counts = [count - len(holders) for count, holders in zip(counts, found, strict=True)]

    place_the_rest([demand.count - len(holders) for demand, holders in zip(demands, placed, strict=True)])
    if len({demand.priority for demand in demands}) > 1:
        _give_way(agents, demands, placed, place_the_rest)
    return placed


def _by_demand(portions: Sequence[_Portion], demands: int) -> list[Ints]:
    parts: list[list[Ints]] = [[] for _ in range(demands)]
    for portion in portions:
        assert portion.holders is not None
        parts[portion.demand].append(portion.holders)
    return [np.concatenate(part) if part else np.empty(0, np.int64) for part in parts]


def _give_way(
    agents: Agents,
    demands: Sequence[Demand],
    placed: list[Ints],
    place_the_rest: Callable[[Sequence[int]], None],
) -> None:
    """Let tasks without room have that of tasks of lower priority, which are placed elsewhere if they can be."""
    priorities = np.array([demand.priority for demand in demands])
    everybody = np.arange(len(demands))
    for number in np.lexsort((everybody, -priorities)).tolist():
        demand = demands[number]
        short = demand.count - len(placed[number])
        if not short or not len(demand.eligible):
            continue
        owners = np.repeat(everybody, [len(holders) for holders in placed])
        holders = np.concatenate(placed)
        may_hold = np.zeros(len(agents.slots), np.bool_)
        may_hold[demand.eligible] = True
        found = np.flatnonzero((priorities[owners] < demand.priority) & may_hold[holders])
        # Of the least urgent first, and where the work costs least; ``lexsort`` keeps equals in order.
        found = found[np.lexsort((agents.slowness[holders[found]], priorities[owners[found]]))][:short]
        if len(found):
            lost = np.bincount(owners[found], minlength=len(demands)).tolist()
            owners[found] = number
            placed[:] = [holders[owners == owner] for owner in everybody]
            place_the_rest(lost)


def _portions(
    agents: Agents, demands: Sequence[Demand], counts: Sequence[int], rounds: int
) -> list[_Portion]:
    """So many tasks of each demand, in the order in which they are laid out."""
    turns: list[list[_Portion]] = [[] for _ in range(rounds)]
    sizes: dict[float, Ints] = {}
    numbers = np.arange(len(agents.slots))
    works: dict[tuple[int, float], Ints] = {}
    ways: dict[tuple[int, int], Ints] = {}
    for number in sorted(range(len(demands)), key=lambda number: (len(demands[number].eligible), number)):
        demand = demands[number]
        eligible, tasks = demand.eligible, counts[number]
        if not tasks or not len(eligible):
            continue
        # Demands of one requirement share their arrays: half of the work for hundreds of agents is done once.
        work = works.get((id(eligible), demand.size))
        if work is None:
            if demand.size not in sizes:
                costs = np.minimum(np.rint(agents.slowness * demand.size), _DEAREST >> 1)
                sizes[demand.size] = costs.astype(np.int64) << _BITS
            work = works[id(eligible), demand.size] = sizes[demand.size][eligible]
            work += numbers[: len(eligible)]
        keys = work
        if demand.penalties is not None:
            way = ways.get((id(eligible), id(demand.penalties)))
            if way is None:
                way = ways[id(eligible), id(demand.penalties)] = demand.penalties[eligible]
                way <<= _BITS
            keys = work + way
        for turn in range(rounds):
            left = tasks * (turn + 1) // rounds - tasks * turn // rounds
            while left:
                count = min(left, len(eligible))
                turns[turn].append(_Portion(number, count, eligible, keys))
                left -= count
    return list(chain.from_iterable(turns))


class _Books:
    """Who holds how much, and what the next slot of each agent costs."""

    def __init__(self, agents: Agents, weights: Weights, tasks: int) -> None:
        free = np.maximum(agents.slots - agents.used, 0)
        room = np.minimum(free, MOST_PER_AGENT)
        # Of a few tasks no agent can get many: most of the table would be made in vain.
        levels = np.arange(min(int(room.max(initial=0)) + _MOST_TOO_MANY, tasks) + 1)
        # Agents with as many slots and as many of them taken share a row: some hundred rows stay in the caches.
        spans = int(agents.used.max(initial=0)) + 1
        kinds, row = np.unique(agents.slots * spans + agents.used, return_inverse=True)
        slots, used = np.divmod(kinds[:, None], spans)
        self._costs = np.rint(weights.load * (2.0 * (used + levels) + 1) / np.maximum(slots, 1)).astype(
            np.int64
        )
        rooms = np.minimum(np.maximum(slots - used, 0), MOST_PER_AGENT)
        self._excess = np.maximum(levels - rooms + 1, 0)
        self._room = room
        self._first = row * len(levels)
        self._at = self._first.copy()
        """Place of each agent's next slot in the table of costs."""
        self._table = self._next = np.empty(0, np.int64)

    @property
    def too_many(self) -> int:
        """Tasks that agents hold beyond their room."""
        return int(np.maximum(self._at - self._first - self._room, 0).sum())

    def overfilling(self, price: int | None) -> None:
        """What the first slot beyond an agent's room costs more, and half of what the second one does; ``None``:
        there are none."""
        if price is None:
            costs = np.where(self._excess > 0, _DEAREST, self._costs)
        else:
            costs = self._costs + self._excess * price
            costs[:, -1] = _DEAREST  # the table ends here
        self._table = costs.ravel() << _BITS
        self._next = self._table[self._at]

    def lay(self, portions: Sequence[_Portion]) -> None:
        """Put each portion where it is cheapest, one after the other, after taking it up where it lies."""
        at, table, following = self._at, self._table, self._next
        for portion in portions:
            holders = portion.holders
            if holders is not None:
                places = at[holders] - 1
                at[holders] = places
                following[holders] = table[places]
            keys = portion.keys + following[portion.eligible]
            count = portion.count
            if count == 1:
                keys = keys[keys.argmin()][None]
            else:
                if count < len(keys):
                    keys.partition(count - 1)
                    keys = keys[:count]
                keys.sort()
            if keys[-1] >= _NO_ROOM:
                keys = keys[: keys.searchsorted(_NO_ROOM)]
            holders = portion.eligible[keys & _POSITION]
            places = at[holders] + 1
            at[holders] = places
            following[holders] = table[places]
            portion.holders = holders
