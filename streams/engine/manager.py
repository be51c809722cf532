# mypy: disable-error-code="misc,has-type"
# Faust has no types that mypy could follow: its classes are Any.
"""Faust's table manager and recovery, with our restore in the place where the stock one replays changelogs.

Line numbers are those of faust-streaming 0.15.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery
from faust.types import TP
from faust.types.tables import CollectionT

from streams.engine.table import FoldTable

if TYPE_CHECKING:
    from streams.engine.engine import Engine


class FoldRecovery(Recovery):
    """Leaves fold tables out of the stock recovery, which reads 3,000 records a second, and restores them."""

    def add_active(self, table: CollectionT, tp: TP) -> None:
        # tables/recovery.py:216
        if not isinstance(table, FoldTable):
            super().add_active(table, tp)

    def add_standby(self, table: CollectionT, tp: TP) -> None:
        # tables/recovery.py:222
        if not isinstance(table, FoldTable):
            super().add_standby(table, tp)

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        # tables/recovery.py:610 goes on to seek and to let events flow, so the restore belongs right before it.
        # (``Table.on_recovery_completed`` would be the polite place, but errors in it are dropped.)
        engine: Engine = self.app.engine
        with engine.fatal():
            complete = await engine.restore_partitions()
        if not complete:
            raise RebalanceAgain()  # a newer rebalance took the partitions away; the loop waits for its end
        await super().on_recovery_completed(generation_id)
        engine.partitions_running()


class FoldTableManager(TableManager):
    """Selects :class:`FoldRecovery`, and starts and stops the engine with the tables."""

    @property
    def recovery(self) -> Recovery:
        # tables/manager.py:119 constructs the stock class.
        if self._recovery is None:
            self._recovery = FoldRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        # tables/manager.py:140: the engine's producer must be connected before the first restore.
        engine: Engine = self.app.engine
        with engine.fatal():
            await engine.start()
        await super().on_start()

    async def on_stop(self) -> None:
        await super().on_stop()
        await self.app.engine.stop()
