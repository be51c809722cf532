"""The local broker's life: start, readiness, stop. Synchronous; from a coroutine use ``asyncio.to_thread``."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console

from streams.disk import DiskFull, is_full, told_if_full
from streams.kafka import guardian
from streams.kafka.configuration import JVM_OPTIONS, LOG4J_PROPERTIES, server_properties
from streams.kafka.directory import DataDirectory
from streams.kafka.errors import BrokerExited, BrokerStartFailed, DataDirectoryDamaged, PortTaken
from streams.kafka.jars import KAFKA_VERSION, ensure_jars
from streams.kafka.java import find_java
from streams.kafka.readiness import answers, free_port, is_free

START_TIMEOUT = 90.0
"""Seconds for the Java process to become ready; measured: 3 on an idle machine, 20 on a crowded one."""

PROGRESS_INTERVAL = 5.0
"""Seconds between two lines that say that a start is still under way."""

PORT_ATTEMPTS = 3
"""How often a start is tried with other free ports when somebody snatches them."""

_ADDRESS_IN_USE = re.compile(r"Address already in use|Socket server failed to bind")

_DAMAGE = re.compile(
    r"CorruptRecordException|CorruptIndexException|InconsistentClusterIdException|InconsistentBrokerMetadata"
    r"|Error while reading|MalformedInputException|Malformed line|quorum-state|meta\.properties"
)
"""What Kafka 4 says when it is its own files that keep it from starting."""

_NO_SPACE = re.compile(r"No space left on device|Disk quota exceeded")

_TELLING = re.compile(
    r"\S+ (?:ERROR|FATAL) (?P<words>.*?)(?: \([\w.]+\))?$"
    r"|(?P<cause>(?:Caused by: |Exception in thread )?[\w.$]+(?:Exception|Error):? .*)$"
)
"""A line of its log that says what went wrong: logged as an error, or the head of a stack trace."""


class LocalKafka:
    """One Kafka broker in one directory, which dies with this process at the latest.

    Args:
        data_dir: Its directory; created when missing. Everything in it survives restarts.
        port: Port on 127.0.0.1; ``None`` or 0 takes a free one, and keeps it over ``stop`` and ``start``.
        console: Where progress is shown; standard error by default.

    Use it as a context manager, or call :meth:`start` and :meth:`stop`; both can be called again.
    """

    def __init__(self, data_dir: Path, port: int | None = None, *, console: Console | None = None) -> None:
        self.directory = DataDirectory(data_dir)
        self._port = port or None
        self._port_was_chosen = bool(port)
        self._console = console or Console(stderr=True)
        self._guardian: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None

    @property
    def bootstrap(self) -> str:
        """The address for clients, ``host:port``; fixed from the first start on."""
        if self._port is None:
            raise RuntimeError("start() chooses the port, and has not been called")
        return f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """Process id of the running broker."""
        if self._pid is None:
            raise RuntimeError("the broker does not run")
        return self._pid

    @property
    def log(self) -> Path:
        """The broker's log file."""
        return self.directory.log

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the broker and return when it serves clients.

        Raises:
            JavaNotFound, JarsUnavailable: Something it needs is not here.
            PortTaken, DataDirectoryInUse, DataDirectoryRefused: It cannot have what it was told to use.
            DataDirectoryDamaged: Its files do not fit together.
            DiskFull: There is no space for them.
            BrokerStartFailed: Anything else; the message quotes its log.
        """
        if self._guardian is not None:
            if self._guardian.poll() is None:
                raise RuntimeError(f"the broker on {self.directory.path} already runs")
            self.stop()
        java = find_java()
        jars = ensure_jars(console=self._console)
        attempts_left = 1 if self._port_was_chosen else PORT_ATTEMPTS
        while self._guardian is None:
            attempts_left -= 1
            try:
                with told_if_full(self.directory.path):
                    self._start(java, jars)
            except PortTaken:
                if not attempts_left:
                    raise
                self._port = None

    def _start(self, java: Path, jars: list[Path]) -> None:
        port = self._port = self._port or free_port()
        lock = self.directory.lock(self.bootstrap)
        try:
            if not is_free(port):
                raise PortTaken(port)
            self._console.print(f"Starting Kafka {KAFKA_VERSION} at {self.bootstrap} …", highlight=False)
            self._write_configuration(port)
            command = [
                str(java),
                *JVM_OPTIONS,
                *self._java_properties(),
                "-cp",
                os.pathsep.join(map(str, jars)),
            ]
            self.directory.ensure_formatted(lambda cluster_id: self._format(command, cluster_id))
            self._launch([*command, "kafka.Kafka", str(self.directory.server_properties)], lock)
        finally:
            # From here on the claim on the directory is the broker's, and ends when the broker does.
            os.close(lock)
        try:
            self._wait_until_ready(port)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the broker cleanly and wait until it is gone; does nothing if it does not run."""
        if self._guardian is None:
            return
        process, self._guardian, self._pid = self._guardian, None, None
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(guardian.STOP_TIMEOUT + 5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End the broker without any warning, as a crash would; for tests of what comes after."""
        assert self._guardian is not None
        os.kill(self.pid, signal.SIGKILL)
        self._guardian.wait()

    def check(self) -> None:
        """Do nothing while the broker runs.

        Raises:
            BrokerExited: It has ended although nobody called :meth:`stop`.
            DiskFull: It has ended since it could write no more.
        """
        if self._guardian is not None and (status := self._guardian.poll()) is not None:
            self.stop()
            if self._ran_out_of_space():
                raise DiskFull(self.directory.path, "Kafka ended")
            raise BrokerExited(status, self.log)

    def _write_configuration(self, port: int) -> None:
        directory = self.directory
        controller_port = free_port()
        directory.server_properties.write_text(server_properties(directory.data, port, controller_port))
        directory.log4j_properties.write_text(LOG4J_PROPERTIES)

    def _java_properties(self) -> list[str]:
        return [f"-Dlog4j2.configurationFile={self.directory.log4j_properties}"]

    def _format(self, command: list[str], cluster_id: str) -> None:
        """Let Kafka's own tool write the first files of a new cluster."""
        properties = str(self.directory.server_properties)
        tool = [
            *command,
            "kafka.tools.StorageTool",
            "format",
            "--config",
            properties,
            "--cluster-id",
            cluster_id,
        ]
        descriptor = self.directory.begin_log()
        try:
            status = subprocess.run(
                tool, stdin=subprocess.DEVNULL, stdout=descriptor, stderr=descriptor, timeout=START_TIMEOUT
            ).returncode
        except subprocess.TimeoutExpired:
            raise BrokerStartFailed(self.log, f"formatting took over {START_TIMEOUT:.0f} s") from None
        finally:
            os.close(descriptor)
        if status and self._ran_out_of_space():
            raise DiskFull(self.directory.path, "Kafka did not start")
        if status:
            raise BrokerStartFailed(self.log, f"formatting its directory failed: {self._last_error()}")

    def _launch(self, command: list[str], lock: int) -> None:
        log = self.directory.begin_log()
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", guardian.__file__, str(lock), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=[lock],
                # Its own session: Ctrl-C in the terminal is for us, and we decide when the broker stops.
                start_new_session=True,
            )
        finally:
            os.close(log)
        assert process.stdout is not None
        with process.stdout:
            announced = process.stdout.readline()
        self._guardian = process
        if not announced:
            self.stop()
            raise BrokerStartFailed(self.log, f"Java did not run: {self._last_error()}")
        self._pid = int(announced)

    def _wait_until_ready(self, port: int) -> None:
        assert self._guardian is not None
        started = time.monotonic()
        next_line = started + PROGRESS_INTERVAL
        while not answers("127.0.0.1", port, timeout=1.0):
            if (status := self._guardian.poll()) is not None:
                raise self._why_it_ended(port, status)
            now = time.monotonic()
            if now - started > START_TIMEOUT:
                raise BrokerStartFailed(self.log, f"it was not ready after {START_TIMEOUT:.0f} s")
            if now > next_line:
                self._console.print(f"… Kafka still starts, {now - started:.0f} s so far ({self.log})")
                next_line = now + PROGRESS_INTERVAL
            time.sleep(0.05)
        # Somebody else's broker may answer there if ours lost a race for the port: then ours is about to end.
        if (status := self._guardian.poll()) is not None:
            raise self._why_it_ended(port, status)
        self._check_that_nothing_was_lost()

    def _check_that_nothing_was_lost(self) -> None:
        """A cut metadata log is no error to Kafka: it starts without the topics that were in the lost part."""
        if lost := self.directory.lost_topics():
            raise DataDirectoryDamaged(
                self.directory.path,
                f"its metadata no longer has {', '.join(lost)}, though records are there (data/*-stray; remove "
                "these if you deleted the topics while Kafka crashed)",
            )

    def _why_it_ended(self, port: int, status: int) -> Exception:
        if _ADDRESS_IN_USE.search(self._log_text()):
            return PortTaken(port)
        if self._ran_out_of_space():
            return DiskFull(self.directory.path, "Kafka did not start")
        error = self._last_error()
        if _DAMAGE.search(error):
            return DataDirectoryDamaged(self.directory.path, error)
        return BrokerStartFailed(self.log, f"it ended with status {status}: {error}")

    def _ran_out_of_space(self) -> bool:
        """By its log, if there was space for that, else by the disk: pages that it had mapped end it unheard."""
        return _NO_SPACE.search(self._log_text()) is not None or is_full(self.directory.path)

    def _last_error(self) -> str:
        """The log's first error and what caused it, in one line."""
        lines = self._log_text().splitlines()
        telling = [_TELLING.match(line) for line in lines]
        errors = list(dict.fromkeys(match["words"] or match["cause"] for match in telling if match))
        return "; ".join(errors[:3] or lines[-2:]) or "it said nothing"

    def _log_text(self) -> str:
        try:
            return self.log.read_text(errors="replace")
        except FileNotFoundError:  # removed beneath a broker that ran
            return ""
