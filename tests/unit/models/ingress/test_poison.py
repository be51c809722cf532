"""P7: bad input never stops the stream. It is counted and kept as it came, and costs no other record anything."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.dead_letters import MAX_KEPT_BYTES
from models.fold import Headers, LogRecord
from models.ingress import IngressFold
from tests.support.nasty_records import NASTY, beat
from tests.unit.models.ingress.test_beats import both_ways
from tests.unit.models.ingress.world import START, World, header, of_topic, snapshot

WHOLE = {"events": 1, "fleet": 1}
POISON = {name: value for name, (value, becomes) in NASTY.items() if becomes not in ("applied", "tick")}
NASTY_HEADERS: list[Headers] = [
    (),
    (("", None),),
    (("coord-origin", b"coordinator.events/0/0"), ("coord-error", b"forged"), ("coord-cut", b"-1")),
    (("coord-unread", b"forged"),),
    (("ce_specversion", b"1.0"), ("ce_type", b"\xff\xfe"), ("ce_time", b"\0")),
    (("\\xff" * 99, b"\xff" * 999), ("same", b"1"), ("same", b"2")),
    (("traceparent", b"00-" + b"\xff" * 52),),
]


@pytest.mark.parametrize("name", NASTY)
def test_what_broke_parsers_elsewhere_gets_its_outcome_and_its_reason(name: str) -> None:
    value, becomes = NASTY[name]
    world = World()
    outputs = world.append(value, key=b"\xff\0key")
    letters = of_topic(outputs, "dead-letters")
    if becomes in ("applied", "tick"):
        assert world.outcomes == {becomes: 1}
        assert letters == []
        return
    (letter,) = letters
    assert (header(letter, "coord-error") or b"").split(b": ")[0].decode() == becomes
    assert (letter.key, letter.value) == (b"\xff\0key", value)
    assert world.outcomes == {"dead_lettered": 1}
    assert world.agents == []


def good(number: int) -> bytes:
    return beat(b"agent-%d" % (number % 3), b',"seq":%d,"current_load":0.%d' % (number, number))


@pytest.mark.parametrize("name", POISON)
def test_poison_in_any_place_of_a_batch_costs_its_neighbours_nothing(name: str) -> None:
    """The same agents, the same facts and windows as if it had never been; only offsets are its."""
    clean = IngressFold(0, WHOLE)
    clean.fold([LogRecord(number, START + number, None, good(number)) for number in range(8)])
    for place in range(9):
        fold = IngressFold(0, WHOLE)
        values: list[bytes | None] = [good(number) for number in range(8)]
        times = [START + number for number in range(8)]
        values.insert(place, POISON[name])
        times.insert(place, times[max(0, place - 1)])
        outputs = fold.fold(
            [
                LogRecord(at, time, None, value)
                for at, (time, value) in enumerate(zip(times, values, strict=True))
            ]
        )
        fold.validate()
        assert snapshot(fold)["agents"] == snapshot(clean)["agents"]
        assert snapshot(fold)["fleets"] == snapshot(clean)["fleets"]
        (letter,) = of_topic(outputs, "dead-letters")
        assert header(letter, "coord-origin") == b"coordinator.events/0/%d" % place
        assert letter.value == POISON[name]
        assert fold.outcomes == {**clean.outcomes, "dead_lettered": 1}


def test_nothing_but_poison_is_a_batch_like_any_other() -> None:
    fold = IngressFold(0, WHOLE)
    outputs = fold.fold([LogRecord(at, START, None, value) for at, value in enumerate(POISON.values())])
    fold.validate()
    assert [letter.value for letter in of_topic(outputs, "dead-letters")] == list(POISON.values())
    assert len(of_topic(outputs, "alerts")) == 4, "one for each code, not one for each record"
    assert fold.outcomes["dead_lettered"] == len(POISON)


mutated = st.tuples(
    st.sampled_from([value for value, _ in NASTY.values() if value and len(value) < 2_000]),
    st.lists(st.tuples(st.integers(0, 1 << 16), st.binary(max_size=6)), max_size=4),
).map(lambda drawn: _mutate(*drawn))
values = st.one_of(
    st.binary(max_size=300),
    mutated,
    st.sampled_from([value for value, _ in NASTY.values()]),
    st.just(good(1)),
)


def _mutate(value: bytes, changes: list[tuple[int, bytes]]) -> bytes:
    for at, content in changes:
        at %= len(value) + 1
        value = value[:at] + content + value[at + len(content) // 2 :]
    return value


@given(
    st.lists(
        st.tuples(values, st.sampled_from(NASTY_HEADERS), st.none() | st.binary(max_size=9)),
        min_size=1,
        max_size=12,
    )
)
@settings(max_examples=150, deadline=None)
def test_any_bytes_anywhere_are_accounted_for_and_kept(
    contents: list[tuple[bytes | None, Headers, bytes | None]],
) -> None:
    records = [
        LogRecord(at, START + at, key, value, headers) for at, (value, headers, key) in enumerate(contents)
    ]
    fold = IngressFold(0, WHOLE)
    letters = of_topic(fold.fold(records), "dead-letters")
    fold.validate()
    assert sum(fold.outcomes.values()) == len(records)
    assert len(letters) == fold.outcomes["dead_lettered"]
    for letter in letters:
        at = int((header(letter, "coord-origin") or b"").rpartition(b"/")[2])
        record = records[at]
        assert (letter.key, letter.value) == (record.key, record.value)
        assert letter.headers[: len(record.headers)] == tuple(record.headers)
    both_ways(records, WHOLE)


def test_a_record_of_ten_megabytes_is_counted_and_kept_up_to_what_its_topic_takes() -> None:
    world = World()
    value = beat().ljust(10_000_000)
    (letter,) = of_topic(world.append(value), "dead-letters")
    assert letter.value == value[:MAX_KEPT_BYTES]
    assert header(letter, "coord-cut") == b"10000000"
    assert (header(letter, "coord-error") or b"").startswith(b"limits: the value has 10000000 bytes")
    assert world.outcomes == {"dead_lettered": 1}
    assert world.agents == [], "a good event, had it been shorter"
