"""Being asked to end by an orchestrator is being asked to end by a person: finish, say goodbye, end quietly.

Python's own way, a ``KeyboardInterrupt``, ends a program with a traceback, and SIGTERM's with nothing at all.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import TypeAlias

SignalHandler: TypeAlias = Callable[[int, FrameType | None], object] | int | None

OTHERS_SECONDS = 0.1
"""How long a program gets to end by itself after its agents did, before its main task is cancelled."""


@dataclass(slots=True, eq=False)
class _Listener:
    """One who ends when told to, and the task that waits for it, if it is a task that does."""

    end: Callable[[], object]
    task: asyncio.Task[object] | None
    told: bool = False


class _Watch:
    """The handlers of both signals, held for as long as there is anyone to tell."""

    def __init__(self) -> None:
        self._listeners: list[_Listener] = []
        self._former: dict[int, SignalHandler] = {}
        self._told = self._interrupted = self._main_task_listens = False

    def enter(self, listener: _Listener) -> None:
        if not self._listeners:
            self._told = self._interrupted = self._main_task_listens = False
            self._take_over()
        self._listeners.append(listener)
        if listener.task is not None and listener.task is self._main_task():
            self._main_task_listens = True

    def leave(self, listener: _Listener) -> None:
        self._listeners.remove(listener)
        if self._listeners:
            return
        main_task = self._main_task()
        if self._told and main_task is not None and not self._main_task_listens:
            # Whoever only has agents run side by side ends with them. What else such a program does would go on
            # for ever: it is cancelled, as it would have been without us.
            interrupt = partial(_interrupt, main_task, self._former.get(signal.SIGINT))
            main_task.get_loop().call_later(OTHERS_SECONDS, interrupt)
        self._give_back()

    def _take_over(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            former = signal.getsignal(number)
            if _is_nobodys_choice(former):
                self._former[number] = former
                signal.signal(number, self._tell)

    def _give_back(self) -> None:
        for number, former in self._former.items():
            if signal.getsignal(number) == self._tell:
                signal.signal(number, former)
        self._former.clear()

    def _tell(self, number: int, frame: FrameType | None) -> None:
        # Ctrl-C in a terminal reaches a whole group of processes, and its head may then send SIGTERM to each:
        # that is one wish. Only who presses Ctrl-C twice is impatient.
        if number == signal.SIGINT:
            former = self._former[number]
            if self._interrupted and callable(former):
                former(number, frame)
                return
            self._interrupted = True
        self._told = True
        for listener in self._listeners:
            if not listener.told:
                listener.told = True
                listener.end()

    def _main_task(self) -> asyncio.Task[object] | None:
        return _main_task_of(self._former.get(signal.SIGINT))


_watch = _Watch()


@contextmanager
def ending_on_signals(end: Callable[[], object]) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM call ``end``, instead of what it does otherwise.

    Unless the program has decided what they do; and only in the main thread, since Python allows it nowhere else.

    Args:
        end: Called within the signal handler, so it should only pass the word on.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    listener = _Listener(end, _current_task())
    _watch.enter(listener)
    try:
        yield
    finally:
        _watch.leave(listener)


def _is_nobodys_choice(handler: SignalHandler) -> bool:
    return handler in (signal.SIG_DFL, signal.default_int_handler) or _main_task_of(handler) is not None


def _main_task_of(handler: SignalHandler) -> asyncio.Task[object] | None:
    """The task that ``asyncio.run`` runs: its handler of SIGINT is a partial that names it."""
    if not isinstance(handler, partial):
        return None
    task = handler.keywords.get("main_task")
    return task if isinstance(task, asyncio.Task) else None


def _interrupt(main_task: asyncio.Task[object], handler: SignalHandler) -> None:
    if callable(handler) and not main_task.done():
        handler(signal.SIGINT, None)


def _current_task() -> asyncio.Task[object] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop in this thread
        return None
