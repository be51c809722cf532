"""Nothing hangs silently: a thread that watches how long the engine has been starting, rebalancing, restoring …

A thread, since a blocked event loop is one of the things that it has to notice.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping

from streams.engine.errors import DeadlineExceeded

log = logging.getLogger("coordinator.engine")

RUNNING = "running"

_POLL = 0.25
_REPORT_EVERY = 5.0
EXIT_STATUS = 1


class Watchdog:
    """Knows the engine's phase; reports a slow one, fails an overdue one, and ends a process that cannot stop.

    A phase without a deadline may last for ever. Progress restarts the clock of a phase.
    """

    def __init__(
        self,
        deadlines: Mapping[str, float],
        *,
        final: frozenset[str],
        on_overdue: Callable[[DeadlineExceeded], None],
        reason: Callable[[], BaseException | None] = lambda: None,
        force_exit: bool,
    ) -> None:
        """
        Args:
            deadlines: Seconds, by phase.
            final: Phases whose deadline ends the process, since there is nobody left to tell.
            on_overdue: Told of a phase that is overdue, once.
            reason: Why the process is going down, if it is: its last words.
            force_exit: Whether the process may be ended at all.
        """
        self._deadlines = deadlines
        self._final = final
        self._reason = reason
        self._on_overdue = on_overdue
        self._force_exit = force_exit
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.phase = "created"
        self.progress_text = "nothing yet"
        self._entered = self._progressed = time.monotonic()

    def start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="engine-watchdog", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def enter(self, phase: str) -> None:
        """A new phase begins; entering a final one again, or leaving it, does nothing."""
        if self.phase in self._final or phase == self.phase:
            return
        log.info("engine phase", extra={"phase": phase, "after": self.phase})
        self.phase = phase
        self.progress_text = "nothing yet"
        self._entered = self._progressed = time.monotonic()

    def progress(self, text: str) -> None:
        self.progress_text = text
        self._progressed = time.monotonic()

    @property
    def seconds_in_phase(self) -> float:
        return time.monotonic() - self._entered

    def _watch(self) -> None:
        reported = time.monotonic()
        overdue: str | None = None
        while not self._stopped.wait(_POLL):
            phase, deadline = self.phase, self._deadlines.get(self.phase)
            if deadline is None:
                continue
            now = time.monotonic()
            if min(now - self._entered, now - reported) > _REPORT_EVERY:
                reported = now
                log.info(
                    "still at it",
                    extra={
                        "phase": phase,
                        "seconds": round(now - self._entered, 1),
                        "progress": self.progress_text,
                    },
                )
            waited = now - self._progressed
            if waited <= deadline:
                overdue = None
            elif phase in self._final:
                self._exit(phase, waited)
            elif overdue != phase:
                overdue = phase
                self._on_overdue(DeadlineExceeded(phase, waited, self.progress_text))

    def _exit(self, phase: str, waited: float) -> None:
        if not self._force_exit:
            log.critical("cannot stop", extra={"phase": phase, "seconds": round(waited, 1)})
            self.stop()
            return
        reason = self._reason()
        words = f"{phase} took longer than {waited:.0f} s; the process was ended"
        if reason is not None:
            words = f"error: {reason}\n({words})" if "\n" in str(reason) else f"error: {reason} ({words})"
        # Handlers may be what hangs, so say it as directly as can be.
        print(words, file=sys.__stderr__, flush=True)
        os._exit(getattr(reason, "exit_status", EXIT_STATUS))
