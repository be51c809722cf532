"""Samples are added many at once, and come out as if each had been added when it came."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st

from models.ingress.cells import Cells, OpenCells, Window

CELL = struct.Struct("<6d")
EMPTY = [0.0, 0.0, inf, -inf, 0.0, -1.0]

samples = st.tuples(
    st.just("sample"),
    st.integers(0, 3),
    st.one_of(st.floats(-10, 10), st.floats(allow_nan=False, allow_infinity=False)),
    st.integers(0, 4),
)
steps = st.one_of(
    samples,
    samples,
    samples,
    st.tuples(st.just("widen"), st.integers(1, 3)),
    st.tuples(st.just("read")),
    st.tuples(st.just("store")),
    st.tuples(st.just("another")),
)


@dataclass
class Model:
    """A window, its cells as plain numbers: each sample is added at once."""

    window: Window
    cells: list[list[float]] = field(default_factory=list)

    def add(self, number: int, value: float, moment: int) -> None:
        cell = self.cells[number]
        value += 0.0
        cell[0] += 1
        cell[1] += value
        cell[2] = min(cell[2], value)
        cell[3] = max(cell[3], value)
        if moment >= cell[5]:
            cell[4], cell[5] = value, moment

    @property
    def packed(self) -> bytes:
        return b"".join(CELL.pack(*cell) for cell in self.cells)


def opened(cells: OpenCells, start: int = 0) -> Model:
    return Model(Window(start, "", cells[start].take(0)))


def widen(cells: Cells, model: Model, more: int) -> None:
    assert isinstance(model.window.cells, int)
    model.window.cells = cells.widen(model.window.cells, len(model.cells), more)
    model.cells += [list(EMPTY) for _ in range(more)]
    model.window.metrics = " ".join(f"m{number}" for number in range(len(model.cells)))


@given(st.lists(steps, max_size=60))
@settings(deadline=None)
def test_what_is_added_together_is_added_in_the_order_of_the_log(done: list[tuple]) -> None:  # type: ignore[type-arg]
    every = OpenCells()
    every.fleet_opens(0)
    cells = every[0]
    models = [opened(every)]
    for step in done:
        model = models[-1]
        if step[0] == "another":
            models.append(opened(every))
        elif step[0] == "widen":
            widen(cells, model, step[1])
        elif step[0] == "read":
            assert every.pack(model.window) == model.packed
        elif step[0] == "store":
            stored = every.pack(model.window)
            every.give_back(model.window)
            model.window.cells = stored
            cells.place(model.window)
        elif step[1] < len(model.cells):
            _, number, value, moment = step
            model.add(number, value, moment)
            assert isinstance(model.window.cells, int)
            cells.places.append(model.window.cells + number)
            cells.values.append(value)
            cells.moments.append(moment)
    for model in models:
        assert every.pack(model.window) == model.packed


def test_cells_given_back_are_used_again_and_empty() -> None:
    cells = Cells()
    first = cells.take(2)
    cells.places += [first, first + 1]
    cells.values += [1.0, 2.0]
    cells.moments += [0, 0]
    cells.add_waiting()
    cells.give_back(first, 2)
    assert cells.take(1) != first, "a run of another length"
    assert cells.take(2) == first
    assert cells.packed(first, 2) == CELL.pack(*EMPTY) * 2


def test_a_window_that_grows_leaves_its_former_cells_to_others() -> None:
    """Each of its lengths once, not once for each agent."""
    every = OpenCells()
    every.fleet_opens(0)
    cells = every[0]
    grown = []
    for _ in range(3):
        model = opened(every)
        for _ in range(40):
            widen(cells, model, 1)
            assert isinstance(model.window.cells, int)
            cells.places.append(model.window.cells)
            cells.values.append(1.0)
            cells.moments.append(0)
            cells.add_waiting()
        grown.append(cells.take(0))
    assert grown[0] == 40 * 41 // 2
    assert grown[2] == grown[0] + 2 * 40


def test_zeros_have_no_sign() -> None:
    """Which of -0.0 and 0.0 is the lesser depends on the processor."""
    cells = Cells()
    first = cells.take(1)
    for value in (0.0, -0.0, 0.0):
        cells.places.append(first)
        cells.values.append(value)
        cells.moments.append(0)
    assert cells.packed(first, 1) == CELL.pack(3, 0.0, 0.0, 0.0, 0.0, 0)


def test_sums_beyond_all_numbers_are_the_largest_there_is() -> None:
    cells = Cells()
    first = cells.take(3)
    for place, values in enumerate(
        ([1e308, 1e308], [-1e308, -1e308], [1e308, 1e308, -1e308, -1e308, -1e308])
    ):
        cells.places += [first + place] * len(values)
        cells.values += values
        cells.moments += [0] * len(values)
    sums = [total for _, total, *_ in cells.read(range(first, first + 3))]
    assert sums == [1.7976931348623157e308, -1.7976931348623157e308, 1.7976931348623157e308]


def test_cells_go_when_the_last_fleet_has_closed_its_windows() -> None:
    every = OpenCells()
    every.fleet_opens(10)
    every.fleet_opens(10)
    every.fleet_closes(10)
    assert list(every) == [10]
    every.fleet_closes(10)
    assert not every
