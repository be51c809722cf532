"""A record as people and scripts see it: complete as JSON, harmless on a terminal."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from streams.cli.records import as_json, as_line, fleet_of
from streams.reader import Stored


def stored(topic: str, value: object, *, key: bytes | None = b"k", headers: object = ()) -> Stored:
    raw = value if isinstance(value, bytes) or value is None else orjson.dumps(value)
    return Stored(topic, 3, 42, 1_767_225_600_123, key, raw, headers)  # type: ignore[arg-type]


def test_json_carries_where_a_record_stands_and_all_of_it() -> None:
    shown = as_json(stored("events", {"type": "x"}, headers=[("h", b"1"), ("h", None)]), "coordinator.")
    assert shown == {
        "topic": "coordinator.events",
        "partition": 3,
        "offset": 42,
        "timestamp": 1_767_225_600_123,
        "key": "k",
        "headers": [{"name": "h", "value": "1"}, {"name": "h", "value": None}],
        "value": {"type": "x"},
    }


def test_what_is_no_json_or_no_text_stays_whole() -> None:
    assert as_json(stored("events", b"{broken"), "")["value_text"] == "{broken"
    assert as_json(stored("events", b"\xff\x00"), "")["value_base64"] == "/wA="
    assert as_json(stored("events", None, key=None), "")["value"] is None
    assert as_json(stored("events", None, key=None), "")["key"] is None
    assert as_json(stored("events", {}, key=b"\xfe"), "")["key_base64"] == "/g=="


def test_a_directive_reads_as_who_is_told_what() -> None:
    value = {
        "type": "assign_task",
        "agent_id": "a1",
        "task_id": "t1",
        "epoch": 2,
        "attempt": 2,
        "directive_id": "f.1.0",
    }
    line = as_line(stored("directives", {**value, "payload": {"n": 1}})).plain
    assert "3@42" in line
    assert "assign_task" in line
    assert "a1 ← t1  epoch 2  attempt 2  id f.1.0" in line
    assert line.endswith('{"n":1}')


def test_a_result_says_who_and_why() -> None:
    value = {"type": "task_failed", "task_id": "t1", "agent_id": "a1", "attempt": 3, "reason": "no paper"}
    assert "t1  by a1  attempt 3  because no paper" in as_line(stored("results", value)).plain


def test_a_dead_letter_shows_its_origin_its_fault_and_its_bytes() -> None:
    headers = [("coord-origin", b"coordinator.events/0/7"), ("coord-error", b"bytes: not JSON")]
    line = as_line(stored("dead-letters", b"{broken", headers=headers)).plain
    assert "coordinator.events/0/7  bytes: not JSON  {broken" in line


def test_a_fact_of_the_fleet_log_shows_the_event_in_it() -> None:
    value = {
        "type": "status_update",
        "source": {"partition": 1, "offset": 9, "index": 0},
        "through": 1_767_225_600,
        "event": {"agent_id": "a1", "status": "busy"},
    }
    line = as_line(stored("fleet", value)).plain
    assert "a1  from 1@9  lag 123 ms" in line
    assert line.endswith('{"status":"busy"}')


def test_the_fleet_of_a_record_is_in_its_value_or_its_key() -> None:
    assert fleet_of(stored("events", {"fleet": "f"})) == "f"
    assert fleet_of(stored("events", {})) == "default"
    assert fleet_of(stored("fleet", {}, key=b"f")) == "f"
    assert fleet_of(stored("dead-letters", b"?")) is None


@given(
    st.sampled_from(["events", "fleet", "directives", "results", "alerts", "reports", "dead-letters"]),
    st.one_of(
        st.none(),
        st.binary(max_size=40),
        st.dictionaries(
            st.sampled_from(
                ["type", "agent_id", "task_id", "source", "event", "through", "attempt", "payload"]
            ),
            st.one_of(
                st.none(), st.integers(-5, 5), st.text(max_size=9), st.lists(st.integers(0, 9), max_size=2)
            ),
        ).map(orjson.dumps),
    ),
    st.one_of(st.none(), st.binary(max_size=9)),
)
def test_any_record_is_shown_on_one_line_without_control_characters(
    topic: str, value: bytes | None, key: bytes | None
) -> None:
    record = stored(topic, value, key=key, headers=[("coord-error", key)])
    assert as_line(record).plain.isprintable()
    assert orjson.dumps(as_json(record, ""))
