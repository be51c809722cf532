"""Record batches that no Kafka client makes but every broker takes."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from aiokafka import codec
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.util import calc_crc32c

CODECS = {
    "none": (0, bytes),
    "gzip": (1, codec.gzip_encode),
    "snappy": (2, codec.snappy_encode),
    "lz4": (3, codec.lz4_encode),
    "zstd": (4, codec.zstd_encode),
}
PLACEHOLDER = "header-name-to-be-replaced"

_HEADER_BYTES = 61
_BATCH_LENGTH = slice(8, 12)
_CHECKSUM = slice(17, 21)
_ATTRIBUTES = slice(21, 23)


class StrangeBatch(BatchBuilder):
    """A batch whose headers named :data:`PLACEHOLDER` get a name of any bytes; for ``producer.send_batch``."""

    def __init__(self, name: bytes, compression: str = "none") -> None:
        super().__init__(1 << 20, 0)
        assert len(name) <= len(PLACEHOLDER)
        self._name = name.ljust(len(PLACEHOLDER), b".")
        self._codec, self._compress = CODECS[compression]

    def _build(self) -> bytearray:
        plain = bytes(super()._build())
        body = self._compress(plain[_HEADER_BYTES:].replace(PLACEHOLDER.encode(), self._name))
        built = bytearray(plain[:_HEADER_BYTES] + body)
        built[_BATCH_LENGTH] = struct.pack(">i", len(built) - 12)
        built[_ATTRIBUTES] = struct.pack(">h", self._codec)
        built[_CHECKSUM] = struct.pack(">I", calc_crc32c(memoryview(built)[_ATTRIBUTES.start :]))
        return built


def strange_batch(name: bytes, values: Sequence[bytes], compression: str = "none") -> StrangeBatch:
    """One record for each value, every second one with a header of this name."""
    batch = StrangeBatch(name, compression)
    for number, value in enumerate(values):
        headers = [("before", b"1"), (PLACEHOLDER, b"x"), ("after", None)] if number % 2 else []
        batch.append(timestamp=1_000 + number, key=b"k%d" % number, value=value, headers=headers)
    return batch
