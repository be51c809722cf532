"""Which of a client's submissions the coordinator has rejected, such as for an id that another task has.

A rejected submission has no result of its own; all there is of it is an alert. What matches the two is the place
of the event in the log: another's submission of the same id has another place.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from functools import partial

from coordinator._wire import Place, decode_rejection
from coordinator.task import TaskResult

KEPT_REJECTIONS = 1_000
"""Rejections may be heard before the broker has told where a submission is; oldest go first."""


class Rejections:
    """Brings the rejections of one fleet to those who wait for the results."""

    def __init__(self, fleet: str) -> None:
        self._fleet = fleet
        self._waiting: dict[Place, asyncio.Future[TaskResult]] = {}
        self._unclaimed: OrderedDict[Place, TaskResult] = OrderedDict()

    def expect(self, place: Place, future: asyncio.Future[TaskResult]) -> None:
        """Give ``future`` the rejection of the event at ``place``, if there is one before its result."""
        if (refused := self._unclaimed.pop(place, None)) is not None:
            _settle(future, refused)
        elif not future.done():
            self._waiting[place] = future
            future.add_done_callback(partial(self._forget, place))

    def hear(self, raw: bytes | None) -> None:
        """Take in an alert."""
        rejection = decode_rejection(raw)
        if rejection is None or rejection.result.fleet != self._fleet:
            return
        future = self._waiting.get(rejection.place)
        if future is not None:
            _settle(future, rejection.result)
            return
        self._unclaimed[rejection.place] = rejection.result
        if len(self._unclaimed) > KEPT_REJECTIONS:
            self._unclaimed.popitem(last=False)

    def _forget(self, place: Place, _: asyncio.Future[TaskResult]) -> None:
        self._waiting.pop(place, None)


def _settle(future: asyncio.Future[TaskResult], result: TaskResult) -> None:
    if not future.done():
        future.set_result(result)
