"""A verification under way, as one file: what is folded and judged so far, so that another process can go on.

It stands for work that was done, like the process's own memory, and is believed as that would be: only if it is to
the byte the file that was written, by this very code, for the same part of the same history. Whoever may alter it
may alter the verdict; keep it where the program itself is safe, or verify in one go.
"""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import TypeAlias

import cramjam
import msgspec

from models.cut import Place
from models.fleet.seal import PackedTable
from models.fold import Output
from streams.audit.archive import name_of, raw_name
from streams.audit.claims import Source
from streams.audit.code import digest_of_code
from streams.audit.findings import SavedReport

Mark: TypeAlias = tuple[int, str]
"""Of a record that has to be there: its offset and its digest, in hexadecimal digits."""


class SavedOutput(msgspec.Struct, array_like=True):
    """Names of headers may be any bytes."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[bytes, bytes | None]]
    partition: int | None

    @staticmethod
    def of(output: Output) -> SavedOutput:
        headers = [(raw_name(name), value) for name, value in output.headers]
        return SavedOutput(output.topic, output.key, output.value, headers, output.partition)

    def output(self) -> Output:
        headers = tuple((name_of(name), value) for name, value in self.headers)
        return Output(self.topic, self.key, self.value, headers, self.partition)


class SavedLane(msgspec.Struct, array_like=True):
    """What one fold put out into one partition, as far as it was not seen there; and what was."""

    place: Place
    source: Source
    begins_late: bool
    expected: list[tuple[bytes, SavedOutput, bool]]
    skipped: list[tuple[bytes, SavedOutput, bool]]
    seen: list[bytes]


class SavedIngress(msgspec.Struct, array_like=True):
    """A partition of the events, folded up to a position."""

    position: int
    last: Mark | None
    """The last record that was folded."""
    rows: dict[str, dict[str, bytes]]


class SavedFleet(msgspec.Struct, array_like=True):
    """A partition of the fleet log, likewise."""

    position: int
    last: Mark | None
    judged: list[int]
    """Offsets of plans further ahead of which everything has been said."""
    tables: dict[str, PackedTable]


class Saved(msgspec.Struct):
    """All of it."""

    ingress: dict[int, SavedIngress]
    fleet: dict[int, SavedFleet]
    lanes: list[SavedLane]
    outputs: list[tuple[Place, int]]
    """The next record of each output partition."""
    report: SavedReport
    done: int
    """Records of events and fleet log that are folded."""


class _Envelope(msgspec.Struct):
    code: str
    packed: str
    """BLAKE2b of what follows."""


class CheckpointRefused(Exception):
    """It cannot be gone on from; says why."""


class Checkpoint:
    """The file of one verification.

    Args:
        directory: Where such files are.
        what: What is verified: equal for the same part of the same history.
    """

    def __init__(self, directory: Path, what: str) -> None:
        self.path = directory / f"{blake2b(what.encode(), digest_size=12).hexdigest()}.verification"

    def save(self, saved: Saved) -> None:
        """
        Raises:
            OSError: if there is no room for it.
        """
        packed = bytes(cramjam.zstd.compress(msgspec.msgpack.encode(saved), level=1))
        envelope = _Envelope(digest_of_code(), blake2b(packed, digest_size=32).hexdigest())
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        part.write_bytes(msgspec.json.encode(envelope) + b"\n" + packed)
        part.replace(self.path)

    def load(self) -> Saved | None:
        """What was saved; ``None`` if nothing was.

        Raises:
            CheckpointRefused: if it cannot be read, was altered, or written by other code.
        """
        try:
            line, _, packed = self.path.read_bytes().partition(b"\n")
            envelope = msgspec.json.decode(line, type=_Envelope)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
            raise CheckpointRefused(f"it cannot be read: {error}") from error
        if envelope.packed != blake2b(packed, digest_size=32).hexdigest():
            raise CheckpointRefused("it was altered")
        if envelope.code != digest_of_code():
            raise CheckpointRefused("other code has written it")
        return msgspec.msgpack.decode(bytes(cramjam.zstd.decompress(packed)), type=Saved)

    def remove(self) -> None:
        """Nobody needs it any more."""
        with suppress(OSError):
            self.path.unlink()
