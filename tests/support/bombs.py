"""Batches that are small on the wire and huge once unpacked; brokers take them."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable

import cramjam
from aiokafka import codec
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.util import calc_crc32c

from tests.support.strange_batch import CODECS

_PIECE = 8 << 20
_HEADER_BYTES = 61
_XERIAL = codec.snappy_encode(b"")[:16]


class Bomb(BatchBuilder):
    """A batch of one record, whose value is ``size`` zeros; for ``producer.send_batch``.

    It is packed in pieces: concatenated, they are as good as one, and it never exists unpacked.
    """

    def __init__(self, size: int, compression: str) -> None:
        super().__init__(1 << 16, 0)
        self.append(timestamp=1_000, key=b"k", value=b"")
        self._size = size
        self._codec = CODECS[compression][0]
        self._pack = _PACKERS[compression]

    def _build(self) -> bytearray:
        plain = bytes(super()._build())[:_HEADER_BYTES]
        body = b"\0\0\0" + _varint(1) + b"k" + _varint(self._size)  # attributes, time, offset, key, value
        body = _varint(len(body) + self._size + 1) + body
        built = bytearray(plain + self._pack(body, self._size + 1))  # the value's zeros, and one: no headers
        built[8:12] = struct.pack(">i", len(built) - 12)
        built[21:23] = struct.pack(">h", self._codec)
        built[17:21] = struct.pack(">I", calc_crc32c(memoryview(built)[21:]))
        return built


def _varint(number: int) -> bytes:
    """A number above zero as Kafka's records write it: zigzag, seven bits a byte."""
    number *= 2
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])


def _repeated(pack: Callable[[bytes], bytes]) -> Callable[[bytes, int], bytes]:
    def packed(begin: bytes, zeros: int) -> bytes:
        pieces, rest = divmod(zeros, _PIECE)
        return pack(begin + bytes(rest)) + pack(bytes(_PIECE)) * pieces

    return packed


def _lz4(begin: bytes, zeros: int) -> bytes:
    """In one frame: Kafka's brokers read no more of them."""
    compressor = cramjam.lz4.Compressor(level=9, content_checksum=False, block_linked=False)
    pieces, rest = divmod(zeros, _PIECE)
    for piece in [begin + bytes(rest), *[bytes(_PIECE)] * pieces]:
        compressor.compress(piece)
    return bytes(compressor.finish())


_PACKERS = {
    "gzip": _repeated(lambda data: gzip.compress(data, 9, mtime=0)),
    "snappy": lambda begin, zeros: (
        _XERIAL + _repeated(lambda data: codec.snappy_encode(data)[16:])(begin, zeros)
    ),
    "lz4": _lz4,
    "zstd": _repeated(codec.zstd_encode),
}
