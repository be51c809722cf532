"""Whether the events are what they are said to be."""

from __future__ import annotations

import json
import random

from bench.workload import MEMORY, WORKLOADS, events, policy_record
from models.fold import LogRecord
from models.ingress import IngressFold

NOW = 1_800_000_000_000


def folded(fold: IngressFold, values: list[bytes], start: int = 0) -> list[dict[str, object]]:
    """The fleet records that the values cause, all of them appended at one moment."""
    outputs = fold.fold([LogRecord(start + at, NOW, b"k", value) for at, value in enumerate(values)])
    return [json.loads(output.value or b"{}") for output in outputs]


def fresh() -> IngressFold:
    return IngressFold(0, {"events": 1, "fleet": 1})


def test_windows_close_on_the_way_though_no_time_passes() -> None:
    workload = WORKLOADS["windows"]
    assert workload.policy is not None
    values = [
        policy_record(workload.policy),
        *(value for _, value in events(workload, 36 * 20, 20, NOW / 1000)),
    ]
    facts = folded(fresh(), values)
    closed = [fact for fact in facts if fact["type"] == "window_closed"]
    # 36 seconds of event time, of which the last five may still be overtaken by late events.
    assert [len(fact["agents"]) for fact in closed] == [20] * 3  # type: ignore[arg-type]
    assert not any(fact["late"] for fact in closed)


def test_a_change_of_policy_closes_the_windows_whose_memory_is_measured() -> None:
    assert MEMORY.policy is not None
    assert MEMORY.last_policy is not None
    fold = fresh()
    values = [policy_record(MEMORY.policy), *(value for _, value in events(MEMORY, 20, 10, NOW / 1000))]
    assert not [fact for fact in folded(fold, values) if fact["type"] == "window_closed"]
    [closed] = folded(fold, [policy_record(MEMORY.last_policy, 2)], 21)
    assert closed["type"] == "window_closed"
    assert len(closed["agents"]) == 10  # type: ignore[arg-type]


def test_every_event_of_every_workload_is_applied() -> None:
    for workload in (*WORKLOADS.values(), MEMORY):
        fold = fresh()
        values = [value for _, value in events(workload, 300, 10, NOW / 1000)]
        folded(fold, [policy_record(workload.policy), *values] if workload.policy else values)
        applied = fold.outcomes["applied"]
        assert applied == len(values) + (workload.policy is not None), workload.name


def test_peers_read_a_policy_like_any_event() -> None:
    record = json.loads(policy_record({"windows": {"max_skew": 1}}))
    event = WORKLOADS["windows"].value(random.Random(1), "a1", 3, 1.5)
    assert record.keys() >= {"agent_id", "seq", "time"}
    assert event.keys() >= {"agent_id", "seq", "time"}
