"""What to do about a batch that does not fit the position: look why, and read from the position again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from aiokafka.errors import KafkaError
from faust.types import TP

from streams.batches import RecordBatch
from streams.engine.lifeline import Lifeline
from streams.engine.restore import check_position
from streams.engine.task import PartitionTask

log = logging.getLogger("coordinator.engine")

_EVERY = 2.0
"""Seconds between two attempts to close the same gap."""


class Refetcher:
    """Goes back to where a partition wants to be read from, if its log still has that place.

    A batch that begins behind the position may only say that Faust dropped batches when it rebalanced. But
    aiokafka goes to the beginning of a log, silently, where retention has deleted what it should read next, and
    where the log is another one and ends before that.

    Args:
        lifeline: Runs what takes longer; an error in it ends the process.
        consumer: Faust's, once there is one.
        is_open: Whether a task is still this worker's.
    """

    def __init__(
        self, lifeline: Lifeline, consumer: Callable[[], Any], is_open: Callable[[PartitionTask], bool]
    ) -> None:
        self._lifeline = lifeline
        self._consumer = consumer
        self._is_open = is_open

    def fetch_again(self, task: PartitionTask, batch: RecordBatch) -> None:
        """Begin to go back for what lies between the task's position and this batch."""
        now = time.monotonic()
        if now - task.sought_at < _EVERY:
            return
        task.sought_at = now
        log.info(
            "gap, fetching again",
            extra={
                "table": task.table,
                "partition": task.partition,
                "position": task.position,
                "got": batch.start,
                "end": batch.high_watermark,
            },
        )
        self._lifeline.spawn(self._fetch_again(task), "fetch again")

    async def _fetch_again(self, task: PartitionTask) -> None:
        place = TP(task.topic, task.partition)
        bounds = await self._bounds(place)
        if bounds is not None and bounds[1] < task.position:
            await asyncio.sleep(_EVERY)  # a new leader may not know yet how far the log is committed
            bounds = await self._bounds(place)
        if not self._is_open(task):
            return
        if bounds is not None and task.failure is None:
            check_position(task, *bounds)
        await self._consumer().seek_to({place: task.position})

    async def _bounds(self, place: TP) -> tuple[int, int] | None:
        """First and next offset of a log; ``None`` if that cannot be told now."""
        consumer = self._consumer()
        try:
            first, end = await consumer.earliest_offsets(place), await consumer.highwaters(place)
        except KafkaError as error:
            log.warning(
                "the bounds of a log are unknown", extra={"topic": place.topic, "reason": repr(error)}
            )
            return None
        return first[place], end[place]
