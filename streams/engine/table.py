# mypy: disable-error-code="misc,has-type"
# Faust has no types that mypy could follow: its classes are Any.
"""The fold table: what Faust sees as a table, and what agents and the shell around the folds work with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import faust
from faust.tables.table import Table as FaustTable

from models.fold import Fold, Output, Record
from streams.batches import RecordBatch
from streams.engine.checkpoint import Checkpointer
from streams.engine.restore import Restorer, Source
from streams.engine.store import LocalStore, stores_of
from streams.engine.task import PartitionTask

if TYPE_CHECKING:
    from streams.engine.engine import Engine

CHANGELOG_MAX_BATCH_BYTES = 8 << 20

TaskHook = Callable[[PartitionTask], None]
BatchHook = Callable[[PartitionTask, Sequence[Record], Sequence[Output]], None]


class FoldTable(FaustTable):
    """The states of the partitions of one source topic that this worker owns, one fold each.

    To Faust it is a table: it has a name, a changelog topic co-partitioned with its source, and shows up in
    ``faust tables``. Its rows are not read and written as a mapping, though, but by the folds in :attr:`tasks`.
    """

    def __init__(
        self,
        app: faust.App,
        *,
        name: str,
        source: faust.Topic | None = None,
        make_fold: Callable[[int], Fold] | None = None,
        engine: Engine | None = None,
        compaction_lag: float = 3600.0,
        **options: Any,
    ) -> None:
        options["extra_topic_configs"] = {
            # Rows that do not count must be rewritten before compaction may forget what they replaced.
            "min.compaction.lag.ms": str(int(compaction_lag * 1000)),
            "message.timestamp.type": "LogAppendTime",  # that lag must not be measured by a worker's clock
            "max.message.bytes": str(CHANGELOG_MAX_BATCH_BYTES),
            "segment.bytes": str(64 << 20),
            **(options.get("extra_topic_configs") or {}),
        }
        super().__init__(app, name=name, key_type=bytes, value_type=bytes, **options)
        self._own_options = {
            "source": source,
            "make_fold": make_fold,
            "engine": engine,
            "compaction_lag": compaction_lag,
        }
        self.source = source
        self.make_fold = make_fold
        self.engine = engine
        self.compaction_lag = compaction_lag
        self.tasks: dict[int, PartitionTask] = {}
        """The open partitions; each is restored and takes records."""
        self.warm: dict[int, PartitionTask] = {}
        """Partitions given up in good order; good again if nobody wrote to their changelog meanwhile."""
        self.restorer: Restorer | None = None
        self.checkpointer: Checkpointer | None = None
        self.on_open: list[TaskHook] = []
        self.on_close: list[TaskHook] = []
        self.after_batch: list[BatchHook] = []

    def info(self) -> dict[str, Any]:
        # tables/base.py:272: what ``clone`` passes to the constructor again.
        return {**super().info(), **self._own_options}

    @property
    def source_name(self) -> str:
        """Full name of the source topic."""
        assert self.source is not None
        return str(self.source.get_topic_name())

    def connect(self) -> None:
        """Make what restores and saves the partitions; called when the engine starts."""
        engine, settings = self._engine, self._engine.settings
        assert self.make_fold is not None
        self.restorer = Restorer(
            Source(
                table=self.name,
                topic=self.source_name,
                changelog=self.changelog_topic_name,
                make_fold=self.make_fold,
                open_store=lambda partition: LocalStore(
                    stores_of(settings.data_dir, self.name) / str(partition), self.name, partition
                ),
                trust_store_for=settings.compaction_lag,
            ),
            bootstrap_servers=settings.bootstrap_servers,
            producer=engine.producer,
            reader=engine.reader,
            group=self.app.conf.id,
            instance=settings.instance_id or "",
            progress=engine.watchdog.progress,
        )
        self.checkpointer = Checkpointer(
            changelog=self.changelog_topic_name,
            producer=engine.producer,
            read_range=self.restorer.read_range,
            commit_offsets=lambda offsets: self.app.consumer.commit_advisory(offsets),
            on_fenced=lambda task, error: engine.drop_fenced(self, task, error),
        )

    def fold(self, batch: RecordBatch) -> list[Output]:
        """Fold a batch; the engine sends and saves what comes of it.

        Whatever Faust's queues and rebalances did, exactly the log is folded: a batch is trimmed, dropped or
        fetched again so that it begins at the position.

        Raises:
            FoldFailed: if the fold raised. The process is stopping by then.
        """
        task = self.tasks.get(batch.partition)
        if task is None or batch.next_offset <= task.position:
            return []  # given up meanwhile, or folded before
        if batch.start > task.position:
            self._engine.refetcher.fetch_again(task, batch)
            return []
        records, outputs = self._engine.fold(task, batch)
        with self._engine.fatal():
            for hook in self.after_batch:
                hook(task, records, outputs)
        return outputs

    def caught_up(self, partition: int) -> bool:
        """Whether the partition has read what was there when it was restored, and keeps up since."""
        task = self.tasks.get(partition)
        return (
            task is not None
            and task.failure is None
            and task.position >= task.catch_up_to
            and task.lag <= self._engine.settings.caught_up_lag
        )

    async def restore(self, partitions: Collection[int]) -> dict[int, PartitionTask]:
        """The tasks of these partitions; see ``Restorer.restore``."""
        assert self.restorer is not None
        return await self.restorer.restore(partitions, self.warm, self._row_limit(len(partitions)))

    async def save(self, tasks: Sequence[PartitionTask]) -> None:
        """A checkpoint of these tasks; see ``Checkpointer.take``."""
        assert self.checkpointer is not None
        await self.checkpointer.take(tasks, self._row_limit(len(tasks)))

    def _row_limit(self, partitions: int) -> int | None:
        """What each of so many partitions may keep in memory."""
        cache_size = self._engine.settings.cache_size
        return None if cache_size is None else cache_size // max(1, partitions)

    @property
    def checkpoint_seconds(self) -> float:
        """How long the last checkpoint took."""
        return 0.0 if self.checkpointer is None else self.checkpointer.last_seconds

    def run_hooks(self, hooks: Sequence[TaskHook], task: PartitionTask) -> None:
        with self._engine.fatal():
            for hook in hooks:
                hook(task)

    def status(self) -> dict[str, Any]:
        """Plain data for health and metrics."""
        restorer, checkpointer = self.restorer, self.checkpointer
        return {
            "topic": self.source_name,
            "restored_warm": 0 if restorer is None else restorer.warm,
            "restored_records": 0 if restorer is None else restorer.records_read,
            "checkpoints": 0 if checkpointer is None else checkpointer.taken,
            "rows_written": 0 if checkpointer is None else checkpointer.rows_written,
            "checkpoint_seconds": round(self.checkpoint_seconds, 6),
            "partitions": {
                partition: {
                    "position": task.position,
                    "saved_position": task.saved_position,
                    "high_watermark": task.high_watermark,
                    "lag": task.lag,
                    "caught_up": self.caught_up(partition),
                    "epoch": task.epoch,
                    "rows": len(task.hashes),
                    "cold_rows": task.cold_rows,
                    "local_store": task.store.failure or "good",
                }
                for partition, task in sorted(self.tasks.items())
            },
        }

    @property
    def _engine(self) -> Engine:
        assert self.engine is not None, "a fold table is made by Engine.table()"
        return self.engine
