"""The short way decides exactly as the long way: equal rows, outcomes and outputs, however crooked the records."""

from __future__ import annotations

import random

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.fold import LogRecord, Output, Record
from models.ingress import IngressFold
from models.ingress.beats import read_plain
from models.ingress.rows import Outcome
from tests.unit.models.ingress.history import history
from tests.unit.models.ingress.world import START, snapshot

PARTITIONS = {"events": 1, "fleet": 2}
INTRODUCTION = [
    b'{"type":"agent_registered","agent_id":"a1","incarnation":1,"seq":0}',
    b'{"type":"status_update","agent_id":"a1","status":"active"}',
    b'{"type":"status_update","agent_id":"a1","fleet":"red","status":"busy","seq":3}',
    b'{"type":"metric_report","agent_id":"a1","metrics":{"cpu":1,"mem":2.5}}',
]


class Counting(IngressFold):
    """Counts what the short way takes; ``long`` does without it."""

    def __init__(self, *, long: bool = False, partitions: dict[str, int] = PARTITIONS) -> None:
        self.declined = 0
        super().__init__(0, partitions)
        if long:
            self._short_way = self._long_way

    def _fold(self, record: Record) -> Outcome:
        self.declined += 1
        return super()._fold(record)

    @property
    def taken(self) -> int:
        return self._clock.records - self.declined


def both_ways(records: list[LogRecord], partitions: dict[str, int] = PARTITIONS) -> Counting:
    short, long = Counting(partitions=partitions), Counting(long=True, partitions=partitions)
    said: list[Output] = short.fold(records)
    assert said == long.fold(records)
    assert snapshot(short) == snapshot(long)
    assert all(
        list(table.dirty) == list(long.tables[name].dirty) or set(table.dirty) == set(long.tables[name].dirty)
        for name, table in short.tables.items()
    )
    short.validate()
    return short


def log(values: list[bytes], step: int = 300) -> list[LogRecord]:
    return [
        LogRecord(offset, START + offset * step, None, value)
        for offset, value in enumerate([*INTRODUCTION, *values])
    ]


@pytest.mark.parametrize("seed", range(60))
def test_histories_come_out_the_same(seed: int) -> None:
    both_ways(history(seed), {"events": 2, "fleet": 1})


def test_what_agents_say_all_day_goes_the_short_way() -> None:
    chance = random.Random(1)
    values = []
    for seq in range(1, 300):
        event: dict[str, object] = {"agent_id": "a1", "incarnation": 1, "seq": seq}
        event["time"] = (START + 300 * seq) / 1000
        kind = chance.choice(["status_update", "metric_report", "directive_response"])
        event |= {
            "status_update": {"status": "active", "current_load": chance.random()},
            "metric_report": {"metrics": {"cpu": chance.random(), "mem": chance.randrange(9)}},
            "directive_response": {
                "directive_id": "d.1.0",
                "outcome": "progress",
                "progress": 0.5,
                "epoch": 1,
            },
        }[kind]
        values.append(orjson.dumps({"type": kind, **event}))
    assert both_ways(log(values)).taken == len(values) + 1, "and one of the introductions"


numbers = st.one_of(
    st.integers(-3, 12),
    st.integers(-(1 << 70), 1 << 70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(0, 2),
).map(lambda number: orjson.dumps(number) if abs(number) < 1 << 63 else str(number).encode())
odd = st.sampled_from(
    [
        *(
            b"null",
            b"true",
            b'""',
            b'"x"',
            b"[]",
            b"{}",
            b"-0",
            b"-0.0",
            b"1e400",
            b"1.0",
            b"1e3",
            b"01",
            b"NaN",
        ),
        *(
            b"9007199254740991",
            b"9007199254740992",
            b"9007199254740993.0",
            b"1e12",
            b"1000000000001",
            b"4294967297",
        ),
        *(
            b'"\\u0061ctive"',
            b'"a\\n"',
            b'"\xff"',
            b'"2026-11-25T10:00:00Z"',
            b'{"cpu":1,"cpu":2}',
            b'{"c u":1}',
        ),
        *(b'{"cpu":null}', b'{"cpu":1e300}', b'{"cpu":9007199254740993}', b'{"cpu":"1"}', b'{"new":0.5}'),
    ]
)
times = st.sampled_from(
    [b"1763800001", b"1763800001.5", b"1763800000.0005", b"1763799000", b"1763900000", b"1e9"]
)
usual = {
    b"agent_id": st.sampled_from([b'"a1"', b'"a2"', b'"a1/x"']),
    b"fleet": st.sampled_from([b'"default"', b'"red"', b'"re d"']),
    b"time": times,
    b"incarnation": st.sampled_from([b"0", b"1", b"2"]),
    b"seq": numbers,
    b"status": st.sampled_from([b'"active"', b'"busy"', b'"offline"', b'"asleep"']),
    b"current_load": numbers,
    b"metrics": st.sampled_from([b'{"cpu":0.5}', b'{"cpu":1,"mem":2}', b"{}", b'{"cpu":-1e-7,"net.in":3}']),
    b"directive_id": st.sampled_from([b'"d1"', b'"' + b"x" * 129 + b'"', b'""']),
    b"outcome": st.sampled_from([b'"accepted"', b'"progress"', b'"completed"']),
    b"epoch": numbers,
    b"progress": numbers,
    b"capabilities": st.just(b'["x"]'),
    b"unknown": st.just(b"1"),
}
KINDS = {
    b'"status_update"': [b"agent_id", b"status"],
    b'"metric_report"': [b"agent_id", b"metrics"],
    b'"directive_response"': [b"agent_id", b"directive_id", b"outcome"],
}


@st.composite
def crooked(draw: st.DrawFn) -> bytes:
    """An object of one of the plain kinds, mostly as it should be, with something odd about it now and then."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    names = [*KINDS[kind], *draw(st.lists(st.sampled_from(sorted(usual)), max_size=4))]
    if draw(st.integers(0, 3)):
        names = list(dict.fromkeys(names))
    fields = [(b"type", kind)]
    for name in names:
        fields.append((name, draw(usual[name] if draw(st.integers(0, 9)) else odd)))
    if not draw(st.integers(0, 9)):
        fields.append(draw(st.sampled_from(fields)))
    fields = draw(st.permutations(fields))
    colon, comma = draw(st.sampled_from([(b":", b","), (b":", b","), (b" : ", b",\n")]))
    return b"{" + comma.join(b'"' + name + b'"' + colon + value for name, value in fields) + b"}"


@given(st.lists(crooked(), min_size=1, max_size=8))
@settings(max_examples=600, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_crooked_records_come_out_the_same(values: list[bytes]) -> None:
    both_ways(log(values))


@given(st.lists(crooked(), max_size=2), st.integers(0, 40))
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_many_are_read_together_as_each_is_alone(odd_ones: list[bytes], among: int) -> None:
    plain = INTRODUCTION[1:] * 14
    records = log([*plain[:among], *odd_ones, *plain[among:]])
    alone = [said for record in records for said in read_plain([record])]
    assert read_plain(records) == alone
    assert alone.count(None) <= 1 + len(odd_ones), "the registration among the introductions"


@pytest.mark.parametrize(
    "odd_one",
    [
        b'{"type":"status_update","agent_id":"a1","status":"active","agent_id":"a2"}',
        b'{"type":"status_update","agent_id":"a1","status":"active","seq":null}',
        b'{"type":"status_update","agent_id":"a1","status":"\\u0061ctive"}',
        b'{"type":"metric_report","agent_id":"a1","metrics":{"cpu":1,"cpu":2}}',
        b'{"type":"status_update","agent_id":"a1","status":"active"}' + b" " * (1 << 20),
        b"\xff",
    ],
)
def test_one_odd_record_among_many_is_told_from_them(odd_one: bytes) -> None:
    plain = INTRODUCTION[1:] * 10
    records = [
        LogRecord(offset, START, None, value) for offset, value in enumerate([*plain, odd_one, *plain])
    ]
    said = read_plain(records)
    assert said.index(None) == len(plain)
    assert said.count(None) == 1


def test_records_without_value_or_with_headers_are_told_from_the_others() -> None:
    plain = INTRODUCTION[1:] * 10
    records = [LogRecord(offset, START, None, value) for offset, value in enumerate(plain)]
    records[3] = LogRecord(3, START, None, None)
    records[7] = LogRecord(7, START, None, plain[7], (("ce_specversion", b"1.0"),))
    assert [offset for offset, said in enumerate(read_plain(records)) if said is None] == [3, 7]


@given(st.floats(0, 1e12))
def test_numbers_are_read_to_the_last_bit(load: float) -> None:
    beat = b'{"type":"status_update","agent_id":"a1","status":"active","current_load":%b}'
    both_ways(log([beat % repr(load).encode(), beat % orjson.dumps(load)]))


@given(st.integers(0, 1023), st.integers(1, 256))
@settings(max_examples=30, deadline=None)
def test_full_windows_refuse_the_same(already: int, more: int) -> None:
    reports = [
        {f"m{number}": 1.0 for number in range(start, min(start + 256, already))}
        for start in range(0, already, 256)
    ]
    reports.append({f"n{number}": 2.0 for number in range(more)})
    values = [
        orjson.dumps({"type": "metric_report", "agent_id": "a1", "metrics": metrics}) for metrics in reports
    ]
    both_ways(log(values, step=1))


def test_headers_and_bulk_go_the_long_way() -> None:
    beat = b'{"type":"status_update","agent_id":"a1","status":"active"}'
    records = log([beat, beat + b" " * (1 << 20)])
    records += [
        LogRecord(9, START + 9_000, None, beat, (("ce_specversion", b"2.0"),)),
        LogRecord(10, START, None, None),
    ]
    assert both_ways(records).outcomes["dead_lettered"] == 3
