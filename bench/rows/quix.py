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
    frame = app.dataframe(app.topic(task.topic, value_deserializer="json", key_deserializer="str"))

    def fold(event: dict[str, Any], state: State) -> None:
        newest = event.get("current_load") or event.get("metrics") or event.get("progress")
        state.set("newest", [event["seq"], event["time"], newest])
        meter.count(1)
        if meter.finished:
            app.stop()

    def fold_windows(event: dict[str, Any]) -> dict[str, Any]:
        meter.count(1)
        if meter.finished:
            app.stop()
        return event

    if task.options.get("windows"):
        loads = frame.apply(fold_windows).apply(lambda event: event.get("current_load") or 0.0)
        loads.tumbling_window(10_000, grace_ms=5_000).mean().final()
    else:
        frame.update(fold, stateful=True)
    app.run()
    meter.finish()


if __name__ == "__main__":
    main()
