"""Reading what aiokafka's record parser refuses although brokers take it.

Anybody who may append can put such a batch into a topic. Parsing it, aiokafka raises in the middle of a fetch, at
every attempt: one batch would stop its partition for good. :func:`tolerate_strange_batches` puts a reader in front
of aiokafka's parser that takes over when the parser gave up:

- *Header names that are not UTF-8.* Kafka's protocol calls a name a string, yet brokers check nothing of it. The
  batch is parsed anew, in Python; bytes that are no UTF-8 come out as ``\\xNN``: readable, and good to be appended
  again by any client.
- *Batches that cannot be unpacked*, or only to more than :mod:`streams.unpacking` allows. Such a batch is read
  as one record at its first offset: its value are the batch's own bytes, which are no JSON, a header says why.

It takes the place of one global of aiokafka and so serves every consumer of the process, the public API included.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecord
from aiokafka.record.memory_records import MemoryRecords

from streams.unpacking import DECODERS, CannotUnpack, bound_unpacking

log = logging.getLogger("coordinator.kafka")

_BATCH_LENGTH = struct.Struct(">qi")
"""Base offset, and the length of what follows."""
_BATCH_HEADER = struct.Struct(">qiibIhiqqqhii")
"""Record batch, magic 2 (KIP-98): base offset, length, leader epoch, magic, checksum, attributes, last offset
delta, first timestamp, max timestamp, producer id and epoch, base sequence, number of records."""

UNPARSABLE = (CorruptRecordException, ValueError)
"""What aiokafka's parser raises; ``UnicodeDecodeError`` and :class:`CannotUnpack` are ``ValueError``."""

UNREAD_HEADER = "coord-unread"
"""Of a record that stands for a whole batch: why that could not be read."""

_CODEC_MASK = 0x07
_LOG_APPEND_TIME = 0x08


def tolerate_strange_batches() -> None:
    """Let all of this process's aiokafka consumers read through :class:`TolerantRecords`; again does nothing."""
    bound_unpacking()
    if getattr(fetcher, "MemoryRecords", None) is MemoryRecords:
        fetcher.MemoryRecords = TolerantRecords
    elif getattr(fetcher, "MemoryRecords", None) is not TolerantRecords:
        log.warning("strange batches stop a reader: aiokafka's fetcher reads in another way than known")


class TolerantRecords:
    """What a fetch brought of one partition: whole record batches, and perhaps the beginning of one more."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._native = MemoryRecords(data)
        self.has_next: Callable[[], bool] = self._native.has_next
        self.next_native: Callable[[], Any] = self._native.next_batch
        """The next batch as aiokafka parses it, for readers who turn to :meth:`reparse` themselves."""

    def size_in_bytes(self) -> int:
        return int(self._native.size_in_bytes())

    def next_batch(self) -> TolerantBatch:
        return TolerantBatch(self.next_native(), self)

    def reparse(self, batch: Any, error: Exception) -> list[DefaultRecord]:
        """All records of a batch of these that aiokafka's parser gave up on with ``error``.

        Raises:
            The error, if the batch is damaged in another way than we can bear.
        """
        start = 0
        while True:  # rare enough to look for it from the beginning
            base_offset, length = _BATCH_LENGTH.unpack_from(self._data, start)
            end = start + _BATCH_LENGTH.size + length
            if base_offset == batch.base_offset:
                break
            start = end
        if batch.magic < 2:
            raise error  # the formats before headers
        data = memoryview(self._data)[start:end]
        if isinstance(error, CannotUnpack):
            return [_unread(data, error)]
        try:
            return parse_batch(data)
        except (IndexError, KeyError, ValueError, struct.error):
            raise error from None


class TolerantBatch:
    """A batch of aiokafka's, its records parsed in another way if they must be; all else is the batch's own."""

    __slots__ = ("_native", "_records")

    def __init__(self, native: Any, records: TolerantRecords) -> None:
        self._native = native
        self._records = records

    def __getattr__(self, name: str) -> Any:
        return getattr(self._native, name)

    def __iter__(self) -> Iterator[Any]:
        try:
            # All at once: what was parsed before the parser gave up must not come twice.
            return iter(list(self._native))
        except UNPARSABLE as error:
            return iter(self._records.reparse(self._native, error))


def _unread(data: memoryview, error: CannotUnpack) -> DefaultRecord:
    """One record for a whole batch, whose number of records is only what the sender said it was."""
    header = _BATCH_HEADER.unpack_from(data)
    base_offset, attributes, max_timestamp, count = header[0], header[5], header[8], header[12]
    reason = f"this is a batch of {count} records as it came: {error}"
    appended = int(bool(attributes & _LOG_APPEND_TIME))
    headers = [(UNREAD_HEADER, reason.encode())]
    return DefaultRecord(base_offset, max_timestamp, appended, None, bytes(data), headers)


def parse_batch(data: bytes | memoryview) -> list[DefaultRecord]:
    """The records of one batch of magic 2, its checksum unchecked; see aiokafka's ``default_records.py``.

    Raises:
        IndexError, KeyError, ValueError, struct.error: if the batch is damaged.
    """
    header = _BATCH_HEADER.unpack_from(data)
    base_offset, attributes, count = header[0], header[5], header[12]
    first_timestamp, max_timestamp = header[7], header[8]
    body = bytes(data[_BATCH_HEADER.size :])
    if codec := attributes & _CODEC_MASK:
        body = DECODERS[codec][1](body)
    appended = int(bool(attributes & _LOG_APPEND_TIME))
    records = []
    reader = _Reader(body)
    for _ in range(count):
        length = reader.varint()
        end = reader.at + length
        reader.varint()  # attributes, unused
        timestamp_delta = reader.varint()
        offset = base_offset + reader.varint()
        key, value = reader.nullable(), reader.nullable()
        headers = [(_name(reader.nullable()), reader.nullable()) for _ in range(reader.varint())]
        if reader.at != end:
            raise ValueError(f"a record of {length} bytes ends {reader.at - end} bytes beside its end")
        timestamp = max_timestamp if appended else first_timestamp + timestamp_delta
        records.append(DefaultRecord(offset, timestamp, appended, key, value, headers))
    return records


def _name(data: bytes | None) -> str:
    if data is None:
        raise ValueError("a header without a name")
    return data.decode(errors="backslashreplace")


class _Reader:
    """Reads the two shapes that records are made of; negative lengths are null."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def varint(self) -> int:
        """A zigzag variable-length integer, as Protocol Buffers write ``sint64``."""
        shift = number = 0
        while True:
            byte = self._data[self.at]
            self.at += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (number >> 1) ^ -(number & 1)
            shift += 7
            if shift > 63:
                raise ValueError("a number of more than 64 bits")

    def nullable(self) -> bytes | None:
        length = self.varint()
        if length < 0:
            return None
        start, self.at = self.at, self.at + length
        if self.at > len(self._data):
            raise IndexError("a length beyond the end of the batch")
        return self._data[start : self.at]
