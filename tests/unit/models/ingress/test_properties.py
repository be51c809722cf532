"""What holds for every log: the fold is total, a function of its records, and keeps its books."""

from __future__ import annotations

import dataclasses

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from models.events import OPERATOR_TYPES
from models.fleet_records import ThroughTicked, decode_fleet_record
from models.fold import LogRecord
from models.ingress import IngressFold
from tests.unit.models.ingress.history import LENGTH, history
from tests.unit.models.ingress.strategies import agent_ids, fleets, logs
from tests.unit.models.ingress.world import START, World, kinds, of_topic, restored, snapshot

PARTITIONS = {"events": 2, "fleet": 3}
WHOLE = {"events": 1, "fleet": 1}

histories = st.integers(0, 2**32).map(history)
few = settings(max_examples=15, deadline=None, derandomize=True)
many = settings(max_examples=40, deadline=None, derandomize=True)


@given(st.one_of(logs(), histories))
@many
def test_fold_is_total_and_every_record_has_one_outcome(records: list[LogRecord]) -> None:
    fold = IngressFold(0, PARTITIONS)
    for number, record in enumerate(records, 1):
        fold.fold([record])
        fold.validate()
        status = fold.status()
        assert status.records == sum(status.outcomes.values()) == number


@given(st.one_of(logs(), histories))
@many
def test_what_goes_to_the_fleet_log_can_be_read_there_in_a_rising_order(records: list[LogRecord]) -> None:
    positions = []
    for output in IngressFold(0, PARTITIONS).fold(records):
        assert output.topic in ("fleet", "events", "dead-letters", "alerts")
        if output.topic == "fleet":
            record = decode_fleet_record(output.value)
            if not isinstance(record, ThroughTicked):
                positions.append(record.source)  # type: ignore[union-attr]
    assert positions == sorted(set(positions)), "the fleet fold drops repeats by a source that only rises"


@given(histories, st.integers(0, LENGTH))
@many
def test_interrupted_fold_goes_on_as_if_nothing_had_been(records: list[LogRecord], cut: int) -> None:
    world = World(events=2, fleet=3)
    whole = world.fold
    expected = whole.fold(records)
    before = IngressFold(0, PARTITIONS)
    outputs = before.fold(records[:cut])
    after = restored(before, world)
    outputs += after.fold(records[cut:])
    assert outputs == expected
    assert snapshot(after) == snapshot(whole)


@given(histories)
@few
def test_batches_make_no_difference(records: list[LogRecord]) -> None:
    whole, single = IngressFold(0, PARTITIONS), IngressFold(0, PARTITIONS)
    expected = whole.fold(records)
    assert [output for record in records for output in single.fold([record])] == expected
    assert snapshot(single) == snapshot(whole)


@given(histories)
@few
def test_every_changed_row_is_marked_as_changed(records: list[LogRecord]) -> None:
    fold = IngressFold(0, PARTITIONS)
    stored: dict[str, dict[str, bytes]] = {name: {} for name in fold.tables}
    for record in records:
        fold.fold([record])
        for name, table in fold.tables.items():
            for key in table.dirty:
                row = table.rows.get(key)
                if row is None:
                    stored[name].pop(key, None)
                else:
                    stored[name][key] = table.encode(row)
            table.dirty.clear()
        assert stored == snapshot(fold)


Entry = tuple[str, str, str, str, int]
numbered = st.lists(
    st.tuples(
        agent_ids,
        fleets,
        st.sampled_from(["status_update", "metric_report", "agent_registered"]),
        st.sampled_from(["active", "busy", "offline"]),
        st.integers(0, 1_500),
    ),
    min_size=1,
    max_size=25,
)


def numbered_log(entries: list[Entry]) -> list[LogRecord]:
    """Events of agents that number what they say."""
    sequence: dict[tuple[str, str], int] = {}
    records = []
    now = START
    for agent_id, fleet, kind, status, step in entries:
        seq = sequence[agent_id, fleet] = sequence.get((agent_id, fleet), -1) + 1
        value = {"type": kind, "agent_id": agent_id, "fleet": fleet, "seq": seq}
        if kind == "status_update":
            value |= {"status": status, "current_load": seq / 8}
        if kind == "metric_report":
            value |= {"metrics": {"cpu": seq}}
        now += step
        records.append(LogRecord(len(records), now, None, orjson.dumps(value)))
    return records


@given(numbered, st.data())
@many
def test_records_delivered_again_change_nothing(entries: list[Entry], data: st.DataObject) -> None:
    records = numbered_log(entries)
    fold = IngressFold(0, WHOLE)
    fold.fold(records)
    before = snapshot(fold)
    again = data.draw(st.lists(st.sampled_from(records), max_size=20), label="again")
    later = [
        dataclasses.replace(record, offset=len(records) + n, timestamp=records[-1].timestamp + n)
        for n, record in enumerate(again)
    ]
    outputs = fold.fold(later)
    assert (kinds(outputs), of_topic(outputs, "fleet")) == ([], outputs), "at most how far the partition is"
    assert fold.status().outcomes["duplicate"] == len(again)
    after = snapshot(fold)
    for name in ("agents", "fleets", "origins", "alerts"):
        assert after[name] == before[name]


@given(histories)
@few
def test_operators_never_move_an_agents_numbers_or_beats(records: list[LogRecord]) -> None:
    fold = IngressFold(0, WHOLE)
    fold.fold(records)
    before = snapshot(fold)["agents"]
    for kind in sorted(OPERATOR_TYPES - {"policy_changed"}):
        for key in [*fold.tables["agents"].rows, "default/new"]:
            fleet, agent_id = key.split("/")
            value = {"type": kind, "agent_id": agent_id, "fleet": fleet, "seq": 5, "incarnation": 9}
            fold.fold([LogRecord(LENGTH, START, None, orjson.dumps(value))])
    assert snapshot(fold)["agents"] == before
