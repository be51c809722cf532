"""Moments as people name them."""

from __future__ import annotations

import pytest

from models.cut import Cut, Place
from streams.audit.moments import NOW, BeforeDirective, EventTime, InLog, Moment, parse_moment, said_of
from streams.errors import ConfigurationError
from streams.offsets import Start

TEN = 1_795_341_600_000
"""2026-11-22T10:00Z."""


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", NOW),
        ("end", InLog(Start("end"))),
        ("beginning", InLog(Start("beginning"))),
        ("17", InLog(Start("offset", 17))),
        ("-5", InLog(Start("back", 5))),
        (f"s@{TEN}", InLog(Start("time", TEN))),
        ("2026-11-22T10:00Z", InLog(Start("time", TEN))),
        ("2026-11-22T11:00:00.000+01:00", InLog(Start("time", TEN))),
        ("event:2026-11-22T10:00Z", EventTime(TEN)),
        ("default.1834.0", BeforeDirective("default", 1834)),
        ("my.fleet.1834.12", BeforeDirective("my.fleet", 1834)),
        ("coordinator.fleet/0@1834", Cut.of(None, {Place("coordinator.fleet", 0): 1834})),
    ],
)
def test_what_names_a_moment(text: str, moment: Moment) -> None:
    assert parse_moment(text) == moment


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("yesterday", "names no moment; give now"),
        ("2026-11-22T10:00", "no time zone; for UTC write 2026-11-22T10:00Z"),
        ("2026-11-99T10:00Z", "is no time"),
        ("event:soon", "is no time"),
        ("coordinator.fleet/0", "is no place"),
        (f"e@{TEN}", "give the moment itself"),
    ],
)
def test_what_names_none_is_refused_with_what_would(text: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        parse_moment(text)


def test_an_answer_says_which_of_both_times_it_was_asked_for() -> None:
    assert said_of(parse_moment("2026-11-22T10:00Z")) == {"as_of": {"kind": "arrival", "time": TEN / 1000}}
    assert said_of(parse_moment("event:2026-11-22T10:00Z")) == {
        "as_of": {"kind": "event", "time": TEN / 1000}
    }
    assert said_of(NOW) == {}
