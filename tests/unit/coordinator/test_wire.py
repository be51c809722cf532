"""Reading is lenient: whatever comes, a value or nothing, never an error."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator import Coalition
from coordinator._wire import decode_directive, decode_result, encode_event
from coordinator.errors import InvalidValue

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = [
    *("directive_id", "type", "agent_id", "fleet", "task_id", "epoch", "attempt", "ack_timeout"),
    *("run_timeout", "expires_at", "coalition", "cause", "result", "reason"),
]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=64) | st.none())
def test_any_bytes_are_read_without_an_error(raw: bytes | None) -> None:
    assert decode_directive(raw) is None or raw
    assert decode_result(raw) is None or raw


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_any_object_is_read_without_an_error(value: dict[str, object]) -> None:
    raw = orjson.dumps(value)
    decode_result(raw)
    directive = decode_directive(raw)
    if directive is not None:
        assert directive.directive_id == value["directive_id"]
        assert isinstance(directive.epoch, int)
        assert isinstance(directive.ack_timeout, float | int)


@pytest.mark.parametrize("epoch", [2**53, 2**63, 2**64 - 1, 1e300, "1", True, None])
def test_an_epoch_that_is_none_counts_as_the_lowest(epoch: object) -> None:
    value = {"directive_id": "d", "type": "assign_task", "agent_id": "a1", "task_id": "t1", "epoch": epoch}
    directive = decode_directive(orjson.dumps(value))
    assert directive is not None
    assert directive.epoch == 0


def test_a_directive_is_read_with_all_its_fields() -> None:
    directive = decode_directive(
        orjson.dumps(
            {
                "directive_id": "default.5.0",
                "type": "assign_task",
                "agent_id": "a1",
                "fleet": "blue",
                "task_id": "t1",
                "epoch": 3,
                "attempt": 2,
                "plan_id": "p",
                "issued_at": 1.5,
                "ack_by": 11.5,
                "ack_timeout": 10,
                "expires_at": 61.5,
                "run_timeout": 60,
                "payload": {"n": [1]},
                "coalition": {"id": "c", "members": ["a1", "a2"], "role": None},
                "cause": {"offset": 5, "events": []},
                "unknown": "kept out",
            }
        )
    )
    assert directive is not None
    assert (directive.fleet, directive.epoch, directive.attempt, directive.plan_id) == ("blue", 3, 2, "p")
    assert (directive.issued_at, directive.ack_by, directive.expires_at) == (1.5, 11.5, 61.5)
    assert (directive.ack_timeout, directive.run_timeout, directive.payload) == (10, 60, {"n": [1]})
    assert directive.coalition == Coalition(id="c", members=("a1", "a2"), role=None)
    assert directive.cause == {"offset": 5, "events": []}


def test_an_event_leaves_out_what_is_not_said_and_keeps_to_the_size() -> None:
    assert encode_event("status_update", agent_id="a1", status="idle", slots=None) == (
        b'{"type":"status_update","agent_id":"a1","status":"idle"}'
    )
    with pytest.raises(InvalidValue, match="1048576"):
        encode_event("policy_changed", policy={"x": ["y" * 1000] * 1100})
