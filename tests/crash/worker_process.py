"""A real worker as a child process, to be killed, paused and stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO

READY_TIMEOUT = 60.0
STOP_TIMEOUT = 20.0


class WorkerProcess:
    """``coordinator worker`` on a data directory of its own.

    Args:
        bootstrap: Kafka.
        prefix: Topic prefix; also names the consumer group.
        data_dir: Kept over restarts; two workers need two.
        environment: More settings.
    """

    def __init__(self, bootstrap: str, prefix: str, data_dir: Path, **environment: str) -> None:
        self.data_dir = data_dir
        self.log_file = data_dir.with_suffix(".log")
        self._environment = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "COORDINATOR_TOPIC_PREFIX": prefix,
            "COORDINATOR_DATA_DIR": str(data_dir),
            "COORDINATOR_HTTP_PORT": "0",
            "COORDINATOR_LOG_FORMAT": "json",
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    def __enter__(self) -> WorkerProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:
            self.kill()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def start(self, **environment: str) -> None:
        """Start it, with some more settings for this time."""
        assert not self.running
        (self.data_dir / "http").unlink(missing_ok=True)
        self._log = self.log_file.open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "streams.cli.main", "worker"],
            env={**self._environment, **environment},
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def wait_ready(self) -> None:
        """Until all assigned partitions are restored."""
        deadline = time.monotonic() + READY_TIMEOUT
        while time.monotonic() < deadline:
            if not self.running:
                raise AssertionError(f"the worker ended by itself:\n{self.log[-4000:]}")
            if self._answers_ready():
                return
            time.sleep(0.05)
        raise AssertionError(f"the worker was not ready after {READY_TIMEOUT} s:\n{self.log[-4000:]}")

    def kill(self) -> None:
        """SIGKILL: no goodbye to the group, no last checkpoint."""
        self.signal(signal.SIGKILL)
        self._wait(STOP_TIMEOUT)

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        self.signal(signal.SIGTERM)
        return self._wait(STOP_TIMEOUT)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait_ended(self, seconds: float) -> int:
        """Until it ends by itself; returns the exit status."""
        return self._wait(seconds)

    def get(self, path: str, timeout: float = 10) -> bytes:
        """The body of ``path`` on the worker's HTTP server."""
        address = (self.data_dir / "http").read_text().strip()
        with urllib.request.urlopen(f"http://{address}{path}", timeout=timeout) as answer:
            body: bytes = answer.read()
            return body

    def _answers_ready(self) -> bool:
        try:
            self.get("/health/ready")
        except (OSError, urllib.error.URLError):
            return False
        return True

    def _wait(self, seconds: float) -> int:
        assert self._process is not None
        status = self._process.wait(seconds)
        if self._log is not None:
            self._log.close()
            self._log = None
        return status
