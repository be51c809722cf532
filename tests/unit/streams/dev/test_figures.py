"""What the demo counts: each task once, in log time, whatever the order in which records come."""

from __future__ import annotations

from itertools import permutations

import orjson

from streams.dev.figures import Figures, percentiles
from streams.reader import Stored


def record(topic: str, at: int, value: object) -> Stored:
    raw = value if isinstance(value, bytes) else orjson.dumps(value)
    return Stored(topic, 0, 0, at, None, raw, ())


def submitted(task: str, at: int) -> Stored:
    return record("events", at, {"type": "task_submitted", "task_id": task})


def directive(task: str, at: int, kind: str = "assign_task") -> Stored:
    value = {"type": kind, "agent_id": "a", "fleet": "default", "task_id": task, "issued_at": at / 1000}
    return record("directives", at, value)


def result(task: str, at: int, kind: str = "task_completed", attempt: int = 1) -> Stored:
    value = {"type": kind, "task_id": task, "fleet": "default", "time": at / 1000, "attempt": attempt}
    return record("results", at, {**value, "agent_id": "a", "reason": None if attempt == 1 else "broken"})


def test_a_task_is_counted_once_however_the_topics_interleave() -> None:
    for order in permutations([submitted("t", 1_000), directive("t", 1_200), result("t", 1_700)]):
        figures = Figures("default")
        figures.observe(order)
        figures.observe([order[-1]])
        assert figures.outcomes == {"completed": 1}
        assert figures.finished == {"a": 1}


def test_wait_and_whole_are_taken_from_log_time() -> None:
    figures = Figures("default")
    figures.observe([submitted("t", 1_000), directive("t", 1_200), directive("t", 1_500), result("t", 1_700)])
    assert list(figures.waits) == [200]
    assert list(figures.wholes) == [700]


def test_only_tasks_of_this_run_and_fleet_are_counted() -> None:
    figures = Figures("default", "demo-x-")
    figures.observe(
        [submitted("other", 1), result("other", 5), submitted("demo-x-1", 1), result("demo-x-1", 2)]
    )
    foreign = {"type": "task_completed", "task_id": "demo-x-2", "fleet": "elsewhere", "time": 1}
    figures.observe([record("results", 9, foreign)])
    assert figures.ended_total == 1


def test_retries_and_failures_are_told_apart_from_success() -> None:
    figures = Figures("default")
    figures.observe(
        [result("t1", 10, attempt=2), result("t2", 20, "task_failed", attempt=3), result("t3", 30)]
    )
    assert figures.outcomes == {"completed": 2, "failed": 1}
    assert figures.retried == 2
    assert figures.failures == [("t2", "broken")]


def test_a_withdrawal_is_a_directive_but_not_the_end_of_a_wait() -> None:
    figures = Figures("default")
    figures.observe([submitted("t", 0), directive("t", 5, "withdraw_task")])
    assert figures.issued_total == 1
    assert not figures.waits


def test_broken_records_cost_nothing() -> None:
    figures = Figures("default")
    figures.observe(
        [record("events", 1, b"\xff{"), record("results", 1, [1]), record("dead-letters", 1, b"?")]
    )
    assert figures.ended_total == 0
    assert figures.dead_letters == 1


def test_throughput_is_taken_from_the_first_submission_to_the_last_end() -> None:
    figures = Figures("default")
    assert figures.throughput() is None
    figures.observe([submitted("t1", 0), submitted("t2", 10), result("t1", 500), result("t2", 1_000)])
    assert figures.throughput() == 2.0


def test_percentiles_are_by_nearest_rank() -> None:
    assert percentiles([]) is None
    found = percentiles(range(1_000, 101_000, 1_000))
    assert found is not None
    assert (found.p50, found.p99, found.longest) == (50.0, 99.0, 100.0)
    single = percentiles([7])
    assert single is not None
    assert single.p99 == 0.007
