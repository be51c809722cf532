"""How long the demo works on what, and how fast it submits."""

from __future__ import annotations

import pytest

from streams.dev.demo import LONGEST, default_rate, stretch, work_seconds


@pytest.mark.parametrize(
    ("payload", "seconds"),
    [({"size": 0.04}, 0.02), ({"size": 1e9}, LONGEST), ({"size": -1}, 0.01), ("hello", 0.01), (None, 0.01)],
)
def test_work_takes_its_size_by_the_agents_speed_whatever_the_payload(
    payload: object, seconds: float
) -> None:
    assert work_seconds(payload, 2.0) == pytest.approx(seconds)


def test_a_number_of_tasks_is_submitted_within_ten_seconds_and_an_endless_flow_gently() -> None:
    assert default_rate(None, agents=15) == 15.0
    assert default_rate(0, agents=15) == 15.0
    assert default_rate(2_000, agents=15) == 200.0
    assert default_rate(5, agents=15) == 20.0


def test_tasks_without_end_take_long_enough_to_be_watched() -> None:
    assert stretch(None) > stretch(2_000) == 1.0
