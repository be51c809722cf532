"""The worker of ``coordinator dev`` as a process of its own, kept alive: it may be killed to see what happens.

A worker that dies is started again after a pause that grows; one that keeps dying ends the whole thing.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from streams.disk import DiskFull, is_full
from streams.errors import ConfigurationError, StreamsError

STOP_TIMEOUT = 12.0
"""Seconds for a stop with a last checkpoint (the worker forces its own after 10), before it is killed."""

PATIENCE = 5
"""How many deaths in a row are answered with a new start."""

STABLE_AFTER = 20.0
"""Seconds of life after which earlier deaths are forgiven."""


class WorkerKeepsDying(StreamsError):
    """The worker ended, and starting it once more would not help.

    Attributes:
        status: Exit status of the last one.
        log: Its log file.
    """

    def __init__(self, deaths: int, status: int, log: Path, last_lines: list[str]) -> None:
        times = "" if deaths == 1 else f" {deaths} times in a row, at last"
        super().__init__(
            f"the worker ended{times} with {described(status)}; "
            f"its log is {log} and ends with:\n  " + "\n  ".join(last_lines or ["(nothing)"])
        )
        self.status = status
        self.log = log


@dataclass(frozen=True, slots=True)
class Death:
    """A worker ended although nobody asked it to."""

    pid: int
    status: int
    lived: float
    """Seconds."""
    last_lines: list[str]
    pause: float
    """Seconds until the next start."""

    def __str__(self) -> str:
        return f"worker {self.pid} ended with {described(self.status)} after {self.lived:.0f} s"


class WorkerProcess:
    """Starts the worker, restarts it when it dies, stops it.

    Args:
        command: Its command line; no secrets in it, since everybody can read those.
        environment: Its settings, on top of this process's environment.
        log: File that its output is appended to.
        on_death: Told of each death, before the pause.
    """

    def __init__(
        self,
        command: list[str],
        environment: Mapping[str, str],
        log: Path,
        on_death: Callable[[Death], None],
    ) -> None:
        self.command = command
        self.environment = dict(environment)
        self.log = log
        self.on_death = on_death
        self.starts = 0
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._logged_before = 0

    @property
    def pid(self) -> int | None:
        """Process id, or ``None`` while there is no live worker."""
        process = self._process
        return process.pid if process and process.returncode is None else None

    async def run(self) -> None:
        """Keep a worker alive until :meth:`stop`.

        Raises:
            WorkerKeepsDying: when it died more than :data:`PATIENCE` times in a row.
            DiskFull: when it did, and there is no space for what it writes.
        """
        deaths = 0
        while not self._stopping:
            started = time.monotonic()
            status = await self._run_once()
            if self._stopping:
                return
            lived = time.monotonic() - started
            # A kill is somebody's experiment, not a fault of the worker that a new start would repeat.
            deaths = 1 if lived >= STABLE_AFTER or status == -signal.SIGKILL else deaths + 1
            # A setting that a worker cannot work with stays what it is, however often one is started.
            if deaths > PATIENCE or status == ConfigurationError.exit_status:
                if is_full(self.log):
                    raise DiskFull(self.log.parent, "the worker ended")
                raise WorkerKeepsDying(deaths, status, self.log, self.last_lines())
            pause = min(8.0, 0.5 * 2 ** (deaths - 1))
            pid = self._process.pid if self._process else 0
            self.on_death(Death(pid, status, lived, self.last_lines(), pause))
            await asyncio.sleep(pause)

    async def stop(self) -> None:
        """End it gracefully, by force after :data:`STOP_TIMEOUT` seconds, and wait until it is gone."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT)
        except TimeoutError:
            process.kill()
            await process.wait()

    def kill(self) -> None:
        """End it at once and for good, where a graceful stop would only wait for what cannot come any more."""
        self._stopping = True
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    def last_lines(self, count: int = 8) -> list[str]:
        """The end of what it logged since its last start."""
        try:
            with self.log.open("rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(self._logged_before, file.tell() - 32_768))
                return file.read().decode(errors="replace").splitlines()[-count:]
        except OSError:
            return []

    async def _run_once(self) -> int:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._logged_before = output.seek(0, os.SEEK_END)
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.PIPE,  # held open by us: see streams.dev.leash
                stdout=output,
                stderr=output,
                env={**os.environ, **self.environment},
                start_new_session=True,  # Ctrl-C in the terminal is for us; we stop it in its turn
            )
        self.starts += 1
        return await self._process.wait()


def worker_command() -> list[str]:
    """How to start a worker that ends with this process at the latest."""
    return [sys.executable, "-m", "streams.dev.leash", "worker"]


def described(status: int) -> str:
    """An exit status as people say it."""
    if status < 0:
        try:
            return f"signal {signal.Signals(-status).name}"
        except ValueError:
            return f"signal {-status}"
    return f"status {status}"
