"""Times, lengths and words as people read them."""

from __future__ import annotations

import time

import pytest

from streams.cli.console import clock, duration, shortened


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0, "0 ms"),
        (0.0124, "12 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (3.44, "3.4 s"),
        (59.96, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3600, "1 h 00 min"),
        (200_000, "2 d 07 h"),
        (-1.5, "-1.5 s"),
    ],
)
def test_a_duration_is_as_short_as_it_stays_honest(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_a_moment_of_today_needs_no_date_and_an_older_one_does() -> None:
    now = time.mktime((2026, 3, 4, 15, 0, 0, 0, 0, -1))
    assert clock(round(now * 1000) + 7, now) == "15:00:00.007"
    assert clock(round((now - 86_400) * 1000), now) == "2026-03-03 15:00:00.000"


def test_control_characters_of_a_record_cannot_reach_the_terminal() -> None:
    assert shortened("a\x1b[2Jb\n", 20) == "a\\x1b[2Jb\\x0a"


def test_a_long_text_ends_in_an_ellipsis_at_the_width() -> None:
    assert shortened("abcdefgh", 5) == "abcd…"
    assert shortened("abcde", 5) == "abcde"
