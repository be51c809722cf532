"""The local copy of one partition's rows, on RocksDB, so that a restart need not read the whole changelog.

It is a cache and nothing else: the changelog is the truth. So its one duty is never to give *wrong* rows. Every
load checks the iterator's status (RocksDB ends a scan quietly at a damaged block), counts the rows and digests
them; on any doubt it raises :class:`StoreDamaged`, and the caller drops the store and rebuilds it. A write that
fails (disk full, I/O error) closes and drops the store too, and the worker goes on without it: the next start
reads the changelog instead. One directory per partition keeps damage to one partition.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rocksdict import Options, Rdict, WriteBatch

from streams.engine.changelog import Mark, digest_of, hash_rows, row_hash
from streams.engine.errors import ColdRowsLost, StoreInUse

log = logging.getLogger("coordinator.engine")

_FORMAT = 2
_META_KEY = b"\0meta"
_WRITE_BUFFER_BYTES = 8 << 20

COLD = b""
"""Stands for the payload of a row that was proved and then left where it is. No row is encoded as nothing."""


class StoreMeta(msgspec.Struct, frozen=True):
    """What the rows beside it stand for; written in the same atomic batch."""

    changelog: str
    """Full name of the changelog topic."""
    epoch: int
    position: int
    """Next offset of the source partition."""
    changelog_offset: int
    """Changelog offset after the mark of the checkpoint."""
    rows: int
    digest: int
    saved_at: float
    """Epoch seconds of this machine's clock."""
    format: int = _FORMAT

    @classmethod
    def after(cls, mark: Mark, changelog: str, offset: int) -> StoreMeta:
        """Of rows as of now that a mark closes, ``offset`` being the changelog's next one behind it."""
        return cls(
            changelog=changelog,
            epoch=mark.epoch,
            position=mark.position,
            changelog_offset=offset,
            rows=mark.rows,
            digest=mark.digest,
            saved_at=time.time(),
        )

    @property
    def mark(self) -> Mark:
        """The one that closes these rows in the changelog."""
        return Mark(self.epoch, self.position, self.rows, self.digest)


@dataclass(frozen=True, slots=True)
class Snapshot:
    meta: StoreMeta
    rows: dict[bytes, bytes]
    """Payloads by row key; some may be :data:`COLD`."""
    hashes: dict[bytes, int]


class StoreDamaged(Exception):
    """The store cannot be trusted; the reason is for the log. Never leaves the engine."""


_encode = msgspec.msgpack.Encoder().encode
_decode_meta = msgspec.msgpack.Decoder(StoreMeta).decode


def stores_of(data_dir: Path, table: str) -> Path:
    """Where the stores of a table are, each in a directory that is named by its partition."""
    return data_dir / "folds" / table


class LocalStore:
    """The rows of one partition of one table in ``directory``."""

    def __init__(self, directory: Path, table: str, partition: int) -> None:
        self.directory = directory
        self.table = table
        self.partition = partition
        self.failure: str | None = None
        """Why there is no local copy at the moment."""
        self._database: Rdict | None = None

    def load(self, limits: Mapping[bytes, int] | None = None) -> Snapshot | None:
        """All rows, proved; ``None`` if there are none yet.

        Args:
            limits: How many rows are wanted of the tables whose keys have these prefixes. The others are read and
                proved like all, and left :data:`COLD`.

        Raises:
            StoreDamaged: on any doubt.
            StoreInUse: if another process has it open.
        """
        if not self.directory.exists():
            return None
        rows, hashes = self._read(limits) if limits else (dict(self.scan(b"")), None)
        encoded = rows.pop(_META_KEY, None)
        if encoded is None:
            if rows:
                raise StoreDamaged(f"{len(rows)} rows without a description")
            return None
        try:
            meta = _decode_meta(encoded)
        except msgspec.MsgspecError as error:
            raise StoreDamaged(f"its description cannot be read: {error}") from error
        if meta.format != _FORMAT:
            raise StoreDamaged(f"its format is {meta.format}, not {_FORMAT}")
        if hashes is None:
            hashes, digest = hash_rows(rows)
        else:
            del hashes[_META_KEY]
            digest = digest_of(hashes.values())
        if len(rows) != meta.rows or digest != meta.digest:
            raise StoreDamaged(
                f"it holds {len(rows)} rows with digest {digest:016x}, should be {meta.rows} with "
                f"{meta.digest:016x}"
            )
        return Snapshot(meta, rows, hashes)

    def _read(self, limits: Mapping[bytes, int]) -> tuple[dict[bytes, bytes], dict[bytes, int]]:
        """All there is, and its hashes; payloads only as far as the limits allow."""
        room = dict(limits)
        rows, hashes = {}, {}
        for key, payload in self.scan(b""):
            hashes[key] = row_hash(key, payload)
            prefix = key[: key.find(b"/") + 1]
            if prefix in room:
                if room[prefix] <= 0:
                    payload = COLD
                room[prefix] -= 1
            rows[key] = payload
        return rows, hashes

    def get(self, key: bytes) -> bytes | None:
        """One row, as it is; whoever asks must prove it.

        Raises:
            StoreDamaged: if it cannot be read.
        """
        try:
            return self._open().get(key)  # type: ignore[no-any-return]
        except StoreInUse:
            raise
        except Exception as error:  # rocksdict raises bare ``Exception`` and has no narrower root
            raise StoreDamaged(f"it cannot be read: {error}") from error

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All rows whose keys begin with ``prefix``, as of now, in the order of their keys; not proved.

        Raises:
            StoreDamaged: if they cannot be read to the end.
        """
        try:
            # Not ``items()``: it hides the status, without which a damaged block looks like the end.
            iterator = self._open().iter()
            iterator.seek(prefix)
            while iterator.valid() and (key := iterator.key()).startswith(prefix):
                yield key, iterator.value()
                iterator.next()
            iterator.status()
        except StoreInUse:
            raise
        except Exception as error:
            raise StoreDamaged(f"it cannot be read: {error}") from error

    def write(self, changes: Mapping[bytes, bytes | None], meta: StoreMeta) -> None:
        """Apply one checkpoint, atomically; ``None`` deletes a row.

        Raises:
            StoreDamaged: if that failed. The store is closed and dropped then.
        """
        batch = WriteBatch(raw_mode=True)
        for key, payload in changes.items():
            if payload is None:
                batch.delete(key)
            else:
                batch.put(key, payload)
        batch.put(_META_KEY, _encode(meta))
        try:
            self._open().write(batch)
        except StoreInUse:
            raise
        except Exception as error:
            self.drop(f"write failed: {error}")
            raise StoreDamaged(f"write failed: {error}") from error

    def save(
        self, changes: Mapping[bytes, bytes | None], meta: StoreMeta, cold_rows: Callable[[], int]
    ) -> bool:
        """:meth:`write`, where a failure costs the local copy and nothing else: the changelog has everything.

        Args:
            changes: As for :meth:`write`.
            meta: As for :meth:`write`.
            cold_rows: How many rows are only here, and not in memory.

        Returns:
            Whether it was written.

        Raises:
            ColdRowsLost: if that failed, and there are such rows.
        """
        try:
            self.write(changes, meta)
        except StoreDamaged as error:
            log.warning(
                "local store dropped",
                extra={"table": self.table, "partition": self.partition, "reason": str(error)},
            )
            rows = cold_rows()
            if rows:
                raise ColdRowsLost(self.table, self.partition, rows, str(error)) from error
            return False
        return True

    def drop(self, reason: str) -> None:
        """Forget everything on disk. What cannot be deleted is older than the changelog, never wrong."""
        database, self._database = self._database, None
        if database is not None:
            _let_go(database)
        del database
        self.failure = reason
        shutil.rmtree(self.directory, ignore_errors=True)

    def close(self) -> None:
        """Let go of the files. Closing writes, so it can fail as writing does; then the store is dropped."""
        database, self._database = self._database, None
        if database is None:
            return
        try:
            database.flush()  # what may fail comes first: a failing ``close`` takes a second
            database.close()
        except Exception as error:  # noqa: BLE001 - rocksdict has no narrower one; a full disk stops no hand-over
            self.failure = f"closing failed: {error}"
            log.warning(
                "local store dropped",
                extra={"table": self.table, "partition": self.partition, "reason": self.failure},
            )
            _let_go(database)
            del database  # RocksDB's lock on the directory goes with it
            shutil.rmtree(self.directory, ignore_errors=True)

    def _open(self) -> Rdict:
        if self._database is None:
            options = Options(raw_mode=True)
            options.create_if_missing(True)
            options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
            options.set_max_write_buffer_number(2)
            options.set_paranoid_checks(True)
            self.directory.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._database = Rdict(str(self.directory), options)
            except Exception as error:
                if "lock file" in str(error):  # not just "lock": damaged ones are blocks
                    raise StoreInUse(
                        self.table,
                        self.partition,
                        f"another process has {self.directory} open; give each worker a data directory of its own",
                    ) from error
                raise
        return self._database


def _let_go(database: Rdict) -> None:
    """Without it, RocksDB would wait a second for the disk to recover before it closes: for each partition."""
    with contextlib.suppress(Exception):
        database.cancel_all_background(True)
