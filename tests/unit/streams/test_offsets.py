"""The offset grammar: the same words as kcat's, with the same meaning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import ConfigurationError
from streams.offsets import Span, Start, parse_span

DEFAULT = Start("back", 10)


@pytest.mark.parametrize(
    ("words", "span"),
    [
        ([], Span(DEFAULT)),
        (["beginning"], Span(Start("beginning"))),
        (["end"], Span(Start("end"))),
        (["0"], Span(Start("offset", 0))),
        (["42"], Span(Start("offset", 42))),
        (["-7"], Span(Start("back", 7))),
        (["s@1000"], Span(Start("time", 1000))),
        (["e@2000"], Span(Start("beginning"), 2000)),
        (["s@1000", "e@2000"], Span(Start("time", 1000), 2000)),
        (["-5", "e@2000"], Span(Start("back", 5), 2000)),
    ],
)
def test_each_word_of_the_grammar_is_understood(words: list[str], span: Span) -> None:
    assert parse_span(words, DEFAULT) == span


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["yesterday"], "yesterday: no offset"),
        (["--5"], "no offset"),
        (["s@"], "no offset"),
        (["s@-5"], "no offset"),
        (["1.5"], "no offset"),
        (["stored"], "joins no consumer group"),
        (["beginning", "end"], "place to start is given twice"),
        (["e@1", "e@2"], "time to stop is given twice"),
    ],
)
def test_what_is_no_offset_is_refused_with_the_word_and_a_way_out(words: list[str], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        parse_span(words, DEFAULT)
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("start", "at_time", "offset"),
    [
        (Start("beginning"), None, 10),
        (Start("end"), None, 50),
        (Start("offset", 20), None, 20),
        (Start("offset", 3), None, 10),
        (Start("offset", 99), None, 50),
        (Start("back", 5), None, 45),
        (Start("back", 500), None, 10),
        (Start("time", 1), 33, 33),
        (Start("time", 1), None, 50),
    ],
)
def test_a_start_means_an_offset_that_the_partition_holds(
    start: Start, at_time: int | None, offset: int
) -> None:
    assert start.offset(10, 50, at_time) == offset


@given(st.lists(st.text(max_size=12), max_size=3))
def test_any_words_are_either_understood_or_refused(words: list[str]) -> None:
    try:
        span = parse_span(words, DEFAULT)
    except ConfigurationError:
        return
    assert 0 <= span.start.offset(0, 100, 50) <= 100
