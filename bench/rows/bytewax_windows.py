"""Bytewax: the mean load of each agent in tumbling event-time windows of ten seconds, in memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
import bytewax.operators.windowing as win
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main

from bench.rows.bytewax_fold import Finished, keyed, meter

Sum = tuple[int, float]
closed = 0


class _Closed(StatelessSinkPartition[Any]):
    def write_batch(self, items: list[Any]) -> None:
        global closed
        closed += len(items)


class ClosedWindows(DynamicSink[Any]):
    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Closed:
        return _Closed()


def counted(keyed_event: tuple[str, dict[str, Any]]) -> None:
    """Before the windows: what leaves them are windows, not events."""
    meter.count(1)
    if meter.finished:
        raise Finished


def event_time(event: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(event["time"], UTC)


def add(sum_: Sum, event: dict[str, Any]) -> Sum:
    return sum_[0] + 1, sum_[1] + (event.get("current_load") or 0.0)


def main() -> None:
    task = meter.task
    flow = Dataflow("bench")
    source = KafkaSource([task.bootstrap], [task.topic], tail=False, batch_size=2_000)
    stream = op.inspect(
        "counted", op.map("keyed", op.input("events", flow, source), keyed), lambda _, e: counted(e)
    )
    loads = win.fold_window(
        "loads",
        stream,
        win.EventClock(event_time, wait_for_system_duration=timedelta(seconds=5)),
        win.TumblingWindower(timedelta(seconds=10), datetime(1970, 1, 1, tzinfo=UTC)),
        builder=lambda: (0, 0.0),
        folder=add,
        merger=lambda one, other: (one[0] + other[0], one[1] + other[1]),
    )
    op.output("closed", loads.down, ClosedWindows())
    try:
        run_main(flow)
    except BaseException:
        if not meter.finished:
            raise
    meter.finish(closed=closed)


if __name__ == "__main__":
    main()
