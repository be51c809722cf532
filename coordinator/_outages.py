"""Says once that Kafka is away and once that it is back, and lets its client not say so ten times a second.

An application that has configured the loggers of ``aiokafka`` itself hears all of it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

log = logging.getLogger("coordinator")

LIBRARY = "aiokafka"
REPEAT_SECONDS = 60.0
"""Until the same message of the library, whatever its arguments, is worth another line."""
MOST_REMEMBERED = 1000
LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 3.0
"""A broker that restarts while another takes over is no outage."""


class OncePerWhile(logging.Filter):
    """Lets a warning through, then holds its repetitions back for a while."""

    def __init__(self, seconds: float = REPEAT_SECONDS) -> None:
        super().__init__()
        self._seconds = seconds
        self._last: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING or record.exc_info or _is_configured():
            return True
        now = time.monotonic()
        what = record.name, str(record.msg)
        if now - self._last.get(what, float("-inf")) < self._seconds:
            return False
        if len(self._last) > MOST_REMEMBERED:  # messages that were formatted beforehand
            self._last.clear()
        self._last[what] = now
        return True


_once_per_while = OncePerWhile()


def calm_the_library() -> None:
    """Hold back repetitions of what aiokafka says. Doing it again changes nothing."""
    if _is_configured():
        return
    for logger in _loggers():  # filters are not inherited
        logger.addFilter(_once_per_while)


async def tell_outages(address: str, is_connected: Callable[[], bool]) -> None:
    """Watch a connection for as long as it lasts.

    Args:
        address: How people know the broker.
        is_connected: Whether any broker is connected at the moment.
    """
    away_since: float | None = None
    told = False
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now = time.monotonic()
        if is_connected():
            if told and away_since is not None:
                log.warning("Kafka at %s answers again, after %.0f s", address, now - away_since)
            away_since, told = None, False
        elif away_since is None:
            away_since = now
        elif not told and now - away_since >= PATIENCE_SECONDS:
            told = True
            log.warning("Kafka at %s does not answer; what is to be sent waits until it does", address)


def _loggers() -> list[logging.Logger]:
    names = [name for name in logging.root.manager.loggerDict if name.startswith(f"{LIBRARY}.")]
    return [logging.getLogger(name) for name in (LIBRARY, *names)]


def _is_configured() -> bool:
    """Whether the application has decided what it wants to hear of the library."""
    return any(
        logger.level != logging.NOTSET
        or logger.handlers
        or not logger.propagate
        or any(each is not _once_per_while for each in logger.filters)
        for logger in _loggers()
    )
