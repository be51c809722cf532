"""Arbitrary logs for property tests: from plausible fleets to plain bytes."""

from __future__ import annotations

import orjson
from hypothesis import strategies as st

from models.fold import LogRecord
from tests.unit.models.ingress.world import START

agent_ids = st.sampled_from(["a1", "a2", "a3", "robot.7", "x"])
fleets = st.sampled_from(["default", "red"])
counters = st.one_of(st.none(), st.integers(0, 6), st.sampled_from([2**32, 2**53 - 1]))
times = st.one_of(
    st.none(),
    st.floats(START / 1000 - 60, START / 1000 + 120),
    st.just("2025-11-22T08:26:40Z"),
    st.just(1e308),
)
numbers = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-9, 9))
loads = st.one_of(st.none(), st.floats(0, 2))


def _without_nones(value: dict[str, object]) -> dict[str, object]:
    return {name: item for name, item in value.items() if item is not None}


def _event(kind: str, **fields: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    common = {"type": st.just(kind), "fleet": fleets, "time": times, "seq": counters, "incarnation": counters}
    return st.fixed_dictionaries({**common, **fields}).map(_without_nones)


_statuses = st.sampled_from(["active", "idle", "busy", "draining", "offline", "error", "asleep"])
_agent = {"agent_id": agent_ids}
_policies = st.sampled_from(
    [
        {},
        {"windows": {"size": 3}},
        {"windows": {"max_lateness": 0, "max_skew": 30}},
        {"liveness": {"suspect_max": 2, "suspect_pause": 1, "lost_max": 3}},
        {"register_unknown_agents": False},
        {"alert_throttle": 1},
        {"nonsense": 1},
    ]
)

events = st.one_of(
    _event("status_update", status=_statuses, current_load=loads, **_agent),
    _event("metric_report", metrics=st.dictionaries(st.sampled_from(["cpu", "m"]), numbers), **_agent),
    _event("agent_registered", heartbeat_interval=st.sampled_from([0.05, 1, 3, None]), **_agent),
    _event("agent_deregistered", **_agent),
    _event("agent_cordoned", **_agent),
    _event("resource_report", resources=st.sampled_from([{}, {"gpu": {"capacity": 1}}]), **_agent),
    _event(
        "directive_response", directive_id=st.just("d"), outcome=st.sampled_from(["accepted", "x"]), **_agent
    ),
    _event("task_submitted", task_id=st.sampled_from(["t1", "t2"])),
    _event("policy_changed", policy=_policies, version=st.integers(0, 4)),
    _event("policy_accepted", policy=_policies, version=st.integers(0, 4)),
)
ticks = st.just({"type": "clock_ticked"})

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def _dumped(value: object) -> bytes:
    try:
        return orjson.dumps(value)
    except (TypeError, ValueError):
        return repr(value).encode(errors="replace")


values = st.one_of(
    events.map(_dumped),
    ticks.map(_dumped),
    ticks.map(_dumped),
    json_values.map(_dumped),
    st.dictionaries(
        st.sampled_from(["type", "agent_id", "status", "policy", "version", "metrics", "time", "fleet"]),
        st.one_of(json_values, st.sampled_from(["status_update", "a1", "policy_changed", 1])),
    ).map(_dumped),
    st.binary(max_size=40),
    st.none(),
)
headers = st.lists(
    st.tuples(
        st.sampled_from(
            ["coord-origin", "ce_specversion", "ce_type", "ce_id", "ce_time", "traceparent", "x"]
        ),
        st.one_of(
            st.none(),
            st.binary(max_size=8),
            st.sampled_from([b"1.0", b"status_update", b"coordinator.events/1/3", b"coordinator.events/0/9"]),
        ),
    ),
    max_size=3,
)
_headers = st.one_of(st.just([]), headers)
"""Most records have none."""


@st.composite
def logs(
    draw: st.DrawFn, contents: st.SearchStrategy[bytes | None] = values, *, max_size: int = 40
) -> list[LogRecord]:
    """Consecutive records, mostly with rising append times."""
    records = []
    now = START
    entries = st.tuples(
        contents, _headers, st.integers(-500, 4_000), st.one_of(st.none(), st.binary(max_size=4))
    )
    for offset, (value, heads, step, key) in enumerate(draw(st.lists(entries, max_size=max_size))):
        now += step if draw(st.integers(0, 60)) else draw(st.sampled_from([-1, 0, 10**15, 2**62])) - now
        records.append(LogRecord(offset, now, key, value, tuple(heads)))
    return records
