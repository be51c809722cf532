"""Watches over what the producer has under way: a broker may take batches and never acknowledge one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from aiokafka.errors import KafkaError

from streams.engine.errors import BrokersSilent, TopicUnfit
from streams.engine.producer import EngineProducer
from streams.engine.topics import missing_topics

log = logging.getLogger("coordinator.engine")

_LOOK_EVERY = 1.0


class DeliveryWatch:
    """Tells of a broker that acknowledges nothing, and gives up on it after a while.

    Args:
        producer: Whose batches are watched.
        bootstrap_servers: For the error.
        patience: Seconds after which it gives up; after a quarter of them it tells.
    """

    def __init__(self, producer: EngineProducer, bootstrap_servers: str, patience: float) -> None:
        self._producer = producer
        self._bootstrap_servers = bootstrap_servers
        self._patience = patience
        self._unacked_seconds = 0.0
        """For how long the oldest batch under way has waited for its ack."""

    @property
    def silent(self) -> bool:
        """Whether something has been under way for so long that this worker is of no use at the moment."""
        return self._unacked_seconds > self._patience / 4

    async def watch(self) -> None:
        """Look after the deliveries until cancelled.

        Raises:
            TopicUnfit: if nothing was for a quarter of it, and the topic is not there.
            BrokersSilent: if nothing was acknowledged for ``patience`` seconds.
        """
        oldest: tuple[str, float] | None = None
        looked, told = time.monotonic(), False
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            before, oldest = oldest, self._producer.oldest_unacked()
            # A process that was stopped or busy meanwhile has not looked for acks all that time.
            passed = min(time.monotonic() - looked, 2 * _LOOK_EVERY)
            looked = time.monotonic()
            same = oldest is not None and oldest == before
            self._unacked_seconds = self._unacked_seconds + passed if same else 0.0
            topic = "" if oldest is None else oldest[0]
            if self._unacked_seconds > self._patience:
                raise BrokersSilent(self._bootstrap_servers, topic, self._unacked_seconds)
            if told != self.silent:
                told = not told
                if told:
                    log.warning(
                        "broker acknowledges nothing",
                        extra={"topic": topic, "seconds": round(self._unacked_seconds)},
                    )
                    await self._stop_for_a_deleted_topic(topic)
                else:
                    log.info("broker acknowledges again")

    async def _stop_for_a_deleted_topic(self, topic: str) -> None:
        """What may be a silent broker, to the producer, is more often a topic that somebody has deleted."""
        with contextlib.suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(self._patience / 4):
                if await missing_topics(self._bootstrap_servers, [topic]):
                    raise TopicUnfit(
                        topic,
                        "was deleted under this worker. Start it again: a changelog is made anew, from the log; "
                        "any other topic must be restored or created first",
                    )
