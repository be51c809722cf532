"""The clock of the log: appends a tick to each events partition every tick interval, while all is caught up.

Silence and time-outs are counted in ticks, so a coordinator that lags behind must not tick: agents would look
silent whose heartbeats it has not read yet. A beat may also wait in another partition for being re-appended to
its own; therefore one partition that lags holds back the ticks of all that this worker owns.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from mode import Service

from models.policy import TICK_INTERVAL

if TYPE_CHECKING:
    from streams.engine import Engine, FoldTable

log = logging.getLogger("coordinator.ticker")

TICK = b'{"type":"clock_ticked"}'


class Ticker(Service):  # type: ignore[misc]
    """Ticks for the partitions that this worker owns.

    Args:
        engine: Appends the ticks.
        table: The table of the ingress folds.
    """

    def __init__(self, engine: Engine, table: FoldTable) -> None:
        super().__init__()
        self.engine = engine
        self.table = table
        self.holding_back = False

    @Service.task  # type: ignore[untyped-decorator]
    async def _tick(self) -> None:
        while not self.should_stop:
            await self.sleep(TICK_INTERVAL / 1000)
            owned = sorted(self.table.tasks)
            behind = [partition for partition in owned if not self.table.caught_up(partition)]
            self._report(behind)
            if owned and not behind:
                await asyncio.gather(
                    *(self.engine.append("events", None, TICK, partition=partition) for partition in owned)
                )

    def _report(self, behind: list[int]) -> None:
        if bool(behind) == self.holding_back:
            return
        self.holding_back = bool(behind)
        if behind:
            log.info("ticks held back until partitions are caught up", extra={"partitions": behind})
        else:
            log.info("ticking again")
