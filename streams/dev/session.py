"""``coordinator dev`` from start to end: Kafka, topics, a worker, the demo and its view, and all of it down again.

Order of the start: Kafka, topics, worker, and when that is ready the demo. The end goes the other way round, so
that each part still finds what it needs to stop well.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from streams.cli import console
from streams.dev.addresses import DEFAULT_DATA_DIR, Coordinator, port_is_free, publish, withdraw
from streams.dev.figures import Figures
from streams.dev.hints import demo_hints, own_agents_hints
from streams.dev.plain import now_ms, say, tell_progress
from streams.dev.poll import WorkerView, poll
from streams.dev.processes import Death, WorkerProcess, worker_command
from streams.dev.run import DemoOptions, DemoRun
from streams.dev.together import first_of, stopped_by_signals
from streams.dev.watch import watch
from streams.disk import LogFile, told_if_full
from streams.errors import ConfigurationError, StreamsError
from streams.settings import Settings
from streams.topics import ensure_topics

if TYPE_CHECKING:
    from streams.dev.view import Scene
    from streams.kafka import LocalKafka

DEFAULT_PREFIX = "coordinator."

REFRESH = 0.25
"""Seconds between two pictures."""

FAVOURITE_KAFKA_PORT = 9092
FAVOURITE_HTTP_PORT = 9090


@dataclass(frozen=True, slots=True)
class DevOptions:
    """What ``coordinator dev`` is to do."""

    data_dir: Path
    demo: DemoOptions | None
    """``None`` leaves agents and tasks to others."""
    exit_when_done: bool = False
    kafka_port: int | None = None
    http_port: int | None = None
    live: bool = True
    """Draw on the terminal; else write lines."""


class WorkerNotReady(StreamsError):
    """The worker runs, but does not become ready."""

    def __init__(self, seconds: float, reason: str, log: Path) -> None:
        super().__init__(f"the worker is not ready after {seconds:.0f} s: {reason}; its log is {log}")


def check_http_port(options: DevOptions) -> None:
    """Do nothing unless the port that the worker is to have is taken; told now, before anything has started.

    Raises:
        ConfigurationError: It is.
    """
    port = options.http_port
    if port and not port_is_free("127.0.0.1", port):
        raise ConfigurationError(
            f"--http-port {port} on 127.0.0.1 is taken by another process. Choose another port, or leave it out "
            f"to get a free one; 'ss -ltnp sport = :{port}' shows who has it."
        )


@contextmanager
def kafka_for(options: DevOptions, settings: Settings) -> Iterator[tuple[Settings, Callable[[], None]]]:
    """The Kafka to work on: the configured one, else a local one for the time of the block.

    Yields:
        Settings with its address, and a check that raises once a local broker has died.
    """
    if "kafka_bootstrap_servers" in settings.model_fields_set:
        yield settings, lambda: None
        return
    from streams.kafka import LocalKafka

    kafka: LocalKafka = LocalKafka(
        options.data_dir / "kafka", _port(options.kafka_port, FAVOURITE_KAFKA_PORT), console=console.err()
    )
    with kafka:
        yield settings.model_copy(update={"kafka_bootstrap_servers": kafka.bootstrap}), kafka.check
        console.note("stopping Kafka …")


class Session:
    """Everything between the start of Kafka and its end.

    Args:
        options: What to do.
        settings: With the address of a Kafka that runs.
        check_kafka: Raises once Kafka has died.
    """

    def __init__(self, options: DevOptions, settings: Settings, check_kafka: Callable[[], None]) -> None:
        self.options = options
        self.settings = settings
        self.check_kafka = check_kafka
        self.fleet = options.demo.fleet if options.demo else "default"
        self.worker_dir = options.data_dir / "worker"
        self.worker = WorkerProcess(
            worker_command(), self._worker_environment(), options.data_dir / "worker.log", self._on_death
        )
        self.state = WorkerView()
        self.messages: list[tuple[int, str]] = []
        self.run: DemoRun | None = None
        if options.demo is not None:
            self.run = DemoRun(options.demo, settings.kafka_bootstrap_servers, settings.topic_prefix)
        self.figures = self.run.figures if self.run else Figures(self.fleet)
        self.interrupted = False
        self._started_ms = now_ms()

    async def go(self) -> None:
        """Run until done, if that is wanted and can be, else until SIGINT or SIGTERM.

        Raises:
            DiskFull: if there is no space for what it writes.
            StreamsError: if a part of it cannot go on.
        """
        with told_if_full(self.options.data_dir):
            try:
                await self._go()
            except Exception:
                # What breaks because Kafka has died is not the cause.
                self.check_kafka()
                raise

    async def _go(self) -> None:
        _log_to(self.options.data_dir / "dev.log")
        await ensure_topics(self.settings)
        with stopped_by_signals() as stop:
            if self.run is not None:  # it follows the topics itself, from before its first task
                await self._operate(stop)
                return
            watching = asyncio.Event()
            address, prefix = self.settings.kafka_bootstrap_servers, self.settings.topic_prefix
            follow = watch(address, prefix, self.figures, watching)
            await first_of(follow, self._operate_once(watching, stop))

    async def _operate_once(self, watching: asyncio.Event, stop: asyncio.Event) -> None:
        """Whoever knows the address may append at once: by then nothing may slip by."""
        await watching.wait()
        await self._operate(stop)

    async def _operate(self, stop: asyncio.Event) -> None:
        where = Coordinator(self.settings.kafka_bootstrap_servers, self.settings.topic_prefix)
        publish(self.options.data_dir, where)
        try:
            await first_of(
                self._until_stopped(stop),
                self.worker.run(),
                self._watch_kafka(),
                poll(self.worker_dir, self.fleet, self.state),
                self._work(),
            )
        finally:
            withdraw(self.options.data_dir)
            if self.worker.pid is not None:
                console.note("stopping the worker …")
            await self.worker.stop()

    async def _until_stopped(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.interrupted = True

    async def _watch_kafka(self) -> None:
        while True:
            try:
                self.check_kafka()
            except StreamsError:
                await self._abandon()
                raise
            await asyncio.sleep(0.5)

    async def _abandon(self) -> None:
        """Without Kafka nothing can be stopped in order: checkpoints and last words would wait for it in vain."""
        self.worker.kill()
        if self.run is not None:
            self.run.demo.abandon()
            await asyncio.sleep(0)  # so that the cancellation that follows is a second one

    async def _work(self) -> None:
        """The demo, once the worker is ready, under a view of it all."""
        await self._until_ready()
        if self.options.live:
            await first_of(self._act(), self._draw())
        else:
            self._announce()
            await first_of(self._act(), self._tell())

    async def _act(self) -> None:
        if self.run is None:
            await asyncio.Event().wait()
        else:
            await self.run.go(stay=not self.options.exit_when_done)

    async def _until_ready(self) -> None:
        limit = self.settings.start_timeout
        started = told = time.monotonic()
        console.note(f"starting a worker on {self.settings.kafka_bootstrap_servers} …")
        while not self.state.ready:
            await asyncio.sleep(0.1)
            now = time.monotonic()
            if now - started > limit:
                raise WorkerNotReady(limit, self.state.reason, self.worker.log)
            if now - told > 5:
                told = now
                console.note(f"… the worker still starts: {self.state.reason}")

    async def _tell(self) -> None:
        if self.run is None:
            await asyncio.Event().wait()
        else:
            await tell_progress(self.run)

    async def _draw(self) -> None:
        from rich.live import Live

        from streams.dev.view import draw

        out = console.out()
        with Live(console=out, screen=True, auto_refresh=False) as live:
            while True:
                live.update(draw(self._scene(), out.width, out.height), refresh=True)
                await asyncio.sleep(REFRESH)

    def _scene(self) -> Scene:
        from streams.dev.view import Scene

        return Scene(
            figures=self.figures,
            kafka=self.settings.kafka_bootstrap_servers,
            hints=self._hints(),
            started_ms=self._started_ms,
            now_ms=now_ms(),
            worker_http=self.state.address,
            worker_pid=self.worker.pid,
            worker_starts=self.worker.starts,
            worker_state="ready" if self.state.ready else self.state.reason,
            summary=self.state.summary,
            agents=self.state.agents,
            oldest=self.state.oldest,
            wanted=self.run.options.tasks if self.run else None,
            submitted=self.run.demo.submitted if self.run else self.figures.submitted_total,
            messages=self.messages[-2:],
        )

    def _hints(self) -> list[tuple[str, str]]:
        bootstrap, prefix = self.settings.kafka_bootstrap_servers, self.settings.topic_prefix
        if self.run is None:
            return own_agents_hints(bootstrap, prefix, self._flags())
        task = next(iter(self.figures.submitted), None) or f"{self.run.demo.prefix}000001"
        return demo_hints(task, self.worker.pid, self._flags())

    def _flags(self) -> str:
        """What other commands must be told; nothing, if they find this coordinator by themselves."""
        if self.options.data_dir == DEFAULT_DATA_DIR:
            return ""
        flags = f" -b {self.settings.kafka_bootstrap_servers}"
        prefix = self.settings.topic_prefix
        return flags if prefix == DEFAULT_PREFIX else f"{flags} --prefix {prefix}"

    def _announce(self) -> None:
        say(f"Kafka at {self.settings.kafka_bootstrap_servers}")
        say(f"worker {self.worker.pid} ready at http://{self.state.address}, log {self.worker.log}")
        for command, meaning in self._hints():
            say(f"try: {command}    # {meaning}")

    def _on_death(self, death: Death) -> None:
        self.messages.append((now_ms(), f"{death}; it is started again in {death.pause:g} s"))
        if not self.options.live:
            say(self.messages[-1][1])
            for line in death.last_lines[-3:]:
                say(f"  worker: {line}")

    def _worker_environment(self) -> dict[str, str]:
        settings = self.settings
        return {
            "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
            "COORDINATOR_TOPIC_PREFIX": settings.topic_prefix,
            "COORDINATOR_DATA_DIR": str(self.worker_dir),
            "COORDINATOR_HTTP_PORT": str(_port(self.options.http_port, FAVOURITE_HTTP_PORT) or 0),
            "COORDINATOR_LOG_FORMAT": "plain" if settings.log_format == "auto" else settings.log_format,
            "PYTHONUNBUFFERED": "1",
        }


def _port(wanted: int | None, favourite: int) -> int | None:
    """The port that was asked for; else the usual one if it is free; else ``None`` for any."""
    if wanted is not None:
        return wanted or None
    return favourite if port_is_free("127.0.0.1", favourite) else None


def _log_to(path: Path) -> None:
    """Send what libraries log into a file: on the terminal it would tear the picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = LogFile(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
