"""Quix Streams: a stateful ``apply``, at least once, with its changelog and RocksDB store."""

from __future__ import annotations

from typing import Any

from quixstreams import Application, State

from bench.meter import Meter


def main() -> None:
    meter = Meter()
    task = meter.task
    app = Application(
        broker_address=task.bootstrap,
        consumer_group=task.run,
        auto_offset_reset="earliest",
        state_dir=task.directory,
        commit_interval=1.0,
        loglevel="ERROR",
        consumer_extra_config={"fetch.queue.backoff.ms": 5},
    )
    windows = task.options.get("windows")
    topic = app.topic(
        task.topic,
        value_deserializer="json",
        key_deserializer="str",
        timestamp_extractor=event_time if windows else None,
    )
    frame = app.dataframe(topic)
    closed = 0

    def fold(event: dict[str, Any], state: State) -> None:
        newest = event.get("current_load") or event.get("metrics") or event.get("progress")
        state.set("newest", [event["seq"], event["time"], newest])
        meter.count(1)
        if meter.finished:
            app.stop()

    def load(event: dict[str, Any]) -> float:
        meter.count(1)
        if meter.finished:
            app.stop()
        return event.get("current_load") or 0.0

    def count_closed(_window: Any) -> None:
        nonlocal closed
        closed += 1

    if windows:
        frame.apply(load).tumbling_window(10_000, grace_ms=5_000).mean().final().update(count_closed)
    else:
        frame.update(fold, stateful=True)
    app.run()
    meter.finish(**({"closed": closed} if windows else {}))


def event_time(event: dict[str, Any], _headers: Any, _timestamp: int, _kind: Any) -> int:
    return int(event["time"] * 1000)


if __name__ == "__main__":
    main()
