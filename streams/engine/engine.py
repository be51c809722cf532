"""The engine of one worker: wires tables, producer, checkpoints and restores into a Faust application.

The order of events in a worker's life: :meth:`Engine.start` (connect, check topics), then for every rebalance
:meth:`~Engine.give_up_partitions` and :meth:`~Engine.restore_partitions`, batches in between, and at the end
:meth:`~Engine.give_up_partitions` and :meth:`~Engine.stop`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import faust
from aiokafka.errors import KafkaError
from faust.types import TP

from models.fold import Fold, Headers, Output, Record
from streams.batches import RecordBatch
from streams.engine.deliveries import DeliveryWatch
from streams.engine.errors import (
    EngineError,
    EngineMisused,
    Fenced,
    OutputsNotDelivered,
    TopicUnfit,
)
from streams.engine.group_progress import GroupProgress
from streams.engine.lifeline import REBALANCING, RESTORING, STOPPING, Lifeline
from streams.engine.manager import FoldTableManager
from streams.engine.producer import EngineProducer
from streams.engine.refetcher import Refetcher
from streams.engine.settings import EngineSettings
from streams.engine.table import FoldTable
from streams.engine.task import PartitionTask
from streams.engine.topics import check_changelog, check_existence
from streams.engine.transport import QUEUED_BATCHES, BatchSchema, NullMonitor, Transport
from streams.engine.watchdog import RUNNING, Watchdog
from streams.errors import BrokerUnreachable
from streams.failpoints import failpoint
from streams.fetching import Reader, choose_reader
from streams.library_logs import quiet_libraries

log = logging.getLogger("coordinator.engine")

_CHECKPOINT_SHARE = 0.1
"""Of the time of a worker that is behind, how much checkpoints may take."""
_LONGEST_PAUSE = 5
"""In checkpoint intervals: what a crash folds again stays bounded."""


class Engine:
    """Everything that the folds of one worker share. Make one, pass it to ``install``, then add tables."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self.tables: dict[str, FoldTable] = {}
        self.reader: Reader = choose_reader()
        self.producer = EngineProducer(
            settings.bootstrap_servers,
            topic_prefix=settings.topic_prefix,
            request_timeout=settings.request_timeout,
        )
        self._deliveries = DeliveryWatch(self.producer, settings.bootstrap_servers, settings.delivery_timeout)
        self._group_progress: GroupProgress | None = None
        self._lifeline = Lifeline(settings, lambda error: self.app.crash(error))
        self.refetcher = Refetcher(self._lifeline, lambda: self.app.consumer, self._is_open)
        self._app: faust.App | None = None
        self._checkpoint_due = asyncio.Event()
        self._restore_job: asyncio.Task[None] | None = None
        self._giving_up = asyncio.Lock()
        self._checked = False
        self._assignments = 0
        self._last_restore_seconds = 0.0
        self._last_checkpoint_at: float | None = None

    # -- wiring -----------------------------------------------------------------------------------------------

    def faust_settings(self) -> dict[str, Any]:
        """Keyword arguments for ``faust.App``; an application may override what it knows better."""
        settings = self.settings
        return {
            "broker": [f"kafka://{server}" for server in settings.bootstrap_servers.split(",")],
            "store": "memory://",  # fold tables bring their own
            "datadir": settings.data_dir,
            "table_standby_replicas": 0,
            "topic_disable_leader": True,
            "topic_replication_factor": settings.replication_factor,
            "consumer_group_instance_id": settings.instance_id,
            "consumer_auto_offset_reset": "earliest",
            "consumer_max_fetch_size": settings.partition_fetch_bytes,
            "broker_session_timeout": settings.session_timeout,
            "broker_heartbeat_interval": settings.session_timeout / 5,
            "broker_rebalance_timeout": settings.rebalance_timeout,
            "broker_request_timeout": max(settings.request_timeout, settings.session_timeout),
            "broker_max_poll_records": settings.batch_records,
            "producer_request_timeout": settings.request_timeout,
            "stream_wait_empty": True,  # the hook of the last checkpoint
            "Monitor": NullMonitor,
            "TableManager": FoldTableManager,
            "web_enabled": False,
        }

    def bind(self, app: faust.App) -> None:
        """Give the application our transport; see :func:`streams.engine.install`."""
        if self._app is not None:
            raise EngineMisused("an engine serves one application; make another one")
        # Faust creates its directory without parents.
        Path(self.settings.data_dir).mkdir(parents=True, exist_ok=True)
        transport = Transport(app.conf.broker_consumer, app)
        transport.engine = self
        app.transport = transport
        app.engine = self
        self._app = app

    def topic(self, name: str, *, partitions: int) -> faust.Topic:
        """A source of folds, by logical name; delivered in batches and never acked by Faust.

        Its agent must keep Faust's default concurrency of 1: order within a partition is what a fold lives on.
        """
        return self.app.topic(
            self.settings.topic_prefix + name,
            partitions=partitions,
            schema=BatchSchema(),
            acks=False,  # the checkpoint alone commits
            maxsize=QUEUED_BATCHES,
        )

    def table(self, name: str, *, source: faust.Topic, make_fold: Callable[[int], Fold]) -> FoldTable:
        """A table whose partitions are folds of ``source``; ``make_fold(partition)`` gives the empty state."""
        if "/" in name or not name:
            raise EngineMisused(f"a table cannot be named {name!r}")
        table = FoldTable(
            self.app,
            name=name,
            source=source,
            make_fold=make_fold,
            engine=self,
            partitions=source.partitions,
            compaction_lag=self.settings.compaction_lag,
            beacon=self.app.tables.beacon,
        )
        self.app.tables.add(table)
        self.tables[name] = table
        return table

    @property
    def app(self) -> faust.App:
        if self._app is None:
            raise EngineMisused("call install(app, engine) first")
        return self._app

    # -- life -------------------------------------------------------------------------------------------------

    def watch_memory(self, loop: asyncio.AbstractEventLoop) -> None:
        """Stop the process when this loop, too, finds no memory for what it reads."""
        self._lifeline.watch_memory(loop)

    def boot(self) -> None:
        """The first thing that happens in the worker's event loop: watch over what follows."""
        if self.settings.library_log_level is not None:
            quiet_libraries(self.settings.library_log_level)
        self._lifeline.begin()

    async def start(self) -> None:
        """Connect, check the source topics, begin to take checkpoints.

        Raises:
            BrokerUnreachable: if no broker answers.
            TopicUnfit: if a source topic is missing or has another number of partitions than declared.
        """
        try:
            await self.producer.start()
        except KafkaError as error:
            raise BrokerUnreachable(
                f"no broker answers at {self.settings.bootstrap_servers}: {error!r}. "
                "Start Kafka or correct the address"
            ) from error
        failpoint("start.connected")
        self.watchdog.progress("connected")
        for table in self.tables.values():
            table.connect()
            topic = table.source_name
            partitions = await self.producer.partition_count(topic)
            if partitions != table.partitions:
                raise TopicUnfit(
                    topic,
                    f"has {partitions} partitions, declared are {table.partitions}. The number is fixed at "
                    "creation: correct the setting",
                )
        self._lifeline.spawn(self._checkpoint_loop(), "checkpoints")
        self._lifeline.spawn(self._deliveries.watch(), "deliveries")

    async def restore_partitions(self) -> bool:
        """Open all partitions assigned to this worker; false if a newer rebalance took over meanwhile."""
        self.watchdog.enter(RESTORING)
        self._assignments += 1
        started = time.monotonic()
        job = self._restore_job = asyncio.ensure_future(self._restore_all())
        try:
            await asyncio.wait([job])
        finally:
            self._restore_job = None
            if not job.done():
                job.cancel()
        if job.cancelled():
            return False
        job.result()
        self._last_restore_seconds = time.monotonic() - started
        return True

    async def _restore_all(self) -> None:
        if not self._checked:
            for table in self.tables.values():
                await check_changelog(
                    self.settings.bootstrap_servers, table.changelog_topic_name, table.partitions
                )
            self._checked = True
        assigned = self.app.consumer.assignment()
        wanted = {
            table.name: [tp.partition for tp in assigned if tp.topic == table.source_name]
            for table in self.tables.values()
        }
        unread = [table.source_name for table in self.tables.values() if not wanted[table.name]]
        if unread:  # others have them all, or there is nothing any more that anybody could have
            await check_existence(self.settings.bootstrap_servers, unread)
        restored = await asyncio.gather(
            *(table.restore(wanted[table.name]) for table in self.tables.values())
        )
        failpoint("restore.done")
        # No await from here on: either all partitions open, or none.
        for table, tasks in zip(self.tables.values(), restored, strict=True):
            for partition, task in table.warm.items():
                if partition not in tasks:
                    task.store.close()
            table.warm = {}
            table.tasks = tasks
            for task in tasks.values():
                table.run_hooks(table.on_open, task)

    def partitions_running(self) -> None:
        """Events flow."""
        self.watchdog.enter(RUNNING)

    async def give_up_partitions(self, *, stopping: bool) -> None:
        """A last checkpoint of everything, after which nothing is folded until the next restore."""
        self.watchdog.enter(STOPPING if stopping else REBALANCING)
        failpoint("stop.begun" if stopping else "revoke.begun")
        async with self._giving_up:  # a stop in the middle of a rebalance waits for the checkpoint of that
            await self._give_up_partitions(stopping=stopping)

    async def _give_up_partitions(self, *, stopping: bool) -> None:
        await self._abandon_restore()
        patience = self.settings.stop_timeout * 0.6 if stopping else self.settings.rebalance_timeout * 0.6
        given_up = {}
        for table in self.tables.values():
            given_up[table.name], table.tasks = table.tasks, {}  # folds refuse from here on
        try:
            await asyncio.wait_for(
                asyncio.gather(
                    *(
                        self.tables[name].save(list(tasks.values()))
                        for name, tasks in given_up.items()
                        if tasks
                    )
                ),
                patience,
            )
        except TimeoutError as error:
            log.error("last checkpoint not finished", extra={"seconds": patience})
            for tasks in given_up.values():
                for task in tasks.values():  # part of it may still land: such a state must not stay warm
                    task.failure = task.failure or error
        except EngineError as error:
            self.fail(error)
        failpoint("stop.saved" if stopping else "revoke.saved")
        for table in self.tables.values():
            for partition, task in given_up[table.name].items():
                if task.failure is None and not stopping:
                    table.warm[partition] = task
                else:
                    task.store.close()
                table.run_hooks(table.on_close, task)
        if any(given_up.values()):
            log.info(
                "partitions given up",
                extra={
                    "positions": {
                        f"{n}[{p}]": t.position for n, tasks in given_up.items() for p, t in tasks.items()
                    }
                },
            )

    async def _abandon_restore(self) -> None:
        job = self._restore_job
        if job is not None and not job.done():
            job.cancel()
            await asyncio.wait([job])

    def begin_stop(self) -> None:
        """From here on the stop deadline counts, whatever the worker was doing."""
        self._lifeline.begin_stop()

    async def stop(self) -> None:
        """Close everything; partitions were given up before."""
        for table in self.tables.values():
            for task in [*table.tasks.values(), *table.warm.values()]:
                task.store.close()
        await self.producer.stop()
        if self._group_progress is not None:
            await self._group_progress.stop()
        self._lifeline.end()
        log.info("engine stopped")

    # -- folding ----------------------------------------------------------------------------------------------

    def fold(self, task: PartitionTask, batch: RecordBatch) -> tuple[Sequence[Record], list[Output]]:
        """Fold a batch and begin to send what comes of it; see ``FoldTable.fold``."""
        with self.fatal(), task.poisoned_by_exceptions():
            failpoint("fold.begun")
            records, outputs = task.fold_batch(batch)
            failpoint("fold.done")
            if outputs:
                sending = asyncio.ensure_future(
                    self.producer.send_outputs(outputs, task.send_order, task.partition)
                )
                task.sends.add(sending)
                sending.add_done_callback(lambda done: self._sent(task, done))
        if task.unsaved >= self.settings.checkpoint_records:
            self._checkpoint_due.set()
        return records, outputs

    def _sent(self, task: PartitionTask, sending: asyncio.Future[None]) -> None:
        error = None if sending.cancelled() else sending.exception()
        if not sending.cancelled() and error is None:
            task.sends.discard(sending)
            return
        if task.failure is None and error is not None:
            task.failure = OutputsNotDelivered(task.table, task.partition, str(error))
            task.failure.__cause__ = error
            self.fail(task.failure)

    def batch_fetched(self, batch: RecordBatch) -> None:
        """Hear of a batch before Faust does, which drops what it takes for read, be it of another log."""
        for table in self.tables.values():
            task = table.tasks.get(batch.partition) if table.source_name == batch.topic else None
            if task is not None and 0 < batch.high_watermark < task.position:
                self.refetcher.fetch_again(task, batch)

    def _is_open(self, task: PartitionTask) -> bool:
        return any(table.tasks.get(task.partition) is task for table in self.tables.values())

    def positions(self) -> dict[TP, int]:
        """Where each open partition wants to be read from."""
        return {
            TP(task.topic, task.partition): task.position
            for table in self.tables.values()
            for task in table.tasks.values()
        }

    async def group_progress(
        self, table: FoldTable, partitions: Sequence[int]
    ) -> dict[int, tuple[int, int]] | None:
        """How far these source partitions are read, whoever owns them: committed offset, and the end now.

        ``None`` if that cannot be told now.
        """
        if self._group_progress is None:
            self._group_progress = GroupProgress(self.settings.bootstrap_servers, self.app.conf.id)
        return await self._group_progress.look(table.source_name, partitions)

    async def append(
        self,
        topic: str,
        key: bytes | None = None,
        value: bytes | None = None,
        headers: Headers = (),
        partition: int | None = None,
    ) -> tuple[int, int]:
        """Append one record to the topic with this logical name; ``(partition, offset)`` once it is acked.

        Raises:
            NotDelivered: if Kafka did not acknowledge it; it may have been written all the same.
        """
        return await self.producer.append(topic, key, value, headers, partition)

    # -- checkpoints ------------------------------------------------------------------------------------------

    async def checkpoint(self) -> None:
        """Save all open partitions now.

        Raises:
            EngineError: what the checkpoint raised; the process is going down then.
        """
        with self.fatal():
            await asyncio.gather(
                *(table.save(list(table.tasks.values())) for table in self.tables.values() if table.tasks)
            )
        self._last_checkpoint_at = time.monotonic()

    async def _checkpoint_loop(self) -> None:
        while self.failure is None:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._checkpoint_due.wait(), self._checkpoint_pause())
            self._checkpoint_due.clear()
            await self.checkpoint()

    def _checkpoint_pause(self) -> float:
        """Seconds until the next checkpoint: the interval, or longer while there is much to catch up with.

        A row that many events change is written once a checkpoint. With hundreds of thousands of rows, checkpoints
        would take most of the time that folding needs.
        """
        interval = self.settings.checkpoint_interval
        tables = self.tables.values()
        if all(table.caught_up(partition) for table in tables for partition in table.tasks):
            return interval
        spent = max((table.checkpoint_seconds for table in tables), default=0.0)
        return min(max(interval, spent / _CHECKPOINT_SHARE), _LONGEST_PAUSE * interval)

    @property
    def broker_is_silent(self) -> bool:
        """Whether it has acknowledged nothing for so long that this worker is of no use at the moment."""
        return self._deliveries.silent

    def drop_fenced(self, table: FoldTable, task: PartitionTask, error: Fenced) -> None:
        """The group has another owner; its rebalance must reach us soon, or something is badly wrong."""
        log.warning("fenced", extra={"table": task.table, "partition": task.partition, "epoch": task.epoch})
        if table.tasks.get(task.partition) is task:
            del table.tasks[task.partition]
            table.run_hooks(table.on_close, task)
        task.store.close()
        assignments = self._assignments
        patience = self.settings.session_timeout * 2

        def check() -> None:
            if self._assignments == assignments and self.watchdog.phase == RUNNING:
                self.fail(error)

        asyncio.get_running_loop().call_later(patience, check)

    # -- failures ---------------------------------------------------------------------------------------------

    @property
    def failure(self) -> BaseException | None:
        """Why the process is going down, if it is."""
        return self._lifeline.failure

    @property
    def watchdog(self) -> Watchdog:
        """Knows the phase and its progress."""
        return self._lifeline.watchdog

    def fail(self, error: BaseException) -> None:
        """Stop the process with this reason."""
        self._lifeline.fail(error)

    def fatal(self) -> AbstractContextManager[None]:
        """Whatever is raised inside stops the process."""
        return self._lifeline.fatal()

    # -- looking in -------------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Plain data for health and metrics."""
        at = self._last_checkpoint_at
        return {
            "phase": self.watchdog.phase,
            "phase_seconds": round(self.watchdog.seconds_in_phase, 3),
            "failure": None if self.failure is None else str(self.failure),
            "assignments": self._assignments,
            "checkpoint_age": None if at is None else round(time.monotonic() - at, 3),
            "restore_seconds": round(self._last_restore_seconds, 3),
            "tables": {name: table.status() for name, table in self.tables.items()},
        }
