"""The coordinator as one object: what it is made of, and how the parts are wired.

Data flows as the attributes stand: events → ingress folds → fleet log → fleet folds → directives, with the
ticker and the planner appending to the log beside them.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import faust
from pydantic import BaseModel, ConfigDict

from models.fleet import FleetFold
from models.ingress import IngressFold
from streams.data_directory import DataDirectory
from streams.engine import Engine, EngineSettings, install
from streams.engine.errors import NotRunning
from streams.health import HealthCheck
from streams.http import HttpServer
from streams.http.views import StateViews
from streams.logs import LogManager
from streams.messages import MessageHandler
from streams.monitoring import MonitoringSystem
from streams.planner import WaterFillPlanner
from streams.planner.coordination import CoordinationPlanner
from streams.planner.dry_run import dry_run
from streams.resources import ResourceManager
from streams.settings import Settings, load_settings
from streams.state import StateManager
from streams.ticker import Ticker
from streams.topics import CHANGELOG_COMPACTION_LAG_MS, ensure_topics, real_name

log = logging.getLogger("coordinator.service")


class CoordinatorConfig(BaseModel):
    """The few settings that a program gives; the rest comes from environment, file and defaults."""

    model_config = ConfigDict(extra="forbid")

    name: str = "coordinator"
    """Begins all topic names and names the consumer group."""
    broker_url: str = "kafka://127.0.0.1:9092"
    registry_url: str | None = None
    monitoring_port: int = 9090
    """Port of health, metrics and state on loopback; 0 takes any free one."""
    log_level: str = "INFO"
    data_dir: Path | None = None
    """Local state; by default ``.coordinator/<name>``."""

    def settings(self) -> Settings:
        return load_settings(
            kafka_bootstrap_servers=self.broker_url,
            topic_prefix=f"{self.name}.",
            registry_url=self.registry_url,
            http_port=self.monitoring_port,
            log_level=self.log_level,
            data_dir=self.data_dir or Path(".coordinator") / self.name,
        )


class CoordinatorApp(faust.App):  # type: ignore[misc]
    """The Faust app, which prepares topics and starts the HTTP server before anything else."""

    coordinator: CoordinatorAgent
    _starting: asyncio.Future[None] | None = None

    async def start(self) -> None:
        self._starting = asyncio.ensure_future(self._prepare_and_start())
        await self._starting

    async def _prepare_and_start(self) -> None:
        # Not ``on_first_start``: by then Faust has made its consumer, which leaks an event loop if never started.
        await self.coordinator.prepare()
        await super().start()

    async def stop(self) -> None:
        self.coordinator.engine.begin_stop()
        if self._starting is not None and not self._starting.done():
            # It may be waiting for Kafka, and for long; and mode goes on to start what a stop has just stopped.
            self._starting.cancel()
            await asyncio.wait([self._starting])
        await super().stop()
        self.coordinator.data_directory.release()


class CoordinatorAgent:
    """A coordinator: one worker, its folds, its planner and its HTTP server.

    Args:
        config: A :class:`CoordinatorConfig`, or the whole :class:`~streams.settings.Settings`; without either
            the settings of the environment.
        force_exit: End the whole process if a stop takes too long; for a process that is nothing but a worker.

    Run it inside a program with :meth:`start` and :meth:`stop`, or as a process with ``coordinator worker``.
    """

    def __init__(
        self, config: CoordinatorConfig | Settings | None = None, *, force_exit: bool = False
    ) -> None:
        settings = config.settings() if isinstance(config, CoordinatorConfig) else config
        self.settings = settings = settings or load_settings()
        self._started = False
        self.logs = LogManager(settings.log_level, settings.log_format)
        self.logger = self.logs.logger
        self.data_directory = DataDirectory(settings.data_dir)
        self.engine = Engine(
            EngineSettings(
                bootstrap_servers=settings.kafka_bootstrap_servers,
                topic_prefix=settings.topic_prefix,
                data_dir=settings.data_dir,
                checkpoint_interval=settings.checkpoint_interval,
                checkpoint_records=settings.checkpoint_records,
                cache_size=settings.cache_size,
                fetch_max_wait=settings.update_interval,
                session_timeout=settings.session_timeout,
                instance_id=self.data_directory.instance_id,
                replication_factor=settings.replication_factor,
                compaction_lag=CHANGELOG_COMPACTION_LAG_MS / 1000,
                force_exit=force_exit,
                start_timeout=settings.start_timeout,
                stop_timeout=settings.stop_timeout,
                library_log_level=None,  # ``LogManager`` sees to it
            )
        )
        self.app = CoordinatorApp(
            settings.application,
            **self.engine.faust_settings(),
            logging_config=self.logs.dict_config(),
        )
        self.app.coordinator = self
        install(self.app, self.engine)
        self._wire_folds()
        self.ticker = Ticker(self.engine, self.agents_table, settings.events_partitions)
        self.monitoring = MonitoringSystem(
            self.engine, self.agents_table, self.fleet_table, self.ticker, settings.metric_collection_interval
        )
        self.planner = CoordinationPlanner(
            self.engine,
            self.fleet_table,
            WaterFillPlanner(),
            budget=settings.planner_budget,
            interval=settings.processing_interval,
            batch_size=settings.batch_size,
            planned=self.monitoring.count_plan,
        )
        self.message_handler = MessageHandler(self.engine, settings.events_partitions, self.planner)
        self.state_manager = StateManager(self.agents_table, self.fleet_table, self.message_handler)
        self.resource_manager = ResourceManager(self.fleet_table, self.message_handler)
        self.health = HealthCheck(self.engine, self.agents_table, self.fleet_table, settings.registry_url)
        self.http = HttpServer(
            settings.http_host,
            settings.http_port,
            settings.data_dir,
            self.health,
            self.monitoring,
            StateViews(
                self.engine,
                self.fleet_table,
                settings.fleet_partitions,
                lambda fold, fleet, patch: dry_run(
                    fold, fleet, self.planner.planner, settings.planner_budget, patch
                ),
            ),
        )
        self.app.service(self.ticker)
        self.app.service(self.planner)

    def _wire_folds(self) -> None:
        settings = self.settings
        partitions = {"events": settings.events_partitions, "fleet": settings.fleet_partitions}
        events = self.engine.topic("events", partitions=settings.events_partitions)
        fleet = self.engine.topic("fleet", partitions=settings.fleet_partitions)
        agents_table = self.agents_table = self.engine.table(
            "agents",
            source=events,
            make_fold=lambda partition: IngressFold(
                partition, partitions, topic=real_name(settings.topic_prefix, "events")
            ),
        )
        fleet_table = self.fleet_table = self.engine.table(
            "fleet",
            source=fleet,
            make_fold=lambda partition: FleetFold(
                partition, settings.events_partitions, real_name(settings.topic_prefix, "fleet")
            ),
        )

        @self.app.agent(events, name="ingress")  # type: ignore[untyped-decorator]
        async def ingress(stream: Any) -> None:
            async for batch in stream:
                agents_table.fold(batch)

        @self.app.agent(fleet, name="fleet")  # type: ignore[untyped-decorator]
        async def decide(stream: Any) -> None:
            async for batch in stream:
                fleet_table.fold(batch)

    async def prepare(self) -> None:
        """Claim the data directory, listen on HTTP and see to the topics; the first things that happen at a start.

        Raises:
            StreamsError: if the directory or the port is taken, Kafka does not answer or the topics are unfit.
        """
        self.data_directory.claim()
        try:
            await self.http.start()
            for finding in await ensure_topics(self.settings):
                log.warning("topic differs", extra={"finding": str(finding)})
        except BaseException:
            await self.http.stop()
            self.data_directory.release()
            raise
        self.app.add_dependency(self.http)  # stops with the app

    async def start(self) -> None:
        """Start inside a running program; returns when the state is restored and events are folded.

        Raises:
            StreamsError: if it cannot start, saying why and what to do; also if it was started before.
        """
        if self._started:
            raise NotRunning("the coordinator has been started before")
        self._started = True
        self.logger.info("starting coordinator", broker=self.settings.kafka_bootstrap_servers)
        await self.app.start()
        self.logger.info("coordinator started", http=self.http.address)

    async def stop(self) -> None:
        """Stop with a last checkpoint."""
        await self.app.stop()
        self.logger.info("coordinator stopped")
