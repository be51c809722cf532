"""The clock of the log: appends a tick to each events partition every tick interval, while all is caught up.

Silence and time-outs are counted in ticks, so a coordinator that lags behind must not tick: agents would look
silent whose heartbeats it has not read yet. A beat may also wait in another partition for being re-appended to its
own; therefore one partition that lags holds back the ticks of all, whoever owns it, and be it nobody.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping
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
        self.holding_back = False
        self._others = Others(engine.settings.checkpoint_interval + COMMIT_LEEWAY)

    @Service.task  # type: ignore[untyped-decorator]
    async def _tick(self) -> None:
        while not self.should_stop:
            await self.sleep(TICK_INTERVAL / 1000)
            if not self.table.tasks:
                self._others.forget()
                continue
            behind = [partition for partition in self.table.tasks if not self.table.caught_up(partition)]
            behind += await self._others_behind()
            self._report(sorted(behind))
            if not behind:
                await asyncio.gather(
                    *(
                        self.engine.append("events", None, TICK, partition=partition)
                        for partition in sorted(self.table.tasks)
                    )
                )

    async def _others_behind(self) -> list[int]:
        """Partitions of other workers, or of nobody, that are not read as they are written."""
        others = [partition for partition in range(self.partitions) if partition not in self.table.tasks]
        if not others:
            self._others.forget()
            return []
        progress = await self.engine.group_progress(self.table, others)
        if progress is None:
            return others
        return self._others.behind(progress, time.monotonic())

    def _report(self, behind: list[int]) -> None:
        if bool(behind) == self.holding_back:
            return
        self.holding_back = bool(behind)
        if behind:
            log.info("ticks held back until partitions are caught up", extra={"partitions": behind})
        else:
            log.info("ticking again")


class Others:
    """Judges from committed offsets, which are a little old, whether partitions are read as they are written.

    Args:
        patience: Seconds within which what was appended has to be committed.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._ends: deque[tuple[float, dict[int, int]]] = deque()
        """When they were looked at, and the ends of the partitions then; oldest first, one at least that old."""

    def forget(self) -> None:
        self._ends.clear()

    def behind(self, progress: Mapping[int, tuple[int, int]], now: float) -> list[int]:
        """The partitions whose owner has not committed what was there ``patience`` ago.

        Until something that old is known, what was there at the first look has to be committed.

        Args:
            progress: Committed offset and end, by partition.
            now: Seconds, monotonic.
        """
        ends = self._ends
        ends.append((now, {partition: end for partition, (_, end) in progress.items()}))
        while len(ends) > 1 and ends[1][0] <= now - self._patience:
            ends.popleft()
        then = ends[0][1]
        return [
            partition
            for partition, (committed, end) in sorted(progress.items())
            if committed < then.get(partition, end)
        ]
