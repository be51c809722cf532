"""Keeps the libraries below from drowning the log: fewer levels, and no endless repetition.

While a broker is away, aiokafka reports it ten times a second and partition.
"""

from __future__ import annotations

import logging
import time

# Our own events come from ``coordinator.*``; under ``streams`` only mode reports which service starts.
LIBRARIES = ("aiohttp.access", "aiokafka", "asyncio", "faust", "kafka", "mode", "streams")
REPEAT_AFTER = 10.0
"""Seconds until the same message, whatever its arguments, is worth another line."""


NORMAL_FOR = 30.0
"""Seconds that a new broker may take for the topic of consumer groups, which the first group makes it create."""
_NORMAL_AT_FIRST = "GroupCoordinatorNotAvailableError"


class OncePerWhile(logging.Filter):
    """Lets a library's message through, then holds its repetitions back for a while."""

    def __init__(self, seconds: float = REPEAT_AFTER) -> None:
        super().__init__()
        self._seconds = seconds
        self._last: dict[tuple[str, str], float] = {}
        self._unavailable_since: float | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(LIBRARIES):
            return True
        if record.exc_info or record.levelno >= logging.CRITICAL:
            return True
        now = time.monotonic()
        if self._is_normal(record, now):
            return False
        what = record.name, str(record.msg)
        if now - self._last.get(what, float("-inf")) < self._seconds:
            return False
        if len(self._last) > 1000:  # messages that were formatted beforehand
            self._last.clear()
        self._last[what] = now
        return True

    def _is_normal(self, record: logging.LogRecord, now: float) -> bool:
        """Each first start on a new broker meets it; only one that lasts is worth an error."""
        if _NORMAL_AT_FIRST not in record.getMessage():
            return False
        if self._unavailable_since is None:
            self._unavailable_since = now
        return now - self._unavailable_since < NORMAL_FOR


_once_per_while = OncePerWhile()


def quiet_libraries(level: int = logging.WARNING) -> None:
    """Set their level, since Faust's worker leaves the root logger at DEBUG: building debug records that nobody
    sees costs 8 % of CPU. And hold back repetitions of what aiokafka says."""
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(level)
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("aiokafka"):  # filters are not inherited
            logging.getLogger(name).addFilter(_once_per_while)
