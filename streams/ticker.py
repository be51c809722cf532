"""The clock of the log: appends a tick to each events partition every tick interval, while all is caught up.

Silence and time-outs are counted in ticks, so a coordinator that lags behind must not tick: agents would look
silent whose heartbeats it has not read yet. A beat may also wait in another partition for being re-appended to its
own; therefore one partition that lags holds back the ticks of all, whoever owns it. Only what nobody reads at all
is not waited for.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from mode import Service

from models.policy import TICK_INTERVAL

if TYPE_CHECKING:
    from streams.engine import Engine, FoldTable

log = logging.getLogger("coordinator.ticker")

TICK = b'{"type":"clock_ticked"}'

COMMIT_LEEWAY = 2.0
"""Seconds that another worker may take, beyond the checkpoint interval, to commit what was appended. By default
that makes three seconds: an agent is suspected after five at the earliest."""

SESSIONS = 3
"""Session timeouts within which a partition must have found an owner that reads it; ten seconds each by default.
What agents say in one that is not read at all cannot be waited for, or nobody's silence would count any more."""


class Ticker(Service):  # type: ignore[misc]
    """Ticks for the partitions that this worker owns.

    Args:
        engine: Appends the ticks.
        table: The table of the ingress folds.
        partitions: How many partitions the events topic has.
    """

    def __init__(self, engine: Engine, table: FoldTable, partitions: int) -> None:
        super().__init__()
        self.engine = engine
        self.table = table
        self.partitions = partitions
        self._held_since: float | None = None
        settings = engine.settings
        self._others = Others(
            patience=settings.checkpoint_interval + COMMIT_LEEWAY,
            given_up_after=SESSIONS * settings.session_timeout,
        )

    @property
    def held_seconds(self) -> float:
        """For how long ticks have been held back; 0 while this worker ticks."""
        return 0.0 if self._held_since is None else time.monotonic() - self._held_since

    @Service.task  # type: ignore[untyped-decorator]
    async def _tick(self) -> None:
        while not self.should_stop:
            await self.sleep(TICK_INTERVAL / 1000)
            owned = dict(self.table.tasks)
            if not owned:
                self._others.forget()
                continue
            behind = [partition for partition in owned if not self.table.caught_up(partition)]
            behind += await self._others_behind(owned)
            self._report(sorted(behind))
            if not behind:
                await asyncio.gather(
                    *(
                        self.engine.append("events", None, TICK, partition=partition)
                        for partition, task in sorted(owned.items())
                        if self.table.tasks.get(partition) is task  # it may have gone to another meanwhile
                    )
                )

    async def _others_behind(self, owned: Collection[int]) -> list[int]:
        """Partitions of other workers, or of nobody, that are not read as they are written."""
        others = [partition for partition in range(self.partitions) if partition not in owned]
        if not others:
            self._others.forget()
            return []
        progress = await self.engine.group_progress(self.table, others)
        behind = self._others.behind(others, progress, time.monotonic())
        for partition in self._others.newly_given_up:
            log.warning("partition is not read; ticks wait for it no longer", extra={"partition": partition})
        return behind

    def _report(self, behind: list[int]) -> None:
        if bool(behind) == (self._held_since is not None):
            return
        if behind:
            self._held_since = time.monotonic()
            log.info("ticks held back until partitions are caught up", extra={"partitions": behind})
        else:
            log.info("ticking again", extra={"after": round(self.held_seconds, 1)})
            self._held_since = None


class Others:
    """Judges from committed offsets, which are a little old, whether partitions are read as they are written.

    Args:
        patience: Seconds within which what was appended has to be committed.
        given_up_after: Seconds without any progress after which a partition counts as not read at all.
    """

    def __init__(self, *, patience: float, given_up_after: float) -> None:
        self._patience = patience
        self._given_up_after = given_up_after
        self._ends: deque[tuple[float, dict[int, int]]] = deque()
        """When they were looked at, and the ends of the partitions then; oldest first, one at least that old."""
        self._stuck: dict[int, tuple[int, float]] = {}
        """Partitions that are behind: what was committed when they last made progress, and when that was."""
        self._given_up: dict[int, None] = {}
        self.newly_given_up: list[int] = []
        """By the last call of :meth:`behind`."""

    def forget(self) -> None:
        self._ends.clear()
        self._stuck.clear()
        self._given_up.clear()

    def behind(
        self, partitions: Sequence[int], progress: Mapping[int, tuple[int, int]] | None, now: float
    ) -> list[int]:
        """The partitions worth waiting for, whose owner has not committed what was there ``patience`` ago.

        Until something that old is known, what was there at the first look has to be committed.

        Args:
            partitions: All that are not this worker's.
            progress: Committed offset and end of each; ``None`` if they could not be told.
            now: Seconds, monotonic.
        """
        if progress is None:
            self._ends.clear()  # too old to compare with, once progress is known again
            late = dict.fromkeys(partitions, -1)
        else:
            late = self._late(progress, now)
        self._stuck = {partition: at for partition, at in self._stuck.items() if partition in late}
        for partition, committed in late.items():
            if partition not in self._stuck or committed > self._stuck[partition][0]:
                self._stuck[partition] = committed, now
        hopeless = {
            partition: None
            for partition, (_, since) in self._stuck.items()
            if now - since > self._given_up_after
        }
        self.newly_given_up = [partition for partition in hopeless if partition not in self._given_up]
        self._given_up = hopeless
        return [partition for partition in late if partition not in hopeless]

    def _late(self, progress: Mapping[int, tuple[int, int]], now: float) -> dict[int, int]:
        """What is committed of the partitions that are not read as they are written."""
        ends = self._ends
        ends.append((now, {partition: end for partition, (_, end) in progress.items()}))
        while len(ends) > 1 and ends[1][0] <= now - self._patience:
            ends.popleft()
        then = ends[0][1]
        return {
            partition: committed
            for partition, (committed, end) in sorted(progress.items())
            if committed < then.get(partition, end)
        }
