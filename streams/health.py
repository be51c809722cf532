"""Is this worker well? Three checks, and whether it is ready to answer for its partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
from aiokafka.errors import KafkaError

from streams.engine.errors import NotRunning
from streams.engine.watchdog import RUNNING

if TYPE_CHECKING:
    from streams.engine import Engine, FoldTable

OK = "healthy"
PROBE_TIMEOUT = 2.0


class HealthCheck:
    """The health of one worker.

    Args:
        engine: Whose broker and checkpoints are looked at.
        ingress: The table of the ingress folds.
        fleet: The table of the fleet folds.
        registry_url: An outside service registry to probe; without one the agents table is the registry.
    """

    def __init__(
        self, engine: Engine, ingress: FoldTable, fleet: FoldTable, registry_url: str | None = None
    ) -> None:
        self.engine = engine
        self.ingress = ingress
        self.fleet = fleet
        self.registry_url = registry_url

    async def check_health(self) -> dict[str, str]:
        """``healthy``, or what is wrong, for ``message_broker``, ``service_registry`` and ``state_manager``."""
        return {
            "message_broker": await self._check_broker(),
            "service_registry": await self._check_registry(),
            "state_manager": self._check_state_manager(),
        }

    @staticmethod
    def healthy(checks: dict[str, str]) -> bool:
        return all(answer == OK for answer in checks.values())

    def ready(self) -> tuple[bool, str]:
        """Whether every partition that was assigned is restored, and what it waits for otherwise."""
        phase = self.engine.watchdog.phase
        if self.engine.failure is not None:
            return False, f"failed: {self.engine.failure}"
        if phase != RUNNING:
            return False, f"{phase} ({self.engine.watchdog.progress_text})"
        if self.engine.broker_is_silent:
            return False, "the broker acknowledges nothing; is it frozen, or the network?"
        return True, "all assigned partitions are restored"

    async def _check_broker(self) -> str:
        try:
            await self.engine.producer.probe(PROBE_TIMEOUT)
        except (KafkaError, TimeoutError, NotRunning) as error:
            address = self.engine.settings.bootstrap_servers
            return f"{address} does not answer ({type(error).__name__}); is Kafka running there?"
        return OK

    async def _check_registry(self) -> str:
        if self.registry_url is None:
            return OK if self.ready()[0] else "the agents table is being restored"
        try:
            timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT)
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(self.registry_url) as answer,
            ):
                if answer.status < 500:
                    return OK
                return f"{self.registry_url} answers {answer.status}; look at its own log"
        except (aiohttp.ClientError, TimeoutError) as error:
            return f"{self.registry_url} does not answer ({type(error).__name__}); is REGISTRY_URL right?"

    def _check_state_manager(self) -> str:
        ready, reason = self.ready()
        return OK if ready else reason
