"""The directory of one worker: whose it is, and the name that the worker bears in the consumer group.

The name stays with the directory, so that a restarted worker gets its partitions back without a rebalance.
That makes it dangerous to run two workers under one name: they would take the partitions from each other for ever.
So a running worker holds a lock on its directory, and a copy of a directory gets a name of its own.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from pathlib import Path

from streams.errors import ConfigurationError

_INSTANCE_FILE = "instance"
_LOCK_FILE = "lock"


class DataDirectory:
    """What a worker keeps on disk; created when missing.

    Raises:
        ConfigurationError: if it cannot be created or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None
        try:
            path.mkdir(parents=True, exist_ok=True)
            self.instance_id: str = self._read_instance() or self._write_instance()
            """The worker's name in the consumer group."""
        except OSError as error:
            raise self._unusable(error) from error

    def claim(self) -> None:
        """Take the directory for this process, until :meth:`release` or until the process ends.

        Raises:
            ConfigurationError: if another worker has it, or it cannot be written.
        """
        if self._lock is not None:
            return
        try:
            lock = os.open(self.path / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(lock, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(lock)
            raise ConfigurationError(
                f"the data directory {self.path} belongs to a running worker (process {owner}); give each worker "
                "one of its own with --data-dir or COORDINATOR_DATA_DIR"
            ) from error
        try:
            os.ftruncate(lock, 0)
            os.pwrite(lock, b"%d\n" % os.getpid(), 0)
        except OSError as error:
            os.close(lock)
            raise self._unusable(error) from error
        self._lock = lock

    def release(self) -> None:
        """Let others have it; does nothing if it was not claimed."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _read_instance(self) -> str | None:
        """The name given before; ``None`` if there is none, or if it was given to the original of this copy."""
        try:
            name, _, inode = (self.path / _INSTANCE_FILE).read_text().strip().partition(" ")
        except FileNotFoundError:
            return None
        return name if name and inode == self._inode() else None

    def _write_instance(self) -> str:
        name = f"worker-{uuid.uuid4().hex[:12]}"
        # Not in place: half a name, after a crash, would be another one each time.
        new = self.path / f"{_INSTANCE_FILE}.new"
        new.write_text(f"{name} {self._inode()}\n")
        new.replace(self.path / _INSTANCE_FILE)
        return name

    def _inode(self) -> str:
        """What tells a directory from its copies, and does not change with restarts, mounts and renames."""
        return str(self.path.stat().st_ino)

    def _unusable(self, error: OSError) -> ConfigurationError:
        return ConfigurationError(
            f"the data directory {self.path} cannot be used: {error.strerror or error}; make it writable for this "
            "user, free some space, or choose another with --data-dir or COORDINATOR_DATA_DIR"
        )
