# ruff: noqa: ASYNC109 - signatures with a timeout are Faust's.
# mypy: disable-error-code="misc,no-any-return"
# Faust has no types that mypy could follow: its classes are Any.
"""Faust's aiokafka driver, made to deliver whole batches. Subclasses only; each override says what it replaces.

Line numbers are those of faust-streaming 0.15.3.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata
from faust.events import Event
from faust.sensors.monitor import Monitor
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from streams.engine.aiokafka_internals import abandon_group_join, tune_consumer

if TYPE_CHECKING:
    from streams.batches import RecordBatch
    from streams.engine.engine import Engine

log = logging.getLogger("coordinator.engine")

QUEUED_BATCHES = 16
"""Batches that may wait in front of an agent; the fetch loop blocks when they are full."""

_COMMIT_TIMEOUT = 2.0
_SEEK_TIMEOUT = 10.0
_THREAD_POLL = 0.01


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that the aiokafka consumer lives in."""

    def _create_worker_consumer(self, transport: Transport) -> AIOKafkaConsumer:
        # drivers/aiokafka.py:568 hard-codes a fetch wait of 1.5 s, which delays every seek and reassignment.
        consumer = super()._create_worker_consumer(transport)
        settings = transport.engine.settings
        tune_consumer(
            consumer, fetch_max_wait=settings.fetch_max_wait, fetch_max_bytes=settings.fetch_max_bytes
        )
        transport.engine.watch_memory(self.thread_loop)
        return consumer

    async def on_thread_stop(self) -> None:
        # drivers/aiokafka.py:549, with a group join cut short. And aiokafka's ``stop`` cancels its fetches, and
        # with a broker that is gone it lets their cancellation through; then the thread dies without a word to
        # who waits for its end.
        await super(driver.AIOKafkaConsumerThread, self).on_thread_stop()
        if self._consumer is None:
            return
        await abandon_group_join(self._consumer)
        try:
            await self._consumer.stop()
        except asyncio.CancelledError:
            log.info("consumer stopped in the middle of a fetch")

    async def stop(self) -> None:
        thread = self._thread
        if thread is None:  # never started; mode/threads.py:149 made it a loop all the same
            self.thread_loop.close()
            return
        # mode/threads.py:221 leaves a thread alone that has begun but not yet said so (in an event of its loop).
        while thread.is_alive() and not self._started.is_set():  # noqa: ASYNC110
            await asyncio.sleep(_THREAD_POLL)
        if thread.is_alive():  # one that has crashed has stopped by itself, and closed its loop
            await super().stop()

    def close(self) -> None:
        # drivers/aiokafka.py:765, on a rebalance that meets a worker about to stop, closes the connections of this
        # thread's consumer from the loop of another thread, and a join under way then waits for what never comes.
        pass  # ``on_thread_stop`` is on its way

    async def _fetch_records(
        self,
        consumer: AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> dict[TopicPartition, RecordBatch]:
        # drivers/aiokafka.py:1088 returns lists of ConsumerRecord; building those is a third of an event's cost.
        if not self.consumer.flow_active:
            return {}
        engine = self.transport.engine
        return await engine.reader(consumer, active_partitions, timeout or 0.0, engine.settings.batch_records)

    async def commit_advisory(self, offsets: Mapping[tuple[str, int], int]) -> bool:
        """Show the group's progress to people, tools and other workers; whether that succeeded.

        Failing is normal during a rebalance.
        """
        return bool(await self.call_thread(self._commit_advisory, offsets))

    async def _commit_advisory(self, offsets: Mapping[tuple[str, int], int]) -> bool:
        # The stock ``_commit`` (:600) crashes the consumer on most errors; no state depends on these offsets.
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        own = {
            partition: OffsetAndMetadata(offset, "")
            for (topic, number), offset in offsets.items()
            if (partition := TopicPartition(topic, number)) in assigned
        }
        try:
            if own:
                await consumer.commit(own)
        except (KafkaError, IllegalStateError) as error:
            log.info("group offset not committed", extra={"reason": repr(error)})
            return False
        return len(own) == len(offsets)

    async def pause_fetching(self, partitions: set[TopicPartition]) -> None:
        """Tell aiokafka itself not to fetch these; Faust's own pause only ignores what was fetched."""
        await self.call_thread(self._pause_fetching, partitions)

    async def _pause_fetching(self, partitions: set[TopicPartition]) -> None:
        consumer = self._ensure_consumer()
        consumer.pause(*(partitions & consumer.assignment()))


class Consumer(driver.Consumer):
    """Faust's consumer, handing out batches and seeking to the positions that the states are at."""

    def _new_consumer_thread(self) -> ConsumerThread:
        # drivers/aiokafka.py:237: selects the thread class.
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def on_first_start(self) -> None:
        # mode/services.py: the consumer is the first of our services to start.
        self.transport.engine.boot()
        await super().on_first_start()

    def on_buffer_full(self, tp: TP) -> None:
        # consumer.py:547 takes the partition out of fetching, and with all of them out, the stock loop sleeps a
        # whole second (:808). Here a full queue of batches simply blocks the fetch loop.
        pass

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        # consumer.py:693 yields one message per record; this, one per partition and fetch. The stock
        # ``_drain_messages`` around it stays: its four asyncio tasks per message are now four per batch.
        await self.transport.engine.producer.wait_for_room()
        batches, _ = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if batches is None or self.should_stop:
            return
        if not self.flow_active:
            return  # a rebalance began; :754 seeks here, ``perform_seek`` will anyway before the flow resumes
        for at, batch in batches.items():
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return  # what is dropped here is fetched again: the partition task sees the gap
            self.transport.engine.batch_fetched(batch)
            yield TP(*at), _as_message(batch, generation)

    async def wait_empty(self) -> None:
        # consumer.py:867, called on revocation (app/base.py:1829) and on stop (:1738), when the flow is stopped
        # and this member still owns its partitions: the moment for the last checkpoint. The stock method then
        # finds nothing to wait for, since our topics are not acked.
        await self.transport.engine.give_up_partitions(stopping=self.app.should_stop)
        await super().wait_empty()

    async def perform_seek(self) -> None:
        # consumer.py:565 seeks to the group's offsets. The position kept with the state is the truth.
        engine = self.transport.engine
        assigned = self.assignment()
        changelogs = {TopicPartition(*tp) for tp in assigned if self._is_changelog_tp(tp)}
        if changelogs:
            await self._thread.pause_fetching(changelogs)
        await self.seek_to({tp: at for tp, at in engine.positions().items() if tp in assigned})

    async def seek_to(self, positions: Mapping[TP, int]) -> None:
        if positions:
            await asyncio.wait_for(self.seek_wait(positions), _SEEK_TIMEOUT)

    async def commit_advisory(self, offsets: Mapping[tuple[str, int], int]) -> bool:
        try:
            return bool(await asyncio.wait_for(self._thread.commit_advisory(offsets), _COMMIT_TIMEOUT))
        except (TimeoutError, RuntimeError) as error:  # the thread is busy, or gone
            log.info("group offset not committed", extra={"reason": repr(error)})
            return False


def _as_message(batch: RecordBatch, generation: int) -> ConsumerMessage:
    return ConsumerMessage(
        batch.topic,
        batch.partition,
        batch.next_offset - 1,
        batch.records[-1].timestamp / 1000.0 if batch.records else 0.0,
        0,
        (),
        None,
        batch,
        None,
        0,
        0,
        TP(batch.topic, batch.partition),
        generation_id=generation,
    )


class Transport(driver.Transport):
    """Selected by ``install``, as the entry point group ``faust.transports`` would."""

    Consumer = Consumer
    engine: Engine


class BatchSchema(faust.Schema):
    """Hands the batch through untouched: decoding is the fold's business, so that no bytes can stop a stream."""

    def compile(
        self,
        app: faust.App,
        *,
        on_key_decode_error: Callable[..., Awaitable[None]] | None = None,
        on_value_decode_error: Callable[..., Awaitable[None]] | None = None,
        default_propagate: bool = False,
    ) -> Callable[..., Awaitable[Event]]:
        async def decode(message: ConsumerMessage, *, propagate: bool = False) -> Event:
            return Event(app, None, message.value, message.headers, message)

        return decode


class NullMonitor(Monitor):
    """The stock monitor costs 10 to 14 microseconds per message and keeps histories that nobody reads."""

    def on_message_in(self, *args: Any) -> None:
        pass

    def on_stream_event_in(self, *args: Any) -> None:
        return None

    def on_stream_event_out(self, *args: Any) -> None:
        pass

    def on_message_out(self, *args: Any) -> None:
        pass

    def on_send_initiated(self, *args: Any, **kwargs: Any) -> None:
        return None

    def on_send_completed(self, *args: Any) -> None:
        pass

    def on_topic_buffer_full(self, *args: Any) -> None:
        pass

    def track_tp_end_offset(self, *args: Any) -> None:
        pass
