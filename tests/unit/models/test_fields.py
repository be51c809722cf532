"""Times and durations: strict, bounded, in integer milliseconds."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.events import decode_event
from models.fields import LAST_MILLISECOND, milliseconds, seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2025-11-22T09:00:00.25Z", 1_763_802_000_250),
        ("2025-11-22t10:00:00.250+01:00", 1_763_802_000_250),
        ("2025-11-22 09:00:00.2500000001Z"[:29] + "Z", 1_763_802_000_250),
        ("9999-12-31T23:59:59.999Z", LAST_MILLISECOND),
    ],
)
def test_rfc_3339_times_are_read(text: str, expected: int) -> None:
    assert milliseconds(text) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "now",
        "2025-11-22",
        "2025-11-22T10:00:00",
        "2025-02-30T10:00:00Z",
        "2025-11-22T10:00:00+99:99",
        "1969-12-31T23:59:59Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59.999-23:59",
        "٢٠٢٥-11-22T10:00:00Z",
        -1,
        1e308,
        -1e308,
        math.inf,
        math.nan,
        10**400,
        1_763_802_000_250,
        True,
        None,
        [],
    ],
)
def test_what_is_no_time_is_a_value_error_and_nothing_worse(value: object) -> None:
    with pytest.raises(ValueError, match=r"time|years|calendar"):
        milliseconds(value)


@given(st.integers(0, LAST_MILLISECOND))
@settings(max_examples=200, derandomize=True)
def test_every_millisecond_survives_the_wire(moment: int) -> None:
    assert milliseconds(seconds(moment)) == moment


@pytest.mark.parametrize("interval", ["0.04", "3601", '"1"', "true", "null", "[]"])
def test_durations_are_numbers_within_their_bounds(interval: str) -> None:
    raw = f'{{"type":"agent_registered","agent_id":"a","heartbeat_interval":{interval}}}'
    with pytest.raises(ValueError, match="heartbeat_interval"):
        decode_event(raw.encode())
