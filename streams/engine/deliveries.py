"""Watches over what the producer has under way: a broker may take batches and never acknowledge one."""

from __future__ import annotations

import asyncio
import logging
import time

from streams.engine.errors import BrokersSilent
from streams.engine.producer import EngineProducer

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
                else:
                    log.info("broker acknowledges again")
