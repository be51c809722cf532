"""A line on standard error that says how far something long is; nothing if it is short or nobody watches."""

from __future__ import annotations

import time
from collections.abc import Callable

from streams.cli import console

IN_SILENCE = 1.0
"""Seconds after which it is said how far it is."""


class Progress:
    """Use it with ``with``, and call :meth:`report` now and then.

    Args:
        what: Is done, as in "folding the fleet log".
        begun: Called at each report: something has begun to happen.
    """

    def __init__(self, what: str, begun: Callable[[], None] = lambda: None) -> None:
        self._what = what
        self._begun = begun

    def __enter__(self) -> Progress:
        self._started = self._last = time.monotonic()
        self._shown = False
        return self

    def report(self, done: int, total: int) -> None:
        self._begun()
        now = time.monotonic()
        if now - self._started < IN_SILENCE or now - self._last < 0.5:
            return
        self._last = now
        self._shown = True
        share = 100 * done // max(1, total)
        end = "\r" if console.err().is_terminal else "\n"
        console.err().print(f"{self._what}: {done:,} of {total:,} records, {share} %", end=end)

    def __exit__(self, *_: object) -> None:
        if self._shown and console.err().is_terminal:
            console.err().print(" " * 70, end="\r")
