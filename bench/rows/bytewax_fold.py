"""Bytewax: ``stateful_map`` by agent, in memory."""

from __future__ import annotations

from typing import Any

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main

from bench.meter import Meter

meter = Meter()


class _Counter(StatelessSinkPartition[Any]):
    def write_batch(self, items: list[Any]) -> None:
        meter.count(len(items))
        if meter.finished:
            raise Finished


class CountingSink(DynamicSink[Any]):
    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Counter:
        return _Counter()


class Finished(Exception):
    """All events have arrived at the end of the flow."""


def keyed(message: KafkaSourceMessage) -> tuple[str, dict[str, Any]]:
    event = orjson.loads(message.value)
    return event["agent_id"], event


def newest(state: Any, event: dict[str, Any]) -> tuple[list[Any], bool]:
    value = event.get("current_load") or event.get("metrics") or event.get("progress")
    state = [event["seq"], event["time"], value]
    return state, True


def main() -> None:
    task = meter.task
    flow = Dataflow("bench")
    source = KafkaSource([task.bootstrap], [task.topic], tail=False, batch_size=2_000)
    stream = op.map("keyed", op.input("events", flow, source), keyed)
    folded = op.stateful_map("newest", stream, newest)
    op.output("count", folded, CountingSink())
    try:
        run_main(flow)
    except BaseException:
        if not meter.finished:
            raise
    meter.finish()


if __name__ == "__main__":
    main()
