"""The broker's data directory: whose it is, that only one broker uses it, and that it was formatted whole.

::

    DIR/broker.json       cluster id, Kafka version, whether formatting was finished
    DIR/lock              held by the running broker; says who started it and its address
    DIR/server.properties, DIR/log4j2.properties   written anew by each start
    DIR/kafka.log, DIR/kafka.log.previous          what this and the last broker said
    DIR/data/             Kafka's own files
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from streams.disk import FULL, told_if_full
from streams.kafka.errors import DataDirectoryDamaged, DataDirectoryInUse, DataDirectoryRefused
from streams.kafka.jars import KAFKA_VERSION

ORPHAN_TIMEOUT = 20.0
"""Seconds that a broker may take to end whose starter is already gone; a clean stop takes one."""


class DataDirectory:
    """One directory; :meth:`lock` it before anything else is done with it."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.data = self.path / "data"
        self.log = self.path / "kafka.log"
        self.server_properties = self.path / "server.properties"
        self.log4j_properties = self.path / "log4j2.properties"
        self._marker = self.path / "broker.json"
        self._lock = self.path / "lock"

    def lock(self, bootstrap: str) -> int:
        """Create the directory if need be and claim it; returns the descriptor that holds the claim.

        The claim ends when every copy of the descriptor is closed, so whoever inherits it keeps it.

        Raises:
            DataDirectoryRefused: It is not empty and not a broker's, or cannot be written.
            DataDirectoryInUse: A running broker holds it.
            DiskFull: There is no space to claim it.
        """
        with told_if_full(self.path):
            descriptor = self._open_lock()
        try:
            self._claim(descriptor)
            holder = json.dumps({"started_by": os.getpid(), "bootstrap": bootstrap}).encode()
            with told_if_full(self.path):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, holder, 0)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _open_lock(self) -> int:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            strangers = {entry.name for entry in self.path.iterdir()} - {self._lock.name}
            if strangers and not self._marker.exists():
                raise DataDirectoryRefused(self.path, f"it holds other files, such as {min(strangers)!r}")
            return os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            if error.errno in FULL:
                raise
            raise DataDirectoryRefused(self.path, error.strerror or str(error)) from error

    def _claim(self, descriptor: int) -> None:
        deadline = time.monotonic() + ORPHAN_TIMEOUT
        while True:
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                bootstrap, started_by = _holder(descriptor)
                # A broker ends soon after who started it. That end may be waited for, a living owner's may not.
                if started_by is None or _alive(started_by) or time.monotonic() > deadline:
                    raise DataDirectoryInUse(self.path, bootstrap, started_by) from None
                time.sleep(0.05)

    def ensure_formatted(self, format_storage: Callable[[str], None]) -> None:
        """Give an empty directory its cluster id and format it; check that a used one is still what it was.

        Args:
            format_storage: Formats :attr:`data` for the cluster id it is given, or raises.

        Raises:
            DataDirectoryDamaged: Files of a formatted directory are missing or contradict each other.
        """
        cluster_id, formatted = self._read_marker()
        if formatted:
            self._check_identity(cluster_id)
            return
        # An earlier formatting that was interrupted is done again: no broker has run here, so nothing is lost.
        shutil.rmtree(self.data, ignore_errors=True)
        self._write_marker(cluster_id, formatted=False)
        format_storage(cluster_id)
        self._write_marker(cluster_id, formatted=True)

    def lost_topics(self) -> list[str]:
        """Topics that have records here but are unknown to the broker's metadata.

        While it loads, before it serves, Kafka renames the directories of their partitions to
        ``<topic>-<partition>.<unique>-stray``, and keeps what is in them.
        """
        strays = (entry.name.rpartition(".")[0] for entry in self.data.glob("*-stray"))
        return sorted({name.rpartition("-")[0] for name in strays})

    def begin_log(self) -> int:
        """Put the last log aside and return a descriptor to write the next one to."""
        if self.log.exists():
            self.log.replace(self.log.with_name("kafka.log.previous"))
        return os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def _read_marker(self) -> tuple[str, bool]:
        try:
            marker = json.loads(self._marker.read_text())
            return str(marker["cluster_id"]), bool(marker["formatted"])
        except FileNotFoundError:
            return _new_cluster_id(), False
        except (ValueError, KeyError, TypeError) as error:
            raise DataDirectoryDamaged(self.path, f"{self._marker.name} is unreadable ({error})") from error

    def _write_marker(self, cluster_id: str, *, formatted: bool) -> None:
        content = {"cluster_id": cluster_id, "kafka_version": KAFKA_VERSION, "formatted": formatted}
        unfinished = self._marker.with_suffix(".json.new")
        with unfinished.open("w") as stream:
            json.dump(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.replace(self._marker)

    def _check_identity(self, cluster_id: str) -> None:
        file = self.data / "meta.properties"
        try:
            lines = file.read_text(encoding="ascii").splitlines()
        except FileNotFoundError:
            raise DataDirectoryDamaged(self.path, "data/meta.properties is missing") from None
        except UnicodeDecodeError:
            raise DataDirectoryDamaged(self.path, "data/meta.properties is unreadable") from None
        properties = dict(line.split("=", 1) for line in lines if "=" in line)
        if (found := properties.get("cluster.id")) != cluster_id:
            raise DataDirectoryDamaged(
                self.path, f"data/meta.properties has cluster id {found}, broker.json has {cluster_id}"
            )
        if not (self.data / "__cluster_metadata-0").is_dir():
            raise DataDirectoryDamaged(self.path, "data/__cluster_metadata-0 is missing")


def _new_cluster_id() -> str:
    """16 random bytes as Kafka writes them. A leading '-' would be taken for an option by its tools."""
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()).startswith("-"):
        pass
    return text


def _holder(descriptor: int) -> tuple[str | None, int | None]:
    try:
        content = json.loads(os.pread(descriptor, 4096, 0))
        return content["bootstrap"], content["started_by"]
    except (ValueError, KeyError, TypeError):
        return None, None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
