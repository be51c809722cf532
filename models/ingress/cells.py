"""What open windows have seen, as columns: every report adds to it, of another agent and another metric each time.

An aggregate is a cell of six numbers. The cells of all windows that begin at one time lie in one array, and what
is reported waits in plain lists until somebody reads or there is much of it; then numpy adds it to thousands of
cells at once, at a tenth of what it costs one by one. Whatever the moment of that, the numbers come out the same:
each cell takes its samples in the order of the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

import msgspec
import numpy as np
from numpy.typing import NDArray

_EMPTY = np.array((0.0, 0.0, inf, -inf, 0.0, -1.0))
"""The cell of a metric not seen yet: count, sum, min, max, last, moment. A float counts exactly as far as 2^53.
The moment is how many milliseconds into the window ``last`` was: an event that was overtaken does not replace a
younger value."""
_NUMBER = np.dtype("<f8")
"""In memory as where it is stored, on machines of the other order of bytes too."""
CELL_BYTES = 6 * _NUMBER.itemsize
_FIRST_ROOM = 64
_LARGEST = np.finfo(np.float64).max
MANY = 1_024
"""Samples that wait at most; with more of them each would cost no less."""


class Aggregate(msgspec.Struct, frozen=True, gc=False):
    """What a window saw of one metric."""

    count: int
    sum: float
    min: float
    max: float
    last: float


class Cells:
    """The cells of all windows that begin at one time, in one partition.

    A window has a run of them, one for each metric of its agent: ``first``, ``first + 1`` …

    Attributes:
        places: Of the samples that wait, in which cell each belongs; the next two likewise.
        values: What was reported.
        moments: When: milliseconds since the window began.
        fleets: How many fleets have an open window from that time.
    """

    __slots__ = ("_bytes", "_end", "_free", "_moved", "_numbers", "fleets", "moments", "places", "values")

    def __init__(self) -> None:
        self.places: list[int] = []
        self.values: list[float] = []
        self.moments: list[int] = []
        self.fleets = 0
        self._numbers = _empty(_FIRST_ROOM)
        self._bytes = self._numbers.data.cast("B")
        self._end = 0
        """Of the cells that were ever taken; those behind it are empty."""
        self._free: dict[int, list[int]] = {}
        """Runs that were given back, by their length."""
        self._moved: list[tuple[int, int, int]] = []
        """Runs of which samples may wait in their former place: that, where they are now, and their length."""

    def take(self, count: int) -> int:
        """A run of so many empty cells."""
        free = self._free.get(count)
        if free:
            first = free.pop()
            self._numbers[first : first + count] = _EMPTY
            return first
        first = self._end
        self._end = end = first + count
        if end > len(self._numbers):
            grown = _empty(max(end, 2 * len(self._numbers)))
            grown[:first] = self._numbers[:first]
            self._numbers = grown
            self._bytes = grown.data.cast("B")
        return first

    def give_back(self, first: int, count: int) -> None:
        """Nobody needs these cells any more, nor have they samples that wait."""
        if count:
            self._free.setdefault(count, []).append(first)

    def widen(self, first: int, count: int, more: int) -> int:
        """Where a run goes on with so many more empty cells behind its own."""
        wider = self.take(count + more)
        if count:
            self._numbers[wider : wider + count] = self._numbers[first : first + count]
            self._moved.append((first, wider, count))
        return wider

    def place(self, window: Window) -> int:
        """The first of a window's cells; its contents are taken in if it comes from where it was stored."""
        if isinstance(window.cells, int):
            return window.cells
        contents = np.frombuffer(window.cells, _NUMBER).reshape(-1, len(_EMPTY))
        window.cells = first = self.take(len(contents))
        self._numbers[first : first + len(contents)] = contents
        return first

    def packed(self, first: int, count: int) -> bytes:
        """A run as bytes: little-endian doubles, cell by cell."""
        if self.values:
            self.add_waiting()
        return self._bytes[CELL_BYTES * first : CELL_BYTES * (first + count)].tobytes()

    def read(self, places: Sequence[int]) -> Iterator[tuple[int, float, float, float, float, float]]:
        """Count, sum, mean, min, max and last of these cells, one after the other; none of them is empty.

        The sum of huge numbers may be infinite, or even not a number: it is the largest that JSON has, then.
        """
        self.add_waiting()
        count, total, low, high, last, _ = self._numbers[np.array(places, np.int64)].T
        total = np.where(np.isfinite(total), total, np.where(total > 0, _LARGEST, -_LARGEST))
        columns = count.astype(np.int64), total, total / count, low, high, last
        return zip(*(column.tolist() for column in columns), strict=True)

    def add_waiting(self) -> None:
        """Add the samples that wait to their cells."""
        if not self.values:
            return
        places = np.array(self.places, np.int64)
        values = np.array(self.values, np.float64)
        moments = np.array(self.moments, np.int64)
        self.places.clear()
        self.values.clear()
        self.moments.clear()
        if self._moved:
            places = self._where_they_moved(places)
        values += 0.0  # no -0.0: which of two zeros is the lesser depends on the processor
        count, total, low, high, last, moment = self._numbers.T
        np.add.at(count, places, 1.0)
        with np.errstate(over="ignore", invalid="ignore"):  # sums of huge numbers; see ``windows``
            np.add.at(total, places, values)
        np.minimum.at(low, places, values)
        np.maximum.at(high, places, values)
        # The youngest sample of each cell, of equally young ones the one that stands last in the log.
        order = np.lexsort((moments, places))
        ordered = places[order]
        youngest = order[np.append(ordered[1:] != ordered[:-1], True)]
        youngest = youngest[moments[youngest] >= moment[places[youngest]]]
        last[places[youngest]] = values[youngest]
        moment[places[youngest]] = moments[youngest]

    def _where_they_moved(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        now = np.arange(self._end)
        for former, first, count in reversed(self._moved):  # one may have moved on
            now[former : former + count] = now[first : first + count]
        for former, _, count in self._moved:
            self.give_back(former, count)
        self._moved.clear()
        return now[places]


def _empty(cells: int) -> NDArray[np.float64]:
    numbers = np.empty((cells, len(_EMPTY)), _NUMBER)
    numbers[:] = _EMPTY
    return numbers


NO_CELLS = Cells()
"""Of no window: nobody adds to them."""


class Window(msgspec.Struct, array_like=True, gc=False):
    """An open window of one agent."""

    start: int
    """Milliseconds since 1970."""
    metrics: str
    """Their names, separated by spaces. One string, and not a list, since a restore reads a million of them."""
    cells: bytes | int
    """In memory the first of its cells, one for each metric in that order; where it is stored, and until it is
    needed after that, their contents."""
    before: Window | None = None
    """One that was opened earlier and is still open; mostly there is none."""


def _length(window: Window) -> int:
    """Of its run: so many metrics it has."""
    return window.metrics.count(" ") + 1 if window.metrics else 0


class OpenCells(dict[int, Cells]):
    """The cells of all open windows of a partition, by when these begin."""

    def fleet_opens(self, start: int) -> None:
        """A fleet has an open window from then on, and had none."""
        cells = self.get(start)
        if cells is None:
            cells = self[start] = Cells()
        cells.fleets += 1

    def fleet_closes(self, start: int) -> None:
        """A fleet has closed its windows that begin then."""
        cells = self[start]
        cells.fleets -= 1
        if not cells.fleets:
            del self[start]

    def pack(self, window: Window) -> bytes:
        """The contents of a window, to be stored."""
        first = window.cells
        return first if isinstance(first, bytes) else self[window.start].packed(first, _length(window))

    def give_back(self, window: Window) -> None:
        """The window leaves memory, but not the partition; it is stored, so none of its samples waits."""
        if isinstance(window.cells, int):
            self[window.start].give_back(window.cells, _length(window))

    def aggregates(self, window: Window) -> dict[str, Aggregate]:
        """What a window saw, by metric."""
        metrics, cells = window.metrics.split(), self[window.start]
        first = cells.place(window)
        seen = cells.read(range(first, first + len(metrics)))
        return {
            metric: Aggregate(count, total, low, high, last)
            for metric, (count, total, _, low, high, last) in zip(metrics, seen, strict=True)
        }
